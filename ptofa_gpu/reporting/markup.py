"""HTML of notebooks' outputs made fit for a page: nothing active, tables that scroll, names that turn nothing."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Collection, Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree

from ptofa_gpu.reporting.addresses import SCHEME, foreign
from ptofa_gpu.reporting.sheets import Sheet, names

#: elements that act or load; a page says that they are left out, with what they hold
_ACTIVE = names("script iframe frame frameset object embed applet portal form input button select textarea")
#: elements that would change the page or how it is read; they go too
_DROPPED = _ACTIVE | names("noscript template noframes base meta link title xmp plaintext noembed style svg")
#: elements that belong to a page and not into one; what they hold stays
_OPENED = names("html head body main")
_VOID = names("area base br col embed frame hr img input link meta param source track wbr")
#: elements whose end may be left out
_LOOSE = names("p li dt dd tr td th thead tbody tfoot colgroup option rp rt")
_ACTING = names("srcdoc action formaction ping http-equiv autofocus contenteditable target")
_ATTRIBUTE = re.compile(r"[a-z_:][\w:.-]*", re.IGNORECASE)
#: marks that turn the direction of all text behind them
_TURNING = {c: f"\\u{c:04x}" for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_LEFTWARD = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff"
_RUN = re.compile(f"[{_LEFTWARD}](?:[^{_LEFTWARD}A-Za-z<>&]*[{_LEFTWARD}])*")


def without_turns(text: str) -> str:
    """Show the marks that turn the direction of text as ``\\u202e`` and the like: a name turns nothing around it."""
    return text.translate(_TURNING)


def words(text: object) -> str:
    """Return `text` as HTML: escaped, without marks that turn it, and names written leftward isolated from the rest."""
    return _RUN.sub(lambda run: f"<bdi>{run[0]}</bdi>", html.escape(without_turns(str(text)), quote=False))


def slug(text: str, taken: Collection[str] = ()) -> str:
    """Return `text` as an id that can stand in an address: letters, digits, ``-`` and ``_``; not one of `taken`."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-") or "part"
    found, number = stem, 2
    while found in taken:
        found, number = f"{stem}-{number}", number + 1
    return found


def clean(markup: str, ids: set[str]) -> str:
    """Return `markup` without what acts, with its tables in frames that scroll, and with ids that no other part has.

    Parameters
    ----------
    markup : str
        An output of a cell.
    ids : set of str
        Ids of the page so far; those of `markup` are added.
    """
    markup = markup.replace("\r\n", "\n").replace("\r", "\n")
    cleaner = _Cleaner(markup, ids)
    cleaner.feed(markup)
    cleaner.close()
    return cleaner.done()


def svg_address(svg: str | list[str]) -> str:
    """Return an SVG as an address that an ``<img>`` shows: as an image it can neither run nor load anything."""
    text = svg if isinstance(svg, str) else "".join(svg)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode("utf-8", "backslashreplace")).decode()


def _sheet(markup: str) -> Sheet:
    reader = _Styles()
    reader.feed(markup)
    reader.close()
    return Sheet("".join(reader.found))


