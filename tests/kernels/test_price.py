"""The kernels of the optimum's passes, executed on the CPU, against their twins and a plain reference."""

from __future__ import annotations

import numpy as np
import pytest

from ptofa_gpu.errors import InputError
from tests.cuda_on_cpu.host_module import Address
from tests.kernels.checks import CHECKS
from tests.kernels.conftest import load_on_host
from tests.ops import reference
from tests.ops.cases import SCALE, SHAPES, Shape, make_price_case


def stay(array):
    return array


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("op", CHECKS)
def test_kernel_equals_twin_and_reference(device_ops, op, shape):
    CHECKS[op](device_ops(), stay, stay, make_price_case(shape))


SAMPLED = [Shape(300, 8, 1, slotted=True), Shape(200, 12, 3, masked=True), Shape(150, 40, 2, slotted=True, ties=True)]


@pytest.mark.parametrize("shape", SAMPLED, ids=str)
@pytest.mark.parametrize("op", ["price_pass", "choices", "swap_margins"])
def test_a_sample_of_the_customers(device_ops, op, shape):
    CHECKS[op](device_ops(), stay, stay, make_price_case(shape), first=2, stride=7)


def test_marks_of_several_tiles_come_in_order(device_ops):
    """A tile of marks is 8192 rows; 16 blocks of 256 threads take several turns over three of them."""
    case = make_price_case(Shape(17_000, 3, 2, ties=True))
    CHECKS["near_rows"](device_ops(), stay, stay, case)
    CHECKS["arc_candidates"](device_ops(), stay, stay, case)


def test_values_beyond_32_bits_are_summed_exactly(device_ops):
    """Sums of values near 2^50 units leave int64; the halves keep every unit."""
    for funds, k in ((4, 1), (4, 2), (40, 2)):
        case = make_price_case(Shape(3000, funds, k))
        case.offset += 2.0**50 + 1
        CHECKS["price_pass"](device_ops(), stay, stay, case)
        CHECKS["choices"](device_ops(), stay, stay, case)


@pytest.mark.parametrize("check", ["sanitize", "check_races"])
@pytest.mark.parametrize(
    "shape",
    [
        Shape(300, 7, 1, masked=True, slotted=True),
        Shape(90, 16, 2, ties=True),
        Shape(60, 32, 3, slotted=True, ties=True),
        Shape(40, 40, 3, masked=True, slotted=True, ties=True),
        Shape(20, 130, 4, masked=True, ties=True),
    ],
    ids=str,
)
def test_no_undefined_behaviour_and_no_race(device_ops, shape, check):
    ops, case = device_ops(**{check: True}), make_price_case(shape)
    for run in CHECKS.values():
        run(ops, stay, stay, case)


def test_rows_that_do_not_begin_at_multiples_of_16_are_read_all_the_same(schedule):
    """8 funds are read 16 bytes at a time only where that is allowed; elsewhere it is undefined behaviour."""
    case = make_price_case(Shape(100, 8, 2))
    shifted = np.empty(case.revenue.size + 4, np.float32)
    start = next(i for i in range(4) if (shifted.ctypes.data + 4 * i) % 16 == 4)
    shifted[start : start + case.revenue.size] = case.revenue.ravel()
    row = Address(shifted.ctypes.data + 4 * start)
    chosen, none = np.empty_like(case.chosen), np.uint64(0)
    data = (row, case.tolerance, case.risk, none, np.int32(0), np.int32(8), case.offset, np.float64(SCALE))
    take_8 = load_on_host("choices", sanitize=True).config(schedule).get_function("take_8")
    take_8((2,), (32,), (*data, none, np.int32(2), np.int64(100), chosen))
    np.testing.assert_array_equal(chosen, reference.take(case.data, case.offset, SCALE, 2, None))


@pytest.mark.parametrize(("funds", "k", "word"), [(1025, 1, "1025 funds"), (40, 32, "32 slots")])
def test_what_the_kernels_cannot_hold_is_refused(device_ops, funds, k, word):
    case = make_price_case(Shape(4, funds, k))
    with pytest.raises(InputError, match=f"{word}.*device='cpu'"):
        device_ops().price_pass(*case.data, case.offset, SCALE, case.delta, k)
    with pytest.raises(InputError, match=f"{word}.*device='cpu'"):
        device_ops().take(*case.data, case.offset, SCALE, case.chosen)
