"""What tests of the engine share: copies of the package, and what all passes give."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine import passes
from tests.engine.native import FloatMode
from tests.engine.tree import Tree


@pytest.fixture(scope="session")
def expected() -> str:
    """`passes.digest()` in this process."""
    return passes.digest()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A copy that the test may spoil."""
    return Tree(tmp_path / "tree")


@pytest.fixture(scope="session")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A copy that stays as it is."""
    return Tree(tmp_path_factory.mktemp("shared") / "tree")


@pytest.fixture(scope="session")
def float_mode(tmp_path_factory: pytest.TempPathFactory) -> FloatMode:
    """To read and set this thread's floating-point mode."""
    return FloatMode(tmp_path_factory.mktemp("mode"))
