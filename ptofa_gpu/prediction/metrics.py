"""What is measured of a model on log rows, as torchmetrics: states add up, so they work on any number of batches.

MSE and MAE are the paper's, in currency squared and currency per exposure. Do not rank models by MAE alone: with 1 %
conversions predicting 0 everywhere beats the truth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric
from torchmetrics.classification import BinaryAUROC


class BinaryLogLoss(Metric):
    """Mean of -log P(what happened), from logits, so that no P is ever 0 or 1."""

    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logit: Tensor, converted: Tensor) -> None:
        """Add rows: `logit` (N,), `converted` (N,) bool."""
        self.total += softplus(torch.where(converted, -logit, logit)).sum(dtype=torch.float64)
        self.count += logit.numel()

    def compute(self) -> Tensor:
        """The mean over all rows seen."""
        return self.total / self.count


class TotalRatio(Metric):
    """Sum of predictions over sum of outcomes: 1 where totals agree, nan where nothing happened.

    ``abs(ratio - 1)`` is the total-ratio error.
    """

    higher_is_better = None
    full_state_update = False
    predicted: Tensor
    observed: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predicted", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("observed", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, observed: Tensor) -> None:
        """Add rows: predictions and outcomes, (N,) each, in the same unit."""
        self.predicted += predicted.sum(dtype=torch.float64)
        self.observed += observed.sum(dtype=torch.float64)

    def compute(self) -> Tensor:
        """The ratio over all rows seen."""
        return torch.where(self.observed > 0, self.predicted / self.observed, torch.nan)


class LogitRange(Metric):
    """Largest minus smallest logit: near 0 for a model that says the same of everybody."""

    higher_is_better = None
    full_state_update = False
    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("low", torch.tensor(torch.inf), dist_reduce_fx="min")
        self.add_state("high", torch.tensor(-torch.inf), dist_reduce_fx="max")

    def update(self, logit: Tensor) -> None:
        """Add rows: `logit` (N,)."""
        self.low = torch.minimum(self.low, logit.min())
        self.high = torch.maximum(self.high, logit.max())

    def compute(self) -> Tensor:
        """The width of the range."""
        return self.high - self.low


class RevenueMetrics(nn.Module):
    """All of them together, on rows of an exposure log.

    ``auc``, ``log_loss`` : of conversion.  ``conversion_ratio`` : sum P / sum C.
    ``mse``, ``mae`` : of expected revenue, currency.  ``total_ratio`` : sum E / sum R, and ``total_ratio_error``.
    ``logit_range`` : largest minus smallest logit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.auc = BinaryAUROC()
        self.log_loss = BinaryLogLoss()
        self.conversion_ratio = TotalRatio()
        self.mse = MeanSquaredError()
        self.mae = MeanAbsoluteError()
        self.total_ratio = TotalRatio()
        self.logit_range = LogitRange()

    def update(self, logit: Tensor, revenue: Tensor, converted: Tensor, amount: Tensor) -> None:
        """Add rows; nothing is copied from the device.

        Parameters
        ----------
        logit, revenue
            Conversion logit and expected revenue in currency, (N,).
        converted, amount
            What happened, (N,) bool and currency.
        """
        self.auc.update(torch.sigmoid(logit), converted.long())
        self.log_loss.update(logit, converted)
        self.conversion_ratio.update(torch.sigmoid(logit), converted)
        self.mse.update(revenue, amount)
        self.mae.update(revenue, amount)
        self.total_ratio.update(revenue, amount)
        self.logit_range.update(logit)

    def compute(self) -> dict[str, float]:
        """Every metric by name; ``auc`` and the ratios are nan where no row converted."""
        values = {name: metric for name, metric in self.named_children() if isinstance(metric, Metric)}
        observed = float(self.conversion_ratio.observed)
        one_class = observed in (0.0, float(self.log_loss.count))
        out = {}
        for name, metric in values.items():
            out[name] = float("nan") if name == "auc" and one_class else float(metric.compute())
        out["total_ratio_error"] = abs(out["total_ratio"] - 1.0)
        return out

    def reset(self) -> None:
        """Forget all rows."""
        for metric in self.children():
            assert isinstance(metric, Metric)
            metric.reset()


def degeneracy(metrics: dict[str, float], conversions: float) -> str | None:
    """Say in words what is wrong with a model that these metrics show to be degenerate; None if nothing is.

    Parameters
    ----------
    metrics
        What `RevenueMetrics.compute` gave.
    conversions
        Number of conversions among the rows; a ratio is only called wrong beyond what chance explains.
    """
    ratio, logits = metrics["conversion_ratio"], metrics["logit_range"]
    if logits != logits:
        return "The model predicts nan: training diverged. Lower the learning rate."
    surprise = abs(ratio - 1.0) * conversions**0.5  # standard deviations, were the model right
    if surprise > 5.0 and not 1 / 3 <= ratio <= 3.0:
        return (
            f"The model predicts {ratio:.3g} times the conversions that happened on validation rows (sum P / sum C), "
            "so its expected revenues mean nothing, however good its AUC looks. Lower the learning rate; if "
            "counterfactual='density' is used, try 'censored' or method='ziln'."
        )
    if logits < 1e-3:
        return (
            "The model predicts the same conversion probability for every validation row: it has collapsed. Lower the "
            "learning rate, or check that the features vary."
        )
    return None
