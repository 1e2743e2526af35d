"""The whole optimum as a GPU runs it: its passes over the real kernels, executed on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.allocation import optimal, passes, settle, start


@pytest.mark.parametrize(("customers", "funds", "k", "places"), [(700, 5, 1, 1), (401, 9, 3, 0), (260, 40, 2, 2)])
def test_passes_over_kernels_equal_passes_over_twins(device_ops, monkeypatch, customers, funds, k, places):
    rng = np.random.default_rng(customers)
    E = np.round(rng.lognormal(0, 1, (customers, funds)), places).astype(np.float32)  # with ties
    tolerance, risk = rng.integers(1, 6, customers), rng.integers(1, 6, funds)
    quota = rng.multinomial(k * customers, rng.dirichlet(np.ones(funds)))
    own = rng.integers(0, k + 1, customers) if k > 1 else k
    problem = ptofa.AllocationProblem(E, quota, own, tolerance, risk, excluded=[(3, 0), (customers - 1, funds - 1)])
    small = {"SMALL_SAMPLE": 40, "FIRST_SAMPLE": 100, "EACH_FUND": 0, "CURVATURE": 0}
    for name, value in small.items():
        monkeypatch.setattr(start, name, value)  # so that every stage has something to do
    monkeypatch.setattr(optimal, "FIRST_SAMPLE", 100)
    for name, value in {"SMALL": 0, "FIRST_CUSTOMERS": 30, "EACH_FUND": 0, "EACH_WRONG": 1}.items():
        monkeypatch.setattr(settle, name, value)
    twin = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax")
    ops = device_ops()
    used = set()
    for name in ("price_pass", "choices", "take", "swap_margins", "near_rows"):

        def kernel(*arguments, _name=name, **named):
            used.add(_name)
            return getattr(ops, _name)(*arguments, **named)

        monkeypatch.setattr(passes, name, kernel)
    plan = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax")
    assert used >= {"price_pass", "choices", "take", "swap_margins", "near_rows"}
    np.testing.assert_array_equal(plan.funds, twin.funds)
    np.testing.assert_array_equal(plan.price, twin.price)
    assert plan.bound == twin.bound
    by_blocks = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax", block_rows=97)
    np.testing.assert_array_equal(by_blocks.funds, twin.funds)
