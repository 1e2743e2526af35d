"""What a call is, and how arguments say that they are damaged inside: all other kinds show in the value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Arguments = dict[str, Any]


class Text(str):
    """JSON."""


class Tree(dict):
    """A mapping whose inner values are damaged too."""


@dataclass(frozen=True)
class Call:
    """A public function, its area, and what gives valid arguments, anew for each call."""

    name: str
    area: str
    function: Callable[..., Any]
    arguments: Callable[[], Arguments]
