"""Simulated A/B tests: the arithmetic, what intervals promise, and that the truth comes out."""

import numpy as np
import pytest

from ptofa_gpu import AllocationProblem
from ptofa_gpu.datasets import lct
from ptofa_gpu.datasets.truth import Truth, TruthRows
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._share import share_of_quota, subproblem
from ptofa_gpu.evaluation.ab_test import ABTest, Arm, Lift, _resampled, ab_test


def world(n=4000, chance=0.2, better=2.0):
    """Two funds, the second `better` times as likely to be bought; amounts of e^(1 + 0.5^2 / 2) on average."""

    def rows(lo, hi):
        ones = np.ones((hi - lo, 2), np.float32)
        return TruthRows(ones * np.float32([chance, chance * better]), ones, ones * 0.5, ones / 2)

    return Truth(n, 2, rows)


def arms(n=4000):
    first = np.tile(np.float32([2, 1]), (n, 1))
    return {"first": Arm(first, "topk"), "second": Arm(first[:, ::-1].copy(), "topk")}


def test_the_figures_follow_from_what_happened():
    truth = world()
    problem = AllocationProblem(truth.revenue, quota=[2000, 2000])
    test = ab_test(problem, truth, arms(), name="P1", seed=3, draws=400, device="cpu")
    a, b = test.arms
    assert (a.customers, b.customers, a.exposures, b.exposures) == (2000, 2000, 2000, 2000)
    for arm in test.arms:
        assert arm.cpme == pytest.approx(1000 * arm.conversions / arm.exposures)
        assert arm.rpme == pytest.approx(1000 * arm.revenue / arm.exposures)
        assert arm.cpme_low < arm.cpme < arm.cpme_high
    assert a.true_cpme == pytest.approx(200)
    assert b.true_cpme == pytest.approx(400)
    lift = test.lift("second", "cpme")
    assert lift.true == pytest.approx(1.0)
    assert lift.lift == pytest.approx(b.cpme / a.cpme - 1)
    assert lift.verdict == "better"
    assert lift.low < 1.0 < lift.high
    assert set(test.to_frame()["arm"]) == {"first", "second"}
    assert "better. This test finds a lift of " in test.words()[0]
    assert "P1" in test._repr_html_()
    again = ab_test(problem, truth, arms(), name="P1", seed=3, draws=400, device="cpu")
    assert again.arms == test.arms
    assert again.lifts == test.lifts


def test_each_customer_is_in_one_arm_and_has_its_share_of_the_quotas():
    data = lct("A", customers=3001, seed=1)
    problem = data.problem(data.truth.revenue)
    three = {name: Arm(data.truth.revenue, "optimal") for name in "abc"}
    test = ab_test(problem, data.truth, three, draws=20, device="cpu")
    assert sum(a.customers for a in test.arms) == 3001
    for plan in test.plans.values():
        plan.verify()
        assert np.abs(plan.problem.quota - problem.quota * plan.problem.n_customers / 3001).max() < 1
    assert {x.arm for x in test.lifts} == {"b", "c"}


def test_intervals_hold_the_true_lift_about_as_often_as_they_say():
    truth = world(3000, chance=0.1, better=1.3)
    problem = AllocationProblem(truth.revenue, quota=[1500, 1500])
    held = 0
    for seed in range(60):
        x = ab_test(problem, truth, arms(3000), seed=seed, draws=200, device="cpu").lift("second", "cpme")
        held += x.low <= x.true <= x.high
    assert held >= 51  # 95 % of 60 is 57; fewer than 51 happens once in some thousand times


def test_the_detectable_lift_is_detected_in_about_four_of_five_tests():
    chance = 0.1
    truth = world(3000, chance=chance)
    problem = AllocationProblem(truth.revenue, quota=[1500, 1500])
    detectable = np.mean(
        [ab_test(problem, world(3000, chance, 1.0), arms(3000), seed=s, draws=200, device="cpu").lifts[0].detectable
         for s in range(5)]
    )  # fmt: skip
    truth = world(3000, chance, 1 + float(detectable))
    found = [ab_test(problem, truth, arms(3000), seed=s, draws=200, device="cpu").lifts[0].low > 0 for s in range(60)]
    assert 0.6 <= np.mean(found) <= 0.95


