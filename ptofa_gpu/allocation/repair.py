"""Complete a plan: fill empty slots with open quota by moving customers along paths of the fund graph (design 5.3)."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation._paths import MOVES_COMPARED, Sample, best_path, may_see_rows
from ptofa_gpu.ops._rows import CLOSED, EMPTY
from ptofa_gpu.ops.arcs import arc_candidates, count_arcs
from ptofa_gpu.ops.order import order_slots
from ptofa_gpu.ops.swaps import gather, scatter
from ptofa_gpu.ops.totals import count_funds

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch


#: A repair goes in up to so many portions, what a path loses being looked at anew before each, and in none smaller than
#: this share of all slots: below that, prices hardly move meanwhile.
PORTIONS, SMALLEST = 40, 1e-3
#: In a hurry what paths lose is looked at so often only, and paths of so many moves are compared.
LOOKS, SHORT = 8, 2


def complete(
    problem: AllocationProblem, chosen: Any, revenue: RevenueBlocks, watch: Watch, hurried: bool = False
) -> Any:
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
        Its blocks on the device where `chosen` is.
    hurried : bool
        Whether the time is up already, so that a plan that keeps the rules matters more than what it loses; on the
        host only.

    Returns
    -------
    `chosen`, its rows again in order of falling revenue.
    """
    own = problem.limits(revenue.device)[3]
    if own is not None:
        for j in range(problem.k):
            chosen[own <= j, j] = CLOSED
    repair = _Repair(problem, chosen, revenue, watch, hurried)
    if problem.has_ranges:
        low = problem.attainable(problem.quota_low)
        repair.run(low, low)
    repair.run(problem.attainable(problem.quota), None)
    chosen[chosen == CLOSED] = EMPTY
    if repair.moves:
        put_in_order(chosen, revenue)
    return chosen


