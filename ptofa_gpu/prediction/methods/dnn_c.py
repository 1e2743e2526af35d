"""DNN-C: conversion alone, by binary cross-entropy on all exposures."""

from __future__ import annotations

import torch
from torch import Tensor

from ptofa_gpu.prediction.heads import ConversionHead
from ptofa_gpu.prediction.losses import conversion_nll
from ptofa_gpu.prediction.methods.base import Labels, LabelStatistics, PairOutput, RevenueMethod
from ptofa_gpu.prediction.networks import PairNetwork


class ConversionOnly(RevenueMethod):
    """What methods without an amount share: expected revenue is P_c times the mean amount of the training conversions.

    The mean amount is one number, so pairs keep the order of P_c, and a plan made from E is the one that the literature
    makes from P_c (the paper's "ESMM + HA"); only the unit is currency.
    """

    predicts_amount = False

    def with_mean_amount(self, logit: Tensor) -> PairOutput:
        """The logit, and everywhere the logarithm of the mean amount with no spread."""
        mean = self.mean_amount.log().to(logit.dtype)
        return PairOutput(logit, mean.expand_as(logit), torch.zeros_like(logit))

    def row_loss(self, output: PairOutput, labels: Labels) -> Tensor:
        """Cross-entropy of conversion, (N,)."""
        return conversion_nll(output.logit, labels.converted)

    def expected_loss(self, output: PairOutput, belief: PairOutput) -> Tensor:
        """Mean cross-entropy (N,) if conversions follow `belief`."""
        p = torch.sigmoid(belief.logit)
        return p * conversion_nll(output.logit, p >= 0) + (1 - p) * conversion_nll(output.logit, p < 0)


class DnnC(ConversionOnly):
    """One network, one conversion head.

    Parameters
    ----------
    network
        The shared bottom.
    """

    def __init__(self, network: PairNetwork):
        super().__init__(network)
        self.conversion_head = ConversionHead(network.width)

    def start_heads(self, statistics: LabelStatistics) -> None:
        """Start at the base rate."""
        self.conversion_head.start_at(statistics.start_rate)

    def outputs(self, hidden: Tensor) -> PairOutput:
        """The conversion logit, with the mean amount."""
        return self.with_mean_amount(self.conversion_head(hidden))
