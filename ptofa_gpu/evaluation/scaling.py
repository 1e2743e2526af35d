"""Objective and time of the allocators as the number of customers grows: the paper's Fig. 4."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._arguments import function, listed, mapping, number, one_of, whole
from ptofa_gpu._stdout import c_stdout_to
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import allocation_problem
from ptofa_gpu.evaluation._share import subproblem
from ptofa_gpu.evaluation._table import html_table, percent
from ptofa_gpu.evaluation.comparison import warm_up

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem

#: the mixed-integer programme of the paper's comparison, by an open solver
INTEGER = "integer"
# solves of one instance: the most and the least; the seconds that are enough for the least, and that are enough at all
_REPEATS, _LEAST, _ENOUGH, _LONG = 5, 3, 0.5, 3.0


@dataclass(frozen=True)
class ScaleRow:
    """One allocator at one size."""

    method: str
    customers: int
    funds: int
    k: int
    objective: float
    #: objective / the smallest certified bound at this size; NaN without one, or where quotas are broken
    share: float
    seconds: float
    unfilled: int
    over_quota: int
    status: str


@dataclass(frozen=True)
class ScaleTable:
    """Allocators by size, in order of size."""

    rows: tuple[ScaleRow, ...]

    @property
    def methods(self) -> list[str]:
        """Methods in their order of appearance."""
        return list(dict.fromkeys(r.method for r in self.rows))

    def of(self, method: str) -> list[ScaleRow]:
        """Rows of one method, smallest size first."""
        one_of("method", method, self.methods)
        return [r for r in self.rows if r.method == method]

    def to_frame(self) -> Any:
        """Return one row a method and size, as a pandas data frame."""
        import pandas as pd

        return pd.DataFrame([vars(r) for r in self.rows])

    def _repr_html_(self) -> str:
        r = self.rows
        return html_table(
            {
                "customers": [f"{x.customers:,}" for x in r],
                "method": [x.method for x in r],
                "revenue": [f"{x.objective:,.0f}" for x in r],
                "share of optimum": ["—" if math.isnan(x.share) else percent(x.share, 2) for x in r],
                "empty slots": [f"{x.unfilled:,}" for x in r],
                "over quota": [f"{x.over_quota:,}" for x in r],
                "seconds": [f"{x.seconds:.3g}" for x in r],
                "status": [x.status for x in r],
            },
            text=("method", "status"),
        )


def _quickest(solve: Callable[[], AllocationPlan]) -> AllocationPlan:
    """The same plan by the quickest of a few solves: what else the machine does only ever adds time."""
    plans = [solve()]
    while len(plans) < _REPEATS and sum(p.seconds for p in plans) < (_LONG if len(plans) < _LEAST else _ENOUGH):
        plans.append(solve())
    return min(plans, key=lambda p: p.seconds)


def scale_table(
    problem: AllocationProblem,
    sizes: Sequence[int],
    methods: Sequence[str] = ("manual", "topk", "heuristic", "optimal", INTEGER),
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    largest: Mapping[str, int] | None = None,
    time_limit: float = 60.0,
    device: str = "auto",
    progress: Callable[[str, int], None] | None = None,
) -> ScaleTable:
    """Run allocators on the first customers of a problem, for several numbers of them.

    Parameters
    ----------
    problem : AllocationProblem
        The largest instance; smaller ones take its first customers and their share of each quota.
    sizes : sequence of int
        Customers.
    methods : sequence of str
        Methods of `allocate`, and ``"integer"``: the reference method's mixed-integer form.
    options : mapping, optional
        Options of a method by its name.
    largest : mapping of str to int, optional
        The most customers a method is given; beyond, it has no row. ``integer`` needs one where sizes are large.
    time_limit : float
        Seconds for each solve of the methods that know a limit.

    Raises
    ------
    InputError
        A size beyond the problem, or none.
    """
    from ptofa_gpu.allocation.api import METHODS, allocate

    allocation_problem(problem)
    sizes = [whole("sizes", n, 1, problem.n_customers) for n in listed("sizes", sizes, "numbers of customers")]
    if not sizes:
        raise InputError("sizes is empty: name at least one number of customers")
    methods = [one_of("methods", m, (*METHODS, INTEGER)) for m in listed("methods", methods, "allocators' names")]
    limits = {name: whole(f"largest[{name!r}]", n, 0) for name, n in mapping("largest", largest).items()}
    extra = {name: mapping(f"options[{name!r}]", own) for name, own in mapping("options", options).items()}
    time_limit = number("time_limit", time_limit, "a positive number of seconds", above=0.0)
    progress = function("progress", progress)
    rows: list[ScaleRow] = []
    for size in sorted(set(sizes)):
        part = subproblem(problem, np.arange(size))
        found = []
        for method in methods:
            if size > limits.get(method, size):
                continue
            if progress is not None:
                progress(method, size)
            name, more = method, dict[str, Any]()
            if method == INTEGER:
                name, more = "reference", {"integer": True, "solver": "HIGHS"}
            if method in ("optimal", "heuristic", INTEGER):
                more |= {"on_infeasible": "relax", "time_limit": time_limit}
            if name != "reference":
                warm_up(part, name, device)
            more |= extra.get(method, {})
            with c_stdout_to(None) if name == "reference" else nullcontext():
                plan = _quickest(lambda: allocate(part, method=name, device=device, **more))  # noqa: B023
            found.append((method, plan))
        bounds = [p.bound for _, p in found if math.isfinite(p.bound)]
        bound = min(bounds) if bounds else math.nan
        for method, plan in found:
            over = int(plan.excess.sum())
            rows.append(
                ScaleRow(
                    method,
                    size,
                    problem.n_funds,
                    problem.k,
                    float(plan.objective),
                    float(plan.objective) / bound if bound > 0 and not over else math.nan,
                    float(plan.seconds),
                    int(plan.unfilled),
                    over,
                    plan.status,
                )
            )
    return ScaleTable(tuple(rows))


def decades(customers: int, smallest: int = 500) -> list[int]:
    """Return sizes 500, 1,000, 2,000, 5,000, 10,000 ... up to `customers`, which is the last."""
    customers, smallest = whole("customers", customers, 1), whole("smallest", smallest, 1)
    steps = (unit * 10**power for power in range(2, 12) for unit in (1, 2, 5))
    return [*(s for s in steps if smallest <= s < customers), customers]
