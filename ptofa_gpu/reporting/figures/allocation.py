"""Plans side by side, exposures against quotas, and what one more exposure of a fund is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ptofa_gpu._arguments import flag, instance, listed, real_array, text_of
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.evaluation.comparison import Comparison
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import MAX_ROWS, bars_only, canvas, thousands, unit
from ptofa_gpu.reporting.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    METHOD_COLOURS,
    VERMILLION,
    label,
    labels,
    method_label,
    short_number,
    styled,
)


@styled
def method_chart(comparison: Comparison, *, currency: str = "", name: str = "methods") -> Chart:
    """Draw the revenue of each allocator; hollow bars break quotas, so their revenue cannot be had."""
    rows = sorted(instance("comparison", comparison, Comparison, "from compare").rows, key=lambda r: -r.objective)
    y = np.arange(len(rows))
    figure, axes = canvas(7.2, 1.0 + 0.46 * len(rows))
    told = []
    for place, r in zip(y, rows):
        colour = METHOD_COLOURS.get(r.method, GREY)
        axes.barh(
            place,
            r.objective,
            height=0.62,
            color=colour if r.keeps_quotas else "white",
            edgecolor=colour,
            hatch=None if r.keeps_quotas else "///",
        )
        share = "" if math.isnan(r.share) or r.share > 1 + 1e-9 else f"{percent(r.share, 2)} of optimum"
        notes = [short_number(r.objective), share]
        if not r.keeps_quotas:
            notes = [short_number(r.objective), f"not a valid plan: {r.over_quota:,} exposures over quota"]
        elif r.unfilled and r.under_quota:
            notes.append(f"{r.under_quota:,} undelivered")
        text = ", ".join(n for n in notes if n)
        inside = r.objective > 0.45 * rows[0].objective
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.92}
        axes.annotate(
            text,
            (r.objective, place),
            xytext=(-6 if inside else 6, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center",
            fontsize=8.5,
            bbox=box if inside else None,
        )
        told.append(f"{method_label(r.method)} {text}")
    axes.set_yticks(y, [method_label(r.method) for r in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, rows[0].objective * 1.03 if rows[0].objective > 0 else 1)
    thousands(axes.xaxis)
    axes.set_xlabel(f"expected revenue of the plan ({unit(currency)})")
    axes.set_title("What each way of allocating earns")
    bars_only(axes)
    return Chart(figure, name, "Expected revenue by allocator: " + "; ".join(told) + ".")


@styled
def exposure_chart(
    names: Sequence[str], exposures: ArrayLike, quota: ArrayLike, *, name: str = "exposures", method: str = ""
) -> Chart:
    """Draw exposures given to each fund against the quota it bought, as a share of the quota and in numbers.

    Parameters
    ----------
    names : sequence of str
        Fund names (untrusted text).
    exposures, quota : (F,) int
        Exposures of the plan, exposures bought.
    """
    names, method = [str(n) for n in listed("names", names, "funds' names")], text_of("method", method)
    given, bought = (
        real_array(word, v, (len(names),)).astype(np.int64) for word, v in (("exposures", exposures), ("quota", quota))
    )
    if not len(names) == given.size == bought.size or given.size == 0:
        raise InputError(f"{len(names)} names, {given.size} exposures and {bought.size} quotas must be one a fund")
    # with many funds, those furthest from their quota are what a reader needs
    order = (
        np.argsort(-np.abs(given - bought), kind="stable")[:MAX_ROWS]
        if given.size > MAX_ROWS
        else np.arange(given.size)
    )
    order = np.sort(order)
    y = np.arange(order.size)
    figure, axes = canvas(7.2, 1.1 + 0.36 * order.size)
    axes.barh(y, bought[order], height=0.72, color=FAINT)
    met = given[order] == bought[order]
    axes.barh(y, given[order], height=0.4, color=np.where(met, BLUE, VERMILLION))
    for place, f in zip(y, order):
        gap = int(given[f] - bought[f])
        words = f"{given[f]:,} of {bought[f]:,}" + (f"  ({gap:+,})" if gap else "  met")
        axes.annotate(
            words,
            (max(given[f], bought[f]), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=VERMILLION if gap else INK,
        )
    axes.set_yticks(y, labels(names[f] for f in order))
    axes.set_ylim(order.size - 0.45, -0.55)
    axes.set_xlim(0, max(int(max(given[order].max(), bought[order].max())), 1) * 1.34)
    thousands(axes.xaxis)
    axes.set_xlabel("exposures (grey: quota bought, colour: plan)")
    shown = f", {order.size} of {given.size} funds" if order.size < given.size else ""
    axes.set_title(f"Exposures against quotas{f': {method_label(method)}' if method else ''}{shown}")
    bars_only(axes)
    off = [f"{names[f]} {given[f] - bought[f]:+,}" for f in range(given.size) if given[f] != bought[f]]
    alt = f"Exposures against quota for {given.size} funds: {given.size - len(off)} meet it exactly"
    alt += f"; differing: {', '.join(off[:12])}." if off else "."
    return Chart(figure, name, alt)


@styled
def price_chart(
    names: Sequence[str],
    price: ArrayLike,
    *,
    full: bool = False,
    currency: str = "",
    name: str = "shadow-prices",
) -> Chart:
    """Draw each fund's shadow price: how the plan's revenue changes with one more exposure in its quota.

    Parameters
    ----------
    names : sequence of str
        Fund names (untrusted text).
    price : (F,) float
        Currency per exposure. Negative: the fund takes slots that would earn more elsewhere.
    full : bool
        The quotas fill every slot: one exposure more of a fund is one fewer of another, so what is drawn is the
        difference from the fund of lowest price.
    """
    names, full = [str(n) for n in listed("names", names, "funds' names")], flag("full", full)
    value = real_array("price", price, (len(names),)).astype(np.float64)
    if len(names) != value.size or value.size == 0 or not np.all(np.isfinite(value)):
        raise InputError(f"{len(names)} names and {value.size} prices must be one a fund, and finite")
    order = np.argsort(-value, kind="stable")
    cheapest, swap = int(order[-1]), ""
    if full:
        value, swap = value - value[cheapest], f" in place of one of {names[cheapest]}"
    if order.size > MAX_ROWS:
        order = np.concatenate([order[: MAX_ROWS // 2], order[-MAX_ROWS // 2 :]])
    y = np.arange(order.size)
    figure, axes = canvas(7.2, 1.1 + 0.34 * order.size)
    axes.barh(y, value[order], height=0.6, color=np.where(value[order] < 0, VERMILLION, BLUE))
    for place, f in zip(y, order):
        axes.annotate(
            short_number(value[f]),
            (value[f], place),
            xytext=(5 if value[f] >= 0 else -5, 0),
            textcoords="offset points",
            ha="left" if value[f] >= 0 else "right",
            va="center",
            fontsize=8.5,
        )
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_yticks(y, labels(names[f] for f in order))
    axes.set_ylim(order.size - 0.45, -0.55)
    axes.margins(x=0.14)
    place_of = f"\nin place of one of {label(names[cheapest])}" if full else ""
    axes.set_xlabel(f"change in revenue for one more exposure{place_of} ({unit(currency)})")
    shown = f": {order.size} of {value.size} funds" if order.size < value.size else ""
    axes.set_title(f"What one more exposure is worth{shown}")
    bars_only(axes)
    told = ", ".join(f"{names[f]} {short_number(value[f])}" for f in order[:12])
    return Chart(
        figure, name, f"Worth of one more exposure{swap} in {currency or 'currency units'}, highest first: {told}."
    )
