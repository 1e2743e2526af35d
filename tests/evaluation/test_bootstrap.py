import numpy as np
import pytest

from ptofa_gpu.evaluation import bootstrap
from ptofa_gpu.evaluation.bootstrap import bootstrap_sums, percentile_interval


def test_spread_of_the_mean_is_its_standard_error():
    rng = np.random.default_rng(0)
    x = rng.exponential(1.0, 3000)
    sums = bootstrap_sums(np.column_stack([x, np.ones_like(x)]), draws=2000, seed=1)
    means = sums[:, 0] / sums[:, 1]
    assert means.mean() == pytest.approx(x.mean(), abs=0.005)
    assert means.std() == pytest.approx(x.std() / np.sqrt(x.size), rel=0.08)


def test_blocks_do_not_change_the_draws(monkeypatch):
    x = np.random.default_rng(0).integers(0, 9, (50, 2)).astype(float)
    whole = bootstrap_sums(x, draws=40, seed=3)
    monkeypatch.setattr(bootstrap, "_BLOCK_BYTES", 16 * 50 * 7)
    assert np.array_equal(whole, bootstrap_sums(x, draws=40, seed=3))


def test_interval_is_central_and_ignores_empty_resamples():
    samples = np.append(np.linspace(0, 1, 1001), np.nan)
    assert percentile_interval(samples, 0.9) == pytest.approx((0.05, 0.95))
    assert all(np.isnan(percentile_interval(np.array([np.nan]), 0.9)))
