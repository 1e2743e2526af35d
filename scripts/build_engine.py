"""Compile kernels/cpu into one library for each level of processors: ptofa_gpu/_engine/libptofa-LEVEL.so.

`make setup`, `pip install` and the building of a wheel all come here. Nothing is fetched. What is up to date already is
left as it is; a library takes its name only when it is whole. How they are compiled, but for warnings and linking, is
in ptofa_gpu/ops/_library.py: a library that was compiled in another way is not up to date.

    python scripts/build_engine.py [--levels x86-64-v2,x86-64-v3] [--to FOLDER] [--werror] [--sanitize NAMES]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "kernels"
WARNINGS = ("-Wall", "-Wextra", "-Wno-psabi", "-Wno-unknown-pragmas")
#: PTOFA_WERROR=1: warnings are errors, for those who work on the engine; not for everyone with a newer compiler.
WERROR_VARIABLE = "PTOFA_WERROR"
#: The run-time comes along, and nothing but the entries is seen from outside: another one in the process, such as
#: torch's, shares no code with it.
STATIC = ("-static-libgcc", "-static-libstdc++")
EXPORTS = "{ global: ptofa_*; local: *; };\n"
NEEDED = "GCC 12 or later, or clang 14 or later, is needed"
MISSING = f"""\
the engine must be compiled, and {NEEDED}. Install one of
    apt install g++                               (Debian, Ubuntu; on Ubuntu 22.04: g++-12, and CXX=g++-12)
    dnf install gcc-c++ libstdc++-static          (Fedora, RHEL)
    conda install gxx                             (conda, Linux)
    xcode-select --install                        (macOS)
or name another with CXX=..., or install a wheel, which needs none."""


class BuildError(Exception):
    """The engine could not be compiled; the message says why."""


def library() -> ModuleType:
    """ptofa_gpu/ops/_library.py: it knows how libraries are called, and what they are made from and how."""
    spec = importlib.util.spec_from_file_location("ptofa_library", ROOT / "ptofa_gpu" / "ops" / "_library.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def compiler() -> list[str]:
    """The C++ compiler: ``CXX`` (with arguments, if you like), or the first of g++, clang++ and c++."""
    asked = shlex.split(os.environ.get("CXX", ""))
    for program, *arguments in [asked] if asked else [["g++"], ["clang++"], ["c++"]]:
        if found := shutil.which(program):
            return [found, *arguments]
    trouble = f"CXX={' '.join(asked)} is no program" if asked else "there is no C++ compiler"
    raise BuildError(f"{trouble}; {MISSING}")


def build(levels: list[str] | None = None, to: Path | None = None, extra: tuple[str, ...] = ()) -> list[Path]:
    """Compile what is not up to date, side by side; returns the libraries.

    Parameters
    ----------
    levels : list of str, optional
        By default all of this machine's kind.
    to : Path, optional
        The folder of the libraries; by default the package's.
    extra : tuple of str
        More flags of the compiler; with any, all is compiled.

    Raises
    ------
    BuildError
        There is no compiler, or it cannot compile the sources.
    """
    about = library()
    folder, digest = to or ROOT / "ptofa_gpu" / "_engine", about.digest(KERNELS)
    libraries = {level: folder / about.file_name(level) for level in levels or about.levels(platform.machine())}
    old = [level for level, path in libraries.items() if extra or about.sources_of(path) != digest]
    if not old:
        return list(libraries.values())
    program, began = compiler(), time.monotonic()
    print(f"== compiling the engine with {program[0]}: {', '.join(old)}", flush=True)
    units = [path for path in about.sources(KERNELS) if path.suffix == ".cpp"]
    warnings = [*WARNINGS, *(["-Werror"] if os.environ.get(WERROR_VARIABLE) == "1" else [])]

    def run(level: str, *words: str | Path) -> None:
        command = [*program, *about.flags(level), *extra, *map(str, words)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env={**os.environ, "LC_ALL": "C"}, check=False
        )
        if done.returncode:
            raise BuildError(
                f"{program[0]} could not compile the engine for {level}:\n{done.stderr[:4000]}\n"
                f"This is {_version(program)}; {NEEDED}, and its libstdc++.a (Fedora, RHEL: libstdc++-static)."
            )
        if done.stderr:
            print(done.stderr, file=sys.stderr)

    def compile_unit(level: str, unit: Path, out: Path) -> None:
        name = f'-DPTOFA_SOURCES="ptofa-sources={digest}"'
        run(level, *warnings, name, f"-I{KERNELS / 'rows'}", f"-I{KERNELS / 'cpu'}", "-c", unit, "-o", out)

    def link(level: str, objects: list[Path], exports: Path) -> None:
        path = libraries[level]
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        linux = () if sys.platform == "darwin" else (*STATIC, "-Wl,-z,defs", f"-Wl,--version-script={exports}")
        try:
            run(level, "-shared", *linux, *objects, "-o", partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="ptofa-engine-") as scratch, ThreadPoolExecutor(cores) as threads:
            exports = Path(scratch, "exports.map")
            exports.write_text(EXPORTS)
            objects = {level: [Path(scratch, f"{level}-{unit.stem}.o") for unit in units] for level in old}
            jobs = [(level, unit, out) for level in old for unit, out in zip(units, objects[level])]
            list(threads.map(lambda job: compile_unit(*job), jobs))
            list(threads.map(lambda level: link(level, objects[level], exports), old))
    except OSError as e:
        raise BuildError(f"the engine's libraries cannot be written: {e}") from e
    made, took = len(old), time.monotonic() - began
    print(f"== compiled {made} {'library' if made == 1 else 'libraries'} in {took:.1f} s", flush=True)
    return list(libraries.values())


def _version(program: list[str]) -> str:
    said = subprocess.run([*program, "--version"], capture_output=True, text=True, errors="replace", check=False)
    return next(iter(said.stdout.splitlines()), program[0])


def sanitizing(names: str) -> tuple[str, ...]:
    """Flags for `build`'s `extra`: checks of the compiler at run time, such as "address,undefined"."""
    return ("-O1", "-g", "-fno-omit-frame-pointer", f"-fsanitize={names}", "-fno-sanitize-recover=all")


def main() -> None:
    """The command line."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--levels", type=lambda text: text.split(","), help="by default all of this machine's kind")
    asked.add_argument("--to", type=Path, help="folder of the libraries")
    asked.add_argument("--werror", action="store_true", help=f"warnings are errors, as with {WERROR_VARIABLE}=1")
    asked.add_argument("--sanitize", metavar="NAMES", help="for GCC's -fsanitize; needs --to")
    given = asked.parse_args()
    if given.sanitize and not given.to:
        asked.error("--sanitize needs --to: such a library is not for use")
    if given.werror:
        os.environ[WERROR_VARIABLE] = "1"
    try:
        build(given.levels, given.to, sanitizing(given.sanitize) if given.sanitize else ())
    except BuildError as e:
        sys.exit(f"set-up failed: {e}")


if __name__ == "__main__":
    main()
