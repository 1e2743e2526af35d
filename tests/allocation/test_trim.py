"""Making room in an exchange: what stays, what the bounds then say, and that plans stay the best ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation import _heaps, _trim, exchange, optimal, passes, room, settle, window
from ptofa_gpu.allocation._lists import EACH_BYTES
from ptofa_gpu.allocation._moves import FAR, Arcs, Customers
from tests.allocation.oracles import low_ends, min_cost_flow_value, plan_value

SIZE = 3  # two funds and the empty slot


def everyone_free(rows):
    """Customers for whom every swap is possible: the plan is not known, and nobody is here."""
    nothing = np.zeros((rows, 1), np.int16)
    place = np.full(rows, -1, np.int32)
    return Customers(np.zeros((0, 2), np.float32), nothing, nothing, nothing, nothing, 1.0, nothing, place, False)


def heaps_of(swaps, when):
    """Heaps with (arc, key, row) that came one at a time (3), and before that in two lists (0, 1) or one (2)."""
    heaps = _heaps.empty(SIZE, 1, 1)
    for part in (0, 1, 2):
        heaps = _heaps.add_all(heaps, *np.ascontiguousarray(swaps[:, when == part]))
    for arc, key, row in swaps[:, when == 3].T:
        heaps = _heaps.with_room(heaps, 1)
        _heaps.add(heaps, arc // SIZE, arc % SIZE, key, row)
    return heaps


def taken_off(heaps, a, b):
    """(key, row) of the top, which is taken off; None where there is none."""
    where, key, row = _heaps.top(heaps, a, b)
    if where == _heaps.NOWHERE:
        return None
    _heaps.take_off(heaps, a, b, where)
    return int(key), int(row)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_comes_first_stays_and_the_bounds_say_what_has_gone(data):
    """All swaps of an arc, those at hand up to its bound: after it every one up to the new bound still is."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    rows, most = 16 * data.draw(st.integers(1, 8)), data.draw(st.integers(0, 1000))
    bound, last = np.full((SIZE, SIZE), FAR), np.full((SIZE, SIZE), rows)
    potential = rng.integers(0, 4, SIZE)
    swaps = {}
    for a, b in zip(*np.nonzero(~np.eye(SIZE, dtype=bool)), strict=True):
        offers = sorted((int(c), int(u)) for u, c in enumerate(rng.integers(0, 8, rows)) if rng.random() < 0.6)
        at_hand = rng.integers(0, len(offers) + 1)
        swaps[a, b] = offers, offers[:at_hand]
        if at_hand < len(offers):
            bound[a, b], last[a, b] = offers[at_hand - 1] if at_hand else (offers[0][0], -1)
    flat = [(a * SIZE + b, c, u) for (a, b), (_, at_hand) in swaps.items() for c, u in at_hand]
    columns = np.array(flat, np.int64).reshape(-1, 3)[rng.permutation(len(flat))].T
    heaps = heaps_of(columns, rng.integers(0, 4, len(flat)))
    popped = {}
    for a, b in swaps:  # some are taken off, as by a path
        if rng.random() < 0.5 and (top := taken_off(heaps, a, b)):
            popped[a, b] = top
    arcs = Arcs(np.zeros((SIZE, SIZE), np.int64), np.zeros((SIZE, SIZE), np.int64), bound)
    before = len(flat) - len(popped)
    heaps = _trim.trim(everyone_free(rows), heaps, arcs, last, potential, most)
    used = heaps.used[_heaps.LISTED]
    assert not heaps.used[_heaps.ENTRIES]
    kept = {}
    for a, b in swaps:
        kept[a, b] = []
        while top := taken_off(heaps, a, b):
            kept[a, b].append(top)
    assert sum(map(len, kept.values())) == used
    if EACH_BYTES * before <= most:
        assert used == before
    # one in sixteen customers says what the dearest is that stays
    dearest = {(a, b, c, u): (c + potential[a] - potential[b], u) for (a, b), (_, h) in swaps.items() for c, u in h}
    dearest = {k: v for k, v in dearest.items() if popped.get(k[:2]) != k[2:]}
    sample = sorted(v for k, v in dearest.items() if k[3] % _trim.SAMPLE == 0)
    if EACH_BYTES * before > most and sample:
        limit = sample[int(len(sample) * (most / (EACH_BYTES * before)))]
        assert used == sum(v <= limit for v in dearest.values())
    for (a, b), (offers, at_hand) in swaps.items():
        assert kept[a, b] == sorted(kept[a, b])
        assert set(kept[a, b]) <= set(at_hand)
        gone = set(at_hand) - set(kept[a, b]) - {popped.get((a, b))}
        limit = bound[a, b], last[a, b]
        # whatever comes no later than the bound is at hand, and whatever has gone comes after it
        assert all(s in kept[a, b] or s == popped.get((a, b)) for s in offers if s <= limit)
        assert all(s > limit for s in gone)
        assert arcs.cost[a, b] == (kept[a, b][0][0] if kept[a, b] else bound[a, b])
    dearest = max((c + potential[a] - potential[b], u) for (a, b), k in kept.items() for c, u in [*k, (-99, 0)])
    for (a, b), (_, at_hand) in swaps.items():
        for c, u in set(at_hand) - set(kept[a, b]) - {popped.get((a, b))}:
            assert (c + potential[a] - potential[b], u) > dearest


