"""Feasibility by groups against a maximum flow over every single customer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings

import ptofa_gpu as ptofa
from ptofa_gpu.allocation.feasibility import group_flow
from tests.allocation.oracles import max_flow
from tests.allocation.strategies import instances


@settings(max_examples=300, deadline=None)
@given(instances(max_customers=40, max_funds=10))
def test_equals_the_flow_over_single_customers(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    answer = problem.feasibility()
    most = max_flow(problem)
    assert answer.delivered == most
    assert answer.unserved == problem.slots - most
    assert answer.shortfall.sum() == (0 if problem.case == "over" else problem.quota.sum() - most)
    assert (answer.shortfall >= 0).all()
    assert answer.ok == bool(answer) == (most == min(problem.quota.sum(), problem.slots))
    words = answer.explain()
    if answer.ok:
        assert words.startswith("Feasible")
    else:
        assert f"{min(int(problem.quota.sum()), problem.slots) - most:,} of " in words


def test_explains_bold_funds_without_bold_customers():
    tolerance = np.repeat([1, 2, 4, 5], [100, 100, 50, 30])
    problem = ptofa.AllocationProblem(
        np.ones((280, 4)), quota=[70, 90, 70, 50], tolerance=tolerance, risk=[1, 2, 4, 4], names=list("ABGH")
    )
    words = problem.feasibility().explain()
    assert "40 of 280 exposures cannot be delivered" in words
    assert "Funds 'G' and 'H' bought 120 exposures" in words
    assert "tolerance >= 4" in words
    assert "80" in words
    assert "40 short" in words


def test_explains_a_quota_above_its_audience():
    problem = ptofa.AllocationProblem(np.ones((10, 2)), quota=[12, 0], names=["A", "B"], k=2)
    words = problem.feasibility().explain()
    assert "Fund 'A' bought 12 exposures" in words
    assert "2 short" in words


def test_explains_customers_who_may_see_nothing():
    eligible = np.ones((10, 2), bool)
    eligible[3] = False
    for quota in ([5, 5], [50, 50]):
        answer = ptofa.AllocationProblem(np.ones((10, 2)), quota=quota, eligible=eligible).feasibility()
        assert not answer.ok
        assert "1 may see none" in answer.explain()


def test_html_is_escaped():
    problem = ptofa.AllocationProblem(
        np.ones((2, 1)), quota=[9], names=["<b>x</b>"], k=1, eligible=np.zeros((2, 1)) > 0
    )
    assert "<b>x</b>" not in problem.feasibility()._repr_html_()


@pytest.mark.parametrize(
    ("demand", "have_slots_left"), [([2**40, 2**41, 5], [True, True, True]), ([2**62, 0, 2**41], [False, True, True])]
)
def test_slots_beyond_32_bits(demand, have_slots_left):
    """Three groups of 2^40 customers with two slots: some see all funds, some the first two, some the second."""
    patterns = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 0]], bool)
    problem = SimpleNamespace(groups=(patterns, np.full(3, 2**40)), group_slots=np.full(3, 2))
    flow = group_flow(problem, np.array(demand))
    audience = patterns.sum(0) * 2**40
    np.testing.assert_array_equal(flow.delivered, np.minimum(demand, audience))
    np.testing.assert_array_equal(flow.starved_groups, have_slots_left)
    np.testing.assert_array_equal(flow.starved_funds, np.array(demand) > audience)
