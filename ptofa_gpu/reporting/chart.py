"""A figure with its name and its description: what a notebook shows and a report keeps is the same object."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptofa_gpu._arguments import one_of, text_of
from ptofa_gpu._files import atomic_path
from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def _no_glyph_warnings() -> Iterator[None]:
    """An emoji in a fund's name is drawn as a box; tables beside the figure show it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@dataclass(frozen=True)
class Chart:
    """A drawn figure. In Jupyter it shows itself, with `alt` as the description for readers who do not see it."""

    figure: Figure
    #: file name without ending: lower-case words joined by hyphens
    name: str
    #: what the figure shows, in a sentence or two, with its figures
    alt: str

    def __post_init__(self) -> None:
        text_of("name", self.name), text_of("alt", self.alt)
        if not self.alt.strip():
            raise InputError(f"chart {self.name!r} needs a description: alt must not be empty")
        if not self.name.replace("-", "").isalnum():
            raise InputError(f"chart name {self.name!r} becomes a file name: use letters, digits and hyphens only")
        # lay it out once: every further pass would shift things a little, and files of one figure would differ
        with _no_glyph_warnings():
            self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def render(self, kind: str) -> bytes:
        """Return the figure as ``"png"`` or ``"svg"`` bytes; the same figure gives the same bytes.

        The SVG is light on light pages and dark on dark ones.
        """
        from ptofa_gpu.reporting.style import adapt, style

        one_of("kind", kind, ("png", "svg"))
        buffer = io.BytesIO()
        # without these the files would hold the time of day and matplotlib's version
        stamp = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        with style(), _no_glyph_warnings():
            self.figure.savefig(buffer, format=kind, bbox_inches="tight", pad_inches=0.12, metadata=stamp)
        return adapt(buffer.getvalue().decode()).encode() if kind == "svg" else buffer.getvalue()

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write ``name.png`` and ``name.svg`` into `folder`."""
        paths = (folder / f"{self.name}.png", folder / f"{self.name}.svg")
        for path in paths:
            with atomic_path(path) as partial:
                partial.write_bytes(self.render(path.suffix[1:]))
        return paths

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        import base64

        data = {
            "image/png": base64.b64encode(self.render("png")).decode(),
            "image/svg+xml": self.render("svg").decode(),
            "text/plain": self.alt,
        }
        return data, {"image/png": {"alt": self.alt}, "image/svg+xml": {"alt": self.alt}}