def with_little_room(monkeypatch, swaps):
    """An exchange from the first, with room for so many bytes of swaps."""
    for name, value in (("CUSTOMER_EACH", 0), ("SWAPS", swaps), ("ARC_SWAPS", 0), ("ROWS_EACH", 0), ("ROWS_BYTES", 0)):
        monkeypatch.setattr(room, name, value)
    # from prices at which nearly everything is left to the exchange
    monkeypatch.setattr(optimal, "_prices", lambda market, *_: market.grounded(np.full(market.funds, market.level)))
    monkeypatch.setattr(settle, "ALL_SWAPS", 0)
    monkeypatch.setattr(settle, "FIRST_WINDOW", 1)
    for name in ("ALL_SWAPS", "SWAPS_EACH"):
        monkeypatch.setattr(passes, name, 0)
    for module in (passes, window):
        monkeypatch.setattr(module, "list_sizes", lambda arcs, *_: np.full(arcs.size, 8))
    monkeypatch.setattr(passes, "FORESEEN", 0)


def rounded_problem(seed, k, bits):
    """(E, quota) of customers many of whom are alike."""
    rng = np.random.default_rng(seed)
    E = np.ldexp(np.rint(np.ldexp(rng.lognormal(0, 1, (4_000, 9)), bits)), -bits).astype(np.float32)
    quota = np.bincount(rng.choice(9, k * len(E), p=np.arange(1, 10) / 45), minlength=9)
    return E, np.minimum(quota, len(E))


@pytest.mark.parametrize(("k", "bits", "swaps"), [(1, 3, 960), (3, 1, 960), (2, 10, 0)])
def test_an_exchange_that_has_to_make_room_ends_with_the_best_plan(monkeypatch, k, bits, swaps):
    """With room for few swaps; of blocks comes the same plan."""
    with_little_room(monkeypatch, swaps)
    trims, trim = [], exchange.Exchange.trim

    def watched(self, *arguments):
        before = self.list_bytes + self.entry_bytes
        trim(self, *arguments)
        trims.append(before - self.list_bytes)

    monkeypatch.setattr(exchange.Exchange, "trim", watched)
    E, quota = rounded_problem(k, k, bits)
    problem = ptofa.AllocationProblem(E, quota, k)
    plan = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax")
    assert sum(gone > 0 for gone in trims) > 1
    assert plan.status == "optimal"
    assert plan_value(problem.revenue, plan.funds, low_ends(problem)) == min_cost_flow_value(problem)
    parts = ptofa.AllocationProblem([E[:1500], E[1500:]], quota, k)
    again = ptofa.allocate(parts, "optimal", device="cpu", on_infeasible="relax")
    np.testing.assert_array_equal(plan.funds, again.funds)
    np.testing.assert_array_equal(plan.price, again.price)


@pytest.mark.parametrize(("seed", "k", "bits"), [(6, 1, 3), (5, 3, 1), (2, 1, 2)])
def test_when_room_is_made_does_not_depend_on_the_clock_or_on_blocks(monkeypatch, seed, k, bits):
    """An exchange stops to look at the clock, and where E is in blocks to fetch customers: room is made elsewhere."""
    with_little_room(monkeypatch, 20_000)
    E, quota = rounded_problem(seed, k, bits)
    plans = []
    for at_a_time in (5e7, 4e4, 2e4, 1e4, 0):
        monkeypatch.setattr(settle, "AT_A_TIME", at_a_time)
        for revenue in (E, [E[:1500], E[1500:]]):
            problem = ptofa.AllocationProblem(revenue, quota, k)
            plans.append(ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax"))
    for plan in plans[1:]:
        np.testing.assert_array_equal(plan.funds, plans[0].funds)
        np.testing.assert_array_equal(plan.price, plans[0].price)
