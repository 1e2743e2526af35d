"""The independent recheck of a plan: plain NumPy over blocks of rows, sharing no code with the allocators."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu.allocation._exact import exact_fraction, exact_sum, relative_gap
from ptofa_gpu.allocation.plan import OPTIMAL_GAP
from ptofa_gpu.errors import AllocationError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem

#: Of the sum of |E| over what was chosen: how far the stated objective may be from the recounted one, which is exact
#: but for its last rounding.
_REVENUE_TOLERANCE = 1e-14
STATUSES = ("optimal", "feasible", "infeasible", "time_limit")


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
    if not abs(total - plan.objective) <= _REVENUE_TOLERANCE * magnitude:
        raise AllocationError(
            f"objective is stated as {plan.objective!r}; the plan's exposures earn {total!r}. Either the plan or the "
            "revenue was changed since it was made."
        )
    _check_certificate(plan, funds, magnitude)


def _check_rows(problem: AllocationProblem, funds: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Each customer's row on its own; gives exposures, revenue, and the sum of |revenue|."""
    n_funds = problem.n_funds
    counts = np.zeros(n_funds, np.int64)
    core, total = problem.core(), Fraction(0)
    sizes: list[float] = []
    for lo, hi, block_revenue in core.problem.host_blocks():
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
        total += exact_fraction(earned)
        if core.constants is not None:
            earned = earned + core.constants[lo:hi][row]
        sizes.append(exact_sum(np.abs(earned)))
    return counts, float(total + core.on_top((funds >= 0).sum(1).astype(np.float64))), math.fsum(sizes)


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
    """That no plan earns more than the stated bound, and that the stated gap and status follow from it."""
    if plan.status not in STATUSES:
        raise AllocationError(f"status is {plan.status!r}; it is one of {', '.join(STATUSES)}.")
    if math.isnan(plan.bound):
        if plan.status == "optimal":
            raise AllocationError("status is 'optimal' without a bound that proves it.")
        return
    if plan.bound < plan.objective:
        raise AllocationError(f"bound {plan.bound!r} is below the objective {plan.objective!r}.")
    gap = relative_gap(plan.bound, plan.objective, magnitude)
    if plan.status == "optimal" and not gap <= OPTIMAL_GAP:
        raise AllocationError(
            f"status is 'optimal' and the gap is {gap:.3g}: the plan earns {plan.objective!r}, the bound is "
            f"{plan.bound!r}."
        )
    from ptofa_gpu.allocation.certificate import complementary_slackness, dual_bound, excess

    if plan.price is None:
        raise AllocationError("a bound is stated without the prices that prove it.")
    exposures = int((funds >= 0).sum())
    short = int(np.maximum(plan.problem.quota_low - plan.exposures, 0).sum())
    if plan.status == "infeasible":
        low = plan.problem.quota_low if plan.problem.has_ranges else np.zeros(1, np.int64)
        towards = int(low.sum()) - short if plan.problem.has_ranges else 0
        bound = dual_bound(plan.problem, plan.price, exposures=exposures, towards_low=towards)
    else:
        bound = dual_bound(plan.problem, plan.price)
    if bound > plan.bound and not relative_gap(bound, plan.bound, magnitude) <= OPTIMAL_GAP:
        raise AllocationError(
            f"the bound is stated as {plan.bound!r}; the prices prove {bound!r} only. Either the prices are not those "
            "of this plan, or the revenue is not what it was made from."
        )
    if plan.status == "optimal":
        # No condition can be missed by more than the gap in currency, or by rounding: revenue is rounded to units of
        # which a bonus of 4 (F + 2) max |E| has 2^59 less the bits of a fund's number.
        n_funds, largest = plan.problem.n_funds, max(plan.problem.core().problem.max_revenue, np.abs(plan.price).max())
        unit = float(largest) * 8 * (n_funds + 2) * 2.0 ** ((n_funds + 1).bit_length() - 59)
        missed, size = excess(plan.problem, funds, plan.price)
        if missed > OPTIMAL_GAP * Fraction(size):
            raise AllocationError(
                f"status is 'optimal', and by its prices another plan may earn {float(missed):.6g} more: too much "
                f"beside the {size:.6g} of what was chosen, less what each customer's funds have in common."
            )
        broken = complementary_slackness(plan.problem, funds, plan.price, 4 * unit + float(missed))
        if broken:
            raise AllocationError(f"the prices do not prove the plan optimal: {broken[0]}")
