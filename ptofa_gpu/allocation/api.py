"""`allocate`: one call for every allocator."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from ptofa_gpu._arguments import instance, progress_of, seed_of
from ptofa_gpu.allocation._exact import rounded_up
from ptofa_gpu.allocation.blocks import RevenueBlocks
from ptofa_gpu.allocation.core import find_largest
from ptofa_gpu.allocation.memory import exchange_bytes, require_memory
from ptofa_gpu.allocation.options import (
    METHODS,
    HeuristicOptions,
    Limited,
    ManualOptions,
    OptimalOptions,
    Options,
    ReferenceOptions,
    read_options,
)
from ptofa_gpu.allocation.plan import OPTIMAL_GAP, AllocationPlan, decide_status
from ptofa_gpu.allocation.problem import AllocationProblem
from ptofa_gpu.allocation.watch import Watch
from ptofa_gpu.device import resolve_device, to_device
from ptofa_gpu.errors import InfeasibleError, OutOfMemoryError, PtofaWarning

__all__ = ["METHODS", "Method", "allocate"]


def allocate(
    problem: AllocationProblem,
    method: str = "optimal",
    device: str = "auto",
    seed: int = 0,
    progress: Any = None,
    **options: Any,
) -> AllocationPlan:
    """Decide who sees which fund.

    Parameters
    ----------
    problem : AllocationProblem
    method : {"optimal", "heuristic", "manual", "topk", "reference"}
        ``optimal`` finds the plan of greatest expected revenue and the prices that prove it; ``heuristic`` is
        Algorithm 1 of PTOFA (arXiv 2503.03165); ``manual`` and ``topk`` are baselines that do not promise to meet the
        quotas (topk ignores them); ``reference`` solves the linear programme with open solvers, for small instances
        and as a judge.
    device : {"auto", "cpu", "cuda"}
        ``auto`` works where the revenue lives; see `ptofa_gpu.device.resolve_device`.
    seed : int
        Accepted by every method; the present ones are deterministic and do not draw from it.
    progress : True or callable(done, total), optional
        A progress bar, or a function told of the customers served.
    **options
        ``block_rows``, how many customers are looked at together, and ``max_memory``, the bytes (or "2 GiB") that the
        call may take beyond the problem's data: 48 a customer for k = 1, and one block of E where that is read from a
        file or copied to the device. By default blocks fit the memory there is. The plan never depends on either.
        All but the baselines: ``time_limit`` in seconds, ``on_infeasible`` = "raise" | "relax" (serve as many exposures
        as possible and report every shortfall).
        optimal: ``warm_start``, the prices of an earlier plan to start from.
        heuristic: ``tail`` = "zero" | "drop" | "inf" (see `ptofa_gpu.ops.score.score_and_pick`), ``repair`` = True
        completes the plan wherever the instance is feasible, False gives the paper's own result (and then never raises
        for infeasibility: the plan's status says it).
        manual: ``priority``, the funds' indices or names in the order in which they choose; or each fund's place, 1
        first, as a dict, Series or frame.
        reference: ``solver`` = None or "ortools" (min-cost flow) or any installed cvxpy solver by name;
        ``integer=True`` for the mixed-integer form.

    Returns
    -------
    AllocationPlan

    Warns
    -----
    PtofaWarning
        When the plan of ``optimal`` is not proved to within 1e-9 because of values very far apart: which one it is.

    Raises
    ------
    InputError
        An unknown method, option or value; revenue that has become NaN or infinite meanwhile.
    InfeasibleError
        No plan meets the constraints; the message explains which funds and customers are in the way.
    DeviceError
        ``device="cuda"`` without a usable GPU.
    OutOfMemoryError
        What the method needs by estimate does not fit in ``max_memory`` or in what there is: the customers and a block
        of E; for ``optimal`` 60 bytes for each pair of funds and 30 for each pair of a fund and one of some 8,000
        customers, too; for ``reference`` some 100 bytes (OR-Tools) to 2,200 for each pair of a customer and a fund. The
        work has not begun then. Also where memory runs out on the way.

    Examples
    --------
    >>> import numpy as np, ptofa_gpu as ptofa
    >>> problem = ptofa.AllocationProblem(np.array([[3.0, 1.0], [2.0, 1.5]]), quota=[1, 1])
    >>> plan = ptofa.allocate(problem, method="heuristic", device="cpu")
    >>> plan.funds.ravel().tolist(), plan.objective
    ([0, 1], 4.5)
    """
    instance("problem", problem, AllocationProblem)
    chosen = read_options(method, options)
    seed_of(seed)
    where = resolve_device(device, problem.revenue)
    watch = Watch(problem.n_customers, progress_of(progress), getattr(chosen, "time_limit", None))
    try:
        problem.measure()  # E may have changed since it was looked at
        plan = _SOLVERS[method](problem, where, watch, chosen)
    except BaseException as e:
        _let_go(e)
        if isinstance(e, MemoryError) and not isinstance(e, OutOfMemoryError):
            raise OutOfMemoryError(
                f"memory ran out in method={method!r} with {problem.n_customers:,} customers x {problem.n_funds:,} "
                f"funds: {str(e) or 'no more could be had'}. Free some, or use fewer funds or customers."
            ) from e
        raise
    finally:
        watch.close()
    if watch.timed_out and plan.status != "optimal":
        plan.status = "time_limit"
    plan.seconds = watch.seconds
    return plan


def _let_go(error: BaseException) -> None:
    """Empty our own frames that `error` remembers: who keeps it (as Jupyter does) would keep every array they held,
    and the GPU's memory with them."""
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).startswith("ptofa_gpu."):
            with suppress(RuntimeError):  # this one is still at work
                trace.tb_frame.clear()
        trace = trace.tb_next


