"""The allocation as a linear or mixed-integer programme, handed to any cvxpy solver."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._lazy import require
from ptofa_gpu.errors import AllocationError, InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.reference import Pairs

# how each solver is told its time limit, in seconds
_TIME_LIMIT = {
    "HIGHS": lambda s: {"time_limit": s},
    "SCIPY": lambda s: {"scipy_options": {"time_limit": s}},
    "CLARABEL": lambda s: {"time_limit": s},
    "OSQP": lambda s: {"time_limit": s},
    "SCS": lambda s: {"time_limit_secs": s},
    "GLOP": lambda s: {"time_limit_sec": s},
    "PDLP": lambda s: {"time_limit_sec": s},
    "SCIP": lambda s: {"scip_params": {"limits/time": s}},
    "CBC": lambda s: {"maximumSeconds": s},
}
# As exact as each solver goes: by default HiGHS calls plans optimal that miss 1e-4 (mixed-integer) or 1e-7 (linear) of
# the revenue; an interior point must show which pairs are used. HiGHS's presolve finds nothing to reduce in these
# networks, takes minutes over it in the mixed-integer form at 20,000 customers, and does not look at the time limit.
_HIGHS = {"dual_feasibility_tolerance": 1e-10, "primal_feasibility_tolerance": 1e-10}
_TIGHT: dict[str, dict[str, Any]] = {
    "HIGHS": {**_HIGHS, "presolve": "off", "mip_rel_gap": 0.0, "mip_abs_gap": 0.0},
    "SCIPY": {"scipy_options": _HIGHS},
    "CLARABEL": {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10},
}


@dataclass(frozen=True)
class Found:
    """A plan, and whether the solver was stopped before it was done (an unfinished plan has all slots empty)."""

    funds: np.ndarray
    limited: bool


def lp_plan(
    problem: AllocationProblem,
    pairs: Pairs,
    solver: str,
    *,
    integer: bool,
    time_limit: float | None,
    verbose: bool,
) -> Found:
    """The plan of greatest revenue among those with the most exposures."""
    cp = require("cvxpy", f"solver={solver!r}")
    options = _options(cp, solver, integer, time_limit)
    n_customers, n_funds, k = problem.n_customers, problem.n_funds, problem.k
    nothing = np.full((n_customers, k), -1, np.int32)
    if not len(pairs):
        return Found(nothing, False)
    from scipy.sparse import csr_array

    count = len(pairs)
    one, pair = np.ones(count), np.arange(count)
    of_customer = csr_array((one, (pairs.customer, pair)), shape=(n_customers, count))
    of_fund = csr_array((one, (pairs.fund, pair)), shape=(n_funds, count))
    quota = problem.attainable(problem.quota).astype(np.float64)
    x = cp.Variable(count, boolean=True) if integer else cp.Variable(count, bounds=[0, 1])

    feasibility = problem.feasibility()
    delivered = feasibility.delivered
    total = int(problem.quota.sum())
    slots = np.full(n_customers, float(k)) if problem.slots_of is None else problem.slots_of.astype(np.float64)
    limits = [of_customer @ x <= slots, of_fund @ x <= quota]
    # Where quotas fill the slots, one set of equations implies the other. Stating both costs HiGHS a minute at 5,000
    # customers: its presolve searches for the dependent equation.
    if delivered == total:
        limits[1] = of_fund @ x == quota
    elif delivered == problem.slots:
        limits[0] = of_customer @ x == slots
    else:
        limits.append(cp.sum(x) == delivered)  # infeasible instance: the fullest plans
    if problem.has_ranges:
        low = problem.attainable(problem.quota_low).astype(np.float64)
        if feasibility.shortfall.any():  # as near to the low ends as can be
            y = cp.Variable(n_funds, bounds=[0, low])
            limits += [y <= of_fund @ x, cp.sum(y) == int((problem.quota_low - feasibility.shortfall).sum())]
        else:
            limits.append(of_fund @ x >= low)
    # revenues near 1, so that the solver's absolute tolerances mean the same for any currency
    scale = problem.max_revenue or 1.0
    programme = cp.Problem(cp.Maximize((pairs.revenue.astype(np.float64) / scale) @ x), limits)
    try:
        with warnings.catch_warnings():
            # cvxpy warns of inexact answers in general terms; the certificate says how inexact this one is
            warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
            programme.solve(solver=solver, verbose=verbose, **options)
    except cp.error.SolverError as e:
        if time_limit is not None and programme.status in (None, cp.USER_LIMIT):
            return Found(nothing, True)
        raise AllocationError(f"solver {solver!r} failed: {e}") from e
    if programme.status == cp.USER_LIMIT:
        return Found(_incumbent(problem, pairs, x.value), True)
    if programme.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE) or x.value is None:
        raise AllocationError(f"solver {solver!r} ended with status {programme.status!r}.")
    return Found(_whole(problem, pairs, np.asarray(x.value)), False)


def _options(cp: Any, solver: str, integer: bool, time_limit: float | None) -> dict[str, Any]:
    installed = sorted(cp.installed_solvers())
    if solver not in installed:
        raise InputError(
            f"solver {solver!r} is not installed. Installed: ortools, highs-mip, "
            f"{', '.join(s.lower() for s in installed)}."
        )
    if integer:
        able = sorted(set(installed) & set(require("cvxpy.reductions.solvers.defines", "cvxpy").INSTALLED_MI_SOLVERS))
        if solver not in able:
            raise InputError(
                f"solver {solver!r} has no mixed-integer form. Installed ones that have: "
                f"{', '.join(s.lower() for s in able)}."
            )
    options = copy.deepcopy(_TIGHT.get(solver, {}))  # cvxpy writes into them
    if solver == "SCIPY" and integer:
        options = {"scipy_options": {"mip_rel_gap": 0.0}}  # its mixed-integer form knows no tolerances
    if time_limit is not None:
        if solver not in _TIME_LIMIT:
            raise InputError(f"no time limit can be set for solver {solver!r}; use solver='highs'.")
        for name, value in _TIME_LIMIT[solver](float(time_limit)).items():
            options[name] = options.get(name, {}) | value if isinstance(value, dict) else value
    return options


def _incumbent(problem: AllocationProblem, pairs: Pairs, value: Any) -> np.ndarray:
    """The plan of a stopped solver if it is one, else all slots empty."""
    nothing = np.full((problem.n_customers, problem.k), -1, np.int32)
    if value is None or not np.isfinite(value).all() or np.abs(value - np.rint(value)).max() > 1e-5:
        return nothing
    chosen = np.rint(value) > 0
    per_customer = np.bincount(pairs.customer[chosen], minlength=problem.n_customers)
    per_fund = np.bincount(pairs.fund[chosen], minlength=problem.n_funds)
    slots = problem.k if problem.slots_of is None else problem.slots_of
    if (per_customer > slots).any() or (per_fund > problem.quota).any():
        return nothing
    return pairs.plan(chosen, problem.n_customers, problem.k)


def _whole(problem: AllocationProblem, pairs: Pairs, value: np.ndarray) -> np.ndarray:
    """A 0/1 plan from the solver's optimum.

    A vertex is 0/1 already. A point inside the optimal face (interior-point solvers, where optima tie) uses all pairs
    that some optimal plan uses: the best flow on those pairs alone is one of these plans. The caller proves it.
    """
    if np.abs(value - np.rint(value)).max() <= 1e-6:
        return pairs.plan(np.rint(value) > 0, problem.n_customers, problem.k)
    from ptofa_gpu.allocation._reference_flow import flow_plan
    from ptofa_gpu.allocation.reference import Pairs as SomePairs

    used = value > 1e-5
    return flow_plan(problem, SomePairs(pairs.customer[used], pairs.fund[used], pairs.revenue[used]))
