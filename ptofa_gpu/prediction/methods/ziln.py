"""ZILN: zero-inflated log-normal regression (Wang, Liu & Miao, 2019, arXiv 1912.07753) on a shared bottom."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ptofa_gpu.prediction.heads import SIGMA_RANGE as SIGMA_RANGE
from ptofa_gpu.prediction.heads import ConversionHead, LogNormalHead
from ptofa_gpu.prediction.losses import converted_loglik, lognormal_cross_entropy, zero_inflated
from ptofa_gpu.prediction.methods.base import Labels, LabelStatistics, PairOutput, RevenueMethod
from ptofa_gpu.prediction.networks import PairNetwork


class Ziln(RevenueMethod):
    """Conversion logit, mu and sigma by two heads; rows that did not convert say log(1 - P_c).

    Parameters
    ----------
    network
        The shared bottom.
    """

    def __init__(self, network: PairNetwork):
        super().__init__(network)
        self.conversion_head = ConversionHead(network.width)
        self.amount_head = LogNormalHead(network.width)

    def start_heads(self, statistics: LabelStatistics) -> None:
        """Start at the base rate and at the mean and spread of the log amounts."""
        self.conversion_head.start_at(statistics.start_rate)
        self.amount_head.start_at(statistics)

    def outputs(self, hidden: Tensor) -> PairOutput:
        """Mu within the labels' 5 % to 95 % quantiles, sigma within `SIGMA_RANGE`."""
        parameters = self.amount_head.parameters_of(hidden, self.log_low, self.log_high)
        return PairOutput(self.conversion_head(hidden), *parameters)

    def log_negative(self, output: PairOutput) -> Tensor:
        """Log-likelihood of rows that did not convert, (N,)."""
        return zero_inflated(output.logit)

    def row_loss(self, output: PairOutput, labels: Labels) -> Tensor:
        """Negative log-likelihood of each row, (N,)."""
        positive = converted_loglik(*output, labels.log_amount, labels.has_amount)
        return -torch.where(labels.converted, positive, self.log_negative(output))

    def expected_loss(self, output: PairOutput, belief: PairOutput) -> Tensor:
        """Mean negative log-likelihood (N,) if what happens follows `belief`."""
        p = torch.sigmoid(belief.logit)
        amount = lognormal_cross_entropy(output.mu, output.sigma, belief.mu, belief.sigma)
        return p * (amount - logsigmoid(output.logit)) - (1 - p) * self.log_negative(output)
