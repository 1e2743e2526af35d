"""Who can take part in an exchange: the cheapest swaps between every pair of funds, and who offers them."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CLOSED, EMPTY, holds, mask_words, may_see, units

FAR = np.int64(1) << np.int64(62)


@nb.njit(inline="always")
def _keep(key, row, most, a, b, loss, u):
    """Put a swap in place of the dearest of the pair: lists are heaps, the dearest (of equals, the last) on top."""
    size = key.shape[2]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            key[a, b, other] > key[a, b, child]
            or (key[a, b, other] == key[a, b, child] and row[a, b, other] > row[a, b, child])
        ):
            child = other
        if key[a, b, child] < loss or (key[a, b, child] == loss and row[a, b, child] < u):
            break
        key[a, b, i], row[a, b, i] = key[a, b, child], row[a, b, child]
        i = child
    key[a, b, i], row[a, b, i] = loss, u
    most[a, b] = min(most[a, b], np.float64(key[a, b, 0]))


@nb.njit(parallel=True, cache=True)
def _cheapest(revenue, tolerance, risk, mask, offset, scale, chosen, first, key, row, most, threads):
    """Add some customers to the lists. Every thread has some of the funds that are given up, and sees everyone.

    `most` is what a swap may lose to be taken in, beside each other in memory: few are.
    """
    size = key.shape[0]
    funds = size - 1
    for t in nb.prange(threads):
        for u in range(revenue.shape[0]):
            empty = False
            for j in range(chosen.shape[1]):
                a = np.int64(chosen[u, j])
                if a == CLOSED or (a == EMPTY and empty):
                    continue
                held = 0.0
                if a == EMPTY:
                    empty = True
                    a = funds
                if a % threads != t:
                    continue
                if a < funds:
                    held = units(revenue[u, a], scale) + offset[a]
                    if held < most[a, funds]:
                        _keep(key, row, most, a, funds, np.int64(held), first[u])
                for b in range(funds):
                    loss = held - (units(revenue[u, b], scale) + offset[b])
                    if loss < most[a, b] and may_see(tolerance, risk, mask, u, b) and not holds(chosen, u, b):
                        _keep(key, row, most, a, b, np.int64(loss), first[u])


@nb.njit(cache=True)
def _listed(key, row):
    """The entries of all lists one after the other: arc, cost, row."""
    size, most = key.shape[0], key.shape[2]
    n = 0
    for a in range(size):
        for b in range(size):
            for j in range(most):
                n += key[a, b, j] < FAR
    arc, cost, rows = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    n = 0
    for a in range(size):
        for b in range(size):
            for j in range(most):
                if key[a, b, j] < FAR:
                    arc[n], cost[n], rows[n] = a * size + b, key[a, b, j], row[a, b, j]
                    n += 1
    return arc, cost, rows


class Cheapest:
    """The `most` cheapest swaps of every pair of funds, over blocks of customers that come one after the other.

    Ties go to the lower row, so the blocks do not show in the result.
    """

    def __init__(self, funds: int, most: int, theta: float):
        size = funds + 1
        self.theta, self.size = theta, size
        self.key = np.full((size, size, most), FAR)
        self.row = np.full((size, size, most), -1, np.int64)
        self._most = np.full((size, size), theta + 1.0)  # losses are whole

    def add(
        self,
        revenue: Any,
        tolerance: Any,
        risk: Any,
        mask: Any,
        offset: np.ndarray,
        scale: float,
        chosen: Any,
        rows: np.ndarray,
    ) -> None:
        """Look at some customers, whose numbers are `rows`; all on the host."""
        data = (revenue, tolerance, risk, mask_words(mask), offset, scale, chosen)
        _cheapest(*data, rows, self.key, self.row, self._most, nb.get_num_threads())

    def swaps(self) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
        """(arc, cost, row), and (F + 1, F + 1) what any other swap costs at least."""
        bound = self.key[:, :, 0].copy()  # a full list: the others are no cheaper than its dearest
        if self.theta < FAR:
            np.minimum(bound, np.int64(self.theta), out=bound)
        return _listed(self.key, self.row), bound


def most_swaps(funds: int, rows: int, wrong: int) -> int:
    """How many swaps of a pair are kept.

    Not fewer than four, and twice as many as there are exposures to put right, for all of them may need the same pair;
    so long as the lists of all pairs stay small, in themselves or beside what is known of `rows` customers.
    """
    pairs = (funds + 1) ** 2
    return max(4, min(2 * wrong + 4, max(min(256, (1 << 22) // pairs), rows // 4 // pairs)))
