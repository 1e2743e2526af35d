"""Small helpers for messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known word closest to `word`, or the ``.`` that ends the sentence."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "."


def split_labels(text: str) -> list[str]:
    """Split at the commas that stand in no brackets: ``"a, b(x=1, y=2)"`` holds two labels."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]
