import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ptofa_gpu.errors import InputError, PtofaWarning
from ptofa_gpu.prediction.calibration import calibrate, fit_platt, total_ratio
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
    model = world.model(seed=3, debias=None)
    module = world.module()
    fit(model, module, max_epochs=1, directory=tmp_path, progress=None, logger=None, calibration=False)
    assert not bool(model.calibration.fitted)
    result = calibrate(model, module)
    rows = model.predict_rows(module, "validation")
    p = expit(model.calibration.logit(torch.tensor(rows.logit)).numpy())
    assert p.sum() == pytest.approx(rows.converted.sum(), rel=0.02)
    expected = p * np.exp(rows.mu + rows.sigma**2 / 2)
    assert result.revenue_ratio == pytest.approx(total_ratio(rows.amount, expected, np.ones(len(p))), rel=1e-6)
    assert result.conversions == rows.converted.sum()
    assert bool(model.calibration.fitted)


def test_a_ratio_that_stands_out_is_taken_and_one_within_its_error_is_not():
    rng = np.random.default_rng(0)
    expected = rng.lognormal(size=200_000)
    amount = expected * np.where(rng.random(200_000) < 0.01, 100.0, 0.0) * rng.lognormal(-0.5, 1.0, 200_000)
    ones = np.ones(200_000)
    raw = amount.sum() / (3 * expected.sum())
    assert total_ratio(amount, 3 * expected, ones) == pytest.approx(raw, rel=0.02)
    few = slice(0, 5_000)
    assert 0.1 < abs(np.log(amount[few].sum() / expected[few].sum())) < 0.4  # what fifty conversions make of 1
    assert abs(np.log(total_ratio(amount[few], expected[few], ones[few]))) < 0.1
    weight = np.where(np.arange(200_000) < 100_000, 2.0, 0.0)
    half = slice(0, 100_000)
    assert total_ratio(amount, 3 * expected, weight) == pytest.approx(
        total_ratio(amount[half], 3 * expected[half], ones[half])
    )


def test_weighted_platt_is_platt_on_repeated_rows():
    rng = np.random.default_rng(1)
    logit = rng.normal(-1, 2, 3_000)
    converted = rng.random(3_000) < expit(0.6 * logit + 0.8)
    times = rng.integers(1, 4, 3_000)
    plain = fit_platt(np.repeat(logit, times), np.repeat(converted, times))
    assert fit_platt(logit, converted, weight=times.astype(float)) == pytest.approx(plain, abs=2e-3)


@pytest.mark.parametrize(
    ("rate", "debias", "words"), [(0.004, None, "Not calibrated"), (0.002, "adjust", "Not adjusted")]
)
def test_too_few_conversions_leave_the_model_as_it_is(tmp_path, rate, debias, words):
    from tests.prediction.conftest import World

    rare = World(seed=5, rate=rate)
    model, module = rare.model(debias=debias), rare.module()
    with pytest.warns(PtofaWarning, match=words):
        result = fit(model, module, max_epochs=1, directory=tmp_path, progress=None, logger=None)
    assert result.calibration is None
    assert float(model.calibration.slope) == 1.0
    assert debias is None or not bool(model.adjustment.fitted)
