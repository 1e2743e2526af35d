"""Fixtures of the allocation tests."""

from __future__ import annotations

import numba
import pytest


@pytest.fixture
def numba_threads():
    """Set the number of Numba threads; put back afterwards."""
    before = numba.get_num_threads()
    yield lambda n: numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))
    numba.set_num_threads(before)
