"""A/B tests: lifts with their intervals, what the test could have found, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptofa_gpu._arguments import instance, listed
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.evaluation.ab_test import METRICS, ABTest
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import bars_only, canvas
from ptofa_gpu.reporting.style import BLUE, FAINT, GREEN, GREY, INK, VERMILLION, label, styled

_COLOURS = {"better": BLUE, "worse": VERMILLION, "open": GREY}


@styled
def ab_chart(tests: Sequence[ABTest], *, name: str = "ab-lifts") -> Chart:
    """Draw the CPME and RPME lift of every arm of every campaign over its baseline (PTOFA, Table 2).

    The pale bar is what the test cannot see: lifts smaller than those it finds in four of five cases. A diamond marks
    the true lift of the two plans.

    Raises
    ------
    InputError
        No campaign, or none with two arms.
    """
    tests = [instance("tests", t, ABTest, "from ab_test") for t in listed("tests", tests, "finished campaigns")]
    rows = [(t, arm) for t in tests for arm in dict.fromkeys(x.arm for x in t.lifts)]
    if not rows:
        raise InputError("no campaign with two arms to draw")
    y = np.arange(len(rows))
    figure, panels = canvas(8.6, 1.6 + 0.55 * len(rows), columns=2, sharey=True)
    told = []
    for panel, metric in zip(panels, METRICS):
        for place, (test, arm) in zip(y, rows):
            x = test.lift(arm, metric)
            if not np.isfinite(x.lift):
                panel.annotate("no lift: nobody converted", (0, place), xytext=(4, 0), textcoords="offset points",
                               va="center", fontsize=8.5, color=GREY)  # fmt: skip
                told.append(f"{test.name} {arm} {metric.upper()} none")
                continue
            colour = _COLOURS[x.verdict]
            panel.barh(place, 200 * x.detectable, left=-100 * x.detectable, height=0.62, color=FAINT, alpha=0.6)
            panel.plot([100 * x.low, 100 * x.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
            panel.plot([100 * x.lift], [place], "o", color=colour, markersize=6)
            panel.plot([100 * x.true], [place], "D", color=GREEN, markersize=5)
            panel.annotate(
                percent(x.lift, 1, sign=True),
                (100 * x.lift, place),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
            )
            told.append(
                f"{test.name} {arm} {metric.upper()} {percent(x.lift, 1, sign=True)} "
                f"({percent(x.low, 1, sign=True)} to {percent(x.high, 1, sign=True)})"
            )
        panel.axvline(0, color=INK, linewidth=0.9)
        panel.set_xlabel(f"lift in {metric.upper()} (%)")
        panel.margins(y=0.16)
        bars_only(panel)
    panels[0].set_title("Conversions per 1,000 exposures")
    panels[1].set_title("Revenue per 1,000 exposures")
    panels[0].set_yticks(y, [f"{label(t.name, 12)}: {label(a, 18)}\nagainst {label(t.baseline, 18)}" for t, a in rows])
    panels[0].invert_yaxis()
    level = tests[0].level
    handles = [
        panels[0].plot(
            [], [], "o-", color=BLUE, label=f"lift, {percent(level)} interval (orange: a loss; grey: holds 0)"
        )[0],
        panels[0].plot([], [], "D", color=GREEN, linestyle="none", label="true lift")[0],
        panels[0].barh([0], [0], color=FAINT, alpha=0.6, label="too small for this test (80 % power)"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8.5)
    return Chart(figure, name, "Lifts by campaign: " + "; ".join(told) + ".")
