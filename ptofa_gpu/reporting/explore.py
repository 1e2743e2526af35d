"""What if a fund bought more, or customers had another slot? Sliders that solve again from the plan's prices."""

from __future__ import annotations

import copy
import html
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ptofa_gpu._arguments import MOST, real_array, whole
from ptofa_gpu._lazy import require
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import allocation_plan
from ptofa_gpu.evaluation._table import html_table, percent
from ptofa_gpu.reporting.style import short_number

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem

# more sliders than this fit on no screen: with more funds, those whose price says most get one
MAX_SLIDERS = 16
_OF_QUOTAS = ("fixed_point_shift",)
_OF_SLOTS = ("fixed_point_shift", "_grouped")


class WhatIf:
    """The same customers and revenue with other quotas or slots, solved from the prices of the last answer.

    Parameters
    ----------
    plan : AllocationPlan
        What answers are compared with. It may be of any method; answers are optimal plans.

    Attributes
    ----------
    start, plan : AllocationPlan
        The plan given, and the last answer.
    seconds : float
        Wall time of the last answer, from the quotas to the plan.
    """

    def __init__(self, plan: AllocationPlan):
        self.start = self.plan = allocation_plan(plan)
        self.seconds = 0.0

    @property
    def problem(self) -> AllocationProblem:
        """The problem of the plan that was given."""
        return self.start.problem

    def solve(self, quota: ArrayLike | None = None, k: int | None = None) -> AllocationPlan:
        """Return the optimal plan for other quotas or slots; as many exposures as can be made where not all can.

        Parameters
        ----------
        quota : (F,) int, optional
            Exposures; the given plan's by default.
        k : int, optional
            Slots of every customer; the given plan's by default.

        Raises
        ------
        InputError
            A quota that is negative or fractional, k out of range, or a k where customers have their own slots.
        """
        from ptofa_gpu.allocation.api import allocate

        begun = time.perf_counter()
        problem = self._changed(quota, k)
        price = self.plan.price if self.plan.price is not None else self.start.price
        self.plan = allocate(problem, method="optimal", on_infeasible="relax", warm_start=price)
        self.seconds = time.perf_counter() - begun
        return self.plan

    def _changed(self, quota: ArrayLike | None, k: int | None) -> AllocationProblem:
        """Return a copy with other quotas and slots; revenue and limits are shared, and not checked again."""
        old = self.problem
        bought = old.quota if quota is None else real_array("quota", quota, (old.n_funds,))
        if not np.isfinite(bought).all() or (bought < 0).any() or (bought != np.floor(bought)).any():
            raise InputError("quotas must be whole and not negative")
        if (bought > MOST).any():
            raise InputError(f"quotas must be at most {MOST:,}")
        new = copy.copy(old)
        new.quota = bought.astype(np.int64)
        low = getattr(old, "_range_low", None)
        if low is not None:
            new._range_low = np.minimum(low, new.quota)
        k = old.k if k is None else whole("k", k, 1, old.n_funds)
        if k != old.k:
            if getattr(old, "slots_of", None) is not None:
                raise InputError("customers have their own slots here: k cannot be changed for all at once")
            new.k = k
        for name in _OF_SLOTS if new.k != old.k else _OF_QUOTAS:
            new.__dict__.pop(name, None)
        return new

    def to_html(self) -> str:
        """Return the last answer beside the plan it started from: revenue, empty slots, and each fund's price."""
        plan, start = self.plan, self.start
        p = plan.problem
        change = plan.objective - start.objective
        share = f" ({percent(change / start.objective, 2, sign=True)})" if start.objective > 0 else ""
        facts = {
            "expected revenue": short_number(plan.objective),
            "against the start": f"{'+' if change >= 0 else '−'}{short_number(abs(change))}{share}",
            "unfilled slots": f"{plan.unfilled:,} of {p.slots:,}",
            "solved in": f"{self.seconds * 1000:,.0f} ms",
        }
        words = " · ".join(f"{html.escape(k)} <b>{html.escape(v)}</b>" for k, v in facts.items())
        feasible = p.feasibility()
        note = "" if feasible.ok else f"<p>{html.escape(feasible.explain())}</p>"
        return f"<p>{words}</p>{note}{self._table()}"

    def _table(self) -> str:
        plan, start = self.plan, self.start
        names = [str(name) for name in plan.problem.names]
        columns = {
            "fund": names,
            "quota": [_moved(a, b) for a, b in zip(plan.problem.quota, start.problem.quota)],
            "exposures": [f"{v:,}" for v in plan.exposures],
        }
        if plan.price is not None:
            before = start.price if start.price is not None else np.full(len(names), math.nan)
            columns["shadow price"] = [f"{v:,.4g}" for v in plan.price]
            columns["change"] = ["—" if math.isnan(b) else f"{a - b:+,.3g}" for a, b in zip(plan.price, before)]
        return html_table(columns, text=("fund",))


