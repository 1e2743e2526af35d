"""The fund graph of a plan: who could go from fund a to fund b, and what that changes (twin of kernels/arcs.cu)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CHUNK, CLOSED, EMPTY, holds, mask_words, may_see, n_chunks


@nb.njit(parallel=True, cache=True)
def _count_arcs(tolerance, risk, mask, chosen, threads):
    rows, k = chosen.shape
    funds = risk.size
    part = np.zeros((threads, funds + 1, funds), np.int64)
    for t in nb.prange(threads):
        for u in range(rows * t // threads, rows * (t + 1) // threads):
            empty = False
            for j in range(k):
                a = chosen[u, j]
                if a == CLOSED or (a == EMPTY and empty):
                    continue  # a customer with several empty slots counts once
                if a == EMPTY:
                    empty, a = True, funds
                for b in range(funds):
                    if may_see(tolerance, risk, mask, u, b) and not holds(chosen, u, b):
                        part[t, a, b] += 1
    return part.sum(0)


def count_arcs(tolerance: Any, risk: Any, mask: Any, chosen: Any) -> np.ndarray:
    """How many customers could swap fund a for fund b; row F counts customers with an empty slot that could take b.

    Parameters
    ----------
    tolerance, risk, mask
        As in `score_and_pick`.
    chosen : (U, K) int16
        The allocation; -1 in an empty slot, -2 in a slot that the customer does not have.

    Returns
    -------
    (F + 1, F) int64.
    """
    if not isinstance(chosen, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().count_arcs(tolerance, risk, mask, chosen)
    return _count_arcs(tolerance, risk, mask_words(mask), chosen, nb.get_num_threads())


@nb.njit(inline="always")
def _gain(revenue, u, a, b):
    return np.float64(revenue[u, b]) - (np.float64(revenue[u, a]) if a >= 0 else 0.0)


@nb.njit
def _could(tolerance, risk, mask, chosen, a, b, out):
    """List the customers of a block who hold a and could have b. Every row is written and most overwritten: a branch
    that nobody can predict costs more."""
    n = 0
    level, word, bit = risk[b], b >> 6, np.uint64(b & 63)
    masked = mask.shape[0] > 0
    for u in range(chosen.shape[0]):
        has = False
        for j in range(chosen.shape[1]):
            has |= chosen[u, j] == a
        for j in range(chosen.shape[1]):
            has &= chosen[u, j] != b
        has &= tolerance[u] >= level
        if masked:
            has &= (mask[u, word] >> bit) & np.uint64(1) != np.uint64(0)
        out[n] = u
        n += has
    return n


@nb.njit(parallel=True, cache=True)
def _mark_candidates(revenue, tolerance, risk, mask, chosen, a, b, least, marked):
    rows = marked.size
    found = np.zeros(n_chunks(rows), np.int64)
    for c in nb.prange(found.size):
        lo, hi = c * CHUNK, min(rows, (c + 1) * CHUNK)
        some = np.empty(hi - lo, np.int64)
        marked[lo:hi] = False
        n = 0
        for i in range(_could(tolerance[lo:hi], risk, mask[lo:hi], chosen[lo:hi], a, b, some)):
            u = lo + some[i]
            marked[u] = _gain(revenue, u, a, b) >= least
            n += marked[u]
        found[c] = n
    return found


@nb.njit(parallel=True, cache=True)
def _write_candidates(revenue, marked, found, a, b, rows_out, gain_out):
    for c in nb.prange(found.size):
        at = found[:c].sum()
        for u in range(c * CHUNK, min(marked.size, (c + 1) * CHUNK)):
            if marked[u]:
                if at >= rows_out.size:
                    break
                rows_out[at] = u
                gain_out[at] = _gain(revenue, u, a, b)
                at += 1


def arc_candidates(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    chosen: Any,
    a: int,
    b: int,
    count: int,
    least: float = -np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """The customers who could swap a for b (a = -1: an empty slot for b), and their gain E_b - E_a.

    Parameters
    ----------
    revenue, tolerance, risk, mask, chosen
        As in `count_arcs`; revenue (U, F) float32.
    a, b : int
    count : int
        How many to return at most, the first; `count_arcs` says how many there are.
    least : float
        Leave out who gains less.

    Returns
    -------
    (n,) int64 rows in order, and (n,) float64 gains; NumPy arrays.
    """
    if not isinstance(chosen, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().arc_candidates(revenue, tolerance, risk, mask, chosen, a, b, count, least)
    marked = np.empty(chosen.shape[0], np.bool_)
    found = _mark_candidates(revenue, tolerance, risk, mask_words(mask), chosen, a, b, least, marked)
    n = min(count, int(found.sum()))
    rows, gain = np.empty(n, np.int64), np.empty(n, np.float64)
    _write_candidates(revenue, marked, found, a, b, rows, gain)
    return rows, gain
