"""Passes over customers and walks on the fund graph that :mod:`ptofa_gpu.allocation.certificate` is made of.

The passes run in parallel over rows. What they combine across rows are minima (order-free) or nothing at all, so the
number of threads never shows in a result.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ptofa_gpu.ops._rows import EMPTY

# Chunks of rows with a private minimum each; only load balance depends on it.
_CHUNKS = 64


@njit(parallel=True, cache=True)
def _swap_minima(revenue: np.ndarray, eligible: np.ndarray, plan: np.ndarray, chunks: int) -> np.ndarray:
    rows, n = revenue.shape
    k = plan.shape[1]
    out = np.full((chunks, n + 1, n + 1), np.inf)
    for c in prange(chunks):
        low = out[c]
        held = np.zeros(n, np.bool_)
        for u in range(rows * c // chunks, rows * (c + 1) // chunks):
            empty = False
            for s in range(k):
                if plan[u, s] >= 0:
                    held[plan[u, s]] = True
                empty = empty or plan[u, s] == EMPTY
            for s in range(k):
                a = plan[u, s]
                if a < 0:
                    continue
                mine = np.float64(revenue[u, a])
                low[a, n] = min(low[a, n], mine)
                for b in range(n):
                    if eligible[u, b] and not held[b]:
                        low[a, b] = min(low[a, b], mine - np.float64(revenue[u, b]))
            if empty:
                for b in range(n):
                    if eligible[u, b] and not held[b]:
                        low[n, b] = min(low[n, b], -np.float64(revenue[u, b]))
            for s in range(k):
                if plan[u, s] >= 0:
                    held[plan[u, s]] = False
    return out


def cheapest_swaps(revenue: np.ndarray, eligible: np.ndarray, plan: np.ndarray, arcs: np.ndarray) -> None:
    """Lower `arcs[:F+1, :F+1]` to the cheapest swaps among these customers."""
    n = revenue.shape[1]
    # the private minima stay small beside the rows even with hundreds of funds
    chunks = max(1, min(_CHUNKS, len(revenue), (1 << 22) // (n + 1) ** 2))
    low = _swap_minima(revenue, eligible, plan, chunks).min(axis=0)
    np.minimum(arcs[: n + 1, : n + 1], low, out=arcs[: n + 1, : n + 1])


@njit
def _difference(a, b):
    """a - b rounded, and what rounding took off (Knuth, The Art of Computer Programming 2, 4.2.2, Theorem B)."""
    x = a - b
    less = x - a
    return x, (a - (x - less)) - (b + less)


@njit(parallel=True, cache=True)
def best_reduced(
    revenue: np.ndarray, eligible: np.ndarray, price: np.ndarray, most: int, slots: np.ndarray, full: bool
) -> np.ndarray:
    """(rows, 2) sums of each customer's largest E - price, as many as `slots` says (`most` where that has no entries);
    without `full` only positive ones are taken. Differences are rounded up; each sum is a rounded one, and how far
    below the exact one it may be: nothing where nothing was rounded."""
    rows, n = revenue.shape
    out = np.zeros((rows, 2))
    for u in prange(rows):
        k = slots[u] if slots.size else most
        if k == 0:
            continue
        if k == 1:
            single = -np.inf
            for f in range(n):
                if eligible[u, f]:
                    x, error = _difference(np.float64(revenue[u, f]), price[f])
                    single = max(single, np.nextafter(x, np.inf) if error > 0.0 else x)
            if single > -np.inf and (full or single > 0.0):
                out[u, 0] = single
            continue
        top = np.full(k, -np.inf)  # descending
        for f in range(n):
            if not eligible[u, f]:
                continue
            x, error = _difference(np.float64(revenue[u, f]), price[f])
            if error > 0.0:
                x = np.nextafter(x, np.inf)
            if x > top[k - 1] and (full or x > 0.0):
                j = k - 1
                while j > 0 and top[j - 1] < x:
                    top[j] = top[j - 1]
                    j -= 1
                top[j] = x
        total, slack = 0.0, 0.0
        for j in range(k):
            if top[j] > -np.inf:
                total, error = _difference(total, -top[j])
                slack += abs(error)
        out[u, 0], out[u, 1] = total, slack * (1.0 + 2.0**-40)
    return out


@njit(parallel=True, cache=True)
def _slackness(revenue, eligible, plan, price, worst, best, spare, held_at, free_at):
    rows, n = revenue.shape
    k = plan.shape[1]
    for u in prange(rows):
        for f in range(n):
            x = np.float64(revenue[u, f]) - price[f]
            held = False
            for s in range(k):
                held = held or plan[u, s] == f
            if held:
                if x < worst[u]:
                    worst[u], held_at[u] = x, f
            elif eligible[u, f] and x > best[u]:
                best[u], free_at[u] = x, f
        for s in range(k):
            spare[u] = spare[u] or plan[u, s] == EMPTY


def slackness(
    revenue: np.ndarray, eligible: np.ndarray, plan: np.ndarray, price: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per customer: the least E - price they have, the largest they could have, whether a slot is empty, which funds.

    inf and -inf stand for none, their fund is then -1.
    """
    rows = len(revenue)
    worst, best = np.full(rows, np.inf), np.full(rows, -np.inf)
    spare, held, free = np.zeros(rows, np.bool_), np.full(rows, -1), np.full(rows, -1)
    _slackness(revenue, eligible, plan, price, worst, best, spare, held, free)
    return worst, best, spare, held, free


