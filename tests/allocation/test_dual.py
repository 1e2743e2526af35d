"""Newton's parts: the solver of small systems, how the funds' side of the dual changes, and its convergence."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptofa_gpu.allocation import dual
from ptofa_gpu.allocation.dual import Choices, Quotas, newton, solve_spd


@pytest.mark.parametrize("n", [1, 2, 3, 17, 130])
def test_solve_spd(n):
    rng = np.random.default_rng(n)
    half = rng.normal(size=(n, n))
    matrix, vector = half @ half.T + np.eye(n), rng.normal(size=n)
    before = matrix.copy()
    np.testing.assert_allclose(solve_spd(matrix, vector), np.linalg.solve(matrix, vector), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(matrix, before)


def test_solve_spd_keeps_the_order_of_sums_and_may_stop_on_the_way(monkeypatch):
    rng = np.random.default_rng(0)
    half = rng.normal(size=(40, 40))
    matrix, vector = half @ half.T + np.diag(rng.lognormal(0, 9, 40)), rng.normal(size=40)
    a, x = matrix.copy(), vector.copy()
    for j in range(40):
        root = np.sqrt(a[j, j])
        a[j, j:] /= root
        x[j] /= root
        for i in range(j + 1, 40):
            a[i, i:] -= a[j, i] * a[j, i:]
            x[i] -= a[j, i] * x[j]
    for i in range(39, -1, -1):
        x[i] /= a[i, i]
        x[:i] -= a[:i, i] * x[i]
    for entries in (1 << 24, 1, 40**2 * 7):
        monkeypatch.setattr(dual, "_ENTRIES_A_CALL", entries)
        assert solve_spd(matrix, vector).tobytes() == x.tobytes()


def funds_side(low, high, price, floating):
    if floating:
        return sum(Fraction(p) * Fraction(h) for p, h in zip(price, high, strict=True))
    return sum(Fraction(p) * Fraction(h if p > 0 else lo) for p, lo, h in zip(price, low, high, strict=True))


whole = st.integers(-(2**50), 2**50).map(float)


@settings(max_examples=200)
@given(st.lists(st.tuples(whole, whole, st.integers(0, 2**30), st.integers(0, 2**30)), min_size=1), st.booleans())
def test_rise_is_the_difference_of_the_sums(funds, floating):
    before, after, low, more = (np.array(x, float) for x in zip(*funds, strict=True))
    high = low + more
    rise = Quotas(low, high, floating).rise(before, after)
    exact = funds_side(low, high, after, floating) - funds_side(low, high, before, floating)
    size = float((np.abs(after - before) * high).sum()) + 1.0
    assert abs(rise - float(exact)) <= 1e-15 * len(before) * size


def test_a_small_change_of_a_large_dual_is_seen():
    """The sums themselves, near 2^81, would not show it."""
    quotas = Quotas(np.zeros(1), np.array([2.0**31]))
    assert quotas.rise(np.array([2.0**50]), np.array([2.0**50 + 1])) == 2.0**31


@pytest.mark.parametrize("customers", [4_000, 100_000])
def test_newton_comes_to_rest_where_counts_are_right(customers):
    """Customers with two funds and an exponential taste: far from linear, and the second fund is in small demand."""
    rng = np.random.default_rng(0)
    value = np.rint(rng.exponential(1e6, (customers, 2)))
    quotas = Quotas(np.zeros(2), np.array([0.97, 0.03]) * customers, floating=True)
    seen = []

    def look(price, delta):
        reduced = value - price
        best, gap = reduced.argmax(1), np.abs(reduced[:, 0] - reduced[:, 1])
        counts = np.append(np.bincount(best, minlength=2), 0)
        delta = np.full((3, 3), 1e5) if delta is None else delta
        swaps = np.zeros((3, 3), np.int64)
        for a in (0, 1):
            swaps[a, 1 - a] = ((best == a) & (gap < delta[a, 1 - a])).sum()
        seen.append(float(np.abs(counts[:2] - quotas.high).sum()) / 2)
        return Choices(counts, swaps, delta, int(reduced.max(1).sum()))

    found = newton(look, quotas, np.array([0.0, 3e6]), lambda price: price - price.min(), enough=4.0, patience=10)
    assert found.error <= 4.0
    assert found.passes == len(seen) <= 14


def test_prices_stay_below_the_ceiling():
    """A fund that nobody is to have, and that some want at any price, would become dearer without end."""
    quotas, seen = Quotas(np.zeros(2), np.array([0.0, 90.0])), []

    def look(price, delta):
        seen.append(price.copy())
        return Choices(np.array([10, 90, 0]), np.zeros((3, 3), np.int64), np.full((3, 3), 1e9), -10 * int(price[0]))

    found = newton(look, quotas, np.zeros(2), lambda price: np.clip(price, 0, 5e9), enough=0.0, patience=100)
    assert max(price[0] for price in seen) == 5e9
    assert found.error == 5
