"""The examples in docstrings do what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import ptofa_gpu

PACKAGE = Path(ptofa_gpu.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def test_the_main_calls_have_examples() -> None:
    assert {"ptofa_gpu.allocation.api", "ptofa_gpu.allocation.plan", "ptofa_gpu.allocation.problem"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module), report=True)
    assert found.attempted > 0
    assert found.failed == 0
