"""The report in a real browser, light and dark: it loads nothing, reports no error, links resolve, figures show."""

from __future__ import annotations

import io
import itertools
import re
import urllib.parse
from pathlib import Path

import numpy as np
import pytest

from ptofa_gpu._files import asset_dir
from ptofa_gpu.errors import ReportError
from ptofa_gpu.reporting import run_report

from ..browser import browser, needs_chromium
from .notebooks import PARAMETERS, write

pytestmark = needs_chromium

NAMES = [
    "<script>alert(1)</script>", "a very long name " * 12, "صندوق الاستثمار", "rocket 🚀 fund", "</style><b>x",
    "turned \u202e around",
]  # fmt: skip
CELL = f"""
from ptofa_gpu.reporting import Check, Figure, Outputs, Summary, figures
import pandas as pd
names = [name for name in {NAMES!r} if not name == 5]  # every kind of word that code has colours for
out = Outputs(output_dir)
out.table(pd.DataFrame({{"fund": names, "quota": range(6)}}), "funds")
out.summary(Summary(
    "Plan for " + names[0], "Decided for " + " and ".join(names),
    [Figure("Expected revenue", "2.18M CNY", "predicted"), Figure(names[1], "1,234,567.89 currency units", names[0])],
    [Check(names[2], "good"), Check(names[3], "warning"), Check(names[4], "bad")], names, "exposures", lead=True))
out.chart(figures.exposure_chart(names, [5, 4, 3, 2, 0, 1], [5, 4, 3, 2, 1, 1]))
"""
# what a report does not run, and a table wider than any page
ACTIVE = """
from IPython.display import HTML, Javascript
display(Javascript("document.title = 'ran'"), HTML("<script>document.title = 'ran'</script><b onclick='ran()'>x</b>"))
pd.DataFrame({f"a long heading number {i}": ["unbroken" * 9] for i in range(20)})
"""
LONG = f"log = {'/a/long/folder/name' * 20!r}\nunbroken = {'x' * 400!r}\n"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    good = write(folder, "good", "# All is *well*: $x^2$\n\n## A part", CELL, ACTIVE, parameters=PARAMETERS + LONG)
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


#: frames that scroll are named, and a reader without a mouse reaches them
FRAMES = """[...document.querySelectorAll('table')].every(t => {
  const f = t.closest('.table-wrap'); return f && f.tabIndex === 0 && f.getAttribute('role') === 'region' &&
    f.getAttribute('aria-label').length > 3 && f.clientWidth <= innerWidth;
}) && [...document.querySelectorAll('th')].every(h => ['row', 'col'].includes(h.scope))"""


def check_page(page, path: Path, *, dark: bool, width: int) -> None:
    """Nothing is fetched, no error, no link leads nowhere, nothing runs out of the page, and it is accessible."""
    page.resize(width)
    page.requests.clear(), page.errors.clear()
    page.open(path.as_uri(), dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.errors == []
    assert {urllib.parse.urlsplit(r).scheme for r in page.requests} <= {"file", "data"}
    assert len([r for r in page.requests if r.startswith("file:")]) == 1, "one file is the whole page"
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.title") != "ran"
    assert page.evaluate("innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing runs out of the page"
    assert page.evaluate(FRAMES)

    # accessible, code too: one main heading, no level skipped, described pictures, readable colours, ids of one thing
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("[...document.images].every(i => i.alt.length > 20 && i.naturalWidth > 300)")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
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


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page(report: Path, page, name: str, dark: bool, width: int) -> None:
    check_page(page, report / name, dark=dark, width=width)
    assert page.evaluate("document.images.length") == (0 if name == "bad.html" else 1)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    """A report of a notebook that travels with the package, small."""
    given = {"customers": 3000, "panel_customers": 60, "panel_exposures": 60}
    return run_report(["01_data"], parameters=given, output=tmp_path_factory.mktemp("shipped") / "out").parent


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "01_data.html"])
def test_a_page_of_a_shipped_notebook(shipped: Path, page, name: str, dark: bool, width: int) -> None:
    check_page(page, shipped / name, dark=dark, width=width)
    assert page.evaluate("document.images.length") >= 1
    assert page.evaluate("document.querySelectorAll('.table-wrap').length") >= 1
    if name != "index.html":
        book = (asset_dir("notebooks") / "01_data.ipynb").read_text()
        headings = page.evaluate("[...document.querySelectorAll('h2')].map(h => h.textContent)")
        assert headings
        assert all(h in book for h in headings)


def test_a_wide_table_scrolls_in_its_own_frame(report: Path, page) -> None:
    page.resize(400)
    page.open((report / "good.html").as_uri())
    assert page.evaluate("Math.max(...[...document.querySelectorAll('.table-wrap')].map(f => f.scrollWidth))") > 2000
    assert "because a report runs nothing: script." in page.evaluate("document.body.innerText")
    assert "runs nothing: application/javascript." in page.evaluate("document.body.innerText")


def test_untrusted_names_are_shown_as_text(report: Path, page) -> None:
    page.open((report / "index.html").as_uri())
    text = page.evaluate("document.body.innerText")
    for name in NAMES:
        shown = name.replace("\u202e", r"\u202e")
        assert " ".join(shown.split()) in " ".join(text.split())
    assert "\u202e" not in page.evaluate("document.documentElement.outerHTML")
    # a name written leftward stands by itself: what follows it stays behind it
    assert page.evaluate("[...document.querySelectorAll('bdi')].some(b => b.textContent === 'صندوق الاستثمار')")
    page.open((report / "bad.html").as_uri())
    assert "ValueError: <script>alert(1)</script>" in page.evaluate("document.body.innerText")


def test_a_failure_is_marked_on_the_front(report: Path, page) -> None:
    page.open((report / "index.html").as_uri())
    assert "1 of 2 notebooks failed" in page.evaluate("document.querySelector('[role=alert]').innerText")
    assert page.evaluate("document.querySelector('section.failure pre').innerText").count("\n") >= 2
    # the decision comes before what failed, whatever their names
    assert page.evaluate("[...document.querySelectorAll('main > section > h2')].map(h => h.id)") == ["good", "bad"]


def test_short_figures_stay_on_one_line(report: Path, page) -> None:
    page.resize(1200)
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
    page.resize(1200)
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
    """Also from a dark screen: dark on white paper, a section a page, with its figure and without what is folded."""
    page.resize(1200)
    page.open((report / "index.html").as_uri(), dark=True)
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 2, "two notebooks"
    page.send("Emulation.setEmulatedMedia", media="print")
    try:
        style = "getComputedStyle(document.{}).{}"
        assert page.evaluate(style.format("documentElement", "backgroundColor")) == "rgb(255, 255, 255)"
        assert contrast(page.evaluate(style.format("body", "color")), "rgb(255, 255, 255)") >= 7
        hidden = page.evaluate("[...document.querySelectorAll('nav, details')].map(e => getComputedStyle(e).display)")
        assert len(hidden) > 2
        assert set(hidden) == {"none"}
    finally:
        page.send("Emulation.setEmulatedMedia", media="")
    page.evaluate("document.images[0].remove()")
    assert len(pdf) - len(page.pdf()) > 5_000, "the figure was on the paper"


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
