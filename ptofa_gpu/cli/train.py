"""`ptofa train`: from a log in files to a model in a file."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptofa_gpu._files import check_output, require_space
from ptofa_gpu._text import visible
from ptofa_gpu.cli._run_folder import BEST, LAST, check_run, facts_of, run_folder
from ptofa_gpu.cli._shared import (
    TABLE,
    Config,
    Decimal,
    Device,
    DeviceChoice,
    IdChoice,
    IdType,
    Json,
    Seed,
    Separator,
    names_of,
    say,
    table_reader,
)
from ptofa_gpu.errors import InputError, PtofaError

if TYPE_CHECKING:
    from ptofa_gpu.prediction.model import RevenueModel

#: of a trained model: a Lightning checkpoint, read without running anything in it
MODEL_ENDING = ".ckpt"
#: Funds whose overlap is printed; --json has all.
OVERLAPS_SHOWN = 5
#: Arguments that change nothing in the model that comes out, or are known by what is in the files.
_BESIDES = {"log", "customers", "funds", "output", "run_dir", "resume", "epochs", "device", "config", "as_json"}
#: A checkpoint has the weights and the optimizer's two moments of each; the best and the last are kept.
_CHECKPOINTS = 6


class Debias(StrEnum):
    """What undoes that the log shows some pairs more than others."""

    auto = "auto"
    adjust = "adjust"
    ipw = "ipw"
    dr = "dr"
    none = "none"


class SplitChoice(StrEnum):
    """What the log is split by."""

    customer = "customer"
    day = "day"


def train(
    context: typer.Context,
    log: Annotated[
        Path,
        typer.Argument(
            help="One row an exposure: customer, fund, converted, amount; day, split or propensity where known. "
            f"{TABLE}."
        ),
    ],
    customers: Annotated[Path, typer.Argument(help="customer, tolerance, and any features; the same forms.")],
    funds: Annotated[Path, typer.Argument(help="fund, risk, quota, and any features; the same forms.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model: .ckpt.")] = Path("model.ckpt"),
    method: Annotated[str, typer.Option(help="The model, by name: ptofa, ziln, esmm, mmoe, ...")] = "ptofa",
    epochs: Annotated[int, typer.Option(help="Epochs at most.")] = 30,
    patience: Annotated[int, typer.Option(help="Epochs without a lower validation loss before it stops.")] = 4,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.002,
    dropout: Annotated[float, typer.Option(help="Share of units left out of each step.")] = 0.1,
    batch_size: Annotated[int, typer.Option(help="Rows of a step.")] = 512,
    debias: Annotated[Debias, typer.Option(help="What undoes the bias of who was shown what.")] = Debias.auto,
    customer_features: Annotated[
        list[str] | None, typer.Option(help="Columns of customers that are features, with commas; by default all.")
    ] = None,
    fund_features: Annotated[
        list[str] | None, typer.Option(help="Columns of funds that are features, with commas; by default all.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Columns that are no features, with commas.")] = None,
    categorical: Annotated[
        list[str] | None, typer.Option(help="Columns to take as categories although they hold numbers, with commas.")
    ] = None,
    split: Annotated[
        SplitChoice | None,
        typer.Option(help="By customer, or by the log's day: the latest test. By default as its column split says."),
    ] = None,
    separator: Separator = None,
    decimal: Decimal = ".",
    id_type: IdType = IdChoice.text,
    currency: Annotated[str, typer.Option(help="Unit of the amounts, for texts.")] = "",
    seed: Seed = 0,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for the best and the last epoch until the model is there. Default: OUTPUT.run"),
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option("--resume/--fresh", help="Go on with the run that is in that folder, or replace it."),
    ] = None,
    device: Device = DeviceChoice.auto,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Learn what each customer would invest in each fund, and keep the model of the best epoch, calibrated.

    A run that is interrupted keeps its best epoch so far; --resume goes on with it to the very model that it would have
    come to.

    Examples:

    ptofa train log.parquet customers.parquet funds.csv -o model.ckpt

    ptofa train log.parquet customers.parquet funds.csv --method esmm --epochs 10 --json

    ptofa train log.csv.gz customers.csv funds.csv --decimal , --split day --exclude email,phone --categorical branch
    """
    if output.suffix.lower() != MODEL_ENDING:
        raise InputError(f"{output}: --output must end in {MODEL_ENDING}")
    inputs = {"log": log, "customers": customers, "funds": funds}
    folder = run_dir or output.with_name(f"{output.name}.run")
    for path in (output, folder / BEST, folder / LAST):
        check_output(path, [*inputs.values(), *([config] if config else [])])
    if output.resolve() in ((folder / BEST).resolve(), (folder / LAST).resolve()):
        raise InputError(f"{output} is a name of the run's own in {folder}: choose another --output.")
    read = table_reader(separator, decimal, id_type)
    frames = [read(path) for path in (log, customers, funds)]
    begun = facts_of({n: v for n, v in context.params.items() if n not in _BESIDES}, inputs)
    check_run(folder, begun, resume=bool(resume), fresh=resume is False)
    from ptofa_gpu.datasets import ExposureData
    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.training import fit

    chosen: dict[str, Any] = {
        "customer_features": names_of(customer_features, frames[1]),
        "fund_features": names_of(fund_features, frames[2]),
        "exclude": names_of(exclude, *frames[1:]) or (),
        "categorical": names_of(categorical, *frames[1:]) or (),
        "split": None if split is None else split.value,
    }
    data = ExposureData.from_frames(*frames, **chosen, currency=currency, seed=seed)
    model = RevenueModel(
        data.schema,
        method=method,
        lr=lr,
        dropout=dropout,
        debias=None if debias is Debias.none else debias.value,
        seed=seed,
    )
    module = data.module(batch_size=batch_size, device=device.value, seed=seed)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    require_space(output, size)
    require_space(folder, size * _CHECKPOINTS)
    try:
        with run_folder(folder, begun, resume=bool(resume)):
            result = fit(
                model,
                module,
                max_epochs=epochs,
                patience=patience,
                logger=None,
                directory=folder,
                progress=sys.stderr.isatty(),
                resume=folder / LAST if resume else None,
            )
            model.save(output)
    except BaseException:
        _say_what_is_kept(folder, context)
        raise
    best = result.best
    facts: dict[str, Any] = {
        "model": str(output),
        "method": method,
        "epochs": len(result.history),
        "best_epoch": result.best_epoch + 1,
        "seconds": round(result.seconds, 3),
        "device": result.device,
        "calibrated": result.calibration is not None,
        "exposure": _exposure(model, module.n_rows("train")),
        "validation": {k.removeprefix("val_"): v for k, v in best.items() if k.startswith("val_")},
    }
    if as_json:
        typer.echo(json.dumps(_finite(facts), indent=2))
        return
    auc = facts["validation"].get("auc")
    say(
        f"{method}: epoch {facts['best_epoch']} of {facts['epochs']} is kept"
        + (f", validation AUC {auc:.3f}" if auc is not None else "")
        + f", {result.seconds:.1f} s on {result.device}"
    )
    exposure = facts["exposure"]
    if exposure is not None:
        say(
            f"  {exposure['debias']}: {exposure['text']} (effective sample: {exposure['effective_rows']:,} of "
            f"{exposure['rows']:,} rows)"
        )
        least = sorted(exposure["overlap"].items(), key=lambda pair: pair[1])
        shown = ", ".join(f"{visible(fund, line=True)} {share:.0%}" for fund, share in least[:OVERLAPS_SHOWN])
        more = f" and {len(least) - OVERLAPS_SHOWN} more" if len(least) > OVERLAPS_SHOWN else ""
        say(f"  overlap by fund, least first: {shown}{more}")
        if exposure["adjustment"]:
            say(f"  adjusted to all pairs: {exposure['adjustment']}")
    say(f"model: {output}")


