"""The report in a real browser, light and dark: it loads nothing, reports no error, links resolve, figures show."""

from __future__ import annotations

import io
import itertools
import urllib.parse
from pathlib import Path

import numpy as np
import pytest

from ptofa_gpu.errors import ReportError
from ptofa_gpu.reporting import run_report

from ..browser import browser, needs_chromium
from .notebooks import write

pytestmark = needs_chromium

NAMES = ["<script>alert(1)</script>", "a very long name " * 12, "صندوق الاستثمار", "rocket 🚀 fund", "</style><b>x"]
CELL = f"""
from ptofa_gpu.reporting import Check, Figure, Outputs, Summary, figures
import pandas as pd
names = [name for name in {NAMES!r} if not name == 5]  # every kind of word that code has colours for
out = Outputs(output_dir)
out.table(pd.DataFrame({{"fund": names, "quota": [1, 2, 3, 4, 5]}}), "funds")
out.summary(Summary(
    "Plan for " + names[0], "Decided for " + " and ".join(names),
    [Figure("Expected revenue", "2.18M CNY", "predicted"), Figure(names[1], "1,234,567.89 currency units", names[0])],
    [Check(names[2], "good"), Check(names[3], "warning"), Check(names[4], "bad")], names, "exposures", lead=True))
out.chart(figures.exposure_chart(names, [5, 4, 3, 2, 0], [5, 4, 3, 2, 1]))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    good = write(folder, "good", "# All is *well*: $x^2$\n\n## A part", CELL)
    bad = write(folder, "bad", "# Not well\n", "raise ValueError(" + repr(NAMES[0]) + ")")
    with pytest.raises(ReportError):
        run_report([good, bad], output=folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def page():
    with browser() as tab:
        yield tab


PAGES = ["index.html", "good.html", "bad.html"]
# the text's and the ground's colour of everything that holds words of its own
COLOURS = """[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && [...e.childNodes].some(
  n => n.nodeType === 3 && n.textContent.trim())).map(e => {
    let g = e; while (g && getComputedStyle(g).backgroundColor === 'rgba(0, 0, 0, 0)') g = g.parentElement;
    const s = getComputedStyle(e);
    return [s.color, getComputedStyle(g || document.documentElement).backgroundColor,
            e.tagName + ': ' + e.textContent.trim().slice(0, 40)];
  })"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page(report: Path, page, name: str, dark: bool) -> None:
    page.requests.clear(), page.errors.clear()
    page.open((report / name).as_uri(), dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.errors == []
    assert {urllib.parse.urlsplit(r).scheme for r in page.requests} <= {"file", "data"}
    assert len([r for r in page.requests if r.startswith("file:")]) == 1, "one file is the whole page"
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing runs out of the page"

    # accessible, code too: one main heading, no level skipped, described pictures, readable colours
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("[...document.images].every(i => i.alt.length > 20 && i.naturalWidth > 300)")
    assert page.evaluate("document.images.length") == (0 if name == "bad.html" else 1)
    seen = page.evaluate(COLOURS)
    assert len(seen) > 5
    for ink, ground, what in seen:
        assert contrast(ink, ground) >= 4.5, (what, ink, ground)

    for link in page.evaluate("[...document.links].map(a => a.href)"):
        parts = urllib.parse.urlsplit(link)
        if parts.scheme == "file":
            assert Path(urllib.parse.unquote(parts.path)).exists(), link
        if parts.fragment:
            assert page.evaluate(f"!!document.getElementById({parts.fragment!r})"), link


def test_untrusted_names_are_shown_as_text(report: Path, page) -> None:
    page.open((report / "index.html").as_uri())
    text = page.evaluate("document.body.innerText")
    for name in NAMES:
        assert " ".join(name.split()) in " ".join(text.split())
    page.open((report / "bad.html").as_uri())
    assert "ValueError: <script>alert(1)</script>" in page.evaluate("document.body.innerText")


def test_a_failure_is_marked_on_the_front(report: Path, page) -> None:
    page.open((report / "index.html").as_uri())
    assert "1 of 2 notebooks failed" in page.evaluate("document.querySelector('[role=alert]').innerText")
    assert page.evaluate("document.querySelector('section.failure pre').innerText").count("\n") >= 2
    # the decision comes before what failed, whatever their names
    assert page.evaluate("[...document.querySelectorAll('main > section > h2')].map(h => h.id)") == ["good", "bad"]


def test_short_figures_stay_on_one_line(report: Path, page) -> None:
    page.open((report / "index.html").as_uri())
    lines = page.evaluate(
        "[...document.querySelectorAll('dl.figures dd:not(.note):not(.long)')]"
        ".map(d => d.getBoundingClientRect().height / parseFloat(getComputedStyle(d).lineHeight))"
    )
    assert lines
    assert max(lines) < 1.5
    assert page.evaluate(
        "[...document.querySelectorAll('dl.figures dd')].every(d => d.scrollWidth <= d.clientWidth + 1)"
    )


def test_figures_show_on_light_and_dark_pages(report: Path, page) -> None:
    """The figure's own ground follows the page, and it holds bars of the package's colours."""
    shots = {}
    for dark in (False, True):
        page.open((report / "good.html").as_uri(), dark=dark)
        box = page.evaluate(
            "(r => [r.x, r.y + scrollY, r.width, r.height])(document.images[0].getBoundingClientRect())"
        )
        shots[dark] = pixels(page.screenshot(), box)
    assert shots[False].shape == shots[True].shape
    for dark, ground, bar in ((False, (255, 255, 255), (0, 114, 178)), (True, (29, 33, 41), (61, 159, 224))):
        near = np.abs(shots[dark].astype(int) - ground).max(axis=2) < 4
        assert near.mean() > 0.3, "the ground"
        assert (np.abs(shots[dark].astype(int) - bar).max(axis=2) < 12).mean() > 0.01, "the bars"


def test_it_prints(report: Path, page) -> None:
    page.open((report / "index.html").as_uri(), dark=True)
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000, "with its figure"
    page.send("Emulation.setEmulatedMedia", media="print")
    assert contrast(page.evaluate("getComputedStyle(document.body).color"), "rgb(255, 255, 255)") >= 7
    page.send("Emulation.setEmulatedMedia", media="")


def pixels(png: bytes, box: list[float]) -> np.ndarray:
    from matplotlib.image import imread

    x, y, w, h = (round(v) for v in box)
    return (imread(io.BytesIO(png))[y : y + h, x : x + w, :3] * 255).round().astype(np.uint8)


def contrast(ink: str, ground: str) -> float:
    """WCAG 2's contrast ratio of two computed CSS colours."""

    def luminance(colour: str) -> float:
        parts = [float(c) / 255 for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
