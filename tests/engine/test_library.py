"""Which library is loaded, when none is, and that all levels give the same bits."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from ptofa_gpu.ops import _library
from tests.engine import native
from tests.engine.tree import ROOT

LOAD = "from ptofa_gpu.ops._library import library; print(library().level)"
LEVELS = _library.supported()
BEST = LEVELS[-1]
x86 = pytest.mark.skipif(len(LEVELS) < 2, reason="one level is all that this processor has")


def refusal(tree, **variables) -> str:
    """The one line that an attempt to load ends with."""
    done = tree.python(LOAD, **variables)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ptofa_gpu.errors.EngineError: "), done.stderr
    return last


def test_the_best_level_is_taken_and_a_lower_one_on_demand(shared_tree):
    assert shared_tree.python(LOAD).stdout.strip() == BEST
    assert shared_tree.python(LOAD, PTOFA_CPU_LEVEL="").stdout.strip() == BEST
    for level in LEVELS:
        assert shared_tree.python(LOAD, PTOFA_CPU_LEVEL=level).stdout.strip() == level


@pytest.mark.parametrize("level", ["x86-64-v5", "avx2", "aarch64" if BEST != "aarch64" else "x86-64-v2", "../x"])
def test_a_level_that_is_unknown_or_of_another_processor_is_refused(shared_tree, level):
    said = refusal(shared_tree, PTOFA_CPU_LEVEL=level)
    assert level in said
    assert ", ".join(LEVELS) in said


@x86
def test_a_level_above_this_processors_is_refused(tmp_path):
    """What Linux says of a processor without AVX-512, of one without AVX2, and of one that is too old."""
    for lacking, best in (("avx512bw", ["x86-64-v2", "x86-64-v3"]), ("avx2", ["x86-64-v2"]), ("ssse3", [])):
        flags = {flag for needed in _library._X86.values() for flag in needed} - {lacking}
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {' '.join(sorted(flags))}\nbugs\t\t: none\n")
        assert _library.supported(tmp_path / "cpuinfo") == best
    assert _library.supported(tmp_path / "none") == ["x86-64-v2"]


def test_without_the_best_levels_library_the_next_one_is_taken(tree):
    for level in LEVELS[:0:-1]:
        (tree.engine / _library.file_name(level)).unlink()
        assert tree.python(LOAD).stdout.strip() == LEVELS[LEVELS.index(level) - 1]
    (tree.engine / _library.file_name(LEVELS[0])).unlink()
    assert "make setup" in refusal(tree)
    assert BEST in refusal(tree, PTOFA_CPU_LEVEL=BEST)


@pytest.mark.parametrize("change", ["source", "flags", "new file", "removed file"])
def test_a_library_of_other_sources_is_refused(tree, change):
    if change == "source":
        (tree.root / "kernels/rows/best.cuh").open("a").write("\n")
    elif change == "flags":
        code = tree.root / "ptofa_gpu/ops/_library.py"
        code.write_text(code.read_text().replace('"-O3", ', '"-O2", '))
    elif change == "new file":
        (tree.root / "kernels/cpu/new.cpp").touch()
    else:
        (tree.root / "kernels/cpu/largest.cpp").unlink()
    said = refusal(tree)
    assert "other sources" in said
    assert "make setup" in said


def test_what_editors_leave_beside_the_sources_does_not_matter(tree, expected):
    for name in (".price.cpp.swp", "#price.cpp#", "price.cpp~", ".#price.cpp", "price.cpp.orig"):
        (tree.root / "kernels/cpu" / name).write_text("not C++")
    (tree.root / "kernels/rows/.ipynb_checkpoints").mkdir()
    assert tree.digest() == expected


@pytest.mark.parametrize("kind", ["text", "empty", "another library"])
def test_a_file_that_is_no_library_of_ours_is_refused(tree, tmp_path, kind):
    path = tree.engine / _library.file_name(BEST)
    path.unlink()
    if kind == "another library":
        (tmp_path / "other.cpp").write_text('extern "C" int other() { return 1; }\n')
        native.compile_cpp(path, [tmp_path / "other.cpp"], "-shared", "-fPIC")
    else:
        path.write_text("#!/bin/sh\n" if kind == "text" else "")
    assert "make setup" in refusal(tree)


# -- the same bits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_every_level_and_number_of_threads_gives_the_same_bits(shared_tree, expected, level, threads):
    assert shared_tree.digest(PTOFA_CPU_LEVEL=level, PTOFA_NUM_THREADS=threads) == expected


@pytest.mark.parametrize("level", LEVELS[:-1])
def test_the_operations_at_a_lower_level(level):
    """The best level has had these tests as such."""
    variables = {**os.environ, "PTOFA_CPU_LEVEL": level, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/ops"],
        cwd=ROOT, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_level_of_this_machine_has_a_library():
    folder = ROOT / "ptofa_gpu" / "_engine"
    for level in _library.levels(platform.machine()):
        assert _library.sources_of(folder / _library.file_name(level)) == _library.digest(ROOT / "kernels")
