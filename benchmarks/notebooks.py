"""Seconds that the quick profile of each notebook takes, alone and from the start, by `ptofa report`.

    python benchmarks/notebooks.py                          # all of them
    python benchmarks/notebooks.py quickstart 03_allocation

Rows are appended to results/notebooks-MACHINE.csv. `load` is the machine's load average when a notebook began: above a
fraction of a core it means that other work took part, and `seconds` is then more than the notebook needs; `cpu_seconds`
is what it, its kernel and their threads worked.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ptofa_gpu
from ptofa_gpu._files import asset_dir
from ptofa_gpu.bench import machine
from ptofa_gpu.bench.results import append_row, results_path
from ptofa_gpu.ops._library import library

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "date", "device", "cores", "load", "commit", "ptofa", "python", "torch", "engine",
    "notebook", "profile", "status", "seconds", "cpu_seconds",
)  # fmt: skip


def run(notebook: str) -> dict[str, object]:
    """Run one notebook in a folder of its own; the columns that are measured."""
    load = machine.load()
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--only", notebook, "--profile", "quick", "--fresh", "-o", folder]
        done = subprocess.run(
            [sys.executable, "-m", "ptofa_gpu.cli", "report", *options], capture_output=True, text=True
        )
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load": f"{load:.2f}",
        "notebook": notebook,
        "profile": "quick",
        "status": "done" if done.returncode == 0 else f"failed ({done.returncode})",
        "seconds": f"{seconds:.1f}",
        "cpu_seconds": f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f}",
    }


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="by name; default: all")
    parser.add_argument("--output", type=Path, help="results; by default results/notebooks-MACHINE.csv")
    args = parser.parse_args()
    device = machine.device_name("cpu")
    path = args.output or results_path(RESULTS, f"notebooks-{device}-{machine.cores()}-cores", COLUMNS)
    known = {
        "device": device,
        "cores": machine.cores(),
        "commit": machine.commit(),
        "ptofa": ptofa_gpu.__version__,
        "python": platform.python_version(),
        "torch": machine.version("torch"),
        "engine": library().level,
    }
    for notebook in args.notebooks or sorted(p.stem for p in asset_dir("notebooks").glob("*.ipynb")):
        row = run(notebook)
        append_row(path, COLUMNS, {**known, **row})
        print(f"{notebook:24} {row['status']} in {row['seconds']} s ({row['cpu_seconds']} s of CPU)", flush=True)


if __name__ == "__main__":
    main()
