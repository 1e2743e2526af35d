"""Shared-Bottom: one representation, a conversion tower and a revenue tower (Caruana, 1997)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ptofa_gpu.errors import InputError
from ptofa_gpu.prediction.heads import AmountHead, ConversionHead
from ptofa_gpu.prediction.losses import conversion_nll, log1p_squared_error, squared_error
from ptofa_gpu.prediction.methods.base import Labels, LabelStatistics, PairOutput, RevenueMethod
from ptofa_gpu.prediction.networks import PairNetwork

LABELS = ("raw", "log1p")


class SharedBottom(RevenueMethod):
    """Cross-entropy of conversion plus squared error of revenue, both on all exposures, zeros included.

    Parameters
    ----------
    network
        The shared bottom.
    label
        "raw" regresses amount / median as the weak baseline of the literature does, and a few large amounts decide.
        "log1p" regresses log(1 + amount / median): a strong baseline for the order of customers, but its inverse is
        below the mean, so its totals need the calibration.

    Notes
    -----
    Revenue is an output of its own, in no relation to P_c: `mu` is log(revenue / P_c), an amount that would explain it.
    """

    direct = True

    def __init__(self, network: PairNetwork, label: str = "raw"):
        super().__init__(network)
        if label not in LABELS:
            raise InputError(f"Unknown label {label!r}: choose 'raw' or 'log1p'.")
        self.label = label
        self.conversion_head = ConversionHead(network.width)
        self.revenue_head = AmountHead(network.width)

    def start_heads(self, statistics: LabelStatistics) -> None:
        """Start at the base rate and at the mean label of an exposure."""
        self.conversion_head.start_at(statistics.start_rate)
        typical = statistics.mean_amount if self.label == "raw" else math.exp(statistics.log_mean)
        self.revenue_head.start_at(statistics.base_rate * typical)

    def towers(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Conversion logit and log revenue."""
        return self.conversion_head(hidden), self.revenue_head(hidden)

    def outputs(self, hidden: Tensor) -> PairOutput:
        """The logit, and the amount that makes P_c times amount the predicted revenue."""
        logit, log_revenue = self.towers(hidden)
        return PairOutput(logit, log_revenue - logsigmoid(logit), torch.zeros_like(logit))

    def row_loss(self, output: PairOutput, labels: Labels) -> Tensor:
        """Sum of both tasks' losses, (N,); a conversion without an amount teaches conversion only."""
        log_revenue = output.mu + logsigmoid(output.logit)
        error = squared_error if self.label == "raw" else log1p_squared_error
        revenue_loss = error(log_revenue, labels.revenue) * labels.known_revenue
        return conversion_nll(output.logit, labels.converted) + revenue_loss
