"""Passes over customers and walks on the fund graph that :mod:`ptofa_gpu.allocation.certificate` is made of.

The passes (kernels/cpu/proof.cpp) share rows out between threads. What they combine across rows are minima
(order-free) or nothing at all, so the number of threads never shows in a result.
"""

from __future__ import annotations

import numpy as np

from ptofa_gpu.ops._entry import Entry, pieces, threads_for

_ARCS = Entry(
    "residual_arcs",
    "in_f32 revenue; in_u8 eligible; in_i32 plan; i64 rows; i64 funds; i64 k; i64 nodes; i64 threads; out_f64 arcs",
)
_BEST = Entry(
    "best_reduced",
    "in_f32 revenue; in_u8 eligible; in_f64 price; in_i8 slots; i64 rows; i64 funds; i64 k; i64 full; i64 threads; "
    "out_f64 sums",
)
_SLACKNESS = Entry(
    "slackness",
    "in_f32 revenue; in_u8 eligible; in_i32 plan; in_f64 price; i64 rows; i64 funds; i64 k; i64 threads; "
    "out_f64 worst; out_f64 best; out_u8 spare; out_i64 held; out_i64 other",
)
#: Numbers in the arcs that each thread has for itself, all together.
_ARCS_AT_ONCE = 1 << 22


def cheapest_swaps(revenue: np.ndarray, eligible: np.ndarray, plan: np.ndarray, arcs: np.ndarray) -> None:
    """Lower `arcs[:F+1, :F+1]` to the cheapest swaps among these customers."""
    rows, n = revenue.shape
    # what each thread has for itself stays small beside the rows even with hundreds of funds
    most = max(1, _ARCS_AT_ONCE // (n + 1) ** 2)
    for lo, hi in pieces(rows, n, plan.shape[1] + 1):
        _ARCS(
            revenue=revenue[lo:hi], eligible=eligible[lo:hi].view(np.uint8), plan=plan[lo:hi], rows=hi - lo, funds=n,
            k=plan.shape[1], nodes=len(arcs), threads=min(most, threads_for((hi - lo) * n)), arcs=arcs,
        )  # fmt: skip


def best_reduced(
    revenue: np.ndarray, eligible: np.ndarray, price: np.ndarray, most: int, slots: np.ndarray | None, full: bool
) -> np.ndarray:
    """(rows, 2) sums of each customer's largest E - price, as many as `slots` says (`most` where it is None); without
    `full` only positive ones are taken. Differences are rounded up; each sum is a rounded one, and how far below the
    exact one it may be: nothing where nothing was rounded."""
    rows, n = revenue.shape
    sums = np.empty((rows, 2))
    for lo, hi in pieces(rows, n, most + 1):
        _BEST(
            revenue=revenue[lo:hi], eligible=eligible[lo:hi].view(np.uint8), price=price,
            slots=None if slots is None else slots[lo:hi], rows=hi - lo, funds=n, k=most, full=full,
            threads=threads_for((hi - lo) * n), sums=sums[lo:hi],
        )  # fmt: skip
    return sums


def slackness(
    revenue: np.ndarray, eligible: np.ndarray, plan: np.ndarray, price: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per customer: the least E - price they have, the largest they could have, whether a slot is empty, which funds.

    inf and -inf stand for none, their fund is then -1.
    """
    rows, n = revenue.shape
    worst, best, spare = np.empty(rows), np.empty(rows), np.empty(rows, np.bool_)
    held, other = np.empty(rows, np.int64), np.empty(rows, np.int64)
    for lo, hi in pieces(rows, n):
        _SLACKNESS(
            revenue=revenue[lo:hi], eligible=eligible[lo:hi].view(np.uint8), plan=plan[lo:hi], price=price,
            rows=hi - lo, funds=n, k=plan.shape[1], threads=threads_for((hi - lo) * n), worst=worst[lo:hi],
            best=best[lo:hi], spare=spare[lo:hi].view(np.uint8), held=held[lo:hi], other=other[lo:hi],
        )  # fmt: skip
    return worst, best, spare, held, other


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