def _optimal(problem: AllocationProblem, device: Any, watch: Watch, options: OptimalOptions) -> AllocationPlan:
    from ptofa_gpu.allocation.certificate import check_prices, dual_bound, shadow_prices, with_left_out
    from ptofa_gpu.allocation.optimal import optimal

    for_exchange = exchange_bytes(problem.n_customers, problem.n_funds)
    require_memory(
        for_exchange,
        f"method='optimal' with {problem.n_funds:,} funds looks at swaps between all pairs of them, which",
        "Use method='heuristic', or fewer funds.",
        options.max_memory,
    )
    feasible = _require_feasible(problem, options.on_infeasible)
    warm_start = None if options.warm_start is None else check_prices(problem, options.warm_start, "warm_start")
    core = problem.core()
    found = optimal(core.problem, _blocks(core.problem, device, options, for_exchange), watch, warm_start)
    funds = found.funds
    if not found.complete:
        funds = _in_a_hurry(core.problem, funds, options)
    plan = _plan(problem, to_device(funds, device), "optimal", device, options)
    if feasible:
        plan.price = with_left_out(core, found.price, under=problem.case == "under")
        plan.bound = max(rounded_up(Fraction(found.bound) + core.when_full), plan.objective)
        if plan.gap > OPTIMAL_GAP and found.complete:  # what is rounded to units may make more of it than there is
            plan.bound = max(min(plan.bound, dual_bound(problem, plan.price)), plan.objective)
        plan.status = decide_status(plan)
        if not found.complete and plan.status != "optimal":
            plan.status = "time_limit"
        if found.complete and (plan.status != "optimal" or _hides_the_rest(plan)):
            _say_what_rounding_costs(plan)
    elif found.complete:
        proof = shadow_prices(problem, plan.funds)
        plan.price, plan.bound = proof.price, proof.bound
    return plan


def _in_a_hurry(problem: AllocationProblem, funds: Any, options: Options) -> np.ndarray:
    """`funds`, on the host, made a plan that keeps the rules: the time is up, and that matters more than revenue."""
    from ptofa_gpu.allocation.repair import complete, keep_to_quotas

    funds, revenue = to_device(funds, "cpu"), _blocks(problem, "cpu", options)
    keep_to_quotas(problem, funds, revenue)
    return complete(problem, funds, revenue, Watch(0, None, None), hurried=True)


#: Exposures worth less than the largest by so many powers of two are those that rounding to units may decide; what it
#: may cost is said from this share of their revenue on, where they are such a share of all.
RESOLVED, WORTH_SAYING, MANY = 24, 1e-4, 0.1


def _hides_the_rest(plan: AllocationPlan) -> bool:
    """Whether what is left open is little beside the largest values and much beside many that are far smaller."""
    count, rest = plan.below(RESOLVED)
    return count > MANY * int(plan.exposures.sum()) and plan.bound - plan.objective > WORTH_SAYING * rest


