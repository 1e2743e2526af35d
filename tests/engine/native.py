"""Small C++ programs of these tests, and the tools for them."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.engine.tree import ROOT

HERE = Path(__file__).resolve().parent
CPU = ROOT / "kernels" / "cpu"


def tool(*names: str) -> str:
    """Where the first of these programs is; the test is skipped where there is none."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"{' or '.join(names)} is not installed")


def compile_cpp(out: Path, sources: Sequence[str | Path], *flags: str, compiler: str | None = None) -> Path:
    """Compile a program of the engine's sources and these tests'."""
    program = compiler or tool(os.environ.get("CXX") or "g++", "clang++")
    rows, said = CPU.parent / "rows", '-DPTOFA_SOURCES="tests"'
    command = [program, "-std=c++17", "-pthread", "-Wall", "-Wextra", "-Wno-psabi", "-Wno-unknown-pragmas", "-Werror"]
    command += ["-ffp-contract=off", said, f"-I{CPU}", f"-I{rows}", *flags, *map(str, sources), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


class FloatMode:
    """The floating-point mode of the calling thread (MXCSR or FPCR), read and set by a library of these tests."""

    def __init__(self, folder: Path):
        path = compile_cpp(folder / "float_mode.so", [HERE / "float_mode.cpp"], "-shared", "-fPIC")
        self._library = ctypes.CDLL(str(path))
        self._library.get_mode.restype = self._library.strange_mode.restype = ctypes.c_uint64
        self._library.set_mode.argtypes = [ctypes.c_uint64]

    def get(self) -> int:
        """The mode, with the flags of what happened."""
        return int(self._library.get_mode())

    def set(self, mode: int) -> None:
        """Set it."""
        self._library.set_mode(mode)

    def strange(self) -> int:
        """The present mode, but round up, and subnormal numbers are zero."""
        return int(self._library.strange_mode())
