"""What the exposure log looks like: amounts, and which funds were shown to how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ptofa_gpu._arguments import instance, listed, real_array
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import exposure_data
from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.evaluation.exposure import CustomerAmounts
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import MAX_ROWS, bars_only, canvas, thousands, unit
from ptofa_gpu.reporting.figures._ends import name_points
from ptofa_gpu.reporting.style import BLUE, GREY, INK, ORANGE, VERMILLION, label, labels, short_number, styled

if TYPE_CHECKING:
    from ptofa_gpu.datasets.base import ExposureData


@styled
def amount_chart(amount: ArrayLike, *, currency: str = "", name: str = "amounts") -> Chart:
    """Draw the invested amounts of the conversions on a log axis with the log-normal fitted to them (PTOFA, Fig. 2).

    Parameters
    ----------
    amount : (N,) float
        Amounts in currency; rows at 0 (no conversion) do not count.
    """
    values = real_array("amount", amount).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("amount must be finite")
    values = values[values > 0]
    if values.size < 2:
        raise InputError(f"a distribution of amounts needs at least 2 conversions, got {values.size}")
    logs = np.log(values)
    mu, sigma = logs.mean(), max(logs.std(), 1e-9)
    bins = int(np.clip(np.sqrt(values.size), 10, 50))
    edges = np.linspace(logs.min(), logs.max() + 1e-9, bins + 1)
    alike = logs.max() - logs.min() < 0.01  # no width to draw bars or a curve in
    if alike:
        edges = mu + np.linspace(-1.0, 1.0, bins + 2 - bins % 2)
    figure, axes = canvas(6.4, 3.4)
    counts, _ = np.histogram(logs, edges)
    axes.stairs(counts, np.exp(edges), fill=True, color=BLUE, alpha=0.35)
    grid = np.linspace(edges[0], edges[-1], 200)
    density = np.exp(-0.5 * ((grid - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    fitted = density * values.size * (edges[1] - edges[0])
    if alike:
        fitted = np.zeros(1)
    else:
        axes.plot(np.exp(grid), fitted, color=VERMILLION)
    axes.set_xscale("log")
    thousands(axes.xaxis)
    axes.set(xlabel=f"amount of a conversion ({unit(currency)}, log scale)", ylabel="conversions")
    axes.set_ylim(0, 1.12 * max(counts.max(), fitted.max()))
    axes.set_title("Amounts, all alike" if alike else "Amounts, and the log-normal fitted to them")
    axes.yaxis.get_major_locator().set_params(integer=True)
    median, mean = float(np.median(values)), float(values.mean())
    for value, words, side in ((median, "median", "right"), (mean, "mean", "left")):
        axes.axvline(value, color=INK, linewidth=0.9, linestyle=":")
        axes.annotate(
            f" {words} {short_number(value)} ",
            (value, 1.0),
            xycoords=("data", "axes fraction"),
            ha=side,
            va="top",
            fontsize=8.5,
        )
    if not alike:
        axes.plot([], [], color=VERMILLION, label=f"log-normal, μ = {mu:.2f}, σ = {sigma:.2f}")
        axes.legend(loc="upper left", bbox_to_anchor=(0, 0.93), fontsize=8.5)
    alt = (
        f"Histogram of {values.size:,} invested amounts on a log axis"
        f"{', all alike' if alike else ' with a fitted log-normal curve'}; median "
        f"{short_number(median)}, mean {short_number(mean)} {currency or 'currency units'}."
    )
    return Chart(figure, name, alt)


def _log_by_fund(data: ExposureData) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, exposures and conversions of the funds, those shown most first.

    Raises
    ------
    InputError
        No fund, or nobody was shown any.
    """
    table = data.fund_table()
    shown = np.array([f["exposures"] for f in table], dtype=np.float64)
    if not shown.sum() > 0:
        raise InputError(f"there is nothing to draw: the log shows none of the {len(table)} funds to anybody")
    order = np.argsort(-shown, kind="stable")
    hits = np.array([f["conversions"] for f in table], dtype=np.float64)
    return [table[f]["name"] for f in order], shown[order], hits[order]


