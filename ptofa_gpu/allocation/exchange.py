"""Exact repair: successive shortest paths on the fund graph, moving customers along the cheapest swaps.

Nodes are the funds and the empty slot (node F). At prices where every customer holds what they like best all swaps cost
>= 0; the few funds over or under their quota are put right along shortest paths (Dijkstra with potentials), which
keeps that true, so the plan is the best one when the last fund is right (Ahuja, Magnanti, Orlin, *Network Flows*,
1993, section 9.7). Costs are whole units: no rounding, no tolerance.

Two things make it quick. Only swaps up to a bound are at hand, and an arc is never taken to cost more than its bound: a
path that rests on a bound is no path, but the prices it gives are still right, and more swaps can be fetched. And one
search serves many funds: paths that share no fund do not touch each other's customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.allocation._heaps import build, grown, merge
from ptofa_gpu.ops._rows import EMPTY, holds, mask_words, may_see, units

FAR = np.int64(1) << np.int64(62)
DONE, WIDEN, STOPPED = 0, 1, 2


@dataclass
class Exchange:
    """What `exchange` did: its status, potentials (F + 1,) in units, and how many paths and moves it took."""

    status: int
    potential: np.ndarray
    paths: int
    moves: int


@dataclass
class Supply:
    """What leaving an exposure of each fund unused costs, in units.

    The first ``free`` exposures left unused cost the fund's price; the rest, down to none at all, its price and
    `low_bonus` (they are the fund's lower bound).
    """

    price: np.ndarray  # (F,) int64
    unused: np.ndarray  # (F,) int64, now
    free: np.ndarray  # (F,) int64
    low_bonus: int


@nb.njit(inline="always")
def _slack_cost(price, unused, free, low_bonus, a, b, funds):
    """Cost of the arc that moves no customer: a = F leaves one more of b unused, b = F uses one more of a."""
    if a == funds:
        return price[b] if unused[b] < free[b] else price[b] + low_bonus
    if b == funds and unused[a] > 0:
        return -price[a] if unused[a] <= free[a] else -(price[a] + low_bonus)
    return FAR


@nb.njit(inline="always")
def _slack_limit(unused, free, a, b, funds):
    """How often the arc that moves no customer can be taken at its cost."""
    if a == funds:
        return free[b] - unused[b] if unused[b] < free[b] else FAR
    return unused[a] if unused[a] <= free[a] else unused[a] - free[a]


@nb.njit(cache=True)
def _search(cost, price, unused, free, low_bonus, imbalance, potential, distance, parent, visited, order):
    """Dijkstra from every node with too much until every node with too little is reached; how many nodes were visited.

    `order` lists them by distance.
    """
    size = cost.shape[0]
    funds = size - 1
    sinks = 0
    for v in range(size):
        distance[v] = 0 if imbalance[v] > 0 else FAR
        parent[v] = -1
        visited[v] = False
        sinks += imbalance[v] < 0
    n = 0
    while sinks > 0:
        a = -1
        for v in range(size):
            if not visited[v] and distance[v] < FAR and (a < 0 or distance[v] < distance[a]):
                a = v
        if a < 0:
            break
        visited[a] = True
        order[n] = a
        n += 1
        sinks -= imbalance[a] < 0
        base = distance[a] + potential[a]
        for b in range(size):
            if not visited[b]:
                c = cost[a, b]
                if a == funds or b == funds:
                    c = min(c, _slack_cost(price, unused, free, low_bonus, a, b, funds))
                if c < FAR and base + c - potential[b] < distance[b]:
                    distance[b] = base + c - potential[b]
                    parent[b] = a
    return n


@nb.njit(inline="always")
def _is_valid(chosen, u, a, b, funds):
    """Whether customer u still holds a and could have b."""
    return holds(chosen, u, -1 if a == funds else a) and (b == funds or not holds(chosen, u, b))


@nb.njit(cache=True)
def _clean(chosen, a, b, head, bound, cost, key, row, left, right, rank, stack):
    """Drop swaps from the top of a -> b that have become impossible, and note what the arc costs at least."""
    funds = head.shape[0] - 1
    e = head[a, b]
    while e >= 0 and not _is_valid(chosen, row[e], a, b, funds):
        e = merge(left[e], right[e], key, row, left, right, rank, stack)
    head[a, b] = e
    cost[a, b] = min(key[e], bound[a, b]) if e >= 0 else bound[a, b]


@nb.njit(inline="always")
def _is_real(cost, head, key, price, unused, free, low_bonus, a, b, funds):
    """Whether the arc's cost is that of a swap at hand or of leaving quota unused, and not a mere bound."""
    if head[a, b] >= 0 and key[head[a, b]] == cost[a, b]:
        return True
    if a != funds and b != funds:
        return False
    return _slack_cost(price, unused, free, low_bonus, a, b, funds) <= cost[a, b]


@nb.njit(cache=True)
def _exchange(
    revenue, tolerance, risk, mask, offset, scale, chosen, imbalance, price, unused, free, low_bonus, bound, head, key,
    row, left, right, rank, used, potential, max_paths,
):  # fmt: skip
    """Move customers until every fund is right. Returns status, paths, moves; updates chosen, imbalance, potential."""
    size = head.shape[0]
    funds = size - 1
    stack = np.empty(256, np.int64)
    cost = np.full((size, size), FAR)
    for a in range(size):
        for b in range(size):
            if a != b:
                _clean(chosen, a, b, head, bound, cost, key, row, left, right, rank, stack)
    distance, parent, visited = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.bool_)
    order, path, touched = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.bool_)
    # customers taken off the heaps together, where each arc's begin, and in which turn a customer was taken last
    batch, begin, seen = np.empty(64, np.int64), np.empty(size + 1, np.int64), np.zeros(chosen.shape[0], np.int64)
    paths = moves = turn = 0
    while (imbalance != 0).any():
        if paths >= max_paths:
            return STOPPED, paths, moves
        found = _search(cost, price, unused, free, low_bonus, imbalance, potential, distance, parent, visited, order)
        if found == 0 or imbalance[order[found - 1]] >= 0:
            reach = FAR  # some fund cannot be reached at all: the prices of those that can are still right
            for i in range(found):
                if imbalance[order[i]] < 0:
                    reach = distance[order[i]]
            if reach == FAR:
                return WIDEN, paths, moves
        else:
            reach = distance[order[found - 1]]
        for v in range(size):
            potential[v] += min(distance[v], reach)
        touched[:] = False
        before = paths
        for i in range(found):
            sink = order[i]
            if imbalance[sink] >= 0 or distance[sink] > reach:
                continue
            n = 0
            v = sink
            free_path = True
            while v >= 0 and free_path:
                free_path = not touched[v]
                path[n] = v
                n += 1
                v = parent[v]
            for s in range(n - 1):
                if not free_path:
                    break
                free_path = _is_real(cost, head, key, price, unused, free, low_bonus, path[s + 1], path[s], funds)
            if not free_path:
                continue
            source = path[n - 1]
            for s in range(n):
                touched[path[s]] = True
            paths += 1
            again = True
            while again:  # as often as customers are tied along the whole path
                # take them all off the heaps first: those of the arc with the fewest say how many move
                amount, taken = min(imbalance[source], -imbalance[sink]), 0
                for s in range(n - 1):
                    a, b = path[s + 1], path[s]
                    begin[s] = taken
                    if (a == funds or b == funds) and (
                        _slack_cost(price, unused, free, low_bonus, a, b, funds) + potential[a] == potential[b]
                    ):
                        amount = min(amount, _slack_limit(unused, free, a, b, funds))
                        continue
                    turn += 1
                    e = head[a, b]
                    while taken - begin[s] < amount and e >= 0 and key[e] == cost[a, b]:
                        head[a, b] = merge(left[e], right[e], key, row, left, right, rank, stack)
                        if seen[row[e]] != turn and _is_valid(chosen, row[e], a, b, funds):
                            seen[row[e]] = turn
                            if taken == batch.size:
                                batch = grown(batch, taken)
                            batch[taken] = e
                            taken += 1
                        e = head[a, b]
                    amount = min(amount, taken - begin[s])
                begin[n - 1] = taken
                for s in range(n - 1):
                    a, b = path[s + 1], path[s]
                    if begin[s + 1] == begin[s]:
                        unused[b if a == funds else a] += amount if a == funds else -amount
                        continue
                    for i in range(begin[s] + amount, begin[s + 1]):
                        e = batch[i]
                        left[e], right[e], rank[e] = -1, -1, 1
                        head[a, b] = merge(head[a, b], e, key, row, left, right, rank, stack)
                    for i in range(begin[s], begin[s] + amount):
                        u = row[batch[i]]
                        for j in range(chosen.shape[1]):
                            if chosen[u, j] == (-1 if a == funds else a):
                                chosen[u, j] = -1 if b == funds else b
                                break
                        if used + 2 * size > key.size:
                            key, row = grown(key, used), grown(row, used)
                            left, right, rank = grown(left, used), grown(right, used), grown(rank, used)
                        # what the customer could do now: swap b for something; another fund, or an empty slot, for a
                        r_a = 0.0 if a == funds else units(revenue[u, a], scale) + offset[a]
                        r_b = 0.0 if b == funds else units(revenue[u, b], scale) + offset[b]
                        refill = a != funds and b != funds and holds(chosen, u, EMPTY)
                        for c in range(size + refill):
                            if c == size:
                                loss, x, y = -r_a, funds, a
                            elif c == funds:
                                if b == funds:
                                    continue
                                loss, x, y = r_b, b, funds
                            elif not may_see(tolerance, risk, mask, u, c):
                                continue
                            elif holds(chosen, u, c):
                                if c == b or a == funds:
                                    continue
                                loss, x, y = units(revenue[u, c], scale) + offset[c] - r_a, c, a
                            else:
                                loss, x, y = r_b - (units(revenue[u, c], scale) + offset[c]), b, c
                            if loss < bound[x, y]:
                                key[used], row[used] = np.int64(loss), u
                                left[used], right[used], rank[used] = -1, -1, 1
                                head[x, y] = merge(head[x, y], used, key, row, left, right, rank, stack)
                                used += 1
                    moves += amount
                imbalance[source] -= amount
                imbalance[sink] += amount
                for s in range(n):
                    for w in range(size):
                        if w != path[s]:
                            _clean(chosen, path[s], w, head, bound, cost, key, row, left, right, rank, stack)
                            _clean(chosen, w, path[s], head, bound, cost, key, row, left, right, rank, stack)
                again = imbalance[source] > 0 and imbalance[sink] < 0
                for s in range(n - 1):
                    a, b = path[s + 1], path[s]
                    c = cost[a, b]
                    if a == funds or b == funds:
                        c = min(c, _slack_cost(price, unused, free, low_bonus, a, b, funds))
                    again = again and c < FAR and c + potential[a] - potential[b] == 0
                    again = again and _is_real(cost, head, key, price, unused, free, low_bonus, a, b, funds)
        if paths == before:
            return WIDEN, paths, moves
    return DONE, paths, moves


