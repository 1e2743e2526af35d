"""More than 2^31 pairs: an index that wraps would read the first rows, where every number is zero.

The arrays are reserved, not filled: pages nobody wrote to are the system's one page of zeros and take no memory.
"""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from ptofa_gpu.ops import price, score, sums, swaps
from tests.cuda_on_cpu import build
from tests.cuda_on_cpu.host_module import Address
from tests.kernels.conftest import load_on_host

FUNDS = 16
ROWS = 2**31 // FUNDS + 100
SHIFT = 10


def reserved(shape, dtype):
    """Zeros that take memory only where they are written."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    memory = mmap.mmap(-1, size, flags=flags)
    return np.frombuffer(memory, dtype).reshape(shape)


@pytest.fixture(scope="module")
def revenue():
    E = reserved((ROWS, FUNDS), np.float32)
    E[-50:] = np.arange(1, 50 * FUNDS + 1, dtype=np.float32).reshape(50, FUNDS)
    assert E.size > 2**31
    return E


@pytest.fixture(scope="module")
def levels():
    return reserved(ROWS, np.int8), np.zeros(FUNDS, np.int8)


@pytest.fixture(scope="module")
def done():
    out = np.ones(ROWS, np.uint8)
    out[-50:] = 0
    return out


def address(array):
    return Address(array.ctypes.data)


def expected_sums(revenue):
    return (revenue[-50:].astype(np.int64) << SHIFT).sum(0)


def test_column_sums_of_the_twin(revenue, levels):
    np.testing.assert_array_equal(sums.column_sums(revenue, *levels, None, SHIFT), expected_sums(revenue))


@pytest.mark.skipif(build.compiler() is None, reason="g++ is not installed")
def test_column_sums_of_the_kernel(revenue, levels):
    out = np.zeros(FUNDS, np.uint64)
    launch = load_on_host("sums").get_function("column_sums")
    tolerance, risk = levels
    sizes = (np.int64(ROWS), np.int32(FUNDS), np.float64(2.0**SHIFT))
    launch((1,), (64,), (address(revenue), address(tolerance), risk, np.uint64(0), np.int32(0), *sizes, out))
    np.testing.assert_array_equal(out.view(np.int64), expected_sums(revenue))


@pytest.mark.skipif(build.compiler() is None, reason="g++ is not installed")
def test_score_and_pick(revenue, levels, done):
    tolerance, risk = levels
    alpha, is_open = np.linspace(1, 2, FUNDS), np.ones(FUNDS, bool)
    key, picks = reserved(ROWS, np.uint64), reserved((ROWS, 1), np.int16)
    score.score_and_pick(revenue, tolerance, risk, None, done, alpha, is_open, "zero", key, picks)
    assert (picks[-50:, 0] == FUNDS - 1).all()
    assert (np.diff(score.key_to_score(key[-50:])) > 0).all()
    assert not key[: ROWS // 2].any()
    kernel_key, kernel_picks = reserved(ROWS, np.uint64), reserved((ROWS, 1), np.int16)
    launch = load_on_host("score").get_function("score_pick_16")
    pointers = [address(a) for a in (revenue, tolerance)]
    sizes = (np.int64(ROWS), np.int32(FUNDS), np.int32(1), np.int32(0))
    flags = (alpha, is_open.astype(np.uint8), *sizes, address(kernel_key), address(kernel_picks))
    launch((1,), (64,), (*pointers, risk, np.uint64(0), np.int32(0), address(done), *flags))
    np.testing.assert_array_equal(kernel_key[-50:], key[-50:])
    np.testing.assert_array_equal(kernel_picks[-50:], picks[-50:])


def customers(revenue, tolerance, risk, offset):
    """The arguments that make a kernel's ``Customers``."""
    nothing = (np.uint64(0), np.int32(0))
    return address(revenue), address(tolerance), risk, *nothing, np.int32(FUNDS), offset, np.float64(1.0)


@pytest.mark.skipif(build.compiler() is None, reason="g++ is not installed")
@pytest.mark.parametrize("kernel", ["price_one_16", "price_many_16", "price_wide"])
def test_price_pass(revenue, levels, kernel):
    tolerance, risk = levels
    offset, size = np.zeros(FUNDS), FUNDS + 1
    delta = np.full((size, size), 1.5)
    counts, swaps, value = price.price_pass(revenue, tolerance, risk, None, offset, 1.0, delta, 1, None, ROWS - 50)
    assert counts[FUNDS - 1] == 50
    assert value == revenue[-50:, -1].sum()
    out = np.zeros(size + size * size + 2, np.uint64)
    sizes = (np.uint64(0), np.int32(1), np.int64(50), np.int64(ROWS - 50), np.int64(1))
    shared = 12 * size * size + 4 * size + 2 * 8 * FUNDS
    launch = load_on_host("price").get_function(kernel)
    launch((1,), (64,), (*customers(revenue, tolerance, risk, offset), *sizes, delta.ravel(), out), shared_mem=shared)
    np.testing.assert_array_equal(out[:size], counts)
    np.testing.assert_array_equal(out[size:-2].reshape(size, size), swaps)
    assert (int(out[-2]) << 24) + int(out[-1]) == value


@pytest.mark.skipif(build.compiler() is None, reason="g++ is not installed")
@pytest.mark.parametrize("kernel", ["swap_margins_16", "swap_margins_wide"])
def test_swap_margins(revenue, levels, kernel):
    tolerance, risk = levels
    offset, chosen = np.zeros(FUNDS), reserved((ROWS, 1), np.int16)
    chosen[-50:] = FUNDS - 1
    step = ROWS - 10
    twin = swaps.swap_margins(revenue, tolerance, risk, None, offset, 1.0, chosen, step)
    np.testing.assert_array_equal(twin, [0.0, 1.0])
    margin = np.full(2, 9.0)
    sizes = (address(chosen), np.int32(1), np.int64(2), np.int64(step))
    launch = load_on_host("swaps").get_function(kernel)
    launch((1,), (64,), (*customers(revenue, tolerance, risk, offset), *sizes, margin))
    np.testing.assert_array_equal(margin, twin)
