"""The pictures of the README: small, and in the colours of the figures."""

from __future__ import annotations

import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pytest

from ptofa_gpu.reporting.style import BLUE, GREEN, GREY, ORANGE, VERMILLION

Image = pytest.importorskip("PIL.Image")
ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "scripts" / "gallery.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def pixels(image, colour: str) -> int:
    wanted = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return sum(n for n, c in image.convert("RGB").getcolors(1 << 24) if c == wanted)


@pytest.mark.parametrize("colours", [256, 16])
def test_a_mark_of_few_pixels_keeps_its_colour(gallery, colours):
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    for i, colour in enumerate((GREEN, VERMILLION, GREY, ORANGE)):
        picture.paste(colour, (0, 40 * i, 300, 40 * i + 30))
    picture.paste(BLUE, (380, 280, 383, 283))
    place = (380, 280, 383, 283)
    plain = picture.quantize(colours, dither=Image.Dither.NONE)
    assert pixels(plain.crop(place), BLUE) == 0, "or nothing is tested"
    small = gallery.reduced(picture, colours)
    assert pixels(small.crop(place), BLUE) == 9
    assert len(small.convert("RGB").getcolors(1 << 24)) <= colours
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    assert Image.open(buffer).convert("RGB").tobytes() == small.convert("RGB").tobytes()


def test_the_pictures_are_those_of_the_readme_and_small(gallery):
    named = set(re.findall(r"docs/images/([\w-]+)\.png", (ROOT / "README.md").read_text()))
    assert named == {*gallery.FIGURES, "report"} == {p.stem for p in IMAGES.glob("*.png")}
    for name in gallery.FIGURES:
        path = IMAGES / f"{name}.png"
        assert path.stat().st_size <= gallery.LARGEST
        with Image.open(path) as image:
            assert image.width <= gallery.WIDTH
    with Image.open(IMAGES / "ab-lifts.png") as lifts:
        assert pixels(lifts, BLUE) > 20, "the legend's blue is blue"
        assert pixels(lifts, GREEN) > 100
