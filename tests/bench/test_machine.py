"""The measure of all passes looks at every value."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ptofa_gpu.bench.machine import read, read_seconds


@pytest.mark.parametrize("rows", [1, 15, 16, 255, 4_097, 300_001])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("threads", [1, 2])
def test_one_pass_sees_the_largest_wherever_it_is(rows: int, place: int, threads: int) -> None:
    values = np.random.default_rng(rows).normal(size=rows).astype(np.float32)
    with ThreadPoolExecutor(threads) as pool:
        for largest in (9.5, np.inf):
            values[place] = largest
            assert read(values, pool) == np.float32(largest)
        values[place] = np.nan
        assert np.isnan(read(values, pool))


def test_a_read_takes_time() -> None:
    assert 0 < read_seconds(np.ones((3, 4), np.float32), repeat=2) < 1
