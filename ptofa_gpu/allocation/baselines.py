"""What plans are measured against: funds filled by hand in priority order, and best funds with quotas ignored."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu._arguments import listed
from ptofa_gpu._id_arrays import as_ids
from ptofa_gpu._id_keys import WHOLE
from ptofa_gpu.allocation.blocks import RevenueBlocks
from ptofa_gpu.allocation.problem import AllocationProblem
from ptofa_gpu.device import array_namespace
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops.score import score_and_pick


def topk(problem: AllocationProblem, revenue: RevenueBlocks) -> Any:
    """Each customer's K best eligible funds, quotas ignored: what a recommender does. (U, K) int16."""
    xp = array_namespace(revenue)
    n_customers, n_funds = revenue.shape
    picks = xp.empty((n_customers, problem.k), xp.int16)
    for lo, hi, block in revenue.iterate():
        score_and_pick(
            block,
            *_limits(problem, revenue, lo, hi),
            xp.zeros(hi - lo, xp.uint8),
            np.zeros(n_funds),
            np.ones(n_funds, bool),
            "zero",
            xp.empty(hi - lo, xp.uint64),
            picks[lo:hi],
        )
    close_slots(problem, picks)
    return picks


def close_slots(problem: AllocationProblem, picks: Any) -> None:
    """Empty, in (U, K) `picks`, the slots that customers do not have."""
    if problem.slots_of is not None:
        slots = problem.limits("cpu" if isinstance(picks, np.ndarray) else "cuda")[3]
        for j in range(problem.k):
            picks[slots <= j, j] = -1


def manual(problem: AllocationProblem, revenue: RevenueBlocks, priority: Any = None) -> Any:
    """Funds one after another in order of priority, each taking its d_f eligible customers of highest expected revenue
    that still have a slot: how an operations team fills quotas by hand. Of a range d_f is the high end.

    Parameters
    ----------
    priority : sequence of F fund indices, optional
        Who chooses first. By default funds of higher mean expected revenue over their eligible customers: what the
        historical conversion rate stands for where only E is known.

    Returns
    -------
    (U, K) int16 on the device of `revenue`.
    """
    xp = array_namespace(revenue)
    n_customers = problem.n_customers
    order = _priority(problem, revenue, priority)
    chosen = xp.full((n_customers, problem.k), -1, xp.int16)
    filled = xp.zeros(n_customers, xp.int16)
    tolerance, _, mask, own = problem.limits(revenue.device)
    slots = problem.k if own is None else own
    for f in order:
        quota = int(problem.quota[f])
        free = (filled < slots) & (tolerance >= int(problem.risk[f]))
        if mask is not None:
            free &= (mask[:, f >> 6] >> np.uint64(f & 63)) & np.uint64(1) != 0
        rows = xp.flatnonzero(free)
        if rows.size > quota:
            rows = rows[_best(xp, revenue.column(f, rows), quota)]
        chosen[rows, filled[rows]] = f
        filled[rows] += 1
    from ptofa_gpu.allocation.repair import put_in_order

    put_in_order(chosen, revenue)
    return chosen


def _limits(problem: AllocationProblem, revenue: RevenueBlocks, lo: int, hi: int) -> tuple[Any, Any, Any]:
    """tolerance, risk and mask of a block's customers, on its device."""
    tolerance, risk, mask, _ = problem.limits(revenue.device)
    return tolerance[lo:hi], risk, None if mask is None else mask[lo:hi]


def _best(xp: Any, values: Any, n: int) -> Any:
    """Positions of the n largest values, equal ones by lower position."""
    if n == 0:
        return xp.zeros(0, xp.int64)
    edge = xp.partition(values, values.size - n)[values.size - n]
    above = values > edge
    tied = xp.flatnonzero(values == edge)[: n - int(above.sum())]
    above[tied] = True
    return xp.flatnonzero(above)


def _priority(problem: AllocationProblem, revenue: RevenueBlocks, priority: Any) -> list[int]:
    n = problem.n_funds
    if priority is None:
        from ptofa_gpu.ops.sums import column_sums

        shift = problem.fixed_point_shift
        sums = np.zeros(n, np.int64)
        for lo, hi, block in revenue.iterate():
            sums += column_sums(block, *_limits(problem, revenue, lo, hi), shift)
        mean = np.ldexp(sums.astype(np.float64), -shift) / np.maximum(problem.eligible_counts(), 1)
        return [int(f) for f in np.argsort(-mean, kind="stable")]
    axis = problem.axes[1]
    if (
        hasattr(priority, "index")
        and hasattr(priority, "tolist")
        and axis.is_no_label(as_ids(priority.index, "priority"))
    ):
        priority = priority.tolist()
    places = axis.in_order(priority, "priority")
    if places is not priority:  # each fund's place, by label
        return _by_place(np.asarray(places), n)
    in_turn = listed("priority", priority, f"the {n} funds in the order in which they choose")
    given = as_ids(in_turn, "priority")
    order = np.asarray(given) if given.kind == WHOLE else axis.positions(given, "priority")
    if given.missing is not None or sorted(order.tolist()) != list(range(n)):
        raise InputError(f"priority must name each of the {n} funds (0..{n - 1}) once; it is {given.tolist()[:20]}.")
    return [int(f) for f in order]


def _by_place(places: np.ndarray, n: int) -> list[int]:
    """Funds in the order of their places, 1 first (or 0 first)."""
    whole = places.dtype.kind in "iuf" and sorted(places.tolist()) in (list(range(1, n + 1)), list(range(n)))
    if not whole:
        raise InputError(
            f"priority by fund needs each fund's place, 1 to {n}, 1 first and none twice; it is {places.tolist()[:20]}."
        )
    return [int(f) for f in np.argsort(places)]
