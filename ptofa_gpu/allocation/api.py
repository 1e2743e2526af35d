"""`allocate`: one call for every allocator."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import numpy as np

from ptofa_gpu.allocation.blocks import RevenueBlocks
from ptofa_gpu.allocation.memory import require_memory
from ptofa_gpu.allocation.plan import AllocationPlan, decide_status
from ptofa_gpu.allocation.problem import AllocationProblem
from ptofa_gpu.allocation.watch import Watch
from ptofa_gpu.device import resolve_device, to_device
from ptofa_gpu.errors import InfeasibleError, InputError
from ptofa_gpu.ops.score import TAILS

METHODS = ("optimal", "heuristic", "manual", "topk", "reference")
_OPTIONS: dict[str, set[str]] = {
    "optimal": {"time_limit", "on_infeasible", "warm_start"},
    "heuristic": {"time_limit", "on_infeasible", "tail", "repair"},
    "manual": {"priority"},
    "topk": set(),
    "reference": {"time_limit", "on_infeasible", "solver", "integer"},
}
_EVERY_METHOD = {"block_rows", "max_memory"}


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
        manual: ``priority``, the funds' indices in the order in which they choose.
        reference: ``solver`` = None or "ortools" (min-cost flow) or any installed cvxpy solver by name;
        ``integer=True`` for the mixed-integer form.

    Returns
    -------
    AllocationPlan
        The first call of a fresh installation compiles the CPU code for some seconds; the plan's note says so.

    Raises
    ------
    InputError
        An unknown method, option or value.
    InfeasibleError
        No plan meets the constraints; the message explains which funds and customers are in the way.
    DeviceError
        ``device="cuda"`` without a usable GPU.
    OutOfMemoryError
        The customers and a block of E (for ``reference`` all of E) do not fit in memory; nothing was allocated.

    Examples
    --------
    >>> import numpy as np, ptofa_gpu as ptofa
    >>> problem = ptofa.AllocationProblem(np.array([[3.0, 1.0], [2.0, 1.5]]), quota=[1, 1])
    >>> plan = ptofa.allocate(problem, method="heuristic", device="cpu")
    >>> plan.funds.ravel().tolist(), plan.objective
    ([0, 1], 4.5)
    """
    _check_options(method, options)
    where = resolve_device(device, problem.revenue)
    compiled = _compiled_functions()
    watch = Watch(problem.n_customers, progress, options.pop("time_limit", None))
    try:
        plan = _SOLVERS[method](problem, where, watch, options)
    except BaseException as e:
        _let_go(e)
        raise
    finally:
        watch.close()
    if watch.timed_out and plan.status != "optimal":
        plan.status = "time_limit"
    plan.seconds = watch.seconds
    if _compiled_functions() > compiled:
        plan.note = "the time includes compiling the CPU code, once an installation; the next call is quicker"
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


def _compiled_functions() -> int:
    """How many functions of ours Numba has compiled in this process (and not loaded from its cache)."""
    from numba.core.dispatcher import Dispatcher

    ours = [m for name, m in sys.modules.items() if name.startswith(("ptofa_gpu.ops.", "ptofa_gpu.allocation."))]
    functions = {id(f): f for m in ours for f in vars(m).values() if isinstance(f, Dispatcher)}
    return sum(sum(f.stats.cache_misses.values()) for f in functions.values())


def _check_options(method: str, options: dict[str, Any]) -> None:
    if method not in METHODS:
        raise InputError(f"method={method!r} is not known; choose one of {', '.join(METHODS)}.")
    unknown = sorted(set(options) - _OPTIONS[method] - _EVERY_METHOD)
    if unknown:
        known = ", ".join(sorted(_OPTIONS[method] | _EVERY_METHOD))
        raise InputError(f"method={method!r} has no option {', '.join(unknown)}; its options: {known}.")
    if options.get("on_infeasible", "raise") not in ("raise", "relax"):
        raise InputError(f"on_infeasible={options['on_infeasible']!r} is not known; choose 'raise' or 'relax'.")
    if options.get("tail", "zero") not in TAILS:
        raise InputError(f"tail={options['tail']!r} is not known; choose one of {', '.join(TAILS)}.")


