"""Manual and top-K plans against their definitions, spelled out customer by customer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import ptofa_gpu as ptofa
from ptofa_gpu.errors import AllocationError, InputError
from tests.allocation.oracles import check_limits
from tests.allocation.strategies import instances

quick = settings(max_examples=150, deadline=None)


@quick
@given(instances(max_customers=40, max_funds=10))
def test_topk_gives_everyone_their_best(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, "topk", device="cpu")
    for u, row in enumerate(problem.eligible):
        best = sorted(np.flatnonzero(row), key=lambda f: (-problem.revenue[u, f], f))[: problem.k]
        assert plan.funds[u].tolist() == best + [-1] * (problem.k - len(best))


@quick
@given(instances(max_customers=40, max_funds=10))
def test_manual_fills_funds_in_order(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    order = list(range(problem.n_funds))[::-1]
    plan = ptofa.allocate(problem, "manual", device="cpu", priority=order)
    check_limits(problem, plan.funds)
    seen: list[set[int]] = [set() for _ in range(problem.n_customers)]
    for f in order:
        free = [u for u in range(problem.n_customers) if problem.eligible[u, f] and len(seen[u]) < problem.k]
        for u in sorted(free, key=lambda u: (-problem.revenue[u, f], u))[: problem.quota[f]]:
            seen[u].add(f)
    assert [set(row[row >= 0].tolist()) for row in plan.funds] == seen


def test_manual_starts_with_the_fund_of_highest_mean_revenue():
    E = np.array([[1.0, 3.0], [1.0, 2.0]])
    plan = ptofa.allocate(ptofa.AllocationProblem(E, quota=[1, 1]), "manual")
    assert plan.funds.ravel().tolist() == [1, 0]


@pytest.mark.parametrize("priority", [[0], [0, 0], [0, 2], [1, 0, 2]])
def test_manual_refuses_a_priority_that_is_no_order(priority):
    with pytest.raises(InputError, match="each of the 2 funds"):
        ptofa.allocate(ptofa.AllocationProblem(np.ones((2, 2)), [1, 1]), "manual", priority=priority)


def test_topk_says_that_it_breaks_quotas():
    problem = ptofa.AllocationProblem(np.array([[2.0, 1.0], [2.0, 1.0]]), quota=[1, 1], names=["A", "B"])
    plan = ptofa.allocate(problem, "topk")
    assert plan.status == "infeasible"
    assert plan.excess.tolist() == [1, 0]
    assert plan.shortfall.tolist() == [0, 1]
    assert "'A' by 1" in plan.summary()
    with pytest.raises(AllocationError, match=r"'A'.* is shown 2 times; its quota is 1"):
        plan.verify()
