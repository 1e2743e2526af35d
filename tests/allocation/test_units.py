"""Units of prices follow the pairs that can be chosen, and `optimal` is said only where the proof says it."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import ptofa_gpu as ptofa
from ptofa_gpu.errors import AllocationError, InputError, PtofaWarning
from tests.allocation import oracles

METHODS = ("optimal", "heuristic", "manual", "topk", "reference")
NEVER = [1e6, -1e9, -1e12, 1e30, float(np.finfo("f4").max), float("-inf"), float("nan")]


def best(E, quota, allowed):
    """The optimum by SciPy, columns repeated."""
    cost = np.where(np.repeat(allowed, quota, 1), -np.repeat(E.astype(float), quota, 1), np.inf)
    rows, columns = linear_sum_assignment(cost)
    return -cost[rows, columns].sum()


def true_gap(problem, plan):
    """How far the plan is from the best one, exactly, as a share of what it shows."""
    E = np.asarray(problem.revenue)
    size = sum(abs(Fraction(float(E[u, f]))) for u, row in enumerate(plan.funds.tolist()) for f in row if f >= 0)
    truth, mine = oracles.brute_force(problem).revenue, oracles.plan_value(E, plan.funds).revenue
    assert Fraction(plan.objective) == pytest.approx(mine, rel=1e-15)
    return (truth - mine) / size if size else (Fraction(0) if truth == mine else Fraction(10**9))


def excluded_somehow(E, bad, how, rng):
    """Arguments under which the pairs `bad` cannot be chosen, and everything else can."""
    if how == "eligible":
        return {"eligible": ~bad}
    if how == "excluded":
        return {"excluded": np.argwhere(bad)}
    if how == "bits":
        return {"eligible": ptofa.AllocationProblem(np.zeros_like(E), [1] * E.shape[1], eligible=~bad).mask}
    return {"revenue": np.ma.masked_array(E, bad)}


@pytest.mark.parametrize("how", ["eligible", "excluded", "bits", "masked"])
@pytest.mark.parametrize("never", NEVER)
@pytest.mark.parametrize("method", METHODS)
def test_what_nobody_may_see_changes_nothing(method, never, how):
    rng = np.random.default_rng(1)
    E = rng.random((400, 8)).astype("f4")
    bad = rng.random(E.shape) < 0.2
    bad[np.arange(400), rng.integers(0, 8, 400)] = False
    quota = np.full(8, 60)
    plain = ptofa.AllocationProblem(E, quota, eligible=~bad)
    E2 = np.where(bad, np.float32(never), E)
    problem = ptofa.AllocationProblem(**{"revenue": E2, "quota": quota, **excluded_somehow(E2, bad, how, rng)})
    assert problem.max_revenue == plain.max_revenue == E[~bad].max()
    plan, wanted = (ptofa.allocate(p, method, device="cpu") for p in (problem, plain))
    np.testing.assert_array_equal(plan.funds, wanted.funds)
    assert (plan.objective, plan.status) == (wanted.objective, wanted.status)
    if method in ("optimal", "reference"):
        assert plan.status == "optimal"
        assert plan.verify().objective == pytest.approx(best(E, quota, ~bad), rel=1e-12)
        np.testing.assert_array_equal(plan.price, wanted.price)


@pytest.mark.parametrize("never", [1e12, -3e38, float("nan")])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_above_the_tolerance_changes_nothing(method, never):
    rng = np.random.default_rng(2)
    E, tolerance, risk = rng.random((300, 5)).astype("f4"), rng.integers(1, 4, 300), np.array([1, 1, 2, 3, 3])
    above = tolerance[:, None] < risk
    arguments = {"quota": [80, 80, 60, 40, 40], "tolerance": tolerance, "risk": risk}
    plan = ptofa.allocate(ptofa.AllocationProblem(np.where(above, np.float32(never), E), **arguments), method)
    np.testing.assert_array_equal(plan.funds, ptofa.allocate(ptofa.AllocationProblem(E, **arguments), method).funds)


@pytest.mark.parametrize("device_blocks", [None, 37])
@pytest.mark.parametrize("k", [1, 2])
def test_funds_without_quota_and_customers_without_slots_set_no_unit(k, device_blocks):
    rng = np.random.default_rng(3)
    E = rng.random((300, 6)).astype("f4")
    own = rng.integers(0, k + 1, 300)
    own[:3] = [0, k, k]
    E[:, 2] = 3e38  # nobody may have it
    E[0] = -1e30  # and this one has no slot
    left = np.delete(np.arange(6), 2)
    quota = np.zeros(6, int)
    quota[left] = own.sum() // 5 + 1
    options = {} if device_blocks is None else {"block_rows": device_blocks}
    plan = ptofa.allocate(ptofa.AllocationProblem(E, quota, own), device="cpu", **options).verify()
    same = ptofa.allocate(ptofa.AllocationProblem(E[1:, left], quota[left], own[1:]), device="cpu")
    assert plan.status == same.status == "optimal"
    assert plan.objective == same.objective
    # at its price nobody prefers what nobody may have; one is indifferent
    assert (plan.assign(E) == 2).sum() <= 1


@pytest.mark.parametrize("scale", [1e-42, 1e-36, 1e-7, 1.0, 1e12, 1e36])
@pytest.mark.parametrize("method", ["optimal", "reference", "heuristic", "manual"])
def test_every_scale_gives_the_same_plan(scale, method):
    rng = np.random.default_rng(4)
    whole = rng.integers(-3, 60, (200, 5))
    unit = np.float32(2.0 ** round(np.log2(scale)))
    quota, plans = [60, 50, 40, 30, 20], []
    for factor in (np.float32(1), unit):
        E = whole.astype("f4") * factor
        plans.append(ptofa.allocate(ptofa.AllocationProblem(E, quota, tolerance=[2] * 200, risk=[1] * 5), method))
        plans[-1].verify()
    np.testing.assert_array_equal(plans[0].exposures, plans[1].exposures)
    assert plans[1].objective == plans[0].objective * float(unit)
    assert plans[0].status == plans[1].status
    if method == "optimal":
        assert plans[1].status == "optimal"
        assert plans[1].gap <= 1e-9


def test_values_too_far_apart_are_feasible_with_their_gap_and_one_warning():
    rng = np.random.default_rng(1)
    E = rng.random((500, 10)).astype("f4")
    bad = rng.random(E.shape) < 0.2
    bad[np.arange(500), rng.integers(0, 10, 500)] = False
    E[bad] = -1e12
    quota = np.full(10, 60)
    problem = ptofa.AllocationProblem(E, quota, names=[f"F{i}" for i in range(10)])
    u, f = np.argwhere(bad)[0]
    with pytest.warns(PtofaWarning, match=rf"-1e\+12 \(customer row {u}, fund 'F{f}'\)"):
        plan = ptofa.allocate(problem, device="cpu")
    assert plan.status == "feasible"
    short = best(E, quota, ~bad) - plan.objective
    assert short > 1
    assert plan.gap * plan.objective == pytest.approx(short, rel=0.05)
    assert "rounded away" in plan.summary()
    assert "certified" not in plan.summary() + repr(plan)
    plan.verify()
    plan.status = "optimal"
    with pytest.raises(AllocationError, match="status is 'optimal' and the gap is"):
        plan.verify()


wide = st.sampled_from([0.0, 1.0, 3.0, 5.0, 1e-44, 1e-20, 1e-9, 7e-7, 1e-3, 4e3, 1e9, 3e17, 2e30, 3e38])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_plan_is_called_optimal_that_is_not(data):
    """Values up to 80 decades apart, of both signs: bounds hold, and statuses are true."""
    rows, funds = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    size = data.draw(st.lists(wide, min_size=1, max_size=4, unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**20)))
    E = (rng.choice(size, (rows, funds)) * rng.choice([1, 1, 1, -1], (rows, funds))).astype("f4")
    E *= rng.choice(np.float32([1, 0.75, 0.999]), E.shape)
    k = data.draw(st.integers(1, min(2, funds)))
    quota = rng.multinomial(data.draw(st.integers(0, k * rows + 2)), np.ones(funds) / funds)
    problem = ptofa.AllocationProblem(E, quota, k, eligible=rng.random(E.shape) < 0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PtofaWarning)
        plan = ptofa.allocate(problem, device="cpu", on_infeasible="relax").verify()
    truth, gap = oracles.brute_force(problem).revenue, true_gap(problem, plan)
    assert gap >= 0
    if plan.status in ("optimal", "feasible"):
        assert Fraction(plan.bound) >= truth - abs(truth) / 2**52
        assert gap <= plan.gap * (1 + 1e-9) + 2.0**-50
    if plan.status == "optimal":
        assert gap <= 1e-9


@pytest.mark.parametrize("scale", [1e-30, 1e-7, 1.0, 1e20])
def test_verify_refuses_a_shuffled_plan_at_every_scale(scale):
    rng = np.random.default_rng(5)
    E = (rng.lognormal(0, 1, (300, 5)) * scale).astype("f4")
    problem = ptofa.AllocationProblem(E, [60] * 5)
    plan = ptofa.allocate(problem, device="cpu").verify()
    shuffled = ptofa.AllocationPlan(problem, rng.permutation(plan.funds), "optimal", "optimal")
    shuffled.price, shuffled.bound = plan.price, plan.bound
    with pytest.raises(AllocationError, match=r"status is 'optimal' and the gap is [1-9.]"):
        shuffled.verify()
    shuffled.bound = shuffled.objective  # a claim that the prices do not bear out
    with pytest.raises(AllocationError, match="the prices prove"):
        shuffled.verify()
    plan.price = plan.price * np.nan
    with pytest.raises(InputError, match="finite price"):
        plan.verify()


@pytest.mark.parametrize("method", ["optimal", "reference"])
def test_an_optimum_of_zero_has_no_gap(method):
    i = np.arange(4.0)
    plan = ptofa.allocate(ptofa.AllocationProblem(-abs(i[:, None] - i), [1] * 4), method, device="cpu").verify()
    assert (plan.objective, plan.bound, plan.gap, plan.status) == (0, 0, 0, "optimal")
    nothing = ptofa.allocate(ptofa.AllocationProblem(np.zeros((4, 2)), [2, 2]), method, device="cpu").verify()
    assert (nothing.gap, nothing.status) == (0, "optimal")


# -- E that is shared with the caller ---------------------------------------------------------------------------------
@pytest.mark.parametrize("factor", [3, 1e-20, 1e4, 1e30, -1])
@pytest.mark.parametrize("method", ["optimal", "heuristic", "manual", "topk", "reference"])
def test_revenue_that_changes_is_looked_at_anew(method, factor):
    E = np.random.default_rng(0).random((500, 5)).astype("f4")
    problem = ptofa.AllocationProblem(E, [100] * 5)
    ptofa.allocate(problem, method, device="cpu")
    E *= np.float32(factor)
    plan = ptofa.allocate(problem, method, device="cpu")
    fresh = ptofa.allocate(ptofa.AllocationProblem(E.copy(), [100] * 5), method, device="cpu")
    assert plan.objective == fresh.objective == pytest.approx(np.take_along_axis(E, plan.funds, 1).sum(dtype=float))
    np.testing.assert_array_equal(plan.funds, fresh.funds)


def test_revenue_that_became_nan_is_refused_and_a_plan_of_other_revenue_fails():
    E = np.random.default_rng(0).random((50, 2)).astype("f4")
    problem = ptofa.AllocationProblem(E, [25, 25])
    plan = ptofa.allocate(problem, device="cpu").verify()
    E *= 2
    with pytest.raises(AllocationError, match="revenue was changed"):
        plan.verify()
    E[7, 1] = np.nan
    with pytest.raises(InputError, match="customer row 7, fund column 1"):
        ptofa.allocate(problem, device="cpu")


def test_everything_else_is_copied():
    rng = np.random.default_rng(0)
    E = rng.random((200, 4)).astype("f4")
    arrays = {
        "quota": np.full(4, 50),
        "tolerance": rng.integers(1, 3, 200).astype(np.int8),
        "risk": np.array([1, 1, 1, 2], np.int8),
        "eligible": np.full(200, 15, np.uint64),
        "customer_ids": np.arange(200) + 1000,
        "names": ["a", "b", "c", "d"],
    }
    slots = np.full(200, 1, np.int8)
    slots[0] = 0
    problem = ptofa.AllocationProblem(E, k=slots, **arrays)
    wanted = ptofa.allocate(problem, device="cpu", on_infeasible="relax")
    for array in (*arrays.values(), slots):
        array[:] = [f"{i}" for i in range(4)] if isinstance(array, list) else np.zeros_like(array)
    again = ptofa.allocate(problem, device="cpu", on_infeasible="relax").verify()
    np.testing.assert_array_equal(again.funds, wanted.funds)
    assert again.to_frame().equals(wanted.to_frame())


# -- float64 that float32 cannot tell apart --------------------------------------------------------------------------
@pytest.mark.parametrize("offset", [0, 1e5, -1e7, 1e9, 1e13])
@pytest.mark.parametrize("form", ["array", "npy", "blocks", "integers"])
@pytest.mark.parametrize("k", [1, 2])
def test_what_is_common_to_a_row_costs_nothing(tmp_path, offset, form, k):
    E = np.random.default_rng(3).random((300, 6))
    E = np.round(E * 2**16) / 2**16  # so that the sum with the offset is exact
    per_row = offset * (1 + np.arange(300) % 3)
    quota = np.full(6, 50 * k)
    wanted = ptofa.allocate(ptofa.AllocationProblem(E.astype("f4"), quota, k), device="cpu")
    moved = E + per_row[:, None]
    if form == "npy":
        np.save(tmp_path / "E.npy", moved)
        given = tmp_path / "E.npy"
    elif form == "integers":
        if abs(offset) > 1e10:
            pytest.skip("beyond 64 bits")
        given = np.rint(moved * 2**16).astype(np.int64)
    else:
        given = moved if form == "array" else [moved[:100], moved[100:]]
    unit = 2**16 if form == "integers" else 1
    problem = ptofa.AllocationProblem(given, quota, k)
    for method in ("optimal", "reference"):
        plan = ptofa.allocate(problem, method, device="cpu").verify()
        assert plan.status == "optimal"
        earned = np.take_along_axis(E, plan.funds.astype(int), 1).sum()
        assert earned == pytest.approx(wanted.objective, rel=1e-12)
        assert plan.objective == pytest.approx((earned + k * per_row.sum()) * unit, rel=1e-15)
        assert plan.bound >= plan.objective
    for method in ("heuristic", "manual", "topk"):
        other = ptofa.allocate(problem, method, device="cpu")
        earned = np.take_along_axis(moved, other.funds.astype(int), 1)[other.funds >= 0].sum()
        assert other.objective == pytest.approx(earned * unit, rel=1e-12)
    rows = np.asarray(problem.revenue)
    np.testing.assert_array_equal(rows, (moved * unit).astype("f4"))
    assert plan.to_frame().revenue.to_numpy()[0] == rows[0, plan.funds[0, 0]]
    by_blocks = ptofa.allocate(problem, device="cpu", block_rows=77)
    np.testing.assert_array_equal(by_blocks.funds, ptofa.allocate(problem, device="cpu").funds)


@pytest.mark.filterwarnings("always")
def test_what_is_lost_where_slots_stay_empty_is_said():
    E = np.random.default_rng(3).random((300, 6)) + 1e7
    with pytest.warns(PtofaWarning, match=r"float32, which cannot tell apart [1-9]\d\.\d% of the differences"):
        under = ptofa.AllocationProblem(E, [40] * 6)
    assert under.case == "under"
    plan = ptofa.allocate(under, device="cpu").verify()
    assert plan.objective == pytest.approx(240e7, rel=1e-6)
    with pytest.warns(PtofaWarning, match="differences"):  # not all slots can be filled: constants would count
        ptofa.AllocationProblem(E, [50] * 6, eligible=np.arange(300)[:, None] > 0 * np.arange(6))
    far = E - 1e7
    far[:, 0] = 1e9  # a row that has no constant in common
    with pytest.warns(PtofaWarning, match="differences"):
        ptofa.AllocationProblem(far + 1e7, [50] * 6)


def test_ordinary_float64_is_neither_centred_nor_warned_of(recwarn):
    E = np.random.default_rng(0).lognormal(3, 2, (5000, 8))
    problem = ptofa.AllocationProblem(E, [625] * 8)
    assert isinstance(problem.revenue, np.ndarray)
    np.testing.assert_array_equal(problem.revenue, E.astype("f4"))
    assert not recwarn.list


def test_other_quotas_of_the_same_customers_count_constants_where_they_matter():
    """A what-if that leaves slots empty compares E itself with nothing."""
    from ptofa_gpu.reporting.explore import WhatIf

    E = np.random.default_rng(1).random((200, 4)) + 1e4 * (np.arange(200)[:, None] - 100)
    plan = ptofa.allocate(ptofa.AllocationProblem(E, [50] * 4), device="cpu")
    fewer = WhatIf(plan).solve(quota=[25, 25, 25, 25]).verify()
    assert fewer.unfilled == 100
    assert (fewer.funds[100:] >= 0).all()  # those who are worth more than nothing


def test_constants_do_not_hide_what_is_lost():
    """A gap beside 1e9 says nothing of differences of 100: a hurried plan is not called optimal for it."""
    E = 1e9 + np.random.default_rng(1).lognormal(4, 1, (2000, 4))
    problem = ptofa.AllocationProblem(E, [500] * 4)
    done = ptofa.allocate(problem, device="cpu").verify()
    hurried = ptofa.allocate(problem, device="cpu", time_limit=0).verify()
    assert done.status == "optimal"
    assert hurried.status == ("optimal" if hurried.objective == done.objective else "time_limit")
    funds = done.funds.copy()
    funds[:10] = np.roll(funds[:10], 1, 0)
    worse = ptofa.AllocationPlan(problem, funds, "optimal", "optimal")
    worse.price, worse.bound = done.price, done.bound
    with pytest.raises(AllocationError, match="by its prices another plan may earn"):
        worse.verify()
    E = 1e16 + np.array([[80.0, 8, 16], [22, 18, 80], [86, 58, 2], [8, 32, 42]])
    ptofa.allocate(ptofa.AllocationProblem(E, [2, 1, 1]), device="cpu", time_limit=0).verify()


@pytest.mark.parametrize("huge", [1e15, -1e15])
@pytest.mark.parametrize("where", [(0, slice(None)), (0, 1), (slice(None), 2)])
def test_values_beside_which_all_others_vanish_are_warned_of(huge, where):
    E = np.random.default_rng(0).uniform(0, 10, (1000, 4)).astype("f4")
    E[where] = huge
    with pytest.warns(PtofaWarning, match=r"the largest revenue that can be chosen is -?1e\+15"):
        plan = ptofa.allocate(ptofa.AllocationProblem(E, [250] * 4), device="cpu")
    assert "rounded away" in plan.summary()


def test_ordinary_long_tails_are_not_warned_of(recwarn):
    for sigma in (1, 2, 3):
        E = np.random.default_rng(sigma).lognormal(3, sigma, (20_000, 8)).astype("f4")
        E[np.quantile(E, 0.3) > E] = 0
        assert ptofa.allocate(ptofa.AllocationProblem(E, [2500] * 8), device="cpu").status == "optimal"
    assert not recwarn.list


def test_constants_of_rows_follow_the_pairs_that_can_be_chosen():
    """What a fund without quota, or a customer without slots, earns is no part of a row's span."""
    E = np.round(np.random.default_rng(3).random((300, 7)) * 2**16) / 2**16
    own = np.r_[0, np.ones(299, int)]
    quota = [60, 60, 60, 60, 59, 0, 0]
    wanted = ptofa.allocate(ptofa.AllocationProblem(E, quota, own), device="cpu").verify()
    moved = E + 1e9
    moved[:, 5], moved[:, 6], moved[0] = -3e30, 1e20, 2e37
    plan = ptofa.allocate(ptofa.AllocationProblem(moved, quota, own), device="cpu").verify()
    assert plan.status == "optimal"
    np.testing.assert_array_equal(plan.funds, wanted.funds)
    assert plan.objective == wanted.objective + 299e9


def test_new_customers_are_served_by_differences():
    E = np.random.default_rng(3).random((300, 6))
    plan = ptofa.allocate(ptofa.AllocationProblem(E + 1e9, [50] * 6), device="cpu")
    plain = ptofa.allocate(ptofa.AllocationProblem(E, [50] * 6), device="cpu")
    assert (plan.assign(E + 1e9) == plan.funds).mean() > 0.97
    assert (plain.assign(E) == plain.funds).mean() > 0.97
