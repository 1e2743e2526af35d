import numpy as np
import pandas as pd
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.errors import DataNotFoundError, InputError
from ptofa_gpu.evaluation.campaign import find_hillstrom, value_campaign


def campaign(n=3000, seed=0, propensity=True):
    """Two segments of customers; the arm that suits one's segment earns 3 a head, another earns 1."""
    rng = np.random.default_rng(seed)
    segment = rng.integers(0, 3, n)
    arm = rng.integers(0, 3, n)
    good = segment == arm
    bought = rng.random(n) < 0.5
    log = {
        "customer": np.arange(n),
        "fund": arm,
        "converted": bought,
        "amount": np.where(bought, np.where(good, 6.0, 2.0), 0.0),
        "split": np.array(["train", "validation", "test"])[rng.choice(3, n, p=[0.6, 0.1, 0.3])],
    }
    if propensity:
        log["propensity"] = np.full(n, 1 / 3)
    customers = pd.DataFrame({"customer": np.arange(n), "tolerance": 1, "segment": segment.astype(str)})
    funds = pd.DataFrame({"fund": [0, 1, 2], "risk": 1, "quota": n // 3, "name": ["red", "green", "blue"]})
    data = ptofa.datasets.base.ExposureData.from_frames(pd.DataFrame(log), customers, funds)
    return data, np.where(segment[:, None] == np.arange(3), 3.0, 1.0)


def test_a_plan_that_knows_the_customers_beats_the_best_arm_and_chance():
    data, revenue = campaign()
    v = value_campaign(data, revenue, draws=200)
    plan, best, chance = (v.table[name] for name in (v.planned, v.best_arm, v.random))
    assert plan.low < 3.0 < plan.high + 0.3
    assert best.value == pytest.approx(5 / 3, abs=0.35)
    assert chance.value == pytest.approx(5 / 3, abs=0.25)
    assert plan.beats_baseline
    test_rows = int((data.arrays.split == 2).sum())
    assert plan.rows == test_rows
    assert v.plan.exposures.sum() == test_rows
    assert v.plan.exposures.max() - v.plan.exposures.min() <= 1


def test_revenue_may_be_a_data_frame():
    data, revenue = campaign(600)
    a = value_campaign(data, pd.DataFrame(revenue), draws=20)
    assert a.table == value_campaign(data, revenue, draws=20).table


def test_data_without_propensities_cannot_be_valued():
    data, revenue = campaign(300, propensity=False)
    with pytest.raises(InputError, match="no propensities"):
        value_campaign(data, revenue)


def test_auto_never_downloads_and_leaves_the_environment_alone(monkeypatch):
    import os

    from ptofa_gpu import datasets

    seen = []

    def absent(seed=0):
        seen.append(os.environ.get("PTOFA_OFFLINE"))
        raise DataNotFoundError("not here")

    monkeypatch.setattr(datasets, "hillstrom", absent)
    monkeypatch.delenv("PTOFA_OFFLINE", raising=False)
    assert find_hillstrom("auto") is None
    assert seen == ["1"]
    assert "PTOFA_OFFLINE" not in os.environ
    with pytest.raises(DataNotFoundError):
        find_hillstrom("yes")
    assert seen == ["1", None]
    assert find_hillstrom("no") is None
    with pytest.raises(InputError, match="'auto', 'yes' or 'no'"):
        find_hillstrom("perhaps")
