from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings

from ptofa_gpu.allocation._residual import best_reduced, cheapest_swaps, slackness
from ptofa_gpu.allocation.certificate import complementary_slackness, dual_bound, residual_arcs, shadow_prices
from ptofa_gpu.allocation.problem import AllocationProblem
from ptofa_gpu.allocation.reference import solve_reference
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops import _entry
from ptofa_gpu.ops._rows import CLOSED, EMPTY
from tests.allocation import oracles
from tests.allocation.strategies import instances


def best(problem):
    return solve_reference(problem, on_infeasible="relax").funds


def slow_arcs(problem, plan):
    """The table of the module's docstring, pair by pair."""
    n, e, eligible = problem.n_funds, problem.revenue.astype(float), problem.eligible
    arcs = np.full((n + 2, n + 2), np.inf)
    count = [0] * n
    for u, row in enumerate(plan.tolist()):
        has = [f for f in row if f >= 0]
        for a in has:
            count[a] += 1
            arcs[a, n] = min(arcs[a, n], e[u, a])
        for b in range(n):
            if eligible[u, b] and b not in has:
                for a in has:
                    arcs[a, b] = min(arcs[a, b], e[u, a] - e[u, b])
                if len(has) < problem.k:
                    arcs[n, b] = min(arcs[n, b], -e[u, b])
    for f in range(n):
        arcs[n + 1, f] = 0.0
        if count[f] < problem.quota[f]:
            arcs[f, n + 1] = 0.0
    return arcs


def some_plan(problem, seed):
    """A random plan that keeps the limits and leaves things open."""
    rng = np.random.default_rng(seed)
    left, plan = problem.quota.copy(), np.full((problem.n_customers, problem.k), -1)
    for u in rng.permutation(problem.n_customers):
        funds = rng.permutation(np.flatnonzero(problem.eligible[u] & (left > 0)))[: problem.k]
        plan[u, : funds.size] = funds
        left[funds] -= 1
    return plan


@settings(max_examples=40, deadline=None)
@given(instances(max_customers=30))
def test_residual_arcs_follow_their_definition(arguments):
    problem = AllocationProblem(**arguments)
    plan = some_plan(problem, 1)
    assert np.array_equal(residual_arcs(problem, plan), slow_arcs(problem, plan))


@settings(max_examples=80, deadline=None)
@given(instances())
def test_the_best_plan_is_proved_best(arguments):
    problem = AllocationProblem(**arguments)
    plan = best(problem)
    proof = shadow_prices(problem, plan)
    assert proof.optimal
    assert proof.cycle is None
    # dyadic instances: nothing is rounded
    assert proof.bound == proof.objective == float(oracles.plan_value(problem.revenue, plan).revenue)
    assert proof.gap == 0.0
    missing = min(int(problem.quota.sum()), problem.slots) - int((plan >= 0).sum())
    failed = complementary_slackness(problem, plan, proof.price)
    assert failed == ([] if not missing else [failed[-1]])
    assert not failed or "are delivered" in failed[0]


@settings(max_examples=80, deadline=None)
@given(instances(max_customers=6, max_funds=4, max_k=3))
@example(
    {  # the best plan earns all of g, which is 205, and 204.99999999999997 in floating point
        "revenue": np.array([[75, 31, 37], [76, 30, 54], [76, 30, 54]], np.float32),
        "k": 1,
        "eligible": np.array([[True, False, True], [False, True, True], [True, False, True]]),
        "quota": np.array([2, 1, 3]),
    }
)
def test_optimal_exactly_when_brute_force_says_so(arguments):
    problem = AllocationProblem(**arguments)
    plan = some_plan(problem, 2)
    proof = shadow_prices(problem, plan)
    truth, mine = oracles.brute_force(problem), oracles.plan_value(problem.revenue, plan)
    assert proof.optimal == (mine == truth)
    assert (proof.cycle is None) == proof.optimal
    if truth.exposures == min(int(problem.quota.sum()), problem.slots):
        assert proof.bound >= float(truth.revenue)


@settings(max_examples=40, deadline=None)
@given(instances(feasible=True, cases=("exact", "over"), revenues=("spread", "signed", "dominant", "rare")))
def test_a_spoilt_plan_has_a_negative_cycle(arguments):
    problem = AllocationProblem(**arguments)
    plan = best(problem)
    spoilt = swap_two(problem, plan)
    assume(spoilt is not None)
    proof = shadow_prices(problem, spoilt)
    assert not proof.optimal
    arcs = residual_arcs(problem, spoilt)
    cost = sum(arcs[a, b] for a, b in zip(proof.cycle, proof.cycle[1:] + proof.cycle[:1]))
    assert cost < 0
    assert len(set(proof.cycle)) == len(proof.cycle)
    assert proof.bound >= float(oracles.plan_value(problem.revenue, plan).revenue)
    assert proof.gap > 0
    failed = complementary_slackness(problem, spoilt, shadow_prices(problem, plan).price)
    assert failed
    assert "have a fund while a better one" in failed[0]


