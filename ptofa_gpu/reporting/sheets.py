"""CSS of outputs: read by a CSS parser, and only its plain declarations kept, on the elements that they are for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ptofa_gpu._lazy import require


def names(text: str) -> frozenset[str]:
    """Return the words of `text`."""
    return frozenset(text.split())


_SIDES = ("top", "right", "bottom", "left")
#: properties that change how an element looks, in its own place; none takes a page's place or loads something
_PROPERTIES = names(
    """background background-color border border-collapse border-color border-radius border-spacing border-style
    border-width caption-side color display font-family font-size font-style font-variant font-variant-numeric
    font-weight height letter-spacing line-height list-style-type margin max-height max-width min-height min-width
    opacity overflow overflow-wrap overflow-x overflow-y padding text-align text-decoration text-indent text-transform
    vertical-align white-space width word-break"""
).union(
    (f"{name}-{side}" for name in ("margin", "padding", "border") for side in _SIDES),
    (f"border-{side}-{what}" for side in _SIDES for what in ("color", "style", "width")),
)
_FUNCTIONS = names("rgb rgba hsl hsla calc min max linear-gradient")
_COMPOUND = re.compile(r"([a-z][a-z0-9]*)?((?:[#.][A-Za-z_][\w-]*)*)")


class Rule(NamedTuple):
    """Declarations, and the elements that they are for: each of `way` stands for one in the next."""

    way: tuple[tuple[str, frozenset[str]], ...]
    weight: tuple[int, int, int]
    declarations: str


def safe_style(text: str) -> str:
    """Return the declarations of `text` that only change how an element looks.

    Examples
    --------
    >>> safe_style("color: red; background: url(//example.org/x); position: fixed")
    'color: red'
    """
    css = require("tinycss2", "the report")
    kept = []
    for part in css.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True):
        if part.type == "declaration" and part.lower_name in _PROPERTIES and _plain(part.value):
            kept.append(f"{part.lower_name}: {css.serialize(part.value).strip()}")
    return "; ".join(kept)


def rules(sheet: str) -> Iterator[Rule]:
    """Read the rules of a style sheet that are for elements of one id, as tables of data frames bring them."""
    css = require("tinycss2", "the report")
    for part in css.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True):
        if part.type != "qualified-rule":
            continue  # an @rule: it would load something, or hold for some screens only
        declarations = safe_style(css.serialize(part.content))
        for selector in css.serialize(part.prelude).split(",") if declarations else ():
            found = [_COMPOUND.fullmatch(word) for word in selector.split()]
            if not found or not all(found) or "#" not in selector:
                continue  # for elements anywhere, or by marks that are not read here
            way = tuple((m[1] or "", frozenset(re.findall(r"[#.][\w-]+", m[2]))) for m in found if m is not None)
            names = "".join(m[2] for m in found if m is not None)
            weight = (names.count("#"), names.count("."), sum(bool(tag) for tag, _ in way))
            yield Rule(way, weight, declarations)


class Sheet:
    """The rules of an output's style sheets, found quickly: a data frame has one for each of its cells.

    Parameters
    ----------
    text : str
        What stands in the style elements.
    """

    def __init__(self, text: str):
        self._of: dict[str, list[tuple[int, Rule]]] = defaultdict(list)
        for place, rule in enumerate(rules(text)):
            ids = sorted(mark for mark in rule.way[-1][1] if mark.startswith("#"))
            self._of[ids[0] if ids else ""].append((place, rule))

    def style(self, way: Sequence[tuple[str, frozenset[str]]], own: str) -> str:
        """Return the declarations for the last element of `way`: those of the rules that hold for it, then its `own`.

        Parameters
        ----------
        way : sequence of (str, frozenset of str)
            Name, and id and classes as a selector writes them, of the element and those around it, outermost first.
        own : str
            What its style attribute says.
        """
        asked = [*(self._of.get(mark, ()) for mark in way[-1][1] if mark.startswith("#")), self._of.get("", ())]
        found = [(rule.weight, place, rule) for some in asked for place, rule in some if _holds(rule, way)]
        return "; ".join(filter(None, [*(rule.declarations for *_, rule in sorted(found)), own]))


def _holds(rule: Rule, way: Sequence[tuple[str, frozenset[str]]]) -> bool:
    def fits(wanted: tuple[str, frozenset[str]], given: tuple[str, frozenset[str]]) -> bool:
        return wanted[0] in ("", given[0]) and wanted[1] <= given[1]

    if not fits(rule.way[-1], way[-1]):
        return False
    above = iter(reversed(way[:-1]))
    return all(any(fits(wanted, given) for given in above) for wanted in reversed(rule.way[:-1]))


def _plain(tokens: Sequence[Any]) -> bool:
    """Whether a value is of words, numbers and colours: nothing that loads, nothing that leaves its place."""
    for token in tokens:
        if token.type == "function":
            if token.lower_name not in _FUNCTIONS or not _plain(token.arguments):
                return False
        elif token.type in ("dimension", "percentage", "number"):
            if token.value < 0:
                return False
        elif token.type == "string":
            if not re.fullmatch(r"[\w ,.-]*", token.value):
                return False
        elif token.type not in ("ident", "hash", "whitespace", "literal", "comment"):
            return False
    return True
