"""Exact sums of arrays: what `math.fsum` gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptofa_gpu.allocation._exact import exact_sum


@given(st.integers(0, 5000), st.integers(0, 2**31), st.sampled_from([0.0, 3.0, 40.0, 250.0]))
def test_sums_are_those_of_fsum(n, seed, spread):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n) * np.exp2(rng.uniform(-spread, spread, n))
    assert exact_sum(values) == math.fsum(values.tolist())


@pytest.mark.parametrize("scale", [2.0**-1074, 2.0**-1000, 1e-30, 1e-3, 1.0, 2.0**900, 2.0**1000])
def test_at_either_end_of_what_floats_can_hold(scale):
    values = np.round(np.random.default_rng(0).standard_normal(4000) * 64) * scale
    assert exact_sum(values) == math.fsum(values.tolist())


def test_what_cancels_is_not_lost():
    values = np.concatenate([np.full(2000, 1e17), [1.0, 2.0**-60], np.full(2000, -1e17)])
    assert values.sum() != 1 + 2.0**-60
    assert exact_sum(values) == math.fsum(values.tolist()) == 1.0
    assert exact_sum(np.append(values, -1.0)) == 2.0**-60


def test_zeros_and_what_is_no_number():
    assert exact_sum(np.zeros(3000)) == 0.0
    assert math.isnan(exact_sum(np.append(np.zeros(3000), np.nan)))
    assert exact_sum(np.append(np.zeros(3000), np.inf)) == math.inf
