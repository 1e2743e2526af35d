"""Names beside the ends of lines, in a column with none on top of another: quicker to read than a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptofa_gpu.reporting.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: where a line ends, x and y, the words there, and the line's colour
End = tuple[float, float, str, str]
#: height of a line of text, and the gap before the column, as shares of the axes
_LINE, _AWAY = 0.05, 0.035
#: where a name may stand beside a point: offsets in points and how it is aligned, best first
_AROUND = (
    (5, 0, "left", "center"), (-5, 0, "right", "center"), (4, 4, "left", "bottom"), (-4, 4, "right", "bottom"),
    (4, -4, "left", "top"), (-4, -4, "right", "top"), (0, 6, "center", "bottom"), (0, -6, "center", "top"),
)  # fmt: skip


def room_for_names(axes: Axes, sizes: Sequence[float], share: float = 0.36) -> None:
    """Set the limits of a logarithmic x axis so that the last size leaves `share` of its width for names."""
    low, high = math.log10(min(sizes)), math.log10(max(sizes))
    length = 1.05 * (high - low) or 0.1
    share = share if high > low else 0.75
    axes.set_xlim(10 ** (high - length), 10 ** (high + length * share / (1 - share)))


def label_ends(axes: Axes, ends: Sequence[End], *, line: float = _LINE) -> None:
    """Write each line's name in a column on the right, with a thin line to where it ends, dotted where that is far.

    Parameters
    ----------
    axes : Axes
        With a logarithmic x axis, its limits set, also where y is turned upside down.
    ends : sequence of End
    line : float
        Height of a line of text as a share of the axes: more in a lower panel.
    """
    logarithmic = axes.get_yscale() == "log"
    low, high = (math.log10(v) if logarithmic else v for v in axes.get_ylim())
    left, right = (math.log10(v) for v in axes.get_xlim())
    longest = max(end[0] for end in ends)
    column = (math.log10(longest) - left) / (right - left) + _AWAY

    def height(end: End) -> float:
        return ((math.log10(end[1]) if logarithmic else end[1]) - low) / (high - low)

    # of lines that end at about one height, the shorter goes above: its leader passes over the others' ends
    order = sorted(ends, key=lambda end: height(end) - 0.1 * (math.log10(end[0]) - left) / (right - left))
    places = spread([height(e) for e in order], [line * (1 + e[2].count("\n")) for e in order])
    for (x, y, words, colour), place in zip(order, places):
        axes.annotate(
            words,
            (x, y),
            xytext=(column, place),
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=INK,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5),
                "linestyle": "-" if x == longest else (0, (1, 3)),
            },
        )  # fmt: skip


def name_points(
    figure: Figure, axes: Axes, points: NDArray[np.float64], names: Sequence[str], *, size: float = 7.5
) -> list[str]:
    """Write names beside points where they cover no other name, no point and no edge; return those that had room.

    Parameters
    ----------
    figure, axes : Figure, Axes
        Scales and limits set.
    points : (n, 2) float
        All points, in data coordinates.
    names : sequence of str
        Of the first points, most important first.
    """
    figure.draw_without_rendering()  # the layout, so that places in pixels are known
    at = axes.transData.transform(points)
    inside, pixel = axes.get_window_extent(), figure.dpi / 72
    taken = [(x - 4 * pixel, y - 4 * pixel, x + 4 * pixel, y + 4 * pixel) for x, y in at]
    placed = []
    for (x, y), point, name in zip(at, points, names):
        for dx, dy, ha, va in _AROUND:
            text = axes.annotate(
                name, point, xytext=(dx, dy), textcoords="offset points", ha=ha, va=va, fontsize=size, zorder=4
            )
            box = text.get_window_extent()
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            others = (t for t in taken if t[:2] != (x - 4 * pixel, y - 4 * pixel))
            if fits and not any(a < box.x1 and c > box.x0 and b < box.y1 and d > box.y0 for a, b, c, d in others):
                taken.append((box.x0, box.y0, box.x1, box.y1))
                placed.append(name)
                break
            text.remove()
    return placed


def spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Places near the `wanted` ones (ascending), each `heights` tall and none on top of another, between 0 and 1."""
    places: list[float] = []
    for want, height in zip(wanted, heights):
        least = places[-1] + (heights[len(places) - 1] + height) / 2 if places else height / 2
        places.append(max(want, least))
    room = 1.0
    for i in reversed(range(len(places))):
        places[i] = min(places[i], room - heights[i] / 2)
        room = places[i] - heights[i] / 2
    return places
