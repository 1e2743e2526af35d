"""Objective and time of the allocators against the number of customers, on log axes (PTOFA, Fig. 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ptofa_gpu._arguments import instance, text_of
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.evaluation.scaling import ScaleRow, ScaleTable
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import canvas, size_ticks, thousands, unit
from ptofa_gpu.reporting.figures._ends import End, label_ends, room_for_names
from ptofa_gpu.reporting.style import GREY, METHOD_COLOURS, method_label, short_number, styled

_MARKS = {"manual": "s", "topk": "v", "heuristic": "o", "optimal": "D", "integer": "X", "reference": "P"}
# what is nearer to the optimum than this, in percent of it, is drawn as the optimum
_EXACT = 1e-6
_LINE = 0.075  # height of a line of text in a panel as low as these


@styled
def scale_objective_chart(table: ScaleTable, *, currency: str = "", name: str = "objective-by-scale") -> Chart:
    """Draw revenue against customers, and below it each method's share of the proved optimum (Fig. 4a).

    On the log axis of revenue the methods lie close together; what tells them apart is the panel below, whose axis is
    the logarithm of what is missing: 90 %, 99 % and 99.9 % are as far apart as 99.9 % and 99.99 %. Methods that break
    quotas have no share.

    Raises
    ------
    InputError
        No row has a revenue above 0.
    """
    currency = text_of("currency", currency)
    lines = _drawn(instance("table", table, ScaleTable, "from scale_table"), "objective")
    figure, (top, foot) = canvas(7.4, 6.6, rows=2, sharex=True)
    ends: list[End] = []
    told = []
    for method, rows in lines.items():
        last, broken = rows[-1], any(r.over_quota for r in rows)
        words = f"{method_label(method)}  {short_number(last.objective)}"
        colour = _line(top, [r.customers for r in rows], [r.objective for r in rows], method, dashed=broken)
        ends.append((last.customers, last.objective, words, colour))
        shares = [r for r in rows if not math.isnan(r.share)]
        share = f", {_share(shares[-1].share)} of the optimum" if shares else ""
        if shares and shares[-1] is not last:
            share += f" at {shares[-1].customers:,}"
        share += ", breaking quotas" if broken else ""
        told.append(
            f"{method_label(method)} {short_number(last.objective)} {currency or 'currency units'} at "
            f"{last.customers:,} customers{share}"
        )
    top.set(xscale="log", yscale="log")
    _sizes(top, lines)
    thousands(top.yaxis)
    top.set_ylabel(f"revenue ({unit(currency)}, log scale)")
    top.set_title("Objective" + (" (dashed: breaks quotas)" if any("breaking" in t for t in told) else ""))
    label_ends(top, ends, line=_LINE)
    foot.set_xlabel("customers (log scale)")
    foot.set_title("Share of the optimum")
    _draw_shares(foot, lines)
    return Chart(figure, name, "Objective by scale: " + "; ".join(told) + ".")


@styled
def scale_time_chart(table: ScaleTable, *, name: str = "time-by-scale") -> Chart:
    """Draw the time of each allocator against customers, on log axes, named at its last point (Fig. 4b).

    Raises
    ------
    InputError
        No row has a time.
    """
    lines = _drawn(instance("table", table, ScaleTable, "from scale_table"), "seconds")
    figure, axes = canvas(7.4, 4.0)
    ends: list[End] = []
    told = []
    for method, rows in lines.items():
        last = rows[-1]
        colour = _line(axes, [r.customers for r in rows], [r.seconds for r in rows], method)
        ends.append((last.customers, last.seconds, f"{method_label(method)}  {short_number(last.seconds)} s", colour))
        told.append(f"{method_label(method)} {short_number(last.seconds)} s at {last.customers:,} customers")
    axes.set(xscale="log", yscale="log", xlabel="customers (log scale)", ylabel="seconds (log scale)")
    _sizes(axes, lines)
    thousands(axes.yaxis)
    axes.set_title("Time to a plan")
    label_ends(axes, ends, line=0.06)
    return Chart(figure, name, "Time by scale: " + "; ".join(told) + ".")


def _drawn(table: ScaleTable, what: str) -> dict[str, list[ScaleRow]]:
    """The rows of each method that a log axis can show, smallest size first."""
    lines = {m: [r for r in table.of(m) if getattr(r, what) > 0] for m in table.methods}
    lines = {m: rows for m, rows in lines.items() if rows}
    if not lines:
        raise InputError(f"there is nothing to draw: no row of the table has {what} above 0")
    return lines


def _sizes(axes: Any, lines: dict[str, list[ScaleRow]]) -> None:
    sizes = sorted({r.customers for rows in lines.values() for r in rows})
    room_for_names(axes, sizes)
    size_ticks(axes, sizes)


def _draw_shares(axes: Any, lines: dict[str, list[ScaleRow]]) -> None:
    """Draw what each method misses of the optimum on a log axis that points down; the optimum itself is its end."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    shares = {m: [r for r in rows if not math.isnan(r.share)] for m, rows in lines.items()}
    gaps = [100 * (1 - r.share) for rows in shares.values() for r in rows]
    some = [g for g in gaps if g > _EXACT]
    # the optimum lies one step beyond the smallest gap
    steps = range(math.floor(math.log10(min(some))), math.ceil(math.log10(max(some))) + 1) if some else range(-1, 1)
    end = 10.0 ** (steps[0] - 1)
    axes.set_yscale("log")
    axes.set_ylim(max([*some, 10.0 ** steps[0]]) * 1.6, end / 1.8)
    ticks = [end, *(10.0**s for s in steps), *([20.0, 50.0] if max(some, default=0) > 15 else [])]
    names = {round(math.log10(t), 6): "100" if t == end else f"{100 - t:.12g}" for t in ticks}
    axes.yaxis.set_major_locator(FixedLocator([t for t in ticks if t <= max([*some, 10.0 ** steps[0]]) * 1.6]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: names.get(round(math.log10(v), 6), "")))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("% of the optimum (log scale\nof what is missing)")
    ends: list[End] = []
    for method, rows in shares.items():
        if rows:
            y = [max(100 * (1 - r.share), end) if 100 * (1 - r.share) > _EXACT else end for r in rows]
            colour = _line(axes, [r.customers for r in rows], y, method)
            ends.append((rows[-1].customers, y[-1], f"{method_label(method)}  {_share(rows[-1].share)}", colour))
    if ends:
        label_ends(axes, ends, line=_LINE)
    else:
        axes.annotate("no method has one", (0.5, 0.5), xycoords="axes fraction", ha="center", color=GREY)


def _share(share: float) -> str:
    """A share with as many figures as tell it from all."""
    gap = 100 * (1 - share)
    return percent(min(share, 1.0), 2 if gap < _EXACT else max(2, -math.floor(math.log10(gap))))


def _line(axes: Any, x: Sequence[float], y: Sequence[float], method: str, *, dashed: bool = False) -> str:
    colour = METHOD_COLOURS.get(method, GREY)
    axes.plot(x, y, color=colour, marker=_MARKS.get(method, "o"), markersize=5, linestyle="--" if dashed else "-")
    return colour
