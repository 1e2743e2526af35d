"""ZILN: zero-inflated log-normal regression (Wang, Liu & Miao, 2019, arXiv 1912.07753) on a shared bottom."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ptofa_gpu.prediction.losses import converted_loglik, zero_inflated
from ptofa_gpu.prediction.methods.base import Labels, LabelStatistics, PairOutput, RevenueMethod
from ptofa_gpu.prediction.networks import Head, PairNetwork

# Below 0.1 single amounts are fitted by spikes; above 2 the expectation's factor exp(sigma^2 / 2) explodes.
SIGMA_RANGE = (0.1, 2.0)


class Ziln(RevenueMethod):
    """Conversion logit, mu and sigma by two heads; rows that did not convert say log(1 - P_c).

    Parameters
    ----------
    network
        The shared bottom.
    """

    def __init__(self, network: PairNetwork):
        super().__init__(network)
        self.conversion_head = Head(network.width, 1)
        self.amount_head = Head(network.width, 2)

    def start_heads(self, statistics: LabelStatistics) -> None:
        """Start at the base rate and at the mean and spread of the log amounts."""
        rate = min(statistics.base_rate, 1.0 - 0.5 / statistics.rows)  # every row converted: a finite logit
        self.conversion_head.start([math.log(rate / (1.0 - rate))])
        floor, cap = SIGMA_RANGE
        spread = min(max(statistics.log_sd, 1.5 * floor), 0.95 * cap)
        self.amount_head.start([statistics.log_mean, math.log(math.expm1(spread - floor))])

    def outputs(self, hidden: Tensor) -> PairOutput:
        """Mu within the labels' 5 % to 95 % quantiles, sigma within `SIGMA_RANGE`."""
        logit = self.conversion_head(hidden).squeeze(-1)
        mu, spread = self.amount_head(hidden).unbind(-1)
        sigma = (softplus(spread) + SIGMA_RANGE[0]).clamp(max=SIGMA_RANGE[1])
        return PairOutput(logit, torch.clamp(mu, self.log_low.to(mu.dtype), self.log_high.to(mu.dtype)), sigma)

    def log_negative(self, output: PairOutput) -> Tensor:
        """Log-likelihood of rows that did not convert, (N,)."""
        return zero_inflated(output.logit)

    def row_loss(self, output: PairOutput, labels: Labels) -> Tensor:
        """Negative log-likelihood of each row, (N,)."""
        positive = converted_loglik(*output, labels.log_amount, labels.has_amount)
        return -torch.where(labels.converted, positive, self.log_negative(output))
