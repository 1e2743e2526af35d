"""Complete a plan: fill empty slots with open quota by moving customers along paths of the fund graph (design 5.3)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu.device import array_namespace
from ptofa_gpu.ops.arcs import arc_candidates, count_arcs

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch


def complete(problem: AllocationProblem, chosen: np.ndarray, revenue: RevenueBlocks, watch: Watch) -> np.ndarray:
    """Add as many exposures to the plan `chosen` as the constraints allow; every feasible instance comes out complete.

    A path enters at a customer with an empty slot who takes fund a; some customer who had a moves to b, ..., until a
    fund with open quota is reached (augmenting paths of a maximum flow, found on F nodes). Fewest moves first, and on
    each arc the customers who lose least; as many customers at a time as every arc of the path allows.

    Parameters
    ----------
    chosen : (U, K) int16, updated
        Empty slots last in each row.
    revenue : RevenueBlocks
        On the host.

    Returns
    -------
    `chosen`, its rows again in order of falling revenue.
    """
    quota = problem.quota
    n_funds = problem.n_funds
    exposures = np.bincount(chosen[chosen >= 0].astype(np.int64), minlength=n_funds)
    missing = min(int(quota.sum()), problem.slots) - int(exposures.sum())
    if missing <= 0:
        return chosen
    arcs = count_arcs(problem.tolerance, problem.risk, problem.mask, chosen)
    touched: list[np.ndarray] = []
    while missing > 0 and not watch.expired():
        path = _shortest_path(arcs, exposures < quota)
        if path is None:
            break  # no augmenting path: the flow is a maximum one
        amount = min(missing, int(quota[path[-1]] - exposures[path[-1]]), int(arcs[n_funds, path[0]]))
        amount = min([amount, *(int(arcs[a, b]) for a, b in pairwise(path))])
        # From the open end backwards: every move makes room for the one before it, and a path visits no fund twice,
        # so no move takes a customer away from a later one.
        for a, b in [*zip(path[-2::-1], path[:0:-1]), (-1, path[0])]:
            count = int(arcs[a, b])  # row -1 is row F: the empty slots
            rows, gain = _candidates(problem, revenue, chosen, a, b, count)
            moved = rows[_largest(gain, amount)]
            arcs -= _arcs_of(problem, chosen, moved)
            slots = chosen[moved]
            place = (slots == a).argmax(1)
            slots[np.arange(moved.size), place] = b
            chosen[moved] = slots
            arcs += _arcs_of(problem, chosen, moved)
            touched.append(moved)
        exposures[path[-1]] += amount
        missing -= amount
        watch.advance(amount)
    if touched and problem.k > 1:
        rows = np.unique(np.concatenate(touched))
        chosen[rows] = order_slots(chosen[rows], revenue.rows(rows))
    return chosen


def keep_to_quotas(problem: AllocationProblem, chosen: np.ndarray, revenue: RevenueBlocks) -> None:
    """Take the exposures of least revenue from every fund that has more than its quota; empty slots go last."""
    for f in range(problem.n_funds):
        rows, slots = np.nonzero(chosen == f)
        extra = rows.size - int(problem.quota[f])
        if extra > 0:
            drop = _largest(-revenue.column(f, rows).astype(np.float64), extra)
            chosen[rows[drop], slots[drop]] = -1
    if problem.k > 1:
        put_in_order(chosen, revenue)


def put_in_order(chosen: np.ndarray, revenue: RevenueBlocks) -> None:
    """Order every row's funds as `order_slots` does."""
    for lo, hi, block in revenue.iterate_small():
        chosen[lo:hi] = order_slots(chosen[lo:hi], block)


def _candidates(
    problem: AllocationProblem, revenue: RevenueBlocks, chosen: np.ndarray, a: int, b: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `count` customers who could swap a for b, and what each gains; block by block until all are found."""
    rows, gain = [], []
    for lo, hi, block in revenue.iterate():
        mask = None if problem.mask is None else problem.mask[lo:hi]
        limits = (problem.tolerance[lo:hi], problem.risk, mask)
        found = arc_candidates(block, *limits, chosen[lo:hi], a, b, min(count, hi - lo))
        rows.append(found[0] + lo)
        gain.append(found[1])
        count -= found[0].size
        if count == 0:
            break
    return (rows[0], gain[0]) if len(rows) == 1 else (np.concatenate(rows), np.concatenate(gain))


def _shortest_path(arcs: np.ndarray, is_open: np.ndarray) -> list[int] | None:
    """Funds from one that an empty slot can take to one with open quota, by fewest moves; lower indices first."""
    n_funds = arcs.shape[1]
    before = np.full(n_funds, -2)
    frontier = np.flatnonzero(arcs[n_funds] > 0)
    before[frontier] = -1
    while frontier.size:
        found = frontier[is_open[frontier]]
        if found.size:
            path = [int(found[0])]
            while before[path[-1]] >= 0:
                path.append(int(before[path[-1]]))
            return path[::-1]
        reach = arcs[frontier] > 0
        fresh = np.flatnonzero(reach.any(0) & (before == -2))
        before[fresh] = frontier[reach[:, fresh].argmax(0)]
        frontier = fresh
    return None


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Positions of the n largest values, equal ones by lower position; in order of position."""
    if n >= values.size:
        return np.arange(values.size)
    edge = np.partition(values, values.size - n)[values.size - n]
    above = values > edge
    tied = np.flatnonzero(values == edge)[: n - int(above.sum())]
    above[tied] = True
    return np.flatnonzero(above)


def _arcs_of(problem: AllocationProblem, chosen: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What the customers `rows` contribute to the arc counts."""
    mask = None if problem.mask is None else problem.mask[rows]
    return count_arcs(problem.tolerance[rows], problem.risk, mask, chosen[rows])


def order_slots(chosen: np.ndarray, revenue: np.ndarray) -> np.ndarray:
    """Each row's funds by falling revenue, equal revenue by lower fund, empty slots last."""
    xp = array_namespace(chosen)
    value = xp.take_along_axis(revenue, xp.maximum(chosen, 0).astype(xp.int64), axis=1).astype(xp.float64)
    value[chosen < 0] = -np.inf
    by_fund = xp.argsort(xp.where(chosen < 0, np.iinfo(np.int16).max, chosen), axis=1, kind="stable")
    ranked = xp.take_along_axis(chosen, by_fund, axis=1)
    order = xp.argsort(-xp.take_along_axis(value, by_fund, axis=1), axis=1, kind="stable")
    return xp.take_along_axis(ranked, order, axis=1)
