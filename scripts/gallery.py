"""Make the pictures of the README (`make gallery`): figures of a report, and its front as a browser shows it."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from ptofa_gpu._files import atomic_path
from ptofa_gpu.reporting import run_report
from ptofa_gpu.reporting.style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    GRID,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WHITE,
)

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
#: picture of the README -> notebook and figure
FIGURES = {
    "customer-amounts": ("01_data", "customer-amounts"),
    "matthew-effect": ("01_data", "matthew-effect"),
    "objective-by-scale": ("03_allocation", "objective-by-scale"),
    "quota-losses": ("03_allocation", "quota-losses"),
    "ab-lifts": ("04_ab_test", "ab-lifts"),
    "shadow-prices": ("03_allocation", "shadow-prices"),
}
WIDTH, LARGEST = 900, 60_000  # pixels; bytes
#: the colours of marks and words: a legend of three pixels must not take the colour of its neighbour
KEPT = (WHITE, INK, GREY, FAINT, GRID, BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)


def main() -> int:
    """Run the notebooks that changed, and write the pictures."""
    books = ["quickstart", *dict.fromkeys(book for book, _ in FIGURES.values())]
    index = run_report(
        books,
        output=ROOT / "reports" / "gallery",
        progress=lambda step: print(f"{step.number}/{step.notebooks} {step.notebook}: {step.heading}", file=sys.stderr),
    )
    for name, (book, figure) in FIGURES.items():
        keep(Image.open(index.parent / book / f"{figure}.png"), name)
    shot = front(index)
    if shot is None:
        print("no chromium: docs/images/report.png stays as it was", file=sys.stderr)
    else:
        keep(shot, "report")
    return 0


def front(index: Path, width: int = 1000, height: int = 1150) -> Image.Image | None:
    """Return the upper part of the report's front."""
    chromium = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    if chromium is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "front.png")
        subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--hide-scrollbars", "--blink-settings=preferredColorScheme=1",
             f"--screenshot={target}", f"--window-size={width},{height}", index.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
        with Image.open(target) as image:
            return image.convert("RGB")


def keep(image: Image.Image, name: str) -> None:
    """Write a picture with as many colours as fit into its size."""
    small = image.convert("RGB")
    if small.width > WIDTH:
        small = small.resize((WIDTH, round(small.height * WIDTH / small.width)), Image.Resampling.LANCZOS)
    for colours in (256, 128, 64, 32, 16):
        buffer = io.BytesIO()
        reduced(small, colours).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= LARGEST:
            break
    with atomic_path(IMAGES / f"{name}.png") as partial:
        partial.write_bytes(buffer.getvalue())


def reduced(image: Image.Image, colours: int) -> Image.Image:
    """Return an RGB picture with so many colours, among them those of the style that it has.

    The usual choice of colours is by area: a mark of few pixels would get the colour of a larger one.
    """
    seen, place = np.unique(np.asarray(image).reshape(-1, 3), axis=0, return_inverse=True)
    style = np.array([ImageColor.getrgb(colour) for colour in KEPT], dtype=np.uint8)
    kept = style[(style[:, None] == seen).all(axis=2).any(axis=1)]
    few = max(colours - len(kept), 1)
    others = image.quantize(few, dither=Image.Dither.NONE).getpalette() or []
    palette = np.concatenate([kept, np.array(others, dtype=np.uint8).reshape(-1, 3)[:few]])
    # Pillow looks up the nearest colour by its leading bits only: white would be nearly white
    nearest = np.concatenate(
        [np.abs(part[:, None].astype(np.int16) - palette).sum(axis=2).argmin(axis=1) for part in _parts(seen)]
    )
    out = Image.fromarray(nearest.astype(np.uint8)[place.reshape(image.height, image.width)])
    out.putpalette(palette.tobytes())
    return out


def _parts(rows: np.ndarray, size: int = 4096) -> list[np.ndarray]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


if __name__ == "__main__":
    sys.exit(main())
