"""Compiling for the CPU with g++, once for each content; results lie in a folder of the temporary directory."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).resolve().parent

# -ffp-contract=off: one rounding an operation. -fstack-clash-protection: a large frame touches every page on its way,
# so that it cannot step over the guard page. gnu-unique symbols would be shared between modules that must not.
COMMON = (
    "-std=c++20",
    "-O2",
    "-fPIC",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-fstack-clash-protection",
    "-fno-threadsafe-statics",
    "-U_FORTIFY_SOURCE",
    f"-I{HERE / 'include'}",
)
KERNEL = ("-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-unused-variable")
# Undefined behaviour calls runtime/undefined.cpp; vptr needs a run-time the compiler would link.
UNDEFINED = (
    "-fsanitize=undefined,float-cast-overflow",
    "-fno-sanitize=vptr",
    "-fno-sanitize-recover=all",
    "-O1",
)
# Every access calls runtime/races.cpp. Without the points-to analysis g++ assumes that other threads may know a static
# variable's address, as they do here.
RACES = ("-O1", "-fsanitize=thread", "-fno-tree-pta", "-g", "-DCUDA_ON_CPU_CHECK_RACES")


class CompileError(Exception):
    """g++ rejects a kernel; the message is its own."""


def compiler() -> str | None:
    """The C++ compiler: ``CXX`` or g++; None where there is none."""
    return shutil.which(os.environ.get("CXX", "g++"))


def _required_compiler() -> str:
    found = compiler()
    if found is None:
        raise CompileError("no C++ compiler: install g++, or name one in CXX")
    return found


@lru_cache(maxsize=1)
def _compiler_version() -> str:
    return _run([_required_compiler(), "--version"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CompileError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def _cache() -> Path:
    folder = Path(tempfile.gettempdir()) / f"ptofa-cuda-on-cpu-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user: its libraries are not to be trusted")
    return folder


@lru_cache(maxsize=1)
def _own_sources() -> bytes:
    files = [*sorted(HERE.glob("runtime/*")), *sorted(p for p in HERE.glob("include/**/*") if p.is_file())]
    return b"".join(p.read_bytes() for p in files)


def _cached(name: str, key: str, suffix: str, make: list[list[str]]) -> Path:
    """The file made by the commands, in which OUT stands for a path of its own; runs them only if it is not there."""
    target = _cache() / f"{name}-{key}{suffix}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=_cache()) as scratch:
            for command in make:
                _run([word.replace("OUT", f"{scratch}/out") for word in command])
            os.replace(f"{scratch}/out", target)  # whole or absent, whoever else builds the same
    return target


def _digest(*parts: object) -> str:
    h = hashlib.sha256(_own_sources() + _compiler_version().encode())
    for part in parts:
        h.update(repr(part).encode())
    return h.hexdigest()[:24]


@lru_cache(maxsize=1)
def runtime() -> Path:
    """The shared library that executes kernels: fibers, collectives, faults and the race check."""
    sources = [str(p) for p in sorted(HERE.glob("runtime/*.cpp"))]
    command = [_required_compiler(), *COMMON, "-Wall", "-Wextra", "-shared", *sources, "-o", "OUT"]
    return _cached("runtime", _digest(command), ".so", [command])


def preprocess(text: str, options: tuple[str, ...]) -> str:
    """The kernel's text with its macros expanded, the words of CUDA C++ left as they are."""
    command = [_required_compiler(), *COMMON, *options, "-E", "-P", "-x", "c++", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise CompileError(done.stderr)
    return done.stdout


def kernel_library(unit: str, headers: str, options: tuple[str, ...], *, sanitize: bool, check_races: bool) -> Path:
    """The shared library of one translation unit; `headers` is what it includes, for the cache to know."""
    extra = (*(UNDEFINED if sanitize else ()), *(RACES if check_races else ()))
    flags = [*COMMON, *KERNEL, *extra, *options]
    key = _digest(unit, headers, flags, str(runtime()))
    source = _cache() / f"{key}.{os.getpid()}.cpp"
    source.write_text(unit)
    cxx = _required_compiler()
    try:
        # Compiled and linked apart: the sanitizers' own run-times must not come in.
        return _cached(
            "kernel",
            key,
            ".so",
            [
                [cxx, *flags, "-c", str(source), "-o", "OUT.o"],
                [cxx, "-shared", "OUT.o", str(runtime()), f"-Wl,-rpath,{runtime().parent}", "-o", "OUT"],
            ],
        )
    finally:
        source.unlink(missing_ok=True)


def source_line(library: Path, offset: int) -> str:
    """FILE:LINE of an address in a library compiled with -g, as far as binutils can tell."""
    tool = shutil.which("addr2line")
    if tool is None:
        return hex(offset)
    name, _, line = _run([tool, "-e", str(library), hex(offset)]).strip().split(" ")[0].rpartition(":")
    return f"{Path(name).name}:{line}"
