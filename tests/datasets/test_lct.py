"""The synthetic worlds: same seed same data at any size, a truth that is true, quotas that can be met and bind."""

from __future__ import annotations

import importlib
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ptofa_gpu.datasets import ExposureData, lct
from ptofa_gpu.datasets._world import BLOCK
from ptofa_gpu.errors import InputError

WORLDS = [("A", 8), ("B", 4)]


@pytest.fixture(scope="module")
def worlds() -> dict[str, ExposureData]:
    # enough conversions for statements about rates: 40,000 x 3 exposures in the first week at 5 %
    return {kind: lct(kind, customers=40_000, seed=7, exposures=3, positive_rate=0.05) for kind, _ in WORLDS}


@pytest.mark.parametrize(("kind", "n_funds"), WORLDS)
def test_shape_and_schema(worlds: dict[str, ExposureData], kind: str, n_funds: int) -> None:
    data = worlds[kind]
    assert (data.n_customers, data.n_funds, data.currency) == (40_000, n_funds, "CNY")
    assert data.truth is not None
    assert data.truth.revenue.shape == (40_000, n_funds)
    assert data.truth.revenue.dtype == np.float32
    a = data.arrays
    assert a.zero_amount_conversions == 0
    assert "Synthetic" in data.note
    counts = np.bincount(a.split) / 40_000
    np.testing.assert_allclose(counts, [2.7, 0.3, 0.7], atol=0.02)
    assert data.log["day"][a.split == 2].min() == 7
    assert data.log["day"][a.split < 2].max() == 6
    assert data.encoded_customers.unseen == {}
    assert data.encoded_funds.unseen == {}


def test_same_seed_same_data_and_another_seed_another() -> None:
    one, two, other = lct("A", 300, seed=3), lct("A", 300, seed=3), lct("A", 300, seed=4)
    pd.testing.assert_frame_equal(one.log, two.log)
    pd.testing.assert_frame_equal(one.customers, two.customers)
    pd.testing.assert_frame_equal(one.funds, two.funds)
    assert one.schema == two.schema
    assert not one.customers["balance"].equals(other.customers["balance"])


def test_a_customer_does_not_depend_on_how_many_there_are() -> None:
    n = BLOCK + 100  # over the edge of a block
    small, large = lct("A", n, seed=5), lct("A", 2 * BLOCK + 7, seed=5)
    pd.testing.assert_frame_equal(small.customers, large.customers.head(n))
    kept = large.log["customer"] <= small.customers["customer"].max()
    pd.testing.assert_frame_equal(small.log, large.log[kept].reset_index(drop=True))
    assert small.truth is not None
    assert large.truth is not None
    np.testing.assert_array_equal(small.truth.revenue, large.truth.revenue[:n])


def test_truth_by_rows_is_the_truth_as_a_whole() -> None:
    truth = lct("B", BLOCK + 50, seed=2).truth
    assert truth is not None
    for lo, hi in ((0, 10), (BLOCK - 5, BLOCK + 5), (BLOCK, BLOCK + 50), (7, 7)):
        rows = truth.rows(lo, hi)
        for name in ("conversion", "mu", "sigma", "exposure", "revenue"):
            np.testing.assert_array_equal(getattr(rows, name), getattr(truth, name)[lo:hi])
    with pytest.raises(InputError, match="not within"):
        truth.rows(0, BLOCK + 51)


@pytest.mark.parametrize(("kind", "n_funds"), WORLDS)
def test_outcomes_follow_the_truth(worlds: dict[str, ExposureData], kind: str, n_funds: int) -> None:
    data = worlds[kind]
    a, truth = data.arrays, data.truth
    assert truth is not None
    # the first week has the rate asked for; the pilot that sets it is another sample of customers
    assert a.converted[a.split < 2].mean() == pytest.approx(0.05, rel=0.05)
    test = a.split == 2
    pair = a.customer[test], a.fund[test]
    p, won = truth.conversion[pair].astype(float), a.converted[test]
    # conversions: within four standard deviations of their sum, in all and in the upper half of P
    for part in (np.ones(len(p), bool), p > np.median(p)):
        spread = np.sqrt((p * (1 - p))[part].sum())
        assert abs(won[part].sum() - p[part].sum()) < 4 * spread
    # amounts: the standardised logarithms are standard normal
    z = (np.log(a.amount[test][won]) - truth.mu[pair][won]) / truth.sigma[pair][won]
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1.0, abs=0.1)
    # exposures: each fund is shown as often as its propensities say
    q = truth.exposure
    shown = np.bincount(a.fund[a.split < 2], minlength=n_funds)
    np.testing.assert_allclose(shown, 3 * q.sum(0), atol=4 * np.sqrt(3 * q.sum(0).max()))


@pytest.mark.parametrize("kind", ["A", "B"])
def test_exposure_is_biased_and_within_tolerance(worlds: dict[str, ExposureData], kind: str) -> None:
    data = worlds[kind]
    a, truth = data.arrays, data.truth
    assert truth is not None
    tolerance, risk = data.customers["tolerance"].to_numpy(), data.funds["risk"].to_numpy()
    assert (tolerance[a.customer] >= risk[a.fund]).all()
    assert set(tolerance) == {1, 2, 3, 4, 5}
    eligible = tolerance[:, None] >= risk
    assert truth.exposure[~eligible].max() == 0
    np.testing.assert_allclose(truth.exposure.sum(1), 1, rtol=1e-5)
    least = 0.1 / eligible.sum(1, keepdims=True)  # the overlap
    assert (truth.exposure >= np.where(eligible, least, 0) * 0.999).all()
    shown = truth.conversion[a.customer, a.fund].mean()
    assert shown > 1.15 * truth.conversion[eligible].mean()


