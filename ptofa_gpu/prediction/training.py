"""`fit`: a thin, quiet Trainer with early stopping, checkpoints, a history and calibration."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.nn.functional import logsigmoid

from ptofa_gpu._arguments import flag, instance, listed, one_of, path_of, progress_of, seed_of, whole
from ptofa_gpu._files import make_folder
from ptofa_gpu.errors import DegenerateModelError, InputError, PtofaError, PtofaWarning
from ptofa_gpu.prediction.calibration import CalibrationResult, calibrate
from ptofa_gpu.prediction.checkpoints import Checkpoints, History, WholeFiles, best_row, take_over
from ptofa_gpu.prediction.data import ExposureModule
from ptofa_gpu.prediction.degeneracy import degeneracy
from ptofa_gpu.prediction.metrics import RevenueMetrics
from ptofa_gpu.prediction.model import RevenueModel
from ptofa_gpu.prediction.storage import write_tensors

# Below this many rows a step's matrix products are too small to be worth splitting between threads.
_ONE_THREAD_ROWS = 4096
Progress = bool | Callable[[int, int], None] | None
_LOGGERS: dict[str, Callable[..., Logger]] = {"csv": CSVLogger, "tensorboard": TensorBoardLogger}


@dataclass(frozen=True)
class FitResult:
    """What `fit` did.

    Attributes
    ----------
    history
        One dict an epoch: ``epoch`` (from 0), ``seconds``, ``train_loss``, ``val_loss`` and the validation metrics
        (``val_auc``, ``val_log_loss``, ``val_conversion_ratio``, ``val_mse``, ``val_mae``, ``val_total_ratio``,
        ``val_total_ratio_error``).
    best_epoch
        The epoch whose weights the model has now: the one of least validation loss.
    best_path, last_path
        Checkpoint of that epoch, with the calibration; and of the last one, to resume from.
    seconds
        Wall time of this call.
    device
        "cpu" or "cuda".
    calibration
        What was fitted on validation rows, or None.
    """

    history: list[dict[str, float]] = field(repr=False)
    best_epoch: int
    best_path: Path
    last_path: Path
    seconds: float
    device: str
    calibration: CalibrationResult | None = None

    @property
    def best(self) -> dict[str, float]:
        """The history's row of the best epoch."""
        return next(row for row in self.history if row["epoch"] == self.best_epoch)

    def _repr_html_(self) -> str:
        """Epochs count from 1 here, as a reader does; in `history` they count from 0, as Lightning does."""
        shown = ("train_loss", "val_loss", "val_auc", "val_conversion_ratio", "val_total_ratio", "seconds")
        head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in ("epoch", *shown))
        body = ""
        for row in self.history:
            style = " style='font-weight:bold'" if row["epoch"] == self.best_epoch else ""
            cells = "".join(f"<td>{row.get(name, math.nan):.4g}</td>" for name in shown)
            body += f"<tr{style}><th scope='row'>{row['epoch'] + 1:.0f}</th>{cells}</tr>"
        return (
            f"<table><caption>Epoch {self.best_epoch + 1} of {len(self.history)} is kept.</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


class StopsEarly(EarlyStopping):
    """Lightning's forgets that it had stopped: a run that was cut after that would be resumed with one epoch more."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once where the checkpoint says that the last epoch was done."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience or self.stopped_epoch > 0


class EpochProgress(Callback):
    """One step of a bar, or one call, an epoch: a bar a batch would cost more than the batch."""

    def __init__(self, progress: Progress):
        self.report, self.bar = progress if callable(progress) else None, None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        if self.report is None:
            from tqdm import tqdm

            self.bar = tqdm(
                total=trainer.max_epochs, initial=trainer.current_epoch, unit="epoch", desc="training", file=sys.stderr
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move on."""
        if self.report is not None:
            self.report(trainer.current_epoch + 1, trainer.max_epochs or 0)
        elif self.bar is not None:
            if "val_loss" in trainer.callback_metrics:
                self.bar.set_postfix(val_loss=f"{float(trainer.callback_metrics['val_loss']):.4f}", refresh=False)
            self.bar.update()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the bar, also after an error."""
        if self.bar is not None:
            self.bar.close()


def fit(
    model: RevenueModel,
    module: ExposureModule,
    max_epochs: int = 30,
    patience: int = 4,
    logger: str | Sequence[str] | None = "csv",
    directory: str | os.PathLike[str] = "runs/ptofa",
    progress: Progress = True,
    seed: int | None = None,
    resume: str | os.PathLike[str] | None = None,
    calibration: bool = True,
    devices: int = 1,
) -> FitResult:
    """Train until the validation loss stops falling, then take the best epoch's weights and calibrate them.

    Parameters
    ----------
    model, module
        What to train, on which log. Training runs on the module's device.
    max_epochs
        Epochs at most.
    patience
        Epochs without a lower validation loss before training stops.
    logger
        "csv", "tensorboard", both in a list, or None.
    directory
        Gets ``best.ckpt``, ``last.ckpt`` (after every epoch) and the logs; earlier checkpoints there are replaced.
    progress
        True for a bar on stderr, or a function of (epochs done, epochs at most).
    seed
        Replaces the seeds of model (dropout) and module (order of rows); initial weights are the model's.
    resume
        A ``last.ckpt`` to go on from, in the same `directory` or another; ``best.ckpt`` must lie beside it. The result
        is then bit for bit what an uninterrupted run gives, wherever the run was cut: an epoch that was not done is
        done again from its start.
    calibration
        Fit Platt scaling and the revenue ratio on validation rows and store them with the best checkpoint. With
        ``debias="adjust"`` calibration is what removes the bias, so it is made whatever this says.
    devices
        Processes that share each batch: GPUs, or on the CPU processes that talk over gloo. Each runs the caller's
        script from its start, as PyTorch's DistributedDataParallel does, so call it from a script, not a notebook.

    Returns
    -------
    FitResult
        The model itself is left with the best weights, on the device it was trained on.

    Raises
    ------
    DegenerateModelError
        If the training rows hold nothing to learn from, or training diverged from the first epoch on.
    InputError
        For a setting out of its range; if `resume` is no checkpoint of `fit`, or the best weights so far are lost.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, with what to go on from.

    Warns
    -----
    PtofaWarning
        If there are no validation rows, too few conversions to calibrate, or the model is degenerate.
    """
    instance("model", model, RevenueModel)
    instance("module", module, ExposureModule, "from data.module()")
    max_epochs, patience = whole("max_epochs", max_epochs, 1), whole("patience", patience, 1)
    devices = whole("devices", devices, 1, _most_devices())
    folder, progress = path_of("directory", directory), progress_of(progress)
    calibration = flag("calibration", calibration)
    resume = None if resume is None else path_of("resume", resume)
    names = _logger_names(logger)
    started = time.perf_counter()
    if seed is not None:
        model.seed = module.seed = seed_of(seed)
    module.label_statistics  # noqa: B018  (raises here, before anything is written, where nothing can be learned)
    make_folder(folder)
    monitor = "val_loss"
    if not module.n_rows("validation"):
        monitor = "train_loss"
        warnings.warn(
            "The log has no validation rows, so the epoch of least training loss is kept: it may fit noise. Give rows "
            "the split 'validation'.",
            PtofaWarning,
            stacklevel=2,
        )
    if resume is not None:
        take_over(resume, folder, monitor)
    history = History()
    checkpoint = Checkpoints(folder, monitor, history, resume)
    callbacks: list[Callback] = [history, StopsEarly(monitor, patience=patience, check_on_train_epoch_end=True)]
    if progress:
        callbacks.append(EpochProgress(progress))
    device = _device_of(module)
    model._steps = None
    model._by_hand = False  # it is the best epoch that is judged and calibrated, below
    try:
        with _quiet_lightning(), _threads_for(module, device):
            trainer = pl.Trainer(
                accelerator="gpu" if device.type == "cuda" else "cpu",
                devices=[device.index] if device.index is not None and devices == 1 else devices,
                strategy="ddp" if devices > 1 else "auto",
                use_distributed_sampler=False,  # the module deals the rows out itself
                max_epochs=max_epochs,
                logger=[_LOGGERS[name](folder, name=name) for name in names],
                callbacks=[*callbacks, checkpoint],
                plugins=[WholeFiles()],
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            )
            on_ctrl_c = signal.getsignal(signal.SIGINT)
            try:
                trainer.fit(
                    model,
                    datamodule=module,
                    ckpt_path=None if resume is None else str(resume),
                    weights_only=True if resume else None,
                )
            except SystemExit:  # what Lightning makes of Ctrl-C and, between two blocks of steps, of SIGTERM
                if not trainer.interrupted:
                    raise
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGINT, on_ctrl_c)  # it leaves Ctrl-C ignored: in a notebook, for good
            except Exception as e:
                if resume is None or model._steps is not None or isinstance(e, PtofaError):
                    raise
                why = f"{type(e).__name__}: {(str(e).splitlines() or [''])[0]}"
                raise InputError(
                    f"resume={str(resume)!r} cannot be gone on from ({why}): it is of another model, or damaged. Name "
                    "another checkpoint, or train from the start."
                ) from e
    finally:
        model._by_hand = True
    if trainer.interrupted:
        raise KeyboardInterrupt(
            f"Training was interrupted; go on with resume={str(checkpoint.go_on)!r}, after the last epoch that is done."
            if checkpoint.go_on
            else "Training was interrupted before the first epoch was done, so there is nothing to go on from."
        )
    return _finish(model, module, history, checkpoint, monitor, calibration, device, time.perf_counter() - started)


def _finish(
    model: RevenueModel,
    module: ExposureModule,
    history: History,
    checkpoint: Checkpoints,
    monitor: str,
    calibration: bool,
    device: torch.device,
    seconds: float,
) -> FitResult:
    best = best_row(history.rows, monitor)
    if best is None:
        raise DegenerateModelError(
            f"The {monitor.replace('_', ' ')} was never finite: training diverged at once. Lower the learning rate "
            f"(it is {model.lr:g}), or check the amounts."
        )
    saved = torch.load(checkpoint.best, map_location="cpu", weights_only=True)
    model.load_state_dict(saved["state_dict"])
    model.to(device)
    fitted = None
    if monitor == "val_loss":
        model.last_metrics = {k.removeprefix("val_"): v for k, v in best.items() if k.startswith("val_")}
        model.warn_if_degenerate(model.last_metrics)
    else:
        _warn_if_degenerate_in_training(model, module)
    if (calibration and monitor == "val_loss") or model.debias == "adjust":
        fitted = calibrate(model, module)
    if fitted is not None:
        saved["state_dict"] = {name: value.cpu() for name, value in model.state_dict().items()}
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:  # one of several processes writes
            write_tensors(saved, checkpoint.best)
    return FitResult(history.rows, int(best["epoch"]), checkpoint.best, checkpoint.last, seconds, device.type, fitted)


def _warn_if_degenerate_in_training(model: RevenueModel, module: ExposureModule) -> None:
    """Without validation rows: a model that is degenerate even on the rows it learned from is so everywhere."""
    rows = model.predict_rows(module, "train")
    logit, mu, sigma, amount = (torch.as_tensor(x).float() for x in (rows.logit, rows.mu, rows.sigma, rows.amount))
    judged = RevenueMetrics()
    judged.update(logit, torch.exp(logsigmoid(logit) + mu + 0.5 * sigma**2), torch.as_tensor(rows.converted), amount)
    problem = degeneracy(judged.compute(), float(rows.converted.sum()), model.net.predicts_conversion, "training")
    if problem:
        warnings.warn(problem, PtofaWarning, stacklevel=4)


def _device_of(module: ExposureModule) -> torch.device:
    from ptofa_gpu.device import torch_device

    return torch_device(module.device)


def _logger_names(logger: str | Sequence[str] | None) -> list[str]:
    if logger is None:
        return []
    names = [logger] if isinstance(logger, str) else listed("logger", logger, "loggers' names")
    return [one_of("logger", name, tuple(_LOGGERS)) for name in names]


def _most_devices() -> int:
    """Processes that can have something to work on."""
    return max(8, os.cpu_count() or 1, torch.cuda.device_count())


@contextmanager
def _threads_for(module: ExposureModule, device: torch.device) -> Iterator[None]:
    """One CPU thread for small batches: measured as fast as two on idle cores, ten times as fast on busy ones, and the
    result does not depend on the number of cores.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and module.batch_size <= _ONE_THREAD_ROWS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's banners and tips out of notebooks and logs; its warnings and errors still show."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero.*")  # no validation
            warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
            warnings.filterwarnings("ignore", message="GPU available but not used.*")
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # torch 2.13 about Lightning 2.6
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