@styled
def exposure_bias_chart(data: ExposureData, *, name: str = "exposure-bias") -> Chart:
    """Draw each fund's share of the logged exposures, and its conversion rate with a 95 % Wilson interval.

    Of more than 24 funds, the twelve shown most and the twelve shown least are drawn.

    Parameters
    ----------
    data : ExposureData
        Fund names are untrusted text.

    Raises
    ------
    InputError
        The log shows nothing.
    """
    names, shown, hits = _log_by_fund(exposure_data(data))
    every, total = len(names), shown.sum()
    if every > MAX_ROWS:
        ends = [*range(MAX_ROWS // 2), *range(every - MAX_ROWS // 2, every)]
        names, shown, hits = [names[i] for i in ends], shown[ends], hits[ends]
    low, high = _wilson(hits, shown)
    rate = np.divide(hits, shown, out=np.zeros_like(hits), where=shown > 0)
    y = np.arange(shown.size)
    figure, (left, right) = canvas(7.6, 0.9 + 0.34 * shown.size + 0.7, columns=2, sharey=True)
    share = shown / total
    left.barh(y, share * 100, color=BLUE, height=0.62)
    left.axvline(100 / every, color=GREY, linestyle="--", linewidth=1)
    left.annotate(
        " even share", (100 / every, 0), xycoords=("data", "axes fraction"), fontsize=8, color=GREY, va="bottom"
    )
    left.set_yticks(y, labels(names))
    left.set_ylim(len(names) - 0.45, -0.55)
    left.set_xlabel("share of logged exposures (%)")
    left.set_title("Who was shown" + (f": {len(names)} of {every} funds" if len(names) < every else ""))
    error = np.vstack([rate - low, high - rate]) * 100
    right.errorbar(rate * 100, y, xerr=error, fmt="o", color=ORANGE, ecolor=GREY, elinewidth=1.4, markersize=5)
    right.set_xlim(left=0)
    right.set_xlabel("conversions per 100 exposures (95 % interval)")
    right.set_title("Who was bought")
    for axes in (left, right):
        bars_only(axes)
    alt = (
        f"Left: share of logged exposures by fund, from {percent(share[0])} ({names[0]}) to "
        f"{percent(share[-1])} ({names[-1]}). "
        f"Right: conversion rates with intervals, from {percent(rate.min(), 2)} to {percent(rate.max(), 2)}."
    )
    return Chart(figure, name, alt)


def _wilson(hits: np.ndarray, n: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a proportion: sound for rates near 0, where the normal one is not."""
    size = np.maximum(n, 1)
    p = hits / size
    middle = (p + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * np.sqrt(p * (1 - p) / size + z * z / (4 * size * size))
    return np.minimum(middle - half, p).clip(0), np.maximum(middle + half, p)


@styled
def customer_amount_chart(
    customers: Sequence[CustomerAmounts], *, currency: str = "", name: str = "customer-amounts"
) -> Chart:
    """Draw the amounts of single customers with their own log-normals, one small panel each (PTOFA, Fig. 2).

    Parameters
    ----------
    customers : sequence of CustomerAmounts
        At most nine are drawn.

    Raises
    ------
    InputError
        No customer, or one without an amount above 0.
    """
    shown = [instance("customers", c, CustomerAmounts) for c in listed("customers", customers, "CustomerAmounts")][:9]
    if not all(c.amount.size and c.amount.min() > 0 for c in shown):
        raise InputError("every customer needs at least one amount, and amounts above 0")
    if not shown:
        raise InputError("no customer to draw: give at least one")
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, grid = canvas(7.6, 0.8 + 1.75 * rows, columns=columns, rows=rows, sharex=True, squeeze=False)
    low, high = min(c.amount.min() for c in shown), max(c.amount.max() for c in shown)
    edges = np.linspace(np.log(low) - 0.5, np.log(high) + 0.5, 15)
    line = np.linspace(edges[0], edges[-1], 160)
    told = []
    for panel, c in zip(grid.ravel(), shown):
        counts, _ = np.histogram(np.log(c.amount), edges)
        panel.stairs(counts, np.exp(edges), fill=True, color=BLUE, alpha=0.35)
        if c.sigma > 1e-6:  # False for NaN: one amount, or amounts all alike, have no curve
            density = np.exp(-0.5 * ((line - c.mu) / c.sigma) ** 2) / (c.sigma * np.sqrt(2 * np.pi))
            panel.plot(np.exp(line), density * c.amount.size * (edges[1] - edges[0]), color=VERMILLION)
        sigma = f"{c.sigma:.2f}" if c.amount.size > 1 else "—"
        panel.set_xscale("log")
        panel.set_title(f"customer {label(c.customer, 12)}", fontsize=9)
        panel.annotate(
            f"n = {c.amount.size}\nμ = {c.mu:.2f}\nσ = {sigma}",
            (0.97, 0.95),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=8,
        )
        panel.yaxis.get_major_locator().set_params(integer=True)
        panel.set_ylim(0, 1.25 * max(counts.max(), 1))
        thousands(panel.xaxis)
        told.append(f"{c.customer} (n {c.amount.size}, mu {c.mu:.2f}, sigma {sigma})")
    for panel in grid.ravel()[len(shown) :]:
        panel.set_visible(False)
    figure.supxlabel(f"amount of a conversion ({unit(currency)}, log scale)", fontsize=10)
    figure.supylabel("conversions", fontsize=10)
    alt = f"Histograms of log amounts of {len(shown)} single customers with fitted log-normals: " + "; ".join(told)
    return Chart(figure, name, alt + ".")


@styled
def concentration_chart(data: ExposureData, *, name: str = "matthew-effect") -> Chart:
    """Draw how exposure and conversions concentrate on few funds: those shown more are bought more (Matthew effect).

    Left, Lorenz curves with Gini coefficients. Right, each fund's share of conversions against its share of exposures,
    on log axes; the dashed line is one conversion share for one exposure share. The ten funds shown most are named, as
    far as there is room.

    Parameters
    ----------
    data : ExposureData
        Fund names are untrusted text.

    Raises
    ------
    InputError
        The log shows nothing.
    """
    from ptofa_gpu.evaluation.exposure import lorenz

    names, shown, bought = _log_by_fund(exposure_data(data))
    figure, (left, right) = canvas(7.8, 3.6, columns=2)
    told = []
    for values, colour, words in ((shown, BLUE, "exposures"), (bought, ORANGE, "conversions")):
        if values.sum() > 0:
            curve = lorenz(values)
            words_with = f"{words}, Gini {curve.gini:.2f}"
            left.plot(curve.share * 100, curve.held * 100, color=colour, marker="o", markersize=3.5, label=words_with)
            told.append(f"Gini of {words} {curve.gini:.2f}")
    left.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1, label="all alike")
    left.legend(loc="upper left", fontsize=8.5)
    left.set(xlabel="funds, least first (%)", ylabel="held by them (%)", xlim=(0, 100), ylim=(0, 100))
    left.set_title("Concentration")
    share, got = shown / shown.sum(), bought / max(bought.sum(), 1)
    some = np.flatnonzero((share > 0) & (got > 0))
    right.set(xlabel="share of exposures (%, log scale)", ylabel="share of conversions (%, log scale)")
    right.set_title("Shown more, bought more")
    if some.size:
        points = np.column_stack([share, got])[some] * 100
        right.scatter(*points.T, color=BLUE, s=26, zorder=3)
        # a factor of 4 at least, so that there are ticks
        ends = np.array([min(points.min() * 0.6, points.max() / 3), max(points.max() * 1.6, points.min() * 1.6)])
        right.plot(ends, ends, color=GREY, linestyle="--", linewidth=1)
        right.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
        for axis in (right.xaxis, right.yaxis):
            thousands(axis)
        name_points(figure, right, points, labels((names[f] for f in some), 18)[:10])
    else:
        right.annotate("nothing was bought", (0.5, 0.5), xycoords="axes fraction", ha="center", color=GREY)
    told.append(f"{names[0]} has {percent(share[0])} of exposures and {percent(got[0])} of conversions")
    return Chart(figure, name, "Concentration of exposures and conversions on funds: " + "; ".join(told) + ".")
