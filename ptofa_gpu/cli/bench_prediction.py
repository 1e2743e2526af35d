"""`ptofa bench prediction`: the models of the paper's Table 1 side by side."""

from __future__ import annotations

import json
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptofa_gpu._files import check_output
from ptofa_gpu.cli._shared import Config, Json, say
from ptofa_gpu.cli.bench import RESULTS

if TYPE_CHECKING:
    from ptofa_gpu.evaluation.model_table import ModelTable


class Profile(StrEnum):
    """How much to train."""

    quick = "quick"
    paper = "paper"


def prediction(
    datasets: Annotated[
        list[str] | None, typer.Option(metavar="NAME ...", help="lct-a, lct-b, hillstrom, cdnow. Default: all.")
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD ...", help="Such as esmm 'ptofa(debias=none)'. Default: all, with variants."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many. Default: the profile's.")] = None,
    profile: Annotated[
        Profile, typer.Option(help="quick: small worlds, two settings. paper: the paper's size and grid.")
    ] = Profile.quick,
    lr: Annotated[
        list[float] | None, typer.Option(metavar="RATE ...", help="Learning rates to try. Default: the profile's.")
    ] = None,
    dropout: Annotated[
        list[float] | None, typer.Option(metavar="SHARE ...", help="Dropouts to try. Default: the profile's.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Let Optuna choose so many settings within the grid's range.")
    ] = None,
    customers: Annotated[
        int | None, typer.Option(help="Customers of synthetic worlds. Default: the profile's.")
    ] = None,
    state: Annotated[
        Path,
        typer.Option(help="Finished runs are kept here; the same command goes on where it was interrupted."),
    ] = Path("runs/bench-prediction"),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The CSV to add to, one row a run. Default: prediction.csv in benchmarks/results."
        ),
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Write tables and figures as one .html page, too.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Models side by side: each metric as mean ± spread over seeds, ties marked (≈), best marked (*).

    Settings are chosen by validation loss with the first seed. Worlds differ by seed, and so do splits of public data.

    Examples:

    ptofa bench prediction --datasets lct-a --methods esmm ziln ptofa --page models.html

    ptofa bench prediction --profile paper --customers 200000 --seeds 5

    ptofa bench prediction --methods ptofa --lr 0.001 0.002 0.005 --dropout 0.1 0.3
    """
    from ptofa_gpu.bench.prediction import COLUMNS, DATASETS, run_prediction
    from ptofa_gpu.bench.results import results_path

    output = output or results_path(RESULTS, "prediction", COLUMNS)  # results of an earlier form are left alone
    if page is not None and page.suffix.lower() != ".html":
        raise typer.BadParameter(f"{page}: the page's name must end in .html", param_hint="--page")
    for path in (output, page):
        if path is not None:
            check_output(path, [] if config is None else [config])
    tables = run_prediction(
        tuple(datasets or DATASETS),
        methods or None,
        seeds,
        profile=profile.value,
        grid={name: values for name, values in (("lr", lr), ("dropout", dropout)) if values},
        trials=trials,
        customers=customers,
        directory=state,
        results=output,
        progress=not as_json,
    )
    if page is not None:
        from ptofa_gpu.reporting.model_page import write_model_page

        write_model_page(tables, page)
    if as_json:
        facts = {
            "results": str(output),
            "page": page and str(page),
            "tables": {n: _plain(t) for n, t in tables.items()},
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    for table in tables.values():
        say(as_text(table))
    say(f"results: {output}" + (f"\npage: {page}" if page is not None else ""))


def as_text(table: ModelTable) -> str:
    """The table for a terminal, one line a method and metric."""
    width = max(len(m) for m in table.methods)
    lines = [table.caption().replace("bold is best", "* is best")]
    for metric in table.metrics:
        lines.append(f"\n{table.words(metric)}")
        for method in table.methods:
            c = table.cell(method, metric)
            mark = "*" if c.best else "≈" if c.tied else " "
            lines.append(f"  {mark} {method:{width}}  {table.text(method, metric)}")
    lines.append("\nseconds an epoch")
    lines += [f"    {m:{width}}  {table.seconds_per_epoch(m):.3g}" for m in table.methods]
    return "\n".join([*lines, *(f"note: {n}" for n in table.notes), ""])


def _plain(table: ModelTable) -> list[dict[str, Any]]:
    rows = table.to_frame().to_dict("records")
    return [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]
