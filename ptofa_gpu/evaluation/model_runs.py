"""One training run of a table of models: fit a method with a setting and a seed, and measure it on test rows.

Where the truth is known, also on pairs that were not logged, and by the money that a plan made from it earns. Where
the log says with what probability funds were shown, also by the money a greedy policy earns off-policy.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._arguments import one_of, whole
from ptofa_gpu._files import scratch_folder
from ptofa_gpu.device import DEVICES
from ptofa_gpu.errors import DegenerateModelError, PtofaWarning
from ptofa_gpu.evaluation.model_judge import Judge, host

if TYPE_CHECKING:
    from ptofa_gpu.datasets.base import ExposureData
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.model import RevenueModel

#: Metrics of P; a method that does not predict conversion has none of them.
_OF_CONVERSION = ("auc", "auc_within", "average_precision", "log_loss", "conversion_ratio", "ece", "ece_deciles")


@dataclass(frozen=True)
class Training:
    """How every run of a table is trained: epochs at most, epochs without improvement, rows a step, device."""

    max_epochs: int = 30
    patience: int = 4
    batch_size: int = 512
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("max_epochs", "patience", "batch_size"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        one_of("device", self.device, DEVICES)


@dataclass(frozen=True)
class ModelRun:
    """One run and what came of it.

    Attributes
    ----------
    data, method : name of the data, and of the method as the table calls it
    options : what `RevenueModel` was given for the method
    setting : what was tuned, e.g. lr and dropout
    seed : of data (where they are made by seed), weights and order of rows
    status : "ok", or "degenerate" where training gave no model; then `metrics` is empty
    val_loss : least validation loss, by which settings are chosen
    metrics : by name, on test rows, calibrated; see `measure`
    epochs, seconds_per_epoch, seconds : epochs trained, their median time, time of the run with measuring
    device : "cpu" or "cuda"
    notes : what was warned about
    """

    data: str
    method: str
    options: dict[str, Any]
    setting: dict[str, float]
    seed: int
    status: str
    val_loss: float
    metrics: dict[str, float]
    epochs: int
    seconds_per_epoch: float
    seconds: float
    device: str
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it: numbers that are none are null."""
        out = asdict(self)
        out["metrics"] = {k: v if math.isfinite(v) else None for k, v in self.metrics.items()}
        for name in ("val_loss", "seconds_per_epoch"):
            out[name] = out[name] if math.isfinite(out[name]) else None
        return out

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ModelRun:
        """The run that `to_json` wrote."""
        found = dict(stored)
        found["metrics"] = {k: math.nan if v is None else v for k, v in stored["metrics"].items()}
        for name in ("val_loss", "seconds_per_epoch"):
            found[name] = math.nan if found[name] is None else found[name]
        return cls(**found)


def train(
    data: ExposureData,
    judge: Judge,
    method: str,
    options: Mapping[str, Any],
    setting: Mapping[str, float],
    seed: int,
    training: Training,
) -> ModelRun:
    """Fit and measure; what the run warns of is kept with it, and a degenerate one is a result, not an error."""
    import time

    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.training import fit

    started = time.perf_counter()
    given: dict[str, Any] = {**options, **setting}
    model = RevenueModel(data.schema, **given, seed=seed)
    module = data.module(batch_size=training.batch_size, device=training.device, seed=seed)
    metrics: dict[str, float] = {}
    status, notes, losses, times, device = "ok", [], [math.nan], [], ""
    with scratch_folder() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", PtofaWarning)
        try:
            result = fit(
                model,
                module,
                max_epochs=training.max_epochs,
                patience=training.patience,
                logger=None,
                directory=folder,
                progress=None,
            )
            device = result.device
            times = [row["seconds"] for row in result.history]
            losses = [result.best.get("val_loss", result.best["train_loss"])]
            metrics = measure(model, module, data, judge)
        except DegenerateModelError as e:
            status, notes = "degenerate", [str(e)]
    notes += list(dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, PtofaWarning)))
    return ModelRun(
        data=data.name,
        method=method,
        options=dict(options),
        setting=dict(setting),
        seed=seed,
        status=status,
        val_loss=float(losses[0]),
        metrics=metrics,
        epochs=len(times),
        seconds_per_epoch=statistics.median(times) if times else math.nan,
        seconds=time.perf_counter() - started,
        device=device,
        notes=notes,
    )


def measure(model: RevenueModel, module: ExposureModule, data: ExposureData, judge: Judge) -> dict[str, float]:
    """Metrics of a trained, calibrated model.

    Returns
    -------
    dict
        On test rows what `RevenueMetrics` has, without ``logit_range``, and ``mae_zero``: the MAE of predicting 0.
        With truth what `PairMarks` has: ``auc_all_pairs`` and ``ratio_all_pairs`` over all pairs, ``auc_pairs`` and
        ``pairs_ratio`` over those that may be shown, ``decision_value``. With known propensities: ``policy_value``,
        currency per customer.
        With debiasing: ``effective_share`` of the training rows. What a method does not predict is nan.
    """
    import torch
    from torch.nn.functional import logsigmoid

    from ptofa_gpu.prediction.methods.base import PairOutput
    from ptofa_gpu.prediction.metrics import RevenueMetrics

    rows = model.predict_rows(module, "test", calibrated=True)
    answer = PairOutput(*(torch.as_tensor(x) for x in (rows.logit, rows.mu, rows.sigma)))
    revenue = torch.exp(logsigmoid(answer.logit) + answer.mu + 0.5 * answer.sigma**2)
    table = RevenueMetrics(full=True)
    test = module.log.split == 2
    table.update(
        answer.logit.float(),
        revenue.float(),
        torch.as_tensor(rows.converted),
        torch.as_tensor(rows.amount).float(),
        torch.as_tensor(module.log.fund[test]),
    )
    out = table.compute()
    out.pop("logit_range")
    out["mae_zero"] = float(rows.amount.mean())
    if data.truth is not None:
        out |= judge(model).metrics()
    if data.propensity is not None:
        out["policy_value"] = _policy_value(model, module, data)
    exposure = getattr(model, "exposure", None)
    if exposure:
        out["effective_share"] = float(exposure["effective_share"])
    if not model.net.predicts_conversion:
        out |= {name: math.nan for name in (*_OF_CONVERSION, "auc_pairs", "auc_all_pairs") if name in out}
    return out


def _policy_value(model: RevenueModel, module: ExposureModule, data: ExposureData) -> float:
    """Currency per customer that showing each the fund of highest E would have earned, on test rows."""
    from ptofa_gpu.evaluation.offpolicy import value_policy
    from ptofa_gpu.prediction.revenue import expected_revenue

    log = module.log
    test = np.flatnonzero(log.split == 2)
    revenue = host(expected_revenue(model, data.encoded_customers, data.encoded_funds))
    best = revenue[log.customer[test]].argmax(axis=1)
    assert log.propensity is not None
    value = value_policy(best, log.fund[test], log.propensity[test], log.amount[test], draws=2)
    return float(value.value)
