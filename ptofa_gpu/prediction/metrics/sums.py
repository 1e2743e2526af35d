"""Metrics whose state is a few sums: they cost nothing to keep, however many rows pass."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torchmetrics import Metric


class SumMetric(Metric):
    """A metric of named float64 sums; `names` says which."""

    higher_is_better: bool | None = None
    full_state_update = False
    names: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        for name in self.names:
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")


class BinaryLogLoss(SumMetric):
    """Mean of -log P(what happened), from logits, so that no P is ever 0 or 1."""

    higher_is_better = False
    names = ("total", "count")
    total: Tensor
    count: Tensor

    def update(self, logit: Tensor, converted: Tensor) -> None:
        """Add rows: `logit` (N,), `converted` (N,) bool."""
        self.total += softplus(torch.where(converted, -logit, logit)).sum(dtype=torch.float64)
        self.count += logit.numel()

    def compute(self) -> Tensor:
        """The mean over all rows seen."""
        return self.total / self.count


class Outcomes(SumMetric):
    """How many rows there were and how many of them converted."""

    names = ("rows", "conversions")
    rows: Tensor
    conversions: Tensor

    def update(self, converted: Tensor) -> None:
        """Add rows: `converted` (N,) bool."""
        self.rows += converted.numel()
        self.conversions += converted.sum()

    def compute(self) -> Tensor:
        """(2,): rows, conversions."""
        return torch.stack([self.rows, self.conversions])


class TotalRatio(SumMetric):
    """Sum of predictions over sum of outcomes: 1 where totals agree, nan where nothing happened.

    ``abs(ratio - 1)`` is the total-ratio error. With true expected revenue for the outcomes, over all pairs, it says
    how far a model trained on biased exposures is off where allocation works.
    """

    names = ("predicted", "observed")
    predicted: Tensor
    observed: Tensor

    def update(self, predicted: Tensor, observed: Tensor) -> None:
        """Add rows: predictions and outcomes, of one shape and in the same unit."""
        self.predicted += predicted.sum(dtype=torch.float64)
        self.observed += observed.sum(dtype=torch.float64)

    def compute(self) -> Tensor:
        """The ratio over all rows seen."""
        return torch.where(self.observed > 0, self.predicted / self.observed, torch.nan)


class EffectiveSampleSize(SumMetric):
    """Share of rows that weighted ones are worth: (sum w)^2 / (n sum w^2), 1 for equal weights (Kish, 1965)."""

    higher_is_better = True
    names = ("total", "squares", "count")
    total: Tensor
    squares: Tensor
    count: Tensor

    def update(self, weight: Tensor) -> None:
        """Add rows: `weight` (N,), not negative."""
        self.total += weight.sum(dtype=torch.float64)
        self.squares += weight.double().square().sum()
        self.count += weight.numel()

    def compute(self) -> Tensor:
        """The share, in [0, 1]; nan where all weights are 0."""
        return torch.where(self.squares > 0, self.total**2 / (self.count * self.squares), torch.nan)


class DecisionValue(SumMetric):
    """How much of what a plan can earn over a random one it does earn: (V - V_random) / (V_oracle - V_random).

    1 is a plan made from the truth, 0 a random one. V are sums of *true* revenue over the exposures of a plan.
    """

    higher_is_better = True
    names = ("value", "random", "oracle")
    value: Tensor
    random: Tensor
    oracle: Tensor

    def update(self, value: Tensor, random: Tensor, oracle: Tensor) -> None:
        """Add exposures: true revenue under the plan, a random plan and the plan made from the truth, currency."""
        self.value += value.sum(dtype=torch.float64)
        self.random += random.sum(dtype=torch.float64)
        self.oracle += oracle.sum(dtype=torch.float64)

    def compute(self) -> Tensor:
        """The share; nan where the truth earns no more than chance."""
        room = self.oracle - self.random
        return torch.where(room > 0, (self.value - self.random) / room, torch.nan)


class LogitRange(Metric):
    """Largest minus smallest logit: near 0 for a model that says the same of everybody."""

    higher_is_better = None
    full_state_update = False
    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("low", torch.tensor(torch.inf), dist_reduce_fx="min")
        self.add_state("high", torch.tensor(-torch.inf), dist_reduce_fx="max")

    def update(self, logit: Tensor) -> None:
        """Add rows: `logit` (N,)."""
        self.low = torch.minimum(self.low, logit.min())
        self.high = torch.maximum(self.high, logit.max())

    def compute(self) -> Tensor:
        """The width of the range."""
        return self.high - self.low
