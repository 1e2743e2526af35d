"""The start of a process to a verified plan, beside OR-Tools' own process for the same plan.

    python benchmarks/cold_start.py                        # 20,000 x 8
    python benchmarks/cold_start.py --size 200000x8 --repeat 15

Each run is a process of its own: it imports what it needs, reads E from a .npy file, states the problem and solves it.
OR-Tools' process builds its network with NumPy; ours verifies its plan as well. The two take turns,
so that what else the machine does meets both. Medians; rows are appended to results/cold-start-MACHINE.csv.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

import ptofa_gpu
from ptofa_gpu.bench import machine
from ptofa_gpu.bench.instances import Instance, generate, parse_size
from ptofa_gpu.bench.results import append_row, results_path

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "date", "device", "cores", "load", "commit", "ptofa", "python", "customers", "funds", "seed", "repeats",
    "ours", "ortools", "ratio", "nothing", "numpy", "import_ptofa_beyond_numpy",
    "ours_all", "ortools_all",
)  # fmt: skip

OURS = """
import numpy as np, ptofa_gpu
d = np.load("limits.npz")
problem = ptofa_gpu.AllocationProblem(np.load("E.npy"), d["quota"], 1, d["tolerance"], d["risk"])
plan = ptofa_gpu.allocate(problem, device="cpu").verify()
print(repr(plan.objective), plan.status)
"""
# what a person would write: eligible pairs as arcs, values as whole numbers
ORTOOLS = """
import numpy as np
from ortools.graph.python import min_cost_flow
d, E = np.load("limits.npz"), np.load("E.npy")
n, f = E.shape
u, k = np.nonzero(d["tolerance"][:, None] >= d["risk"])
value = E[u, k].astype(np.float64)
cost = -np.rint(value * 2.0 ** (40 - np.frexp(value.max())[1])).astype(np.int64)
flow = min_cost_flow.SimpleMinCostFlow()
arcs = flow.add_arcs_with_capacity_and_unit_cost(u, n + k, np.ones(u.size, np.int64), cost)
flow.set_nodes_supplies(np.arange(n + f), np.concatenate([np.ones(n, np.int64), -d["quota"]]))
status = flow.solve()
print(repr(float(value[flow.flows(arcs) > 0].sum())), status == flow.OPTIMAL)
"""
NOTHING, NUMPY = "pass", "import numpy"
IMPORT = """
import time, numpy
began = time.perf_counter()
import ptofa_gpu
ptofa_gpu.allocate, ptofa_gpu.AllocationProblem
print(time.perf_counter() - began)
"""


def process(code: str, folder: Path) -> tuple[float, str]:
    """Seconds of one process, and what it says."""
    began = time.perf_counter()
    # as an installation is used: Python keeps what it has compiled of our text, too
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr)
    return seconds, done.stdout.strip()


def measure(instance: Instance, repeats: int) -> dict[str, object]:
    """The medians of processes that take turns."""
    a = generate(instance)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.save(folder / "E.npy", a.revenue)
        np.savez(folder / "limits.npz", quota=a.quota.astype(np.int64), tolerance=a.tolerance, risk=a.risk)
        codes = {"ours": OURS, "ortools": ORTOOLS, "nothing": NOTHING, "numpy": NUMPY}
        seconds: dict[str, list[float]] = {name: [] for name in codes}
        said = {name: process(code, folder)[1] for name, code in codes.items()}  # brings files into memory
        mine, other = float(said["ours"].split()[0]), float(said["ortools"].split()[0])
        if not np.isclose(mine, other, rtol=1e-9, atol=0):
            raise SystemExit(f"the plans differ: {said}")
        imports = []
        for _ in range(repeats):
            for name, code in codes.items():
                seconds[name].append(process(code, folder)[0])
            imports.append(float(process(IMPORT, folder)[1]))
    middle = {name: median(found) for name, found in seconds.items()}
    return {
        **{name: f"{value:.4f}" for name, value in middle.items()},
        "ratio": f"{middle['ours'] / middle['ortools']:.3f}",
        "import_ptofa_beyond_numpy": f"{median(imports):.4f}",
        **{f"{name}_all": " ".join(f"{s:.3f}" for s in seconds[name]) for name in ("ours", "ortools")},
    }


def main() -> None:
    """The command line."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--size", default="20000x8", type=parse_size)
    asked.add_argument("--repeat", default=11, type=int)
    given = asked.parse_args()
    instance = Instance(*given.size, 1)
    row = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": machine.device_name("cpu"), "cores": machine.cores(), "load": f"{machine.load():.2f}",
        "commit": machine.commit(), "ptofa": ptofa_gpu.__version__, "python": platform.python_version(),
        "customers": instance.customers, "funds": instance.funds, "seed": instance.seed, "repeats": given.repeat,
        **measure(instance, given.repeat),
    }  # fmt: skip
    append_row(results_path(RESULTS, f"cold-start-{row['device']}-{row['cores']}-cores", COLUMNS), COLUMNS, row)
    for name in ("ours", "ortools", "ratio", "nothing", "numpy", "import_ptofa_beyond_numpy"):
        print(f"{name:28} {row[name]}")


if __name__ == "__main__":
    main()
