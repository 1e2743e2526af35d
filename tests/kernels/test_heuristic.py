"""The whole heuristic as a GPU runs it: its round loop over the real kernels, executed on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.allocation import heuristic as module
from ptofa_gpu.allocation import repair
from ptofa_gpu.ops.score import TAILS


@pytest.mark.parametrize("tail", list(TAILS))
@pytest.mark.parametrize(("customers", "funds", "k"), [(301, 7, 2), (130, 40, 3)])
def test_rounds_over_kernels_equal_rounds_over_twins(device_ops, monkeypatch, customers, funds, k, tail):
    rng = np.random.default_rng(customers)
    E = np.round(rng.lognormal(0, 1, (customers, funds)), 1).astype(np.float32)  # with ties
    tolerance, risk = rng.integers(1, 6, customers), rng.integers(1, 6, funds)
    quota = rng.multinomial(k * customers, rng.dirichlet(np.ones(funds)))
    problem = ptofa.AllocationProblem(E, quota, k, tolerance, risk)
    twin = ptofa.allocate(problem, "heuristic", device="cpu", tail=tail, repair=False)
    ops = device_ops()

    def score_and_pick(*arguments):
        *data, tail_name, key, picks = arguments
        ops.score_and_pick(*data, TAILS[tail_name], key, picks)

    full = ptofa.allocate(problem, "heuristic", device="cpu", tail=tail, on_infeasible="relax")
    monkeypatch.setattr(module, "score_and_pick", score_and_pick)
    for name in ("column_sums", "find_cut", "commit"):
        monkeypatch.setattr(module, name, getattr(ops, name))
    kernel = ptofa.allocate(problem, "heuristic", device="cpu", tail=tail, repair=False)
    np.testing.assert_array_equal(kernel.funds, twin.funds)
    by_blocks = ptofa.allocate(problem, "heuristic", device="cpu", tail=tail, repair=False, block_rows=97)
    np.testing.assert_array_equal(by_blocks.funds, twin.funds)
    used = set()
    for name in ("count_funds", "count_arcs", "arc_candidates", "order_slots"):

        def launched(*arguments, _name=name, **named):
            used.add(_name)
            return getattr(ops, _name)(*arguments, **named)

        monkeypatch.setattr(repair, name, launched)
    repaired = ptofa.allocate(problem, "heuristic", device="cpu", tail=tail, on_infeasible="relax").verify()
    np.testing.assert_array_equal(repaired.funds, full.funds)
    assert used == {"count_funds", "count_arcs", "arc_candidates", "order_slots"}
    assert repaired.unfilled < twin.unfilled
