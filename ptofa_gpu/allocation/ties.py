"""Ties in bulk: customers who are indifferent between the same funds are one group, and a flow decides for all of them.

At the right prices many customers of a model with few distinct outputs have several choices that are equally good.
Those who have the same ones, and as many of them to make, are alike: the groups and the funds are a small flow problem,
and inside a group any numbers of customers a fund can be dealt out in turn, nobody getting a fund twice.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CLOSED, EMPTY, holds, mask_words, may_see, units

#: More kinds of customers than this are not worth a flow: the exchange takes them one by one.
MOST_GROUPS = 1 << 15


@nb.njit(parallel=True, cache=True)
def _patterns(revenue, tolerance, risk, mask, offset, scale, chosen, words, picks):
    """Bits of the funds (bit F: the empty slot) that are as good as the customer's worst choice; how many they hold."""
    funds = revenue.shape[1]
    for u in nb.prange(revenue.shape[0]):
        worst = np.inf
        for j in range(chosen.shape[1]):
            f = chosen[u, j]
            if f == EMPTY:
                worst = min(worst, 0.0)
            elif f != CLOSED:
                worst = min(worst, units(revenue[u, f], scale) + offset[f])
        held = 0
        for f in range(funds):
            if may_see(tolerance, risk, mask, u, f) and units(revenue[u, f], scale) + offset[f] == worst:
                words[u, f >> 6] |= np.uint64(1) << np.uint64(f & 63)
                held += holds(chosen, u, f)
        if worst == 0.0:  # several empty slots are several choices of the same
            words[u, funds >> 6] |= np.uint64(1) << np.uint64(funds & 63)
            for j in range(chosen.shape[1]):
                held += chosen[u, j] == EMPTY
        picks[u] = held


@nb.njit(cache=True)
def _number(words, picks, table, first, known, out):
    """Number the customers' kinds in order of appearance (open addressing); -1 when the table is full."""
    size, n = table.size, known
    width = words.shape[1]
    for u in range(words.shape[0]):
        h = np.uint64(picks[u]) * np.uint64(0x9E3779B97F4A7C15)
        for w in range(width):
            h = (h ^ words[u, w]) * np.uint64(0xFF51AFD7ED558CCD)
            h ^= h >> np.uint64(33)
        at = np.int64(h % np.uint64(size))
        while True:
            g = table[at]
            if g < 0:
                if n == first.shape[0]:
                    return -1
                table[at] = n
                first[n, :width] = words[u]
                first[n, width] = np.uint64(picks[u])
                out[u] = n
                n += 1
                break
            same = first[g, width] == np.uint64(picks[u])
            for w in range(width):
                same = same and first[g, w] == words[u, w]
            if same:
                out[u] = g
                break
            at = (at + 1) % size
    return n


