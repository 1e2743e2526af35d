"""Small towers on a shared representation: a conversion logit, a log-normal amount, or an amount by itself.

Every head knows how to start: before any training it answers with what the training rows say on average, so that the
first steps are not spent on finding the base rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ptofa_gpu.prediction.networks import Head

if TYPE_CHECKING:
    from ptofa_gpu.prediction.methods.base import LabelStatistics

# Below 0.1 single amounts are fitted by spikes; above 2 the expectation's factor exp(sigma^2 / 2) explodes.
SIGMA_RANGE = (0.1, 2.0)
# softplus(x) is exp(x) below this to float32 precision, and its logarithm x
_SMALL = -15.0


def inverse_softplus(y: float) -> float:
    """The x with softplus(x) = y, for y > 0."""
    return y + math.log(-math.expm1(-y))


def log_softplus(x: Tensor) -> Tensor:
    """log(softplus(x)), finite with finite gradients for every finite `x`."""
    return torch.where(x > _SMALL, softplus(x.clamp(min=_SMALL)).log(), x)


class ConversionHead(Head):
    """One conversion logit a pair."""

    def __init__(self, width: int):
        super().__init__(width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits (...,) from representations (..., width)."""
        return super().forward(hidden).squeeze(-1)

    def start_at(self, rate: float) -> None:
        """Answer with the share `rate` everywhere."""
        self.start([math.log(rate / (1.0 - rate))])


class LogNormalHead(Head):
    """mu and sigma of the log amount, kept within bounds."""

    def __init__(self, width: int):
        super().__init__(width, 2)

    def parameters_of(self, hidden: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Mu within [low, high] and sigma within `SIGMA_RANGE`, (...,) each, from representations (..., width)."""
        return self.bounded(self(hidden), low, high)

    @staticmethod
    def bounded(raw: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The same from the tower's two raw outputs, (..., 2)."""
        mu, spread = raw.unbind(-1)
        sigma = (softplus(spread) + SIGMA_RANGE[0]).clamp(max=SIGMA_RANGE[1])
        return torch.clamp(mu, low.to(mu.dtype), high.to(mu.dtype)), sigma

    def start_at(self, statistics: LabelStatistics) -> None:
        """Answer with the mean and spread of the log amounts everywhere."""
        floor, cap = SIGMA_RANGE
        spread = min(max(statistics.log_sd, 1.5 * floor), 0.95 * cap)
        self.start([statistics.log_mean, math.log(math.expm1(spread - floor))])


class AmountHead(Head):
    """The logarithm of a positive number a pair: an amount, or expected revenue, in units of the label scale."""

    def __init__(self, width: int):
        super().__init__(width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """log(softplus(raw output)), (...,), from representations (..., width)."""
        return log_softplus(super().forward(hidden).squeeze(-1))

    def start_at(self, value: float) -> None:
        """Answer with the positive number `value` everywhere."""
        self.start([inverse_softplus(value)])
