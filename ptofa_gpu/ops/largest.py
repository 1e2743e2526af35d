"""How large E is where it can matter (twin of kernels/largest.cu)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CHUNK, mask_words, may_see, n_chunks, slot_numbers


@nb.njit(parallel=True, cache=True)
def _largest(bits, tolerance, risk, mask, slots, wanted):
    rows, funds = bits.shape
    chunks = n_chunks(rows)
    top = np.zeros((chunks, 2), np.int32)
    for c in nb.prange(chunks):
        chosen, seen = np.int32(0), np.int32(0)
        for u in range(c * CHUNK, min(rows, (c + 1) * CHUNK)):
            has_slots = slots.size == 0 or slots[u] > 0
            for f in range(funds):
                if may_see(tolerance, risk, mask, u, f):
                    size = bits[u, f] & np.int32(0x7FFFFFFF)
                    seen = max(seen, size)
                    if has_slots and wanted[f]:
                        chosen = max(chosen, size)
        top[c, 0], top[c, 1] = chosen, seen
    return top


@nb.njit(parallel=True, cache=True)
def _largest_of_all(bits):
    size = bits.size
    chunks = (size + 8 * CHUNK - 1) // (8 * CHUNK)
    top = np.zeros(chunks, np.int32)
    for c in nb.prange(chunks):
        most = np.int32(0)
        for i in range(c * 8 * CHUNK, min(size, (c + 1) * 8 * CHUNK)):
            most = max(most, bits[i] & np.int32(0x7FFFFFFF))
        top[c] = most
    return top.max()


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
    elif mask is None and slots is None and wanted.all() and tolerance.min() >= risk.max():
        top = (int(_largest_of_all(revenue.view(np.int32).reshape(-1))),) * 2
    else:
        limits = tolerance, risk, mask_words(mask), slot_numbers(slots), wanted
        top = tuple(_largest(revenue.view(np.int32), *limits).max(0).tolist())
    chosen, seen = np.array(top, np.int32).view(np.float32)
    return chosen, seen
