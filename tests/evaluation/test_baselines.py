import numpy as np
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.evaluation import baselines
from ptofa_gpu.evaluation.baselines import random_funds, random_plan


def problem(k=2, n=400, seed=0, quota=None):
    rng = np.random.default_rng(seed)
    return ptofa.AllocationProblem(
        revenue=rng.random((n, 5)),
        quota=[n * k // 5] * 5 if quota is None else quota,
        k=k,
        tolerance=rng.integers(1, 6, n),
        risk=[1, 1, 2, 3, 5],
    )


@pytest.mark.parametrize("quota", [None, [10, 0, 3, 900, 2], [10_000] * 5])
def test_random_funds_keep_quotas_eligibility_and_distinct_slots(quota):
    p = problem(quota=quota)
    funds = random_funds(p, seed=1)
    taken = np.bincount(funds[funds >= 0], minlength=5)
    assert np.all(taken <= p.quota)
    row, _ = np.nonzero(funds >= 0)
    assert p.eligible[row, funds[funds >= 0]].all()
    both = funds[(funds >= 0).all(axis=1)]
    assert np.all(both[:, 0] != both[:, 1])
    # complete: an empty slot is left only where every permitted fund is held or exhausted
    for u in np.flatnonzero((funds < 0).any(axis=1)):
        open_funds = np.flatnonzero(p.eligible[u] & (taken < p.quota))
        assert set(open_funds) <= set(funds[u])


def test_it_is_random_and_deterministic(monkeypatch):
    p = problem()
    assert np.array_equal(random_funds(p, seed=3), random_funds(p, seed=3))
    assert not np.array_equal(random_funds(p, seed=3), random_funds(p, seed=4))
    monkeypatch.setattr(baselines, "_BLOCK_ROWS", 64)
    assert np.array_equal(np.bincount(random_funds(p, seed=3).ravel() + 1, minlength=6)[1:] <= p.quota, [True] * 5)


def test_a_random_plan_that_leaves_exposures_is_not_feasible():
    complete = ptofa.AllocationProblem(np.ones((20, 2)), quota=[10, 10])
    assert random_plan(complete).status == "feasible"
    # the second fund may be shown to five customers only
    short = ptofa.AllocationProblem(np.ones((20, 2)), quota=[10, 10], tolerance=[2] * 5 + [1] * 15, risk=[1, 2])
    plan = random_plan(short)
    assert plan.unfilled > 0
    assert plan.status == "infeasible"


def test_choice_is_uniform_when_nothing_limits_it():
    p = ptofa.AllocationProblem(np.ones((20_000, 4)), quota=[20_000] * 4)
    counts = np.bincount(random_funds(p, seed=0).ravel(), minlength=4)
    assert np.all(np.abs(counts - 5000) < 5 * np.sqrt(5000 * 0.75))
