"""A small HTML table for notebooks; every text in it is escaped, because fund names come from outside."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence


def percent(share: float, digits: int = 0, *, sign: bool = False) -> str:
    """Write a share as ``95 %``; rounding never turns almost all into all: 0.99996 is ``< 100 %``."""
    if not math.isfinite(share):
        return "—"
    text = f"{share * 100:{'+' if sign else ''}.{digits}f}"
    if not sign and float(text) == 100 and share < 1 - 1e-9:
        return "< 100 %"
    return f"{text} %"


def unbroken(text: str) -> str:
    """Return `text` with blanks that no line is broken at."""
    return text.replace(" ", "\u00a0")


def html_table(columns: Mapping[str, Sequence[str]], *, caption: str = "", text: Iterable[str] = ()) -> str:
    """Build an HTML table from columns of ready-made strings.

    Parameters
    ----------
    columns : mapping of str to sequence of str
        Header to cells; all columns have the same length. The first one's cells are the heads of their rows.
    caption : str
        One sentence above the table.
    text : iterable of str
        Headers of columns that hold words (left aligned); the others hold figures (right aligned).
    """
    words = set(text)
    side = {name: "left" if name in words else "right" for name in columns}
    head = "".join(f'<th scope="col" style="text-align:{side[c]}">{html.escape(c)}</th>' for c in columns)
    rows = []
    for cells in zip(*columns.values(), strict=True):
        line = ""
        for c, v in zip(columns, cells, strict=True):
            tag, scope = ("td", "") if line else ("th", ' scope="row"')
            line += f'<{tag}{scope} style="text-align:{side[c]}">{html.escape(str(v))}</{tag}>'
        rows.append(f"<tr>{line}</tr>")
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f'<table class="ptofa">{title}<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