def exchange(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    chosen: np.ndarray,
    imbalance: np.ndarray,
    supply: Supply,
    bound: np.ndarray,
    swaps: tuple[np.ndarray, np.ndarray, np.ndarray],
    max_paths: int,
) -> Exchange:
    """Put every fund right along shortest paths over `swaps`.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale
        As in `price_pass`.
    chosen : (n, K) int16, updated
        The best choice of these customers at these prices.
    imbalance : (F + 1,) int64
        Exposures that each fund has too many (negative: too few), and last slots that stay empty too many.
    supply : Supply
        Its `unused` is updated.
    bound : (F + 1, F + 1) int64
        Every swap a -> b that costs less than bound[a, b] is in `swaps`.
    swaps : (arc, cost, row)
        From `candidates`; rows count within these customers.
    max_paths : int
        Stop after about as many paths, with status ``STOPPED``.

    Returns
    -------
    Exchange
        ``WIDEN`` where every path left rests on a bound.
    """
    size = imbalance.size
    arc, cost, row = swaps
    heaps = build(arc, cost, row, size, max(1024, arc.size // 4))
    potential = np.zeros(size, np.int64)
    status, paths, moves = _exchange(
        revenue, tolerance, risk, mask_words(mask), offset, scale, chosen, imbalance.astype(np.int64), supply.price,
        supply.unused, supply.free, np.int64(supply.low_bonus), bound, *heaps, arc.size, potential, max_paths,
    )  # fmt: skip
    return Exchange(status, potential, paths, moves)
