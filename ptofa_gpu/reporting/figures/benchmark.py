"""Allocators against the number of customers, from benchmark results: what they find, and how long they take.

The like of Fig. 4a and 4b of PTOFA (arXiv 2503.03165).
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptofa_gpu._arguments import listed, mapping
from ptofa_gpu._text import shown
from ptofa_gpu.errors import InputError
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import canvas, thousands
from ptofa_gpu.reporting.figures._ends import End, label_ends
from ptofa_gpu.reporting.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    label,
    short_number,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# method -> words, colour, marker, line: two of a kind differ in more than colour
_LOOKS: dict[str, tuple[str, str, str, str]] = {
    "optimal": ("optimum (by prices)", BLUE, "o", "-"),
    "heuristic": ("heuristic (Alg. 1)", GREEN, "s", "-"),
    "manual": ("manual", ORANGE, "^", "-"),
    "topk": ("top-K", VERMILLION, "v", "-"),
    "ortools-flow": ("OR-Tools min-cost flow", PURPLE, "D", "-"),
    "pot-emd": ("POT ot.emd", SKY, "P", "-"),
    "highs-lp": ("HiGHS, linear", INK, "X", "-"),
    "highs-mip": ("HiGHS, integer", INK, "X", "--"),
    "scip": ("SCIP, integer", GREY, "h", "--"),
    "cbc": ("CBC, integer", GREY, "d", ":"),
}
_LIMITED = ("time_limit", "killed")
_EXACT = 1e-8  # a share this near 1 is drawn as 1


@dataclass(frozen=True)
class _Point:
    customers: int
    seconds: float
    share: float
    status: str
    over: int
    read: float


@styled
def benchmark_chart(rows: Sequence[Mapping[str, Any]], *, name: str = "benchmark") -> Chart:
    """Draw the share of the optimum and the seconds of each method against the number of customers.

    Parameters
    ----------
    rows : sequence of mapping
        Results with the columns of `ptofa_gpu.bench.record.COLUMNS`, all of one number of funds, k and kind of ties; a
        later row of the same method and size takes the place of an earlier one.

    Raises
    ------
    InputError
        No row has a time, or the rows are of several kinds of instance.
    """
    rows = [_checked(row) for row in listed("rows", rows, "rows of results")]
    kinds = sorted({(int(r["funds"]), int(r["k"]), str(r["ties"])) for r in rows})
    if len(kinds) > 1:
        raise InputError(
            "one figure shows one number of funds, k and kind of ties; the rows have "
            + ", ".join(f"F={f} k={k} ties={t}" for f, k, t in kinds)
        )
    lines = _lines(rows)
    if not lines:
        raise InputError("there is nothing to draw: no row has a time")
    funds, k, ties = kinds[0]
    figure, (left, right) = canvas(8.4, 8.8, columns=1, rows=2)  # one above the other: names beside the lines need room
    sizes = sorted({p.customers for points in lines.values() for p in points})
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(sizes, minor=False)
        axes.minorticks_off()
        thousands(axes.xaxis)
        # room for the names beside the last points
        axes.set_xlim(sizes[0] / 1.25, sizes[-1] * (sizes[-1] / sizes[0]) ** 0.5 * 1.9)
        axes.set_xlabel(f"customers ({funds} funds, k = {k}{'' if ties == 'none' else f', ties: {label(ties)}'})")
    _draw_shares(left, lines)
    _draw_seconds(right, lines)
    return Chart(figure, name, _told(lines, funds, k, ties))


def _checked(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row whose columns are there and hold what is drawn: counts, numbers, words."""
    known = mapping("a row", row)
    try:
        for column in ("customers", "funds", "k"):
            if int(known[column]) < 1:
                raise ValueError(f"{column} must be at least 1")
        for column in ("seconds", "share", "over_quota", "read_seconds"):
            _number(known[column])
        return known | {column: str(known[column]) for column in ("ties", "method", "status")}
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise InputError(f"a row to draw is no row of results ({type(e).__name__}: {e}): {shown(row)}") from e


def _lines(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[_Point]]:
    """The points of each method by size, the latest of each."""
    latest: dict[tuple[str, int], _Point] = {}
    for r in rows:
        if _number(r["seconds"]) > 0:
            latest[str(r["method"]), int(r["customers"])] = _Point(
                int(r["customers"]), _number(r["seconds"]), _number(r["share"]), str(r["status"]),
                int(_number(r["over_quota"], 0.0)), _number(r["read_seconds"]),
            )  # fmt: skip
    known = [*_LOOKS, *sorted({m for m, _ in latest} - set(_LOOKS))]
    lines = {m: [p for (method, _), p in sorted(latest.items(), key=_by_size) if method == m] for m in known}
    return {m: points for m, points in lines.items() if points}


def _by_size(item: tuple[tuple[str, int], _Point]) -> int:
    return item[0][1]


