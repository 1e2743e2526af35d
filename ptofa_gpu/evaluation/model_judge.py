"""A model against the truth: over all pairs, over those that may be shown, and by what a plan made from it earns."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ptofa_gpu.datasets.base import ExposureData
    from ptofa_gpu.prediction.model import RevenueModel

_RANDOM_PLANS = 5


@dataclass(frozen=True)
class PairMarks:
    """How a model does on pairs whose truth is known.

    Attributes
    ----------
    ratio, ratio_eligible
        Sum E / sum E* over all pairs, and over those that may be shown.
    auc, auc_eligible
        Of P over the same pairs, with true probabilities for outcomes; nan without a conversion probability.
    decision_value
        (V - V_random) / (V_oracle - V_random), V the true revenue of the optimal plan made from E; nan where no plan is
        better than a random one.
    """

    ratio: float
    ratio_eligible: float
    auc: float
    auc_eligible: float
    decision_value: float

    def metrics(self) -> dict[str, float]:
        """Under the names a table of models has for them."""
        return {
            "auc_all_pairs": self.auc,
            "ratio_all_pairs": self.ratio,
            "auc_pairs": self.auc_eligible,
            "pairs_ratio": self.ratio_eligible,
            "decision_value": self.decision_value,
        }


class Judge:
    """What all models on the same data are measured against; computed once: truth, oracle's plan, random plans.

    Parameters
    ----------
    data
        With truth; without it there is nothing to call a judge for.
    """

    def __init__(self, data: ExposureData):
        self.data = data

    def __call__(self, model: RevenueModel) -> PairMarks:
        """Predict all pairs, and compare."""
        import torch

        from ptofa_gpu.prediction.metrics import TotalRatio, WeightedAUROC
        from ptofa_gpu.prediction.revenue import expected_revenue, predict_components

        assert self.data.truth is not None
        truth, sides = self.data.truth, (self.data.encoded_customers, self.data.encoded_funds)
        revenue = host(expected_revenue(model, *sides))
        p = host(predict_components(model, *sides).conversion) if model.net.predicts_conversion else None
        ratios, areas = [], []
        for pairs in (..., self.eligible):
            ratio = TotalRatio()
            ratio.update(torch.as_tensor(revenue[pairs]).flatten(), torch.as_tensor(truth.revenue[pairs]).flatten())
            ratios.append(float(ratio.compute()))
            area = math.nan
            if p is not None:
                of = WeightedAUROC()
                of.update(torch.as_tensor(p[pairs]).flatten(), torch.as_tensor(truth.conversion[pairs]).flatten())
                area = float(of.compute())
            areas.append(area)
        return PairMarks(ratios[0], ratios[1], areas[0], areas[1], self.decision_value(revenue))

    @cached_property
    def eligible(self) -> np.ndarray:
        """Which pairs may be shown, (U, F) bool."""
        assert self.data.truth is not None
        problem = self.data.problem(self.data.truth.revenue)
        return np.asarray(problem.eligible_rows(0, problem.n_customers))

    @cached_property
    def worth(self) -> tuple[float, float]:
        """True revenue of a random plan (the mean of some) and of the plan made from the truth, currency."""
        from ptofa_gpu.evaluation.baselines import random_funds

        assert self.data.truth is not None
        truth = self.data.truth.revenue
        problem = self.data.problem(truth)
        drawn = [_earned(truth, random_funds(problem, seed=s)) for s in range(_RANDOM_PLANS)]
        return statistics.fmean(drawn), self.planned(truth)

    def planned(self, revenue: Any) -> float:
        """True revenue of the optimal plan for predicted `revenue` (U, F)."""
        from ptofa_gpu.allocation.api import allocate

        assert self.data.truth is not None
        plan = allocate(self.data.problem(revenue), method="optimal", on_infeasible="relax")
        return _earned(self.data.truth.revenue, host(plan.funds))

    def decision_value(self, revenue: Any) -> float:
        """What planning by `revenue` gains, where the truth gains 1 and chance 0."""
        import torch

        from ptofa_gpu.prediction.metrics import DecisionValue

        decision = DecisionValue()
        decision.update(*(torch.tensor([v], dtype=torch.float64) for v in (self.planned(revenue), *self.worth)))
        return float(decision.compute())


def _earned(truth: np.ndarray, funds: np.ndarray) -> float:
    shown = funds >= 0
    return float(np.take_along_axis(truth, np.maximum(funds, 0).astype(np.int64), axis=1)[shown].sum(dtype=np.float64))


def host(array: Any) -> np.ndarray:
    """An array of any device as NumPy's."""
    from ptofa_gpu.device import to_device

    return np.asarray(to_device(array, "cpu"))
