"""Helpers the figures share. Made without pyplot: no global state, nothing to close or shown twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptofa_gpu.reporting.style import short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def canvas(width: float, height: float, columns: int = 1, rows: int = 1, **options: Any) -> tuple[Figure, Any]:
    """Return a figure of `width` x `height` inches and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


def thousands(axis: Any) -> None:
    """Write an axis's ticks as 10k, 2.5M."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda v, _: short_number(v)))


def bars_only(axes: Axes) -> None:
    """Dress axes whose rows are named on the y axis: grid only along the values, no ticks at the names."""
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def unit(currency: str) -> str:
    """Return the name of the money unit, safe in a figure."""
    return (currency or "currency units").replace("$", r"\$")
