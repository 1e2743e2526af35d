"""Who can take part in an exchange: the cheapest swaps between pairs of funds, and who offers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.allocation._moves import FAR
from ptofa_gpu.ops._rows import CLOSED, EMPTY, holds, mask_words, may_see, units

#: Swaps of an arc, and of all arcs, that lists may hold in any case; for how many slots there may be one in them.
LONGEST, LISTED, EACH = 16, 1 << 20, 16
#: Threads, or teams of them, that look at different customers, each with lists of its own.
GROUPS = 2


@nb.njit(cache=True)
def _select(key, row, n, kept):
    """Bring the `kept` least of n entries to the front, the greatest of them last; of equals the first rows."""
    lo, hi, at = 0, n - 1, kept - 1
    while lo < hi:
        middle = (lo + hi) >> 1
        k, r = key[middle], row[middle]
        i, j = lo, hi
        while i <= j:
            while key[i] < k or (key[i] == k and row[i] < r):
                i += 1
            while key[j] > k or (key[j] == k and row[j] > r):
                j -= 1
            if i <= j:
                key[i], key[j] = key[j], key[i]
                row[i], row[j] = row[j], row[i]
                i, j = i + 1, j - 1
        if at <= j:
            hi = j
        elif at >= i:
            lo = i
        else:
            return


@nb.njit(parallel=True, cache=True)
def _cheapest(
    revenue, tolerance, risk, mask, offset, scale, chosen, first, begin, to, after, after_row, kept, room, start, key,
    row, count, most, teams,
):  # fmt: skip
    """Add some customers to the lists. Every group of threads has some of the customers, with lists of its own, and in
    it every thread some of the funds that are given up.

    The lists begin[a] .. begin[a + 1] are of swaps a -> to[i] that come after (after[i], after_row[i]). `most` is what
    a swap may lose to be taken in, beside each other in memory: few are.
    """
    funds, groups, n_rows = begin.size - 2, count.shape[0], revenue.shape[0]
    team_of = np.arange(funds + 1) % teams
    team_of[begin[1:] == begin[:-1]] = -1
    for thread in nb.prange(groups * teams):
        group, team = thread % groups, thread // groups
        for u in range(n_rows * group // groups, n_rows * (group + 1) // groups):
            empty = False
            for j in range(chosen.shape[1]):
                a = np.int64(chosen[u, j])
                if a == CLOSED or (a == EMPTY and empty):
                    continue
                held = 0.0
                if a == EMPTY:
                    empty = True
                    a = funds
                if team_of[a] != team:
                    continue
                if a < funds:
                    held = units(revenue[u, a], scale) + offset[a]
                for i in range(begin[a], begin[a + 1]):
                    b = to[i]
                    loss = held
                    if b < funds:
                        loss -= units(revenue[u, b], scale) + offset[b]
                    if loss >= most[group, i] or loss < after[i] or (loss == after[i] and first[u] <= after_row[i]):
                        continue
                    if b == funds or (may_see(tolerance, risk, mask, u, b) and not holds(chosen, u, b)):
                        n, at = count[group, i], start[i] + group * room[i]
                        key[at + n], row[at + n] = np.int64(loss), first[u]
                        count[group, i] = n + 1
                        if n + 1 == room[i]:
                            _select(key[at : at + n + 1], row[at : at + n + 1], n + 1, kept[i])
                            count[group, i], most[group, i] = kept[i], key[at + kept[i] - 1]


@nb.njit(cache=True)
def _listed(arcs, kept, room, start, key, row, count, rows):
    """The entries of all lists one after the other, and what comes after them."""
    bound, last, groups = np.full(arcs.size, FAR), np.full(arcs.size, rows), count.shape[0]
    total = 0
    for i in range(arcs.size):
        at, n = start[i], count[0, i]
        for group in range(1, groups):
            for j in range(at + group * room[i], at + group * room[i] + count[group, i]):
                key[at + n], row[at + n] = key[j], row[j]
                n += 1
        if n >= kept[i]:  # the others are no cheaper than the dearest
            _select(key[at : at + n], row[at : at + n], n, kept[i])
            n = kept[i]
            bound[i], last[i] = key[at + n - 1], row[at + n - 1]
        count[0, i] = n
        total += n
    arc, cost, rows_of = np.empty(total, np.int32), np.empty(total, np.int64), np.empty(total, np.int32)
    total = 0
    for i in range(arcs.size):
        for j in range(start[i], start[i] + count[0, i]):
            arc[total], cost[total], rows_of[total] = arcs[i], key[j], row[j]
            total += 1
    return (arc, cost, rows_of), bound, last


@dataclass
class Found:
    """Swaps, and what is known of those that are not among them.

    Every other swap of arc ``arcs[i]`` = a (F + 1) + b costs more than ``bound[i]``, or as much and its customer comes
    after ``last[i]``. Where there is no other swap the bound is `FAR`.
    """

    arcs: np.ndarray
    bound: np.ndarray
    last: np.ndarray
    swaps: tuple[np.ndarray, np.ndarray, np.ndarray]  # arc (n,) int32, cost (n,) int64, row (n,) int32


class Cheapest:
    """The cheapest swaps of some pairs of funds, over blocks of customers that come one after the other.

    Ties go to the lower row, so the blocks do not show in the result.

    Parameters
    ----------
    funds : int
    arcs : (n,) int64
        a (F + 1) + b, rising.
    sizes : (n,) int64
        Swaps kept of each.
    theta : float or (n,) float64
        What a swap may lose, of each.
    after, after_row : (n,) int64, optional
        Only swaps are wanted that cost more than `after`, or as much and come after customer `after_row`.
    """

    def __init__(
        self,
        funds: int,
        arcs: np.ndarray,
        sizes: np.ndarray,
        theta: float | np.ndarray = float(FAR),
        after: np.ndarray | None = None,
        after_row: np.ndarray | None = None,
    ):
        n, size = arcs.size, funds + 1
        self.arcs, self._theta = arcs, np.broadcast_to(np.minimum(theta, float(FAR)), n)
        self._begin, self._to = np.searchsorted(arcs, np.arange(size + 1) * size), arcs % size
        self._after = np.full(n, -1.0) if after is None else after.astype(np.float64)  # as losses are
        self._after_row = np.full(n, -1, np.int64) if after_row is None else after_row
        groups = min(GROUPS, nb.get_num_threads())
        self._kept, self._count = sizes, np.zeros((groups, n), np.int64)
        self._room = sizes + np.maximum(sizes // 2, 1)
        ends = np.cumsum(groups * self._room)
        self._start, total = ends - groups * self._room, int(ends[-1]) if n else 0
        self._key, self._row = np.empty(total, np.int64), np.empty(total, np.int32)
        self._most = np.tile(self._theta + 1.0, (groups, 1))  # losses are whole

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
        _cheapest(
            revenue, tolerance, risk, mask_words(mask), offset, scale, chosen, rows, self._begin, self._to, self._after,
            self._after_row, self._kept, self._room, self._start, self._key, self._row, self._count, self._most,
            max(1, nb.get_num_threads() // len(self._count)),
        )  # fmt: skip

    def found(self, rows: int) -> Found:
        """The swaps kept, of `rows` customers in all."""
        (arc, cost, row), bound, last = _listed(
            self.arcs, self._kept, self._room, self._start, self._key, self._row, self._count, rows
        )
        np.minimum(bound, self._theta.astype(np.int64), out=bound)
        return Found(self.arcs, bound, last, (arc, cost, row))


def list_sizes(arcs: np.ndarray, urgent: np.ndarray, slots: int, wrong: int, funds: int) -> np.ndarray:
    """(n,) int64, how many swaps are kept of each of some arcs.

    Not fewer than four, and twice as many as there are exposures to put right, for all of them may need the same arc;
    so long as all lists stay small, in themselves or beside what is known of the customers' `slots`. Half the room is
    for the `urgent` ones, so long as an arc's share is not more than most who hold one of the `funds` could offer.
    """
    n, room = max(arcs.size, 1), max(min(LONGEST * arcs.size, LISTED), slots // EACH)
    first, most = np.isin(arcs, urgent, assume_unique=True), max(4, 2 * wrong + 4)
    n_first = int(first.sum())
    share = min(room // (2 * n_first), 3 * slots // (4 * funds), most) if n_first else 0
    return np.clip(np.where(first, share, (room - n_first * share) // n), 4, most)