# -- the graph: dense (N, N) arc costs, inf where there is no arc ----------------------------------------------------
def worst_cycle(arcs: np.ndarray) -> tuple[list[int] | None, float]:
    """A cycle of least mean cost and that mean, (None, inf) when there is no cycle (Karp, Discrete Math. 23, 1978).

    The minimum over walks is followed from a start that reaches every node at cost 0, so the graph need not be
    connected. Ties go to the lowest node.
    """
    n = len(arcs)
    # walk[j, v]: cheapest walk of exactly j arcs that ends in v
    walk = np.full((n + 1, n), np.inf)
    back = np.full((n + 1, n), -1)
    walk[0] = 0.0
    for j in range(1, n + 1):
        through = walk[j - 1][:, None] + arcs
        back[j] = through.argmin(axis=0)
        walk[j] = through[back[j], np.arange(n)]
    ends = np.flatnonzero(np.isfinite(walk[n]))
    if not ends.size:
        return None, np.inf
    means = (walk[n, ends] - walk[:n, ends]) / (n - np.arange(n))[:, None]
    # a walk of j arcs that ends here may not exist: inf - the difference is then -inf and does not count
    worst = np.where(np.isfinite(walk[:n, ends]), means, -np.inf).max(axis=0)
    v = int(ends[worst.argmin()])
    trail = [v]
    for j in range(n, 0, -1):
        trail.append(int(back[j, trail[-1]]))
    trail.reverse()
    return _cheapest_loop(trail, arcs)


def _cheapest_loop(trail: list[int], arcs: np.ndarray) -> tuple[list[int], float]:
    """Of the simple cycles that a walk is made of, the one of least mean cost."""
    found: list[tuple[float, list[int]]] = []
    path: list[int] = []
    for v in trail:
        if v in path:
            at = path.index(v)
            loop = path[at:]
            cost = sum(float(arcs[a, b]) for a, b in zip(loop, loop[1:] + loop[:1], strict=True))
            found.append((cost / len(loop), loop))
            del path[at:]
        path.append(v)
    mean, loop = min(found, key=lambda pair: pair[0])
    turn = loop.index(min(loop))
    return loop[turn:] + loop[:turn], mean


def settle(arcs: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Cheapest costs of reaching every node when node v can be entered at cost start[v] (Bellman and Ford).

    As many rounds as there are nodes at most: where rounding leaves a cycle a hair below 0, it is not run around for
    ever.
    """
    cost = start
    for _ in range(len(arcs)):
        lower = np.minimum(cost, (cost[:, None] + arcs).min(axis=0))
        if np.array_equal(lower, cost):
            break
        cost = lower
    return cost


def shortest_hops(arcs: np.ndarray, start: int, end: int) -> list[int] | None:
    """A path with the fewest arcs, or None when `end` cannot be reached."""
    back = {start: -1}
    layer = [start]
    while layer:
        following = []
        for a in layer:
            for b in np.flatnonzero(np.isfinite(arcs[a])).tolist():
                if b not in back:
                    back[b] = a
                    following.append(b)
        if end in back:
            path = [end]
            while path[-1] != start:
                path.append(back[path[-1]])
            return path[::-1]
        layer = following
    return None


def potentials(arcs: np.ndarray, source: int) -> np.ndarray:
    """Node potentials phi with phi[b] <= phi[a] + arcs[a, b]: distances from `source`, made whole.

    Nodes that `source` does not reach get the least potential that their paths into those with one allow; nodes without
    such paths the largest that paths into them allow. What hangs together with none of these starts from its lowest
    node, at 0. No cycle may be negative.
    """
    start = np.full(len(arcs), np.inf)
    start[source] = 0.0
    phi = settle(arcs, start)
    while not (known := np.isfinite(phi)).all():
        # What has a potential is closed under arcs out of it, so nothing found now bears on it. phi[a] >= phi[b] -
        # arcs[a, b] is the condition of `settle` on the reversed graph, for -phi.
        low = -settle(np.ascontiguousarray(arcs.T), np.where(known, -phi, np.inf))
        found = ~known & np.isfinite(low)
        if not found.any():
            seed = int(np.flatnonzero(~known)[0])
            found[seed], low[seed] = True, 0.0
        phi[found] = low[found]
        known |= found
        phi = np.where(known, phi, settle(arcs, phi))
    return phi
