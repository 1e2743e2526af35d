"""Quota ranges, slots of each customer's own and excluded pairs, through everything that judges plans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import ptofa_gpu as ptofa
from ptofa_gpu.allocation.certificate import complementary_slackness, dual_bound, shadow_prices
from ptofa_gpu.allocation.plan import AllocationPlan, decide_status
from ptofa_gpu.allocation.reference import solve_reference
from ptofa_gpu.errors import AllocationError, InfeasibleError, InputError
from tests.allocation import oracles
from tests.allocation.strategies import eligible_of, general_instances

calm = settings(deadline=None, suppress_health_check=list(HealthCheck))
tiny = general_instances(max_customers=5, max_funds=4, max_k=3)


def value_of(problem, funds):
    return oracles.plan_value(problem.revenue, funds, oracles.low_ends(problem))


@settings(calm, max_examples=300)
@given(tiny)
def test_the_oracles_agree(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    np.testing.assert_array_equal(problem.eligible, eligible_of(arguments))
    truth = oracles.brute_force(problem)
    assert oracles.min_cost_flow_value(problem) == truth
    assert oracles.max_flow(problem) == truth.exposures


@settings(calm, max_examples=400)
@given(general_instances(max_customers=30, max_funds=8))
def test_feasibility_is_exact(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    answer = problem.feasibility()
    most, low = oracles.max_flow(problem), problem.quota_low
    assert answer.delivered == most
    assert answer.unserved == problem.slots - most
    assert answer.shortfall.sum() == low.sum() - oracles.max_flow(problem, low)
    assert (answer.shortfall >= 0).all()
    assert answer.ok == (most == min(problem.quota.sum(), problem.slots) and not answer.shortfall.any())
    words = answer.explain()
    assert words.startswith("Feasible" if answer.ok else "Infeasible")
    if answer.shortfall.any():
        assert f"{answer.shortfall.sum():,} of " in words


@settings(calm, max_examples=300)
@given(tiny)
def test_the_reference_is_the_best_of_all_plans(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    solution = solve_reference(problem, on_infeasible="relax")
    oracles.check_limits(problem, solution.funds)
    assert value_of(problem, solution.funds) == oracles.brute_force(problem)
    assert solution.status == ("optimal" if problem.feasibility().ok else "infeasible")


@settings(calm, max_examples=300)
@given(general_instances(max_customers=40, max_funds=10))
def test_the_reference_meets_the_oracle_and_is_proved(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, "reference", on_infeasible="relax").verify()
    oracles.check_limits(problem, plan.funds)
    assert value_of(problem, plan.funds) == oracles.min_cost_flow_value(problem)
    assert plan.bound == pytest.approx(plan.objective, rel=1e-12, abs=1e-12 * problem.max_revenue)
    assert plan.status == ("optimal" if problem.feasibility().ok else "infeasible")
    assert decide_status(plan) == ("optimal" if problem.feasibility().ok else "infeasible")
    assert plan.unfilled == problem.slots - plan.exposures.sum()
    assert "eligible customers" in problem._repr_html_()
    assert "empty" in plan._repr_html_()


@settings(calm, max_examples=15)
@given(general_instances(max_customers=15, max_funds=5))
@pytest.mark.parametrize(("solver", "integer"), [("highs", False), ("highs", True), ("clarabel", False)])
def test_programmes_equal_min_cost_flow(solver, integer, arguments):
    problem = ptofa.AllocationProblem(**arguments)
    solution = solve_reference(problem, solver, integer=integer, on_infeasible="relax")
    oracles.check_limits(problem, solution.funds)
    found, best = value_of(problem, solution.funds), oracles.min_cost_flow_value(problem)
    assert (found.exposures, found.towards_low) == (best.exposures, best.towards_low)
    assert float(found.revenue) == pytest.approx(float(best.revenue), rel=1e-9)


@settings(calm, max_examples=60)
@given(general_instances(max_customers=30, max_funds=8, feasible=True))
def test_the_strategy_keeps_its_promise(arguments):
    assert ptofa.AllocationProblem(**arguments).feasibility().ok


@settings(calm, max_examples=30)
@given(general_instances(max_customers=30, max_funds=8, feasible=False))
def test_infeasible_instances_are_refused(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    with pytest.raises(InfeasibleError, match="low ends"):
        ptofa.allocate(problem, "reference")


def some_plan(problem, seed):
    """A random plan that keeps the limits and leaves things open."""
    rng = np.random.default_rng(seed)
    left, plan = problem.quota.copy(), np.full((problem.n_customers, problem.k), -1)
    slots = oracles.slots_of(problem)
    for u in rng.permutation(problem.n_customers):
        funds = rng.permutation(np.flatnonzero(problem.eligible[u] & (left > 0)))[: slots[u]]
        plan[u, rng.permutation(problem.k)[: funds.size]] = funds  # empty slots anywhere
        left[funds] -= 1
    return plan


@settings(calm, max_examples=300)
@given(tiny)
def test_a_plan_is_proved_optimal_exactly_when_it_is(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    truth = oracles.brute_force(problem)
    for seed in range(3):
        plan = some_plan(problem, seed)
        proof = shadow_prices(problem, plan)
        assert proof.optimal == (value_of(problem, plan) == truth)
        failed = complementary_slackness(problem, plan, proof.price)
        if problem.feasibility().ok:
            # prices of a plan that can be improved are thirds and the like: their sums round
            assert proof.bound >= float(truth.revenue) - 1e-13 * problem.slots * problem.max_revenue
            assert bool(failed) == (not proof.optimal)


@settings(calm, max_examples=200)
@given(general_instances(max_customers=30, feasible=True))
def test_any_prices_bound_every_plan(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    optimum = float(oracles.min_cost_flow_value(problem).revenue)
    rng = np.random.default_rng(problem.n_customers)
    scale = problem.max_revenue or 1.0
    for price in (np.zeros(problem.n_funds), rng.integers(-8, 9, problem.n_funds) / 8 * scale):
        assert dual_bound(problem, price) >= optimum
        if problem.case != "under":
            assert dual_bound(problem, price + 4 * scale) == pytest.approx(dual_bound(problem, price), rel=1e-12)


def test_prices_of_ranges_have_a_free_sign():
    # everyone likes A best, C least; C must be shown twice and A at most once
    E = np.array([[9.0, 5.0, 1.0], [8.0, 5.0, 1.0], [7.0, 5.0, 2.0], [6.0, 5.0, 1.0]])
    problem = ptofa.AllocationProblem(E, [[0, 1], [0, 4], [2, 3]])
    plan = ptofa.allocate(problem, "reference").verify()
    assert plan.exposures.tolist() == [1, 1, 2]
    assert plan.objective == 9 + 5 + 2 + 1
    assert plan.price.tolist() == [3.0, 0.0, -4.0]
    spoilt = AllocationPlan(
        problem, plan.funds, "by hand", "optimal", price=plan.price + 5 * (E[0] < 2), bound=plan.bound
    )
    with pytest.raises(AllocationError, match="the prices"):
        spoilt.verify()


def test_low_ends_are_explained():
    tolerance = np.repeat([1, 5], [90, 10])
    arguments = {"revenue": np.ones((100, 3)), "tolerance": tolerance, "risk": [1, 1, 4], "names": list("ABC")}
    words = ptofa.AllocationProblem(quota=[[0, 90], [0, 90], [15, 90]], **arguments).feasibility().explain()
    assert "5 of the 15 exposures that the low ends ask for cannot be delivered" in words
    assert "Fund 'C' must have at least 15 exposures" in words
    assert "customers of tolerance >= 4; there are 10" in words
    assert "5 short. Lower this low end by 5" in words
    words = ptofa.AllocationProblem(quota=[[60, 90], [60, 90], [0, 9]], **arguments).feasibility().explain()
    assert "20 of the 120 exposures that the low ends ask for" in words
    assert "There are 100 slots in all" in words
    problem = ptofa.AllocationProblem(quota=[[0, 10], [1, 20], [0, 90]], k=[1] * 99 + [0], **arguments)
    words = problem.feasibility().explain()
    assert "90 customers have 90 slots, but may see only funds 'A' and 'B'" in words
    assert "60 of these slots empty" in words


def test_few_funds_for_own_slots_are_explained():
    eligible = np.ones((3, 3), bool)
    eligible[1, :2] = eligible[2] = False
    words = ptofa.AllocationProblem(np.ones((3, 3)), [2, 2, 2], [3, 2, 1], eligible=eligible).feasibility().explain()
    assert "2 customers may see fewer funds than they have slots (1 may see none)" in words
    assert "1 to 3 slots a customer" in words


def test_verify_knows_ranges_and_own_slots():
    problem = ptofa.AllocationProblem(np.ones((4, 2)), [[1, 4], [1, 4]], k=[1, 1, 0, 2])
    good = AllocationPlan(problem, [[0, -1], [0, -1], [-1, -1], [0, 1]], "by hand", "feasible").verify()
    assert good.unfilled == 0
    with pytest.raises(AllocationError, match="customer row 2 sees 1 funds; they have 0 slots"):
        AllocationPlan(problem, [[0, -1], [0, -1], [1, -1], [1, -1]], "by hand", "feasible").verify()
    ranges = ptofa.AllocationProblem(np.ones((4, 2)), [[0, 4], [2, 4]])
    short = AllocationPlan(ranges, [[0], [0], [0], [1]], "by hand", "feasible")
    assert short.shortfall.tolist() == [0, 1]
    assert "1 fund short of its low end: 'fund 1' by 1" in short.summary()
    assert "2 to 8 exposures bought, 0 of 4 slots empty; quotas are ranges" in short.summary()
    assert "quota_low" in short._repr_html_()
    with pytest.raises(AllocationError, match=r"the low end of its quota is 2 \(1 exposure of all funds is missing\)"):
        short.verify()
    relaxed = AllocationPlan(ranges, short.funds, "by hand", "infeasible", relaxed=True)
    with pytest.raises(AllocationError, match="misses 1 exposures that the low ends of the quotas ask for; 0 would do"):
        relaxed.verify()


def test_a_plan_with_more_funds_than_slots_has_no_certificate():
    problem = ptofa.AllocationProblem(np.ones((2, 2)), [1, 1], k=[1, 2])
    with pytest.raises(InputError, match="customer row 0 2 funds; they have 1 slot"):
        shadow_prices(problem, [[0, 1], [-1, -1]])


@settings(calm, max_examples=40)
@given(general_instances(max_customers=30, max_funds=8))
def test_baselines_keep_to_own_slots(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    slots = oracles.slots_of(problem)
    plan = ptofa.allocate(problem, "topk", device="cpu")
    for u, row in enumerate(problem.eligible):
        best = sorted(np.flatnonzero(row), key=lambda f: (-problem.revenue[u, f], f))[: slots[u]]
        assert plan.funds[u].tolist() == best + [-1] * (problem.k - len(best))
    plan = ptofa.allocate(problem, "manual", device="cpu", priority=range(problem.n_funds))
    oracles.check_limits(problem, plan.funds)
    seen: list[set[int]] = [set() for _ in range(problem.n_customers)]
    for f in range(problem.n_funds):
        free = [u for u in range(problem.n_customers) if problem.eligible[u, f] and len(seen[u]) < slots[u]]
        for u in sorted(free, key=lambda u: (-problem.revenue[u, f], u))[: problem.quota[f]]:
            seen[u].add(f)
    assert [set(row[row >= 0].tolist()) for row in plan.funds] == seen


def test_the_heuristic_refuses_ranges():
    problem = ptofa.AllocationProblem(np.ones((4, 2)), [[1, 4], [1, 4]])
    with pytest.raises(InputError, match=r"quota ranges. Use method='optimal' or 'reference'"):
        ptofa.allocate(problem, "heuristic")
