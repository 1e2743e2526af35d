"""Who loses what by which quota."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import bars_only, canvas, thousands, unit
from ptofa_gpu.reporting.style import BLUE, GREY, INK, ORANGE, label, short_number, styled

if TYPE_CHECKING:
    from ptofa_gpu.evaluation.losses import QuotaLosses

# rows that are readable at the size the figure is shown
_MOST = 20


@styled
def loss_chart(losses: QuotaLosses, *, currency: str = "", name: str = "quota-losses") -> Chart:
    """Draw what the quotas cost: left by the fund that customers wanted and did not get, right by their tolerance.

    The words beside a bar on the left say how many exposures go elsewhere, and where most of them go.
    """
    money, out = losses.lost.sum(axis=1), losses.moved.sum(axis=1)
    order = np.argsort(-money, kind="stable")[:_MOST]
    y = np.arange(order.size)
    figure, (left, right) = canvas(8.4, 1.3 + 0.4 * max(order.size, 5), columns=2, width_ratios=[3, 1.5])
    left.barh(y, money[order], height=0.6, color=BLUE)
    given, told = [*losses.names, "no fund"], []
    for place, f in zip(y, order):
        if out[f]:
            to = int(np.argmax(losses.moved[f]))
            words = f"{out[f]:,} of {losses.wanted[f]:,}, most to {label(given[to], 18)}"
            told.append(f"{losses.names[f]} {short_number(money[f])} ({out[f]:,} exposures)")
        else:
            words = "all get it"
        left.annotate(
            words, (max(money[f], 0), place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8
        )
    left.set_yticks(y, [label(losses.names[f]) for f in order])
    left.invert_yaxis()
    top = max(float(money.max()), 1e-9)
    left.set_xlim(min(0.0, float(money.min()) * 1.1), top * 1.9)
    thousands(left.xaxis)
    left.set_xlabel(f"expected revenue lost ({unit(currency)})")
    left.set_title("By the fund they wanted")
    head = losses.lost_by_tolerance / np.maximum(losses.customers, 1)
    right.bar(np.arange(head.size), head, width=0.6, color=ORANGE)
    for step, value in enumerate(head):
        right.annotate(
            short_number(round(float(value), 2)),
            (step, max(value, 0)),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    right.axhline(0, color=INK, linewidth=0.8)
    right.set_xticks(np.arange(head.size), [str(t) for t in losses.tolerance])
    right.margins(y=0.15)
    right.grid(False, axis="x")
    right.set(xlabel="risk tolerance", ylabel=f"lost a customer ({unit(currency)})")
    right.set_title("By their tolerance")
    bars_only(left)
    figure.supxlabel(
        f"against each customer's best funds, quotas ignored: {short_number(losses.total)} in all",
        fontsize=8,
        color=GREY,
        x=0.99,
        ha="right",
    )
    alt = f"What the quotas cost: {short_number(losses.total)} {currency or 'currency units'} in all. By fund wanted: "
    alt += ("; ".join(told[:8]) or "nothing") + ". A head by tolerance: "
    alt += ", ".join(f"{t}: {short_number(float(v))}" for t, v in zip(losses.tolerance, head)) + "."
    return Chart(figure, name, alt)