def _say_what_rounding_costs(plan: AllocationPlan) -> None:
    """A plan that is the best one in whole units, and not proved so in currency: why, and because of whom."""
    row, fund, value = find_largest(plan.problem)
    plan.note = (
        f"proved to within {plan.bound - plan.objective:.6g} ({plan.gap:.1e}) of the best plan only: the largest "
        f"revenue that can be chosen is {value:.6g} (customer row {row}, fund {plan.problem.names[fund]!r}), and "
        "beside it smaller differences are rounded away"
    )
    warnings.warn(
        f"the plan is {plan.note}. If that value stands for a pair that may not be shown, exclude the pair instead.",
        PtofaWarning,
        stacklevel=4,
    )


def _blocks(problem: AllocationProblem, device: Any, options: Options, on_host: int = 0) -> RevenueBlocks:
    """E on the device that does the work, in blocks that fit beside so many bytes `on_host`."""
    return problem.revenue_blocks(options.block_rows, options.max_memory, device, on_host=on_host)


def _require_feasible(problem: AllocationProblem, on_infeasible: str) -> bool:
    """Whether every constraint can be met; if not, and that is not to be relaxed, the error that explains why."""
    feasibility = problem.feasibility()
    if not feasibility.ok and on_infeasible == "raise":
        raise InfeasibleError(feasibility.explain())
    return feasibility.ok


def _heuristic(problem: AllocationProblem, device: Any, watch: Watch, options: HeuristicOptions) -> AllocationPlan:
    from ptofa_gpu.allocation.heuristic import heuristic
    from ptofa_gpu.allocation.repair import complete

    if options.repair:
        _require_feasible(problem, options.on_infeasible)
    revenue = _blocks(problem, device, options)
    funds = heuristic(problem, revenue, options.tail, watch)
    if options.repair:
        if not watch.timed_out:
            funds = complete(problem, funds, revenue, watch)
        if watch.timed_out:
            funds = to_device(_in_a_hurry(problem, funds, options), device)
    return _plan(problem, funds, "heuristic", device, options if options.repair else None)


def _manual(problem: AllocationProblem, device: Any, watch: Watch, options: ManualOptions) -> AllocationPlan:
    from ptofa_gpu.allocation.baselines import manual

    return _plan(problem, manual(problem, _blocks(problem, device, options), options.priority), "manual", device)


def _topk(problem: AllocationProblem, device: Any, watch: Watch, options: Options) -> AllocationPlan:
    from ptofa_gpu.allocation.baselines import topk

    return _plan(problem, topk(problem, _blocks(problem, device, options)), "topk", device)


def _reference(problem: AllocationProblem, device: Any, watch: Watch, options: ReferenceOptions) -> AllocationPlan:
    from ptofa_gpu.allocation.reference import solve_reference

    solution = solve_reference(
        problem,
        solver=options.solver,
        integer=options.integer,
        time_limit=None if math.isinf(watch.limit) else watch.limit,
        on_infeasible=options.on_infeasible,
        max_memory=options.max_memory,
    )
    plan = _plan(problem, solution.funds.astype(np.int16), "reference", "cpu", options)
    plan.price, plan.bound = solution.price, solution.bound
    plan.status = decide_status(plan)
    if plan.status != "optimal" and solution.status == "time_limit":
        plan.status = "time_limit"
    elif plan.status == "feasible":
        plan.note = f"proved to within {plan.gap:.1e} of the best plan only: the solver works with rounded numbers"
    return plan


def _plan(
    problem: AllocationProblem, funds: Any, method: str, device: str, options: Limited | None = None
) -> AllocationPlan:
    relaxed = options is not None and options.on_infeasible == "relax"
    plan = AllocationPlan(problem, funds, method, "feasible", device, relaxed=relaxed)
    plan.status = decide_status(plan)
    return plan


_SOLVERS: dict[str, Callable[[AllocationProblem, Any, Watch, Any], AllocationPlan]] = {
    "optimal": _optimal,
    "heuristic": _heuristic,
    "manual": _manual,
    "topk": _topk,
    "reference": _reference,
}

Method = Literal["optimal", "heuristic", "manual", "topk", "reference"]
