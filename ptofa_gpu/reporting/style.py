"""One look for every figure: colours that colour-blind readers tell apart, quiet axes, names shown as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ptofa_gpu.reporting.markup import without_turns

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/)
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
YELLOW = "#F0E442"
GREY = "#6B7280"
INK = "#1F2937"
FAINT = "#D1D5DB"

GRID = "#E5E7EB"
WHITE = "#FFFFFF"
#: what a colour becomes on a dark page: same hue, enough contrast with the ground (at least 4.5 for words, 3 for marks)
DARK = {
    WHITE: "#1D2129",
    INK: "#E6E9EE",
    GREY: "#A3ADBA",
    FAINT: "#4A5362",
    GRID: "#363D49",
    BLUE: "#3D9FE0",
    GREEN: "#1FB58A",
    VERMILLION: "#F27A24",
}

METHOD_COLOURS = {
    "optimal": BLUE,
    "reference": BLUE,
    "heuristic": GREEN,
    "manual": ORANGE,
    "topk": VERMILLION,
    "random": GREY,
    "integer": PURPLE,
}
METHOD_LABELS = {
    "optimal": "optimum (by prices)",
    "reference": "optimum (reference)",
    "heuristic": "heuristic (Alg. 1)",
    "manual": "manual",
    "topk": "top-K (quotas ignored)",
    "random": "random",
    "integer": "integer programming",
}
DATA_LABELS = {
    "lct-a": "the synthetic world LCT-A",
    "lct-b": "the synthetic world LCT-B",
    "hillstrom": "the Hillstrom campaign",
}

_NOT_LOOKS = ("backend", "interactive", "toolbar", "webagg.", "date.epoch", "tk.", "figure.raise_window")

#: where a number is not known
MISSING = "—"

_STYLE = {
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "savefig.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "both",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    # text as outlines: the file looks the same on a machine without the font
    "svg.fonttype": "path",
    "svg.hashsalt": "ptofa",
}

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def style() -> Iterator[None]:
    """Draw in the package's style, whatever the user's matplotlibrc says; the settings are as before afterwards."""
    import matplotlib as mpl

    # the backend is not a matter of looks, and to set it would close figures
    own = {k: v for k, v in mpl.rcParamsDefault.items() if not k.startswith(_NOT_LOOKS)}
    with mpl.rc_context({**own, **_STYLE}):
        yield


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a drawing function use the package's style."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with style():
            return draw(*args, **kwargs)

    return inner


def adapt(svg: str) -> str:
    """Let an SVG of ours follow the reader's choice of a light or dark page, also where it is shown as an image.

    Every colour stands in a ``style`` attribute; a style sheet with ``!important`` comes before that, and holds on
    dark screens only, so that paper stays white.
    """
    rules = "".join(
        f'[style*="{part}: {light.lower()}"],[{part}="{light.lower()}"]{{{part}:{dark.lower()}!important}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
    sheet = f"<style>@media screen and (prefers-color-scheme: dark){{{rules}}}</style>"
    end_of_tag = svg.index(">", svg.index("<svg")) + 1
    return svg[:end_of_tag] + sheet + svg[end_of_tag:]


def label(name: Any, width: int = 26) -> str:
    """Show `name` in a figure as it is: one line, shortened, ``$`` is no formula, and no mark turns the text around."""
    text = without_turns(" ".join(str(name).encode("utf-8", "backslashreplace").decode().split()))
    if len(text) > width:
        text = text[: width - 1].rstrip() + "…"
    return text.replace("$", r"\$")


def labels(names: Iterable[Any], width: int = 26) -> list[str]:
    """Show several names; those that would look alike once shortened are shortened in the middle instead."""
    whole = [" ".join(str(name).split()) for name in names]
    short = [label(name, width) for name in whole]
    half = (width - 1) // 2
    return [
        label(f"{name[: width - 1 - half].rstrip()}…{name[-half:].lstrip()}", width)
        if len(name) > width and short.count(text) > 1
        else text
        for name, text in zip(whole, short)
    ]


def method_label(method: str) -> str:
    """Return the words for an allocator in figures."""
    return METHOD_LABELS.get(method, label(method))


def short_number(value: float) -> str:
    """Write a figure in at most four digits: 12.3k, 4.56M, 0.0123; a dash for what is no finite number."""
    if not math.isfinite(value):
        return MISSING
    size = abs(value)
    for limit, suffix, unit in ((1e9, "bn", 1e9), (1e6, "M", 1e6), (1e4, "k", 1e3)):
        if size >= limit:
            return f"{value / unit:,.3g}{suffix}" if size / unit < 1000 else f"{value / unit:,.0f}{suffix}"
    if size >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}"
