"""`ptofa allocate` from files to a verified plan: the wall clock of the whole process, and what it goes to.

    python benchmarks/command.py                                    # 1,000,000 x 8 from Parquet, CSV and NPY
    python benchmarks/command.py --size 200000x64 --formats parquet --repeat 9

Files are made once, and each format has one run that does not count: it brings the files into memory. The formats then
take turns. A row is the median of its runs by wall clock, in whole: its phases are of the same run. `allowed` is three
times the solve (what the plan says it took) and the reading of the files. Rows are appended to
results/command-MACHINE.csv.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

import ptofa_gpu
from ptofa_gpu.bench import machine
from ptofa_gpu.bench.instances import Instance, generate, parse_size
from ptofa_gpu.bench.results import append_row, results_path
from ptofa_gpu.ops._library import library

RESULTS = Path(__file__).parent / "results"
PHASES = ("load", "read", "check", "solve", "verify", "write")
COLUMNS = (
    "date", "device", "cores", "load", "commit", "ptofa", "python", "numpy", "engine", "pyarrow",
    "customers", "funds", "k", "seed", "format", "method", "repeats",
    "wall", "wall_min", "wall_all",  # seconds of the process, from its start to its end
    "solve_seconds",  # what the plan says it took
    "allowed", "share",  # 3 x solve_seconds + phase_read; wall / allowed
    *(f"phase_{p}" for p in PHASES), "python_start_and_end",  # the latter: what the command's phases leave of wall
)  # fmt: skip


def write_files(instance: Instance, folder: Path, formats: list[str]) -> None:
    """The three tables of an instance, ids being numbers, in each format."""
    a = generate(instance)
    ids = np.arange(instance.customers)
    tables = {
        "revenue": pa.table({"customer": ids, **{str(f): a.revenue[:, f] for f in range(instance.funds)}}),
        "customers": pa.table({"customer": ids, "tolerance": a.tolerance}),
        "funds": pa.table({"fund": np.arange(instance.funds), "quota": a.quota, "risk": a.risk}),
    }
    for name, table in tables.items():
        parquet.write_table(table, folder / f"{name}.parquet")
        if "csv" in formats:
            csv.write_csv(table, folder / f"{name}.csv")
    if "npy" in formats:
        np.save(folder / "revenue.npy", a.revenue)


def run(folder: Path, kind: str, k: int, method: str) -> tuple[float, dict]:
    """Seconds of one process, and what it says of itself."""
    rest = "csv" if kind == "csv" else "parquet"
    files = [f"revenue.{kind}", f"customers.{rest}", f"funds.{rest}"]
    options = ["-k", str(k), "--method", method, "--device", "cpu", "-o", "plan.parquet", "--json"]
    command = [sys.executable, "-m", "ptofa_gpu.cli", "allocate", *files, *options]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return wall, json.loads(done.stdout)


def row_of(runs: list[tuple[float, dict]]) -> dict[str, object]:
    """The columns that are measured: of the median run, which is one of them (the upper of two in the middle)."""
    wall, facts = sorted(runs, key=lambda r: r[0])[len(runs) // 2]
    phases, solve = facts["phases"], facts["seconds"]
    allowed = 3 * solve + phases["read"]
    return {
        "repeats": len(runs),
        "wall": f"{wall:.4f}",
        "wall_min": f"{min(w for w, _ in runs):.4f}",
        "wall_all": " ".join(f"{w:.4f}" for w, _ in runs),
        "solve_seconds": f"{solve:.4f}",
        "allowed": f"{allowed:.4f}",
        "share": f"{wall / allowed:.3f}",
        **{f"phase_{p}": f"{phases[p]:.4f}" for p in PHASES},
        "python_start_and_end": f"{wall - phases['total']:.4f}",
    }


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="1Mx8")
    parser.add_argument("--k", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="optimal")
    parser.add_argument("--formats", nargs="+", choices=["parquet", "csv", "npy"], default=["parquet", "csv", "npy"])
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--output", type=Path, help="results; by default results/command-MACHINE.csv")
    args = parser.parse_args()
    instance = Instance(*parse_size(args.size), args.k, seed=args.seed)
    device = machine.device_name("cpu")
    path = args.output or results_path(RESULTS, f"command-{device}-{machine.cores()}-cores", COLUMNS)
    known = {
        "device": device,
        "cores": machine.cores(),
        "load": f"{machine.load():.2f}",
        "commit": machine.commit(),
        "ptofa": ptofa_gpu.__version__,
        "python": platform.python_version(),
        **{name: machine.version(name) for name in ("numpy", "pyarrow")},
        "engine": library().level,
        "customers": instance.customers,
        "funds": instance.funds,
        "k": instance.k,
        "seed": instance.seed,
        "method": args.method,
    }
    runs: dict[str, list[tuple[float, dict]]] = {kind: [] for kind in args.formats}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(instance, folder, args.formats)
        for turn in range(args.repeat + 1):
            for kind, mine in runs.items():
                found = run(folder, kind, instance.k, args.method)
                if turn:
                    mine.append(found)
    for kind, mine in runs.items():
        row = row_of(mine)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        append_row(path, COLUMNS, {"date": now, **known, "format": kind, **row})
        print(
            f"{kind:8} wall {row['wall']} s (least {row['wall_min']}), solve {row['solve_seconds']} s, "
            f"{row['share']} of what is allowed; " + ", ".join(f"{p} {row[f'phase_{p}']}" for p in PHASES)
        )


if __name__ == "__main__":
    main()