def swap_two(problem, plan):
    """Let two customers exchange funds at a loss, if any two can."""
    e = problem.revenue.astype(float)
    for u in range(problem.n_customers):
        for v in range(u):
            for i in range(problem.k):
                for j in range(problem.k):
                    a, b = plan[u, i], plan[v, j]
                    if min(a, b) < 0 or a in plan[v] or b in plan[u]:
                        continue
                    loss = e[u, a] + e[v, b] - e[u, b] - e[v, a]
                    if problem.eligible[u, b] and problem.eligible[v, a] and loss > 0:
                        out = plan.copy()
                        out[u, i], out[v, j] = b, a
                        return out
    return None


def test_an_exposure_that_fits_is_pointed_at():
    problem = AllocationProblem(np.array([[1.0, 2.0], [3.0, 4.0]]), [1, 1], eligible=np.array([[1, 1], [1, 0]], bool))
    proof = shadow_prices(problem, np.array([[0], [-1]]))
    assert not proof.optimal
    assert proof.cycle == [2, 0, 1, 3]  # empty slot -> fund 0 -> fund 1 -> open quota
    assert proof.bound >= 5.0
    assert "1 of 2 exposures are delivered" in complementary_slackness(problem, [[0], [-1]], proof.price)[-1]


@settings(max_examples=40, deadline=None)
@given(instances(max_customers=12, max_funds=5, max_k=3, feasible=True))
def test_prices_are_what_one_more_exposure_earns(arguments):
    problem = AllocationProblem(**arguments)
    price = shadow_prices(problem, best(problem)).price
    now = oracles.min_cost_flow_value(problem)
    for f in range(problem.n_funds):
        more = dict(arguments, quota=problem.quota + (np.arange(problem.n_funds) == f))
        then = oracles.min_cost_flow_value(AllocationProblem(**more))
        if problem.case != "under":
            assert float(then.revenue - now.revenue) == price[f]
            assert price.min() == 0.0
        elif then.exposures == now.exposures + 1:
            assert float(then.revenue - now.revenue) == price[f]
        elif problem.quota[f] > 0:  # one more is impossible: the price is at most what one less would lose
            less = dict(arguments, quota=problem.quota - (np.arange(problem.n_funds) == f))
            before = oracles.min_cost_flow_value(AllocationProblem(**less))
            assert float(now.revenue - before.revenue) >= price[f]


@settings(max_examples=40, deadline=None)
@given(instances(feasible=True))
def test_any_prices_bound_every_plan(arguments):
    problem = AllocationProblem(**arguments)
    optimum = float(oracles.min_cost_flow_value(problem).revenue)
    rng = np.random.default_rng(problem.n_customers)
    scale = problem.max_revenue or 1.0
    for price in (np.zeros(problem.n_funds), rng.integers(-8, 9, problem.n_funds) / 8 * scale):
        assert dual_bound(problem, price) >= optimum
        if problem.case != "under":
            assert dual_bound(problem, price + 4 * scale) == pytest.approx(dual_bound(problem, price), rel=1e-12)


def test_bound_and_prices_of_real_revenues():
    rng = np.random.default_rng(5)
    revenue = rng.lognormal(sigma=2.0, size=(3000, 8)).astype(np.float32)
    for quota in ([300] * 8, [375] * 8, [500] * 8):
        problem = AllocationProblem(revenue, quota, tolerance=rng.integers(3, 6, 3000), risk=[1, 1, 2, 2, 3, 3, 3, 3])
        plan = best(problem)
        proof = shadow_prices(problem, plan)
        assert proof.optimal
        assert 0.0 <= proof.gap < 1e-12
        assert complementary_slackness(problem, plan, proof.price) == []


def customers(seed, rows, funds, k):
    """(E, eligible, plan, price, slots) at random; where differences are rounded and where they are not."""
    rng = np.random.default_rng(seed)
    revenue = rng.lognormal(0, (seed % 3) ** 2, (rows, funds)) * rng.choice(
        [-1, 1, 0], (rows, funds), p=[0.4, 0.5, 0.1]
    )
    revenue = (np.rint(revenue) if seed % 2 else revenue).astype(np.float32)
    eligible = rng.random(revenue.shape) < 0.7
    slots = rng.integers(0, k + 1, rows).astype(np.int8)
    order = np.argsort(np.where(eligible, rng.random(revenue.shape), 2), axis=1)[:, :k].astype(np.int32)
    plan = np.where(np.take_along_axis(eligible, order, 1) & (rng.random(order.shape) < 0.8), order, EMPTY)
    plan = np.where(np.arange(k) < slots[:, None], plan, CLOSED).astype(np.int32)
    price = np.rint(rng.normal(0, 9, funds)) if seed % 2 else rng.normal(size=funds) * float(np.abs(revenue).max())
    return revenue, eligible, plan, price, slots


