"""`ptofa report` on the command line."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptofa_gpu._text import visible
from ptofa_gpu.cli._shared import Config, Json, say
from ptofa_gpu.errors import InputError, ReportError

if TYPE_CHECKING:
    from ptofa_gpu.reporting.runner import Step


def report(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="A notebook by name, or a path of your own; may be repeated. Default: all."),
    ] = None,
    profile: Annotated[str, typer.Option(help="quick: minutes on two cores. paper: the paper's scale.")] = "quick",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Set a notebook's parameter; may be repeated."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the report.")] = Path("reports/latest"),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run all notebooks, also those that an earlier run finished as they stand.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run the notebooks and write a report that opens without a network; its path is the last line printed.

    A notebook that fails does not stop the others: the report marks it, and the exit code is 1. Run it again, after a
    failure or an interruption, and only what is missing or was made from something else is run.

    Parameters with token, password, secret, key or credential in their names are masked in all that the report leaves.
    Files of your own in the report's folder stay there.

    Examples:

    ptofa report --only quickstart -p customers=50000 -p k=2 -o reports/k2

    ptofa report --only 03_allocation --only 04_ab_test --profile paper
    """
    from ptofa_gpu.reporting.runner import run_report

    given: dict[str, str] = {}
    for text in parameter or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"-p {text!r}: write it as name=value")
        given[name.strip()] = value
    bar = _Lines()
    try:
        index = run_report(only or (), profile=profile, parameters=given, output=output, progress=bar, fresh=fresh)
    except KeyboardInterrupt:
        bar.close()
        say("ptofa: interrupted; no report was written. What was finished is kept for the next run.", err=True)
        raise SystemExit(130) from None
    except ReportError as e:
        bar.close()
        if e.index is not None:
            _say(Path(e.index), as_json)
        raise
    finally:
        bar.close()
    say(f"the report is whole: open {index.name} in a browser", err=True)
    _say(index, as_json)


def _say(index: Path, as_json: bool) -> None:
    if as_json:
        from ptofa_gpu.reporting.run_file import RUN_FILE

        run = json.loads((index.parent / RUN_FILE).read_text(encoding="utf-8"))
        typer.echo(json.dumps({"index": str(index), **run}, indent=2))
    else:
        say(str(index))


class _Lines:
    """Progress on stderr: one line that is rewritten on a terminal, one line a section elsewhere."""

    def __init__(self) -> None:
        self._terminal, self._start = sys.stderr.isatty(), time.monotonic()
        self._last, self._open = ("", ""), False

    def __call__(self, step: Step) -> None:
        cell = f"  [{step.cell + 1}/{step.cells}]" if step.cells else ""
        text = visible(f"{step.number}/{step.notebooks}  {step.notebook}{cell}  {step.heading}", line=True)
        text += f"  ({time.monotonic() - self._start:.0f} s)"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text[:110]}")
            self._open = True
        elif (step.notebook, step.heading) != self._last:
            sys.stderr.write(text + "\n")
        self._last = (step.notebook, step.heading)
        sys.stderr.flush()

    def close(self) -> None:
        """End the line that is being rewritten."""
        if self._open:
            sys.stderr.write("\n")
            self._open = False
