"""Several allocators on one problem, side by side: revenue, share of the best bound, quotas kept, time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptofa_gpu._arguments import listed, mapping, one_of, real_array, seed_of
from ptofa_gpu.device import to_device
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import allocation_problem
from ptofa_gpu.evaluation._table import html_table, percent

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem


@dataclass(frozen=True)
class ComparisonRow:
    """One allocator's result. Money in the problem's currency, the rest in exposures or seconds."""

    method: str
    #: sum of predicted revenue over the exposures of the plan
    objective: float
    #: objective / the smallest certified upper bound, which speaks of plans that meet every quota: a plan that breaks
    #: quotas, or leaves out exposures of little revenue, can pass 1; NaN without a bound
    share: float
    #: sum of true revenue where the world's truth is known, else NaN
    true_revenue: float
    unfilled: int
    #: exposures above quota, summed over funds
    over_quota: int
    #: exposures bought and not delivered, summed over funds
    under_quota: int
    seconds: float
    status: str

    @property
    def keeps_quotas(self) -> bool:
        """Whether no fund gets more exposures than it bought."""
        return self.over_quota == 0

    @property
    def meets_quotas(self) -> bool:
        """Whether every fund gets exactly what it bought."""
        return self.over_quota == self.under_quota == 0


@dataclass(frozen=True)
class Comparison:
    """The rows, the plans they come from, and the bound that shares are measured against."""

    rows: tuple[ComparisonRow, ...]
    plans: Mapping[str, AllocationPlan]
    bound: float

    def __getitem__(self, method: str) -> ComparisonRow:
        rows = {row.method: row for row in self.rows}
        return rows[one_of("method", method, tuple(rows))]

    def lift(self, method: str, against: str) -> float:
        """Relative revenue of `method` over `against`, e.g. 0.12 for 12 % more; NaN when that earns nothing."""
        base = self[against].objective
        return self[method].objective / base - 1.0 if base > 0 else math.nan

    def to_frame(self) -> Any:
        """Return one row a method, as a pandas data frame."""
        import pandas as pd

        return pd.DataFrame([vars(r) for r in self.rows])

    def _repr_html_(self) -> str:
        columns = {
            "method": [r.method for r in self.rows],
            "predicted revenue": [f"{r.objective:,.0f}" for r in self.rows],
            "share of optimum": [_share(r) for r in self.rows],
        }
        if any(not math.isnan(r.true_revenue) for r in self.rows):
            columns["true revenue"] = [f"{r.true_revenue:,.0f}" for r in self.rows]
        columns |= {
            "empty slots": [f"{r.unfilled:,}" for r in self.rows],
            "over quota": [f"{r.over_quota:,}" for r in self.rows],
            "under quota": [f"{r.under_quota:,}" for r in self.rows],
            "seconds": [f"{r.seconds:.3g}" for r in self.rows],
        }
        return html_table(columns, text=("method",))


def _share(row: ComparisonRow) -> str:
    # the bound speaks of plans that meet every quota: a share of it would praise those that break them
    if not row.keeps_quotas:
        return "— (breaks quotas)"
    return "— (not all delivered)" if row.share > 1 + 1e-9 else percent(row.share, 2)


def _value(truth: NDArray[Any], funds: NDArray[Any]) -> float:
    chosen = funds >= 0
    values = np.take_along_axis(truth, np.maximum(funds, 0).astype(np.int64), axis=1)
    return float(values[chosen].sum(dtype=np.float64))


def _host(array: Any) -> NDArray[Any]:
    return np.asarray(to_device(array, "cpu"))


def _known_options(method: str, options: dict[str, Any], known: Sequence[str]) -> dict[str, Any]:
    for name in options:
        if name not in known:
            raise InputError(f"method {method!r} has no option {name!r}; its options: {', '.join(known)}")
    return options


def warm_up(problem: AllocationProblem, method: str, device: str) -> None:
    """Solve a tiny instance first: the first call of a process imports, and for a GPU compiles, which is not timed."""
    from ptofa_gpu.allocation.api import allocate
    from ptofa_gpu.allocation.problem import AllocationProblem

    rows = min(problem.n_customers, 64)
    few = AllocationProblem(
        revenue=problem.revenue_blocks().rows(np.arange(rows)),
        quota=np.full(problem.n_funds, 1 + problem.k * rows // problem.n_funds),
        k=problem.k,
        tolerance=problem.tolerance[:rows],
        risk=problem.risk,
        eligible=None if problem.mask is None else problem.eligible_rows(0, rows),
    )
    extra: dict[str, Any] = {} if method in ("manual", "topk") else {"on_infeasible": "relax"}
    allocate(few, method=method, device=device, **extra)


def compare(
    problem: AllocationProblem,
    methods: Sequence[str] = ("heuristic", "manual", "topk", "random"),
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    truth: ArrayLike | None = None,
    device: str = "auto",
    seed: int = 0,
) -> Comparison:
    """Run several allocators on one problem.

    Parameters
    ----------
    problem : AllocationProblem
    methods : sequence of str
        Methods of `ptofa_gpu.allocate`, and ``"random"``: random eligible funds within the quotas.
    options : mapping of str to mapping, optional
        Options of a method, by its name.
    truth : (U, F) float, optional
        True revenue of every pair; known in synthetic worlds only. Adds the true revenue of every plan.
    device : {"auto", "cpu", "cuda"}
        Where the allocators run.
    seed : int
        Seed of the random plan and of allocators that draw.

    Returns
    -------
    Comparison
        The bound is the smallest upper bound that a plan certifies; NaN when none does.

    Raises
    ------
    InputError
        No method, a method named twice, options for a method that is not run, or a truth of another shape.
    """
    from ptofa_gpu.allocation.api import METHODS, allocate
    from ptofa_gpu.evaluation.baselines import random_plan

    allocation_problem(problem)
    known = (*METHODS, "random")
    methods = [one_of("methods", method, known) for method in listed("methods", methods, "allocators' names")]
    if not methods or len(set(methods)) != len(methods):
        raise InputError(f"methods must name each allocator once and at least one, got {methods}")
    options = {name: mapping(f"options[{name!r}]", own) for name, own in mapping("options", options).items()}
    seed = seed_of(seed)
    stray = sorted(set(options) - set(methods))
    if stray:
        raise InputError(
            f"options are given for {', '.join(stray)}, which is not among the methods {', '.join(methods)}"
        )
    shape = (problem.n_customers, problem.n_funds)
    true = None if truth is None else real_array("truth", truth, shape)

    plans: dict[str, AllocationPlan] = {}
    for method in methods:
        extra = dict(options.get(method, {}))
        if method == "random":
            plans[method] = random_plan(problem, **{"seed": seed, **_known_options("random", extra, ("seed",))})
        else:
            warm_up(problem, method, device)
            plans[method] = allocate(problem, method=method, device=device, seed=seed, **extra)
    bounds = [p.bound for p in plans.values() if np.isfinite(p.bound)]
    bound = min(bounds) if bounds else math.nan
    quota = np.asarray(problem.quota, dtype=np.int64)
    rows = []
    for method, plan in plans.items():
        exposures = _host(plan.exposures).astype(np.int64)
        rows.append(
            ComparisonRow(
                method=method,
                objective=float(plan.objective),
                share=float(plan.objective) / bound if bound > 0 else math.nan,
                true_revenue=math.nan if true is None else _value(true, _host(plan.funds)),
                unfilled=int(plan.unfilled),
                over_quota=int(np.maximum(exposures - quota, 0).sum()),
                under_quota=int(np.maximum(quota - exposures, 0).sum()),
                seconds=float(plan.seconds),
                status=plan.status,
            )
        )
    return Comparison(tuple(rows), plans, bound)