class Groups:
    """Tied customers by kind, over blocks that come one after the other.

    Parameters
    ----------
    funds : int
    """

    def __init__(self, funds: int):
        self.funds = funds
        width = (funds >> 6) + 1
        self._first = np.zeros((MOST_GROUPS, width + 1), np.uint64)
        self._table = np.full(4 * MOST_GROUPS, -1, np.int64)
        self.known = 0
        self.rows: list[np.ndarray] = []
        self.kinds: list[np.ndarray] = []

    def add(
        self,
        rows: np.ndarray,
        revenue: Any,
        tolerance: Any,
        risk: Any,
        mask: Any,
        offset: np.ndarray,
        scale: float,
        chosen: np.ndarray,
    ) -> bool:
        """Take in customers (numbers `rows`, the other arrays are theirs); False when there are too many kinds."""
        words = np.zeros((rows.size, self._first.shape[1] - 1), np.uint64)
        picks, kinds = np.empty(rows.size, np.int64), np.empty(rows.size, np.int32)
        _patterns(revenue, tolerance, risk, mask_words(mask), offset, scale, chosen, words, picks)
        known = _number(words, picks, self._table, self._first, self.known, kinds)
        if known < 0:
            return False
        self.known = known
        self.rows.append(rows)
        self.kinds.append(kinds)
        return True

    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(G, F + 1) bool which choices a kind has, (G,) how many of them a customer holds, (G,) customers."""
        words = self._first[: self.known, :-1]
        node = np.arange(self.funds + 1)
        bits = (words[:, node >> 6] >> (node & 63).astype(np.uint64)) & np.uint64(1)
        customers = np.bincount(np.concatenate(self.kinds), minlength=self.known)
        return bits.astype(bool), self._first[: self.known, -1].astype(np.int64), customers


def share_out(
    has: np.ndarray, picks: np.ndarray, customers: np.ndarray, must: np.ndarray, may: np.ndarray
) -> np.ndarray:
    """How often each kind of customer takes each of its choices: (G, F + 1) int64 with rows of sum picks x customers.

    Parameters
    ----------
    has : (G, F + 1) bool
    picks, customers : (G,) int64
    must : (F + 1,) int64
        Exposures to be filled first; a choice can be taken once a customer, the empty slot any number of times.
    may : (F + 1,) int64
        Room beyond that. What then still has no place goes anywhere, to be put right by the exchange.
    """
    kinds, size = has.shape
    supply = picks * customers
    most = np.where(has, customers[:, None], 0)
    most[:, -1] = np.where(has[:, -1], supply, 0)
    out = np.zeros((kinds, size), np.int64)
    for room in (must, may):
        left = supply - out.sum(1)
        if left.any() and room.any():
            out += _flow(left, most - out, np.maximum(room, 0))
    left = supply - out.sum(1)
    for g in np.flatnonzero(left):  # over some quota whatever is done: by the lower fund
        for f in np.flatnonzero(most[g] > out[g]):
            more = min(int(left[g]), int(most[g, f] - out[g, f]))
            out[g, f] += more
            left[g] -= more
    return out


def _flow(supply: np.ndarray, between: np.ndarray, room: np.ndarray) -> np.ndarray:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_flow

    kinds, size = between.shape
    source, sink = kinds + size, kinds + size + 1
    g, f = np.nonzero(between)
    from_node = np.concatenate([np.full(kinds, source), g, kinds + np.arange(size)])
    to_node = np.concatenate([np.arange(kinds), kinds + f, np.full(size, sink)])
    capacity = np.concatenate([supply, between[g, f], room])
    graph = csr_matrix((np.minimum(capacity, 2**31 - 1).astype(np.int32), (from_node, to_node)), shape=(sink + 1,) * 2)
    flow = maximum_flow(graph, source, sink).flow
    return np.maximum(flow[:kinds, kinds : kinds + size].toarray(), 0).astype(np.int64)


@nb.njit(cache=True)
def _deal(kinds, share, has, held, at, customers):
    """Deal each kind's share out in turn: fund by fund around the circle of its customers."""
    funds = share.shape[1] - 1
    k = held.shape[1]
    for i in range(kinds.size):
        g = kinds[i]
        position, n = at[g], customers[g]
        at[g] += 1
        # forget the tied choices that are held, then put in those that are dealt
        for j in range(k):
            f = held[i, j]
            if f >= 0 and has[g, f]:
                held[i, j] = EMPTY
        start = np.int64(0)
        for f in range(funds):
            count = share[g, f]
            # fund f goes to the customers start .. start + count - 1, counted round
            if count > 0:
                if (position - start) % n < count:
                    for j in range(k):
                        if held[i, j] == EMPTY:
                            held[i, j] = f
                            break
                start = (start + count) % n


def deal(groups: Groups, share: np.ndarray, rows: np.ndarray, kinds: np.ndarray, held: np.ndarray) -> None:
    """Give the customers in `groups` the choices of `share`: `held` (n, K) int16 is updated, in order of the rows."""
    has, _, customers = groups.table()
    _deal(kinds, share, has, held, np.zeros(groups.known, np.int64), customers)
