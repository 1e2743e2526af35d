import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.utilities import dim_zero_sum

from ptofa_gpu.prediction.metrics import BinaryLogLoss, RevenueMetrics, TotalRatio, degeneracy

rng = np.random.default_rng(1)
LOGIT = rng.normal(-2, 2, 900).astype(np.float32)
CONVERTED = rng.random(900) < 1 / (1 + np.exp(-LOGIT))
REVENUE = rng.lognormal(2, 1, 900).astype(np.float32)
AMOUNT = np.where(CONVERTED, rng.lognormal(3, 1, 900), 0).astype(np.float32)


def measured(parts=3, converted=CONVERTED, amount=AMOUNT, logit=LOGIT):
    metrics = RevenueMetrics()
    for rows in np.array_split(np.arange(900), parts):
        metrics.update(*(torch.tensor(x[rows]) for x in (logit, REVENUE, converted, amount)))
    return metrics.compute()


def test_they_agree_with_scikit_learn():
    ours, p = measured(), 1 / (1 + np.exp(-LOGIT.astype(np.float64)))
    assert ours["auc"] == pytest.approx(sk.roc_auc_score(CONVERTED, LOGIT), abs=1e-5)
    assert ours["log_loss"] == pytest.approx(sk.log_loss(CONVERTED, p), rel=1e-6)
    assert ours["mse"] == pytest.approx(sk.mean_squared_error(AMOUNT, REVENUE), rel=1e-5)
    assert ours["mae"] == pytest.approx(sk.mean_absolute_error(AMOUNT, REVENUE), rel=1e-5)
    assert ours["conversion_ratio"] == pytest.approx(p.sum() / CONVERTED.sum(), rel=1e-6)
    assert ours["total_ratio"] == pytest.approx(REVENUE.sum() / AMOUNT.sum(), rel=1e-5)
    assert ours["total_ratio_error"] == pytest.approx(abs(ours["total_ratio"] - 1))
    assert ours["logit_range"] == pytest.approx(float(np.ptp(LOGIT)), rel=1e-6)


def test_batches_do_not_matter_and_reset_forgets():
    one, many = measured(1), measured(7)
    assert one == pytest.approx(many, rel=1e-5)
    metric = TotalRatio()
    metric.update(torch.tensor([2.0]), torch.tensor([1.0]))
    metric.reset()
    metric.update(torch.tensor([3.0]), torch.tensor([1.0]))
    assert float(metric.compute()) == 3.0


def test_states_of_two_processes_add_up():
    halves = [TotalRatio(), TotalRatio()]
    for metric, rows in zip(halves, (slice(0, 400), slice(400, None)), strict=True):
        metric.update(torch.tensor(REVENUE[rows]), torch.tensor(AMOUNT[rows]))
        assert all(metric._reductions[name] is dim_zero_sum for name in metric._defaults)  # what DDP does with them
    total = sum(m.predicted for m in halves) / sum(m.observed for m in halves)
    assert float(total) == pytest.approx(REVENUE.sum() / AMOUNT.sum(), rel=1e-5)


def test_log_loss_stays_finite_for_certain_and_wrong():
    metric = BinaryLogLoss()
    metric.update(torch.tensor([100.0, -100.0]), torch.tensor([False, True]))
    assert float(metric.compute()) == pytest.approx(100.0)


def test_without_conversions_auc_and_ratios_are_nan():
    ours = measured(converted=np.zeros(900, bool), amount=np.zeros(900, np.float32))
    assert all(math.isnan(ours[name]) for name in ("auc", "conversion_ratio", "total_ratio"))
    assert math.isfinite(ours["log_loss"])


@pytest.mark.parametrize(
    ("ratio", "logit_range", "conversions", "word"),
    [
        (84.0, 5.0, 200.0, "sum P / sum C"),
        (0.1, 5.0, 200.0, "sum P / sum C"),
        (1.0, 0.0, 200.0, "collapsed"),
        (1.0, float("nan"), 200.0, "diverged"),
        (4.0, 5.0, 2.0, None),  # two conversions: chance explains it
        (1.4, 5.0, 10_000.0, None),  # biased, not degenerate
    ],
)
def test_degenerate_models_are_named(ratio, logit_range, conversions, word):
    said = degeneracy({"conversion_ratio": ratio, "logit_range": logit_range}, conversions)
    assert (said is None) if word is None else (said is not None and word in said)
