"""Commit a round: the customers before the cut get their picks and leave the sums (twin of kernels/commit.cu)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CHUNK, fixed, mask_words, may_see, n_chunks


@nb.njit(parallel=True, cache=True)
def _commit(revenue, tolerance, risk, mask, key, picks, done, cut_key, cut_row, scale, chosen):
    rows, funds = revenue.shape
    chunks = n_chunks(rows)
    counts = np.zeros((chunks, funds), np.int64)
    sums = np.zeros((chunks, funds), np.int64)
    served = np.zeros(chunks, np.int64)
    for c in nb.prange(chunks):
        for u in range(c * CHUNK, min(rows, (c + 1) * CHUNK)):
            if done[u] or key[u] < cut_key or (key[u] == cut_key and u > cut_row):
                continue
            done[u] = 1
            served[c] += 1
            for j in range(picks.shape[1]):
                f = picks[u, j]
                chosen[u, j] = f
                if f >= 0:
                    counts[c, f] += 1
            for f in range(funds):
                if may_see(tolerance, risk, mask, u, f):
                    sums[c, f] += fixed(revenue[u, f], scale)
    return counts.sum(0), sums.sum(0), served.sum()


def commit(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    key: Any,
    picks: Any,
    done: Any,
    cut: Any,
    shift: int,
    chosen: Any,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Commit the waiting rows at or before `cut` in the order (key falling, row rising).

    Parameters
    ----------
    revenue, tolerance, risk, mask, key, picks
        As in `score_and_pick`.
    done : (U,) uint8, updated
    cut : from `find_cut`
    shift : int
        Fixed-point shift of the sums.
    chosen : (U, K) int16, written
        The allocation.

    Returns
    -------
    (F,) int64 exposures given, (F,) int64 fixed-point sums of E over the committed, eligible customers, and how many
    customers were committed.
    """
    if isinstance(revenue, np.ndarray):
        words = mask_words(mask)
        scale = 2.0**shift
        return _commit(revenue, tolerance, risk, words, key, picks, done, np.uint64(cut[0]), cut[1], scale, chosen)
    from ptofa_gpu.ops import _kernels

    return _kernels.device_module().commit(revenue, tolerance, risk, mask, key, picks, done, cut, shift, chosen)
