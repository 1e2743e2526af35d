"""Algorithm 1 of the paper in batched rounds: the sequential algorithm bit for bit, by selection instead of sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation.baselines import close_slots
from ptofa_gpu.device import array_namespace
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops.commit import commit
from ptofa_gpu.ops.score import Tail, score_and_pick
from ptofa_gpu.ops.select import find_cut
from ptofa_gpu.ops.sums import column_sums

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch


def heuristic(problem: AllocationProblem, revenue: Any, tail: Tail, watch: Watch) -> Any:
    """The paper's greedy allocation (arXiv 2503.03165, Algorithm 1).

    Customers are served in order of their score (Eq. 7), each taking the eligible, open funds of highest revenue, K or
    as many as they have slots; when a fund's quota is used up, speeds and scores are computed again over who and what
    is left. Inside a round order and picks are fixed, so the sequential loop commits the longest prefix up to the first
    place where some fund runs out: that place is found by selection, and each round uses up at least one fund (at most
    F rounds).

    Parameters
    ----------
    problem : AllocationProblem
    revenue : (U, F) float32
        The problem's revenue on the device that does the work.
    tail : {"zero", "drop", "inf"}
        See `score_and_pick`.
    watch : Watch
        Told of progress; stops the work when the time is up.

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
    tolerance, risk = xp.asarray(problem.tolerance), xp.asarray(problem.risk)
    mask = None if problem.mask is None else xp.asarray(problem.mask)
    shift = problem.fixed_point_shift
    chosen = xp.full((n_customers, problem.k), -1, xp.int16)
    picks = xp.empty((n_customers, problem.k), xp.int16)
    key = xp.zeros(n_customers, xp.uint64)
    done = xp.zeros(n_customers, xp.uint8)
    open_quota = problem.quota.copy()
    sums = column_sums(revenue, tolerance, risk, mask, shift)
    served = 0
    if problem.slots_of is not None and not problem.slots_of.all():
        # who has no slot is not waiting to be served
        none = problem.slots_of == 0
        done[xp.asarray(none)] = 1
        served = int(none.sum())
        rest = None if mask is None else mask[none]
        sums = sums - column_sums(revenue[none], tolerance[none], risk, rest, shift)
    while (open_quota > 0).any() and served < n_customers:
        is_open = open_quota > 0
        alpha = np.zeros(n_funds)
        alpha[is_open] = np.ldexp(sums[is_open].astype(np.float64), -shift) / open_quota[is_open]
        score_and_pick(revenue, tolerance, risk, mask, done, alpha, is_open, tail, key, picks)
        close_slots(problem, picks)
        cut = find_cut(key, picks, done, open_quota)
        counts, gone, committed = commit(revenue, tolerance, risk, mask, key, picks, done, cut, shift, chosen)
        open_quota -= counts
        sums = sums - gone
        served += committed
        watch.advance(committed)
        if watch.expired():
            break
    return chosen
