"""The operations' tests with a library that watches its memory and its arithmetic (ASan, UBSan)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ptofa_gpu.ops import _library
from tests.engine import native
from tests.engine.tree import ROOT, Tree

LEVEL = _library.supported()[-1]


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> tuple[Tree, dict[str, str]]:
    """A package whose library is watched, and the variables for Python to bear it."""
    gcc = native.tool("g++")
    found = [
        subprocess.run([gcc, f"-print-file-name={name}.so"], capture_output=True, text=True).stdout.strip()
        for name in ("libasan", "libubsan")
    ]
    if not all(Path(path).is_absolute() for path in found):
        pytest.skip("this g++ has no sanitizers")
    tree = Tree(tmp_path_factory.mktemp("watched") / "tree", engine=False)
    command = [sys.executable, "scripts/build_engine.py", "--levels", LEVEL, "--sanitize", "address,undefined"]
    done = tree.run(*command, "--to", tree.engine, CXX=gcc)
    assert done.returncode == 0, done.stderr
    settings = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return tree, {**settings, "LD_PRELOAD": " ".join(found), "PTOFA_CPU_LEVEL": LEVEL, "PYTHONMALLOC": "malloc"}


#: What is sequential by nature: tests of its own.
SEQUENTIAL = ("tests/allocation/test_exchange.py", "tests/allocation/test_auction.py")
READ_BEYOND = """
import numpy as np
from ptofa_gpu.ops.largest import _LARGEST
rows = {rows}
_LARGEST(
    revenue=np.ones((1000, 4), np.int32), tolerance=None, risk=np.ones(4, np.int8), mask=None, words=0, slots=None,
    wanted=np.ones(4, np.uint8), rows=rows, funds=4, threads=1, top=np.zeros(2, np.int32),
)
"""


def test_reading_beyond_an_array_is_seen(watched):
    """The tests below would say nothing if it were not."""
    tree, variables = watched
    assert tree.python(READ_BEYOND.format(rows=1000), **variables).returncode == 0
    done = tree.python(READ_BEYOND.format(rows=1001), **variables)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


def test_the_operations(watched):
    tree, variables = watched
    for part in ("ops", "allocation"):
        shutil.copytree(ROOT / "tests" / part, tree.root / "tests" / part)
    for name in ("__init__.py", "conftest.py"):
        shutil.copy(ROOT / "tests" / name, tree.root / "tests")
    shutil.copy(ROOT / "pyproject.toml", tree.root)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/ops", *SEQUENTIAL]
    done = tree.run(*command, **variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert " passed" in done.stdout
