"""What a plan adds up to: how often it shows each fund, and its revenue (kernels/cpu/totals.cpp,
kernels/cuda/totals.cu)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ptofa_gpu.ops._entry import Entry, pieces, threads_for

_COUNT_VALUES = Entry(
    "count_values", "in_i8 values; i64 bytes; i64 n; i64 lowest; i64 size; i64 threads; out_i64 counts"
)
_EARNED = Entry("earned", "in_f32 revenue; in_i16 chosen; i64 rows; i64 funds; i64 k; i64 threads; out_i64 sums")


def count_values(values: np.ndarray, lowest: int, size: int) -> np.ndarray:
    """How often lowest, lowest + 1, ... occur in an int8 or int16 array on the host that holds nothing else.

    Returns
    -------
    (size,) int64
    """
    flat, counts = np.ascontiguousarray(values).reshape(-1), np.zeros(size, np.int64)
    if flat.dtype not in (np.int8, np.int16):
        flat = _int16(flat)
    about = {"bytes": flat.itemsize, "lowest": lowest, "size": size, "counts": counts}
    for lo, hi in pieces(flat.size, 1):
        _COUNT_VALUES(values=flat[lo:hi].view(np.int8), n=hi - lo, threads=threads_for(hi - lo), **about)
    return counts


def _int16(values: np.ndarray) -> np.ndarray:
    """Numbers of funds as the engine takes them; a plan that somebody made may hold other integers."""
    out = np.ascontiguousarray(values, np.int16)
    if out.dtype != values.dtype and not np.array_equal(out, values):
        raise OverflowError(f"a number outside int16 in an array of {values.dtype}")
    return out


def count_funds(chosen: Any, funds: int) -> np.ndarray:
    """How often a plan shows each fund.

    Parameters
    ----------
    chosen : (U, K) int16
        -1 in an empty slot, -2 in a slot that the customer does not have.
    funds : int
        F.

    Returns
    -------
    (F + 2,) int64 NumPy array: slots that a customer does not have, empty slots, and the slots of each fund.
    """
    if not isinstance(chosen, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().count_funds(chosen, funds)
    return count_values(chosen, -2, funds + 2)


#: Biased exponents of float32, and how many numbers `earned` keeps for them: positive values, then negative ones.
EXPONENTS = 256


def earned(revenue: Any, chosen: Any) -> np.ndarray:
    """Revenue of the slots that hold a fund: mantissas of float32, added up by exponent.

    Nothing is rounded, however far values lie apart, in any order, on every device.

    Parameters
    ----------
    revenue : (U, F) float32
    chosen : (U, K) int16, on the same device

    Returns
    -------
    (512,) int64 NumPy array: sums by biased exponent, of values from 0 on and then of negative ones; `exact_sums` makes
    numbers of them.
    """
    if isinstance(revenue, np.ndarray):
        (rows, k), funds, sums = chosen.shape, revenue.shape[1], np.zeros(2 * EXPONENTS, np.int64)
        chosen = _int16(chosen)
        for lo, hi in pieces(rows, k, 4):
            size = {"rows": hi - lo, "funds": funds, "k": k, "threads": threads_for((hi - lo) * k)}
            _EARNED(revenue=revenue[lo:hi], chosen=chosen[lo:hi], **size, sums=sums)
        return sums
    from ptofa_gpu.ops import _kernels

    return _kernels.device_module().earned(revenue, chosen)


def exact_sums(sums: np.ndarray) -> tuple[int, int]:
    """What sums of `earned` come to: the sum of values, and of their sizes, as whole multiples of 2^-149."""
    gains, losses = (
        sum(int(n) << max(e - 1, 0) for e, n in enumerate(half) if n) for half in sums.reshape(2, EXPONENTS).tolist()
    )
    return gains - losses, gains + losses


def in_currency(units: int) -> float:
    """A sum of `exact_sums` as the nearest float64."""
    return math.ldexp(float(units), -149)
