"""`ptofa bench` on the command line: measurements that anybody can repeat, kept as append-only CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from ptofa_gpu._files import atomic_path, check_output
from ptofa_gpu.cli._shared import Config, DeviceChoice, Json, Seed, say
from ptofa_gpu.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from ptofa_gpu.bench.allocation import Cell, Settings

bench = typer.Typer(
    help="Measure speed and quality side by side, on this machine.\n\nExamples:\n\n"
    "ptofa bench allocation --sizes 20000x8\n\nptofa bench prediction --datasets lct-a",
    no_args_is_help=True,
)

#: Where results are kept unless --output says otherwise.
RESULTS = Path("benchmarks/results")


class Profile(StrEnum):
    """How much to measure."""

    quick = "quick"
    standard = "standard"
    full = "full"


class ManyValues(TyperCommand):
    """A command whose repeatable options take several values at once: ``--k 1 3`` is ``--k 1 --k 3``."""

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        """Repeat the option before each further value."""
        many = {o for p in self.params if getattr(p, "multiple", False) for o in p.opts}
        spelled: list[str] = []
        option, filled = "", False
        for word in arguments:
            if word.startswith("-"):
                option, filled = (word, False) if word in many else ("", False)
            elif option and filled:
                spelled.append(option)
            elif option:
                filled = True
            spelled.append(word)
        return super().parse_args(context, spelled)


@bench.command("allocation", cls=ManyValues)
def allocation(
    profile: Annotated[
        Profile,
        typer.Option(
            help="quick: 20,000 x 8. standard: up to 1,000,000 x 8. full: up to 10,000,000 x 8, more funds, k 1 and 3."
        ),
    ] = Profile.quick,
    sizes: Annotated[
        list[str] | None, typer.Option(metavar="CUSTOMERSxFUNDS ...", help="Such as 20000x8 200kx64 10Mx8.")
    ] = None,
    k: Annotated[list[int] | None, typer.Option("-k", "--k", metavar="K ...", help="Slots per customer.")] = None,
    ties: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND ...", help="none, 1digit, 2digit, rows100, constant, zero: how revenue is tied."),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD ...",
            help="optimal, heuristic, manual, topk, ortools-flow, pot-emd, highs-lp, highs-mip, scip, cbc.",
        ),
    ] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds for one solve; who takes longer is killed.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Timed solves of a cell.")] = None,
    max_memory: Annotated[
        str | None, typer.Option(help="What a cell may hold, such as 12GiB. Default: 80 % of what is free.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of each method that has several.")] = None,
    device: Annotated[DeviceChoice, typer.Option(help="Where our own methods work.")] = DeviceChoice.cpu,
    seed: Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The CSV to add to. Default: this machine's in benchmarks/results."),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw it, too: .png or .svg.")] = None,
    results: Annotated[
        Path | None, typer.Option("--from", metavar="CSV", help="Measure nothing: show and draw earlier results.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Allocators side by side on the same instances: share of the optimum, seconds, memory.

    Each method runs in a process of its own. What would need too much memory is left out and named; what met the time
    limit at one size is left out of the greater ones.

    Examples:

    ptofa bench allocation --sizes 20000x8 200000x8 --methods optimal ortools-flow --figure scale.png

    ptofa bench allocation --sizes 200000x8 --ties none 1digit rows100 zero --methods optimal heuristic

    ptofa bench allocation --from benchmarks/results/allocation-mine.csv --figure scale.svg
    """
    from ptofa_gpu.bench.allocation import PROFILES
    from ptofa_gpu.bench.instances import parse_size

    _check_figure(figure)
    for path in (output, figure):
        if path is not None:
            check_output(path, [path for path in (results, config) if path is not None])
    given: dict[str, Any] = {
        "sizes": [parse_size(s) for s in _split(sizes)],
        "ks": k,
        "ties": _split(ties),
        "methods": _split(methods),
        "time_limit": time_limit,
        "repeats": repeats,
        "max_memory": None if max_memory is None else _bytes(max_memory),
        "threads": threads,
    }
    given = {name: value for name, value in given.items() if value is not None and value != []}
    cells: list[Cell] = []
    if results is not None:
        output = results
        rows = _earlier(results, given)
    else:
        settings = replace(PROFILES[profile.value], seed=seed, device=device.value, **given)
        if not methods:
            settings = replace(settings, methods=_installed(settings.methods))
        output, cells = _measure(settings, output)
        rows = [c.row for c in cells if c.row]
    skipped = [(str(c.instance), c.method, c.skipped) for c in cells if c.skipped]
    drawn = [] if figure is None or not rows else _draw(output, rows, figure)
    if as_json:
        facts = {
            "results": str(output),
            "figures": [str(p) for p in drawn],
            "rows": [{name: _plain(value) for name, value in row.items()} for row in rows],
            "skipped": [dict(zip(("instance", "method", "reason"), s)) for s in skipped],
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    from ptofa_gpu.bench.record import table

    say(table(rows, skipped))
    say("".join(f"\nfigure: {p}" for p in drawn) + f"\nresults: {output}")


def _measure(settings: Settings, output: Path | None) -> tuple[Path, list[Cell]]:
    from ptofa_gpu.bench import machine
    from ptofa_gpu.bench.allocation import run
    from ptofa_gpu.bench.record import COLUMNS
    from ptofa_gpu.bench.results import results_path
    from ptofa_gpu.device import resolve_device

    where = resolve_device(settings.device)
    gpu = f" {machine.device_name('cuda')}" if where == "cuda" else ""
    name = f"allocation {machine.device_name('cpu')} {machine.cores()} cores{gpu}"
    path = output or results_path(RESULTS, name, COLUMNS)
    if machine.load() > 0.5 * machine.cores():
        say(
            f"ptofa: note: other work wants this machine (load {machine.load():.1f}, {machine.cores()} cores): the "
            "times will be longer than they are on a quiet one",
            err=True,
        )
    try:
        return path, run(settings, path, _say)
    except KeyboardInterrupt:
        say(f"ptofa: interrupted; what was measured is in {path}", err=True)
        raise SystemExit(130) from None


def _say(done: int, total: int, text: str) -> None:
    say(f"[{done}/{total}] {text}", err=True)


def _installed(methods: Sequence[str]) -> list[str]:
    """Those of a profile's methods whose packages are there; of the others it is said that they are left out."""
    from ptofa_gpu.bench.peers import require_package

    there = []
    for method in methods:
        try:
            require_package(method)
            there.append(method)
        except MissingPackageError as e:
            say(f"ptofa: note: left out: {e}", err=True)
    return there


def _earlier(path: Path, wanted: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of a results file that what was asked for speaks of; all, where nothing was."""
    from ptofa_gpu.bench.peers import check_methods
    from ptofa_gpu.bench.record import read_results

    if "methods" in wanted:
        check_methods(wanted["methods"])
    facts: dict[str, Callable[[dict[str, str]], Any]] = {
        "sizes": lambda row: (int(row["customers"]), int(row["funds"])),
        "ks": lambda row: int(row["k"]),
        "ties": lambda row: row["ties"],
        "methods": lambda row: row["method"],
    }
    asked = [(fact, wanted[name]) for name, fact in facts.items() if name in wanted]
    rows = [row for row in read_results(path) if all(fact(row) in values for fact, values in asked)]
    if not rows:
        raise InputError(f"{path} holds no such results")
    return rows


def _draw(results: Path, rows: Sequence[dict[str, Any]], path: Path) -> list[Path]:
    """One figure a kind of instance among `rows`, of all that `results` holds of it; the paths."""
    from ptofa_gpu.bench.record import read_results
    from ptofa_gpu.reporting.figures import benchmark_chart

    def kind(row: dict[str, Any]) -> tuple[int, int, str]:
        return int(row["funds"]), int(row["k"]), str(row["ties"])

    stored, shown = read_results(results), {row["method"] for row in rows}
    kinds = sorted({kind(row) for row in rows if row["seconds"]})
    paths = []
    for funds, k, ties in kinds:
        end = f"-{funds}-funds-k{k}" + ("" if ties == "none" else f"-{ties}") if len(kinds) > 1 else ""
        target = path.with_name(f"{path.stem}{end}{path.suffix}")
        chart = benchmark_chart([r for r in stored if kind(r) == (funds, k, ties) and r["method"] in shown])
        with atomic_path(target) as partial:
            partial.write_bytes(chart.render(path.suffix[1:].lower()))
        paths.append(target)
    return paths


def _check_figure(path: Path | None) -> None:
    if path is not None and path.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"{path}: --figure may end in .png or .svg")


def _split(words: Sequence[str] | None) -> list[str]:
    """Values that commas or blanks join, one by one."""
    return [part for word in words or () for part in re.split(r"[,\s]+", word) if part]


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if not found or float(found[1]) <= 0:
        raise InputError(f"--max-memory {text!r}: write it as 12GiB, 800MiB or 4GB")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** " kmgt".index(found[2] or " "))


def _plain(value: Any) -> Any:
    """A number as a number: the results hold them as text, in the digits that were measured."""
    if value in (None, ""):
        return None
    if isinstance(value, str):
        for number in (int, float):
            try:
                return number(value)
            except ValueError:
                continue
    return value