class _Repair:
    def __init__(self, problem: AllocationProblem, chosen: Any, revenue: RevenueBlocks, watch: Watch, hurried: bool):
        self.problem, self.chosen, self.revenue, self.watch, self.hurried = problem, chosen, revenue, watch, hurried
        self.exposures = count_funds(chosen, problem.n_funds)[2:]
        self.moves = 0

    @cached_property
    def arcs(self) -> np.ndarray:
        """(F + 1, F) how many customers could move along each arc; counted once, then kept up to date."""
        tolerance, risk, mask, _ = self.problem.limits(self.revenue.device)
        return count_arcs(tolerance, risk, mask, self.chosen)

    @cached_property
    def sample(self) -> Sample:
        return Sample(self.problem, self.revenue)

    def run(self, goal: np.ndarray, spare_above: np.ndarray | None) -> None:
        """Bring exposures up to `goal` as far as can be, from empty slots and from funds above `spare_above`."""
        if self.hurried:
            self._fill(goal)
        room = self.problem.slots if spare_above is not None else self.problem.slots - int(self.exposures.sum())
        missing = min(int(np.maximum(goal - self.exposures, 0).sum()), room)
        portion = max(1, missing // (LOOKS if self.hurried else PORTIONS), int(SMALLEST * self.problem.slots))
        since = portion  # exposures added since what paths lose was looked at
        while missing > 0 and not self.watch.expired():
            arcs, n_funds = self.arcs, self.problem.n_funds
            spare = np.zeros(n_funds, np.int64)
            if spare_above is not None:
                spare = np.maximum(self.exposures - spare_above, 0)
            amount = min(portion, missing)
            if since >= portion or not self.hurried:
                gain, least = self.sample.gains(self.chosen, amount)
                since = 0
            gain_now = np.where(arcs > 0, gain, -np.inf)
            path = best_path(gain_now, spare > 0, self.exposures < goal, SHORT if self.hurried else MOVES_COMPARED)
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
                self._move(a, b, amount, float(least[a, b]))
            self.exposures[path[-1]] += amount
            missing, since = missing - amount, since + amount
            self.watch.advance(amount)

    def _fill(self, goal: np.ndarray) -> None:
        """Put funds into empty slots, with no regard to what is left for the others: paths mend what that spoils.

        Funds that few may see come first, and in each those who have the most empty slots, then those of most revenue.
        """
        problem, chosen = self.problem, self.chosen
        tolerance, risk, mask, _ = problem.limits(self.revenue.device)

        def may_see(f: int) -> np.ndarray:
            return np.asarray(tolerance >= risk[f]) & (True if mask is None else _bit(mask, f))

        self.__dict__.pop("arcs", None)  # this changes more than is worth keeping count of
        empty = (chosen == EMPTY).sum(1)
        crowd = -risk.astype(np.int64) if mask is None else np.array([may_see(f).sum() for f in range(risk.size)])
        for f in np.argsort(crowd, kind="stable"):
            wanted = int(goal[f] - self.exposures[f])
            if wanted <= 0:
                continue
            rows = np.flatnonzero((empty > 0) & may_see(f) & ~(chosen == f).any(1))
            if rows.size > wanted:
                value = self.revenue.column(int(f), rows).astype(np.float64)
                value += empty[rows] * (2 * self.problem.max_revenue or 1.0)
                rows = rows[_largest(value, wanted)]
            chosen[rows, (chosen[rows] == EMPTY).argmax(1)] = f
            empty[rows] -= 1
            self.exposures[f] += rows.size
            self.moves += rows.size

    def _move(self, a: int, b: int, amount: int, least: float) -> None:
        """Let the `amount` customers who lose least swap a for b; a = -1: take b into an empty slot."""
        rows, gain = self._candidates(a, b, int(self.arcs[a, b]), least)
        if rows.size < amount:  # the sample promised too much
            rows, gain = self._candidates(a, b, int(self.arcs[a, b]), -np.inf)
        moved = rows[_largest(gain, amount)]
        slots = gather(self.chosen, moved)
        self.arcs -= _arcs_of(self.problem, slots, moved)
        place = (slots == a).argmax(1)
        slots[np.arange(moved.size), place] = b
        self.arcs += _arcs_of(self.problem, slots, moved)
        scatter(self.chosen, moved, slots)
        self.moves += moved.size

    def _candidates(self, a: int, b: int, count: int, least: float) -> tuple[np.ndarray, np.ndarray]:
        """The customers who could swap a for b and gain at least so much by it, and their gains; on the host.

        There are at most `count`: block by block until all are found.
        """
        tolerance, risk, mask, _ = self.problem.limits(self.revenue.device)
        rows, gain = [np.empty(0, np.int64)], [np.empty(0)]
        for lo, hi, block in self.revenue.iterate():
            limits = (tolerance[lo:hi], risk, None if mask is None else mask[lo:hi])
            found = arc_candidates(block, *limits, self.chosen[lo:hi], a, b, min(count, hi - lo), least)
            rows.append(found[0] + lo)
            gain.append(found[1])
            count -= found[0].size
            if count == 0:
                break
        return np.concatenate(rows), np.concatenate(gain)


def keep_to_quotas(problem: AllocationProblem, chosen: np.ndarray, revenue: RevenueBlocks) -> None:
    """Take the exposures of least revenue from every fund that has more than its quota; empty slots go last."""
    for f in range(problem.n_funds):
        rows, slots = np.nonzero(chosen == f)
        extra = rows.size - int(problem.quota[f])
        if extra > 0:
            drop = _largest(-revenue.column(f, rows).astype(np.float64), extra)
            chosen[rows[drop], slots[drop]] = -1
    put_in_order(chosen, revenue)


def put_in_order(chosen: Any, revenue: RevenueBlocks) -> None:
    """Order every row's funds as `order_slots` does; both on one device."""
    if chosen.shape[1] > 1:
        for lo, hi, block in revenue.iterate():
            order_slots(block, chosen[lo:hi])


def _bit(mask: np.ndarray, f: int) -> np.ndarray:
    """(U,) bool, whether bit f of the mask is set."""
    return (mask[:, f >> 6] >> np.uint64(f & 63)) & np.uint64(1) != 0


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Positions of the n largest values, equal ones by lower position; in order of position."""
    if n >= values.size:
        return np.arange(values.size)
    edge = np.partition(values, values.size - n)[values.size - n]
    above = values > edge
    tied = np.flatnonzero(values == edge)[: n - int(above.sum())]
    above[tied] = True
    return np.flatnonzero(above)


def _arcs_of(problem: AllocationProblem, pick: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What the customers `rows`, who have `pick`, contribute to the arc counts (see `count_arcs`)."""
    free = may_see_rows(problem, rows)
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
