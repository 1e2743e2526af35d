"""Who loses what by which quota."""

from __future__ import annotations

import numpy as np

from ptofa_gpu._arguments import instance
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation.losses import QuotaLosses
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import bars_only, canvas, thousands, unit
from ptofa_gpu.reporting.style import BLUE, GREY, INK, ORANGE, labels, short_number, styled

# rows that are readable at the size the figure is shown
_MOST = 20


@styled
def loss_chart(losses: QuotaLosses, *, currency: str = "", name: str = "quota-losses") -> Chart:
    """Draw what the quotas cost: left by the fund that customers wanted and did not get, right by their tolerance.

    The words beside a bar on the left say how many exposures go elsewhere, and where most of them go. Of more than
    twenty funds, those that lose most are drawn.

    Raises
    ------
    InputError
        The losses are of no fund or no customer.
    """
    instance("losses", losses, QuotaLosses, "from quota_losses")
    if not len(losses.names) or not len(losses.tolerance):
        raise InputError("there is nothing to draw: the losses are of no fund or of no customer")
    money, out = losses.lost.sum(axis=1), losses.moved.sum(axis=1)
    order = np.argsort(-money, kind="stable")[:_MOST]
    y = np.arange(order.size)
    figure, (left, right) = canvas(8.4, 1.3 + 0.4 * max(order.size, 5), columns=2, width_ratios=[3, 1.5])
    left.barh(y, money[order], height=0.6, color=BLUE)
    short, told = labels([*losses.names, "no fund"], 18), []
    for place, f in zip(y, order):
        if out[f]:
            to = int(np.argmax(losses.moved[f]))
            words = f"{out[f]:,} of {losses.wanted[f]:,}, most to {short[to]}"
            told.append(f"{losses.names[f]} {short_number(money[f])} ({out[f]:,} exposures)")
        else:
            words = "all get it"
        left.annotate(
            words, (max(money[f], 0), place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8
        )
    left.set_yticks(y, labels(losses.names[f] for f in order))
    left.set_ylim(order.size - 0.45, -0.55)
    top = max(float(money.max()), 1e-9)
    left.set_xlim(min(0.0, float(money.min()) * 1.1), top * 2.25)
    thousands(left.xaxis)
    left.set_xlabel(f"expected revenue lost ({unit(currency)})")
    shown = f", {order.size} of {money.size}" if order.size < money.size else ""
    left.set_title(f"By the fund they wanted{shown}")
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
    right.set_xlim(-0.8, head.size - 0.2)
    right.grid(False, axis="x")
    right.set(xlabel="risk tolerance", ylabel=f"lost per customer ({unit(currency)})")
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
    alt += ("; ".join(told[:8]) or "nothing") + ". Per customer by tolerance: "
    alt += ", ".join(f"{t}: {short_number(float(v))}" for t, v in zip(losses.tolerance, head)) + "."
    return Chart(figure, name, alt)
