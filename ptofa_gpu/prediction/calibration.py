"""Calibration after training, fitted on validation rows and stored with the model.

Platt scaling of the conversion logit, then one factor on expected revenue that brings its total to the outcomes' total,
as far as the rows can tell (`total_ratio`). Where training weighs rows, so does the calibration.
Both are smooth and increasing, so no ties arise; isotonic steps would create ties, which cost the allocation money.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ptofa_gpu._arguments import instance
from ptofa_gpu.errors import InputError, PtofaWarning
from ptofa_gpu.prediction.adjustment import MIN_CONVERSIONS, fit_adjustment
from ptofa_gpu.prediction.data import SPLITS
from ptofa_gpu.prediction.methods.base import PairOutput

if TYPE_CHECKING:
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.model import RevenueModel


class Calibration(nn.Module):
    """What is stored: ``P = sigmoid(slope * logit + intercept)`` and ``E = revenue_ratio * P * E(amount)``."""

    slope: Tensor
    intercept: Tensor
    revenue_ratio: Tensor
    fitted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("slope", torch.ones((), dtype=torch.float64))
        self.register_buffer("intercept", torch.zeros((), dtype=torch.float64))
        self.register_buffer("revenue_ratio", torch.ones((), dtype=torch.float64))
        self.register_buffer("fitted", torch.tensor(False))

    def store(self, slope: float, intercept: float, revenue_ratio: float) -> None:
        """Set the three numbers and mark them as fitted."""
        self.slope.fill_(slope)
        self.intercept.fill_(intercept)
        self.revenue_ratio.fill_(revenue_ratio)
        self.fitted.fill_(True)

    def logit(self, logit: Tensor) -> Tensor:
        """The calibrated logit, in the dtype of `logit`."""
        return logit * self.slope + self.intercept

    def calibrated(self, output: PairOutput, direct: bool) -> PairOutput:
        """The calibrated answer: Platt on the logit, the revenue ratio in mu.

        Where revenue is an output of its own (`direct`) Platt scaling leaves it alone: mu makes up for the logit.
        """
        logit = self.logit(output.logit)
        mu = output.mu + self.revenue_ratio.log().to(output.mu.dtype)
        if direct:
            mu = mu + logsigmoid(output.logit) - logsigmoid(logit)
        return PairOutput(logit, mu, output.sigma)


class CalibrationResult(NamedTuple):
    """What `calibrate` found: the three numbers, and the rows and conversions they come from."""

    slope: float
    intercept: float
    revenue_ratio: float
    rows: int
    conversions: int


def fit_platt(
    logit: np.ndarray, converted: np.ndarray, max_steps: int = 100, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Slope and intercept that make ``sigmoid(slope * logit + intercept)`` most likely, by damped Newton steps.

    Parameters
    ----------
    logit
        Uncalibrated logits, (N,).
    converted
        Outcomes, (N,) bool; both outcomes must occur.
    max_steps
        Newton steps at most; about ten are usual.
    weight
        What each row counts, (N,); all alike by default.

    Returns
    -------
    tuple of float
        Slope and intercept. Where the best slope would be negative it is kept at 1 and only the intercept is fitted:
        a negative one would reverse the model's order of customers.

    Notes
    -----
    Targets are smoothed as Platt (1999) does, (N+ + 1)/(N+ + 2) and 1/(N- + 2), so that separable rows keep a finite
    slope; the steps are those of Lin, Lin & Weng (2007).
    """
    x = np.asarray(logit, dtype=np.float64)
    hit = np.asarray(converted, dtype=bool)
    n_hit, n_miss = int(hit.sum()), int((~hit).sum())
    if not n_hit or not n_miss:
        raise InputError("Platt scaling needs rows that converted and rows that did not.")
    target = np.where(hit, (n_hit + 1.0) / (n_hit + 2.0), 1.0 / (n_miss + 2.0))
    share = np.full(len(x), 1.0 / len(x)) if weight is None else weight / weight.sum()
    slope, intercept = _newton(x, target, share, np.array([True, True]), max_steps)
    if slope <= 0.0:
        slope, intercept = _newton(x, target, share, np.array([False, True]), max_steps)
    return float(slope), float(intercept)


