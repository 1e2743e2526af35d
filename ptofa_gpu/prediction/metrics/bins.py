"""Calibration in bins of equal size: with 1 % conversions, bins of equal width leave nearly all rows in the first."""

from __future__ import annotations

import torch
from torch import Tensor

from ptofa_gpu._arguments import whole
from ptofa_gpu.prediction.metrics.ranking import RowMetric, tie_groups, tie_means


class BinnedCalibration(RowMetric):
    """Mean prediction and mean outcome in bins of equal size, lowest predictions first.

    Parameters
    ----------
    bins
        Number of bins: 10 for deciles.

    Notes
    -----
    Rows with the same prediction share their mean outcome, so that it does not matter which of them falls into which
    bin.
    """

    higher_is_better: bool | None = None
    names = ("predicted", "observed")

    def __init__(self, bins: int = 10) -> None:
        super().__init__()
        self.bins = whole("bins", bins, 1)

    def update(self, predicted: Tensor, observed: Tensor) -> None:
        """Add rows: predictions and outcomes, in one unit and of one shape."""
        self._keep(predicted=predicted, observed=observed)

    def compute(self) -> Tensor:
        """(bins, 3) float64: rows, mean prediction, mean outcome; fewer bins where there are fewer rows."""
        predicted, observed = self._rows()
        n = predicted.numel()
        if not n:
            return torch.full((1, 3), torch.nan, dtype=torch.float64, device=predicted.device)
        bins = min(self.bins, n)
        order, group, size = tie_groups(predicted)
        outcome = tie_means(observed[order], group, len(size))
        which = torch.div(torch.arange(n, device=order.device) * bins, n, rounding_mode="floor")
        out = torch.zeros(bins, 3, dtype=torch.float64, device=order.device)
        rows = torch.stack([torch.ones_like(outcome), predicted[order].double(), outcome], dim=1)
        out.index_add_(0, which, rows)
        out[:, 1:] /= out[:, :1]
        return out


class EqualMassCalibrationError(BinnedCalibration):
    """Mean distance of prediction and outcome over bins of equal size: the expected calibration error.

    Parameters
    ----------
    bins
        Number of bins.
    relative
        Divide by the mean outcome: an error of 0.1 then is one of ten per cent, in any unit.
    """

    higher_is_better = False

    def __init__(self, bins: int = 10, relative: bool = False) -> None:
        super().__init__(bins)
        self.relative = bool(relative)

    def compute(self) -> Tensor:
        """The mean distance; nan without rows, or relative to nothing."""
        rows, predicted, observed = super().compute().unbind(1)
        share = rows / rows.sum()
        error = (share * (predicted - observed).abs()).sum()
        if not self.relative:
            return error
        mean = (share * observed).sum()
        return torch.where(mean > 0, error / mean, torch.nan)
