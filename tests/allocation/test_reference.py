from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from ptofa_gpu.allocation.problem import AllocationProblem
from ptofa_gpu.allocation.reference import MAX_PAIRS, solve_reference
from ptofa_gpu.errors import AllocationError, InfeasibleError, InputError
from tests.allocation import oracles
from tests.allocation.strategies import eligible_of, instances

LP_SOLVERS = ("highs", "scipy", "clarabel")


@pytest.fixture
def small():
    rng = np.random.default_rng(3)
    revenue = (rng.lognormal(size=(40, 5)) * 10).astype(np.float32)
    return AllocationProblem(revenue, [8, 8, 8, 8, 8], tolerance=rng.integers(2, 6, 40), risk=[1, 1, 2, 2, 2])


@settings(max_examples=60, deadline=None)
@given(instances(max_customers=6, max_funds=4, max_k=3))
def test_oracles_agree_with_brute_force(arguments):
    problem = AllocationProblem(**arguments)
    truth = oracles.brute_force(problem)
    assert oracles.max_flow(problem) == truth.exposures
    assert oracles.min_cost_flow_value(problem) == truth


@settings(max_examples=60, deadline=None)
@given(instances(max_customers=6, max_funds=4, max_k=3))
def test_min_cost_flow_is_the_best_of_all_plans(arguments):
    problem = AllocationProblem(**arguments)
    solution = solve_reference(problem, on_infeasible="relax")
    oracles.check_limits(problem, solution.funds)
    assert oracles.plan_value(problem.revenue, solution.funds) == oracles.brute_force(problem)
    assert solution.status == ("optimal" if problem.feasibility().ok else "infeasible")


@settings(max_examples=60, deadline=None)
@given(instances())
def test_min_cost_flow_meets_the_oracle(arguments):
    problem = AllocationProblem(**arguments)
    solution = solve_reference(problem, on_infeasible="relax")
    value = oracles.plan_value(problem.revenue, solution.funds)
    oracles.check_limits(problem, solution.funds)
    assert value == oracles.min_cost_flow_value(problem)
    assert solution.bound == pytest.approx(float(value.revenue), rel=1e-12)
    assert Fraction(solution.bound) >= value.revenue - abs(value.revenue) / 2**50


@settings(max_examples=8, deadline=None)
@given(instances(max_customers=400, max_funds=40, feasible=True))
def test_min_cost_flow_meets_the_oracle_at_size(arguments):
    problem = AllocationProblem(**arguments)
    solution = solve_reference(problem)
    assert solution.status == "optimal"
    assert oracles.plan_value(problem.revenue, solution.funds) == oracles.min_cost_flow_value(problem)