def _newton(x: np.ndarray, target: np.ndarray, share: np.ndarray, free: np.ndarray, max_steps: int) -> np.ndarray:
    design = np.stack([x, np.ones_like(x)], axis=1)

    def loss(theta: np.ndarray) -> float:
        z = design @ theta
        return float(share @ (np.logaddexp(0.0, z) - target * z))

    theta = np.array([1.0, 0.0])
    value = loss(theta)
    for _ in range(max_steps):
        p = expit(design @ theta)
        gradient = design.T @ (share * (p - target)) * free
        if np.abs(gradient).max() < 1e-10:
            break
        hessian = (design * (share * p * (1.0 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
        hessian[~free], hessian[:, ~free] = 0.0, 0.0
        hessian[~free, ~free] = 1.0
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10 and (trial := loss(theta - size * step)) > value - 1e-4 * size * float(gradient @ step):
            size *= 0.5
        if size <= 1e-10:
            break
        theta, value = theta - size * step, trial
    return theta


def calibrate(model: RevenueModel, module: ExposureModule, split: str = "validation") -> CalibrationResult | None:
    """Fit the calibration of a trained model on one split and store it in the model.

    Parameters
    ----------
    model
        A trained model; an earlier calibration is replaced.
    module
        The log.
    split
        Rows to fit on. They should not be training rows, whose fit flatters the model.

    Returns
    -------
    CalibrationResult or None
        None, with a `PtofaWarning`, where the split has fewer than `MIN_CONVERSIONS` conversions with an amount; the
        model then stays as it was.

    Notes
    -----
    A model with ``debias="adjust"`` is adjusted to all pairs instead, on training and validation rows: see
    `ptofa_gpu.prediction.adjustment`. Its few numbers fit no noise worth speaking of, and need the conversions.
    """
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.model import RevenueModel

    instance("model", model, RevenueModel)
    instance("module", module, ExposureModule, "from data.module()")
    if model.debias == "adjust":
        return _adjust(model, module)
    rows = model.predict_rows(module, split)
    conversions = int(rows.converted.sum())
    if int((rows.converted & (rows.amount > 0)).sum()) < MIN_CONVERSIONS or conversions == len(rows.converted):
        warnings.warn(
            f"Not calibrated: the {split} rows hold {conversions} conversions, and at least {MIN_CONVERSIONS} with an "
            "amount (and one row without conversion) are needed. Use a longer log or a larger split.",
            PtofaWarning,
            stacklevel=2,
        )
        return None
    weight = np.ones(len(rows.converted))
    if module.weight is not None:  # a model of all pairs is calibrated for all pairs
        weight = module.weight[module.log.split == SPLITS[split]].astype(np.float64)
    slope, intercept = 1.0, 0.0
    if model.net.predicts_conversion:
        slope, intercept = fit_platt(rows.logit, rows.converted, weight=weight)
    logit = rows.logit if model.net.direct else slope * rows.logit + intercept
    expected = expit(logit) * np.exp(rows.mu + 0.5 * rows.sigma**2)
    # conversions recorded without an amount are left out on both sides: their amount is not 0, it is not known
    known = ~rows.converted | (rows.amount > 0)
    ratio = total_ratio(rows.amount[known], expected[known], weight[known])
    model.calibration.store(slope, intercept, ratio)
    return CalibrationResult(slope, intercept, ratio, len(rows.converted), conversions)


def _adjust(model: RevenueModel, module: ExposureModule) -> CalibrationResult | None:
    """Adjust to all pairs; what is then left of a difference in total revenue is taken out if it stands out."""
    exposure = model.exposure_of(module)
    assert exposure is not None
    model.calibration.store(1.0, 0.0, 1.0)
    conversions = fit_adjustment(model, module, exposure)
    if not conversions:
        model.calibration.fitted.fill_(False)
        return None
    splits = [split for split in ("train", "validation") if module.n_rows(split)]
    parts = [model.predict_rows(module, split, calibrated=True) for split in splits]
    expected = np.concatenate([expit(p.logit) * np.exp(p.mu + 0.5 * p.sigma**2) for p in parts])
    amount, converted = (np.concatenate([getattr(p, name) for p in parts]) for name in ("amount", "converted"))
    weight = np.concatenate([exposure.weight[module.log.split == SPLITS[split]] for split in splits])
    known = ~converted | (amount > 0)
    ratio = total_ratio(amount[known], expected[known], weight[known].astype(np.float64))
    model.calibration.store(1.0, 0.0, ratio)
    return CalibrationResult(1.0, 0.0, ratio, len(converted), conversions)


def total_ratio(amount: np.ndarray, expected: np.ndarray, weight: np.ndarray) -> float:
    """Factor that brings the total of `expected` towards that of `amount`, as far as the rows can tell.

    Parameters
    ----------
    amount, expected
        What was earned and what was expected of each row, (N,), in one unit.
    weight
        What each row counts, (N,).

    Returns
    -------
    float
        The ratio of the totals to the power max(0, 1 - (s / log ratio)^2), with s the standard error of its logarithm:
        the positive-part estimator of James & Stein (1961). Amounts have long tails, so with a hundred conversions the
        ratio is known to a quarter, and correcting by it would mostly add noise; a correction that stands out is made.
    """
    ratio = float((weight * amount).sum() / (weight * expected).sum())
    if ratio <= 0.0:
        return 1.0
    error = float(np.sqrt(np.square(weight * (amount - ratio * expected)).sum()) / (weight * amount).sum())
    size = abs(np.log(ratio))
    return float(ratio ** max(0.0, 1.0 - (error / size) ** 2)) if size > 0.0 else 1.0
