"""Compile kernels/cpu into one library for each level of processors: ptofa_gpu/_engine/libptofa-LEVEL.so.

`make setup`, `pip install` and the building of a wheel all come here. Nothing is fetched. What is up to date already is
left as it is; a library takes its name only when it is whole.

    python scripts/build_engine.py [--levels x86-64-v2,x86-64-v3] [--to FOLDER] [--werror]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
#: -ffp-contract=off: a fused multiply-add would round once where the reference rounds twice. -fno-trapping-math (what
#: clang does anyway) changes no result: nobody looks at the flags, and a choice between computed values is no branch.
FLAGS = (
    "-std=c++17", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fPIC", "-shared", "-fvisibility=hidden",
    "-pthread", "-Wall", "-Wextra", "-Wno-psabi", "-Wno-unknown-pragmas", "-static-libgcc", "-static-libstdc++",
)  # fmt: skip
MISSING = """\
there is no C++ compiler, and the engine must be compiled. Install one of
    apt install g++          (Debian, Ubuntu: GCC 12 or later)
    dnf install gcc-c++      (Fedora, RHEL)
    conda install gxx        (conda, Linux)
    xcode-select --install   (macOS)
or name another with CXX=..., or install a wheel, which needs none."""


class BuildError(Exception):
    """The engine could not be compiled; the message says why."""


def library() -> ModuleType:
    """ptofa_gpu/ops/_library.py: it knows how libraries are called and what their sources are."""
    spec = importlib.util.spec_from_file_location("ptofa_library", ROOT / "ptofa_gpu" / "ops" / "_library.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def compiler() -> str:
    """The C++ compiler: ``CXX``, or the first of g++, clang++ and c++."""
    asked = os.environ.get("CXX")
    for name in [asked] if asked else ["g++", "clang++", "c++"]:
        if found := shutil.which(name):
            return found
    raise BuildError(f"CXX={asked} is no program.\n{MISSING}" if asked else MISSING)


def build(levels: list[str] | None = None, to: Path | None = None, extra: tuple[str, ...] = ()) -> list[Path]:
    """Compile what is not up to date, side by side; returns the libraries.

    Raises
    ------
    BuildError
        There is no compiler, or it cannot compile the sources.
    """
    about = library()
    folder = to or ROOT / "ptofa_gpu" / "_engine"
    folder.mkdir(parents=True, exist_ok=True)
    sources = about.sources(ROOT / "kernels")
    digest = about.digest(ROOT / "kernels")
    wanted = levels or about.levels(platform.machine())
    paths = [folder / about.file_name(level) for level in wanted]
    old = [(level, path) for level, path in zip(wanted, paths) if extra or about.sources_of(path) != digest]
    if not old:
        return paths
    program, began = compiler(), time.monotonic()
    print(f"== compiling the engine with {program}: {', '.join(level for level, _ in old)}", flush=True)

    def compile_one(job: tuple[str, Path]) -> None:
        level, path = job
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        command = [program, *FLAGS, *extra, *about.flags(level), f'-DPTOFA_SOURCES="ptofa-sources={digest}"']
        command += [f"-I{ROOT / 'kernels' / part}" for part in ("rows", "cpu")]
        command += ["-o", str(partial), *(str(s) for s in sources if s.suffix == ".cpp")]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise BuildError(f"{program} could not compile the engine for {level}:\n{done.stderr[-4000:]}")
            if done.stderr:
                print(done.stderr, file=sys.stderr)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(compile_one, old))
    print(f"== compiled in {time.monotonic() - began:.0f} s", flush=True)
    return paths


def main() -> None:
    """The command line."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--levels", type=lambda text: text.split(","), help="by default all of this machine's kind")
    asked.add_argument("--to", type=Path, help="folder of the libraries")
    asked.add_argument("--werror", action="store_true", help="warnings are errors")
    given = asked.parse_args()
    try:
        build(given.levels, given.to, ("-Werror",) if given.werror else ())
    except BuildError as e:
        sys.exit(f"set-up failed: {e}")


if __name__ == "__main__":
    main()