@pytest.mark.parametrize(
    ("lift", "low", "high", "detectable", "true", "words"),
    [
        # too small a test for a lift that is there: (0.1 / 0.04)^2 = 6.25, and where one is nearly enough
        (0.03, -0.04, 0.10, 0.10, 0.04, "finding that in four of five cases takes 6.3 times as many customers."),
        (0.03, -0.04, 0.10, 0.10, -0.04, "the true one is -4.0 %, and finding that in four of five cases takes 6.3"),
        (0.03, -0.04, 0.10, 0.10, 0.0999, "takes 1.1 times as many"),
        (0.03, -0.04, 0.10, 0.10, 0.001, "takes 10,000 times as many"),
        # large enough a test, by chance without a finding
        (0.03, -0.04, 0.10, 0.10, 0.25, "the true one is +25.0 %, which it finds more often than that: here chance"),
        (0.03, -0.04, 0.10, 0.10, 0.10, "here chance hid it."),
        # nothing to find
        (0.03, -0.04, 0.10, 0.10, 0.0, "the true one is as good as none, so there is next to nothing to find."),
        (0.03, -0.04, 0.10, 0.10, -1e-9, "the true one is as good as none, so there is next to nothing to find."),
        # findings, right and wrong
        (0.20, 0.05, 0.35, 0.10, 0.15, "in four of five cases; the true one is +15.0 %."),
        (0.20, 0.05, 0.35, 0.10, 0.0, "the true one is as good as none, so chance made this one."),
        (0.20, 0.05, 0.35, 0.10, -0.02, "the true one is -2.0 %, so chance made this one."),
        (-0.2, -0.35, -0.05, 0.10, 0.02, "the true one is +2.0 %, so chance made this one."),
        (-0.2, -0.35, -0.05, 0.10, -0.2, "the true one is -20.0 %."),
        (np.nan, np.nan, np.nan, np.nan, 0.1, "P9, CPME: new has no lift: nobody converted in old"),
    ],
)  # fmt: skip
def test_the_words_on_power_fit_what_is_true(lift, low, high, detectable, true, words):
    test = ABTest("P9", (), "old", (Lift("new", "cpme", lift, low, high, detectable, true),), 0.95, {})
    (told,) = test.words()
    assert words in told
    for nonsense in ("inf", "nan", "—", " 0 times", "-0.0", "+0.0"):
        assert nonsense not in told.replace(f"new {lift:+.1%}", "")
    assert ("as many customers" in told) == (test.lifts[0].verdict == "open" and 0.0005 < abs(true) < detectable)
    assert test.lifts[0].times_larger >= 1 or np.isnan(lift)


def test_a_campaign_in_which_nobody_can_convert_has_no_lift():
    truth = world(200, chance=0.0)
    problem = AllocationProblem(np.ones((200, 2), np.float32), quota=[100, 100])
    test = ab_test(problem, truth, arms(200), draws=20, device="cpu")
    assert all(np.isnan(x.lift) and x.verdict == "open" for x in test.lifts)
    assert "has no lift" in test.words()[0]
    assert "—" in test._repr_html_()


def test_resampling_quiet_customers_at_once_has_the_right_moments():
    per = np.zeros((5000, 3))
    per[:, 2] = 1 + (np.arange(5000) % 3)
    per[:100, 0], per[:100, 1] = 1, 10.0
    sums = _resampled(per, 3000, np.random.default_rng(0))
    assert sums.mean(axis=0) == pytest.approx(per.sum(axis=0), rel=0.02)
    assert sums.var(axis=0) == pytest.approx((per**2).sum(axis=0), rel=0.1)


def test_shares_of_quotas_add_up():
    for part in (0, 1, 7, 50, 99, 100):
        share = share_of_quota([33, 33, 34], part, 100)
        assert share.sum() == part
    with pytest.raises(InputError, match="makes no sense"):
        share_of_quota([1], 3, 2)


def test_a_subproblem_is_of_its_customers():
    e = np.arange(24, dtype=np.float32).reshape(6, 4)
    eligible = np.ones((6, 4), bool)
    eligible[4, 2] = False
    whole = AllocationProblem(e, [2, 2, 1, 1], tolerance=[1, 2, 3, 1, 2, 3], risk=[1, 1, 2, 3], eligible=eligible)
    part = subproblem(whole, np.array([1, 4]))
    assert np.array_equal(part.host_revenue(), e[[1, 4]])
    assert part.tolerance.tolist() == [2, 2]
    assert np.array_equal(part.eligible, whole.eligible[[1, 4]])
    assert part.quota.sum() == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arms": {"one": Arm(np.ones((10, 2), np.float32))}}, "at least two arms"),
        ({"baseline": "third"}, "baseline is 'third'"),
        ({"truth": world(5)}, "the truth is of 5 x 2"),
    ],
)
def test_bad_tests_are_refused(change, words):
    problem = AllocationProblem(np.ones((10, 2), np.float32), [5, 5])
    given = {"truth": world(10), "arms": arms(10), **change}
    with pytest.raises(InputError, match=words):
        ab_test(problem, given.pop("truth"), given.pop("arms"), **given)
