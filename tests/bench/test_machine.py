"""The measure of all passes looks at every value."""

from __future__ import annotations

import numpy as np
import pytest

from ptofa_gpu.bench._read import largest_bits


@pytest.mark.parametrize("rows", [1, 255, 4_097, 300_001])
@pytest.mark.parametrize("place", [0, -1])
def test_one_pass_sees_the_largest_wherever_it_is(rows: int, place: int) -> None:
    values = np.random.default_rng(rows).normal(size=rows).astype(np.float32)
    for largest in (-9.0, 9.5, np.inf):
        values[place] = largest
        bits = np.uint32(largest_bits(values.view(np.uint32)))
        assert bits.view(np.float32) == abs(np.float32(largest))
    values[place] = np.nan
    assert np.isnan(np.uint32(largest_bits(values.view(np.uint32))).view(np.float32))
