"""DNN-R: revenue alone, by squared error on all exposures."""

from __future__ import annotations

import torch
from torch import Tensor

from ptofa_gpu.prediction.heads import AmountHead
from ptofa_gpu.prediction.losses import squared_error
from ptofa_gpu.prediction.methods.base import Labels, LabelStatistics, PairOutput, RevenueMethod
from ptofa_gpu.prediction.networks import PairNetwork

# "converts for certain": sigmoid is 1 and its logarithm 0 in float32, so revenue is the amount
_CERTAIN = 100.0


class DnnR(RevenueMethod):
    """One network, one revenue head: E itself, zeros included. There is no conversion probability, and so no AUC.

    Parameters
    ----------
    network
        The shared bottom.
    """

    predicts_conversion = False
    direct = True

    def __init__(self, network: PairNetwork):
        super().__init__(network)
        self.revenue_head = AmountHead(network.width)

    def start_heads(self, statistics: LabelStatistics) -> None:
        """Start at the mean revenue of an exposure."""
        self.revenue_head.start_at(statistics.base_rate * statistics.mean_amount)

    def outputs(self, hidden: Tensor) -> PairOutput:
        """Log revenue as an "amount" of a conversion that is certain."""
        log_revenue = self.revenue_head(hidden)
        return PairOutput(torch.full_like(log_revenue, _CERTAIN), log_revenue, torch.zeros_like(log_revenue))

    def row_loss(self, output: PairOutput, labels: Labels) -> Tensor:
        """Squared error of revenue in units of the median amount, (N,); 0 where the amount is not known."""
        return squared_error(output.mu, labels.revenue) * labels.known_revenue
