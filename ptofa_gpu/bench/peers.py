"""The methods that are measured, by name: ours and the solvers others use, each from E in memory to who sees what.

Every peer gets the form that suits it best: the network for min-cost flow and POT's network simplex, the eligible pairs
alone for the linear and integer programmes, and no presolve where that finds nothing.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._lazy import require
from ptofa_gpu._text import nearest
from ptofa_gpu.errors import AllocationError, InputError, MissingPackageError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.reference import Pairs

#: (problem, device, time limit in seconds or None) -> plan
Solve = Callable[["AllocationProblem", str, float | None], "AllocationPlan"]


#: What 32-bit numbers of pairs can count; whether a cell fits into memory is asked before it is run.
_MOST_PAIRS = 2**30


@dataclass(frozen=True)
class Method:
    """One way to allocate, as the benchmark needs to know it.

    Attributes
    ----------
    solve : callable
        Makes the plan. Its ``status`` is ``"time_limit"`` when it stopped for the time limit.
    bytes_per_pair : int
        Memory beyond E, in bytes an eligible pair at most, as measured; with it cells that cannot fit are left out.
    module : str
        What must be importable.
    one_slot : bool
        Solves k = 1 only.
    stops : bool
        Keeps a time limit by itself; the others are killed.
    exact : bool
        Finds the optimum unless it is stopped.
    ours : bool
        Of this package, and with a GPU form.
    """

    solve: Solve
    bytes_per_pair: int
    module: str = ""
    one_slot: bool = False
    stops: bool = True
    exact: bool = True
    ours: bool = False


def _ours(method: str, *, timed: bool) -> Solve:
    def solve(problem: AllocationProblem, device: str, time_limit: float | None) -> AllocationPlan:
        from ptofa_gpu.allocation.api import allocate

        options: dict[str, Any] = {} if time_limit is None or not timed else {"time_limit": time_limit}
        return allocate(problem, method=method, device=device, **options)

    return solve


def _peer(funds_of: Callable[[AllocationProblem, Pairs, float | None], tuple[np.ndarray, bool]]) -> Solve:
    """A solver as others would use it: no certificate is made, for none is asked of it."""

    def solve(problem: AllocationProblem, device: str, time_limit: float | None) -> AllocationPlan:
        from ptofa_gpu.allocation.plan import AllocationPlan, decide_status
        from ptofa_gpu.allocation.reference import eligible_pairs

        funds, limited = funds_of(problem, eligible_pairs(problem, _MOST_PAIRS), time_limit)
        plan = AllocationPlan(problem, funds.astype(np.int16), "reference", "feasible")
        plan.status = "time_limit" if limited else decide_status(plan)
        return plan

    return solve


def _flow(problem: AllocationProblem, pairs: Pairs, time_limit: float | None) -> tuple[np.ndarray, bool]:
    from ptofa_gpu.allocation._reference_flow import flow_plan

    return flow_plan(problem, pairs), False


def _cvxpy(solver: str, *, integer: bool) -> Callable[..., tuple[np.ndarray, bool]]:
    def funds(problem: AllocationProblem, pairs: Pairs, time_limit: float | None) -> tuple[np.ndarray, bool]:
        from ptofa_gpu.allocation._reference_lp import lp_plan

        found = lp_plan(problem, pairs, solver, integer=integer, time_limit=time_limit, verbose=False)
        return found.funds, found.limited

    return funds


def _emd(problem: AllocationProblem, pairs: Pairs, time_limit: float | None) -> tuple[np.ndarray, bool]:
    """Optimal transport of one unit from each customer to the funds; a dummy takes or gives what is left over.

    Only eligible pairs have an arc (POT's sparse form, half the time of a dense matrix with a great cost for the
    others). The masses are whole, so the network simplex ends at a whole-numbered plan.
    """
    ot = import_pot()
    from scipy.sparse import coo_array

    n_customers, n_funds = problem.n_customers, problem.n_funds
    quota = np.minimum(problem.quota, n_customers).astype(np.float64)
    spare = n_customers - int(quota.sum())
    supply, demand = np.ones(n_customers), quota
    row, column, value = pairs.customer, pairs.fund, pairs.revenue.astype(np.float64)
    if spare > 0:  # slots that stay empty go to a dummy fund that everybody may see
        supply, demand = supply, np.append(quota, float(spare))
        row = np.append(row, np.arange(n_customers, dtype=np.int32))
        column = np.append(column, np.full(n_customers, n_funds, np.int32))
        value = np.append(value, np.zeros(n_customers))
    elif spare < 0:  # exposures that nobody takes come from a dummy customer
        supply = np.append(supply, float(-spare))
        row = np.append(row, np.full(n_funds, n_customers, np.int32))
        column = np.append(column, np.arange(n_funds, dtype=np.int32))
        value = np.append(value, np.zeros(n_funds))
    # costs above zero: POT takes a stored zero for an arc that is not there
    top = float(value.max(initial=0.0))
    cost = coo_array((top - value + (1.0 + abs(top)), (row, column)), shape=(supply.size, demand.size))
    flow, log = ot.emd(supply, demand, cost, numItermax=2**60, center_dual=False, log=True)
    if log["warning"] is not None:
        raise AllocationError(f"POT's ot.emd ended with: {log['warning']}")
    flow = flow.tocoo()
    used = (flow.data > 0.5) & (flow.row < n_customers) & (flow.col < n_funds)
    funds = np.full((n_customers, 1), -1, np.int16)
    funds[flow.row[used], 0] = flow.col[used]
    return funds, False


def import_pot() -> Any:
    """POT without the array libraries it would load beside NumPy: their memory is none of its own."""
    for library in ("PYTORCH", "CUPY", "JAX", "TENSORFLOW"):
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{library}", "1")
    return require("ot", "the method pot-emd")


def _wrapped(backend: str) -> Callable[..., tuple[np.ndarray, bool]]:
    """The 0/1 programme through OR-Tools' linear_solver, which brings SCIP and CBC along."""

    def funds(problem: AllocationProblem, pairs: Pairs, time_limit: float | None) -> tuple[np.ndarray, bool]:
        from ptofa_gpu.allocation._reference_lp import _incumbent

        started, solver = time.perf_counter(), integer_solver(backend)
        count, lp = len(pairs), require("ortools.linear_solver.pywraplp", f"the method {backend.lower()}")
        x = [solver.BoolVar("") for _ in range(count)]
        objective = solver.Objective()
        scale = problem.max_revenue or 1.0  # revenues near 1: the solver's tolerances are absolute
        for variable, value in zip(x, (pairs.revenue.astype(np.float64) / scale).tolist()):
            objective.SetCoefficient(variable, value)
        objective.SetMaximization()
        quota, total = np.minimum(problem.quota, problem.n_customers), int(problem.quota.sum())
        most = [float(q) for q in quota]
        least = most if total <= problem.slots else [0.0] * problem.n_funds
        of_fund = [solver.Constraint(low, high) for low, high in zip(least, most)]
        full = 0.0 if total < problem.slots else float(problem.k)
        of_customer = [solver.Constraint(full, float(problem.k)) for _ in range(problem.n_customers)]
        for variable, u, f in zip(x, pairs.customer.tolist(), pairs.fund.tolist()):
            of_customer[u].SetCoefficient(variable, 1.0)
            of_fund[f].SetCoefficient(variable, 1.0)
        if time_limit is not None:
            left = time_limit - (time.perf_counter() - started)  # stating the problem has taken its share
            solver.SetTimeLimit(max(1, int(left * 1000)))
        exactly = lp.MPSolverParameters()
        exactly.SetDoubleParam(lp.MPSolverParameters.RELATIVE_MIP_GAP, 0.0)
        status = solver.Solve(exactly)
        solved = status in (lp.Solver.OPTIMAL, lp.Solver.FEASIBLE)
        # CBC, stopped before it has a plan, says "infeasible" through OR-Tools; the clock tells the two apart
        late = time_limit is not None and time.perf_counter() - started >= 0.98 * time_limit
        if not (solved or status == lp.Solver.NOT_SOLVED or late):
            raise AllocationError(f"{backend} ended with status {status} of OR-Tools' linear_solver.")
        value = np.array([v.solution_value() for v in x]) if solved else None
        return _incumbent(problem, pairs, value), status != lp.Solver.OPTIMAL

    return funds


