"""How training went, and whether predicted revenue means what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ptofa_gpu._arguments import instance, listed, mapping, number, real_array, text_of
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.evaluation.calibration import Calibration
from ptofa_gpu.evaluation.lift import LiftCurve
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import canvas, thousands, unit
from ptofa_gpu.reporting.style import BLUE, GREEN, GREY, ORANGE, VERMILLION, label, short_number, styled


@styled
def training_chart(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    metric: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    kept: float | None = None,
    name: str = "training",
) -> Chart:
    """Draw loss by epoch, and beside it one validation metric.

    Parameters
    ----------
    curves : mapping of str to (epochs, values)
        Loss curves by name, e.g. ``"training loss"`` and ``"validation loss"``. Rows that are not numbers are left out.
    metric : mapping of str to (epochs, values), optional
        The curve of a second panel by its name, e.g. the validation AUC; only the first is drawn, and empty is none.
    kept : float, optional
        The epoch whose weights the model has; it is marked in both panels.
    """
    curves = {title: _curve(title, points) for title, points in mapping("curves", curves).items()}
    metric = {title: _curve(title, points) for title, points in mapping("metric", metric).items()}
    kept = None if kept is None else number("kept", kept, "an epoch")
    if not curves:
        raise InputError("no curve to draw: give at least one loss curve")
    figure, axes = canvas(7.6 if metric else 5.0, 3.1, columns=2 if metric else 1)
    left = axes[0] if metric else axes
    colours = (GREY, BLUE, ORANGE, VERMILLION)
    told = []
    for i, (title, (epochs, values)) in enumerate(curves.items()):
        x, y = _finite(epochs, values)
        if x.size == 0:
            raise InputError(f"curve {title!r} has no finite value")
        left.plot(x, y, color=colours[i % 4], marker="o", markersize=3.5, label=title)
        told.append(f"{title if title.endswith('loss') else f'{title} loss'} from {y[0]:.4g} to {y[-1]:.4g}")
    if kept is not None:
        for panel in (left, axes[1]) if metric else (left,):
            panel.axvline(kept, color=GREEN, linestyle=":", linewidth=1.4, label=f"epoch kept: {kept:g}", zorder=0.9)
        told.append(f"epoch {kept:g} is kept")
    left.legend(fontsize=8.5)
    left.set(xlabel="epoch", ylabel="loss (nats per exposure)")
    left.set_title("Training")
    _whole_epochs(left)
    if metric:
        words, (epochs, values) = next(iter(metric.items()))
        x, y = _finite(epochs, values)
        if x.size:
            axes[1].plot(x, y, color=BLUE, marker="o", markersize=3.5)
            # the figure that counts is that of the epoch kept, which need not be the highest
            at = int(np.argmax(y)) if kept is None else int(np.argmin(np.abs(x - kept)))
            axes[1].annotate(
                f"{y[at]:.3f}",
                (x[at], y[at]),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
            )
            axes[1].margins(y=0.25)
            told.append(f"{words} {y[at]:.3f} at epoch {x[at]:g}")
        axes[1].set(xlabel="epoch", ylabel=words)
        axes[1].set_title(words[:1].upper() + words[1:])
        _whole_epochs(axes[1])
    return Chart(figure, name, "Training curves: " + "; ".join(told) + ".")


def _curve(title: str, points: Any) -> tuple[list[float], list[float]]:
    both = listed(title, points, "epochs, and values")
    if len(both) != 2:
        raise InputError(f"{title}: a curve is a pair of epochs and values, got {len(both)} parts")
    epochs, values = (real_array(title, part, (None,)).tolist() for part in both)
    if len(epochs) != len(values):
        raise InputError(f"{title}: {len(epochs)} epochs and {len(values)} values; they must agree")
    return epochs, values


def _whole_epochs(axes) -> None:  # type: ignore[no-untyped-def]
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def _finite(x: Sequence[float], y: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    keep = np.isfinite(a) & np.isfinite(b)
    return a[keep], b[keep]


@styled
def calibration_chart(
    calibration: Calibration, *, currency: str = "", what: str = "revenue per exposure", name: str = "calibration"
) -> Chart:
    """Draw mean outcome against mean prediction by bin on log axes, with intervals and the diagonal of being right.

    A bin in which nothing was earned has no place on a log axis: it is an arrow at the foot of the figure.
    """
    c, what = instance("calibration", calibration, Calibration), text_of("what", what) or "?"
    figure, (left, right) = canvas(7.6, 3.5, columns=2)
    money = unit(currency)
    seen = np.concatenate([c.predicted, c.actual, c.high])
    seen = seen[seen > 0]
    foot, top = (seen.min() / 2, seen.max() * 1.6) if seen.size else (0.1, 1.0)
    left.plot([foot, top], [foot, top], color=GREY, linestyle="--", linewidth=1)
    left.annotate("perfect ", (top, top), ha="right", va="top", fontsize=8, color=GREY)
    earned = c.actual > 0
    x = np.maximum(c.predicted, foot)
    error = np.vstack([c.actual - np.maximum(c.low, foot), c.high - c.actual]).clip(0)[:, earned]
    left.errorbar(x[earned], c.actual[earned], yerr=error, fmt="o", color=BLUE, elinewidth=1.2, markersize=5)
    left.plot(x[~earned], np.full(int((~earned).sum()), foot * 1.12), "v", color=BLUE, markersize=6)
    left.set(xscale="log", yscale="log", xlim=(foot, top), ylim=(foot, top))
    left.set(xlabel=f"predicted ({money}, log scale)", ylabel=f"actual ({money}, log scale)")
    left.set_title(f"{what[0].upper()}{what[1:]}")
    for axis in (left.xaxis, left.yaxis):
        thousands(axis)
    bins = np.arange(1, c.count.size + 1)
    share = np.divide(c.actual * c.count, max((c.actual * c.count).sum(), 1e-300)) * 100
    right.bar(bins, share, color=ORANGE, width=0.7)
    right.axhline(100 / bins.size, color=GREY, linestyle="--", linewidth=1)
    right.annotate("no information", (0.6, 100 / bins.size), va="bottom", fontsize=8, color=GREY)
    right.set_xticks(bins)
    right.grid(False, axis="x")
    right.set(xlabel="tenth of predictions (1 = lowest)" if bins.size == 10 else "bin of predictions (1 = lowest)")
    right.set_ylabel("share of actual revenue (%)")
    right.set_title("Where the money was")
    alt = (
        f"Left: mean actual against mean predicted {what} in {bins.size} bins with {percent(c.level)} intervals; "
        f"{c.covered} of {bins.size} predictions lie inside; total predicted over actual {short_number(c.ratio)}. "
        f"Right: the highest bin holds {percent(c.top_share)} of actual revenue."
    )
    return Chart(figure, name, alt)


@styled
def lift_chart(curves: Mapping[str, LiftCurve], *, what: str = "revenue", name: str = "lift") -> Chart:
    """Draw how much of what was earned the highest predictions caught, for one model or several.

    Parameters
    ----------
    curves : mapping of str to LiftCurve
        At most five; the interval is drawn where there is one.
    """
    curves = {k: instance(f"curves[{k!r}]", c, LiftCurve) for k, c in mapping("curves", curves).items()}
    what = text_of("what", what)
    if not 0 < len(curves) <= 5:
        raise InputError(f"between one and five curves can be told apart, got {len(curves)}")
    figure, axes = canvas(5.8, 3.9)
    told, colours = [], (BLUE, ORANGE, GREEN, VERMILLION, GREY)
    first = next(iter(curves.values()))
    axes.plot(first.share * 100, first.best * 100, color=GREY, linewidth=1, linestyle=":", label="perfect ranking")
    for (title, curve), colour in zip(curves.items(), colours):
        if len(curves) == 1:
            axes.fill_between(
                curve.share * 100, curve.low * 100, curve.high * 100, color=colour, alpha=0.2, linewidth=0
            )
        words = f"{label(title)}: {percent(curve.at(0.1) * 0.1)} in the top tenth"
        axes.plot(curve.share * 100, curve.caught * 100, color=colour, label=words)
        told.append(f"{title} catches {percent(curve.at(0.1) * 0.1)} of {what} in its highest tenth")
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle="--", label="chance")
    axes.set(xlim=(0, 100), ylim=(0, 102), xlabel="exposures, highest predictions first (%)")
    axes.set_ylabel(f"share of {what} caught (%)")
    axes.set_title("Lift: where the money is found" + (f" ({percent(first.level)} band)" if len(curves) == 1 else ""))
    axes.legend(loc="lower right", fontsize=8.5)
    return Chart(figure, name, "Cumulative gains: " + "; ".join(told) + ".")
