"""What a plan adds up to: how often it shows each fund, and its revenue (twin of kernels/totals.cu)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CHUNK, fixed, n_chunks


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


@nb.njit(parallel=True, cache=True)
def _earned(revenue, chosen, scale):
    rows = chosen.shape[0]
    chunks = n_chunks(rows)
    part = np.zeros(chunks, np.int64)
    for c in nb.prange(chunks):
        total = np.int64(0)
        for u in range(c * CHUNK, min(rows, (c + 1) * CHUNK)):
            for j in range(chosen.shape[1]):
                if chosen[u, j] >= 0:
                    total += fixed(revenue[u, chosen[u, j]], scale)
        part[c] = total
    return part.sum()


def earned(revenue: Any, chosen: Any, shift: int) -> int:
    """Sum of E over the slots that hold a fund, in fixed point: round(E x 2^shift); exact, in any order.

    Parameters
    ----------
    revenue : (U, F) float32
    chosen : (U, K) int16, on the same device
    shift : int
        Such that no sum passes 62 bits (`AllocationProblem.fixed_point_shift`).
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().earned(revenue, chosen, shift)
    return int(_earned(revenue, chosen, 2.0**shift))
