import numpy as np
import pytest

from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation import calibrate


def rows(n=20_000, seed=0):
    rng = np.random.default_rng(seed)
    e = rng.lognormal(0, 1, n)
    return e, (rng.random(n) < 0.05) * rng.exponential(e / 0.05)


def test_a_calibrated_prediction_is_covered_in_about_every_bin():
    e, y = rows()
    c = calibrate(e, y)
    assert c.covered >= 8
    assert c.ratio_low < 1 < c.ratio_high
    assert c.count.sum() == e.size
    assert np.all(np.diff(c.predicted) > 0)
    assert c.top_share > 0.25


def test_a_prediction_twice_too_high_is_caught():
    e, y = rows()
    c = calibrate(2 * e, y)
    assert c.ratio_low > 1.5
    assert c.covered <= 3


def test_what_is_not_right_is_told_by_side():
    e, y = rows()
    good = calibrate(e, y)
    assert good.state == "good"
    assert calibrate(2 * e, y).state == "warning"
    assert "low predictions are too high, high predictions are too high" in calibrate(2 * e, y).misses
    # right in total and wrong everywhere: the spread of the predictions is far too small
    flat = calibrate(e**0.1 * e.mean() / (e**0.1).mean(), y)
    assert flat.ratio_low < 1 < flat.ratio_high
    assert flat.is_tight
    assert flat.covered < 8
    assert flat.state == "warning"
    assert flat.misses == "low predictions are too high, high predictions are too low"
    assert calibrate(e, e).misses == ""


def test_a_wide_interval_of_the_total_is_not_good():
    e, y = rows(400)
    c = calibrate(e * y.sum() / e.sum(), y)
    assert c.ratio_low < 1 < c.ratio_high
    assert not c.is_tight
    assert c.state == "warning"


def test_frame_and_html():
    c = calibrate(*rows(500), bins=5, draws=20)
    assert list(c.to_frame()["rows"]) == [100] * 5
    assert c._repr_html_().count("<tr>") == 6


def test_no_earnings_at_all():
    c = calibrate(np.arange(10.0), np.zeros(10), bins=2, draws=10)
    assert np.isnan(c.ratio)
    assert np.isnan(c.top_share)
    assert c.state == "warning"


@pytest.mark.parametrize(
    ("p", "y", "bins", "words"),
    [
        (np.ones(5), np.ones(4), 2, "same rows"),
        (np.ones(5), np.ones(5), 6, "at least 6 rows"),
        (np.ones(5), np.ones(5), 0, "whole number of at least 1"),
        (np.array([1.0, np.nan]), np.ones(2), 1, "finite"),
    ],
)
def test_bad_input(p, y, bins, words):
    with pytest.raises(InputError, match=words):
        calibrate(p, y, bins=bins)
