from dataclasses import replace

import numpy as np
import pandas as pd

import ptofa_gpu as ptofa
from ptofa_gpu.evaluation import calibrate, compare
from ptofa_gpu.reporting.story import allocation_summary, price_words, priority_by_rate
from ptofa_gpu.reporting.style import short_number


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
    assert len(price_words(plan)) == 3
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
    assert {f.label: f.value for f in s.figures}["Share of optimum"] == "100.00 %"
    assert [c.state for c in s.checks[:4]] == ["good"] * 4
    assert "and this one does" in s.checks[3].text
    assert any("earns 50 % of what is predicted" in c for c in s.caveats)
    assert any(c.startswith("The revenue of top-K (quotas ignored) cannot be had") for c in s.caveats)


def test_the_summary_does_not_praise_a_plan_that_breaks_quotas():
    data, comparison, calibration = case([80, 80, 80])
    s = allocation_summary(data, comparison, "topk", calibration)
    quota_check = next(c for c in s.checks if c.text.startswith("Quotas:"))
    assert quota_check.state == "bad"
    assert any("does not speak of it" in c.text and c.state == "warning" for c in s.checks)
    assert not any("synthetic" in c for c in s.caveats[:1])


def test_almost_the_optimum_is_not_called_the_optimum():
    from ptofa_gpu.evaluation._table import percent

    assert percent(0.99999, 2) == "< 100 %"
    assert percent(1.0, 2) == "100.00 %"
    assert percent(0.5, 2) == "50.00 %"
    assert percent(0.999, 0, sign=True) == "+100 %"
    assert percent(-0.031, 1, sign=True) == "-3.1 %"
    assert percent(float("nan")) == "—"


def test_a_plan_that_loses_is_warned_about_first():
    data, comparison, calibration = case([80, 80, 80])
    s = allocation_summary(data, comparison, "random", calibration)
    assert s.caveats[0].startswith("Optimum (reference) earns more than this plan: ")
    assert any(c.startswith("Manual earns more than this plan: ") for c in s.caveats)
    assert not any("Top-K" in c and "earns more" in c for c in s.caveats), "what breaks quotas is no rival"
    assert sum("In the synthetic world's truth" in c and "earns more" in c for c in s.caveats) == 3
    best = allocation_summary(data, comparison, "reference", calibration)
    assert not any("earns more" in c for c in best.caveats)


def test_the_check_of_predictions_does_not_call_wrong_tenths_right():
    data, comparison, _ = case([80, 80, 80])
    e = np.random.default_rng(0).lognormal(0, 1, 20_000)
    for predicted, state in ((e, "good"), (np.full_like(e, e.mean()) + e / 1e6, "warning")):
        calibration = calibrate(predicted, e, draws=50)
        check = allocation_summary(data, comparison, "reference", calibration).checks[4]
        assert f"{calibration.covered} of 10 tenths are right" in check.text
        assert check.state == state
    assert "low predictions are too high, high predictions are too low" in check.text
    few = allocation_summary(data, comparison, "reference", calibrate(e[:99], e[:99] * (e[:99] > 4), draws=50))
    assert "interval is wide" in few.checks[4].text
    assert few.checks[4].state == "warning"
    none = allocation_summary(data, comparison, "reference", calibrate(e, e * 0, draws=50))
    assert none.checks[4].text.startswith("Nothing was earned on the test rows")
    raw = allocation_summary(data, comparison, "reference", calibration, calibrated=False)
    assert "was not calibrated" in raw.checks[-1].text
    assert raw.checks[-1].state == "warning"


def test_predictions_are_judged_on_the_rows_they_are_said_to_be_judged_on():
    data, comparison, calibration = case([80, 80, 80])

    def check(splits):
        data.arrays.split = np.resize(np.array(splits, np.int8), len(data.arrays))
        return allocation_summary(data, comparison, "reference", calibration if max(splits) else None).checks[4]

    assert check([0, 1, 2]).text.startswith("On test rows, predicted revenue is")
    flattering = check([0, 1])
    assert flattering.text.startswith("On validation rows, predicted revenue is")
    assert "The log has no test rows" in flattering.text
    assert flattering.state == "warning"
    none = check([0])
    assert none.text.startswith("Predictions were not checked. All rows of the log are training rows")
    assert none.state == "warning"


def test_what_is_said_of_the_log_is_computed_from_it():
    data, comparison, calibration = case([80, 80, 80])
    s = allocation_summary(data, comparison, "reference", calibration)
    told = next(c for c in s.caveats if c.startswith("Revenue is predicted"))
    assert "33.3 % of all pairs" in told
    assert "of the exposures" not in told, "the funds were shown equally often"
    assert "does not say by what chance" in told


def test_empty_slots_are_not_promised():
    data, comparison, calibration = case([40, 60, 50])
    assert "(at most 1 a customer)" in allocation_summary(data, comparison, "reference", calibration).decision


def test_what_is_left_out_of_the_words_is_said_to_be_in_the_table():
    plan = case([40, 60, 50])[1].plans["reference"]
    words = price_words(plan, "EUR", most=1)
    assert words[-1] == "The other fund lies between these; the table lists all 3."
    assert not any("negative" in w for w in price_words(plan))
    plan.price = plan.price - plan.price.max()
    assert price_words(plan)[-1].startswith("A negative price marks")


def test_manual_work_that_loses_to_chance_is_told():
    data, comparison, calibration = case([80, 80, 80])

    def told() -> list[str]:
        caveats = allocation_summary(data, comparison, "reference", calibration).caveats
        return [c for c in caveats if c.startswith("Manual earns less than exposure at random")]

    assert told() == []
    rows = list(comparison.rows)
    place = {r.method: i for i, r in enumerate(rows)}
    manual, chance = rows[place["manual"]], rows[place["random"]]
    rows[place["manual"]] = replace(manual, true_revenue=chance.true_revenue - 1)
    comparison = replace(comparison, rows=rows)
    (words,) = told()
    assert " in the synthetic world's truth: " in words
    assert "look at the lift over random" in words
    rows[place["manual"]] = replace(manual, objective=chance.objective / 2)
    (words,) = told()
    assert f"at random: {short_number(chance.objective / 2)} against {short_number(chance.objective)} EUR." in words