def integer_solver(backend: str) -> Any:
    """OR-Tools' own SCIP or CBC."""
    lp = require("ortools.linear_solver.pywraplp", f"the method {backend.lower()}")
    solver = lp.Solver.CreateSolver(backend)
    if solver is None:
        raise MissingPackageError(f"this build of OR-Tools has no {backend}. Run: pip install 'ortools>=9.15,<10'")
    return solver


_FLOW = "ortools.graph.python.min_cost_flow"
_LINEAR = "ortools.linear_solver.pywraplp"

#: In the order in which they are run: `optimal` first, its certificate says what the others' objectives are a share of.
METHODS: dict[str, Method] = {
    "optimal": Method(_ours("optimal", timed=True), 80, ours=True),
    "heuristic": Method(_ours("heuristic", timed=True), 30, exact=False, ours=True),
    "manual": Method(_ours("manual", timed=False), 30, stops=False, exact=False, ours=True),
    "topk": Method(_ours("topk", timed=False), 30, stops=False, exact=False, ours=True),
    "ortools-flow": Method(_peer(_flow), 120, _FLOW, stops=False),
    "pot-emd": Method(_peer(_emd), 250, "ot", one_slot=True, stops=False),
    "highs-lp": Method(_peer(_cvxpy("HIGHS", integer=False)), 800, "cvxpy"),
    "highs-mip": Method(_peer(_cvxpy("HIGHS", integer=True)), 1_800, "cvxpy"),
    "scip": Method(_peer(_wrapped("SCIP")), 5_000, _LINEAR),
    "cbc": Method(_peer(_wrapped("CBC")), 4_000, _LINEAR),
}


def check_methods(names: Iterable[str]) -> list[str]:
    """The named methods in the order in which they are run.

    Raises
    ------
    InputError
        An unknown name, or none at all.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in METHODS:
            raise InputError(f"method {name!r} is not known{nearest(name, METHODS)} There are: {', '.join(METHODS)}")
    if not wanted:
        raise InputError(f"no method is named; there are: {', '.join(METHODS)}")
    return [name for name in METHODS if name in wanted]


def require_package(name: str) -> None:
    """Raise `MissingPackageError`, naming the extra, where the package of a method is not installed."""
    module = METHODS[name].module.partition(".")[0]
    if module and importlib.util.find_spec(module) is None:
        package = {"ot": "pot"}.get(module, module)
        raise MissingPackageError(
            f"the method {name} needs the package {package}, which is not installed. Run: pip install {package} "
            "(or all that the benchmarks can use: pip install 'ptofa-gpu[bench]')",
            name=module,
        )


def memory_needed(name: str, customers: int, funds: int) -> int:
    """Bytes a process needs for this method at this size: the interpreter, E, and what the method makes of it."""
    pairs = customers * funds
    return (350 << 20) + 4 * pairs + METHODS[name].bytes_per_pair * pairs
