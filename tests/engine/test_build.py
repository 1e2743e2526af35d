"""Compiling the engine: what is said when it cannot be, what is left behind, and that there is no warning."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from ptofa_gpu.ops import _library
from tests.engine import native
from tests.engine.tree import ROOT

LEVEL = _library.supported()[-1]
NAME = _library.file_name(LEVEL)
BUILD = [sys.executable, "scripts/build_engine.py", "--levels", LEVEL]


@pytest.fixture
def compiler() -> str:
    return native.tool(os.environ.get("CXX") or "g++", "clang++")


def stale(tree) -> bytes:
    """Make the library out of date; returns it."""
    (tree.root / "kernels/rows/best.cuh").open("a").write("\n// another\n")
    return (tree.engine / NAME).read_bytes()


def only_libraries(tree) -> bool:
    return {p.name for p in tree.engine.iterdir()} <= {*map(_library.file_name, _library.levels("x86_64")), NAME}


# -- when it cannot be compiled ----------------------------------------------------------------------------------------


def test_without_a_compiler_one_error_says_what_to_install(tree, tmp_path):
    before = stale(tree)
    done = tree.run(*BUILD, PATH=str(tmp_path), CXX="")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("set-up failed: there is no C++ compiler")
    for word in ("apt install g++", "dnf install", "conda install", "CXX=", "GCC 12"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert (tree.engine / NAME).read_bytes() == before


def test_make_setup_says_so_before_anything_is_installed(tree, tmp_path):
    stale(tree)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tree.root)
    path = tmp_path / "bin"
    path.mkdir()
    for name in ("bash", "sed", "mkdir", "touch", "ls"):
        (path / name).symlink_to(native.tool(name))
    make = [native.tool("make"), "setup", "VENV=venv", f"PYTHON={sys.executable}"]
    done = tree.run(*make, PATH=str(path), CXX="", MAKEFLAGS="")
    assert done.returncode != 0
    assert "there is no C++ compiler" in done.stderr
    assert "installing" not in done.stdout
    assert not (tree.root / "venv").exists()


@pytest.mark.parametrize("cxx", ["no-such-compiler", "no-such-compiler -m64"])
def test_a_compiler_that_is_no_program(tree, cxx):
    stale(tree)
    done = tree.run(*BUILD, CXX=cxx)
    assert done.returncode == 1
    assert done.stderr.startswith(f"set-up failed: CXX={cxx} is no program")


def test_a_compiler_that_fails_is_told_with_its_version(tree, tmp_path):
    before = stale(tree)
    fake = tmp_path / "c++"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "gcc 4.8.5" && exit\necho "no -std=c++17" >&2\nexit 1\n')
    fake.chmod(0o755)
    done = tree.run(*BUILD, CXX=str(fake))
    assert done.returncode == 1
    assert "no -std=c++17" in done.stderr
    assert "This is gcc 4.8.5; GCC 12 or later" in done.stderr
    assert (tree.engine / NAME).read_bytes() == before


def test_a_broken_source_leaves_no_half_library(tree, compiler):
    (tree.root / "kernels/cpu/largest.cpp").open("a").write("\nthis is not C++;\n")
    before = (tree.engine / NAME).read_bytes()
    done = tree.run(*BUILD)
    assert done.returncode == 1
    assert "this is not C++" in done.stderr, "the compiler's first words"
    assert (tree.engine / NAME).read_bytes() == before
    assert only_libraries(tree)
    assert "other sources" in tree.python("from ptofa_gpu.ops._library import library; library()").stderr


def test_a_symbol_that_is_nowhere_is_an_error(tree, compiler):
    """Not a library that fails when it is loaded."""
    code = "\nnamespace ptofa { void nowhere(); }\nPTOFA_API void ptofa_nothing() { ptofa::nowhere(); }\n"
    (tree.root / "kernels/cpu/largest.cpp").open("a").write(code)
    done = tree.run(*BUILD)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert only_libraries(tree)


def test_a_folder_that_cannot_be_written_to(tree, compiler, tmp_path):
    (tmp_path / "file").touch()
    done = tree.run(*BUILD, "--to", tmp_path / "file")
    assert done.returncode == 1
    assert done.stderr.startswith("set-up failed: the engine's libraries cannot be written")


# -- what is compiled --------------------------------------------------------------------------------------------------


def test_nothing_is_compiled_that_is_up_to_date(tree):
    times = {p: p.stat().st_mtime_ns for p in tree.engine.iterdir()}
    for source in (tree.root / "kernels").rglob("*"):
        os.utime(source)  # newer, and the same
    done = tree.run(sys.executable, "scripts/build_engine.py", CXX="no-such-compiler")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {p: p.stat().st_mtime_ns for p in tree.engine.iterdir()} == times


def test_what_is_missing_is_compiled_and_works(tree, compiler, expected):
    for path in tree.engine.iterdir():
        path.unlink()
    done = tree.run(*BUILD)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == f"== compiling the engine with {compiler}: {LEVEL}"
    assert said[1].startswith("== compiled 1 library in ")
    assert len(said) == 2
    assert [p.name for p in tree.engine.iterdir()] == [NAME]
    assert tree.digest() == expected


@pytest.mark.parametrize("name", ["g++", "clang++"])
def test_there_is_no_warning(tree, tmp_path, name, expected):
    """At every level; and clang's libraries give the same bits."""
    program, command = native.tool(name), [sys.executable, "scripts/build_engine.py"] if name == "g++" else BUILD
    done = tree.run(*command, "--to", tmp_path, "--werror", CXX=program)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    shutil.copy(tmp_path / NAME, tree.engine)
    assert tree.digest() == expected


def test_a_warning_is_an_error_where_that_is_asked_for(tree, compiler):
    (tree.root / "kernels/cpu/largest.cpp").open("a").write("\nstatic int nobody_calls() { return 1; }\n")
    done = tree.run(*BUILD, PTOFA_WERROR="1")
    assert done.returncode == 1
    assert "nobody_calls" in done.stderr


# -- archives ----------------------------------------------------------------------------------------------------------


def test_a_source_archive_has_all_sources_and_no_library(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "CXX": "no-such-compiler"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        inside = {name.partition("/")[2] for name in files.getnames()}
    assert not [name for name in inside if "_engine/" in name]
    wanted = {str(p.relative_to(ROOT)) for p in _library.sources(ROOT / "kernels")}
    assert inside >= wanted | {"scripts/build_engine.py", "scripts/hatch_build.py", "pyproject.toml"}
