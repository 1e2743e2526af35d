"""What is kept of each cell of the allocation benchmark: the columns, where they come from, and a table to read."""

from __future__ import annotations

import datetime
import math
import platform
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ptofa_gpu
from ptofa_gpu._text import shown
from ptofa_gpu.bench import machine
from ptofa_gpu.bench.instances import Instance
from ptofa_gpu.bench.peers import integer_solver
from ptofa_gpu.bench.process import Observed
from ptofa_gpu.bench.results import read_rows
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops._library import library

#: One row a cell. Times are of one solve, from E and the quotas in memory to the plan.
COLUMNS = (
    "date",  # UTC, when the cell ended
    "device", "cores", "threads", "load",  # load: the machine's load average when the run began
    "commit", "ptofa", "python", "numpy", "engine", "ortools", "cvxpy", "highs", "pot", "scip", "cbc", "cupy",
    # engine: the level of its library; earlier files have Numba's version, "numba", in its place
    "customers", "funds", "k", "ties", "seed", "method",
    "status",  # optimal, feasible, infeasible; time_limit: stopped by itself; killed: at the limit; memory; failed
    "repeats", "seconds", "seconds_min", "seconds_all",  # the median, the least, each; where killed: what had passed
    "time_limit",
    "read_seconds", "reads_of_E",  # one pass over E in the same process (machine.read_seconds); seconds / read_seconds
    "objective", "optimum", "share",  # optimum: the smallest certified upper bound; share: objective / optimum
    "unfilled", "over_quota", "under_quota",  # empty slots; exposures above and below the quotas
    "before_MiB", "peak_MiB", "gpu_MiB",  # resident before the solve, with E; at most in it; CuPy's pool after it
    "memory_GBps", "roofline",  # speed of the memory; least time for reading E and writing the plan once / seconds
    "note",
)  # fmt: skip
_ALWAYS = ("customers", "funds", "k", "seed")
_NUMBERS: dict[str, Callable[[str], float]] = {
    **dict.fromkeys((*_ALWAYS, "unfilled", "over_quota", "under_quota", "peak_MiB"), int),
    **dict.fromkeys(("seconds", "seconds_min", "share", "reads_of_E", "read_seconds"), float),
}
#: Endings and statuses of cells that the time limit ended.
LIMITED = ("time_limit", "killed")


def provenance(methods: Iterable[str]) -> dict[str, Any]:
    """The columns that are the same for all rows of a run."""
    known = {
        "cores": machine.cores(),
        "load": f"{machine.load():.2f}",
        "commit": machine.commit(),
        "ptofa": ptofa_gpu.__version__,
        "python": platform.python_version(),
        "highs": machine.version("highspy"),
        "cupy": machine.version("cupy-cuda13x"),
        **{name: machine.version(name) for name in ("numpy", "ortools", "cvxpy", "pot")},
        "engine": library().level,
    }
    for name in {"scip", "cbc"} & set(methods):
        known[name] = _first_number(integer_solver(name.upper()).SolverVersion())
    return known


def _first_number(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else text


def cell_row(
    instance: Instance, method: str, device: str, seen: Observed, optimum: float, time_limit: float
) -> dict[str, Any]:
    """The columns of one cell; `optimum` is NaN where nothing certified a bound."""
    times = [r["seconds"] for r in seen.runs] if seen.ending == "done" else []
    seconds = statistics.median(times) if times else seen.waited or math.nan
    worth = seen.worth
    read, speed = seen.ready.get("read", math.nan), seen.ready.get("bandwidth", math.nan)
    least = instance.revenue_bytes + instance.customers * (1 + 2 * instance.k)  # E, tolerance; the plan as int16
    objective = worth.get("objective")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": machine.device_name(device),
        "threads": seen.ready.get("threads"),
        "customers": instance.customers,
        "funds": instance.funds,
        "k": instance.k,
        "ties": instance.ties,
        "seed": instance.seed,
        "method": method,
        "status": _status(seen, optimum),
        "repeats": len(times),
        "seconds": _digits(seconds),
        "seconds_min": _digits(min(times, default=math.nan)),
        "seconds_all": " ".join(f"{t:.5g}" for t in times),
        "time_limit": f"{time_limit:g}",
        "read_seconds": _digits(read),
        "reads_of_E": _digits(seconds / read, 4),
        "objective": None if objective is None else repr(objective),
        "optimum": None if math.isnan(optimum) else repr(optimum),
        "share": None if objective is None or math.isnan(optimum) else _share(objective, optimum),
        **{c: worth.get(c) for c in ("unfilled", "over_quota", "under_quota")},
        "before_MiB": _mebibytes(seen.ready.get("before")),
        "peak_MiB": _mebibytes(max((r["peak"] for r in seen.runs), default=None)),
        "gpu_MiB": _mebibytes(worth.get("gpu_peak")),
        "memory_GBps": _digits(speed / 1e9, 4),
        "roofline": _digits(least / speed / seconds, 4) if times else None,
        "note": " ".join(seen.note.split()),
    }


