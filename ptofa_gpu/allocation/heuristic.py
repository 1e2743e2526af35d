"""Algorithm 1 of the paper in batched rounds: the sequential algorithm bit for bit, by selection instead of sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation.baselines import close_slots
from ptofa_gpu.device import array_namespace, to_device
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops.commit import commit
from ptofa_gpu.ops.score import Tail, score_and_pick
from ptofa_gpu.ops.select import find_cut
from ptofa_gpu.ops.sums import column_sums

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch


def heuristic(problem: AllocationProblem, revenue: RevenueBlocks, tail: Tail, watch: Watch) -> Any:
    """The paper's greedy allocation (arXiv 2503.03165, Algorithm 1).

    Customers are served in order of their score (Eq. 7), each taking the eligible, open funds of highest revenue, K or
    as many as they have slots; when a fund's quota is used up, speeds and scores are computed again over who and what
    is left. Inside a round order and picks are fixed, so the sequential loop commits the longest prefix up to the first
    place where some fund runs out: that place is found by selection, and each round uses up at least one fund (at most
    F rounds).

    Parameters
    ----------
    problem : AllocationProblem
    revenue : RevenueBlocks
        The problem's revenue, its blocks on the device that does the work.
    tail : {"zero", "drop", "inf"}
        See `score_and_pick`.
    watch : Watch
        Told of progress; stops the work when the time is up: the plan is then that of the customers served so far.

    Returns
    -------
    (U, K) int16 on the device of `revenue`; -1 for slots left empty.

    Raises
    ------
    InputError
        For quota ranges, which the algorithm does not know.
    """
    if problem.has_ranges:
        raise InputError(
            "method='heuristic' is Algorithm 1 of the paper, which knows no quota ranges. Use method='optimal' or "
            "'reference', or give one quota a fund."
        )
    xp = array_namespace(revenue)
    n_customers, n_funds = revenue.shape
    tolerance, risk, mask, _ = problem.limits(revenue.device)
    shift = problem.fixed_point_shift
    chosen = xp.full((n_customers, problem.k), -1, xp.int16)
    picks = xp.empty((n_customers, problem.k), xp.int16)
    key = xp.zeros(n_customers, xp.uint64)
    done = xp.zeros(n_customers, xp.uint8)
    open_quota = problem.quota.copy()  # as said: a fund's speed depends on it

    def limits(lo: int, hi: int) -> tuple[Any, Any, Any]:
        return tolerance[lo:hi], risk, None if mask is None else mask[lo:hi]

    sums = np.zeros(n_funds, np.int64)
    for lo, hi, block in revenue.iterate():
        sums += column_sums(block, *limits(lo, hi), shift)
    served = 0
    if problem.slots_of is not None and not problem.slots_of.all():
        # who has no slot is not waiting to be served
        none = np.flatnonzero(problem.slots_of == 0)
        at = xp.asarray(none)
        done[at] = 1
        served = none.size
        rest = None if mask is None else mask[at]
        sums -= column_sums(revenue.rows(at), tolerance[at], risk, rest, shift)
    while (open_quota > 0).any() and served < n_customers and not watch.expired():
        is_open = open_quota > 0
        alpha = np.zeros(n_funds)
        alpha[is_open] = np.ldexp(sums[is_open].astype(np.float64), -shift) / open_quota[is_open]
        for lo, hi, block in revenue.iterate():
            waiting = done[lo:hi]
            score_and_pick(block, *limits(lo, hi), waiting, alpha, is_open, tail, key[lo:hi], picks[lo:hi])
            if hi < n_customers and watch.expired():
                return chosen  # nothing of this round is in it yet
        close_slots(problem, picks)
        cut = find_cut(key, picks, done, open_quota)
        before = served
        for lo, hi, block in revenue.iterate():
            place = (key[lo:hi], picks[lo:hi], done[lo:hi], _counted_from(cut, lo), shift, chosen[lo:hi])
            counts, gone, committed = commit(block, *limits(lo, hi), *place)
            open_quota -= counts
            sums -= gone
            served += committed
        watch.advance(served - before)
    return chosen


#: Kernels keep ~row in as many bits, so that a larger number means an earlier row (kernels/common.cuh).
_ROW_MASK = (1 << 40) - 1


def _counted_from(cut: Any, lo: int) -> Any:
    """The cut as a block sees it whose rows count from `lo` on."""
    if lo == 0:
        return cut
    if isinstance(cut, tuple):
        return cut[0], cut[1] - lo  # below 0 when it lies before the block: only larger keys are committed
    key, row, runs_out = (int(x) for x in to_device(cut, "cpu"))
    row += lo
    if row > _ROW_MASK:  # before the block
        key, row = key + 1, 0
    return array_namespace(cut).asarray(np.array([key, row, runs_out], np.uint64))