@settings(max_examples=15, deadline=None)
@given(instances(max_customers=30, max_funds=6))
@pytest.mark.parametrize("solver", LP_SOLVERS)
def test_linear_programme_equals_min_cost_flow(solver, arguments):
    problem = AllocationProblem(**arguments)
    solution = solve_reference(problem, solver, on_infeasible="relax")
    oracles.check_limits(problem, solution.funds)
    found, best = oracles.plan_value(problem.revenue, solution.funds), oracles.min_cost_flow_value(problem)
    assert found.exposures == best.exposures
    assert float(found.revenue) == pytest.approx(float(best.revenue), rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(instances(max_customers=20, max_funds=5))
@pytest.mark.parametrize("solver", ["highs", "scipy"])
def test_mixed_integer_form_equals_min_cost_flow(solver, arguments):
    problem = AllocationProblem(**arguments)
    solution = solve_reference(problem, solver, integer=True, on_infeasible="relax")
    found, best = oracles.plan_value(problem.revenue, solution.funds), oracles.min_cost_flow_value(problem)
    assert found.exposures == best.exposures
    assert float(found.revenue) == pytest.approx(float(best.revenue), rel=1e-9)


def test_real_revenues_agree_between_solvers(small):
    worth = {}
    for solver in ("ortools", *LP_SOLVERS, "highs-mip"):
        solution = solve_reference(small, solver)
        assert solution.status == "optimal"
        worth[solver] = float(oracles.plan_value(small.revenue, solution.funds).revenue)
    assert max(worth.values()) - min(worth.values()) <= 1e-9 * max(worth.values())


def test_the_three_cases():
    revenue = np.array([[5.0, 3.0], [4.0, -1.0], [2.0, 2.0]])
    under = solve_reference(AllocationProblem(revenue, [1, 1]))
    assert under.funds.tolist() == [[0], [-1], [1]] or under.funds.tolist() == [[1], [0], [-1]]
    exact = solve_reference(AllocationProblem(revenue, [1, 2]))
    assert exact.funds.tolist() == [[1], [0], [1]]
    over = solve_reference(AllocationProblem(revenue, [2, 9]))
    assert over.funds.tolist() == [[0], [0], [1]]
    assert over.price.tolist() == [0.0, 0.0]


def test_slots_list_funds_by_falling_revenue():
    solution = solve_reference(AllocationProblem(np.array([[1.0, 3.0, 2.0, 3.0]]), [1, 1, 0, 1], k=4))
    assert solution.funds.tolist() == [[1, 3, 0, -1]]


def test_same_input_same_plan(small):
    assert np.array_equal(solve_reference(small).funds, solve_reference(small).funds)


@settings(max_examples=20, deadline=None)
@given(instances(max_customers=20, max_funds=5, feasible=False))
def test_infeasible_instances_raise_or_are_relaxed(arguments):
    problem = AllocationProblem(**arguments)
    with pytest.raises(InfeasibleError, match="Infeasible"):
        solve_reference(problem)
    solution = solve_reference(problem, on_infeasible="relax")
    assert solution.status == "infeasible"
    assert oracles.plan_value(problem.revenue, solution.funds) == oracles.min_cost_flow_value(problem)


@settings(max_examples=30, deadline=None)
@given(instances(feasible=True))
def test_strategy_keeps_its_promise_feasible(arguments):
    problem = AllocationProblem(**arguments)
    assert np.array_equal(problem.eligible, eligible_of(arguments))
    assert oracles.max_flow(problem) == min(int(problem.quota.sum()), problem.slots)


def test_revenues_of_very_different_size():
    rng = np.random.default_rng(0)
    revenue = np.exp(rng.uniform(-40, 40, (300, 6))).astype(np.float32)
    problem = AllocationProblem(revenue, [50] * 6)
    flow, lp = solve_reference(problem), solve_reference(problem, "highs")
    a, b = (float(oracles.plan_value(revenue, s.funds).revenue) for s in (flow, lp))
    assert a == pytest.approx(b, rel=1e-9)


def test_quota_beyond_int32_is_no_trouble():
    problem = AllocationProblem(np.array([[1.0, 2.0], [3.0, 1.0]]), [2**40, 2**40])
    for solver in ("ortools", "highs"):
        assert solve_reference(problem, solver).funds.tolist() == [[1], [0]]


def test_no_eligible_pair_at_all():
    problem = AllocationProblem(np.ones((3, 2)), [1, 1], eligible=np.zeros((3, 2), bool))
    for solver in ("ortools", "highs"):
        solution = solve_reference(problem, solver, on_infeasible="relax")
        assert solution.funds.tolist() == [[-1]] * 3
        assert solution.status == "infeasible"
        assert solution.bound == 0.0


def test_unknown_solver_lists_the_installed_ones(small):
    with pytest.raises(InputError, match=r"'XPRESS9' is not installed.*ortools.*highs"):
        solve_reference(small, "xpress9")


def test_requests_a_solver_cannot_meet_are_errors(small):
    with pytest.raises(InputError, match="no time limit"):
        solve_reference(small, "ortools", time_limit=1.0)
    with pytest.raises(InputError, match="no mixed-integer form"):
        solve_reference(small, "ortools", integer=True)
    with pytest.raises(InputError, match=r"no mixed-integer form.*highs"):
        solve_reference(small, "clarabel", integer=True)
    with pytest.raises(InputError, match="time_limit=0"):
        solve_reference(small, time_limit=0)
    with pytest.raises(InputError, match="on_infeasible"):
        solve_reference(small, on_infeasible="ignore")


def test_time_limit_stops_the_solver():
    rng = np.random.default_rng(1)
    problem = AllocationProblem(rng.random((20_000, 8)), [2500] * 8)
    start = time.perf_counter()
    solution = solve_reference(problem, integer=True, time_limit=0.05)
    assert time.perf_counter() - start < 20
    assert solution.status == "time_limit"
    filled = int((solution.funds >= 0).sum())
    assert filled in (0, problem.slots)
    assert (solution.price is None) == (filled == 0)
    oracles.check_limits(problem, solution.funds)


def test_an_unproved_plan_is_not_called_optimal(small, monkeypatch):
    # a solver whose answer is feasible and not the best one
    from ptofa_gpu.allocation import _reference_flow

    worst = AllocationProblem(-small.revenue, small.quota, eligible=small.eligible)
    plan = solve_reference(worst).funds
    monkeypatch.setattr(_reference_flow, "flow_plan", lambda problem, pairs: plan)
    solution = solve_reference(small)
    assert solution.status == "feasible"
    assert solution.bound > float(oracles.plan_value(small.revenue, plan).revenue)
    monkeypatch.setattr(_reference_flow, "flow_plan", lambda problem, pairs: np.full_like(plan, -1))
    with pytest.raises(AllocationError, match="0 exposures where 40 are possible"):
        solve_reference(small)


def test_enough_time_gives_the_optimum(small):
    assert solve_reference(small, time_limit=60.0).status == "optimal"


def test_too_many_pairs_are_refused(monkeypatch, small):
    monkeypatch.setattr("ptofa_gpu.allocation.reference.MAX_PAIRS", 10)
    with pytest.raises(InputError, match=r"eligible pairs.*at most 10.*method='optimal'"):
        solve_reference(small)
    assert MAX_PAIRS == 50_000_000
