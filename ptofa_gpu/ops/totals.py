"""What a plan adds up to: how often it shows each fund, and its revenue (twin of kernels/totals.cu)."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np


@nb.njit(parallel=True, cache=True)
def _count(values, lowest, size, threads):
    part = np.zeros((threads, size), np.int64)
    for t in nb.prange(threads):
        own = np.zeros(size, np.int64)
        for i in range(values.size * t // threads, values.size * (t + 1) // threads):
            own[np.int64(values[i]) - lowest] += 1
        part[t] = own
    return part.sum(0)


def count_values(values: np.ndarray, lowest: int, size: int) -> np.ndarray:
    """How often lowest, lowest + 1, ... occur in an array on the host that holds nothing else: (size,) int64."""
    return _count(np.ascontiguousarray(values).reshape(-1), lowest, size, nb.get_num_threads())


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


#: Biased exponents of float32, and how many numbers `_earned` keeps for them: positive values, then negative ones.
EXPONENTS = 256


@nb.njit(parallel=True, cache=True)
def _earned(bits, chosen, threads):
    rows = chosen.shape[0]
    part = np.zeros((threads, 2 * EXPONENTS), np.int64)
    for t in nb.prange(threads):
        own = np.zeros(2 * EXPONENTS, np.int64)
        for u in range(rows * t // threads, rows * (t + 1) // threads):
            for j in range(chosen.shape[1]):
                if chosen[u, j] >= 0:
                    b = bits[u, chosen[u, j]]
                    exponent = (b >> 23) & 0xFF
                    mantissa = (b & 0x7FFFFF) | (0x800000 if exponent else 0)
                    own[(EXPONENTS if b < 0 else 0) + exponent] += mantissa
        part[t] = own
    return part.sum(0)


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
        return _earned(revenue.view(np.int32), chosen, nb.get_num_threads())
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
