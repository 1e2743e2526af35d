"""All that is measured on rows of an exposure log, together, and what it shows to be wrong with a model.

MSE and MAE are the paper's, in currency squared and currency per exposure. Do not rank models by MAE alone: with 1 %
conversions predicting 0 everywhere beats the truth.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision, BinaryCalibrationError

from ptofa_gpu.prediction.degeneracy import degeneracy as degeneracy
from ptofa_gpu.prediction.metrics.bins import EqualMassCalibrationError
from ptofa_gpu.prediction.metrics.ranking import GroupedAUROC, NormalizedGini, RankCorrelation, TopLift
from ptofa_gpu.prediction.metrics.sums import BinaryLogLoss, LogitRange, Outcomes, TotalRatio


class RevenueMetrics(nn.Module):
    """All of them together, on rows of an exposure log.

    Parameters
    ----------
    full
        Also those that are wanted once a model is trained, marked * below.

    Notes
    -----
    ``auc``, ``log_loss`` : of conversion.  ``conversion_ratio`` : sum P / sum C.
    ``mse``, ``mae`` : of expected revenue, currency squared and currency.  ``total_ratio`` : sum E / sum R, and
    ``total_ratio_error``.  ``logit_range`` : largest minus smallest logit.
    ``average_precision``* ; ``auc_within``* : AUC within each fund, where funds are given.
    ``ece``* : expected calibration error of P in 15 bins of equal width; ``ece_deciles``* : in ten of equal size.
    ``gini``*, ``spearman``*, ``lift``* : normalised Gini, rank correlation, and lift of the top tenth, of E against R.
    ``calibration``* : distance of E and R over ten bins of equal size, relative to the mean of R.
    """

    def __init__(self, full: bool = False) -> None:
        super().__init__()
        # nothing is validated: outcomes come checked from the log, and each check would wait for the device
        self.auc = BinaryAUROC(validate_args=False)
        self.log_loss = BinaryLogLoss()
        self.conversion_ratio = TotalRatio()
        self.mse = MeanSquaredError()
        self.mae = MeanAbsoluteError()
        self.total_ratio = TotalRatio()
        self.logit_range = LogitRange()
        self.outcomes = Outcomes()
        self.full = full
        if full:
            self.average_precision = BinaryAveragePrecision(validate_args=False)
            self.auc_within = GroupedAUROC()
            self.ece = BinaryCalibrationError(n_bins=15, norm="l1", validate_args=False)
            self.ece_deciles = EqualMassCalibrationError()
            self.gini = NormalizedGini()
            self.spearman = RankCorrelation()
            self.lift = TopLift(0.1)
            self.calibration = EqualMassCalibrationError(relative=True)

    def update(
        self, logit: Tensor, revenue: Tensor, converted: Tensor, amount: Tensor, fund: Tensor | None = None
    ) -> None:
        """Add rows; nothing is copied from the device.

        Parameters
        ----------
        logit, revenue
            Conversion logit and expected revenue in currency, (N,).
        converted, amount
            What happened, (N,) bool and currency.
        fund
            Which fund, (N,) integers; for ``auc_within``.
        """
        p, happened = torch.sigmoid(logit), converted.long()
        self.auc.update(p, happened)
        self.log_loss.update(logit, converted)
        self.conversion_ratio.update(p, converted)
        self.mse.update(revenue, amount)
        self.mae.update(revenue, amount)
        self.total_ratio.update(revenue, amount)
        self.logit_range.update(logit)
        self.outcomes.update(converted)
        if self.full:
            self.average_precision.update(p, happened)
            self.ece.update(p, happened)
            self.ece_deciles.update(p, converted)
            if fund is not None:
                self.auc_within.update(logit, converted, fund)
            for metric in (self.gini, self.spearman, self.lift, self.calibration):
                metric.update(revenue, amount)

    @property
    def conversions(self) -> float:
        """Conversions among the rows this process saw."""
        return float(self.outcomes.conversions)

    def compute(self) -> dict[str, float]:
        """Every metric by name; ``auc`` and the ratios are nan where no row converted.

        Where several processes share the rows each of them must call it: all metrics are joined, in the same order.
        """
        named = {name: metric for name, metric in self.named_children() if isinstance(metric, Metric)}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*samples in targets.*")  # of one outcome only: nan, below
            warnings.filterwarnings("ignore", message=".*``compute`` method of metric.*")  # funds were not given
            values = {name: metric.compute() for name, metric in named.items()}
        rows, conversions = values.pop("outcomes").tolist()
        out = {name: float(value) for name, value in values.items()}
        if conversions in (0.0, rows):
            out |= {name: float("nan") for name in ("auc", "average_precision") if name in out}
        out["total_ratio_error"] = abs(out["total_ratio"] - 1.0)
        return out

    def reset(self) -> None:
        """Forget all rows."""
        for metric in self.children():
            assert isinstance(metric, Metric)
            metric.reset()
