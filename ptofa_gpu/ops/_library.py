"""The engine's library: which one this processor can run, whether it is the one that belongs to this code, its entries.

The build (scripts/build_engine.py) reads this file on its own: it imports nothing of the package before a library is
loaded.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import sys
from functools import lru_cache
from pathlib import Path

#: What the boundary itself is: the layout of structs, the meaning of a status.
ABI = 1
#: How the libraries are compiled. -ffp-contract=off: a fused multiply-add rounds once where the reference rounds twice.
#: -fno-trapping-math (what clang does anyway) changes no result: a choice between computed values is then no branch.
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fPIC", "-fvisibility=hidden", "-pthread")
#: Flags of the processor, as Linux names them, that each level needs beyond the one before.
_X86 = {
    "x86-64-v2": {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
    "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
_MARK = re.compile(rb"ptofa-sources=([0-9a-f]{32})")
LEVEL_VARIABLE = "PTOFA_CPU_LEVEL"


def levels(machine: str) -> list[str]:
    """The levels that libraries are made for on this kind of machine, the plainest first."""
    if machine.lower() in ("x86_64", "amd64"):
        return list(_X86)
    if machine.lower() in ("aarch64", "arm64"):
        return ["aarch64"]
    return ["generic"]


def flags(level: str) -> list[str]:
    """How the library of a level is compiled."""
    return [*FLAGS, *([f"-march={level}"] if level in _X86 else [])]


def file_name(level: str) -> str:
    """The library of a level."""
    return f"libptofa-{level}{'.dylib' if sys.platform == 'darwin' else '.so'}"


def sources(kernels: Path) -> list[Path]:
    """All that the libraries are made from, in a fixed order; not what editors leave beside it."""
    found = (path for part in ("rows", "cpu") for path in (kernels / part).iterdir())
    return sorted(path for path in found if path.suffix in (".cpp", ".hpp", ".cuh") and path.name[0] not in ".#")


def digest(kernels: Path) -> str:
    """What tells one state of the sources, and of how they are compiled, from another."""
    out = hashlib.sha256(repr(FLAGS).encode())
    for path in sources(kernels):
        text = path.read_bytes()
        out.update(f"{path.name} {len(text)} ".encode())
        out.update(text)
    return out.hexdigest()[:32]


def sources_of(library: Path) -> str | None:
    """The digest of the sources that a library was made from, without loading it; None: there is none."""
    try:
        found = _MARK.search(library.read_bytes())
    except OSError:
        return None
    return found[1].decode() if found else None


def supported(about: Path = Path("/proc/cpuinfo")) -> list[str]:
    """The levels that this processor can run, the plainest first, by what Linux says about it."""
    known = levels(platform.machine())
    if known != list(_X86):
        return known
    try:
        with about.open(encoding="ascii", errors="replace") as f:
            found = re.search(r"^flags\s*:(.*)$", f.read(8192), re.MULTILINE)
    except OSError:  # no Linux
        found = None
    has = set(found[1].split()) if found else _X86["x86-64-v2"]
    out = []
    for level in known:
        if not _X86[level] <= has:
            break
        out.append(level)
    return out


class Library:
    """A loaded library.

    Parameters
    ----------
    path : Path
        The file.
    level : str
        What it was made for.
    """

    def __init__(self, path: Path, level: str):
        self.path, self.level = path, level
        self._handle = ctypes.CDLL(str(path))

    def text(self, name: str) -> str:
        """What a function without arguments says; KeyError: the library has no such function."""
        function = self._function(name)
        function.restype, function.argtypes = ctypes.c_char_p, []
        return str(function().decode())

    def number(self, name: str) -> int:
        """As `text`, of a number."""
        function = self._function(name)
        function.restype, function.argtypes = ctypes.c_int, []
        return int(function())

    def entry(self, name: str) -> ctypes._NamedFuncPointer:
        """An entry, which takes the address of its struct and returns a status; other threads may run meanwhile."""
        function = self._function(f"ptofa_{name}")
        function.restype, function.argtypes = ctypes.c_int, [ctypes.c_char_p]
        return function

    def _function(self, name: str) -> ctypes._NamedFuncPointer:
        try:
            return self._handle[name]
        except AttributeError as e:
            raise KeyError(name) from e


def _belongs(found: Library, sources: str) -> bool:
    try:
        return found.number("ptofa_abi") == ABI and found.text("ptofa_sources") == f"ptofa-sources={sources}"
    except KeyError:  # it does not even say
        return False


@lru_cache(maxsize=1)
def library() -> Library:
    """The library for this processor; ``PTOFA_CPU_LEVEL`` asks for one of a lower level.

    Raises
    ------
    EngineError
        There is none, it was made from other sources, or the level asked for is unknown or not for this processor.
    """
    from ptofa_gpu._files import asset_dir
    from ptofa_gpu.errors import EngineError

    folder = Path(__file__).resolve().parent.parent / "_engine"
    can = supported()
    if not can:
        raise EngineError(f"this processor is too old: the engine needs at least {levels(platform.machine())[0]}.")
    asked = os.environ.get(LEVEL_VARIABLE)
    if asked and asked not in can:
        raise EngineError(f"{LEVEL_VARIABLE}={asked!r}; this processor can run {', '.join(can)}.")
    for level in [asked] if asked else can[::-1]:
        path = folder / file_name(level)
        if path.is_file():
            break
    else:
        raise EngineError(
            f"the compiled engine is missing: {folder} has no library for {asked or platform.machine()}. In a checkout "
            "run 'make setup', which compiles it (a C++ compiler is needed); else install the package again."
        )
    try:
        found = Library(path, level)
    except OSError as e:
        raise EngineError(f"the compiled engine cannot be loaded: {e}. Run 'make setup', or install again.") from e
    if not _belongs(found, digest(asset_dir("kernels"))):
        raise EngineError(
            f"{path} was compiled from other sources than those that are here. Run 'make setup', which compiles it "
            "again, or install the package again."
        )
    return found
