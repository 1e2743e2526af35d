"""`ptofa report` on the command line."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from ptofa_gpu.errors import InputError


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
) -> None:
    """Run the notebooks and write a report that opens without a network; its path is the last line printed.

    Example: ptofa report --only quickstart -p customers=50000 -p k=2 -o reports/k2
    """
    from ptofa_gpu.reporting.runner import run_report

    given: dict[str, str] = {}
    for text in parameter or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"-p {text!r}: write it as name=value")
        given[name.strip()] = value
    # a job's SIGTERM ends the run as Ctrl-C does: the kernel is stopped and no half report stays behind
    before = signal.signal(signal.SIGTERM, _interrupt)
    bar = _Lines()
    try:
        index = run_report(only or (), profile=profile, parameters=given, output=output, progress=bar)
    except KeyboardInterrupt:
        bar.close()
        typer.echo("ptofa: interrupted; no report was written", err=True)
        raise SystemExit(130) from None
    finally:
        bar.close()
        signal.signal(signal.SIGTERM, before)
    typer.echo(f"the report is whole: open {index.name} in a browser", err=True)
    typer.echo(str(index))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Lines:
    """Progress on stderr: one line that is rewritten on a terminal, one line a section elsewhere."""

    def __init__(self) -> None:
        self._terminal, self._start = sys.stderr.isatty(), time.monotonic()
        self._last, self._open = ("", ""), False

    def __call__(self, notebook: str, cell: int, cells: int, heading: str) -> None:
        text = f"{notebook}  [{cell + 1}/{cells}]  {heading}  ({time.monotonic() - self._start:.0f} s)"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text[:110]}")
            self._open = True
        elif (notebook, heading) != self._last:
            sys.stderr.write(text + "\n")
        self._last = (notebook, heading)
        sys.stderr.flush()

    def close(self) -> None:
        """End the line that is being rewritten."""
        if self._open:
            sys.stderr.write("\n")
            self._open = False