def _number(value: Any, missing: float = math.nan) -> float:
    return missing if value in (None, "") else float(value)


def _look(method: str) -> tuple[str, str, str, str]:
    return _LOOKS.get(method, (label(method), GREY, ".", "-"))


def _draw_shares(axes: Axes, lines: Mapping[str, list[_Point]]) -> None:
    """Fig. 4a: those that always find the optimum are one line; hollow marks break quotas."""
    shown = {m: [p for p in points if not math.isnan(p.share)] for m, points in lines.items()}
    exact = [m for m, points in shown.items() if points and all(abs(p.share - 1) < _EXACT for p in points)]
    ends: list[End] = []
    for method, points in shown.items():
        if not points or (method in exact and method != exact[0]):
            continue
        words, colour, marker, line = _look(method)
        x, y = [p.customers for p in points], [100 * p.share for p in points]
        if method in exact:
            words = ", ".join(dict.fromkeys(re.split(r",| \(", _look(m)[0])[0] for m in exact))
            x = sorted({p.customers for m in exact for p in shown[m]})
            y = [100.0] * len(x)
        axes.plot(x, y, line, color=colour)
        for p in points:
            axes.plot(p.customers, 100 * p.share, marker, color=colour, markersize=6, mfc="white" if p.over else colour)
        broken = ", breaks quotas" if any(p.over for p in points) else ""
        ends.append((x[-1], y[-1], _wrapped(f"{words}{broken}  {_range(y)}"), colour))
    everything = [100 * p.share for points in shown.values() for p in points] or [100.0]
    low, high = min(*everything, 99.0), max(*everything, 100.2)
    axes.set_ylim(low - 0.12 * (high - low), high + 0.1 * (high - low))
    axes.set_ylabel("revenue, % of the certified optimum")
    axes.set_title("Share of the optimum")
    label_ends(axes, ends)


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    # with blanks that no line is broken at
    return f"{low}\u00a0%" if low == high else f"{low}\u00a0to\u00a0{high}\u00a0%"


def _wrapped(text: str, width: int = 30) -> str:
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def _draw_seconds(axes: Axes, lines: Mapping[str, list[_Point]]) -> None:
    """Fig. 4b: seconds on log axes; a cross marks what the time limit ended, so that it would take longer."""
    axes.set_yscale("log")
    ends: list[End] = []
    for method, points in lines.items():
        words, colour, marker, line = _look(method)
        x, y = [p.customers for p in points], [p.seconds for p in points]
        axes.plot(x, y, line, color=colour)
        for p in points:
            if p.status in _LIMITED:
                axes.plot(p.customers, p.seconds, marker="^", color="white", mec=colour, markersize=9, zorder=3)
            else:
                axes.plot(p.customers, p.seconds, marker, color=colour, markersize=6)
        last = points[-1]
        words = f"{words}  " + (">" if last.status in _LIMITED else "") + f"{short_number(last.seconds)} s"
        ends.append((x[-1], y[-1], words, colour))
    reads = _reads(lines)
    if reads:
        axes.plot(list(reads), list(reads.values()), ".:", color=GREY, markersize=3, linewidth=1.4)
        size, seconds = list(reads.items())[-1]
        ends.append((size, seconds, f"one read of E  {short_number(seconds)} s", GREY))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.12)  # room for the names of what ends high up
    axes.set_ylabel("seconds (log scale)")
    thousands(axes.yaxis)
    if any(p.status in _LIMITED for points in lines.values() for p in points):
        axes.set_title("Time to a plan (hollow triangle: stopped by the time limit)")
    else:
        axes.set_title("Time to a plan")
    label_ends(axes, ends)


def _reads(lines: Mapping[str, list[_Point]]) -> dict[int, float]:
    """The quickest read of E that any process saw, by size."""
    best: dict[int, float] = {}
    for points in lines.values():
        for p in points:
            if p.read > 0:
                best[p.customers] = min(p.read, best.get(p.customers, math.inf))
    return dict(sorted(best.items()))


def _told(lines: Mapping[str, list[_Point]], funds: int, k: int, ties: str) -> str:
    """The figure in words: each method at its largest size."""
    parts = []
    for method, points in lines.items():
        p = points[-1]
        share = "" if math.isnan(p.share) else f"{100 * p.share:.4g} % of the optimum"
        broken = f", {p.over:,} exposures over quota" if p.over else ""
        time = f"{'stopped after ' * (p.status in _LIMITED)}{short_number(p.seconds)} s"
        words = ", ".join(t for t in (share + broken, time) if t)
        parts.append(f"{_look(method)[0]} at {p.customers:,}: {words}")
    tied = "" if ties == "none" else f", revenue tied ({ties})"
    return (
        f"Share of the certified optimum and seconds against the number of customers, {funds} funds, k = {k}{tied}. "
        f"At the largest size measured: {'; '.join(parts)}."
    )
