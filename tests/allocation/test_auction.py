"""The auction's prices: everyone ends within eps of their best choice, so the dual is within eps a slot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation import auction
from ptofa_gpu.allocation.auction import auction_phase
from ptofa_gpu.allocation.certificate import dual_bound
from tests.allocation.oracles import min_cost_flow_value
from tests.allocation.strategies import REVENUES, instances
from tests.ops import reference
from tests.ops.cases import SCALE, Shape, make_price_case


def hold_auction(problem, quota, eps, price=None, scale=1.0):
    price = np.zeros(problem.n_funds + 1, np.int64) if price is None else price
    data = (problem.revenue, problem.tolerance, problem.risk, problem.mask, problem.slots_of)
    found, ended = auction_phase(*data, problem.k, scale, quota, eps, price)
    assert (found >= price).all()
    return (found[:-1] - (found[-1] if problem.case == "under" else found[:-1].min())) / scale, ended


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    instances(feasible=True, max_k=3, revenues=tuple(r for r in REVENUES if r != "dominant")),
    st.integers(1, 50),
)
def test_the_dual_is_within_eps_a_slot_of_the_optimum(arguments, eps):
    scale = float(np.abs(arguments["revenue"]).max() or 1.0)
    arguments["revenue"] = np.rint(arguments["revenue"] / scale * 1000).astype(np.float32)  # whole units
    problem = ptofa.AllocationProblem(**arguments)
    places = np.minimum(problem.quota, problem.n_customers)
    price, ended = hold_auction(problem, places, eps)
    best = float(min_cost_flow_value(problem).revenue)
    assert best <= dual_bound(problem, price) + 1e-6
    if ended and problem.k == 1:
        bidders = max(problem.slots, int(places.sum()))  # strangers count too
        assert dual_bound(problem, price) <= best + eps * bidders + 1e-6


def test_it_is_exact_where_eps_is_less_than_a_unit_a_slot():
    """Values are multiples of n + 1 and eps is 1: nothing but the optimum is within n eps."""
    rng = np.random.default_rng(0)
    n, funds = 60, 5
    E = (rng.integers(0, 50, (n, funds)) * (n + 1)).astype(np.float32)
    problem = ptofa.AllocationProblem(E, [12] * funds)
    price, ended = hold_auction(problem, problem.quota, 1)
    assert ended
    best = float(min_cost_flow_value(problem).revenue)
    assert best <= dual_bound(problem, price) < best + n + 1


def test_a_fund_without_quota_is_priced_out():
    E = np.array([[9.0, 5.0, 1.0], [8.0, 5.0, 2.0]], np.float32)
    problem = ptofa.AllocationProblem(E, [0, 1, 1])
    price, ended = hold_auction(problem, problem.quota, 1, np.array([0, 2, 0, 0]))
    assert ended
    assert (E[:, 0] - price[0] <= (E - price)[:, 1:].max(1) + 1).all()


def test_room_to_spare_makes_the_cheapest_funds():
    """Two funds nobody fills share the lowest price, whatever they started at; the third is in demand."""
    rng = np.random.default_rng(3)
    E = rng.integers(0, 1000, (90, 3)).astype(np.float32)
    E[:, 0] += 500
    problem = ptofa.AllocationProblem(E, [20, 60, 60])
    price, ended = hold_auction(problem, problem.quota, 1, np.array([0, 70, 0, 0]))
    assert ended
    assert price[1:].max() <= 2
    assert price[0] > 300


def test_what_is_bought_by_fewer_than_there_are_slots_goes_to_who_wants_it_most():
    E = np.arange(10, dtype=np.float32)[:, None] * 100
    problem = ptofa.AllocationProblem(E, [4])
    price, ended = hold_auction(problem, problem.quota, 1)
    assert ended
    assert 500 - 1 <= price[0] <= 600 + 1


def test_what_cannot_be_served_stops_the_bids():
    """Six customers want the four places of the only funds they may see."""
    E = np.ones((10, 3), np.float32)
    eligible = np.ones((10, 3), bool)
    eligible[:6, 2] = False
    problem = ptofa.AllocationProblem(E, [2, 2, 6], eligible=eligible)
    price, ended = hold_auction(problem, problem.quota, 1)
    assert not ended
    assert np.isfinite(price).all()


def test_customers_who_have_nothing_else_do_not_bid_beyond_measure():
    """Three customers with one fund each and the same: two go without, whatever they bid."""
    E = np.full((4, 2), 1000.0, np.float32)
    eligible = np.ones((4, 2), bool)
    eligible[:3, 1] = False
    problem = ptofa.AllocationProblem(E, [1, 3], eligible=eligible)
    scale = 2.0**36  # prices keep their place in whole keys
    price, ended = hold_auction(problem, problem.quota, 1, scale=scale)
    assert not ended
    assert 1000 < price[0] < 2**12 * 1000


def test_masks_own_slots_and_tolerances_are_kept_to():
    """Nobody bids for what they may not see, nor for more funds than they have slots."""
    E = np.array([[5.0, 4.0, 9.0, 9.0]] * 3, np.float32)
    eligible = np.ones((3, 4), bool)
    eligible[:, 2] = False
    problem = ptofa.AllocationProblem(E, [1, 1, 0, 0], [1, 0, 2], [1, 1, 1], [1, 1, 1, 2], eligible)
    first = np.zeros(5, np.int64)
    data = (problem.revenue, problem.tolerance, problem.risk, problem.mask, problem.slots_of, 2, 1.0)
    price, ended = auction_phase(*data, problem.quota, 1, first)
    assert ended  # two funds and an empty slot for three slots
    assert price[2] == price[3] == 0
    assert abs((5 - price[0]) - (4 - price[1])) <= 9


@pytest.mark.parametrize("places", [0.6, 1.0, 1.4])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "shape",
    [
        Shape(1, 1, 1),
        Shape(60, 1, 1, masked=True, slotted=True),
        Shape(90, 4, 1, ties=True),
        Shape(70, 8, 2, slotted=True),
        Shape(60, 9, 3, masked=True, ties=True),
        Shape(50, 17, 1, masked=True, slotted=True, ties=True),
        Shape(30, 64, 4, masked=True),
        Shape(20, 131, 5, masked=True, slotted=True, ties=True),
    ],
    ids=str,
)
def test_prices_are_those_of_a_plain_auction(shape, seed, places, monkeypatch):
    """Bit by bit, with strangers and empty slots, also where the bids are cut into many calls."""
    case = make_price_case(shape, seed)
    rng = np.random.default_rng([seed, shape.rows])
    slots = shape.rows * shape.k if case.slots is None else int(case.slots.sum())
    quota = rng.multinomial(int(places * slots), rng.dirichlet(np.ones(shape.funds))).clip(max=shape.rows)
    first = rng.integers(0, 2 << 20, shape.funds + 1) * (seed % 2)
    arguments = (case.slots, shape.k, SCALE, quota, int(rng.integers(1, 1 << 18)), first)
    expected, ended = reference.auction_phase(case.data, *arguments, auction.BIDS)
    for at_once in (auction.PLACES_A_CALL, 1000):
        monkeypatch.setattr(auction, "PLACES_A_CALL", at_once)
        price, found_all = auction_phase(*case.data, *arguments)
        np.testing.assert_array_equal(price, expected)
        assert found_all == ended


def test_funds_at_the_ends_of_registers_and_keys():
    """2,047 funds and an empty slot are more than the shorter keys tell apart."""
    for funds in (2046, 2047, 2048):
        case = make_price_case(Shape(12, funds, 2, masked=True, slotted=True, ties=True))
        arguments = (case.slots, 2, SCALE, np.arange(funds) % 150 // 149, 1000, np.zeros(funds + 1, np.int64))
        expected = reference.auction_phase(case.data, *arguments, auction.BIDS)
        price, ended = auction_phase(*case.data, *arguments)
        np.testing.assert_array_equal(price, expected[0])
        assert ended == expected[1]
