"""Small helpers for messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

_LONGEST = 60


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


def split_labels(text: str) -> list[str]:
    """Split at the commas that stand in no brackets: ``"a, b(x=1, y=2)"`` holds two labels."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]
