"""Slow, plain and independent of the package: what the allocators are judged by. Small instances only."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Literal, NamedTuple

import numpy as np


class Value(NamedTuple):
    """The most exposures any plan makes, and the most that plans with as many exposures earn (exact)."""

    exposures: int
    revenue: Fraction


def algorithm1(
    revenue: np.ndarray,
    eligible: np.ndarray,
    quota: np.ndarray,
    k: int,
    tail: Literal["zero", "drop", "inf"] = "zero",
) -> np.ndarray:
    """Algorithm 1 of PTOFA (arXiv 2503.03165), one customer at a time; (U, k) funds, -1 for an empty slot."""
    n_customers, n_funds = revenue.shape
    value = [[float(x) for x in row] for row in revenue]
    left = [int(d) for d in quota]
    plan = np.full((n_customers, k), -1)
    waiting = list(range(n_customers))

    def choices(u: int) -> list[int]:
        return sorted((f for f in range(n_funds) if left[f] > 0 and eligible[u, f]), key=lambda f: (-value[u][f], f))

    while waiting and any(left):
        alpha = [math.fsum(value[u][f] for u in waiting if eligible[u, f]) / d if d else 0 for f, d in enumerate(left)]
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
            picks = choices(u)[:k]
            plan[u, : len(picks)] = picks
            waiting.remove(u)
            for f in picks:
                left[f] -= 1
            if any(left[f] == 0 for f in picks):
                break  # a fund ran out: speeds and scores anew over who is left
    return plan


def plan_value(revenue: np.ndarray, plan: np.ndarray) -> Value:
    """What a plan is, exactly."""
    pairs = [(u, f) for u, row in enumerate(np.asarray(plan).tolist()) for f in row if f >= 0]
    return Value(len(pairs), sum((Fraction(float(revenue[u, f])) for u, f in pairs), Fraction(0)))


def check_limits(problem, plan: np.ndarray) -> None:
    """No fund twice for a customer, none that they may not see, none over quota."""
    eligible = problem.eligible
    counts = [0] * problem.n_funds
    for u, row in enumerate(np.asarray(plan).tolist()):
        funds = [f for f in row if f >= 0]
        assert len(set(funds)) == len(funds) <= problem.k
        for f in funds:
            assert eligible[u, f]
            counts[f] += 1
    assert all(n <= d for n, d in zip(counts, problem.quota.tolist()))


def brute_force(problem) -> Value:
    """Every plan there is, customer by customer, keeping the best for each state of the quotas."""
    eligible, revenue = problem.eligible, np.asarray(problem.revenue)
    best = {tuple(problem.quota.tolist()): Value(0, Fraction(0))}
    for u in range(problem.n_customers):
        funds = np.flatnonzero(eligible[u]).tolist()
        options = [c for n in range(min(problem.k, len(funds)) + 1) for c in combinations(funds, n)]
        earned = [sum((Fraction(float(revenue[u, f])) for f in c), Fraction(0)) for c in options]
        following: dict[tuple[int, ...], Value] = {}
        for left, so_far in best.items():
            for chosen, gain in zip(options, earned):
                if all(left[f] > 0 for f in chosen):
                    state = tuple(d - (f in chosen) for f, d in enumerate(left))
                    value = Value(so_far.exposures + len(chosen), so_far.revenue + gain)
                    following[state] = max(following.get(state, value), value)
        best = following
    return max(best.values())


def max_flow(problem) -> int:
    """The most exposures any plan can make, by SciPy on the graph of every customer and every fund."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    n_customers, n_funds = problem.n_customers, problem.n_funds
    u, f = np.nonzero(problem.eligible)
    people, funds = 2 + np.arange(n_customers), 2 + n_customers + np.arange(n_funds)
    tail = np.concatenate([np.zeros(n_customers, int), people[u], funds])
    head = np.concatenate([people, funds[f], np.ones(n_funds, int)])
    capacity = np.concatenate(
        [np.full(n_customers, problem.k), np.ones(u.size), np.minimum(problem.quota, n_customers)]
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
    source, sink = n_customers + n_funds, n_customers + n_funds + 1
    exposures = max_flow(problem)
    graph = SimpleMinCostFlow()
    for u in range(n_customers):
        graph.add_arc_with_capacity_and_unit_cost(source, u, problem.k, 0)
    for f in range(n_funds):
        graph.add_arc_with_capacity_and_unit_cost(n_customers + f, sink, min(int(problem.quota[f]), n_customers), 0)
    for u, f in np.argwhere(problem.eligible).tolist():
        cost = -int(Fraction(float(revenue[u, f])) * unit) // whole
        graph.add_arc_with_capacity_and_unit_cost(u, n_customers + f, 1, cost)
    graph.set_node_supply(source, exposures)
    graph.set_node_supply(sink, -exposures)
    assert graph.solve() == SimpleMinCostFlow.OPTIMAL
    return Value(exposures, Fraction(-graph.optimal_cost() * whole, unit))
