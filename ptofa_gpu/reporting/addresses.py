"""The addresses that a browser would fetch to show HTML: a report refuses outputs that need a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from ptofa_gpu.reporting.sheets import names

_LOADING = names("src poster data background lowsrc dynsrc")
_LISTS = names("srcset imagesrcset")
#: attributes that hold CSS, or may hold its ``url()``
_STYLING = names("style fill stroke filter mask clip-path cursor marker marker-start marker-mid marker-end")
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_IN_CSS = re.compile(
    r"""(?:url|src|image)\(\s*["']?([^"')]*)|@import\s+["']([^"']*)|image-set\(\s*["']([^"']*)""", re.IGNORECASE
)


def fetched(markup: str) -> list[str]:
    """Return the addresses outside itself that a browser would ask for to show `markup`.

    Links that a reader may click do not count, nor do files beside the page.
    """
    reader = _Addresses()
    reader.feed(markup)
    reader.close()
    return reader.found


def foreign(address: str) -> bool:
    """Whether an address leads away from the page: it has a scheme other than ``data:``, or a host."""
    # browsers drop these signs inside an address and take \ for /
    plain = re.sub(r"[\x00-\x20]", "", address).replace("\\", "/")
    scheme = SCHEME.match(plain)
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
            self.found += [v for v in values if foreign(v)]

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if self._style:
            self.found += [v for v in _css_addresses(data) if foreign(v)]
