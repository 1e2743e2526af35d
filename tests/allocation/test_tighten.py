"""Prices that are nearly right become right where customers are tied: by the definition, and by what is left to do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation import settle, start
from ptofa_gpu.allocation.market import Market
from ptofa_gpu.allocation.passes import Passes
from ptofa_gpu.allocation.settle import Settling
from ptofa_gpu.allocation.start import Samples
from ptofa_gpu.allocation.tighten import tightened
from ptofa_gpu.allocation.watch import Watch
from ptofa_gpu.ops import _entry
from ptofa_gpu.ops.choices import take
from tests.allocation.oracles import low_ends, min_cost_flow_value, plan_value
from tests.allocation.strategies import general_instances, instances

GAP = 4096


def near(E, price, k, within, fixed=None, tolerance=None, risk=None):
    """(change of prices, what everybody took) for revenue in whole units."""
    users, funds = E.shape
    tolerance = np.ones(users, np.int8) if tolerance is None else tolerance
    risk = np.ones(funds, np.int8) if risk is None else risk
    chosen, offset = np.empty((users, k), np.int16), -np.asarray(price, np.float64)
    take(E, tolerance, risk, None, offset, 1.0, chosen)
    fixed = np.zeros(funds, bool) if fixed is None else np.asarray(fixed)
    return tightened(E, tolerance, risk, None, offset, 1.0, chosen, within, fixed), chosen


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans())
def test_who_is_nearly_indifferent_is_so_exactly(users, funds, k, seed, limits):
    """Prices that are right but for a few units, and revenue all of whose differences are much larger than that."""
    rng, k = np.random.default_rng(seed), min(k, funds)
    E = (GAP * rng.integers(0, 6, (users, funds))).astype(np.float32)
    right = GAP * rng.integers(0, 4, funds)
    price = right + rng.integers(-9, 10, funds)
    tolerance = rng.integers(1, 4, users).astype(np.int8) if limits else np.ones(users, np.int8)
    risk = rng.integers(1, 4, funds).astype(np.int8) if limits else np.ones(funds, np.int8)
    change, chosen = near(E, price, k, 18, tolerance=tolerance, risk=risk)
    assert (np.abs(change) <= 18 * funds).all()
    before, after = E - price, E - price - change
    for u in range(users):
        value = {f: after[u, f] for f in range(funds) if tolerance[u] >= risk[f]}
        held = [int(f) for f in chosen[u] if f >= 0]
        old = {f: before[u, f] for f in value}
        if len(held) < k:  # an empty slot is worth 0, at any price
            value[-1] = old[-1] = 0.0
            held.append(-1)
        else:
            value[-1] = old[-1] = 0.0
        for a in held:
            for b in set(value) - set(held):
                if old[a] - old[b] <= 18:
                    assert value[a] == value[b]


def test_trees_of_funds_move_together_and_others_stay():
    E = np.array([[100, 60, 0, 0], [0, 50, 80, 0], [0, 0, 0, 10]], np.float32)
    # the first is 2 from indifferent between funds 0 and 1, the second 3 between 1 and 2, the third has no choice
    change, _ = near(E, [38, 0, 33, 0], 1, 5)
    np.testing.assert_array_equal((np.array([38, 0, 33, 0]) + change)[:3] - change[1], [40, 0, 30])
    assert change[3] == 0


def test_a_fixed_price_stays_and_all_that_is_tied_to_it_follows():
    E = np.array([[100, 60, 0], [0, 50, 80]], np.float32)
    for fixed in range(3):
        change, _ = near(E, [38, 0, 33], 1, 5, np.arange(3) == fixed)
        assert change[fixed] == 0
        price = np.array([38, 0, 33]) + change
        assert (price[0] - price[1], price[2] - price[1]) == (40, 30)


def test_an_empty_slot_is_worth_nothing_at_any_price():
    E = np.array([[50.0, 7.0]], np.float32)
    change, chosen = near(E, [48, 30], 1, 3)
    np.testing.assert_array_equal(chosen, [[0]])
    np.testing.assert_array_equal(change, [2, 0])


def test_of_ties_that_do_not_fit_together_the_first_count():
    E = np.array([[310, 310], [310, 312]], np.float32)
    change, _ = near(E, [101, 100], 1, 3, [True, False])  # apart by 0 for the first, by 2 for the second
    np.testing.assert_array_equal(change, [0, 1])
    change, _ = near(E[::-1].copy(), [101, 100], 1, 3, [True, False])
    np.testing.assert_array_equal(change, [0, 3])


def test_a_few_customers_a_call(monkeypatch):
    rng = np.random.default_rng(3)
    E = (GAP * rng.integers(0, 6, (60, 9))).astype(np.float32)
    price = GAP * rng.integers(0, 4, 9) + rng.integers(-9, 10, 9)
    whole, _ = near(E, price, 2, 18)
    assert np.count_nonzero(whole) > 4
    for pairs in (9 * 2, 9 * 14):
        monkeypatch.setattr(_entry, "PAIRS_A_CALL", pairs)
        np.testing.assert_array_equal(near(E, price, 2, 18)[0], whole)


def test_nobody_who_has_a_choice():
    for within in (0.0, 5.0):
        change, _ = near(np.array([[9.0], [7.0]], np.float32), [0.0], 1, within)
        np.testing.assert_array_equal(change, [0.0])


def segments(seed, k=1, users=6_000, funds=40, kinds=60):
    """A problem of customers of whom there are few kinds; its quotas are those of a plan at random."""
    rng = np.random.default_rng(seed)
    E = rng.lognormal(3, 1, (kinds, funds)).astype(np.float32)[rng.integers(0, kinds, users)]
    picks = np.argpartition(rng.gumbel(size=E.shape) + rng.normal(0, 0.7, funds), -k, axis=1)[:, -k:]
    return ptofa.AllocationProblem(E, np.bincount(picks.ravel(), minlength=funds), k)


@pytest.mark.parametrize(("seed", "k"), [(0, 1), (1, 2), (2, 3)])
def test_of_few_kinds_of_customers_an_auction_leaves_little_to_the_exchange(seed, k):
    problem = segments(seed, k)
    market = Market(problem, Watch(0, None, None))
    passes = Passes.over(problem, problem.revenue_blocks(), market.scale)
    price = Samples(market, passes).beginning(None).price
    plan = Settling(market, passes, market.quotas, price)
    before = plan.wrong()
    plan.untie()
    assert before > 0.05 * market.slots
    assert plan.wrong() <= start.LITTLE * market.slots


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(instances(60, 8, 3, revenues=("few", "alike", "signed")), general_instances(60, 8)),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0, settle.MOST_CHOICES]),
)
def test_plans_from_tightened_prices_are_the_best_ones(arguments, many, most_choices):
    """Also where an auction is cut short because ties seem to be all that is left, and where they are too many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start, "MANY", many)
        patch.setattr(start, "FINE", 0)
        patch.setattr(settle, "MOST_CHOICES", most_choices)
        problem = ptofa.AllocationProblem(**arguments)
        plan = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax").verify()
    got, best = plan_value(problem.revenue, plan.funds, low_ends(problem)), min_cost_flow_value(problem)
    assert (got.exposures, got.towards_low) == (best.exposures, best.towards_low)
    assert float(got.revenue) == pytest.approx(float(best.revenue), rel=1e-9, abs=1e-9 * problem.max_revenue)
