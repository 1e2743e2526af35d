"""`ptofa allocate`: from files to a verified plan."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptofa_gpu._files import atomic_path, check_output, require_space
from ptofa_gpu._stdout import c_stdout_to
from ptofa_gpu.cli._phases import Phases
from ptofa_gpu.cli._shared import (
    TABLE,
    Config,
    Decimal,
    Device,
    DeviceChoice,
    IdChoice,
    IdType,
    Json,
    Separator,
    say,
    table_reader,
)
from ptofa_gpu.errors import AllocationError, InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan


#: What a row of a plan takes at least: its revenue hardly packs.
BYTES_A_ROW = 4


class Method(StrEnum):
    """Allocators by name."""

    heuristic = "heuristic"
    manual = "manual"
    topk = "topk"
    reference = "reference"
    optimal = "optimal"


class OnInfeasible(StrEnum):
    """What to do when the constraints cannot all be met."""

    stop = "raise"
    relax = "relax"


class Missing(StrEnum):
    """What a pair that a long revenue table lacks means."""

    error = "error"
    exclude = "exclude"


class Tail(StrEnum):
    """What stands in for the fund after the last eligible one in the heuristic's score."""

    zero = "zero"
    drop = "drop"
    inf = "inf"


def allocate(
    revenue: Annotated[
        Path,
        typer.Argument(
            help="Expected revenue: a table (customer and one column a fund; or customer, fund, revenue), or .npy "
            f"whose rows and columns follow the other two files. A table is {TABLE}."
        ),
    ],
    customers: Annotated[
        Path, typer.Argument(help="A table with customer and, for risk limits, tolerance; k for own slots.")
    ],
    funds: Annotated[
        Path,
        typer.Argument(help="A table with fund, quota (or quota_low and quota_high) and, for risk limits, risk."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The plan: .parquet or .csv (ids as written, no guard against formulas)."),
    ] = Path("plan.parquet"),
    k: Annotated[int | None, typer.Option("-k", help="Slots per customer; 1 where customers has no k.")] = None,
    excluded: Annotated[
        Path | None, typer.Option(help="A table with customer and fund: pairs that may not be shown.")
    ] = None,
    separator: Separator = None,
    decimal: Decimal = ".",
    id_type: IdType = IdChoice.text,
    method: Annotated[Method, typer.Option(help="The allocator.")] = Method.optimal,
    device: Device = DeviceChoice.auto,
    on_infeasible: Annotated[
        OnInfeasible | None, typer.Option(help="Stop, or serve as many exposures as can be.")
    ] = None,
    missing: Annotated[
        Missing, typer.Option(help="Pairs that a long table lacks: refuse, or never show.")
    ] = Missing.error,
    tail: Annotated[Tail | None, typer.Option(help="heuristic: what follows the last eligible fund.")] = None,
    repair: Annotated[
        bool | None, typer.Option("--repair/--no-repair", help="heuristic: complete the plan, or keep the paper's own.")
    ] = None,
    solver: Annotated[str | None, typer.Option(help="reference: ortools, or a solver that cvxpy knows.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds after which to stop.")] = None,
    block_rows: Annotated[int | None, typer.Option(help="Customers looked at together; the plan is the same.")] = None,
    max_memory: Annotated[
        str | None, typer.Option(help="Memory it may take beyond the tables, such as 2GiB; a .npy is read in blocks.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a plan from files: who sees which fund. It is verified before it is written.

    topk, and manual or heuristic --no-repair where they get stuck, may miss quotas: a warning says so.

    Examples:

    ptofa allocate revenue.parquet customers.parquet funds.csv -o plan.parquet

    ptofa allocate revenue.npy customers.parquet funds.csv -k 2 --on-infeasible relax --json
    """
    # read when OpenMP is loaded: threads that wait sleep, and leave the cores to what else the machine does
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    write, phases = _writer(output), Phases()
    check_output(output, [path for path in (revenue, customers, funds, excluded, config) if path is not None])
    from ptofa_gpu.allocation.api import allocate as solve
    from ptofa_gpu.allocation.problem import AllocationProblem

    phases.done("load")
    given = {
        "on_infeasible": on_infeasible and on_infeasible.value,
        "tail": tail and tail.value,
        "repair": repair,
        "solver": solver,
        "time_limit": time_limit,
        "block_rows": block_rows,
        "max_memory": max_memory,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    read = table_reader(separator, decimal, id_type)
    tables = read(revenue, array=True), read(customers), read(funds)
    pairs = None if excluded is None else read(excluded)
    phases.done("read")
    problem = AllocationProblem.from_frames(*tables, k, excluded=pairs, missing=missing.value)
    del tables, pairs
    require_space(output, min(problem.slots, int(problem.quota.sum())) * BYTES_A_ROW)
    progress = True if sys.stderr.isatty() else None
    phases.done("check")
    with c_stdout_to(2) if method is Method.reference else nullcontext():
        plan = solve(problem, method=method.value, device=device.value, progress=progress, **options)
    promised = method in (Method.optimal, Method.reference) or (method is Method.heuristic and repair is not False)
    phases.done("solve")
    _check(plan, time_limit, promised=promised)
    phases.done("verify")
    write(plan)
    phases.done("write")
    say(_as_json(plan, output, phases) if as_json else f"{plan.summary()}\n  {phases}\nplan: {output}")


def _writer(path: Path) -> Callable[[AllocationPlan], None]:
    """What writes a plan as the ending of `path` says; refused before any work is done."""
    writers = {".parquet": lambda plan: plan.to_parquet(path), ".csv": lambda plan: _write_csv(plan, path)}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise InputError(f"{path}: --output may end in {' or '.join(writers)} here")
    return writer


def _write_csv(plan: AllocationPlan, path: Path) -> None:
    """Write a plan as CSV: ids and names as they are written, also those that a spreadsheet takes for formulas."""
    from pyarrow import csv

    from ptofa_gpu._ids import csv_ids

    table = plan.to_frame("pyarrow")
    for name in ("customer", "fund"):
        at = table.column_names.index(name)
        table = table.set_column(at, name, csv_ids(table[name].combine_chunks()))
    with atomic_path(path) as partial:
        csv.write_csv(table, partial)


def _check(plan: AllocationPlan, time_limit: float | None, *, promised: bool) -> None:
    """Verify the plan; where its method has not promised quotas and misses some, verify all else and warn."""
    import copy

    if plan.status == "time_limit" and plan.unfilled > plan.problem.slots - plan.problem.feasibility().delivered:
        raise AllocationError(
            f"the time limit of {time_limit:g} s passed without a plan. Give more time, or use --method optimal."
        )
    if promised or plan.status != "infeasible":
        plan.verify()
        return
    # the same plan, measured by quotas that are what it gives
    lenient = copy.copy(plan)
    lenient.problem = copy.copy(plan.problem)
    lenient.problem.quota = plan.exposures
    lenient.verify()
    short, over = int(plan.shortfall.sum()), int(plan.excess.sum())
    say(
        f"ptofa: warning: method {plan.method} does not see to it that quotas are met (exposures missing: {short:,}, "
        f"too many: {over:,}, empty slots: {plan.unfilled:,}). All else was verified and the plan is written. "
        "--method optimal meets the quotas wherever they can be met.",
        err=True,
    )


def _as_json(plan: AllocationPlan, output: Path, phases: Phases) -> str:
    import json
    import math

    from ptofa_gpu._columns import text_of

    names, ids = plan.problem.names, plan.problem.fund_ids
    facts = {
        "plan": str(output),
        "method": plan.method,
        "status": plan.status,
        "device": plan.device,
        "seconds": plan.seconds,
        "phases": phases.seconds(),
        "objective": plan.objective,
        "bound": None if math.isnan(plan.bound) else plan.bound,
        "gap": plan.gap if math.isfinite(plan.gap) else None,
        "unfilled": plan.unfilled,
        # as in the plan's column fund
        "funds": names if ids is None else [v if isinstance(v, int) else text_of(v) for v in ids.tolist()],
        "names": names,
        "quota": plan.problem.quota.tolist(),
        "exposures": plan.exposures.tolist(),
        "price": None if plan.price is None else plan.price.tolist(),
    }
    return json.dumps(facts, indent=2)
