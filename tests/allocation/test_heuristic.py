"""Algorithm 1 in batched rounds against the sequential algorithm, one customer at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InfeasibleError
from tests.allocation.oracles import algorithm1, check_limits, max_flow, slots_of
from tests.allocation.strategies import general_instances, instances


@pytest.fixture(autouse=True)
def one_thread(numba_threads):
    """Waking threads costs more than instances this small."""
    numba_threads(1)


quick = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
TAILS = st.sampled_from(["zero", "drop", "inf"])


def check_against_the_sequential_algorithm(arguments, tail):
    """Bit for bit without repair; complete wherever the instance is feasible with it."""
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, method="heuristic", device="cpu", tail=tail, repair=False)
    expected = algorithm1(problem.revenue, problem.eligible, problem.quota, slots_of(problem), tail)
    np.testing.assert_array_equal(plan.funds[:, : expected.shape[1]], expected)
    repaired = ptofa.allocate(problem, "heuristic", device="cpu", tail=tail, on_infeasible="relax").verify()
    check_limits(problem, repaired.funds)
    assert repaired.status == ("feasible" if problem.feasibility().ok else "infeasible")
    assert repaired.exposures.sum() == problem.feasibility().delivered
    if plan.status == "feasible":
        np.testing.assert_array_equal(repaired.funds, plan.funds)


# 2,000 instances of up to 400 customers, 40 funds and 4 slots
many = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(instances(max_customers=400, max_funds=40))
@pytest.mark.parametrize("tail", ["zero", "drop", "inf"])
def test_equals_the_sequential_algorithm(tail, arguments):
    check_against_the_sequential_algorithm(arguments, tail)


@many
@given(general_instances(max_customers=400, max_funds=40, ranges=False))
@pytest.mark.parametrize("tail", ["zero", "drop", "inf"])
def test_equals_the_sequential_algorithm_with_own_slots(tail, arguments):
    check_against_the_sequential_algorithm(arguments, tail)


@settings(many, max_examples=500)
@given(instances(max_customers=60, max_funds=12, feasible=True), TAILS)
def test_repair_completes_every_feasible_instance(arguments, tail):
    problem = ptofa.AllocationProblem(**arguments)
    assert problem.feasibility().ok
    check_against_the_sequential_algorithm(arguments, tail)


@quick
@given(instances(max_customers=60, max_funds=12))
def test_relax_serves_as_many_as_any_plan_can(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, method="heuristic", device="cpu", on_infeasible="relax")
    plan.verify()
    check_limits(problem, plan.funds)
    assert plan.exposures.sum() == max_flow(problem)


@given(instances(max_customers=20, max_funds=5, feasible=False))
@settings(quick, max_examples=50)
def test_infeasible_instances_are_refused_with_the_explanation(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    with pytest.raises(InfeasibleError, match="cannot be delivered") as caught:
        ptofa.allocate(problem, method="heuristic", device="cpu")
    assert str(caught.value) == problem.feasibility().explain()


@given(instances(max_customers=40, max_funds=8))
@quick
def test_slots_are_in_order_of_falling_revenue(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    for repair in (False, True):
        plan = ptofa.allocate(problem, "heuristic", device="cpu", repair=repair, on_infeasible="relax")
        value = np.take_along_axis(problem.revenue, np.maximum(plan.funds, 0).astype(int), 1).astype(float)
        value[plan.funds < 0] = -np.inf
        assert (value[:, :-1] >= value[:, 1:]).all()


def test_same_plan_for_any_number_of_threads(numba_threads):
    rng = np.random.default_rng(3)
    problem = ptofa.AllocationProblem(
        np.round(rng.lognormal(0, 1, (30_000, 8)), 1), quota=[3750] * 8, tolerance=np.full(30_000, 2), risk=[1] * 8
    )
    plans = []
    for n in (1, 2):
        numba_threads(n)
        plans.append(ptofa.allocate(problem, "heuristic", device="cpu"))
    np.testing.assert_array_equal(plans[0].funds, plans[1].funds)
    assert plans[0].objective == plans[1].objective


def test_negative_zero_counts_as_zero():
    E = np.array([[-0.0, 0.0], [0.0, -0.0]], np.float32)
    plain = ptofa.AllocationProblem(np.abs(E), quota=[1, 1])
    signed = ptofa.AllocationProblem(E, quota=[1, 1])
    np.testing.assert_array_equal(ptofa.allocate(plain, "heuristic").funds, ptofa.allocate(signed, "heuristic").funds)


def test_time_limit_is_reported():
    rng = np.random.default_rng(0)
    problem = ptofa.AllocationProblem(rng.random((5000, 6)), quota=[100, 200, 300, 400, 500, 3500])
    plan = ptofa.allocate(problem, "heuristic", device="cpu", time_limit=0.0, repair=False)
    assert plan.status == "time_limit"
    assert plan.exposures.sum() < 5000


def test_progress_reaches_the_end():
    told = []
    problem = ptofa.AllocationProblem(np.random.default_rng(0).random((500, 4)), quota=[125] * 4)
    ptofa.allocate(problem, "heuristic", device="cpu", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (500, 500)
    assert [d for d, _ in told] == sorted(d for d, _ in told)
