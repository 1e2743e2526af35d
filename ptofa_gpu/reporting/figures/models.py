"""Models side by side: each metric's mean and spread over seeds, so that a tie looks like one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ptofa_gpu._arguments import instance, listed
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation.model_table import ModelTable
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import bars_only, canvas, thousands
from ptofa_gpu.reporting.style import BLUE, GREY, ORANGE, label, styled

#: What is drawn where the data have it: order of customers, order of money, totals, and what a plan earns.
DEFAULT_METRICS = ("auc", "gini", "ratio_all_pairs", "decision_value", "policy_value", "total_ratio")
_PANELS = 4


@styled
def model_chart(table: ModelTable, metrics: Sequence[str] | None = None, *, name: str = "models") -> Chart:
    """Draw every method's mean, its spread and its single seeds under some metrics.

    Parameters
    ----------
    table : ModelTable
    metrics : sequence of str, optional
        Names of the table's metrics, at most four; by default those that say most about these data.
    """
    instance("table", table, ModelTable, "from model_table")
    metrics = None if metrics is None else [str(m) for m in listed("metrics", metrics, "metrics' names")]
    wanted = [m for m in DEFAULT_METRICS if m in table.metrics][:_PANELS] if metrics is None else metrics
    unknown = [m for m in wanted if m not in table.metrics]
    if unknown or not 0 < len(wanted) <= _PANELS:
        raise InputError(
            f"metrics to draw: 1 to {_PANELS} of {', '.join(table.metrics)}"
            + (f"; there is no {', '.join(unknown)}" if unknown else "")
        )
    rows = len(table.methods)
    across = min(2, len(wanted))
    down = -(-len(wanted) // across)
    size = (2.4 + 2.9 * across, 0.6 + down * (0.9 + 0.28 * rows))
    figure, axes = canvas(*size, columns=across, rows=down, sharey=True, squeeze=False)
    for panel in axes.flat[len(wanted) :]:
        panel.set_visible(False)
    told = []
    for panel, metric in zip(axes.flat, wanted, strict=False):
        best = [_draw(panel, place, method, table, metric) for place, method in enumerate(table.methods)]
        panel.set_title(table.words(metric).replace("$", r"\$"), fontsize=10.5)
        if metric in ("ratio_all_pairs", "pairs_ratio", "total_ratio"):
            panel.axvline(1.0, color=GREY, linestyle="--", linewidth=1, zorder=0.5)
        bars_only(panel)
        panel.margins(x=0.12)
        panel.locator_params(axis="x", nbins=4)
        thousands(panel.xaxis)
        winner = [f"{m} {table.text(m, metric)}" for m, b in zip(table.methods, best) if b == "best"]
        tied = sum(b == "tied" for b in best)
        if winner:
            told.append(f"{table.words(metric)}: {winner[0]} is best, {tied} tied with it")
    for left in axes[:, 0]:
        left.set_yticks(range(rows), [label(m, 34) for m in table.methods])
    axes[0][0].set_ylim(rows - 0.45, -0.55)
    figure.supxlabel(
        "dot and bar: mean and standard deviation over seeds; small dots: seeds; blue best, orange tied with it",
        fontsize=8.5, color=GREY, x=0.99, ha="right",
    )  # fmt: skip
    return Chart(figure, name, f"{rows} methods on {table.name}. " + ("; ".join(told) or "One seed each") + ".")


def _draw(panel, place: int, method: str, table: ModelTable, metric: str) -> str:  # type: ignore[no-untyped-def]
    """One method's marks; what it is: "best", "tied" or ""."""
    c = table.cell(method, metric)
    if not math.isfinite(c.mean):
        panel.annotate("—", (0.5, place), xycoords=("axes fraction", "data"), ha="center", va="center", color=GREY)
        return ""
    colour = BLUE if c.best else ORANGE if c.tied else GREY
    if math.isfinite(c.spread):
        panel.plot([c.mean - c.spread, c.mean + c.spread], [place, place], color=colour, linewidth=2)
        panel.plot(list(c.values.values()), [place] * len(c.values), ".", color=colour, markersize=3.5, alpha=0.6)
    panel.plot([c.mean], [place], "o", color=colour, markersize=6)
    return "best" if c.best else "tied" if c.tied else ""