def _moved(now: int, before: int) -> str:
    return f"{now:,}" + (f" ({now - before:+,})" if now != before else "")


class Explorer:
    """Sliders for quotas and K in a notebook, and the answer below them; what `AllocationPlan.explore` returns.

    Attributes
    ----------
    what_if : WhatIf
        The state; ``explorer.plan`` is its last answer, an ordinary plan.
    sliders : dict of str to widget
        By fund name; ``k`` is a widget of its own, or None where customers have their own slots.
    widget : ipywidgets.VBox
    """

    def __init__(self, plan: AllocationPlan, funds: Sequence[int] | None = None):
        widgets = require("ipywidgets", "plan.explore()")
        self.what_if = WhatIf(plan)
        problem = plan.problem
        chosen = _worth_a_slider(plan) if funds is None else [int(f) for f in funds]
        wide, broad = widgets.Layout(width="34rem"), {"description_width": "13rem"}
        self._funds = {f: self._slider(widgets, problem, f, wide, broad) for f in chosen}
        self.sliders = {str(problem.names[f]): s for f, s in self._funds.items()}
        self.k = None
        if getattr(problem, "slots_of", None) is None:
            self.k = widgets.IntSlider(
                value=problem.k,
                min=1,
                max=min(problem.n_funds, max(problem.k, 5)),
                description="slots a customer (K)",
                continuous_update=False,
                layout=wide,
                style=broad,
            )
        self.reset = widgets.Button(description="Back to the plan", tooltip="All sliders as they were")
        self._answer = widgets.HTML()
        parts = [*self._funds.values(), *([self.k] if self.k is not None else []), self.reset]
        note = []
        if len(chosen) < problem.n_funds:
            more = problem.n_funds - len(chosen)
            note = [widgets.HTML(f"<p>{more} more funds keep their quotas; explore(funds=[...]) chooses others.</p>")]
        self.widget = widgets.VBox([widgets.VBox(parts), *note, self._answer])
        self._quiet = False
        for slider in [*self._funds.values(), *([self.k] if self.k is not None else [])]:
            slider.observe(self._on_change, names="value")
        self.reset.on_click(self._on_reset)
        self._show()

    @staticmethod
    def _slider(widgets: Any, problem: AllocationProblem, fund: int, layout: Any, style: dict[str, str]) -> Any:
        bought = int(problem.quota[fund])
        top = max(2 * bought, problem.n_customers // problem.n_funds, 1)
        step = 10 ** max(0, len(str(top)) - 3)  # a hundred steps or more, by round numbers where the quota is one
        return widgets.IntSlider(
            value=bought,
            min=0,
            max=top,
            step=step if bought % step == 0 else 1,
            description=_short(str(problem.names[fund])),
            tooltip=str(problem.names[fund]),
            continuous_update=False,  # one solve a move, not one a pixel
            layout=layout,
            style=style,
        )

    @property
    def plan(self) -> AllocationPlan:
        """The plan of the sliders as they stand."""
        return self.what_if.plan

    def _on_change(self, change: Any) -> None:
        if not self._quiet:
            self._solve()

    def _on_reset(self, button: Any) -> None:
        self._quiet = True
        for fund, slider in self._funds.items():
            slider.value = int(self.what_if.problem.quota[fund])
        if self.k is not None:
            self.k.value = self.what_if.problem.k
        self._quiet = False
        self._solve()

    def _solve(self) -> None:
        quota = self.what_if.problem.quota.copy()
        for fund, slider in self._funds.items():
            quota[fund] = slider.value
        self.what_if.solve(quota, None if self.k is None else self.k.value)
        self._show()

    def _show(self) -> None:
        self._answer.value = self.what_if.to_html()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.widget._repr_mimebundle_(**kwargs)


def _worth_a_slider(plan: AllocationPlan) -> list[int]:
    n = plan.problem.n_funds
    if n <= MAX_SLIDERS:
        return list(range(n))
    weight = np.abs(plan.price) if plan.price is not None else np.asarray(plan.problem.quota, dtype=np.float64)
    return sorted(int(f) for f in np.argsort(-weight, kind="stable")[:MAX_SLIDERS])


def _short(name: str, width: int = 28) -> str:
    """One line of a fund's name: ipywidgets shows descriptions as text."""
    text = " ".join(name.split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
