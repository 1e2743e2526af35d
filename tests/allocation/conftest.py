"""Fixtures of the allocation tests."""

from __future__ import annotations

import pytest

from ptofa_gpu.allocation import optimal, settle, start
from ptofa_gpu.allocation.market import Market


@pytest.fixture(params=["everyone", "few customers at a time"])
def narrow(request, monkeypatch):
    """Samples and working sets so small that every stage of the solver has something to do on tiny instances."""
    small = {"SMALL_SAMPLE": 3, "FIRST_SAMPLE": 6, "GROWTH": 2, "TIED": 2, "EACH_FUND": 0, "CURVATURE": 0}
    for name, value in small.items():
        monkeypatch.setattr(start, name, value)
    monkeypatch.setattr(optimal, "FIRST_SAMPLE", 6)
    monkeypatch.setattr(Market, "enough", lambda *_: 0.0)
    if request.param == "few customers at a time":
        for name, value in {"FIRST_CUSTOMERS": 1, "EACH_FUND": 0, "EACH_WRONG": 0, "SMALL": 0, "WIDER": 2}.items():
            monkeypatch.setattr(settle, name, value)
