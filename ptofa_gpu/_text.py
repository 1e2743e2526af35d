"""Small helpers for messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

_LONGEST = 60
#: what a terminal takes for a command or turns text around by: control signs, direction marks, ends of line of Unicode
_ACTING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_TEXT, _IN_LINE = re.compile(f"[{_ACTING}]"), re.compile(f"[{_ACTING}\t\n]")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known word closest to `word`, or the ``.`` that ends the sentence."""
    close = difflib.get_close_matches(word[:200], list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "."


def shown(value: Any) -> str:
    """A wrong value for a message: short, in one line, and with its type where that is not plain to see."""
    try:
        words = " ".join(repr(value).split())
    except Exception:  # whatever it is, the message must come out
        words = "something"
    short = words if len(words) <= _LONGEST else f"{words[: _LONGEST - 3]}..."
    plain = value is None or isinstance(value, str | bool | int | float)
    return short if plain else f"{short} (of type {type(value).__name__})"


def visible(text: object, *, line: bool = False) -> str:
    r"""Return text from outside fit for a terminal: what would act on it is shown escaped.

    Parameters
    ----------
    text : object
        As ``str`` writes it.
    line : bool
        It is to stay in its line: ends of line and tabs are escaped too.

    Examples
    --------
    >>> print(visible("red \x1b[31mfund", line=True))
    red \x1b[31mfund
    """
    pattern = _IN_LINE if line else _IN_TEXT
    return pattern.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", str(text))


def split_labels(text: str) -> list[str]:
    """Split at the commas that stand in no brackets: ``"a, b(x=1, y=2)"`` holds two labels."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]
