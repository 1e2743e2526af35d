"""Open solvers as judges: min-cost flow by OR-Tools, and the linear or mixed-integer programme by cvxpy.

For instances up to some millions of pairs, for users who want a second opinion, and for the tests of the fast
allocators. Both forms are exact: the constraint matrix is that of a bipartite network, so the linear programme has a
0/1 optimum (PTOFA, arXiv 2503.03165, states it as an integer programme, Eq. 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptofa_gpu.allocation.memory import require_memory
from ptofa_gpu.errors import AllocationError, InfeasibleError, InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.feasibility import Feasibility
    from ptofa_gpu.allocation.problem import AllocationProblem

#: Above this many eligible pairs a general solver's memory passes some 10 GB.
MAX_PAIRS = 50_000_000
#: Bytes an eligible pair in a solver, as measured with 160,000 to 3,200,000 of them: a flow in OR-Tools (88 to 134), a
#: linear programme in HiGHS (812 to 848), any other (1,412 to 2,157).
PAIR_BYTES = {"ORTOOLS": 140, "HIGHS": 900}
ANY_PAIR_BYTES = 2200
Status = Literal["optimal", "feasible", "infeasible", "time_limit"]


@dataclass(frozen=True)
class Solution:
    """What a reference solver found.

    Attributes
    ----------
    funds : array (U, K) of int32
        Fund indices of each customer, best revenue first (ties: lower index first), -1 for an empty slot.
    price : array (F,) of float64 or None
        Shadow prices (:mod:`ptofa_gpu.allocation.certificate`); None where no plan was found.
    bound : float
        Upper bound on any plan's revenue; nan where no plan was found.
    status : str
        ``optimal`` where the certificate proves it; ``feasible`` where the solver stopped short of that by its own
        tolerances (`bound` says how far); ``infeasible`` for the best of the fullest plans of an infeasible instance
        (``on_infeasible="relax"``); ``time_limit`` when the solver was stopped: `funds` is then its best plan, or
        all -1 when it had none.
    """

    funds: np.ndarray
    price: np.ndarray | None
    bound: float
    status: Status


@dataclass(frozen=True)
class Pairs:
    """The eligible (customer, fund) pairs, customer by customer."""

    customer: np.ndarray  # (P,) int32
    fund: np.ndarray  # (P,) int32
    revenue: np.ndarray  # (P,) float32

    def __len__(self) -> int:
        return int(self.customer.size)

    def plan(self, chosen: np.ndarray, n_customers: int, k: int) -> np.ndarray:
        """(U, K) funds from the chosen pairs (bool or positions), best revenue first."""
        u, f, e = self.customer[chosen], self.fund[chosen], self.revenue[chosen]
        order = np.lexsort((f, -e, u))
        u, f = u[order], f[order]
        first = np.searchsorted(u, np.arange(n_customers))
        funds = np.full((n_customers, k), -1, np.int32)
        funds[u, np.arange(u.size) - first[u]] = f
        return funds


def solve_reference(
    problem: AllocationProblem,
    solver: str | None = None,
    integer: bool = False,
    time_limit: float | None = None,
    on_infeasible: Literal["raise", "relax"] = "raise",
    verbose: bool = False,
    max_memory: int | str | None = None,
) -> Solution:
    """Solve an allocation problem exactly with an open solver.

    Quotas that fill the slots or leave some empty are met exactly; quotas that sum to more are upper bounds (ranges
    keep to their low ends too), and every slot is filled.

    Parameters
    ----------
    problem : AllocationProblem
    solver : str, optional
        ``"ortools"``: min-cost flow, the fastest, used by default. Any installed cvxpy solver by name (``"highs"``,
        ``"scipy"``, ``"clarabel"``, ...; case does not matter): linear programme. ``"highs-mip"``: mixed-integer
        programme by HiGHS. With `integer` or `time_limit` the default is HiGHS: a min-cost flow cannot be stopped.
    integer : bool
        State the problem with 0/1 variables, as the paper does. Slower, same optimum.
    time_limit : float, optional
        Seconds the solver may take.
    on_infeasible : {"raise", "relax"}
        What to do when no plan meets every constraint: an error, or the plan of greatest revenue among those with the
        most exposures.
    verbose : bool
        Let the solver write its log to stdout.
    max_memory : int or str, optional
        Bytes (or "2 GiB") that may be taken; by default those there are.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        For a solver that is not installed or cannot do what is asked, and for more than 50 million eligible pairs.
    InfeasibleError
        When no plan meets every constraint and `on_infeasible` is ``"raise"``.
    AllocationError
        When the solver fails, or its answer is no plan with as many exposures as are possible.
    MissingPackageError
        When OR-Tools or cvxpy is not installed.
    OutOfMemoryError
        When all eligible pairs in the solver's form take more than may be taken, by estimate; before the work.
    """
    if on_infeasible not in ("raise", "relax"):
        raise InputError(f"on_infeasible={on_infeasible!r}; it is 'raise' or 'relax'.")
    if time_limit is not None and not time_limit > 0:
        raise InputError(f"time_limit={time_limit} seconds; it must be positive.")
    if solver is None:
        solver = "ortools" if not integer and time_limit is None else "highs"
    name = str(solver).upper()
    if name == "HIGHS-MIP":
        name, integer = "HIGHS", True
    if name == "ORTOOLS" and (integer or time_limit is not None):
        raise InputError(
            f"solver='ortools' is a min-cost flow: it has no {'mixed-integer form' if integer else 'time limit'}. "
            "Use solver='highs'."
        )
    require_memory(
        (ANY_PAIR_BYTES if integer else PAIR_BYTES.get(name, ANY_PAIR_BYTES)) * int(problem.eligible_counts().sum()),
        f"solver={solver!r} holds every pair of a customer and a fund that they may see at once, which",
        "Use method='optimal', which works by blocks.",
        max_memory,
    )
    feasible = problem.feasibility()
    if not feasible.ok and on_infeasible == "raise":
        raise InfeasibleError(feasible.explain())
    whole, problem = problem, problem.core().problem
    pairs = eligible_pairs(problem)
    limited = False
    if name == "ORTOOLS":
        from ptofa_gpu.allocation._reference_flow import flow_plan

        funds = flow_plan(problem, pairs)
    else:
        from ptofa_gpu.allocation._reference_lp import lp_plan

        found = lp_plan(problem, pairs, name, integer=integer, time_limit=time_limit, verbose=verbose)
        funds, limited = found.funds, found.limited
    return _proved(whole, funds, feasible, limited=limited, solver=solver)


def _proved(
    problem: AllocationProblem, funds: np.ndarray, feasible: Feasibility, *, limited: bool, solver: Any
) -> Solution:
    """The solution with its certificate, which alone decides whether it is called optimal."""
    from ptofa_gpu.allocation.certificate import shadow_prices

    delivered = feasible.delivered
    exposures = np.bincount(funds[funds >= 0], minlength=problem.n_funds)
    filled, missing = int(exposures.sum()), int(np.maximum(problem.quota_low - exposures, 0).sum())
    possible = int(feasible.shortfall.sum())
    if limited and (filled < delivered or missing > possible):
        return Solution(np.full_like(funds, -1), None, float("nan"), "time_limit")
    if filled < delivered:
        raise AllocationError(
            f"solver {solver!r} claims an optimum with {filled:,} exposures where {delivered:,} are possible. "
            "Use solver='ortools' or 'highs'."
        )
    if missing > possible:
        raise AllocationError(
            f"solver {solver!r} claims an optimum that misses {missing:,} exposures of the low ends where {possible:,} "
            "would do. Use solver='ortools' or 'highs'."
        )
    proof = shadow_prices(problem, funds)
    status: Status = "optimal" if proof.optimal else "feasible"
    if not feasible.ok:
        status = "infeasible"
    elif limited and not proof.optimal:
        status = "time_limit"
    return Solution(funds, proof.price, proof.bound, status)


def eligible_pairs(problem: AllocationProblem, most: int | None = None) -> Pairs:
    """All eligible pairs of `problem`; an `InputError` above `most`, by default :data:`MAX_PAIRS`."""
    count, most = int(problem.eligible_counts().sum()), MAX_PAIRS if most is None else most
    if count > most:
        raise InputError(
            f"{count:,} eligible pairs are too many for a reference solver (at most {most:,}). "
            "Use method='optimal' or 'heuristic'."
        )
    customer, fund = np.empty(count, np.int32), np.empty(count, np.int32)
    value = np.empty(count, np.float32)
    at = 0
    for lo, hi, revenue in problem.host_blocks():
        u, f = np.nonzero(problem.eligible_rows(lo, hi))
        customer[at : at + u.size], fund[at : at + u.size] = u + lo, f
        value[at : at + u.size] = revenue[u, f]
        at += u.size
    return Pairs(customer, fund, value)
