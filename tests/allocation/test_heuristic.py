"""Algorithm 1 in batched rounds against the sequential algorithm, one customer at a time."""

from __future__ import annotations

from time import sleep

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation.heuristic import heuristic
from ptofa_gpu.allocation.watch import Watch
from ptofa_gpu.errors import AllocationError, InfeasibleError, InputError
from tests.allocation.oracles import algorithm1, check_limits, max_flow, slots_of
from tests.allocation.strategies import general_instances, instances

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


def test_same_plan_for_any_number_of_threads(monkeypatch):
    rng = np.random.default_rng(3)
    problem = ptofa.AllocationProblem(
        np.round(rng.lognormal(0, 1, (30_000, 8)), 1), quota=[3750] * 8, tolerance=np.full(30_000, 2), risk=[1] * 8
    )
    plans = []
    for n in (1, 2, 5):
        monkeypatch.setenv("PTOFA_NUM_THREADS", str(n))
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


@many
@given(
    st.one_of(
        instances(max_customers=200, max_funds=20), general_instances(max_customers=200, max_funds=20, ranges=False)
    ),
    st.sampled_from([0.0, 1e-5, 1e-4, 1e-3, 1e-2]),
    st.integers(1, 300),
)
def test_an_expired_plan_keeps_the_rules(arguments, limit, block_rows):
    """Wherever the time ends: before the first round, in a round, between two, in the repair, or not at all."""
    problem = ptofa.AllocationProblem(**arguments)
    options = {"time_limit": limit, "block_rows": block_rows, "on_infeasible": "relax"}
    plan = ptofa.allocate(problem, "heuristic", device="cpu", **options).verify()
    check_limits(problem, plan.funds)
    assert plan.exposures.sum() == problem.feasibility().delivered
    if plan.status != "time_limit":
        whole = ptofa.allocate(problem, "heuristic", device="cpu", on_infeasible="relax")
        np.testing.assert_array_equal(plan.funds, whole.funds)
        assert plan.status == whole.status
    if limit == 0.0 and problem.quota.any():
        assert plan.status == "time_limit"


class Stopping(Watch):
    """Its time is up when it has been asked so often."""

    def __init__(self, n: int):
        super().__init__(0, None, None)
        self.left = n

    def expired(self) -> bool:
        self.left -= 1
        self.timed_out |= self.left < 0
        return self.timed_out


@quick
@given(general_instances(max_customers=100, max_funds=12, ranges=False), st.integers(0, 12), st.integers(1, 120), TAILS)
def test_an_expired_result_of_the_paper_is_the_beginning_of_it(arguments, asked, block_rows, tail):
    problem = ptofa.AllocationProblem(**arguments)
    whole = ptofa.allocate(problem, "heuristic", device="cpu", tail=tail, repair=False).funds
    watch = Stopping(asked)
    some = heuristic(problem, problem.revenue_blocks(block_rows), tail, watch)
    served = (some >= 0).any(1)
    np.testing.assert_array_equal(some[served], whole[served])
    assert served.sum() <= (whole >= 0).any(1).sum()
    if not watch.timed_out:
        np.testing.assert_array_equal(some, whole)


@pytest.mark.parametrize("asked", [0, 1, 3, 6, 9])
@pytest.mark.parametrize("k", [1, 3])
def test_time_that_is_up_in_the_repair_leaves_nothing_out(asked, k, monkeypatch):
    from ptofa_gpu.allocation import api

    rng = np.random.default_rng(k)
    E = rng.lognormal(0, 1, (3000, 8))
    tolerance, risk = rng.integers(1, 5, 3000), np.array([1, 1, 1, 2, 2, 3, 3, 4])
    noise = np.where(tolerance[:, None] >= risk, rng.gumbel(size=E.shape), -np.inf)
    quota = np.bincount(np.argsort(-noise, axis=1)[:, :k].ravel(), minlength=8)
    problem = ptofa.AllocationProblem(E, quota, k, tolerance, risk)
    monkeypatch.setattr(api, "Watch", lambda *given: Stopping(asked) if given[0] else Watch(*given))
    plan = ptofa.allocate(problem, "heuristic", device="cpu").verify()
    assert plan.status == "time_limit"
    assert plan.unfilled == 0


def test_an_expired_result_of_the_paper_is_no_whole_plan():
    problem = ptofa.AllocationProblem(np.random.default_rng(0).random((5000, 6)), [1000, 1000, 1000, 1000, 500, 500])
    plan = ptofa.allocate(problem, "heuristic", device="cpu", time_limit=0.0, repair=False)
    assert plan.status == "time_limit"
    with pytest.raises(AllocationError, match="exposures of all funds are missing"):
        plan.verify()


@pytest.mark.parametrize("limit", [0.0, 1e-4, 1e-2])
def test_an_expired_plan_out_of_a_file_keeps_the_rules(tmp_path, limit):
    rng = np.random.default_rng(1)
    E = rng.random((20_000, 6)).astype(np.float32)
    np.save(tmp_path / "E.npy", E)
    for revenue in (tmp_path / "E.npy", [E[:7000], E[7000:]]):
        problem = ptofa.AllocationProblem(revenue, [9_000, 9_000, 6_000, 6_000, 5_000, 5_000], 2)
        plan = ptofa.allocate(problem, "heuristic", device="cpu", time_limit=limit, block_rows=3000).verify()
        assert plan.unfilled == 0


def test_time_that_is_up_when_all_is_done_changes_nothing():
    problem = ptofa.AllocationProblem(np.random.default_rng(0).random((500, 4)), [500, 0, 0, 0])
    told = []
    plan = ptofa.allocate(
        problem, "heuristic", device="cpu", time_limit=0.5, progress=lambda d, n: told.append(d) or sleep(0.6)
    )
    assert told == [500]
    assert plan.verify().status == "feasible"


def test_ranges_are_refused_whatever_the_time():
    problem = ptofa.AllocationProblem(np.ones((4, 2)), [[1, 4], [1, 4]])
    with pytest.raises(InputError, match="no quota ranges"):
        ptofa.allocate(problem, "heuristic", device="cpu", time_limit=0.0)


def test_progress_reaches_the_end():
    told = []
    problem = ptofa.AllocationProblem(np.random.default_rng(0).random((500, 4)), quota=[125] * 4)
    ptofa.allocate(problem, "heuristic", device="cpu", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (500, 500)
    assert [d for d, _ in told] == sorted(d for d, _ in told)
