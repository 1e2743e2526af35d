"""The `ptofa` command. Each subcommand imports what it needs when it runs, so that `--help` answers at once.

Exit codes: 0 done, 1 something failed (a missing package, a device, a notebook, a full disk), 2 bad input or usage,
3 no plan can meet the constraints.
"""

from __future__ import annotations

import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptofa_gpu import __version__
from ptofa_gpu.errors import InfeasibleError, InputError, PtofaError, PtofaWarning
from ptofa_gpu.reporting.command import report

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan

app = typer.Typer(
    name="ptofa",
    help="Predict what each customer would invest in each fund, decide who sees which fund, and report on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Method(StrEnum):
    """Allocators by name."""

    heuristic = "heuristic"
    manual = "manual"
    topk = "topk"
    reference = "reference"
    optimal = "optimal"


class DeviceChoice(StrEnum):
    """Where to work."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


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


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ptofa-gpu {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Predict what each customer would invest in each fund, decide who sees which fund, and report on it."""


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for bug reports.")] = False,
) -> None:
    """Show versions, GPU and memory, which parts work on this machine, and what to install for the rest."""
    from ptofa_gpu.doctor import examine, show

    report = examine()
    if as_json:
        typer.echo(report.to_json())
    else:
        show(report)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def allocate(
    revenue: Annotated[
        Path,
        typer.Argument(
            help="Expected revenue: .parquet or .csv (customer and one column a fund; or customer, fund, revenue), or "
            ".npy whose rows and columns follow the other two files."
        ),
    ],
    customers: Annotated[Path, typer.Argument(help=".parquet or .csv with customer and, for risk limits, tolerance.")],
    funds: Annotated[Path, typer.Argument(help=".parquet or .csv with fund, quota and, for risk limits, risk.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the plan goes.")] = Path("plan.parquet"),
    k: Annotated[int, typer.Option("-k", help="Slots per customer.")] = 1,
    method: Annotated[Method, typer.Option(help="The allocator.")] = Method.optimal,
    device: Annotated[DeviceChoice, typer.Option(help="Where to work.")] = DeviceChoice.auto,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Make a plan from files: who sees which fund. It is verified before it is written."""
    from ptofa_gpu.allocation.api import allocate as solve
    from ptofa_gpu.allocation.problem import AllocationProblem

    given = {
        "on_infeasible": on_infeasible and on_infeasible.value,
        "tail": tail and tail.value,
        "repair": repair,
        "solver": solver,
        "time_limit": time_limit,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    problem = AllocationProblem.from_frames(
        _read(revenue, array=True), _read(customers), _read(funds), k, missing=missing.value
    )
    progress = True if sys.stderr.isatty() else None
    plan = solve(problem, method=method.value, device=device.value, progress=progress, **options).verify()
    plan.to_parquet(output)
    typer.echo(_as_json(plan, output) if as_json else f"{plan.summary()}\nplan: {output}")


app.command()(report)


def _read(path: Path, *, array: bool = False) -> Any:
    """A table, or where `array` allows it a matrix, from a file; the name's ending says which."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv, parquet

    readers: dict[str, Any] = {".parquet": parquet.read_table, ".csv": csv.read_csv}
    if array:
        readers[".npy"] = lambda p: np.load(p, allow_pickle=False)
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: files may end in {', '.join(readers)} here")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        return reader(path)
    except (pa.ArrowException, ValueError, EOFError) as e:
        raise InputError(f"{path} cannot be read as {path.suffix.lower()}: {e}") from e


def _as_json(plan: AllocationPlan, output: Path) -> str:
    import json
    import math

    facts = {
        "plan": str(output),
        "method": plan.method,
        "status": plan.status,
        "device": plan.device,
        "seconds": plan.seconds,
        "objective": plan.objective,
        "bound": None if math.isnan(plan.bound) else plan.bound,
        "gap": None if math.isnan(plan.gap) else plan.gap,
        "unfilled": plan.unfilled,
        "funds": plan.problem.names,
        "quota": plan.problem.quota.tolist(),
        "exposures": plan.exposures.tolist(),
        "price": None if plan.price is None else plan.price.tolist(),
    }
    return json.dumps(facts, indent=2)


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Our own warnings as one line; others as Python shows them."""
    if issubclass(category, PtofaWarning):
        typer.echo(f"ptofa: note: {message}", err=True)
    else:
        _python_shows(message, category, *where, **more)


_python_shows = warnings.showwarning


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; every error of ours is one message on stderr."""
    warnings.showwarning = _show_warning
    try:
        app(args=arguments)
    except InfeasibleError as e:
        _stop(e, 3)
    except InputError as e:
        _stop(e, 2)
    except (PtofaError, OSError) as e:
        _stop(e, 1)


def _stop(error: Exception, code: int) -> None:
    typer.echo(f"ptofa: {error}", err=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
