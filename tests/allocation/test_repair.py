"""Repair: as many exposures as any plan has, along the paths that lose least."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation._paths import Sample, best_path
from ptofa_gpu.allocation.repair import complete
from ptofa_gpu.allocation.watch import Watch
from ptofa_gpu.ops.order import order_slots
from tests.allocation import oracles
from tests.allocation.strategies import general_instances

calm = settings(deadline=None, suppress_health_check=list(HealthCheck))


def repaired(problem, plan, hurried=False):
    ordered = plan.astype(np.int16)
    order_slots(problem.revenue, ordered)
    return complete(problem, ordered, problem.revenue_blocks(), Watch(0, None, None), hurried)


def some_plan(problem, seed):
    """A random plan within the limits, empty slots last."""
    rng = np.random.default_rng(seed)
    left, plan = problem.quota.copy(), np.full((problem.n_customers, problem.k), -1)
    slots = oracles.slots_of(problem)
    for u in rng.permutation(problem.n_customers):
        funds = rng.permutation(np.flatnonzero(problem.eligible[u] & (left > 0)))[: rng.integers(0, slots[u] + 1)]
        plan[u, : funds.size] = funds
        left[funds] -= 1
    return plan


@settings(calm, max_examples=300)
@given(general_instances(max_customers=40, max_funds=10), st.integers(0, 99), st.booleans())
def test_every_plan_comes_out_as_full_as_can_be(arguments, seed, hurried):
    problem = ptofa.AllocationProblem(**arguments)
    plan = repaired(problem, some_plan(problem, seed), hurried)
    oracles.check_limits(problem, plan)
    assert plan.min() >= -1
    counts = np.bincount(plan[plan >= 0], minlength=problem.n_funds)
    assert counts.sum() == oracles.max_flow(problem)
    assert np.minimum(counts, problem.quota_low).sum() == oracles.max_flow(problem, problem.quota_low)
    value = np.take_along_axis(problem.revenue, np.maximum(plan, 0).astype(int), 1).astype(float)
    value[plan < 0] = -np.inf
    assert (value[:, :-1] >= value[:, 1:]).all()


def test_the_path_that_loses_least_is_taken_and_not_the_shortest():
    # the customer without a fund may see A only; A -> C at once loses 9, A -> B -> C loses 2
    E = np.array([[5.0, 0, 0], [10.0, 9.0, 1.0], [0.0, 10.0, 9.0]])
    eligible = np.ones((3, 3), bool)
    eligible[0, 1:] = eligible[2, 0] = False
    problem = ptofa.AllocationProblem(E, [1, 1, 1], eligible=eligible)
    assert repaired(problem, np.array([[-1], [0], [1]])).tolist() == [[0], [1], [2]]


def test_a_repaired_plan_stays_near_the_best():
    rng = np.random.default_rng(0)
    E = rng.lognormal(rng.normal(0, 1, (20_000, 1)), 1.2, (20_000, 8)).astype(np.float32)
    tolerance, risk = rng.integers(1, 6, 20_000), np.array([1, 1, 1, 2, 2, 3, 4, 5])
    noise = np.where(tolerance[:, None] >= risk, rng.gumbel(size=E.shape), -np.inf)
    quota = np.bincount(np.argsort(-noise, axis=1)[:, :3].ravel(), minlength=8)
    problem = ptofa.AllocationProblem(E, quota, 3, tolerance, risk)
    paper = ptofa.allocate(problem, "heuristic", device="cpu", repair=False)
    plan = ptofa.allocate(problem, "heuristic", device="cpu").verify()
    best = ptofa.allocate(problem, "optimal", device="cpu").objective
    assert paper.unfilled > 100
    assert plan.unfilled == 0
    assert plan.objective > 0.998 * best


@calm
@given(st.integers(0, 2**20), st.integers(1, 5), st.floats(0.1, 1.0))
def test_best_path_against_every_path(seed, funds, density):
    rng = np.random.default_rng(seed)
    gain = np.where(rng.random((funds + 1, funds)) < density, -rng.integers(1, 50, (funds + 1, funds)), -np.inf)
    np.fill_diagonal(gain, -np.inf)
    is_open = rng.random(funds) < 0.4
    spare = ~is_open & (rng.random(funds) < 0.3)
    paths = [[-1, *p] for n in range(1, funds + 1) for p in permutations(range(funds), n) if is_open[p[-1]]]
    paths += [p[1:] for p in paths if len(p) > 2 and spare[p[1]]]
    totals = [sum(gain[a, b] for a, b in pairwise(p)) for p in paths]
    best = max(totals, default=-np.inf)
    found = best_path(gain, spare, is_open)
    if best == -np.inf:
        assert found is None
        return
    assert len(set(found)) == len(found)
    assert is_open[found[-1]]
    assert found[0] == -1 or spare[found[0]]
    assert sum(gain[a, b] for a, b in pairwise(found)) == best  # no cycle gains: the best walk is a path


def test_a_long_way_is_found_where_there_is_no_other():
    funds = 40
    gain = np.full((funds + 1, funds), -np.inf)
    gain[funds, 0] = -1.0
    gain[np.arange(funds - 1), np.arange(1, funds)] = -1.0
    is_open = np.arange(funds) == funds - 1
    assert best_path(gain, np.zeros(funds, bool), is_open) == [-1, *range(funds)]
    gain[20, 21] = -np.inf
    assert best_path(gain, np.zeros(funds, bool), is_open) is None


def test_gains_along_arcs():
    E = np.array([[3.0, 5.0, 4.0], [2.0, 9.0, 1.0], [1.0, 1.0, 1.0]])
    problem = ptofa.AllocationProblem(E, [1, 1, 1], k=2, excluded=[(1, 2)])
    sample = Sample(problem, problem.revenue_blocks())
    gain, least = sample.gains(np.array([[0, -1], [0, -2], [-1, -1]], np.int16), 1)
    nothing = gain.min()
    assert gain[0].tolist() == [nothing, 7.0, 1.0]
    assert gain[3].tolist() == [1.0, 5.0, 4.0]
    assert (gain[1:3] == nothing).all()
    assert nothing < -2 * E.max()
    assert (least == -np.inf).all()  # three customers tell nothing of how many gain how much


@pytest.mark.parametrize("amount", [1, 3, 40])
def test_gains_of_the_last_who_moves_and_of_some_more(amount):
    rng = np.random.default_rng(amount)
    E = np.round(rng.normal(0, 5, (300, 4))).astype(np.float32)
    problem = ptofa.AllocationProblem(E, [100] * 4, 2, rng.integers(1, 4, 300), [1, 1, 2, 3])
    plan = np.full((300, 2), -1, np.int16)
    for u in range(300):
        funds = rng.permutation(np.flatnonzero(problem.eligible[u]))[: rng.integers(0, 3)]
        plan[u, : funds.size] = funds
    gain, least = Sample(problem, problem.revenue_blocks()).gains(plan, amount)
    more = amount + amount // 2 + 4
    for a in range(5):
        for b in range(4):
            all_gains = sorted(
                (
                    float(E[u, b]) - (float(E[u, a]) if a < 4 else 0.0)
                    for u in range(300)
                    if (a if a < 4 else -1) in plan[u] and b not in plan[u] and problem.eligible[u, b]
                ),
                reverse=True,
            )
            if all_gains:
                assert gain[a, b] == all_gains[min(amount, len(all_gains)) - 1]
            assert least[a, b] == (all_gains[more - 1] if len(all_gains) >= more else -np.inf)


def test_who_gains_less_than_the_sample_promised_moves_all_the_same(monkeypatch):
    """With a threshold that nobody reaches all candidates are looked at: the plan is the same."""
    rng = np.random.default_rng(0)
    E = rng.lognormal(size=(500, 4)).astype(np.float32)
    problem = ptofa.AllocationProblem(E, [125] * 4, 1, rng.integers(1, 4, 500), [1, 1, 2, 3])
    plan = some_plan(problem, 1)
    expected = repaired(problem, plan)
    honest = Sample.gains

    def boastful(self, chosen, amount):
        last, least = honest(self, chosen, amount)
        return last, np.full_like(least, 1e9)

    monkeypatch.setattr(Sample, "gains", boastful)
    np.testing.assert_array_equal(repaired(problem, plan), expected)


def test_in_a_hurry_what_paths_lose_is_looked_at_a_few_times(monkeypatch):
    rng = np.random.default_rng(3)
    E = rng.lognormal(0, 1, (3_000, 12)).astype(np.float32)
    problem = ptofa.AllocationProblem(E, rng.multinomial(3_000, rng.dirichlet(np.ones(12))))
    looks = []
    gains = Sample.gains
    monkeypatch.setattr(Sample, "gains", lambda self, *given: looks.append(1) or gains(self, *given))
    value = {}
    for hurried in (False, True):
        looks.clear()
        plan = repaired(problem, np.full((3_000, 1), -1), hurried)
        value[hurried] = float(np.take_along_axis(E, plan.astype(int), 1).sum()), len(looks)
    assert value[True][1] <= 9 < value[False][1]
    assert 0.8 * value[False][0] < value[True][0]


@pytest.mark.parametrize("seed", range(5, 20))
def test_no_time_at_all_still_gives_a_whole_plan_within_ranges(seed):
    rng = np.random.default_rng(seed)
    E = rng.lognormal(0, 1, (2_000, 12)).astype(np.float32)
    tolerance, risk = rng.integers(1, 6, 2_000).astype(np.int8), np.sort(rng.integers(1, 6, 12)).astype(np.int8)
    risk[:2] = 1
    noise = np.where(tolerance[:, None] >= risk, rng.gumbel(size=E.shape) + rng.normal(0, 1.5, 12), -np.inf)
    some = np.bincount(np.argpartition(-noise, 1, axis=1)[:, :2].ravel(), minlength=12)
    quota = np.stack([(some * 0.95).astype(int), (some * 1.05).astype(int) + 1], 1)
    problem = ptofa.AllocationProblem(E, quota, 2, tolerance, risk)
    plan = ptofa.allocate(problem, "optimal", device="cpu", time_limit=0.0).verify()
    assert plan.status == "time_limit"
    assert (plan.funds >= 0).all()
    assert ((plan.exposures >= quota[:, 0]) & (plan.exposures <= quota[:, 1])).all()
