import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ptofa_gpu.errors import InputError, PtofaWarning
from ptofa_gpu.prediction.calibration import calibrate, fit_platt
from ptofa_gpu.prediction.training import fit


def test_platt_finds_the_line_and_agrees_with_logistic_regression():
    rng = np.random.default_rng(0)
    logit = rng.normal(-3, 2, 40_000)
    converted = rng.random(40_000) < expit(0.6 * logit + 0.8)
    slope, intercept = fit_platt(logit, converted)
    plain = LogisticRegression(C=np.inf, tol=1e-8).fit(logit[:, None], converted)
    assert slope == pytest.approx(plain.coef_[0, 0], abs=2e-3)  # the targets' smoothing is all that differs
    assert intercept == pytest.approx(plain.intercept_[0], abs=2e-3)
    assert slope == pytest.approx(0.6, abs=0.03)


def test_separable_rows_keep_a_finite_slope():
    logit = np.linspace(-1, 1, 100)
    slope, intercept = fit_platt(logit, logit > 0)
    assert 0 < slope < 1e4
    assert np.isfinite(intercept)


def test_a_model_that_is_wrong_way_round_is_not_reversed():
    rng = np.random.default_rng(0)
    logit = rng.normal(size=2_000)
    slope, intercept = fit_platt(logit, rng.random(2_000) < expit(-logit - 1))
    assert slope == 1.0
    assert np.isfinite(intercept)


def test_platt_needs_both_outcomes():
    with pytest.raises(InputError, match="rows that converted and rows that did not"):
        fit_platt(np.zeros(3), np.ones(3, bool))


def test_calibrated_totals_match_validation(world, tmp_path):
    model = world.model(seed=3)
    module = world.module()
    fit(model, module, max_epochs=1, directory=tmp_path, progress=None, logger=None, calibration=False)
    assert not bool(model.calibration.fitted)
    result = calibrate(model, module)
    rows = model.predict_rows(module, "validation")
    p = expit(model.calibration.logit(torch.tensor(rows.logit)).numpy())
    assert p.sum() == pytest.approx(rows.converted.sum(), rel=0.02)
    expected = result.revenue_ratio * p * np.exp(rows.mu + rows.sigma**2 / 2)
    assert expected.sum() == pytest.approx(rows.amount.sum(), rel=1e-6)
    assert result.conversions == rows.converted.sum()
    assert bool(model.calibration.fitted)


def test_too_few_conversions_leave_the_model_as_it_is(world, tmp_path):
    from tests.prediction.conftest import World

    rare = World(seed=5, rate=0.004)
    model, module = rare.model(), rare.module()
    with pytest.warns(PtofaWarning, match="Not calibrated"):
        result = fit(model, module, max_epochs=1, directory=tmp_path, progress=None, logger=None)
    assert result.calibration is None
    assert float(model.calibration.slope) == 1.0
