"""Objective and time of the allocators against the number of customers, on log axes (PTOFA, Fig. 4)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import canvas, thousands, unit
from ptofa_gpu.reporting.style import GREY, METHOD_COLOURS, method_label, short_number, styled

if TYPE_CHECKING:
    from ptofa_gpu.evaluation.scaling import ScaleTable

_MARKS = {"manual": "s", "topk": "v", "heuristic": "o", "optimal": "D", "integer": "x", "reference": "+"}


@styled
def scale_objective_chart(table: ScaleTable, *, currency: str = "", name: str = "objective-by-scale") -> Chart:
    """Draw revenue against customers, and beside it each method's share of the proved optimum (Fig. 4a).

    On the log axis the methods lie close together; what tells them apart is the panel beside it. Methods that break
    quotas have no share.
    """
    figure, (left, right) = canvas(8.4, 3.5, columns=2)
    ends = []
    for method in table.methods:
        rows = table.of(method)
        x, y = [r.customers for r in rows], [r.objective for r in rows]
        _line(left, x, y, method, dashed=any(r.over_quota for r in rows))
        share = [(r.customers, r.share * 100) for r in rows if not math.isnan(r.share)]
        if share:
            _line(right, [s[0] for s in share], [s[1] for s in share], method)
            ends.append(
                f"{method_label(method)} {percent(share[-1][1] / 100, 2)} of the optimum at {rows[-1].customers:,}"
            )
    left.set(xscale="log", yscale="log", xlabel="customers (log scale)")
    left.set_ylabel(f"revenue ({unit(currency)}, log scale)")
    left.set_title("Objective")
    right.set(xscale="log", xlabel="customers (log scale)", ylabel="share of the optimum (%)")
    right.set_title("Share of the optimum")
    for axis in (left.xaxis, left.yaxis, right.xaxis):
        thousands(axis)
    _legend(figure, left)
    return Chart(figure, name, "Objective by scale: " + "; ".join(ends) + ".")


@styled
def scale_time_chart(table: ScaleTable, *, name: str = "time-by-scale") -> Chart:
    """Draw the time of each allocator against customers, on log axes, named at its last point (Fig. 4b)."""
    figure, axes = canvas(7.0, 3.8)
    told, last = [], []
    for method in table.methods:
        rows = [r for r in table.of(method) if r.seconds > 0]
        if not rows:
            continue
        _line(axes, [r.customers for r in rows], [r.seconds for r in rows], method)
        end = rows[-1]
        last.append((end.seconds, end.customers, method))
        told.append(f"{method_label(method)} {short_number(end.seconds)} s at {end.customers:,}")
    axes.set(xscale="log", yscale="log", xlabel="customers (log scale)", ylabel="seconds (log scale)")
    thousands(axes.xaxis)
    thousands(axes.yaxis)
    axes.set_title("Time to a plan")
    axes.margins(x=0.06)
    _legend(figure, axes)
    return Chart(figure, name, "Time by scale: " + "; ".join(told) + ".")


def _line(axes: Any, x: list[int], y: list[float], method: str, *, dashed: bool = False) -> None:
    axes.plot(
        x,
        y,
        color=METHOD_COLOURS.get(method, GREY),
        marker=_MARKS.get(method, "o"),
        markersize=5,
        linestyle="--" if dashed else "-",
        label=method_label(method),
    )


def _legend(figure: Any, axes: Any) -> None:
    handles, words = axes.get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", ncols=min(3, len(words)), fontsize=8.5)
