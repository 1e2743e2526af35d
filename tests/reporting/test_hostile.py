"""Hostile outputs and names, wherever they get into a page, in a real browser: nothing is asked for, moves or runs."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from ptofa_gpu.cli import main
from ptofa_gpu.reporting.addresses import fetched
from ptofa_gpu.reporting.html import _cells, policy, stylesheet, write_failure_page
from ptofa_gpu.reporting.resume import Done

from ..browser import Page, browser, needs_chromium
from .hostile import HTML, TEXT
from .notebooks import write

pytestmark = needs_chromium

POLICY = re.compile(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>")
#: nothing that acts is in the page, and each link leads to a place that can be read in it
CLEAN = """[...document.querySelectorAll('*')].filter(e =>
  e.matches('script, iframe, frame, object, embed, applet, base, link, form, input, button, textarea, select, svg,'
    + 'video, audio, template, noscript, portal, body style, body meta, body title, annotation-xml, mglyph,'
    + 'maction, area')
  || [...e.attributes].some(a => /^on|^(ping|srcset|srcdoc|target|action|formaction|autofocus)$/i.test(a.name))
  || (e.shadowRoot !== null)
  || (e.tagName === 'IMG' && !e.getAttribute('src')?.startsWith('data:image/') && e.hasAttribute('src'))
  || (e.matches('a, [href]') && e.href && !['http:', 'https:', 'mailto:', 'file:'].includes(e.protocol))
  || ['fixed', 'absolute', 'sticky'].includes(getComputedStyle(e).position)
).map(e => e.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def page():
    with browser() as tab:
        yield tab


def happened(page: Page, path: Path, seconds: float = 0.06) -> list[str]:
    """What the page at `path` does by itself, beside being opened."""
    page.requests.clear(), page.moves.clear(), page.errors.clear()
    page.open(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    time.sleep(seconds)
    title = page.evaluate("document.title")
    asked = [r for r in page.requests if not r.startswith("data:")]
    moves = [m for m in page.moves if m != f"Page.frameNavigated {path.as_uri()}"]
    assert asked.pop(0) == path.as_uri()
    return [*asked, *moves, *(["it ran"] if title == "ran" else [])]


def book(text: str):
    """A notebook with `text` in every place that a page is made from."""
    line = " ".join(text.split())
    picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    facts = {"width": text, "height": text, "alt": text}
    outputs = [
        new_output("display_data", {"text/html": text, "text/plain": text}, metadata={"text/html": {"isolated": True}}),
        new_output("display_data", {"text/html": f"<table><tr><td>{text}</td></tr></table>"}),
        new_output("display_data", {"text/html": f"<svg>{text}</svg>"}),
        new_output("display_data", {"text/html": f"<math><mtext>{text}</mtext></math>"}),
        new_output("display_data", {"text/markdown": text}),
        new_output("display_data", {"text/latex": f"${text}$"}),
        new_output("display_data", {"image/svg+xml": text}, metadata={"image/svg+xml": facts}),
        new_output(
            "display_data", {"image/png": picture}, metadata={"image/png": facts, "filenames": {"image/png": text}}
        ),
        new_output("display_data", {"image/png": picture + text}, metadata={"image/png": facts}),
        new_output("display_data", {"image/jpeg": f'"{text}'}),
        new_output("display_data", {"text/vnd.mermaid": text, "text/plain": text}),
        new_output("display_data", {"application/javascript": text, text: text}),
        new_output("stream", name="stderr", text=f"\x1b[31m{text}\x1b[0m"),
        new_output("error", ename=text, evalue=text, traceback=[f"\x1b[38;2;1;2;3m{text}\x1b[m", text]),
    ]
    cells = [
        new_markdown_cell(f"# {line}\n\n{text}"),
        new_markdown_cell(f"{line}\n\n- $x$ {text}\n\n```\n{text}\n```\n\n$${text}$$\n\n[{line}]({line} '{line}')"),
        new_raw_cell(text, metadata={"raw_mimetype": "text/html"}),
        new_code_cell(text, outputs=outputs, metadata={"tags": ["parameters", line.replace(",", ";")], "alt": text}),
    ]
    return new_notebook(cells=cells, metadata={"title": text})


@pytest.mark.parametrize("part", range(8))
def test_hostile_text_does_nothing_in_a_page_even_without_its_policy(tmp_path, page, part):
    """What makes outputs safe is enough by itself: the policy is taken off before the browser looks."""
    for number, text in list(enumerate([*HTML, *TEXT]))[part::8]:
        path = tmp_path / f"{number}.html"
        failure = Done("nb", text, {}, 1.0, "", "", "failed", text, [text])
        write_failure_page(book(text), path, failure)
        whole = path.read_text()
        assert "as far as it came" in whole
        assert whole.count("output_png") >= 1, "the cells are there"
        path.write_text(POLICY.sub("", whole, count=1))
        assert happened(page, path) == [], text
        assert page.evaluate(CLEAN) == [], text
        assert page.evaluate("document.querySelector('main').lastElementChild !== null"), text


def test_the_same_texts_do_much_where_nothing_is_done_about_them(tmp_path, page):
    """Else the test above could not fail."""
    path = tmp_path / "raw.html"
    active = 0
    for text in HTML[::3]:
        path.write_text(f"<!doctype html><html><body>{text}</body></html>")
        if "alert(" not in text:  # a dialog stops the page
            page.requests.clear(), page.moves.clear()
            page.send("Page.navigate", url=path.as_uri())
            time.sleep(0.1)
            page.evaluate("1")
            active += len([r for r in page.requests if not r.startswith("data:")]) > 1 or len(page.moves) > 1
    page.open("about:blank")
    assert active > 20


RAW = """<!doctype html><html><head>{}<style>{}</style></head><body><main>{}</main></body></html>"""


def test_the_policy_stops_what_would_get_through(tmp_path, page):
    """It is the second wall: scripts and requests are stopped by it alone; only a page that leads away is not."""
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy(stylesheet())}">'
    path = tmp_path / "raw.html"
    for text in HTML[::4]:
        if "refresh" in text.lower() or "preconnect" in text or "dns-prefetch" in text:
            continue
        path.write_text(RAW.format(meta, stylesheet(), text))
        page.requests.clear(), page.refused.clear()
        page.open(path.as_uri())
        time.sleep(0.05)
        assert page.evaluate("document.title") != "ran", text
        assert [r for r in page.requests if r.startswith("http") and r not in page.refused] == [], text


NAMES = """
import json
from pathlib import Path
from IPython.display import HTML as Html, Latex, Markdown, SVG, display
import pandas as pd
from ptofa_gpu.reporting import Check, Figure, Outputs, Summary, Table, figures
texts = json.loads(Path({file!r}).read_text())
out = Outputs(output_dir)
for text in texts:
    display(Html(text), Markdown(text), Latex(text))
    display({{"image/svg+xml": text, "text/plain": text}}, raw=True)
    print(text)
names = texts[:40]
frame = pd.DataFrame({{"fund": names, names[0]: names}})
out.table(frame, "funds")
display(Table(frame, caption=names[1]), frame, frame.style.set_caption(names[2]), Html(frame.to_html(escape=False)))
out.summary(Summary(
    names[0], " ".join(names), [Figure(n, n[:40], n) for n in names], [Check(n, "bad") for n in names],
    names, "exposures"))
out.chart(figures.exposure_chart(names[:6], [5, 4, 3, 2, 0, 1], [5, 4, 3, 2, 1, 1]))
"""


def alone(text: str):
    """A notebook with `text` in the forms of an output that the notebook above displays."""
    outputs = [new_output("display_data", {kind: text}) for kind in ("text/html", "text/markdown", "text/latex")]
    return new_notebook(cells=[new_code_cell("1", outputs=outputs)])


@pytest.mark.parametrize("remote", [True, False])
def test_a_report_of_hostile_names_and_outputs(tmp_path, page, remote, capsys):
    """Through the command; outputs that need a network fail their notebook, and its page shows the rest of them."""
    texts = [t for t in [*HTML, *TEXT] if "\x00" not in t and (remote or not fetched(_cells(alone(t))))]
    assert len(texts) > 100
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    book = write(
        tmp_path, "names", "# " + " ".join(HTML[10].split()), NAMES.format(file=str(tmp_path / "texts.json")),
        *(["raise ValueError(' '.join(names))"] if remote else []),
        parameters=f"output_dir = ''\nword = {HTML[10]!r}",
    )  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        main(["report", "--only", str(book), "-o", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert stop.value.code in ((1,) if remote else (0, None)), said
    for name in ("index.html", "names.html"):
        path = tmp_path / "out" / name
        assert POLICY.search(path.read_text())
        for policed in (True, False):
            if not policed:
                path.write_text(POLICY.sub("", path.read_text(), count=1))
            assert happened(page, path, 1.0) == []
            assert page.errors == []
            assert page.evaluate(CLEAN) == []
    assert page.evaluate("document.querySelectorAll('.output_html').length") > 100


STYLED = """
import pandas as pd
from great_tables import GT
from IPython.display import display
frame = pd.DataFrame({"fund": ["bond", "stock"], "quota": [30, 20]})
display(GT(frame).tab_header("Funds", "and their quotas"), frame)
display(frame.style.background_gradient(), frame.style.bar(subset=["quota"]))
"""


def test_tables_formulas_and_drawings_still_show(tmp_path, page):
    """What sheets of outputs say of their own tables holds, and the report's own sheet holds."""
    from ptofa_gpu.reporting import run_report

    drawing = (
        "<svg viewBox='0 0 10 10' width=320 height=320><rect width='10' height='10' fill='#0072B2'/></svg>".replace(
            "=320", "='320'"
        )
    )
    cells = [
        "# Look: $\\frac{a}{b} \\le \\sqrt{x}$\n\n$$\\sum_{i=1}^n x_i = \\begin{cases} 1 & a \\\\ 0 & b \\end{cases}$$",
        STYLED,
    ]
    book = write(tmp_path, "look", *cells, f"from IPython.display import HTML\nHTML({drawing!r})")
    index = run_report([book], output=tmp_path / "out")
    path = index.parent / "look.html"
    assert happened(page, path) == []
    assert page.errors == []
    style = "getComputedStyle(document.querySelector({!r})).{}"
    assert page.evaluate(style.format(".gt_table", "borderTopColor")) == "rgb(168, 168, 168)"
    assert page.evaluate(style.format(".gt_title", "fontSize")) == "20px"
    grounds = page.evaluate("[...document.querySelectorAll('td')].map(e => getComputedStyle(e).backgroundColor)")
    assert "rgb(2, 56, 88)" in grounds, "pandas' gradient"
    assert page.evaluate(
        "[...document.querySelectorAll('td')].some(e => getComputedStyle(e).backgroundImage != 'none')"
    )
    assert page.evaluate("[...document.querySelectorAll('math')].every(m => m.getBoundingClientRect().height > 10)")
    assert (
        page.evaluate("document.querySelectorAll('math mfrac, math munderover, math msubsup, math mtable').length") >= 3
    )
    assert page.evaluate("[...document.images].every(i => i.naturalWidth == 320)")
    assert page.evaluate(style.format("main", "maxWidth")) == "960px"
    assert page.evaluate("getComputedStyle(document.querySelector('.highlight .kn')).color") == "rgb(0, 128, 0)"