class _Styles(HTMLParser):
    """The text of the style elements: its rules hold for what stands before them too."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if self._style:
            self.found.append(f"{data}\n")


class _Cleaner(HTMLParser):
    """Writes what it reads anew; what is safe is another's decision (`sanitize.safe`), after it."""

    def __init__(self, markup: str, ids: set[str]):
        super().__init__(convert_charrefs=True)
        self._markup, self._ids = markup, ids
        self._sheet = _sheet(markup)
        self._out: list[str] = []
        self._open: list[str] = []
        #: of each open element its name, and its id and classes as the output has them
        self._way: list[tuple[str, frozenset[str]]] = []
        # where the outermost drawing that is open begins
        self._drawing = 0
        self._apart: list[str] = []
        self._skipping: list[str] = []
        self._left: list[str] = []
        # of the outermost table that is open: where its frame is, its caption and its heads
        self._frame, self._caption, self._heads = -1, "", ""
        self._rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "svg" and not self._skipping:
            self._drawing = self._place()
        if self._skipping or tag in _DROPPED:
            if tag in _ACTIVE and tag not in self._left:
                self._left.append(tag)
            if tag not in _VOID:
                self._skipping.append(tag)
            return
        if tag in _OPENED or not _ATTRIBUTE.fullmatch(tag):
            return
        if tag == "table" and "table" not in self._open:
            self._frame, self._caption, self._heads, self._rows = len(self._out), "", "", 0
            self._out.append("")
        self._rows += tag == "tr"
        kept = dict(self._kept(tag, attrs))
        given = {k: v or "" for k, v in reversed(attrs)}
        marks = [f".{c}" for c in given.get("class", "").split()] + ([f"#{given['id']}"] if given.get("id") else [])
        way = [*self._way, (tag, frozenset(marks))]
        if style := self._sheet.style(way, kept.get("style", "")):
            kept["style"] = style
        if tag == "th" and "scope" not in kept:
            section = next((t for t in reversed(self._open) if t in ("thead", "tbody", "tfoot", "table")), "")
            kept["scope"] = "col" if section == "thead" or (section == "table" and self._rows == 1) else "row"
        self._out.append(f"<{tag}" + "".join(f' {k}="{html.escape(v)}"' for k, v in kept.items()) + ">")
        if tag not in _VOID:
            self._open.append(tag)
            self._way = way

    def _place(self) -> int:
        """Where the tag that is being read begins in the output."""
        line, column = self.getpos()
        return sum(len(text) + 1 for text in self._markup.split("\n")[: line - 1]) + column

    def _kept(self, tag: str, attrs: list[tuple[str, str | None]]) -> Iterator[tuple[str, str]]:
        for name, given in reversed(attrs):
            value = without_turns(given or "")
            if name.startswith("on") or name in _ACTING or not _ATTRIBUTE.fullmatch(name):
                continue
            if name.rpartition(":")[2] in ("href", "src"):
                scheme = SCHEME.match(re.sub(r"[\x00-\x20]", "", value))
                if scheme and scheme[1].lower() not in ("http", "https", "mailto", "data"):
                    continue
                if tag == "img" and name == "src" and not scheme and not foreign(value):
                    self._apart.append(value[:200])
                    continue
                if (
                    scheme
                    and scheme[1].lower() == "data"
                    and (tag != "img" or not value.strip().startswith("data:image/"))
                ):
                    continue
            if name == "id":
                value = slug(value, self._ids)
                self._ids.add(value)
            if name == "class" and tag == "div":  # the frame is made anew around its table
                value = " ".join(c for c in value.split() if c != "table-wrap")
            yield name, value

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID and {"svg", "math"} & {tag, *self._open}:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            if tag in self._skipping:
                del self._skipping[len(self._skipping) - 1 - self._skipping[::-1].index(tag) :]
            if tag == "svg" and not self._skipping:
                self._draw()
            return
        # what does not belong to this output stays as it is: its end tags close nothing of the page
        while tag in self._open:
            last = self._open.pop()
            self._way.pop()
            if last == tag or last not in _LOOSE:
                self._close(last)
            if last == tag:
                return

    def _draw(self) -> None:
        """A drawing as a picture: there it can neither run nor load anything."""
        drawing = self._markup[self._drawing : self._markup.find(">", self._place()) + 1]
        head, sign, rest = drawing.partition(">")
        if "xmlns=" not in head:
            drawing = f'<svg xmlns="http://www.w3.org/2000/svg"{head[4:]}{sign}{rest}'
        try:
            alt = ElementTree.fromstring(drawing).get("aria-label") or "Drawing"
        except ElementTree.ParseError:
            self._left.append("svg")
            return
        self._out.append(f'<img src="{svg_address(drawing)}" alt="{html.escape(without_turns(alt))}">')

    def _close(self, tag: str) -> None:
        self._out.append(f"</{tag}>")
        if tag == "table" and "table" not in self._open:
            name = " ".join((self._caption or f"Table: {self._heads.strip(' ,') or 'figures'}").split())
            label = html.escape(without_turns(name[:160]))
            self._out[self._frame] = f'<div class="table-wrap" tabindex="0" role="region" aria-label="{label}">'
            self._out.append("</div>")

    def handle_data(self, data: str) -> None:
        if self._skipping:
            return
        if "caption" in self._open:
            self._caption += data
        elif "th" in self._open and self._rows == 1 and data.strip():
            self._heads += data.strip() + ", "
        self._out.append(words(data))

    def done(self) -> str:
        """Return what was read, with everything closed that was left open."""
        if self._skipping[:1] == ["svg"]:
            self._left.append("svg")
        while self._open:
            self._close(self._open.pop())
        if self._apart:
            apart = words(", ".join(self._apart))
            self._out.append(f'<p class="note">Left out, because a page holds its pictures itself: {apart}.</p>')
        if self._left:
            left = html.escape(", ".join(self._left))
            self._out.append(f'<p class="note">Left out of this output, because a report runs nothing: {left}.</p>')
        return "".join(self._out)
