"""`ptofa doctor`."""

from __future__ import annotations

import typer

from ptofa_gpu.cli._shared import Json


def doctor(as_json: Json = False) -> None:
    """Show versions, GPU and memory, which parts work on this machine, and what to install for the rest.

    Examples:

    ptofa doctor

    ptofa doctor --json > doctor.json
    """
    from ptofa_gpu.doctor import examine, show

    report = examine()
    if as_json:
        typer.echo(report.to_json())
    else:
        show(report)
    if not report.ok:
        raise typer.Exit(1)
