"""One check a kernel, for the CPU and for a GPU alike: the launcher's answer, the twin's and a plain one are the same.

`ops` is a `DeviceOps`, `put` brings an array to where it works, `get` brings one back.
"""

from __future__ import annotations

import numpy as np

from ptofa_gpu.ops import arcs, choices, largest, order, price, swaps, totals
from tests.ops import reference
from tests.ops.cases import SCALE, PriceCase


def _same(got, *expected):
    for other in expected:
        for a, b in zip(got, other, strict=True):
            np.testing.assert_array_equal(a, b)


def check_price_pass(ops, put, get, case: PriceCase, first: int = 0, stride: int = 1):
    tail = (case.offset, SCALE, case.delta, case.k)
    got = ops.price_pass(*map(put, case.data), *tail, put(case.slots), first, stride)
    twin = price.price_pass(*case.data, *tail, case.slots, first, stride)
    plain = reference.price_pass(case.data, *tail, case.slots, first, stride)
    _same(got, twin, plain)


def check_choices(ops, put, get, case: PriceCase, first: int = 0, stride: int = 1):
    tail = (case.offset, SCALE, case.k)
    got = ops.choices(*map(put, case.data), *tail, put(case.slots), first, stride)
    twin = choices.choices(*case.data, *tail, case.slots, first, stride)
    _same(got, twin, reference.choices(case.data, *tail, case.slots, first, stride))


def check_take(ops, put, get, case: PriceCase, first: int = 0, stride: int = 1):
    chosen, twin = put(np.full_like(case.chosen, 99)), np.full_like(case.chosen, 99)
    ops.take(*map(put, case.data), case.offset, SCALE, chosen, put(case.slots))
    choices.take(*case.data, case.offset, SCALE, twin, case.slots)
    _same([get(chosen)], [twin], [reference.take(case.data, case.offset, SCALE, case.k, case.slots)])


def check_swap_margins(ops, put, get, case: PriceCase, first: int = 0, stride: int = 1):
    got = ops.swap_margins(*map(put, case.data), case.offset, SCALE, put(case.chosen), stride)
    twin = swaps.swap_margins(*case.data, case.offset, SCALE, case.chosen, stride)
    _same([got], [twin], [reference.margins(case.data, case.offset, SCALE, case.chosen)[::stride]])


def check_near_rows(ops, put, get, case: PriceCase, first: int = 0, stride: int = 1):
    margin = reference.margins(case.data, case.offset, SCALE, case.chosen)
    for theta in (case.theta, -1e300, float(np.median(margin)), np.inf):
        got = ops.near_rows(*map(put, case.data), case.offset, SCALE, put(case.chosen), theta)
        twin = swaps.near_rows(*case.data, case.offset, SCALE, case.chosen, theta)
        assert got.dtype == twin.dtype == np.int64
        _same([get(got)], [twin], [np.flatnonzero(margin <= theta)])


def check_count_arcs(ops, put, get, case: PriceCase, first: int = 0, stride: int = 1):
    got = ops.count_arcs(*map(put, case.data[1:]), put(case.chosen))
    _same([got], [arcs.count_arcs(*case.data[1:], case.chosen)], [reference.arcs(*case.data[1:], case.chosen)])


def check_arc_candidates(ops, put, get, case: PriceCase, first: int = 0, stride: int = 1):
    counts = arcs.count_arcs(*case.data[1:], case.chosen)
    busiest = np.argsort(-counts, axis=None)[:2]
    funds = case.risk.size
    pairs = {(int(i) // funds, int(i) % funds) for i in busiest} | {(funds, int(counts[funds].argmax()))}
    for a, b in sorted(pairs):
        count, a = int(counts[a, b]), -1 if a == funds else a
        got = ops.arc_candidates(*map(put, case.data), put(case.chosen), a, b, count)
        twin = arcs.arc_candidates(*case.data, case.chosen, a, b, count)
        _same(got, twin, reference.arc_candidates(case.data, case.chosen, a, b))
        assert got[0].size == count
        if count:
            least = float(np.median(twin[1]))
            got = ops.arc_candidates(*map(put, case.data), put(case.chosen), a, b, count, least)
            middle = arcs.arc_candidates(*case.data, case.chosen, a, b, count, least)
            _same(got, middle, reference.arc_candidates(case.data, case.chosen, a, b, least))
        fewer = count // 2
        got = ops.arc_candidates(*map(put, case.data), put(case.chosen), a, b, fewer)
        _same(got, arcs.arc_candidates(*case.data, case.chosen, a, b, fewer), [x[:fewer] for x in twin])


def check_totals(ops, put, get, case: PriceCase):
    funds = case.risk.size
    counts = totals.count_funds(case.chosen, funds)
    _same([ops.count_funds(put(case.chosen), funds)], [counts], [reference.count_funds(case.chosen, funds)])
    assert counts.sum() == case.chosen.size
    # exponents far apart, subnormal numbers and both zeros
    far = np.random.default_rng(funds).choice(
        np.float32([2**-149, 1e-40, 1, 2**90, -0.0, 0.0, -1e-3]), case.revenue.shape
    )
    for revenue in (case.revenue, case.revenue * far, far):
        sums = [
            totals.exact_sums(x)
            for x in (ops.earned(put(revenue), put(case.chosen)), totals.earned(revenue, case.chosen))
        ]
        assert sums == [reference.earned(revenue, case.chosen)] * 2


def check_largest(ops, put, get, case: PriceCase):
    wanted = np.random.default_rng(case.risk.size).random(case.risk.size) < 0.7
    whole = case.revenue.copy()
    whole[-1, 0] = np.nan
    for revenue in (case.revenue, whole, np.full_like(whole, -np.inf)):
        for flags in (wanted, np.ones_like(wanted)):
            arguments = *case.data[1:], case.slots, flags
            got = ops.largest(put(revenue), *map(put, arguments[:-1]), flags)
            twin = largest.largest(revenue, *arguments)
            plain = reference.largest(revenue, *arguments)
            _same([np.array(got, np.int32).view(np.float32), twin], [plain, plain])
    free = np.zeros(len(whole), np.int8), np.zeros(case.risk.size, np.int8), None, None, np.ones_like(wanted)
    assert np.isnan(largest.largest(whole, *free)).all()
    assert largest.largest(case.revenue, *free) == (np.abs(case.revenue).max(),) * 2


def check_order_slots(ops, put, get, case: PriceCase):
    chosen, twin = put(case.chosen.copy()), case.chosen.copy()
    ops.order_slots(put(case.revenue), chosen)
    order.order_slots(case.revenue, twin)
    _same([get(chosen)], [twin], [reference.order(case.revenue, case.chosen)])


CHECKS = {
    name.removeprefix("check_"): function for name, function in list(globals().items()) if name.startswith("check_")
}
