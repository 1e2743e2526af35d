"""Exact repair: successive shortest paths on the fund graph, moving customers along the cheapest swaps.

Nodes are the funds and the empty slot (node F). At prices where every customer holds what they like best all swaps cost
>= 0; the few funds over or under their quota are put right along shortest paths (Dijkstra with potentials), which
keeps that true, so the plan is the best one when the last fund is right (Ahuja, Magnanti, Orlin, *Network Flows*,
1993, section 9.7). Costs are whole units: no rounding, no tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import holds, mask_words, may_see, units

FAR = np.int64(1) << np.int64(62)
DONE, WIDEN, STOPPED = 0, 1, 2


@dataclass
class Exchange:
    """What `exchange` did: its status, potentials (F + 1,) in units, and how many paths and moves it took."""

    status: int
    potential: np.ndarray
    paths: int
    moves: int


@nb.njit(inline="always")
def _less(key, row, x, y):
    return key[x] < key[y] or (key[x] == key[y] and row[x] < row[y])


@nb.njit(cache=True)
def _merge(a, b, key, row, left, right, rank, stack):
    """Merge two leftist heaps (Crane 1972; Knuth, TAOCP 3, 5.2.3)."""
    n = 0
    while a >= 0 and b >= 0:
        if _less(key, row, b, a):
            a, b = b, a
        stack[n] = a
        n += 1
        a = right[a]
    rest = a if a >= 0 else b
    while n > 0:
        n -= 1
        p = stack[n]
        right[p] = rest
        left_rank = rank[left[p]] if left[p] >= 0 else 0
        rest_rank = rank[rest] if rest >= 0 else 0
        if left_rank < rest_rank:
            left[p], right[p] = right[p], left[p]
            left_rank, rest_rank = rest_rank, left_rank
        rank[p] = rest_rank + 1
        rest = p
    return rest


@nb.njit(cache=True)
def _build(arc, cost, row, order, head, left, right, rank):
    """Heaps from swaps sorted by (arc, cost, row): a sorted list is a leftist heap as it stands."""
    size = head.shape[0]
    previous = -1
    for position in range(order.size - 1, -1, -1):
        e = order[position]
        a, b = arc[e] // size, arc[e] % size
        left[e] = previous if previous >= 0 and arc[previous] == arc[e] else -1
        right[e] = -1
        rank[e] = 1
        head[a, b] = e
        previous = e


@nb.njit(inline="always")
def _is_valid(chosen, u, a, b, funds):
    """Whether customer u still holds a and could have b."""
    return holds(chosen, u, -1 if a == funds else a) and (b == funds or not holds(chosen, u, b))


@nb.njit(cache=True)
def _grown(values, filled):
    out = np.empty(2 * values.size + 1024, values.dtype)
    out[:filled] = values[:filled]
    return out


@nb.njit(inline="always")
def _arc_cost(top, price, slack, a, b, funds):
    """Cost of a -> b: the cheapest customer's swap, or quota that goes unused at the fund's price."""
    cost = top[a, b]
    if a == funds:
        cost = min(cost, price[b])
    elif b == funds and slack[a] > 0:
        cost = min(cost, -price[a])
    return cost


@nb.njit(cache=True)
def _nearest(top, price, slack, imbalance, potential, distance, parent, visited):
    """Dijkstra from every node with too much to the nearest with too little: that node, or -1."""
    size = top.shape[0]
    for v in range(size):
        distance[v] = 0 if imbalance[v] > 0 else FAR
        parent[v] = -1
        visited[v] = False
    while True:
        a = -1
        for v in range(size):
            if not visited[v] and distance[v] < FAR and (a < 0 or distance[v] < distance[a]):
                a = v
        if a < 0:
            return -1
        visited[a] = True
        if imbalance[a] < 0:
            return a
        for b in range(size):
            if not visited[b]:
                cost = _arc_cost(top, price, slack, a, b, size - 1)
                if cost < FAR:
                    through = distance[a] + cost + potential[a] - potential[b]
                    if through < distance[b]:
                        distance[b] = through
                        parent[b] = a


@nb.njit(cache=True)
def _exchange(
    revenue, tolerance, risk, mask, offset, scale, price, chosen, imbalance, slack, theta, head, key,
    row, left, right, rank, potential, max_paths,
):  # fmt: skip
    """Move customers until every fund is right. Returns status, paths, moves; updates chosen, imbalance, potential."""
    size = head.shape[0]
    funds = size - 1
    used = key.size
    stack = np.empty(256, np.int64)
    top = np.full((size, size), FAR)
    for a in range(size):
        for b in range(size):
            if a != b:
                _clean(chosen, a, b, head, top, key, row, left, right, rank, stack)
    distance, parent, visited = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.bool_)
    path = np.empty(size, np.int64)
    reach = np.int64(0)
    paths = moves = 0
    while (imbalance != 0).any():
        if paths >= max_paths:
            return STOPPED, paths, moves
        sink = _nearest(top, price, slack, imbalance, potential, distance, parent, visited)
        # swaps beyond theta were not collected: a longer path might miss a shorter way through one of them
        if sink < 0 or reach + distance[sink] > theta:
            return WIDEN, paths, moves
        length = distance[sink]
        reach += length
        for v in range(size):
            potential[v] += min(distance[v], length)
        n = 0
        v = sink
        while v >= 0:
            path[n] = v
            n += 1
            v = parent[v]
        source = path[n - 1]
        paths += 1
        again = True
        while again:  # as often as customers are tied along the whole path
            for s in range(n - 1):
                a, b = path[s + 1], path[s]
                if _arc_cost(top, price, slack, a, b, funds) < top[a, b]:
                    slack[b if a == funds else a] += 1 if a == funds else -1
                    continue
                e = head[a, b]
                head[a, b] = _merge(left[e], right[e], key, row, left, right, rank, stack)
                u = row[e]
                moves += 1
                for j in range(chosen.shape[1]):
                    if chosen[u, j] == (-1 if a == funds else a):
                        chosen[u, j] = -1 if b == funds else b
                        break
                if used + 2 * size > key.size:
                    key, row = _grown(key, used), _grown(row, used)
                    left, right, rank = _grown(left, used), _grown(right, used), _grown(rank, used)
                # what the customer could do now: swap b for something, or another fund for a
                r_a = 0.0 if a == funds else units(revenue[u, a], scale) + offset[a]
                r_b = 0.0 if b == funds else units(revenue[u, b], scale) + offset[b]
                for c in range(size):
                    if c == funds:
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
                    if loss <= theta:
                        key[used], row[used] = np.int64(loss), u
                        left[used], right[used], rank[used] = -1, -1, 1
                        head[x, y] = _merge(head[x, y], used, key, row, left, right, rank, stack)
                        used += 1
            imbalance[source] -= 1
            imbalance[sink] += 1
            for s in range(n):
                for w in range(size):
                    if w != path[s]:
                        _clean(chosen, path[s], w, head, top, key, row, left, right, rank, stack)
                        _clean(chosen, w, path[s], head, top, key, row, left, right, rank, stack)
            again = imbalance[source] > 0 and imbalance[sink] < 0
            for s in range(n - 1):
                a, b = path[s + 1], path[s]
                cost = _arc_cost(top, price, slack, a, b, funds)
                again = again and cost < FAR and cost + potential[a] - potential[b] == 0
    return DONE, paths, moves


@nb.njit(cache=True)
def _clean(chosen, a, b, head, top, key, row, left, right, rank, stack):
    """Drop swaps from the top of a -> b that have become impossible."""
    funds = head.shape[0] - 1
    e = head[a, b]
    while e >= 0 and not _is_valid(chosen, row[e], a, b, funds):
        e = _merge(left[e], right[e], key, row, left, right, rank, stack)
    head[a, b] = e
    top[a, b] = key[e] if e >= 0 else FAR


def exchange(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    price: np.ndarray,
    chosen: np.ndarray,
    excess: np.ndarray,
    unused: np.ndarray,
    theta: float,
    swaps: tuple[np.ndarray, np.ndarray, np.ndarray],
    max_paths: int,
) -> Exchange:
    """Put every fund right along shortest paths over `swaps`.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale
        As in `price_pass`.
    price : (F,) int64
        Price of each fund in units, >= 0: what it costs to leave an exposure of it unused.
    chosen : (U, K) int16, updated
        The best choice of every customer at these prices.
    excess : (F,) int64
        Exposures that each fund has too many (negative: too few).
    unused : (F,) int64
        Exposures of each fund that may stay unused, its price being 0; they are taken when that pays.
    theta : float
        All swaps that lose at most theta are in `swaps`; a path longer than that ends with status ``WIDEN``.
    swaps : (arc, cost, row) from `collect_swaps`
    max_paths : int
        Stop after as many paths, with status ``STOPPED``.
    """
    arc, cost, row = swaps
    size = excess.size + 1
    n = arc.size
    head = np.full((size, size), -1, np.int64)
    left, right, rank = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    _build(arc, cost, row, np.lexsort((row, cost, arc)), head, left, right, rank)
    imbalance = np.append(excess, -excess.sum()).astype(np.int64)
    potential = np.zeros(size, np.int64)
    slack = np.append(unused, 0)
    status, paths, moves = _exchange(
        revenue, tolerance, risk, mask_words(mask), offset, scale, price, chosen, imbalance, slack, theta, head, cost,
        row, left, right, rank, potential, max_paths,
    )  # fmt: skip
    return Exchange(status, potential, paths, moves)
