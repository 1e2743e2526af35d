"""The command line as a whole: every command under its name."""

from __future__ import annotations

from typing import Annotated

import typer

from ptofa_gpu import __version__
from ptofa_gpu.cli._shared import flowing
from ptofa_gpu.cli.allocate import allocate
from ptofa_gpu.cli.bench import ManyValues, bench
from ptofa_gpu.cli.bench_prediction import prediction
from ptofa_gpu.cli.doctor import doctor
from ptofa_gpu.cli.predict import predict
from ptofa_gpu.cli.report import report
from ptofa_gpu.cli.train import train

app = typer.Typer(
    name="ptofa",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


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
    """Predict what each customer would invest in each fund, decide who sees which fund, and report on it.

    Examples:

    ptofa train log.parquet customers.parquet funds.csv -o model.ckpt

    ptofa predict model.ckpt customers.parquet funds.csv -o revenue.parquet

    ptofa allocate revenue.parquet customers.parquet funds.csv -o plan.parquet

    ptofa report --only quickstart

    ptofa COMMAND --help has more. Exit codes: 0 done, 1 something failed, 2 bad input or usage, 3 no plan can meet the
    constraints, 130 interrupted.
    """


for command in (doctor, train, predict, allocate, report):
    app.command()(command)
bench.command("prediction", cls=ManyValues)(prediction)
app.add_typer(bench, name="bench")
for known in (*app.registered_commands, *bench.registered_commands, app.registered_callback):
    if known is not None and known.callback is not None:
        known.help = flowing(known.callback.__doc__ or "")
