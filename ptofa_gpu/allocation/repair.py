"""Complete a plan: fill empty slots with open quota by moving customers along paths of the fund graph (design 5.3)."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu.allocation._paths import Sample, best_path, may_see_rows
from ptofa_gpu.device import array_namespace
from ptofa_gpu.ops._rows import CLOSED, EMPTY
from ptofa_gpu.ops.arcs import arc_candidates, count_arcs

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch


#: A repair goes in up to so many portions, what a path loses being looked at anew before each, and in none smaller than
#: this share of all slots: below that, prices hardly move meanwhile.
PORTIONS, SMALLEST = 40, 1e-3


def complete(problem: AllocationProblem, chosen: np.ndarray, revenue: RevenueBlocks, watch: Watch) -> np.ndarray:
    """Add as many exposures to the plan `chosen` as the constraints allow; every feasible instance comes out complete.

    A path enters at a customer with an empty slot who takes fund a; some customer who had a moves to b, ..., until a
    fund with open quota is reached (augmenting paths of a maximum flow, found on F nodes). The path that loses least
    comes first, and on each of its arcs the customers who lose least, some per cent of what is missing at a time. With
    quota ranges funds below their low end are served first, also by moving customers away from funds above theirs.

    Parameters
    ----------
    chosen : (U, K) int16, updated
        No fund over its quota; each row in order of falling revenue, empty slots last.
    revenue : RevenueBlocks
        On the host.

    Returns
    -------
    `chosen`, its rows again in order of falling revenue.
    """
    own = problem.slots_of
    if own is not None:
        for j in range(problem.k):
            chosen[own <= j, j] = CLOSED
    repair = _Repair(problem, chosen, revenue, watch)
    if problem.has_ranges:
        repair.run(problem.quota_low, problem.quota_low)
    repair.run(problem.quota, None)
    chosen[chosen == CLOSED] = EMPTY
    if problem.k > 1 and repair.touched.any():
        rows = np.flatnonzero(repair.touched)
        chosen[rows] = order_slots(chosen[rows], revenue.rows(rows))
    return chosen


class _Repair:
    def __init__(self, problem: AllocationProblem, chosen: np.ndarray, revenue: RevenueBlocks, watch: Watch):
        self.problem, self.chosen, self.revenue, self.watch = problem, chosen, revenue, watch
        self.exposures = np.bincount(chosen[chosen >= 0].astype(np.int64), minlength=problem.n_funds)
        self.touched = np.zeros(problem.n_customers, np.bool_)

    @cached_property
    def arcs(self) -> np.ndarray:
        """(F + 1, F) how many customers could move along each arc; counted once, then kept up to date."""
        p = self.problem
        return count_arcs(p.tolerance, p.risk, p.mask, self.chosen)

    @cached_property
    def sample(self) -> Sample:
        return Sample(self.problem, self.revenue)

    def run(self, goal: np.ndarray, spare_above: np.ndarray | None) -> None:
        """Bring exposures up to `goal` as far as can be, from empty slots and from funds above `spare_above`."""
        room = self.problem.slots if spare_above is not None else self.problem.slots - int(self.exposures.sum())
        missing = min(int(np.maximum(goal - self.exposures, 0).sum()), room)
        portion = max(1, missing // PORTIONS, int(SMALLEST * self.problem.slots))
        while missing > 0 and not self.watch.expired():
            arcs, n_funds = self.arcs, self.problem.n_funds
            spare = np.zeros(n_funds, np.int64)
            if spare_above is not None:
                spare = np.maximum(self.exposures - spare_above, 0)
            amount = min(portion, missing)
            gain = np.where(arcs > 0, self.sample.gains(self.chosen, amount), -np.inf)
            path = best_path(gain, spare > 0, self.exposures < goal)
            if path is None:
                break  # no augmenting path: the flow is a maximum one
            amount = min([amount, int(goal[path[-1]] - self.exposures[path[-1]])])
            amount = min([amount, *(int(arcs[a, b]) for a, b in pairwise(path))])  # row -1 is row F: the empty slots
            if path[0] >= 0:
                amount = min(amount, int(spare[path[0]]))
                self.exposures[path[0]] -= amount
            # From the open end backwards: every move makes room for the one before it, and a path visits no fund twice,
            # so no move takes a customer away from a later one.
            for a, b in zip(path[-2::-1], path[:0:-1]):
                self._move(a, b, amount)
            self.exposures[path[-1]] += amount
            missing -= amount
            self.watch.advance(amount)

    def _move(self, a: int, b: int, amount: int) -> None:
        """Let the `amount` customers who lose least swap a for b; a = -1: take b into an empty slot."""
        p, chosen = self.problem, self.chosen
        rows, gain = _candidates(p, self.revenue, chosen, a, b, int(self.arcs[a, b]))
        moved = rows[_largest(gain, amount)]
        self.arcs -= _arcs_of(p, chosen, moved)
        slots = chosen[moved]
        place = (slots == a).argmax(1)
        slots[np.arange(moved.size), place] = b
        chosen[moved] = slots
        self.arcs += _arcs_of(p, chosen, moved)
        self.touched[moved] = True


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
    """What the customers `rows` contribute to the arc counts (see `count_arcs`)."""
    free, pick = may_see_rows(problem, rows), chosen[rows]
    row, slot = np.nonzero(pick >= 0)
    held = pick[row, slot]
    free[row, held] = False
    out = np.zeros((problem.n_funds + 1, problem.n_funds), np.int64)
    order = np.argsort(held, kind="stable")
    held, first = np.unique(held[order], return_index=True)
    if held.size:
        out[held] = np.add.reduceat(free[row[order]], first, axis=0, dtype=np.int64)
    out[problem.n_funds] = free[(pick == EMPTY).any(1)].sum(0)
    return out


def order_slots(chosen: np.ndarray, revenue: np.ndarray) -> np.ndarray:
    """Each row's funds by falling revenue, equal revenue by lower fund, empty slots last."""
    xp = array_namespace(chosen)
    value = xp.take_along_axis(revenue, xp.maximum(chosen, 0).astype(xp.int64), axis=1).astype(xp.float64)
    value[chosen < 0] = -np.inf
    by_fund = xp.argsort(xp.where(chosen < 0, np.iinfo(np.int16).max, chosen), axis=1, kind="stable")
    ranked = xp.take_along_axis(chosen, by_fund, axis=1)
    order = xp.argsort(-xp.take_along_axis(value, by_fund, axis=1), axis=1, kind="stable")
    return xp.take_along_axis(ranked, order, axis=1)