def _status(seen: Observed, optimum: float) -> str:
    """How the cell ended; a plan that reaches the certified bound is optimal whoever made it."""
    if seen.ending != "done":
        return seen.ending
    status, objective = str(seen.worth["status"]), seen.worth["objective"]
    return "optimal" if status == "feasible" and objective >= optimum - 1e-9 * abs(optimum) else status


def _share(objective: float, optimum: float) -> str:
    return f"{objective / optimum:.12f}" if optimum else "1" if objective == 0 else ""


def _digits(value: float, digits: int = 5) -> str | None:
    return None if math.isnan(value) else f"{value:.{digits}g}"


def _mebibytes(value: int | None) -> int | None:
    return None if not value else round(value / 2**20)


def read_results(path: Path) -> list[dict[str, str]]:
    """The rows of a results file, also of one from before the engine, if what is read as numbers is numbers.

    Raises
    ------
    InputError
        As `results.read_rows`, and for a row that holds something else; the message names it.
    """
    rows = read_rows(path, [c for c in COLUMNS if c != "engine"])
    for number, row in enumerate(rows, 1):
        for column, kind in _NUMBERS.items():
            try:
                if row[column] != "" or column in _ALWAYS:
                    kind(row[column])
            except (ValueError, OverflowError):
                raise InputError(
                    f"{path}: {column} of the {number}. row is {shown(row[column])}; it must be a number. Mend the "
                    "row or take it out."
                ) from None
    return rows


# -- for reading ---------------------------------------------------------------------------------------------------
def table(rows: Sequence[Mapping[str, Any]], skipped: Sequence[tuple[str, str, str]] = ()) -> str:
    """Rows of the results as text, one block an instance.

    Parameters
    ----------
    rows : sequence of mapping
        With the keys of :data:`COLUMNS`.
    skipped : sequence of (instance, method, reason)
        What was left out.
    """
    lines: list[str] = []
    head = ("method", "share of optimum", "unfilled", "off quota", "seconds", "least", "reads of E", "peak MiB", "")
    by_instance: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        customers, funds, k, seed = (int(row[c]) for c in ("customers", "funds", "k", "seed"))
        by_instance.setdefault(str(Instance(customers, funds, k, row["ties"], seed)), []).append(row)
    for instance, mine in by_instance.items():
        body = [_cells(row) for row in mine]
        wide = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
        reads = [float(row["read_seconds"]) for row in mine if row["read_seconds"]]
        lines += ["", instance + (f"   (E is read once in {min(reads):.3g} s)" if reads else "")]
        for line in [head, *body]:
            cells = [line[0].ljust(wide[0]), *(c.rjust(w) for c, w in zip(line[1:-1], wide[1:-1])), line[-1]]
            lines.append(("  " + "  ".join(cells)).rstrip())
    if skipped:
        lines += ["", "left out:"]
        lines += [f"  {instance}  {method}: {reason}" for instance, method, reason in skipped]
    return "\n".join(lines).lstrip("\n")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    def count(name: str) -> str:
        return "" if row[name] in (None, "") else f"{int(row[name]):,}"

    off = "" if row["over_quota"] in (None, "") else f"{int(row['over_quota']) + int(row['under_quota']):,}"
    status = str(row["status"])
    word = {
        "optimal": "", "feasible": "", "infeasible": "breaks quotas", "time_limit": "stopped at the time limit",
        "killed": f"killed at the time limit of {row['time_limit']} s",
    }.get(status, f"{status}: {row['note']}")  # fmt: skip
    return (
        str(row["method"]),
        f"{100 * float(row['share']):.6f} %" if row["share"] else "",
        count("unfilled"),
        off,
        (">" if status == "killed" else "") + f"{float(row['seconds']):.4g}" if row["seconds"] else "",
        f"{float(row['seconds_min']):.4g}" if row["seconds_min"] else "",
        f"{float(row['reads_of_E']):,.3g}" if row["reads_of_E"] and status != "killed" else "",
        count("peak_MiB"),
        word,
    )
