"""The independent recheck of a plan: plain NumPy over blocks of rows, sharing no code with the allocators."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu.allocation._exact import exact_sum
from ptofa_gpu.errors import AllocationError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem

#: Relative difference between the stated and the recounted objective that rounding explains.
_REVENUE_TOLERANCE = 1e-9


def verify(plan: AllocationPlan) -> None:
    """Raise `AllocationError` naming the first violation of `plan`; see `AllocationPlan.verify`."""
    problem = plan.problem
    funds = np.asarray(plan.host_funds())
    if funds.shape != (problem.n_customers, problem.k):
        raise AllocationError(f"funds has shape {funds.shape}; it needs ({problem.n_customers}, {problem.k}).")
    if funds.dtype.kind not in "iu":
        raise AllocationError(f"funds has dtype {funds.dtype}; it needs fund indices.")
    counts, total, magnitude = _check_rows(problem, funds)
    if not np.array_equal(counts, plan.exposures):
        f = int(np.flatnonzero(counts != plan.exposures)[0])
        raise AllocationError(
            f"exposures of fund {f} ({problem.names[f]!r}) is stated as {plan.exposures[f]:,}; the plan shows it "
            f"{counts[f]:,} times."
        )
    if plan.unfilled != problem.slots - int(counts.sum()):
        raise AllocationError(
            f"unfilled is stated as {plan.unfilled:,}; {problem.slots - int(counts.sum()):,} are empty."
        )
    _check_quotas(plan, counts)
    if not math.isclose(total, plan.objective, rel_tol=_REVENUE_TOLERANCE, abs_tol=_REVENUE_TOLERANCE * magnitude):
        raise AllocationError(f"objective is stated as {plan.objective!r}; the plan's exposures earn {total!r}.")
    _check_certificate(plan, funds, magnitude)


def _check_rows(problem: AllocationProblem, funds: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Each customer's row on its own; gives exposures, revenue, and the sum of |revenue|."""
    n_funds = problem.n_funds
    counts = np.zeros(n_funds, np.int64)
    parts: list[float] = []
    sizes: list[float] = []
    for lo, hi, block_revenue in problem.host_blocks():
        block = funds[lo:hi]
        if block.min() < -1 or block.max() >= n_funds:
            u, j = np.argwhere((block < -1) | (block >= n_funds))[0]
            raise AllocationError(f"customer row {lo + u}, slot {j + 1}: fund index {block[u, j]} does not exist.")
        if problem.k > 1:
            ranked = np.sort(block, axis=1)
            twice = (ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0)
            if twice.any():
                u, j = np.argwhere(twice)[0]
                raise AllocationError(f"customer row {lo + u} sees fund {ranked[u, j + 1]} more than once.")
        if problem.slots_of is not None:
            held, own = (block >= 0).sum(1), problem.slots_of[lo:hi]
            if (held > own).any():
                u = int(np.flatnonzero(held > own)[0])
                raise AllocationError(f"customer row {lo + u} sees {held[u]} funds; they have {_slots(int(own[u]))}.")
        filled = block >= 0
        row = np.repeat(np.arange(hi - lo), problem.k)[filled.reshape(-1)]
        fund = block[filled].astype(np.intp)
        allowed = problem.tolerance[lo:hi][row] >= problem.risk[fund]
        if problem.mask is not None:
            word = problem.mask[lo:hi][row, fund >> 6]
            allowed &= (word >> (fund & 63).astype(np.uint64)) & np.uint64(1) != 0
        if not allowed.all():
            i = int(np.flatnonzero(~allowed)[0])
            u, f = lo + int(row[i]), int(fund[i])
            why = (
                f"risk {problem.risk[f]} is above tolerance {problem.tolerance[u]}"
                if problem.tolerance[u] < problem.risk[f]
                else "the pair is excluded"
            )
            raise AllocationError(f"customer row {u} may not see fund {f} ({problem.names[f]!r}): {why}.")
        counts += np.bincount(fund, minlength=n_funds)
        earned = block_revenue[row, fund].astype(np.float64)
        parts.append(exact_sum(earned))
        sizes.append(float(np.abs(earned).sum()))
    return counts, math.fsum(parts), math.fsum(sizes)


def _check_quotas(plan: AllocationPlan, counts: np.ndarray) -> None:
    problem = plan.problem
    over = np.flatnonzero(counts > problem.quota)
    if over.size:
        f = int(over[0])
        raise AllocationError(
            f"fund {f} ({problem.names[f]!r}) is shown {counts[f]:,} times; its quota is {problem.quota[f]:,}."
        )
    total, goal = int(counts.sum()), min(int(problem.quota.sum()), problem.slots)
    low = problem.quota_low
    under = np.flatnonzero(counts < low)
    if total == goal and not under.size:
        return
    if plan.relaxed:
        feasibility = problem.feasibility()
        best, missing = feasibility.delivered, int(feasibility.shortfall.sum())
        if total != best:
            raise AllocationError(f"the plan was relaxed and makes {total:,} exposures; {best:,} are possible.")
        if int(np.maximum(low - counts, 0).sum()) != missing:
            raise AllocationError(
                f"the plan was relaxed and misses {int(np.maximum(low - counts, 0).sum()):,} exposures that the low "
                f"ends of the quotas ask for; {missing:,} would do."
            )
        return
    if not under.size:
        raise AllocationError(
            f"{_slots(goal - total)} {'is' if goal - total == 1 else 'are'} empty although the quotas sum to more "
            "than the slots."
        )
    f, missing = int(under[0]), int(np.maximum(low - counts, 0).sum())
    what = "the low end of its quota" if problem.has_ranges else "its quota"
    raise AllocationError(
        f"fund {f} ({problem.names[f]!r}) is shown {counts[f]:,} times; {what} is {low[f]:,} "
        f"({missing:,} exposure{'s' * (missing > 1)} of all funds {'are' if missing > 1 else 'is'} missing)."
    )


def _slots(n: int) -> str:
    return f"{n:,} slot{'s' * (n != 1)}"


def _check_certificate(plan: AllocationPlan, funds: np.ndarray, magnitude: float) -> None:
    # a bound is a sum of prices and reduced values, each as large as the largest revenue even where the plan earns 0
    slack = _REVENUE_TOLERANCE * max(magnitude, plan.problem.max_revenue)
    if plan.bound < plan.objective - slack:
        raise AllocationError(f"bound {plan.bound!r} is below the objective {plan.objective!r}.")
    if plan.status != "optimal":
        return
    if math.isnan(plan.bound) or plan.price is None:
        raise AllocationError("status is 'optimal' without a bound and prices that prove it.")
    from ptofa_gpu.allocation.certificate import complementary_slackness, dual_bound

    bound = dual_bound(plan.problem, plan.price)
    if not math.isclose(bound, plan.bound, rel_tol=_REVENUE_TOLERANCE, abs_tol=slack):
        raise AllocationError(f"bound is stated as {plan.bound!r}; the prices give {bound!r}.")
    broken = complementary_slackness(plan.problem, funds, plan.price, 1e-6 * max(1.0, plan.problem.max_revenue))
    if broken:
        raise AllocationError(f"the prices do not prove the plan optimal: {broken[0]}")
