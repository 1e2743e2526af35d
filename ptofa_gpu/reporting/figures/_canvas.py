"""Helpers the figures share. Made without pyplot: no global state, nothing to close or shown twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ptofa_gpu._arguments import text_of
from ptofa_gpu.reporting.style import short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: a figure of more rows than this is not readable at the size it is shown
MAX_ROWS = 24


def canvas(width: float, height: float, columns: int = 1, rows: int = 1, **options: Any) -> tuple[Figure, Any]:
    """Return a figure of `width` x `height` inches and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


def thousands(axis: Any) -> None:
    """Write an axis's ticks as 10k, 2.5M; call it once the scale is set.

    A log axis that spans few powers of ten has names at ticks between them too, or it would have one or none.
    """
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda v, _: short_number(v)))
    if axis.get_scale() == "log":
        axis.set_minor_formatter(FuncFormatter(lambda v, _: _between(v, *sorted(axis.get_view_interval()))))
    else:
        axis.set_minor_formatter(NullFormatter())


def _between(value: float, low: float, high: float) -> str:
    """The words at a tick between two powers of ten on an axis from `low` to `high`; most have none."""
    span = high / low if low > 0 else math.inf
    leading = round(value / 10.0 ** math.floor(math.log10(value) + 1e-9)) if value > 0 else 0
    named = (2, 3, 5, 7) if span < 10 else (2, 5) if span < 40 else ()
    return short_number(value) if span < 4 or leading in named else ""


def size_ticks(axes: Axes, sizes: Sequence[float], most: int = 8) -> None:
    """Put the ticks of a logarithmic x axis at the sizes, or of many at powers of ten and the last."""
    from matplotlib.ticker import FixedLocator, NullLocator

    ticks = sorted(set(sizes))
    if len(ticks) > most:
        round_ones = [s for s in ticks[:-1] if math.log10(s).is_integer() and ticks[-1] / s > 2.5]
        ticks = [*(round_ones or ticks[:1]), ticks[-1]]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    thousands(axes.xaxis)


def bars_only(axes: Axes) -> None:
    """Dress axes whose rows are named on the y axis: grid only along the values, no ticks at the names."""
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def unit(currency: str) -> str:
    """Return the name of the money unit, safe in a figure."""
    return (text_of("currency", currency) or "currency units").replace("$", r"\$")
