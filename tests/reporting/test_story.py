import numpy as np
import pandas as pd

import ptofa_gpu as ptofa
from ptofa_gpu.evaluation import calibrate, compare
from ptofa_gpu.reporting.story import allocation_summary, price_words, priority_by_rate


def case(quota, k=1, n=240):
    rng = np.random.default_rng(0)
    log = pd.DataFrame(
        {"customer": np.arange(n), "fund": np.arange(n) % 3, "converted": rng.random(n) < (np.arange(n) % 3 + 1) / 5}
    )
    log["amount"] = np.where(log["converted"], 10.0, 0.0)
    customers = pd.DataFrame({"customer": np.arange(n), "tolerance": 3, "age": rng.random(n)})
    funds = pd.DataFrame({"fund": [0, 1, 2], "risk": 1, "quota": quota, "name": ["<i>a</i>", "b", "c"]})
    data = ptofa.datasets.base.ExposureData.from_frames(log, customers, funds, name="mine", currency="EUR")
    revenue = rng.random((n, 3)) * [4, 2, 1]
    methods = ("reference", "heuristic", "manual", "topk", "random")
    comparison = compare(data.problem(revenue, k=k), methods, truth=revenue / 2)
    return data, comparison, calibrate(rng.random(n), rng.random(n), draws=50)


def test_manual_work_starts_with_the_fund_that_converts_best():
    assert priority_by_rate(case([80, 80, 80])[0]) == [2, 1, 0]


def test_a_price_is_what_one_more_exposure_changes():
    quota = np.array([40, 60, 50])  # slots are left, so a quota can grow alone
    plan = case(quota)[1].plans["reference"]
    for f in range(3):
        more = case(quota + np.eye(3, dtype=int)[f])[1].plans["reference"]
        less = case(quota - np.eye(3, dtype=int)[f])[1].plans["reference"]
        assert more.objective - plan.objective - 1e-4 <= plan.price[f] <= plan.objective - less.objective + 1e-4
    assert all(w.startswith("One more exposure of") and "in place of" not in w for w in price_words(plan, "EUR"))


def test_prices_are_told_as_exchanges_where_the_slots_are_full():
    plan = case([80, 80, 80])[1].plans["reference"]
    cheapest = plan.problem.names[int(np.argmin(plan.price))]
    words = price_words(plan, "EUR")
    assert len(words) == 2
    assert all(f"in place of one of {cheapest} is worth" in w for w in words)
    plan.price = None
    assert price_words(plan) == ["This method proves no shadow prices."]


def test_the_summary_of_a_complete_plan():
    data, comparison, calibration = case([80, 80, 80])
    s = allocation_summary(data, comparison, "reference", calibration, synthetic=True)
    assert "240 exposures of 3 funds are given to 240 customers (1 a customer)" in s.decision
    assert {f.label: f.value for f in s.figures}["Share of the optimum"] == "100.00%"
    assert [c.state for c in s.checks[:4]] == ["good"] * 4
    assert "and this one does" in s.checks[3].text
    assert any("earns 50% of what is predicted" in c for c in s.caveats)
    assert any(c.startswith("Revenue of topk cannot be had") for c in s.caveats)


def test_the_summary_does_not_praise_a_plan_that_breaks_quotas():
    data, comparison, calibration = case([80, 80, 80])
    s = allocation_summary(data, comparison, "topk", calibration)
    quota_check = next(c for c in s.checks if c.text.startswith("Quotas:"))
    assert quota_check.state == "bad"
    assert any("does not speak of it" in c.text and c.state == "warning" for c in s.checks)
    assert not any("synthetic" in c for c in s.caveats[:1])


def test_almost_the_optimum_is_not_called_the_optimum():
    from ptofa_gpu.reporting.story import _percent

    assert _percent(0.99999) == "< 100 %"
    assert _percent(1.0) == "100.00%"
    assert _percent(0.5) == "50.00%"