@pytest.mark.parametrize("seed", range(40))
def test_the_passes_follow_their_definitions(seed):
    rng = np.random.default_rng(seed)
    funds = int(rng.integers(1, 20))
    k = int(rng.integers(1, min(funds, 5) + 1))
    revenue, eligible, plan, price, slots = customers(seed, 50, funds, k)
    wide = np.append(revenue.astype(np.float64), np.zeros((50, 1)), axis=1)  # and the empty slot
    arcs = np.full((funds + 2, funds + 2), np.inf)
    expected = arcs.copy()
    cheapest_swaps(revenue, eligible, plan, arcs)
    worst, best, spare, held, other = slackness(revenue, eligible, plan, price)
    for u in range(50):
        has, may = set(plan[u][plan[u] >= 0].tolist()), set(np.flatnonzero(eligible[u]).tolist())
        assert spare[u] == (EMPTY in plan[u])
        for a in has | ({funds} if spare[u] else set()):
            for b in (may - has) | ({funds} - {a}):
                expected[a, b] = min(expected[a, b], wide[u, a] - wide[u, b])
        worth = wide[u, :-1] - price
        assert (worst[u], held[u]) == min(((worth[f], f) for f in has), default=(np.inf, -1))
        assert (best[u], -other[u]) == max(((worth[f], -f) for f in may - has), default=(-np.inf, 1))
    np.testing.assert_array_equal(arcs, expected)
    for own, full in ((None, True), (None, False), (slots, True), (slots, False)):
        sums = best_reduced(revenue, eligible, price, k, own, full)
        for u in range(50):
            exact = [Fraction(float(wide[u, f])) - Fraction(price[f]) for f in np.flatnonzero(eligible[u])]
            top = sorted(exact, reverse=True)[: k if own is None else own[u]]
            total = sum((x for x in top if full or x > 0), Fraction(0))
            found = Fraction(sums[u, 0]) + Fraction(sums[u, 1])
            rounded = sum(abs(x) for x in top) * k * Fraction(2) ** -51
            assert total <= found <= total + rounded
            if seed % 2:  # whole numbers
                assert found == total


@pytest.mark.parametrize("k", [1, 3])
def test_passes_share_customers_out_between_threads(k, monkeypatch):
    said = []
    revenue, eligible, plan, price, slots = customers(4, 90_000, 7, k)
    for threads in (1, 2, 5):
        monkeypatch.setenv("PTOFA_NUM_THREADS", str(threads))
        arcs = np.full((9, 9), np.inf)
        cheapest_swaps(revenue, eligible, plan, arcs)
        said.append((arcs, best_reduced(revenue, eligible, price, k, slots, True)))
        said[-1] += slackness(revenue, eligible, plan, price)
        monkeypatch.setattr(_entry, "PAIRS_A_CALL", 1 << 20)  # several calls
    for other in said[1:]:
        for array, first in zip(other, said[0], strict=True):
            assert array.tobytes() == first.tobytes()


def test_slackness_names_the_offender():
    problem = AllocationProblem(np.array([[5.0, 1.0], [1.0, 5.0]]), [1, 1], names=["Calm <b>", "Bold"])
    failed = complementary_slackness(problem, [[1], [0]], [0.0, 0.0])
    assert failed == [
        "2 customers have a fund while a better one, at these prices, is to be had; the first is customer 0: "
        "has 'Bold' at 1, could have 'Calm <b>' at 5"
    ]


def test_slackness_of_empty_slots_and_open_quotas():
    revenue = np.array([[5.0, 1.0], [1.0, 5.0]])
    under = AllocationProblem(revenue, [1, 0])
    assert "have an empty slot" in complementary_slackness(under, [[0], [-1]], [4.0, 4.0])[0]
    assert "worth less than its price" in complementary_slackness(under, [[0], [-1]], [6.0, 6.0])[0]
    assert complementary_slackness(under, [[0], [-1]], [4.0, 5.0]) == []
    over = AllocationProblem(revenue, [3, 3])
    assert complementary_slackness(over, [[0], [1]], [2.0, 2.0]) == []
    assert "open quota" in complementary_slackness(over, [[0], [1]], [2.0, 0.0])[0]


def test_bad_input_is_named():
    problem = AllocationProblem(np.ones((2, 2)), [1, 1])
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        dual_bound(problem, [1, 2, 3])
    with pytest.raises(InputError, match=r"price\[1\] is nan"):
        dual_bound(problem, [1, float("nan")])
    with pytest.raises(InputError, match="exposures=3"):
        dual_bound(problem, [1, 1], exposures=3)
    with pytest.raises(InputError, match="shape"):
        residual_arcs(problem, np.zeros((2, 2), int))
    with pytest.raises(InputError, match="float64"):
        residual_arcs(problem, np.zeros((2, 1)))
    with pytest.raises(InputError, match=r"outside 0\.\.1"):
        residual_arcs(problem, np.array([[0], [2]]))
    with pytest.raises(InputError, match="2 exposures of 1"):
        shadow_prices(problem, np.array([[0], [0]]))
    with pytest.raises(InputError, match="one finite price for each of the 2 funds"):
        complementary_slackness(problem, np.array([[0], [1]]), [1.0])
