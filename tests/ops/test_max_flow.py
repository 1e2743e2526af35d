"""Maximum flows against SciPy, and OR-Tools where capacities are beyond 32 bits; the cut against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ortools.graph.python.max_flow import SimpleMaxFlow
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from ptofa_gpu.ops.max_flow import CAPACITY, NO_ARC, UNLIMITED, max_flow


def network(seed, largest, groups=12, funds=9):
    """(arcs, most, supply, demand): sizes of all orders up to `largest`, often 0 and often the same."""
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, groups + 1)), int(rng.integers(1, funds + 1))
    arcs = rng.choice([NO_ARC, CAPACITY, UNLIMITED], shape, p=rng.dirichlet([2, 3, 0.5]))

    def sizes(n):
        out = np.exp(rng.uniform(0, np.log(largest), n)).astype(np.int64)
        return np.where(rng.random(n) < 0.2, 0, np.where(rng.random(n) < 0.3, out[0], out))

    return arcs, sizes(shape[0]), sizes(shape[0]), sizes(shape[1])


def capacities(arcs, most, supply):
    return np.where(arcs == UNLIMITED, supply[:, None], np.where(arcs == CAPACITY, most[:, None], 0))


def check(arcs, most, supply, demand, sent, cut):
    """A flow within all capacities, and a cut that is as large."""
    capacity = capacities(arcs, most, supply)
    assert (sent >= 0).all()
    assert (sent <= capacity).all()
    assert (sent.sum(1) <= supply).all()
    assert (sent.sum(0) <= demand).all()
    groups, funds = cut
    across = sum(supply[~groups].tolist()) + sum(demand[funds].tolist())
    across += sum(capacity[groups][:, ~funds].ravel().tolist())
    assert across == sum(sent.ravel().tolist())


def reached(arcs, most, supply, sent):
    """What groups with supply left reach, one node after the other."""
    capacity = np.where(arcs == UNLIMITED, np.iinfo(np.int64).max, capacities(arcs, most, supply))
    groups, funds = sent.sum(1) < supply, np.zeros(arcs.shape[1], bool)
    while True:
        more = (groups[:, None] & (sent < capacity)).any(0) & ~funds
        back = (funds[None, :] & (sent > 0)).any(1) & ~groups
        if not more.any() and not back.any():
            return groups, funds
        funds, groups = funds | more, groups | back


def scipy_flow(arcs, most, supply, demand):
    g, f = np.nonzero(arcs)
    n_groups, n_funds = arcs.shape
    tail = np.concatenate([np.zeros(n_groups, int), 2 + g, 2 + n_groups + np.arange(n_funds)])
    head = np.concatenate([2 + np.arange(n_groups), 2 + n_groups + f, np.ones(n_funds, int)])
    capacity = np.concatenate([supply, capacities(arcs, most, supply)[g, f], demand]).astype(np.int32)
    size = 2 + n_groups + n_funds
    return int(maximum_flow(csr_array((capacity, (tail, head)), shape=(size, size)), 0, 1).flow_value)


def ortools_flow(arcs, most, supply, demand):
    g, f = np.nonzero(arcs)
    n_groups, n_funds = arcs.shape
    solver = SimpleMaxFlow()
    solver.add_arcs_with_capacity(np.zeros(n_groups, int), 2 + np.arange(n_groups), supply)
    solver.add_arcs_with_capacity(2 + g, 2 + n_groups + f, capacities(arcs, most, supply)[g, f])
    solver.add_arcs_with_capacity(2 + n_groups + np.arange(n_funds), np.ones(n_funds, int), demand)
    assert solver.solve(0, 1) == SimpleMaxFlow.OPTIMAL
    return solver.optimal_flow()


@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 1000, 2**31 - 1]), st.sampled_from([3, 1 << 23]))
def test_as_much_as_scipy_sends(seed, largest, budget):
    data = network(seed, largest)
    sent = np.zeros(data[0].shape, np.int64)
    cut = max_flow(*data, sent, budget)
    assert sent.sum() == scipy_flow(*data)
    check(*data, sent, cut)
    for mine, expected in zip(cut, reached(*data[:3], sent), strict=True):
        np.testing.assert_array_equal(mine, expected)


@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2**33, 2**45, 2**58]))
def test_capacities_beyond_32_bits(seed, largest):
    data = network(seed, largest)
    sent = np.zeros(data[0].shape, np.int64)
    cut = max_flow(*data, sent)
    assert sum(sent.ravel().tolist()) == ortools_flow(*data)
    check(*data, sent, cut)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 50, 2**40]))
def test_goes_on_from_a_flow(seed, largest):
    """For more demand: nobody gets less than before, the flow is the largest, and the cut is that of any other."""
    arcs, most, supply, demand = network(seed, largest)
    rng = np.random.default_rng(seed + 1)
    sent = np.zeros(arcs.shape, np.int64)
    max_flow(arcs, most, supply, rng.integers(0, demand + 1), sent)
    before = sent.copy()
    cut = max_flow(arcs, most, supply, demand, sent)
    assert (sent.sum(0) >= before.sum(0)).all()
    assert (sent.sum(1) >= before.sum(1)).all()
    check(arcs, most, supply, demand, sent, cut)
    afresh = np.zeros(arcs.shape, np.int64)
    for mine, expected in zip(cut, max_flow(arcs, most, supply, demand, afresh), strict=True):
        np.testing.assert_array_equal(mine, expected)
    assert sent.sum() == afresh.sum()


@pytest.mark.parametrize(("groups", "funds"), [(3000, 130), (20_000, 64), (9_000, 1)])
def test_many_groups_and_more_funds_than_a_word_has_bits(groups, funds):
    """The same flow however often the engine is left on the way."""
    rng = np.random.default_rng(groups)
    arcs = (rng.random((groups, funds)) < 4 / (4 + funds)).astype(np.uint8)
    most = rng.integers(1, 4, groups)
    data = arcs, most, 2 * most, rng.multinomial(int(2.2 * most.sum()), rng.dirichlet(np.ones(funds)))
    flows = []
    for budget in (1 << 23, 5_000):
        sent = np.zeros(arcs.shape, np.int64)
        check(*data, sent, max_flow(*data, sent, budget))
        flows.append(sent)
    np.testing.assert_array_equal(*flows)
    assert flows[0].sum() == scipy_flow(*data)


def test_a_chain_in_which_everything_moves_by_one():
    """Every group can send to its own fund and the next; only the last fund has room once all else is full."""
    funds = 200
    arcs = np.eye(funds, dtype=np.uint8) | np.eye(funds, k=1, dtype=np.uint8)
    arcs = np.vstack([arcs, arcs[:1]])  # the first kind once more
    ones, demand = np.ones(funds + 1, np.int64), np.ones(funds, np.int64)
    demand[-1] = 2
    sent = np.zeros(arcs.shape, np.int64)
    sent[:funds] = np.eye(funds, dtype=np.int64)
    groups, cut = max_flow(arcs, ones, ones, demand, sent)
    assert sent.sum() == funds + 1
    assert not groups.any()
    assert not cut.any()
