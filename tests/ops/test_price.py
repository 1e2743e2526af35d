"""The CPU passes at given prices against a plain reference; the same bits for every number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from ptofa_gpu.ops import _entry, arcs, choices, order, price, swaps, totals
from tests.ops import reference
from tests.ops.cases import SCALE, SHAPES, Shape, make_price_case


@pytest.fixture(params=[1, 2])
def threads(request, monkeypatch):
    monkeypatch.setenv("PTOFA_NUM_THREADS", str(request.param))
    return request.param


def equal(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("sample", [(0, 1), (3, 5)], ids=["all", "sample"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_price_pass_and_choices(threads, shape, sample):
    case = make_price_case(shape, seed=1)
    tail = (case.k, case.slots, *sample)
    expected = reference.price_pass(case.data, case.offset, SCALE, case.delta, *tail)
    equal(price.price_pass(*case.data, case.offset, SCALE, case.delta, *tail), expected)
    expected = reference.choices(case.data, case.offset, SCALE, *tail)
    equal(choices.choices(*case.data, case.offset, SCALE, *tail), expected)


@pytest.mark.parametrize("shape", [Shape(90_000, 6, 1, slotted=True, ties=True), Shape(20_000, 40, 7, masked=True)])
def test_threads_share_the_customers_out(shape, monkeypatch):
    """So many that every thread has some: counts, swaps and values are added across threads."""
    case = make_price_case(shape)
    tail = (case.offset, SCALE, case.delta, case.k, case.slots, 0, 1)
    said = []
    for threads in (1, 2, 3, 7):
        monkeypatch.setenv("PTOFA_NUM_THREADS", str(threads))
        chosen = np.empty_like(case.chosen)
        choices.take(*case.data, case.offset, SCALE, chosen, case.slots)
        said.append((*price.price_pass(*case.data, *tail), chosen))
        said.append((*said[-1][:3], chosen))
        equal(
            choices.choices(*case.data, case.offset, SCALE, case.k, case.slots)[:1],
            [np.where(chosen < 0, case.risk.size, chosen)],
        )
    for other in said[1:]:
        equal(other, said[0])
    equal(
        said[0],
        (*reference.price_pass(case.data, *tail), reference.take(case.data, case.offset, SCALE, case.k, case.slots)),
    )


@pytest.mark.parametrize("k", [1, 2])
def test_as_many_slots_for_all_as_for_each(k):
    """Slots of K for everyone say the same as no slots at all."""
    case = make_price_case(Shape(200, 6, k))
    full = np.full(200, k, np.int8)
    for slots in (None, full):
        got = price.price_pass(*case.data, case.offset, SCALE, case.delta, k, slots)
        equal(got, reference.price_pass(case.data, case.offset, SCALE, case.delta, k, None, 0, 1))
        chosen = np.empty_like(case.chosen)
        choices.take(*case.data, case.offset, SCALE, chosen, slots)
        np.testing.assert_array_equal(chosen, reference.take(case.data, case.offset, SCALE, k, None))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_take(threads, shape):
    case = make_price_case(shape, seed=2)
    chosen = np.full_like(case.chosen, 99)
    choices.take(*case.data, case.offset, SCALE, chosen, case.slots)
    np.testing.assert_array_equal(chosen, reference.take(case.data, case.offset, SCALE, case.k, case.slots))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_swaps(threads, shape):
    case = make_price_case(shape, seed=3)
    arguments = (*case.data, case.offset, SCALE, case.chosen)
    margin = reference.margins(case.data, case.offset, SCALE, case.chosen)
    np.testing.assert_array_equal(swaps.swap_margins(*arguments, 3), margin[::3])
    for theta in (case.theta, -1e300, np.inf):
        near = swaps.near_rows(*arguments, theta)
        np.testing.assert_array_equal(near, np.flatnonzero(margin <= theta))


@pytest.mark.parametrize("shape", [Shape(90_000, 6, 2, slotted=True, ties=True), Shape(12_000, 70, 3, masked=True)])
def test_swaps_and_arcs_are_the_same_however_the_customers_are_shared_out(shape, monkeypatch):
    """Among threads, and among calls."""
    case = make_price_case(shape)
    arguments = (*case.data, case.offset, SCALE, case.chosen)

    def everything():
        counts = arcs.count_arcs(*case.data[1:], case.chosen)
        a, b = divmod(int(counts[:-1].argmax()), case.risk.size)
        return (
            *(swaps.swap_margins(*arguments, stride) for stride in (1, 3)),
            swaps.near_rows(*arguments, case.theta),
            counts,
            *arcs.arc_candidates(*case.data, case.chosen, a, b, int(counts[a, b])),
        )

    monkeypatch.setenv("PTOFA_NUM_THREADS", "1")
    alone = everything()
    equal(alone[:1], [reference.margins(case.data, case.offset, SCALE, case.chosen)])
    equal(alone[3:4], [reference.arcs(*case.data[1:], case.chosen)])
    for threads, most in (("2", None), ("7", None), ("1", 50_000), ("3", 800_000)):
        monkeypatch.setenv("PTOFA_NUM_THREADS", threads)
        if most is not None:
            monkeypatch.setattr(_entry, "PAIRS_A_CALL", most)
        equal(everything(), alone)


def test_fewer_threads_count_arcs_where_their_counts_would_fill_memory(monkeypatch):
    case = make_price_case(Shape(90_000, 6, 2))
    monkeypatch.setenv("PTOFA_NUM_THREADS", "7")
    monkeypatch.setattr(arcs, "MOST_COUNTS", 0)
    counts = arcs.count_arcs(*case.data[1:], case.chosen)
    np.testing.assert_array_equal(counts, reference.arcs(*case.data[1:], case.chosen))


def test_rows_are_gathered_and_scattered():
    """What an exchange works on: the near customers alone, in a copy of their own, and back."""
    case = make_price_case(Shape(300, 9, 3, masked=True, slotted=True))
    revenue, tolerance, _, mask = case.data
    near = swaps.near_rows(*case.data, case.offset, SCALE, case.chosen, case.theta)
    assert 0 < near.size < 300
    some = [swaps.gather(x, near) for x in (revenue, tolerance, mask, case.chosen)]
    equal(some, [x[near] for x in (revenue, tolerance, mask, case.chosen)])
    chosen = case.chosen.copy()
    swaps.scatter(chosen, near, np.full_like(some[3], 7))
    assert (chosen[near] == 7).all()
    untouched = np.delete(np.arange(300), near)
    np.testing.assert_array_equal(chosen[untouched], case.chosen[untouched])


def test_giving_a_fund_up_is_a_swap_of_customers_with_an_empty_slot_too():
    """A customer who may see one fund only and has a second, empty slot can still do without the fund."""
    revenue, zero = np.array([[3.0, 9.0]], np.float32), np.zeros(2)
    arguments = (revenue, np.array([0], np.int8), np.array([0, 1], np.int8), None, zero, 1.0)
    chosen = np.array([[0, -1]], np.int16)
    assert swaps.swap_margins(*arguments, chosen, 1) == [3.0]
    assert swaps.near_rows(*arguments, chosen, 3.0).tolist() == [0]
    assert swaps.near_rows(*arguments, np.array([[-2, -2]], np.int16), 1e300).size == 0


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arcs(threads, shape):
    case = make_price_case(shape, seed=4)
    counts = arcs.count_arcs(*case.data[1:], case.chosen)
    np.testing.assert_array_equal(counts, reference.arcs(*case.data[1:], case.chosen))
    funds = case.risk.size
    for a in (-1, int(counts[:-1].sum(1).argmax())):
        b = int(counts[a].argmax())
        assert a < funds
        got = arcs.arc_candidates(*case.data, case.chosen, a, b, int(counts[a, b]))
        equal(got, reference.arc_candidates(case.data, case.chosen, a, b))
        least = float(np.median(got[1])) if got[1].size else 0.0
        equal(
            arcs.arc_candidates(*case.data, case.chosen, a, b, int(counts[a, b]), least),
            reference.arc_candidates(case.data, case.chosen, a, b, least),
        )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_totals_and_order(threads, shape):
    case = make_price_case(shape, seed=5)
    funds = case.risk.size
    np.testing.assert_array_equal(totals.count_funds(case.chosen, funds), reference.count_funds(case.chosen, funds))
    assert totals.exact_sums(totals.earned(case.revenue, case.chosen)) == reference.earned(case.revenue, case.chosen)
    chosen = case.chosen.copy()
    order.order_slots(case.revenue, chosen)
    np.testing.assert_array_equal(chosen, reference.order(case.revenue, case.chosen))


def test_values_of_a_narrow_kind_are_counted_without_wrapping():
    values = np.array([-128, 127, 127, 0], np.int8)
    counts = totals.count_values(values, -128, 256)
    assert (counts[0], counts[255], counts[128], counts.sum()) == (1, 2, 1, 4)
