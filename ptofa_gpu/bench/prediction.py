"""The prediction benchmark: every method of the paper's Table 1 on synthetic worlds and public data."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ptofa_gpu
from ptofa_gpu.bench import machine
from ptofa_gpu.bench.results import append_row, check_columns
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation.model_runs import ModelRun, Training
from ptofa_gpu.evaluation.model_search import Grid
from ptofa_gpu.evaluation.model_table import METRICS, ModelTable
from ptofa_gpu.evaluation.table1 import PROFILES, Methods, model_table

if TYPE_CHECKING:
    from ptofa_gpu.datasets.base import ExposureData

DATASETS = ("lct-a", "lct-b", "hillstrom", "cdnow")
#: Metrics that are kept beside those of a table.
_MORE = ("average_precision", "conversion_ratio", "ece", "mae_zero")
#: One row a training run. Metrics are empty where a method or the data have none.
COLUMNS = (
    "date",  # UTC, when the run ended
    "device", "cores", "commit", "ptofa", "python", "numpy", "torch", "lightning", "torchmetrics",
    "profile", "data", "customers", "funds", "train_rows", "train_conversions", "test_rows", "currency",
    "method", "lr", "dropout", "setting",  # setting: whatever else was tuned
    "seed", "batch_size", "max_epochs", "patience",
    "status", "epochs", "seconds_per_epoch", "seconds", "val_loss",
    *METRICS, *_MORE,
    "note",
)  # fmt: skip
# worlds of the quick profile: some hundred conversions, so that differences can be seen in a minute
_QUICK_WORLD = {"customers": 8_000, "exposures": 3, "positive_rate": 0.03}


def load(name: str, profile: str, customers: int | None = None) -> Callable[[int], ExposureData]:
    """What gives the data `name` for a seed: a world, or a split of public data.

    Parameters
    ----------
    name : one of `DATASETS`
    profile : {"quick", "paper"}
        The size of worlds: some thousand customers, or the paper's millions.
    customers : int, optional
        Another size of worlds.
    """
    from ptofa_gpu.datasets import PAPER_SCALE, cdnow, hillstrom, lct

    if name not in DATASETS:
        raise InputError(f"data set {name!r} is not known; there are {', '.join(DATASETS)}.")
    if name == "hillstrom":
        return lambda seed: hillstrom(seed=seed)
    if name == "cdnow":
        return lambda seed: cdnow(seed=seed)
    kind: Any = name[-1].upper()
    settings: dict[str, Any] = dict(PAPER_SCALE[kind] if profile == "paper" else _QUICK_WORLD)
    if customers is not None:
        settings["customers"] = customers
    return lambda seed: lct(kind, seed=seed, **settings)


def run_prediction(
    datasets: Sequence[str] = DATASETS,
    methods: Methods | None = None,
    seeds: int | None = None,
    *,
    profile: str = "quick",
    grid: Grid | None = None,
    trials: int | None = None,
    customers: int | None = None,
    training: Training | None = None,
    directory: str | os.PathLike[str] | None = None,
    results: str | os.PathLike[str] | None = None,
    progress: Any = True,
) -> dict[str, ModelTable]:
    """Make the table of each data set, and append each run to the results as soon as it is there.

    Parameters
    ----------
    datasets : names of `DATASETS`
    methods, seeds, profile, trials, training, progress
        As for :func:`ptofa_gpu.evaluation.table1.model_table`.
    grid : mapping of option to values, optional
        Values to try of some options, instead of the profile's; of the others the profile's are tried.
    customers : int, optional
        Customers of synthetic worlds, instead of the profile's.
    directory : path, optional
        Where finished runs are kept, so that an interrupted benchmark goes on; they are not appended twice.
    results : path, optional
        A CSV file that only grows; one row a run.

    Returns
    -------
    dict of str to ModelTable
    """
    if not datasets or len(set(datasets)) < len(datasets):
        raise InputError(f"datasets must name each once and at least one of {', '.join(DATASETS)}.")
    if profile not in PROFILES:
        raise InputError(f"profile is {profile!r}; there are {', '.join(map(repr, PROFILES))}.")
    sources = {name: load(name, profile, customers) for name in datasets}
    used = training or PROFILES[profile].training
    tried = {**PROFILES[profile].grid, **(grid or {})}
    if results is not None:
        check_columns(Path(results), COLUMNS)

    def keep(run: ModelRun, data: ExposureData, fresh: bool) -> None:
        if results is not None and fresh:
            append_row(Path(results), COLUMNS, run_row(run, data, profile, used))

    return {
        name: model_table(
            source,
            methods,
            seeds,
            profile=profile,
            grid=tried,
            trials=trials,
            training=used,
            directory=directory,
            progress=progress,
            on_run=keep,
        )
        for name, source in sources.items()
    }


def run_row(run: ModelRun, data: ExposureData, profile: str, training: Training) -> dict[str, Any]:
    """The columns of one run."""
    log = data.arrays
    train, test = log.split == 0, log.split == 2
    setting = {k: v for k, v in run.setting.items() if k not in ("lr", "dropout")}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": machine.device_name(run.device or "cpu"),
        "cores": machine.cores(),
        "commit": machine.commit(),
        "ptofa": ptofa_gpu.__version__,
        "python": platform.python_version(),
        "numpy": machine.version("numpy"),
        "torch": machine.version("torch"),
        "lightning": machine.version("pytorch-lightning"),
        "torchmetrics": machine.version("torchmetrics"),
        "profile": profile,
        "data": run.data,
        "customers": data.n_customers,
        "funds": data.n_funds,
        "train_rows": int(train.sum()),
        "train_conversions": int(log.converted[train].sum()),
        "test_rows": int(test.sum()),
        "currency": data.currency,
        "method": run.method,
        "lr": _number(run.setting.get("lr")),
        "dropout": _number(run.setting.get("dropout")),
        "setting": " ".join(f"{k}={v:g}" for k, v in setting.items()),
        "seed": run.seed,
        "batch_size": training.batch_size,
        "max_epochs": training.max_epochs,
        "patience": training.patience,
        "status": run.status,
        "epochs": run.epochs,
        "seconds_per_epoch": _number(run.seconds_per_epoch),
        "seconds": _number(run.seconds),
        "val_loss": _number(run.val_loss),
        **_metrics(run.metrics),
        "note": " | ".join(run.notes),
    }


def _metrics(values: Mapping[str, float]) -> dict[str, str]:
    return {name: _number(values.get(name)) for name in (*METRICS, *_MORE)}


def _number(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.6g}"
