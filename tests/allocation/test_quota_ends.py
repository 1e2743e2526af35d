"""Quota ends beyond what any plan can give: however large, they change neither the plan nor how long it takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InputError
from tests.allocation.oracles import check_limits
from tests.allocation.strategies import general_instances

HUGE = [2**31 - 1, 2**31, 2**32 + 7, 2**40, 2**53 + 1, 2**59]


def check_same(one, other):
    np.testing.assert_array_equal(one.funds, other.funds)
    assert one.status == other.status
    assert one.objective == other.objective
    if one.price is not None and one.status != "infeasible":  # where no plan is, what low ends miss shows in prices
        np.testing.assert_array_equal(one.price, other.price)
        assert one.bound == other.bound


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(general_instances(max_customers=40, max_funds=8), st.data())
@pytest.mark.parametrize("method", ["optimal", "manual", "reference"])
def test_a_plan_never_depends_on_how_huge_a_quota_is(method, arguments, data):
    """Against the same instance with ends that are above all slots, and no more. (Algorithm 1 divides by quotas.)"""
    problem = ptofa.AllocationProblem(**arguments)
    ends = np.array(arguments["quota"])
    huge = data.draw(st.lists(st.sampled_from([0, *HUGE]), min_size=ends.size, max_size=ends.size))
    huge = np.array(huge).reshape(ends.shape)
    if ends.ndim == 2:
        huge[:, 1] = np.where(huge[:, 0], huge.max(1), huge[:, 1])  # no low end above its high end
    given_ends = np.where(huge, huge, ends)
    clamped = np.where(huge, problem.slots + 1, ends)
    if ends.ndim == 2:
        clamped[:, 0] = clamped.min(1)  # a low end above all slots asks for no more than all of them
    options = {} if method == "manual" else {"on_infeasible": "relax"}
    plans = []
    for quota in (given_ends, clamped):
        made = ptofa.AllocationProblem(**(arguments | {"quota": quota}))
        plans.append(ptofa.allocate(made, method, device="cpu", **options))
        assert made.quota.tolist() == (quota if quota.ndim == 1 else quota[:, 1]).tolist()
        check_limits(made, plans[-1].funds)
        if method != "manual":
            plans[-1].verify()
    check_same(*plans)


@pytest.mark.parametrize("method", ["optimal", "heuristic", "reference"])
@pytest.mark.parametrize("end", [2**40, 2**61 - 1])
def test_low_ends_that_nobody_can_meet_are_met_as_far_as_can_be(method, end):
    E = np.random.default_rng(0).lognormal(0, 1, (400, 3)).astype(np.float32)
    quota = np.array([end, 100, 100]) if method == "heuristic" else np.array([[end, end], [50, 100], [50, 100]])
    problem = ptofa.AllocationProblem(E, quota, 2, np.repeat([1, 2], 200), [2, 1, 1])
    plan = ptofa.allocate(problem, method, device="cpu", on_infeasible="relax").verify()
    assert plan.status == "infeasible"
    assert plan.exposures.tolist() == [200, 100, 100]


@pytest.mark.parametrize("method", ["optimal", "reference"])
def test_a_fund_that_everybody_gets_has_no_price(method):
    """Its quota is in nobody's way, however dear it would be to those who do not get it."""
    E = np.random.default_rng(0).integers(1, 50, (30, 3)).astype(np.float32)
    E[:, 0] += 1000
    problem = ptofa.AllocationProblem(E, [2**50, 20, 20], 2)
    plan = ptofa.allocate(problem, method, device="cpu").verify()
    assert plan.status == "optimal"
    assert plan.exposures[0] == 30
    assert plan.price[0] == 0.0


def test_more_slots_than_can_be_counted_are_still_refused():
    problem = ptofa.AllocationProblem(np.ones((2, 2)), [2**50, 1])
    assert problem.feasibility().ok
    problem = ptofa.AllocationProblem(np.broadcast_to(np.float32(1), (2, 2)), [1, 1])
    assert problem.feasibility().ok
    with pytest.raises(InputError, match="more than any number of customers"):
        ptofa.AllocationProblem(np.ones((2, 2)), [2**61, 2**61])