def _optimal(problem: AllocationProblem, device: Any, watch: Watch, options: dict[str, Any]) -> AllocationPlan:
    from ptofa_gpu.allocation.optimal import optimal
    from ptofa_gpu.allocation.repair import complete, keep_to_quotas

    on_infeasible = options.get("on_infeasible", "raise")
    feasible = _require_feasible(problem, on_infeasible)
    warm_start = _check_prices(options.get("warm_start"), problem)
    found = optimal(problem, _blocks(problem, device, options), watch, warm_start)
    funds = found.funds
    if not found.complete:  # the time is up; a plan must keep the rules
        funds, revenue = to_device(funds, "cpu"), _blocks(problem, "cpu", options)
        keep_to_quotas(problem, funds, revenue)
        complete(problem, funds, revenue, Watch(0, None, None), hurried=True)
    plan = _plan(problem, to_device(funds, device), "optimal", device, relaxed=on_infeasible == "relax")
    if feasible:
        plan.price, plan.bound = found.price, max(found.bound, plan.objective)
        plan.status = "optimal" if found.complete else "time_limit"
    elif found.complete:
        from ptofa_gpu.allocation.certificate import shadow_prices

        proof = shadow_prices(problem, plan.funds)
        plan.price, plan.bound = proof.price, proof.bound
    return plan


def _check_prices(price: Any, problem: AllocationProblem) -> np.ndarray | None:
    if price is None:
        return None
    out = np.asarray(price, dtype=np.float64)
    if out.shape != (problem.n_funds,) or not np.isfinite(out).all():
        raise InputError(
            f"warm_start has shape {out.shape}; it needs one finite price for each of the {problem.n_funds} funds, "
            "such as an earlier plan's price."
        )
    return out


def _blocks(problem: AllocationProblem, device: Any, options: dict[str, Any]) -> RevenueBlocks:
    """E on the device that does the work, in blocks that fit."""
    return problem.revenue_blocks(options.get("block_rows"), options.get("max_memory"), device)


def _require_feasible(problem: AllocationProblem, on_infeasible: str) -> bool:
    """Whether every constraint can be met; if not, and that is not to be relaxed, the error that explains why."""
    feasibility = problem.feasibility()
    if not feasibility.ok and on_infeasible == "raise":
        raise InfeasibleError(feasibility.explain())
    return feasibility.ok


def _heuristic(problem: AllocationProblem, device: Any, watch: Watch, options: dict[str, Any]) -> AllocationPlan:
    from ptofa_gpu.allocation.heuristic import heuristic
    from ptofa_gpu.allocation.repair import complete

    repair = bool(options.get("repair", True))
    on_infeasible = options.get("on_infeasible", "raise")
    if repair:
        _require_feasible(problem, on_infeasible)
    revenue = _blocks(problem, device, options)
    funds = heuristic(problem, revenue, options.get("tail", "zero"), watch)
    if repair:
        funds = complete(problem, funds, revenue, watch)
    return _plan(problem, funds, "heuristic", device, relaxed=repair and on_infeasible == "relax")


def _manual(problem: AllocationProblem, device: Any, watch: Watch, options: dict[str, Any]) -> AllocationPlan:
    from ptofa_gpu.allocation.baselines import manual

    funds = manual(problem, _blocks(problem, device, options), options.get("priority"))
    return _plan(problem, funds, "manual", device)


def _topk(problem: AllocationProblem, device: Any, watch: Watch, options: dict[str, Any]) -> AllocationPlan:
    from ptofa_gpu.allocation.baselines import topk

    return _plan(problem, topk(problem, _blocks(problem, device, options)), "topk", device)


def _reference(problem: AllocationProblem, device: Any, watch: Watch, options: dict[str, Any]) -> AllocationPlan:
    from ptofa_gpu.allocation.reference import solve_reference

    on_infeasible = options.get("on_infeasible", "raise")
    require_memory(
        problem.revenue_blocks().nbytes,
        "method='reference' holds all of E, which",
        "Use method='optimal', which works by blocks.",
        max_memory=options.get("max_memory"),
    )
    _require_feasible(problem, on_infeasible)
    solution = solve_reference(
        problem,
        solver=options.get("solver"),
        integer=bool(options.get("integer", False)),
        time_limit=None if math.isinf(watch.limit) else watch.limit,
        on_infeasible=on_infeasible,
    )
    plan = _plan(problem, solution.funds.astype(np.int16), "reference", "cpu", relaxed=on_infeasible == "relax")
    plan.price, plan.bound = solution.price, solution.bound
    if solution.status in ("optimal", "time_limit"):
        plan.status = solution.status
    return plan


def _plan(problem: AllocationProblem, funds: Any, method: str, device: str, relaxed: bool = False) -> AllocationPlan:
    plan = AllocationPlan(problem, funds, method, "feasible", device, relaxed=relaxed)
    plan.status = decide_status(problem, plan.exposures)
    return plan


_SOLVERS: dict[str, Callable[[AllocationProblem, Any, Watch, dict[str, Any]], AllocationPlan]] = {
    "optimal": _optimal,
    "heuristic": _heuristic,
    "manual": _manual,
    "topk": _topk,
    "reference": _reference,
}

Method = Literal["optimal", "heuristic", "manual", "topk", "reference"]
