"""Sums over customers, as integers: exact, in any order, so the same on every device (twin of kernels/sums.cu)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CHUNK, fixed, mask_words, may_see, n_chunks


@nb.njit(parallel=True, cache=True)
def _column_sums(revenue, tolerance, risk, mask, scale):
    rows, funds = revenue.shape
    chunks = n_chunks(rows)
    part = np.zeros((chunks, funds), np.int64)
    for c in nb.prange(chunks):
        for u in range(c * CHUNK, min(rows, (c + 1) * CHUNK)):
            for f in range(funds):
                if may_see(tolerance, risk, mask, u, f):
                    part[c, f] += fixed(revenue[u, f], scale)
    return part.sum(0)


def column_sums(revenue: Any, tolerance: Any, risk: Any, mask: Any, shift: int) -> np.ndarray:
    """Sum of E over the eligible customers of each fund, in fixed point.

    Parameters
    ----------
    revenue : (U, F) float32
    tolerance, risk : (U,) and (F,) int8
    mask : (U, W) uint64 or None
    shift : int
        The sums are of round(E x 2^shift).

    Returns
    -------
    (F,) int64 NumPy array.
    """
    if isinstance(revenue, np.ndarray):
        return _column_sums(revenue, tolerance, risk, mask_words(mask), 2.0**shift)
    from ptofa_gpu.ops import _kernels

    return _kernels.device_module().column_sums(revenue, tolerance, risk, mask, shift)
