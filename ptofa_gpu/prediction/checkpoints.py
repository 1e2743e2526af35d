"""What `fit` keeps while it trains: every epoch's numbers, the best epoch's weights, and where to go on from.

A run goes on after the last epoch that was done, and an epoch depends on (seed, number of the epoch) alone. So whatever
ends a run in the middle of an epoch, Ctrl-C, SIGTERM or a power cut, costs that epoch's time and changes no bit of the
result: nothing needs to be written at that moment, and nothing half done is.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ptofa_gpu._files import atomic_path
from ptofa_gpu.errors import InputError
from ptofa_gpu.prediction.storage import checked_model, read_tensors, write_tensors
from ptofa_gpu.prediction.training_hooks import LearnsFromLog

BEST, LAST = "best.ckpt", "last.ckpt"
Row = dict[str, float]


def best_row(rows: Sequence[Row], monitor: str) -> Row | None:
    """The first of the rows with the least finite value of `monitor`; None where none is finite."""
    finite = [row for row in rows if math.isfinite(row.get(monitor, math.nan))]
    return min(finite, key=lambda row: row[monitor]) if finite else None


class History(Callback):
    """Keeps every epoch's logged values, in checkpoints too, so that a resumed run has the whole history."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._started = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a row."""
        assert isinstance(pl_module, LearnsFromLog)
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        values["train_loss"] = pl_module.train_loss  # this epoch's is logged only after the callbacks
        seconds = time.perf_counter() - self._started
        self.rows.append({"epoch": float(trainer.current_epoch), "seconds": seconds, **values})

    def state_dict(self) -> dict[str, Any]:
        """The rows, as plain floats."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a checkpoint's rows."""
        self.rows = [dict(row) for row in state_dict["rows"]]


class Checkpoints(Checkpoint):
    """Writes ``best.ckpt`` where an epoch is the best so far, and ``last.ckpt`` after every epoch.

    Which epoch was the best is read off the history, which a resumed run takes over whole: there is no second account
    of it that could be lost.

    Parameters
    ----------
    folder
        Where they go.
    monitor
        The history's value that decides; less is better.
    history
        The rows, up to date when an epoch ends.
    resume
        What the run goes on from, if from anything.

    Attributes
    ----------
    go_on
        What an interrupted run can go on from, or None: a file that lay in `folder` before is not it.
    """

    def __init__(self, folder: Path, monitor: str, history: History, resume: Path | None = None):
        self.folder, self.monitor, self.history, self.go_on = folder, monitor, history, resume

    @property
    def best(self) -> Path:
        """The best epoch's checkpoint."""
        return self.folder / BEST

    @property
    def last(self) -> Path:
        """The last epoch's."""
        return self.folder / LAST

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what this epoch calls for; Lightning calls it after all other callbacks."""
        rows = self.history.rows
        # the last one first: a run that is killed in between can go on from it, as it holds the best weights too
        trainer.save_checkpoint(self.last)
        if best_row(rows, self.monitor) is rows[-1]:
            trainer.save_checkpoint(self.best)
        self.go_on = self.last


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints as every file here is written: Lightning's own way leaves files elsewhere after a kill."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; Lightning calls it in one process of several."""
        write_tensors(checkpoint, path)


def settle(folder: Path) -> tuple[int, int | None]:
    """After a run that ended early: see to it that its ``best.ckpt`` is its best epoch's, whenever it was cut.

    Returns
    -------
    tuple
        Epochs done, and which of them was the best, counted from 1; None where none was any good.
    """
    rows, epoch = _read(folder / LAST)
    monitor = "val_loss" if any("val_loss" in row for row in rows) else "train_loss"
    best = best_row(rows, monitor)
    if best is None:
        return epoch + 1, None
    take_over(folder / LAST, folder, monitor)
    return epoch + 1, int(best["epoch"]) + 1


def take_over(resume: Path, folder: Path, monitor: str) -> None:
    """Before a run goes on from `resume`: have the best weights so far as ``best.ckpt`` in `folder`.

    They are copied from beside `resume` where `folder` is another one, or are `resume` itself where its epoch was the
    best.

    Raises
    ------
    InputError
        If `resume` is no checkpoint of `fit`, or its best weights are not beside it: a later epoch could then be called
        the best without being so.
    """
    rows, epoch = _read(resume)
    best = best_row(rows, monitor)
    if best is None:
        return
    source = resume if best["epoch"] == epoch else resume.with_name(BEST)
    if source != resume:
        problem = _is_not(source, rows, int(best["epoch"]))
        if problem:
            raise InputError(
                f"{resume} goes on after epoch {epoch + 1}; its best epoch so far was {int(best['epoch']) + 1}, whose "
                f"weights are expected in {source}, and {problem}. Put the {BEST} of that run beside it, or train from "
                "the start."
            )
    target = folder / BEST
    if not (target.exists() and target.samefile(source)):
        with atomic_path(target) as partial:
            shutil.copyfile(source, partial)


def _is_not(path: Path, rows: Sequence[Row], epoch: int) -> str:
    """Why `path` does not hold the weights of `epoch` of the run that made `rows`; empty if it does."""
    if not path.exists():
        return "there is no such file"
    own, found = _read(path)
    if found != epoch:
        return f"it is of epoch {found + 1}"
    return "" if _same(own, rows[: len(own)]) else "it is of another run"


def _same(one: Sequence[Row], other: Sequence[Row]) -> bool:
    """Whether histories agree, nan where nan is; how long an epoch took does not matter."""

    def values(row: Row) -> dict[str, str]:
        return {name: repr(value) for name, value in row.items() if name != "seconds"}

    return len(one) == len(other) and all(values(a) == values(b) for a, b in zip(one, other))


def _read(path: Path) -> tuple[list[Row], int]:
    """History and epoch of a checkpoint, whose model and training state are checked."""
    from pydantic import ValidationError

    from ptofa_gpu.prediction.file_format import StoredRun, problems_of

    if not os.path.isfile(path):
        raise InputError(f"resume={str(path)!r}: there is no such file. Name the {LAST} of a run of fit.")
    try:
        content = read_tensors(path)
        checked_model(content, str(path))
        run = StoredRun.model_validate(content)
    except (InputError, ValidationError) as e:
        why = "; ".join(problems_of(e)) if isinstance(e, ValidationError) else str(e)
        raise InputError(
            f"resume={str(path)!r} is no checkpoint of fit. Name the {LAST} of a run of fit; a file that "
            f"RevenueModel.save wrote holds a model, not a training to go on with. {why}"
        ) from e
    return [dict(row) for row in run.callbacks.history.rows], run.epoch
