"""HTML of notebooks' outputs made fit for a page: nothing active, tables that scroll, names that turn nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator
from html.parser import HTMLParser


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


#: elements that act or load; a page says that they are left out, with what they hold
_ACTIVE = _set("script iframe frame frameset object embed applet portal form input button select textarea")
#: elements that would change the page or how it is read; they go too
_DROPPED = _ACTIVE | _set("noscript template noframes base meta link title xmp plaintext noembed")
#: elements that belong to a page and not into one; what they hold stays
_OPENED = _set("html head body main")
_VOID = _set("area base br col embed frame hr img input link meta param source track wbr")
#: elements whose end may be left out
_LOOSE = _set("p li dt dd tr td th thead tbody tfoot colgroup option rp rt")
_ACTING = _set("srcdoc action formaction ping http-equiv autofocus contenteditable target")
_LOADING = _set("src poster data background lowsrc dynsrc")
_LISTS = _set("srcset imagesrcset")
#: attributes that hold CSS, or may hold its ``url()``
_STYLING = _set("style fill stroke filter mask clip-path cursor marker marker-start marker-mid marker-end")
_ATTRIBUTE = re.compile(r"[a-z_:][\w:.-]*", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_IN_CSS = re.compile(
    r"""(?:url|src|image)\(\s*["']?([^"')]*)|@import\s+["']([^"']*)|image-set\(\s*["']([^"']*)""", re.IGNORECASE
)
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


def fetched(markup: str) -> list[str]:
    """Return the addresses outside itself that a browser would ask for to show `markup`.

    Links that a reader may click do not count, nor do files beside the page.
    """
    reader = _Addresses()
    reader.feed(markup)
    reader.close()
    return reader.found


def clean(markup: str, ids: set[str]) -> str:
    """Return `markup` without what acts, with its tables in frames that scroll, and with ids that no other part has.

    Parameters
    ----------
    markup : str
        An output of a cell.
    ids : set of str
        Ids of the page so far; those of `markup` are added.
    """
    cleaner = _Cleaner(ids)
    cleaner.feed(markup)
    cleaner.close()
    return cleaner.done()


def _foreign(address: str) -> bool:
    """Whether an address leads away from the page: it has a scheme other than ``data:``, or a host."""
    # browsers drop these signs inside an address and take \ for /
    plain = re.sub(r"[\x00-\x20]", "", address).replace("\\", "/")
    scheme = _SCHEME.match(plain)
    return scheme[1].lower() != "data" if scheme else plain.startswith("//")


def _css_addresses(css: str) -> Iterator[str]:
    css = re.sub(r"/\*.*?(?:\*/|$)", "", css, flags=re.DOTALL)
    css = re.sub(r"\\([0-9a-f]{1,6})\s?", lambda m: chr(min(int(m[1], 16), 0xFFFF)), css, flags=re.IGNORECASE)
    for groups in _IN_CSS.findall(css.replace("\\", "")):
        yield next(filter(None, groups), "")


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"
        given = {k: v or "" for k, v in reversed(attrs)}
        for name, value in given.items():
            if name in _LISTS:
                values = [part.split()[0] for part in value.split(",") if part.split()]
            elif name in _LOADING or (name in ("href", "xlink:href") and tag not in ("a", "area")):
                values = [value]
            elif name == "content" and "refresh" in given.get("http-equiv", "").lower():
                values = [value.lower().partition("url=")[2].strip(" \"'")]
            elif name in _STYLING:
                values = list(_css_addresses(value))
            else:
                continue
            self.found += [v for v in values if _foreign(v)]

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if self._style:
            self.found += [v for v in _css_addresses(data) if _foreign(v)]


class _Cleaner(HTMLParser):
    """Writes what it reads anew, so that a browser reads what this reader read."""

    def __init__(self, ids: set[str]):
        super().__init__(convert_charrefs=True)
        self._ids = ids
        self._out: list[str] = []
        self._open: list[str] = []
        self._skipping: list[str] = []
        self._left: list[str] = []
        # of the outermost table that is open: where its frame is, its caption and its heads
        self._frame, self._caption, self._heads = -1, "", ""
        self._rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
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
        if tag == "th" and "scope" not in kept:
            section = next((t for t in reversed(self._open) if t in ("thead", "tbody", "tfoot", "table")), "")
            kept["scope"] = "col" if section == "thead" or (section == "table" and self._rows == 1) else "row"
        self._out.append(f"<{tag}" + "".join(f' {k}="{html.escape(v)}"' for k, v in kept.items()) + ">")
        if tag not in _VOID:
            self._open.append(tag)

    def _kept(self, tag: str, attrs: list[tuple[str, str | None]]) -> Iterator[tuple[str, str]]:
        for name, given in reversed(attrs):
            value = without_turns(given or "")
            if name.startswith("on") or name in _ACTING or not _ATTRIBUTE.fullmatch(name):
                continue
            if name.rpartition(":")[2] in ("href", "src"):
                scheme = _SCHEME.match(re.sub(r"[\x00-\x20]", "", value))
                if scheme and scheme[1].lower() not in ("http", "https", "mailto", "data"):
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
            return
        # what does not belong to this output stays as it is: its end tags close nothing of the page
        while tag in self._open:
            last = self._open.pop()
            if last == tag or last not in _LOOSE:
                self._close(last)
            if last == tag:
                return

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
        if "style" in self._open:  # parsed as it is written; no </style> can stand in it
            self._out.append(without_turns(data))
            return
        if "caption" in self._open:
            self._caption += data
        elif "th" in self._open and self._rows == 1 and data.strip():
            self._heads += data.strip() + ", "
        self._out.append(words(data))

    def done(self) -> str:
        """Return what was read, with everything closed that was left open."""
        while self._open:
            self._close(self._open.pop())
        if self._left:
            left = html.escape(", ".join(self._left))
            self._out.append(f'<p class="note">Left out of this output, because a report runs nothing: {left}.</p>')
        return "".join(self._out)
