"""Fixtures of the allocation tests."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from ptofa_gpu.allocation import optimal, passes, room, settle, start, window
from ptofa_gpu.allocation.market import Market


@pytest.fixture
def numba_threads():
    """Set the number of Numba threads; put back afterwards."""
    before = numba.get_num_threads()
    yield lambda n: numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))
    numba.set_num_threads(before)


@pytest.fixture(params=["all swaps", "the cheapest swap of each pair", "and few swaps at hand"])
def narrow(request, monkeypatch):
    """Samples and windows so small that every stage of the solver has something to do on tiny instances."""
    small = {"SMALL_SAMPLE": 3, "FIRST_SAMPLE": 6, "GROWTH": 2, "TIED": 2, "EACH_FUND": 0, "CURVATURE": 0}
    for name, value in small.items():
        monkeypatch.setattr(start, name, value)
    monkeypatch.setattr(optimal, "FIRST_SAMPLE", 6)
    for name, value in {"FIRST_WINDOW": 1, "ALL_SWAPS": 0}.items():
        monkeypatch.setattr(settle, name, value)
    monkeypatch.setattr(Market, "enough", lambda *_: 0.0)
    if request.param != "all swaps":
        for name in ("ALL_SWAPS", "SWAPS_EACH"):
            monkeypatch.setattr(passes, name, 0)
        for name in ("ROWS_EACH", "ROWS_BYTES"):
            monkeypatch.setattr(room, name, 0)
        for module in (passes, window):
            monkeypatch.setattr(module, "list_sizes", lambda arcs, *_: np.ones(arcs.size, np.int64))
        monkeypatch.setattr(window, "ARCS_EACH", 0)
    if request.param == "and few swaps at hand":
        for name in ("CUSTOMER_EACH", "SWAPS", "ARC_SWAPS"):
            monkeypatch.setattr(room, name, 0)
        # what lists need is foreseen, and often less than they do
        for name, value in {"FORESEEN": 0, "SAMPLED": 2, "TOGETHER": 1, "MORE": 0.5, "SPARE": 1}.items():
            monkeypatch.setattr(passes, name, value)
