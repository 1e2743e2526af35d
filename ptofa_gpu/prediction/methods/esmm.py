"""ESMM: conversion as a product of two steps over all exposures (Ma et al., 2018, arXiv 1804.07931)."""

from __future__ import annotations

import math

from torch import Tensor

from ptofa_gpu.prediction.heads import ConversionHead
from ptofa_gpu.prediction.losses import product_logit
from ptofa_gpu.prediction.methods.base import LabelStatistics, PairOutput
from ptofa_gpu.prediction.methods.dnn_c import ConversionOnly
from ptofa_gpu.prediction.networks import PairNetwork


class Esmm(ConversionOnly):
    """P_c = P(step one) P(step two | step one), two heads on shared embeddings, trained on all exposures.

    Parameters
    ----------
    network
        The shared bottom.

    Notes
    -----
    In the original the first step is a click with a label of its own. An exposure log has the conversion only, so here
    the first step is hidden and the product alone is trained: what is left of ESMM is its form.
    """

    def __init__(self, network: PairNetwork):
        super().__init__(network)
        self.interest_head = ConversionHead(network.width)
        self.purchase_head = ConversionHead(network.width)

    def start_heads(self, statistics: LabelStatistics) -> None:
        """Start both steps at the square root of the base rate."""
        rate = math.sqrt(statistics.start_rate)
        self.interest_head.start_at(rate)
        self.purchase_head.start_at(rate)

    def outputs(self, hidden: Tensor) -> PairOutput:
        """The logit of the product, with the mean amount."""
        return self.with_mean_amount(product_logit(self.interest_head(hidden), self.purchase_head(hidden)))
