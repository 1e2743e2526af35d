"""Allocators side by side on the same instances, in one run; results are appended to results/allocation.csv.

    python benchmarks/allocation.py --customers 20000 200000 1000000 --funds 8 --repeat 5

Each line: the median seconds of a method, its ratio to reading E once (a parallel pass for the largest |E|), the
objective as a share of the certified bound, slots left empty, the process's peak memory so far, and the machine.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import os
import platform
import resource
import statistics
import time
from pathlib import Path

import numpy as np

import ptofa_gpu as ptofa
from ptofa_gpu.evaluation.comparison import warm_up
from ptofa_gpu.ops.sums import abs_max

RESULTS = Path(__file__).parent / "results" / "allocation.csv"


FIELDS = [
    *("date", "device", "cores", "version", "numpy", "numba", "ortools", "customers", "funds", "k", "method", "repeat"),
    *("seconds", "reads_of_E", "objective", "share_of_bound", "unfilled", "peak_MiB"),
]


def campaign(customers: int, funds: int, k: int, seed: int) -> ptofa.AllocationProblem:
    """Long-tailed revenue of wealth and taste, risk limits, and quotas that a noisy random plan delivers."""
    rng = np.random.default_rng(seed)
    wealth, taste, appeal = rng.normal(size=customers), rng.normal(size=(customers, 4)), rng.normal(size=(funds, 4))
    logit = rng.normal(-4.5, 0.8, funds) + 0.35 * taste @ appeal.T + 0.3 * wealth[:, None]
    mu = 7 + wealth[:, None] + 0.25 * taste[:, ::-1] @ appeal.T + rng.normal(0, 0.3, funds)
    revenue = (np.exp(mu + 0.32) / (1 + np.exp(-logit))).astype(np.float32)
    tolerance = rng.choice(np.arange(1, 6), customers, p=[0.1, 0.2, 0.35, 0.25, 0.1]).astype(np.int8)
    risk = np.sort(rng.choice(np.arange(1, 6), funds, p=[0.3, 0.25, 0.25, 0.1, 0.1])).astype(np.int8)
    risk[: max(k, 2)] = 1
    noise = rng.gumbel(size=(customers, funds)).astype(np.float32) + rng.normal(0, 0.7, funds).astype(np.float32)
    noise[tolerance[:, None] < risk] = -np.inf
    picks = np.argpartition(-noise, k - 1, axis=1)[:, :k]
    return ptofa.AllocationProblem(revenue, np.bincount(picks.ravel(), minlength=funds), k, tolerance, risk)


def seconds(work, repeat: int) -> float:
    """Median wall time."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--customers", type=int, nargs="+", default=[20_000, 200_000, 1_000_000])
    parser.add_argument("--funds", type=int, nargs="+", default=[8])
    parser.add_argument("--k", type=int, nargs="+", default=[1])
    parser.add_argument("--methods", nargs="+", default=["optimal", "heuristic", "manual", "topk", "reference"])
    parser.add_argument("--reference-up-to", type=int, default=1_000_000, help="customers above which it is left out")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    fresh = not RESULTS.exists()
    with RESULTS.open("a", newline="") as f:
        out = csv.DictWriter(f, FIELDS)
        if fresh:
            out.writeheader()
        for customers in args.customers:
            for funds in args.funds:
                for k in args.k:
                    problem = campaign(customers, funds, k, args.seed)
                    read = seconds(lambda p=problem: abs_max(p.revenue), 20)
                    plans, took = {}, {}
                    for method in args.methods:
                        if method == "reference" and customers > args.reference_up_to:
                            continue
                        warm_up(problem, method, "cpu")
                        repeat = 1 if method == "reference" and customers > 200_000 else args.repeat

                        def work(p=problem, m=method, plans=plans) -> None:
                            plans[m] = ptofa.allocate(p, m, device="cpu")

                        took[method] = seconds(work, repeat), repeat
                    bound = min((p.bound for p in plans.values() if np.isfinite(p.bound)), default=np.nan)
                    for method, plan in plans.items():
                        row = {
                            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                            "device": _processor(),
                            "cores": len(os.sched_getaffinity(0)),
                            "version": ptofa.__version__,
                            **{d: importlib.metadata.version(d) for d in ("numpy", "numba", "ortools")},
                            "customers": customers,
                            "funds": funds,
                            "k": k,
                            "method": method,
                            "repeat": took[method][1],
                            "seconds": f"{took[method][0]:.4g}",
                            "reads_of_E": f"{took[method][0] / read:.3g}",
                            "objective": repr(plan.objective),
                            "share_of_bound": f"{plan.objective / bound:.10f}",
                            "unfilled": plan.unfilled,
                            "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                        }
                        out.writerow(row)
                        f.flush()
                        print({n: row[n] for n in FIELDS[7:]})


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
