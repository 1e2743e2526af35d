"""The exchange: against a brute-force search, whatever the working set, and a run that goes on after a stop."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation import exchange, optimal, passes, settle
from ptofa_gpu.allocation.exchange import DONE, FAR, NEEDS_CUSTOMERS, STOPPED, Exchange, Supply, WorkingSet


def best_plan(value: np.ndarray, held: np.ndarray, counts: np.ndarray) -> int | None:
    """The most that plans with so many of each fund (the last one: empty slots) earn, one slot a customer."""
    n, funds = value.shape
    earned = [
        sum(int(value[u, f]) for u, f in enumerate(plan) if f < funds)
        for plan in product(range(funds + 1), repeat=n)
        if (np.bincount(plan, minlength=funds + 1) == counts).all()
        and all(f == funds or value[u, f] > -np.inf for u, f in enumerate(plan))
    ]
    return max(earned, default=None)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 50, exchange.WORK]))
def test_the_plan_is_the_best_with_these_counts(seed: int, work: int) -> None:
    rng = np.random.default_rng(seed)
    n, funds = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    E = rng.integers(-4, 5, (n, funds)).astype(np.float32)
    tolerance, risk = rng.integers(1, 4, n).astype(np.int8), rng.integers(1, 4, funds).astype(np.int8)
    value = np.where(tolerance[:, None] >= risk, E, -np.inf)
    best = np.concatenate([value, np.zeros((n, 1))], axis=1)
    held = best.argmax(1)
    counts = np.bincount(held, minlength=funds + 1)
    wanted = rng.multinomial(n, rng.dirichlet(np.ones(funds + 1)))
    some = WorkingSet(
        np.arange(n), E, tolerance, None, np.where(held == funds, -1, held)[:, None].astype(np.int16), FAR
    )
    # no quota may stay unused: the empty slot is a fund like the others, and who fills too many has them to give
    supply = Supply(np.full(funds, FAR), np.zeros(funds, np.int64), np.zeros(funds, np.int64), 0)
    with Exchange(some, risk, np.zeros(funds), 1.0, counts - wanted, supply) as job:
        while (status := job.run(work)) == STOPPED:
            pass
    earned = sum(int(value[u, f]) for u, f in enumerate(job.held[:, 0]) if f >= 0)
    possible = best_plan(value, held, wanted)
    if possible is None:
        assert status == NEEDS_CUSTOMERS
    else:
        assert status == DONE
        assert earned == possible
        assert not job.imbalance.any()
    # at the prices it leaves everybody has what they like best
    after = best + job.potential - job.potential[-1]
    assert (after[np.arange(n), np.where(job.held[:, 0] < 0, funds, job.held[:, 0])] == after.max(1)).all()


@pytest.mark.parametrize("ties", [None, 1])
def test_a_run_that_stops_for_the_clock_goes_on_as_if_it_had_not(monkeypatch, ties):
    rng = np.random.default_rng(8)
    E = rng.lognormal(0, 1, (6_000, 10)).astype(np.float32)
    E = E if ties is None else E.round(ties)
    problem = ptofa.AllocationProblem(E, np.bincount(rng.integers(0, 10, 6_000) // 2 * 2, minlength=10))
    wanted = ptofa.allocate(problem, "optimal", device="cpu")
    run = Exchange.run
    monkeypatch.setattr(Exchange, "run", lambda self: run(self, 1))  # one path at a time
    plan = ptofa.allocate(problem, "optimal", device="cpu")
    np.testing.assert_array_equal(plan.funds, wanted.funds)
    np.testing.assert_array_equal(plan.price, wanted.price)


@pytest.mark.parametrize(("k", "decimals"), [(1, 3), (3, 1), (2, 0)])
@pytest.mark.parametrize("first", [1, 30, 400])
def test_small_working_sets_end_with_a_best_plan_too(monkeypatch, k, decimals, first):
    rng = np.random.default_rng(k)
    E = np.round(rng.lognormal(0, 1, (3_000, 12)), decimals).astype(np.float32)
    quota = np.bincount(rng.choice(12, 3_000 * k, p=np.arange(1, 13) / 78), minlength=12)
    problem = ptofa.AllocationProblem(E, np.minimum(quota, 3_000), k)
    wanted = ptofa.allocate(problem, "optimal", device="cpu")
    # no prices are looked for: the exchange does it all
    monkeypatch.setattr(optimal, "_prices", lambda market, *_: np.full(market.funds, market.level))
    status, run = [], Exchange.run
    monkeypatch.setattr(Exchange, "run", lambda self: status.append(run(self)) or status[-1])
    for name, value in {"FIRST_CUSTOMERS": first, "EACH_FUND": 0, "EACH_WRONG": 0, "SMALL": 0}.items():
        monkeypatch.setattr(settle, name, value)
    plan = ptofa.allocate(problem, "optimal", device="cpu").verify()
    assert plan.status == "optimal"
    assert plan.objective == pytest.approx(wanted.objective, rel=1e-12)
    assert NEEDS_CUSTOMERS in status


def test_of_many_who_are_indifferent_some_are_taken_from_everywhere():
    E = np.zeros((5_000, 3), np.float32)
    E[::100] = np.arange(150, dtype=np.float32).reshape(50, 3)  # who are not
    problem = ptofa.AllocationProblem(E, [1000] * 3)
    everyone = passes.Passes.over(problem, problem.revenue_blocks(), 2.0**20)
    chosen, offset = everyone.empty_plan(), np.full(3, 5.0)
    everyone.take(offset, chosen)
    some = everyone.nearest(offset, chosen, 100)
    assert some.bound == 0
    assert some.rows.size == 100
    assert np.diff(some.rows).max() < 60
    np.testing.assert_array_equal(some.revenue, E[some.rows])
    np.testing.assert_array_equal(some.held, chosen[some.rows])
    whole = everyone.nearest(offset, chosen, 5_000)
    assert whole.bound == FAR
    assert whole.rows.size == 5_000
