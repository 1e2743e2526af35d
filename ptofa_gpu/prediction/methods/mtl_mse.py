"""MTL-MSE: the two tasks of ZILN, with a squared error in place of the log-normal likelihood."""

from __future__ import annotations

import torch
from torch import Tensor

from ptofa_gpu.prediction.heads import AmountHead, ConversionHead
from ptofa_gpu.prediction.losses import conversion_nll, squared_error
from ptofa_gpu.prediction.methods.base import Labels, LabelStatistics, PairOutput, RevenueMethod
from ptofa_gpu.prediction.networks import PairNetwork


class MtlMse(RevenueMethod):
    """Cross-entropy of conversion on all exposures plus squared error of the amount on conversions.

    Expected revenue is P_c times the predicted amount. What it shares with ZILN is everything but the loss of the
    amount, so the difference between the two is what the log-normal likelihood is worth.

    Parameters
    ----------
    network
        The shared bottom.
    """

    def __init__(self, network: PairNetwork):
        super().__init__(network)
        self.conversion_head = ConversionHead(network.width)
        self.amount_head = AmountHead(network.width)

    def start_heads(self, statistics: LabelStatistics) -> None:
        """Start at the base rate and at the mean amount of a conversion."""
        self.conversion_head.start_at(statistics.start_rate)
        self.amount_head.start_at(statistics.mean_amount)

    def outputs(self, hidden: Tensor) -> PairOutput:
        """The logit, and log(amount / scale) without a spread."""
        logit = self.conversion_head(hidden)
        return PairOutput(logit, self.amount_head(hidden), torch.zeros_like(logit))

    def row_loss(self, output: PairOutput, labels: Labels) -> Tensor:
        """Sum of both losses, (N,); a conversion without an amount teaches conversion only."""
        amount_loss = squared_error(output.mu, labels.revenue) * labels.has_amount
        return conversion_nll(output.logit, labels.converted) + amount_loss
