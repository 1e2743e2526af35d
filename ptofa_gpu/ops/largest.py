"""How large E is where it can matter (kernels/cpu/largest.cpp, kernels/cuda/largest.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._entry import Entry, pieces, threads_for

_LARGEST = Entry(
    "largest",
    "in_i32 revenue; in_i8 tolerance; in_i8 risk; in_u64 mask; i64 words; in_i8 slots; in_u8 wanted; i64 rows; "
    "i64 funds; i64 threads; out_i32 top",
)


def largest(
    revenue: Any, tolerance: Any, risk: Any, mask: Any, slots: Any, wanted: np.ndarray
) -> tuple[np.float32, np.float32]:
    """The largest |E| of the pairs that can be chosen, and of all pairs within the limits.

    Parameters
    ----------
    revenue : (U, F) float32
    tolerance, risk : (U,) and (F,) int8
    mask : (U, W) uint64 or None
    slots : (U,) int8 or None
        Pairs of customers without slots cannot be chosen.
    wanted : (F,) bool
        Nor can those of funds that may not have an exposure.

    Returns
    -------
    chosen, seen : float32
        0 where there is no pair; NaN where one is NaN.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        top = _kernels.device_module().largest(revenue, tolerance, risk, mask, slots, wanted)
    else:
        everyone = mask is None and slots is None and bool(wanted.all()) and tolerance.min() >= risk.max()
        rows, funds = revenue.shape
        bits, levels, funds_wanted = revenue.view(np.int32), None if everyone else tolerance, wanted.view(np.uint8)
        found = np.zeros(2, np.int32)
        for lo, hi in pieces(rows, funds, 1):
            some = {"mask": mask, "slots": slots, "tolerance": levels}
            part = {name: None if array is None else array[lo:hi] for name, array in some.items()}
            words = 0 if mask is None else mask.shape[1]
            _LARGEST(
                revenue=bits[lo:hi], **part, risk=risk, words=words, wanted=funds_wanted, rows=hi - lo, funds=funds,
                threads=threads_for((hi - lo) * funds), top=found,
            )  # fmt: skip
        top = (int(found[0]), int(found[1]))
    chosen, seen = np.array(top, np.int32).view(np.float32)
    return chosen, seen