@pytest.mark.parametrize("kind", ["A", "B"])
def test_who_is_shown_what_depends_on_what_the_log_shows_alone(kind: str) -> None:
    """Else no model of exposures could undo the bias."""
    data = lct(kind, 20_000, seed=3, exposure_bias=2.0)
    assert data.truth is not None
    seen = data.customers[["tolerance", "risk_score", "cash_share", "theme_views_30d"]]
    alike = [group for group in seen.groupby(list(seen.columns)).indices.values() if len(group) > 1]
    assert len(alike) > 30
    for group in alike:
        p = data.truth.exposure[group]
        np.testing.assert_allclose(p, np.broadcast_to(p[0], p.shape), rtol=1e-6)
    assert any(np.ptp(data.truth.conversion[group], axis=0).max() > 0.001 for group in alike)  # who buys is hidden


def test_the_bias_can_be_turned_off() -> None:
    blind = lct("A", 20_000, seed=7, exposure_bias=0.0, overlap=1.0)
    a, truth = blind.arrays, blind.truth
    assert truth is not None
    eligible = blind.customers["tolerance"].to_numpy()[:, None] >= blind.funds["risk"].to_numpy()
    np.testing.assert_allclose(truth.exposure, eligible / eligible.sum(1, keepdims=True), rtol=1e-5)
    uniform = (truth.conversion * truth.exposure).sum(1).mean()
    assert truth.conversion[a.customer, a.fund].mean() == pytest.approx(uniform, rel=0.05)


@pytest.mark.parametrize("kind", ["A", "B"])
def test_quotas_can_be_met_and_bind(worlds: dict[str, ExposureData], kind: str) -> None:
    data = worlds[kind]
    assert data.truth is not None
    problem = data.problem(data.truth.revenue)
    assert problem.case == "exact"
    assert problem.feasibility().ok
    wanted = np.where(problem.eligible, data.truth.revenue, -1.0).argmax(1)
    unbound = np.bincount(wanted, minlength=problem.n_funds)
    assert np.abs(unbound - problem.quota).sum() > 0.3 * problem.n_customers


@pytest.mark.parametrize("kind", ["A", "B"])
def test_features_tell_who_converts_but_not_all_of_it(worlds: dict[str, ExposureData], kind: str) -> None:
    linear, metrics = pytest.importorskip("sklearn.linear_model"), pytest.importorskip("sklearn.metrics")
    data = worlds[kind]
    a, truth = data.arrays, data.truth
    assert truth is not None
    customers = data.encoded_customers
    blocks = [np.eye(c.max() + 1)[c] for c in customers.categorical.T]
    person = np.hstack([*blocks, customers.numeric])

    def features(rows: np.ndarray) -> np.ndarray:
        fund = np.eye(data.n_funds)[a.fund[rows]]
        return np.hstack([person[a.customer[rows]], fund]).astype(np.float32)

    train, test = np.flatnonzero(a.split == 0)[::3], np.flatnonzero(a.split == 2)
    model = linear.LogisticRegression(max_iter=100).fit(features(train), a.converted[train])
    reached = metrics.roc_auc_score(a.converted[test], model.predict_proba(features(test))[:, 1])
    possible = metrics.roc_auc_score(a.converted[test], truth.conversion[a.customer[test], a.fund[test]])
    assert 0.68 < reached < possible - 0.01
    assert possible < 0.95


def test_amounts_have_a_long_tail_that_differs_by_customer(worlds: dict[str, ExposureData]) -> None:
    data = worlds["A"]
    assert data.truth is not None
    amount = data.arrays.amount[data.arrays.converted]
    assert amount.mean() > 1.5 * np.median(amount)
    assert data.truth.mu.std(0).min() > 0.5
    assert data.truth.sigma.std(0).min() > 0.05
    assert data.truth.sigma.max() <= 1.4


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", pytest.param("cudf", marks=pytest.mark.gpu)])
def test_every_backend_holds_the_same_data(backend: Any) -> None:
    data = lct("B", 800, seed=1, backend=backend)
    assert type(data.log).__module__.partition(".")[0] == importlib.import_module(backend).__name__
    reference = lct("B", 800, seed=1)
    for name in ("customer", "fund", "converted", "amount", "split"):
        np.testing.assert_array_equal(getattr(data.arrays, name), getattr(reference.arrays, name))
    np.testing.assert_array_equal(data.encoded_customers.numeric, reference.encoded_customers.numeric)
    np.testing.assert_array_equal(data.encoded_customers.categorical, reference.encoded_customers.categorical)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "C"}, "kind is 'C'"),
        ({"customers": 0}, "customers is 0"),
        ({"customers": 2.5}, "customers is 2.5"),
        ({"seed": -1}, "seed is -1"),
        ({"exposures": 0}, "exposures is 0"),
        ({"positive_rate": 0.9}, "positive_rate is 0.9"),
        ({"overlap": float("nan")}, "overlap is nan"),
        ({"drift": "much"}, "drift is 'much'"),
        ({"backend": "excel"}, "backend is 'excel'"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lct(**settings)


@pytest.mark.slow
def test_two_hundred_thousand_customers_take_seconds() -> None:
    start = time.perf_counter()
    data = lct("A")
    assert len(data.arrays) > 300_000
    assert time.perf_counter() - start < 20  # about 1.5 s on one core; the room is for a busy machine


def test_the_heading_is_for_readers() -> None:
    assert "<b>Exposure data: LCT A</b>" in lct("A", customers=500)._repr_html_()
