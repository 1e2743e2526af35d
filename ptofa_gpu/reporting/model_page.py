"""Tables of models as one HTML page that opens without a network."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from ptofa_gpu._arguments import instance, mapping, path_of
from ptofa_gpu._files import atomic_path
from ptofa_gpu._lazy import require
from ptofa_gpu.evaluation.model_table import ModelTable
from ptofa_gpu.evaluation.paper_order import against_paper
from ptofa_gpu.reporting.figures.models import model_chart
from ptofa_gpu.reporting.html import environment
from ptofa_gpu.reporting.markup import clean
from ptofa_gpu.reporting.sanitize import safe

_TITLE = "Models side by side"
#: Which of the paper's data sets these are made in the shape of.
_SHAPE = {"lct-a": "A", "lct-b": "B"}


def write_model_page(tables: Mapping[str, ModelTable], path: str | os.PathLike[str]) -> Path:
    """Write a page with each data set's table, figure, and where the paper's order does not hold.

    Parameters
    ----------
    tables : mapping of str to ModelTable
        By name of the data.
    path
        The file; it is whole or not there.
    """
    tables = {name: instance(f"tables[{name!r}]", t, ModelTable) for name, t in mapping("tables", tables).items()}
    target = path_of("path", path)
    body = safe(clean("".join(_section(name, table) for name, table in tables.items()), set()))
    markup = require("markupsafe", "the report").Markup
    text = environment().get_template("models.html.j2").render(title=_TITLE, body=markup(body))
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8")
    return target


def _section(name: str, table: ModelTable) -> str:
    chart = model_chart(table, name=f"models-{name}")
    picture = base64.b64encode(chart.render("png")).decode()
    kind = _SHAPE.get(name)
    order = ""
    if kind is not None:
        sentences = against_paper(table, cast(Literal["A", "B"], kind)).sentences()
        order = (
            f"<h3>Against the paper's Table 1</h3><ul>{''.join(f'<li>{html.escape(s)}</li>' for s in sentences)}</ul>"
        )
    image = f'<img alt="{html.escape(chart.alt, quote=True)}" src="data:image/png;base64,{picture}">'
    return f"<h2>{html.escape(name)}</h2>{table._repr_html_()}<figure>{image}</figure>{order}"
