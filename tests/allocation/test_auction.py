"""The auction's prices: everyone ends within eps of their best choice, so the dual is within eps a slot."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation.auction import auction_phase
from ptofa_gpu.allocation.certificate import dual_bound
from tests.allocation.oracles import min_cost_flow_value
from tests.allocation.strategies import REVENUES, instances


def hold_auction(problem, quota, eps, price, scale=1.0, bonus=None):
    bonus = 4.0 * (problem.n_funds + 2) * max(problem.max_revenue, 1.0) * scale if bonus is None else bonus
    slots = problem.slots_of
    data = (problem.revenue, problem.tolerance, problem.risk, problem.mask, slots)
    return auction_phase(*data, problem.k, bonus, scale, quota, eps, price)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    instances(feasible=True, max_k=3, cases=("exact",), revenues=tuple(r for r in REVENUES if r != "dominant")),
    st.integers(1, 50),
)
def test_the_dual_is_within_eps_a_slot_of_the_optimum(arguments, eps):
    scale = float(np.abs(arguments["revenue"]).max() or 1.0)
    arguments["revenue"] = np.rint(arguments["revenue"] / scale * 1000).astype(np.float32)  # whole units
    problem = ptofa.AllocationProblem(**arguments)
    price, ended = hold_auction(problem, problem.quota, eps, np.zeros(problem.n_funds))
    if not ended:  # a fund without quota or a bidding war took all bids
        return
    best = float(min_cost_flow_value(problem).revenue)
    assert best <= dual_bound(problem, price) + 1e-6
    if problem.k == 1:
        assert dual_bound(problem, price) <= best + eps * problem.slots + 1e-6


def test_it_is_exact_where_eps_is_less_than_a_unit_a_slot():
    """Values are multiples of n + 1 and eps is 1: nothing but the optimum is within n eps."""
    rng = np.random.default_rng(0)
    n, funds = 60, 5
    E = (rng.integers(0, 50, (n, funds)) * (n + 1)).astype(np.float32)
    problem = ptofa.AllocationProblem(E, [12] * funds)
    price, ended = hold_auction(problem, problem.quota, 1, np.zeros(funds))
    assert ended
    best = float(min_cost_flow_value(problem).revenue)
    assert best <= dual_bound(problem, price) < best + n + 1


def test_prices_only_rise_and_a_fund_without_quota_is_priced_out():
    E = np.array([[9.0, 5.0, 1.0], [8.0, 5.0, 2.0]], np.float32)
    problem = ptofa.AllocationProblem(E, [0, 1, 1])
    first = np.array([0.0, 2.0, 0.0])
    price, ended = hold_auction(problem, problem.quota, 1, first)
    assert ended
    assert (price >= first).all()
    assert (E[:, 0] - price[0] <= (E - price)[:, 1:].max(1) + 1).all()


def test_what_cannot_be_served_stops_the_bids():
    E = np.ones((10, 2), np.float32)
    problem = ptofa.AllocationProblem(E, [3, 3])
    price, ended = hold_auction(problem, problem.quota, 1, np.zeros(2), bonus=1e9)
    assert not ended
    assert np.isfinite(price).all()


def test_masks_own_slots_and_tolerances_are_kept_to():
    """Nobody bids for what they may not see, nor for more funds than they have slots."""
    E = np.array([[5.0, 4.0, 9.0, 9.0]] * 3, np.float32)
    eligible = np.ones((3, 4), bool)
    eligible[:, 2] = False
    problem = ptofa.AllocationProblem(E, [1, 1, 1, 1], [1, 0, 2], [1, 1, 1], [1, 1, 1, 2], eligible)
    price, ended = hold_auction(problem, problem.quota, 1, np.zeros(4))
    assert price[2] == price[3] == 0.0
    assert ended  # three slots want two funds: one bids all that its fund is worth, and another goes empty
    fewer = ptofa.AllocationProblem(E, [1, 1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 1, 1, 2], eligible)
    price, ended = hold_auction(fewer, fewer.quota, 1, np.zeros(4))
    assert ended
    assert abs((5.0 - price[0]) - (4.0 - price[1])) <= 1.0
