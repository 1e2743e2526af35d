"""Serving new customers by a plan's prices, against the plan itself and a choice in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InputError
from tests.allocation.strategies import instances


def best_of(problem, price, fill):
    """(n, K): each customer's best E - price in float64, plainly."""
    out = np.full((problem.n_customers, problem.k), -1)
    for u in range(problem.n_customers):
        reduced = problem.revenue[u].astype(float) - price
        funds = [f for f in np.argsort(-reduced, kind="stable") if problem.eligible[u, f] and (fill or reduced[f] > 0)]
        funds = sorted(funds[: problem.k], key=lambda f: (-problem.revenue[u, f], f))
        out[u, : len(funds)] = funds
    return out


@settings(max_examples=150, deadline=None)
@given(instances(feasible=True), st.integers(0, 99))
def test_takes_the_best_at_these_prices(arguments, seed):
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, "optimal", device="cpu")
    # prices in whole units: differences are exact in either arithmetic
    plan.price = np.random.default_rng(seed).integers(-4, 5, problem.n_funds) * problem.max_revenue / 8
    rest = {name: arguments.get(name) for name in ("tolerance", "eligible")}
    if problem.risk.any() and rest["tolerance"] is None:
        rest["tolerance"] = problem.tolerance
    got = plan.assign(problem.revenue, **rest)
    assert got.dtype == np.int16
    assert got.tolist() == best_of(problem, plan.price, problem.case != "under").tolist()


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("share", [0.6, 1.0, 1.5])
def test_gives_the_customers_of_the_plan_what_they_have(k, share):
    rng = np.random.default_rng(k)
    E = rng.lognormal(rng.normal(0, 1, (5_000, 1)), 1.2, (5_000, 8)).astype(np.float32)
    tolerance, risk = rng.integers(1, 6, 5_000), np.array([1, 1, 1, 2, 2, 3, 4, 5])
    noise = np.where(tolerance[:, None] >= risk, rng.gumbel(size=E.shape), -np.inf)
    quota = np.bincount(np.argsort(-noise, axis=1)[:, :k].ravel(), minlength=8)
    problem = ptofa.AllocationProblem(E, np.round(quota * share).astype(int), k, tolerance, risk)
    plan = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax")
    same = (plan.assign(E, tolerance) == plan.funds).all(1)
    assert same.sum() >= 5_000 - 3 * 8  # all but those at the margin between two funds


def test_one_customer():
    problem = ptofa.AllocationProblem(np.array([[3.0, 1.0], [2.0, 1.5]]), [1, 1], tolerance=[1, 2], risk=[1, 1])
    plan = ptofa.allocate(problem, "optimal", device="cpu")
    assert plan.assign(np.array([5.0, 1.0]), 1).tolist() == [0]
    assert plan.assign([1.0, 9.0], 1, k=2).tolist() == [1, 0]
    assert plan.assign([1.0, 9.0], 0).tolist() == [-1]
    assert plan.assign(np.array([[1.0, 9.0]]), [1], excluded=[(0, 1)]).tolist() == [[0]]


def test_bad_input():
    problem = ptofa.AllocationProblem(np.array([[3.0, 1.0], [2.0, 1.5]]), [1, 1], tolerance=[1, 2], risk=[1, 1])
    with pytest.raises(InputError, match=r"'heuristic' has no prices .* method='optimal'"):
        ptofa.allocate(problem, "heuristic", device="cpu").assign(problem.revenue, [1, 1])
    plan = ptofa.allocate(problem, "optimal", device="cpu")
    with pytest.raises(InputError, match="tolerance is missing"):
        plan.assign(problem.revenue)
    with pytest.raises(InputError, match=r"has 3 funds .*; the plan was made for 2"):
        plan.assign(np.ones((4, 3)), np.ones(4, int))
    with pytest.raises(InputError, match="NaN"):
        plan.assign(np.array([[np.nan, 1.0]]), [1])
