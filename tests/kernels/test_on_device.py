"""Every kernel on a real GPU through CuPy: the launchers, streams and compiler of the product, the same bits."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from ptofa_gpu.ops import _kernels, commit, score, select, sums, swaps
from tests.kernels.checks import CHECKS
from tests.kernels.test_execute import SHAPES as ROUND_SHAPES
from tests.kernels.test_execute import SHIFT, make_case
from tests.kernels.test_price import SAMPLED
from tests.ops.cases import SCALE, SHAPES, Shape, make_price_case

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def cupy():
    return importlib.import_module("cupy")


@pytest.fixture(scope="module")
def ops(cupy):
    return _kernels.device_module()


@pytest.fixture
def put(cupy):
    return lambda array: None if array is None else cupy.asarray(array)


@pytest.fixture
def get(cupy):
    return cupy.asnumpy


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("op", CHECKS)
def test_kernel_equals_twin_and_reference(ops, put, get, op, shape):
    CHECKS[op](ops, put, get, make_price_case(shape))


@pytest.mark.parametrize("shape", SAMPLED, ids=str)
@pytest.mark.parametrize("op", ["price_pass", "choices", "swap_margins"])
def test_a_sample_of_the_customers(ops, put, get, op, shape):
    CHECKS[op](ops, put, get, make_price_case(shape), first=2, stride=7)


@pytest.mark.parametrize("op", CHECKS)
def test_many_customers(ops, put, get, op):
    """More rows than the device has threads, so that blocks meet and every loop turns."""
    CHECKS[op](ops, put, get, make_price_case(Shape(400_003, 3, 1, slotted=True)))


def test_twins_pass_data_on_a_gpu_to_the_kernels(cupy, put, get):
    """What allocators call: the same function for NumPy and for CuPy arrays."""
    case = make_price_case(Shape(300, 9, 3, masked=True))
    data = [put(x) for x in case.data]
    near = swaps.near_rows(*data, case.offset, SCALE, put(case.chosen), case.theta)
    assert isinstance(near, cupy.ndarray)
    np.testing.assert_array_equal(get(near), swaps.near_rows(*case.data, case.offset, SCALE, case.chosen, case.theta))
    chosen = put(case.chosen)
    np.testing.assert_array_equal(swaps.gather(chosen, near), case.chosen[get(near)])
    swaps.scatter(chosen, near, np.full((near.size, 3), 5, np.int16))
    assert (get(chosen)[get(near)] == 5).all()


def test_launches_follow_the_current_stream(cupy, ops, put, get):
    case = make_price_case(Shape(2000, 8, 1))
    with cupy.cuda.Stream(non_blocking=True):
        CHECKS["take"](ops, put, get, case)
        CHECKS["price_pass"](ops, put, get, case)


@pytest.mark.parametrize("tail", list(score.TAILS))
@pytest.mark.parametrize(("rows", "funds", "k", "masked"), ROUND_SHAPES)
def test_a_round_of_the_heuristic(put, get, rows, funds, k, masked, tail):
    case = make_case(rows, funds, k, masked=masked, seed=funds, ties=True)

    def one_round(to, back):
        inputs, done = [None if x is None else to(x) for x in case.inputs], to(case.done.copy())
        key, picks = map(to, case.results())
        chosen = to(np.full((rows, k), -1, np.int16))
        total = sums.column_sums(*inputs, SHIFT)
        score.score_and_pick(*inputs, done, case.alpha, case.is_open, tail, key, picks)
        cut = select.find_cut(key, picks, done, case.quota)
        counts, left, served = commit.commit(*inputs, key, picks, done, cut, SHIFT, chosen)
        return total, back(key), back(picks), back(done), back(chosen), counts, left, served

    for kernel, twin in zip(one_round(put, get), one_round(lambda x: x, lambda x: x), strict=True):
        np.testing.assert_array_equal(kernel, twin)
