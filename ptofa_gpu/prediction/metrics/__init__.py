"""What is measured of a model, as torchmetrics: states add up or are joined, so batches and processes do not matter.

===============  =========================================================================
module           metrics
===============  =========================================================================
``sums``         log loss, total ratio, range of logits, effective sample size, decision value
``ranking``      weighted and within-group AUC, normalised Gini, rank correlation, lift
``bins``         calibration by bins of equal size, and the error they show
``revenue``      ``RevenueMetrics``: all that concerns rows of a log together; ``degeneracy``
===============  =========================================================================

What torchmetrics has is used from there: AUC, average precision, calibration error, MSE, MAE.
"""

from __future__ import annotations

from ptofa_gpu.prediction.metrics.bins import BinnedCalibration, EqualMassCalibrationError
from ptofa_gpu.prediction.metrics.ranking import (
    GroupedAUROC,
    NormalizedGini,
    RankCorrelation,
    TopLift,
    WeightedAUROC,
)
from ptofa_gpu.prediction.metrics.revenue import RevenueMetrics, degeneracy
from ptofa_gpu.prediction.metrics.sums import (
    BinaryLogLoss,
    DecisionValue,
    EffectiveSampleSize,
    LogitRange,
    TotalRatio,
)

__all__ = [
    "BinaryLogLoss",
    "BinnedCalibration",
    "DecisionValue",
    "EffectiveSampleSize",
    "EqualMassCalibrationError",
    "GroupedAUROC",
    "LogitRange",
    "NormalizedGini",
    "RankCorrelation",
    "RevenueMetrics",
    "TopLift",
    "TotalRatio",
    "WeightedAUROC",
    "degeneracy",
]