def _say_what_is_kept(folder: Path, context: typer.Context) -> None:
    """After a run that ended early: where the best model so far is, and how to go on."""
    if not (folder / LAST).is_file():
        typer.echo("ptofa: no epoch was done, so nothing is kept", err=True)
        return
    from ptofa_gpu.prediction.checkpoints import settle

    try:
        done, best = settle(folder)
    except PtofaError:  # a full disk, mostly, which has been said
        done, best = 0, None
    if best is not None:
        typer.echo(
            f"ptofa: the best model so far, of epoch {best} of {done} (not calibrated yet), is kept in {folder / BEST}",
            err=True,
        )
    typed = [word for word in context.obj or [] if word not in ("--resume", "--fresh")]
    again = shlex.join(["ptofa", *typed, "--resume"]) if typed else "the same command with --resume"
    typer.echo(f"ptofa: go on with: {again}", err=True)


def _exposure(model: RevenueModel, rows: int) -> dict[str, Any] | None:
    """What the adjustment for who was shown what rests on: effective sample and overlap; None without one."""
    if model.exposure is None:
        return None
    adjustment = model.adjustment.explain() if model.adjustment is not None else ""
    effective = round(model.exposure["effective_share"] * rows)
    return {
        "debias": model.debias,
        "rows": rows,
        "effective_rows": effective,
        **model.exposure,
        "adjustment": adjustment or None,
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    import math

    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
