"""An executed notebook as one HTML file that needs no network: pictures inside, formulas as MathML, no scripts."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptofa_gpu._files import asset_dir, atomic_path
from ptofa_gpu._lazy import require
from ptofa_gpu.errors import InputError, MissingPackageError
from ptofa_gpu.reporting.addresses import fetched
from ptofa_gpu.reporting.markup import clean, svg_address, without_turns, words
from ptofa_gpu.reporting.sanitize import safe

if TYPE_CHECKING:
    from ptofa_gpu.reporting.resume import Done

#: forms of an output that a page without scripts can show, best first; of others the page says that they are left out
_SHOWN = (
    "text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain",
)  # fmt: skip
_ACTIVE = {"application/javascript", "application/vnd.jupyter.widget-view+json"}


def remote_references(page: str) -> list[str]:
    """Return the addresses a browser would fetch to show `page`; links that a reader may click do not count."""
    return fetched(page)


def mathml(latex: str, *, block: bool = False) -> str:
    """Turn LaTeX into MathML, which browsers draw themselves; a formula that cannot be read is shown as it is."""
    import html

    converter = require("latex2mathml.converter", "formulas in reports")
    try:
        return str(converter.convert(latex.strip(), display="block" if block else "inline"))
    except Exception:  # the converter raises whatever its parser trips over
        return f"<code>{html.escape(latex)}</code>"


def environment() -> Any:
    """Return the Jinja environment of the report's templates; everything is escaped unless marked safe."""
    jinja2 = require("jinja2", "the report")
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(asset_dir("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    markup = require("markupsafe", "the report").Markup
    css = stylesheet()
    env.globals.update(policy=policy(css), css=markup(css))
    env.filters["words"] = lambda text: markup(words(text))
    return env


def policy(css: str) -> str:
    """Return the content policy of a page with this style sheet: it loads and sends nothing, and no script runs.

    It stands behind what makes outputs safe: should that fail, a browser still refuses.
    """
    own = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    none = ("default", "script", "connect", "font", "media", "object", "frame", "child", "worker", "manifest")
    rules = [f"{what}-src 'none'" for what in none]
    # colours of single cells stand in style attributes; sheets of others do not hold
    rules += ["img-src data:", f"style-src 'sha256-{own}'", "style-src-attr 'unsafe-inline'"]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def stylesheet() -> str:
    """Return the report's CSS: our own, and the code colours for light and dark."""
    formatters = require("pygments.formatters", "code in reports")
    light = formatters.HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = formatters.HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    own = (asset_dir("templates") / "report.css").read_text(encoding="utf-8")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


def notebook_body(notebook: Any) -> str:
    """Return the notebook's cells as HTML that is safe in a page; code is folded away, formulas become MathML."""
    return safe(_cells(notebook))


def _cells(notebook: Any) -> str:
    """The notebook's cells as HTML, with whatever its outputs and its metadata smuggled in."""
    require("nbconvert", "the report")
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
    from traitlets.config import Config

    class Renderer(IPythonRenderer):
        def block_math(self, body: str) -> str:
            return f"<p>{mathml(body, block=True)}</p>"

        def inline_math(self, body: str) -> str:
            return mathml(body)

    ids: set[str] = set()

    def markdown(source: str) -> str:
        # escape=True: HTML typed into markdown is shown as text, as everything else that is not ours
        return clean(str(MarkdownWithMath(Renderer(escape=True, exclude_anchor_links=True)).render(source)), ids)

    def output(source: str | list[str]) -> str:
        return clean(source if isinstance(source, str) else "".join(source), ids)

    def showable(data: dict[str, Any]) -> bool:
        """Whether a form of an output can be shown; the words beside what is active say nothing about it."""
        found = next((kind for kind in _SHOWN if kind in data), None)
        return found is not None and not (found == "text/plain" and _ACTIVE & data.keys())

    exporter = HTMLExporter(
        config=Config({"NbConvertBase": {"display_data_priority": list(_SHOWN)}}),
        template_name="notebook",
        extra_template_basedirs=[str(asset_dir("templates"))],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        filters={
            "markdown2html": markdown,
            "svg_address": svg_address,
            "clean_output": output,
            "showable": showable,
        },
    )
    body, _ = exporter.from_notebook_node(notebook)
    return str(body)


def notebook_title(notebook: Any, fallback: str) -> str:
    """Return the first top-level heading of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return str(line[2:].strip())
    return fallback


def write_notebook_page(notebook: Any, path: Path, *, name: str) -> None:
    """Write the page of an executed notebook.

    Raises
    ------
    InputError
        The notebook's outputs cannot be shown, or would load something from a network.
    """
    try:
        cells = _cells(notebook)
        text = _page(notebook_title(notebook, name), name, safe(cells))
    except Exception as e:  # outputs are what a kernel sent: converters raise whatever they trip over
        if isinstance(e, MissingPackageError):
            raise
        raise InputError(f"{name}: its outputs cannot be shown ({type(e).__name__}: {e})") from e
    remote = remote_references(cells)
    if remote:
        raise InputError(f"{name}: its outputs load {remote[0][:120]} from a network; embed it instead")
    _write(path, text)


def write_failure_page(notebook: Any, path: Path, failure: Done) -> None:
    """Write the page of a notebook that failed: what went wrong, and its cells as far as they came.

    The cells are left out where they cannot be shown; what they would load from a network is left out of them.
    """
    title, body = failure.name, ""
    if notebook is not None:
        with contextlib.suppress(Exception):  # see write_notebook_page
            title, body = notebook_title(notebook, failure.name), notebook_body(notebook)
    _write(path, _page(title, failure.name, body, failure))


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as partial:  # a link that a notebook left there is replaced, not followed
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def _page(title: str, name: str, body: str, failure: Done | None = None) -> str:
    markup = require("markupsafe", "the report").Markup
    template = environment().get_template("page.html.j2")
    return without_turns(str(template.render(title=title, name=name, body=markup(body), failure=failure)))
