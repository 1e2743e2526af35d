"""Slow, plain and independent of the package: what the allocators are judged by. Small instances only."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Literal, NamedTuple

import numpy as np


class Value(NamedTuple):
    """The most exposures any plan makes, and the most that plans with as many exposures earn (exact). With quota
    ranges, of the plans with as many exposures those count that have the most of them towards low ends."""

    exposures: int
    revenue: Fraction
    towards_low: int = 0


def algorithm1(
    revenue: np.ndarray,
    eligible: np.ndarray,
    quota: np.ndarray,
    k: int | np.ndarray,
    tail: Literal["zero", "drop", "inf"] = "zero",
) -> np.ndarray:
    """Algorithm 1 of PTOFA (arXiv 2503.03165), one customer at a time; (U, k) funds, -1 for an empty slot.

    `k` may differ between customers; those with 0 slots wait for nothing and do not count in the speeds.
    """
    n_customers, n_funds = revenue.shape
    value = [[float(x) for x in row] for row in revenue]
    left = [int(d) for d in quota]
    slots = np.broadcast_to(k, n_customers).tolist()
    plan = np.full((n_customers, max(slots)), -1)
    waiting = [u for u in range(n_customers) if slots[u] > 0]

    liked = [sorted(np.flatnonzero(row).tolist(), key=lambda f: (-value[u][f], f)) for u, row in enumerate(eligible)]
    counted = np.where(eligible, revenue, 0).astype(float)

    def choices(u: int) -> list[int]:
        return [f for f in liked[u] if left[f] > 0]

    while waiting and any(left):
        # float64 adds dyadic revenues exactly, in any order
        alpha = [total / d if d else 0.0 for total, d in zip(counted[waiting].sum(0).tolist(), left)]
        score = {}
        for u in waiting:
            order = choices(u)
            h = 0.0
            for a, b in pairwise(order):
                h += alpha[a] * (value[u][a] - value[u][b])
            if order and tail == "zero":
                h += alpha[order[-1]] * value[u][order[-1]]
            if order and tail == "inf" and len(order) < n_funds:
                h = math.inf
            score[u] = h
        for u in sorted(waiting, key=lambda u: (-score[u], u)):
            picks = choices(u)[: slots[u]]
            plan[u, : len(picks)] = picks
            waiting.remove(u)
            for f in picks:
                left[f] -= 1
            if any(left[f] == 0 for f in picks):
                break  # a fund ran out: speeds and scores anew over who is left
    return plan


def plan_value(revenue: np.ndarray, plan: np.ndarray, low: np.ndarray | None = None) -> Value:
    """What a plan is, exactly; `low` as from `low_ends`."""
    pairs = [(u, f) for u, row in enumerate(np.asarray(plan).tolist()) for f in row if f >= 0]
    counts = np.bincount([f for _, f in pairs], minlength=np.shape(revenue)[1])
    towards = 0 if low is None else int(np.minimum(counts, low).sum())
    return Value(len(pairs), sum((Fraction(float(revenue[u, f])) for u, f in pairs), Fraction(0)), towards)


def low_ends(problem) -> np.ndarray:
    """Low ends where they matter: those of ranges whose high ends do not all fit."""
    ranges = problem.quota.sum() > slots_of(problem).sum()
    return problem.quota_low if ranges else np.zeros_like(problem.quota)


def slots_of(problem) -> np.ndarray:
    """(U,) slots of each customer."""
    return np.full(problem.n_customers, problem.k) if problem.slots_of is None else problem.slots_of.astype(int)


def check_limits(problem, plan: np.ndarray) -> None:
    """No fund twice for a customer, none that they may not see, none over quota, no more funds than slots."""
    eligible, slots = problem.eligible, slots_of(problem)
    counts = [0] * problem.n_funds
    for u, row in enumerate(np.asarray(plan).tolist()):
        funds = [f for f in row if f >= 0]
        assert len(set(funds)) == len(funds) <= slots[u]
        for f in funds:
            assert eligible[u, f]
            counts[f] += 1
    assert all(n <= d for n, d in zip(counts, problem.quota.tolist()))


def brute_force(problem) -> Value:
    """Every plan there is, customer by customer, keeping the best for each state of the quotas."""
    eligible, revenue = problem.eligible, np.asarray(problem.revenue)
    slots, low = slots_of(problem), low_ends(problem)
    best = {tuple(problem.quota.tolist()): Value(0, Fraction(0))}
    for u in range(problem.n_customers):
        funds = np.flatnonzero(eligible[u]).tolist()
        options = [c for n in range(min(slots[u], len(funds)) + 1) for c in combinations(funds, n)]
        earned = [sum((Fraction(float(revenue[u, f])) for f in c), Fraction(0)) for c in options]
        following: dict[tuple[int, ...], Value] = {}
        for left, so_far in best.items():
            for chosen, gain in zip(options, earned):
                if all(left[f] > 0 for f in chosen):
                    state = tuple(d - (f in chosen) for f, d in enumerate(left))
                    value = Value(so_far.exposures + len(chosen), so_far.revenue + gain)
                    following[state] = max(following.get(state, value), value)
        best = following
    # the quotas that are left say how often each fund is shown
    ended = [
        value._replace(towards_low=int(np.minimum(problem.quota - np.array(left), low).sum()))
        for left, value in best.items()
    ]
    return max(ended, key=lambda value: (value.exposures, value.towards_low, value.revenue))


def max_flow(problem, quota: np.ndarray | None = None) -> int:
    """The most exposures any plan can make within `quota` (the problem's), by SciPy on the graph of every customer and
    every fund."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    n_customers, n_funds = problem.n_customers, problem.n_funds
    u, f = np.nonzero(problem.eligible)
    people, funds = 2 + np.arange(n_customers), 2 + n_customers + np.arange(n_funds)
    tail = np.concatenate([np.zeros(n_customers, int), people[u], funds])
    head = np.concatenate([people, funds[f], np.ones(n_funds, int)])
    capacity = np.concatenate(
        [
            slots_of(problem),
            np.ones(u.size),
            np.minimum(problem.quota if quota is None else quota, n_customers),
        ]
    )
    size = 2 + n_customers + n_funds
    graph = csr_array((capacity.astype(np.int32), (tail, head)), shape=(size, size))
    return int(maximum_flow(graph, 0, 1).flow_value)


def min_cost_flow_value(problem) -> Value:
    """The optimum by OR-Tools, arc by arc, in whole numbers.

    Every revenue must be a multiple of a power of two that is not too small beside the largest (dyadic instances).
    """
    from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

    revenue = np.asarray(problem.revenue, dtype=np.float64)
    unit = max((Fraction(x).denominator for x in revenue.ravel().tolist()), default=1)
    whole = math.gcd(*[int(Fraction(x) * unit) for x in revenue.ravel().tolist()]) or 1
    n_customers, n_funds = revenue.shape
    source, sink, below = n_customers + n_funds, n_customers + n_funds + 1, n_customers + n_funds + 2
    low = np.minimum(low_ends(problem), n_customers)
    exposures, towards = max_flow(problem), max_flow(problem, low)
    slots = slots_of(problem)
    graph = SimpleMinCostFlow()
    for u in range(n_customers):
        graph.add_arc_with_capacity_and_unit_cost(source, u, int(slots[u]), 0)
    for f in range(n_funds):
        high = min(int(problem.quota[f]), n_customers)
        graph.add_arc_with_capacity_and_unit_cost(n_customers + f, below, int(low[f]), 0)
        graph.add_arc_with_capacity_and_unit_cost(n_customers + f, sink, high - int(low[f]), 0)
    for u, f in np.argwhere(problem.eligible).tolist():
        cost = -int(Fraction(float(revenue[u, f])) * unit) // whole
        graph.add_arc_with_capacity_and_unit_cost(u, n_customers + f, 1, cost)
    graph.set_node_supply(source, exposures)
    graph.set_node_supply(below, -towards)
    graph.set_node_supply(sink, towards - exposures)
    assert graph.solve() == SimpleMinCostFlow.OPTIMAL
    return Value(exposures, Fraction(-graph.optimal_cost() * whole, unit), towards)
