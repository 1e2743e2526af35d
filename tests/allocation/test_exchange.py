"""The exchange's parts: heaps against Python's, lists of swaps against sorting, and a run that goes on after a stop."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation import _heaps, room, settle
from ptofa_gpu.allocation.candidates import FAR, Cheapest, list_sizes

swap = st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 6))  # arc, key, row


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(swap, st.lists(swap), st.integers(0, 3), st.none()), max_size=80), st.data())
def test_heaps_give_the_least_swap_whatever_the_order(steps, data):
    """Swaps come many at a time and one at a time, and are packed; some are taken off, and some of those put back."""
    heaps, wanted = _heaps.empty(2, 1, 1), [[] for _ in range(4)]
    for step in steps:
        if step is None:
            heaps = _heaps.pack(heaps)
        elif isinstance(step, list):
            heaps = _heaps.add_all(heaps, *np.array(step, np.int64).reshape(-1, 3).T)
            for arc, *swap in step:
                heapq.heappush(wanted[arc], tuple(swap))
        elif isinstance(step, tuple):
            arc, *swap = step
            heaps = _heaps.with_room(heaps, 1)
            _heaps.add(heaps, arc // 2, arc % 2, *swap)
            heapq.heappush(wanted[arc], tuple(swap))
        else:
            taken = []
            for _ in range(data.draw(st.integers(1, 4))):
                where, *swap = _heaps.top(heaps, step // 2, step % 2)
                assert (where == _heaps.NOWHERE) == (not wanted[step])
                if wanted[step]:
                    assert tuple(swap) == heapq.heappop(wanted[step])
                    taken.append((_heaps.take_off(heaps, step // 2, step % 2, where), *swap))
            for swap in taken[data.draw(st.integers(0, 4)) :]:
                _heaps.put_back(heaps, step // 2, step % 2, *swap)
                heapq.heappush(wanted[step], swap[1:])
            if data.draw(st.booleans()):
                _heaps.forget_empty(heaps, step // 2, step % 2)
    for arc in range(4):
        while wanted[arc]:
            where, *swap = _heaps.top(heaps, arc // 2, arc % 2)
            assert tuple(swap) == heapq.heappop(wanted[arc])
            _heaps.take_off(heaps, arc // 2, arc % 2, where)
        assert _heaps.top(heaps, arc // 2, arc % 2)[0] == _heaps.NOWHERE


def test_what_is_set_aside_for_swaps_is_written_to_and_what_is_not_to_be_had_is_no_memory():
    array = room.fresh(5, np.int32)
    array[:] = 3
    assert array.shape == (5,)
    assert array.dtype == np.int32
    assert array.tolist() == [3] * 5
    assert room.fresh(0, np.int64).size == 0
    with pytest.raises(MemoryError, match="bytes for swaps"):
        room.fresh(1 << 60, np.uint8)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_lists_are_the_next_swaps_in_order(data):
    """Of some arcs, after what was fetched before, as sorting all swaps gives them; blocks and threads do not show."""
    rows, funds, k = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 2))
    k = min(k, funds)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    E = rng.integers(0, 5, (rows, funds)).astype(np.float32)
    tolerance, risk = rng.integers(1, 4, rows).astype(np.int8), rng.integers(1, 3, funds).astype(np.int8)
    offset = rng.integers(-3, 3, funds).astype(np.float64)
    chosen = np.stack([rng.permutation(np.append(np.arange(funds), -1))[:k] for _ in range(rows)]).astype(np.int16)
    arcs = np.flatnonzero(~np.eye(funds + 1, dtype=bool) & (rng.random((funds + 1, funds + 1)) < 0.7))
    after, after_row = rng.integers(-9, 3, arcs.size), rng.integers(-1, rows, arcs.size)
    most = data.draw(st.integers(1, 8))
    sizes = rng.integers(1, most + 1, arcs.size)
    lists = Cheapest(funds, arcs, sizes, np.inf, after, after_row)
    cut = data.draw(st.integers(0, rows))
    for lo, hi in ((0, cut), (cut, rows)):
        part = (E[lo:hi], tolerance[lo:hi], risk, None, offset, 1.0, chosen[lo:hi])
        lists.add(*part, np.arange(lo, hi))
    found = lists.found(rows)
    for i, arc in enumerate(arcs):
        a, b = divmod(int(arc), funds + 1)
        swaps = []
        for u in range(rows):
            if (a if a < funds else -1) not in chosen[u] or (b < funds and (b in chosen[u] or tolerance[u] < risk[b])):
                continue
            value = [*(E[u] + offset), 0.0]
            swaps.append((int(value[a] - value[b]), u))
        swaps = sorted(s for s in swaps if s > (after[i], after_row[i]))
        arc_of, cost, row = found.swaps
        mine = sorted(zip(cost[arc_of == arc].tolist(), row[arc_of == arc].tolist(), strict=True))
        assert mine == swaps[: sizes[i]]
        assert (found.bound[i], found.last[i]) == (mine[-1] if len(swaps) >= sizes[i] else (FAR, rows))


@pytest.mark.parametrize(
    ("arcs", "urgent", "slots", "wrong", "funds", "kept"),
    [
        (72, 0, 10_000, 3, 8, {10}),
        (72, 0, 1_000, 0, 8, {4}),
        (4032, 0, 200_000, 5000, 8, {16}),
        (56, 0, 1_000_000, 50_000, 8, {1116}),
        (1 << 21, 0, 1, 9, 8, {4}),
        (100, 2, 1_000_000, 500_000, 8, {15_625, 312}),
        (100, 2, 1_000_000, 500_000, 64, {11_718, 390}),  # most who hold one of 64 funds
        (100, 2, 1_000_000, 100, 8, {204}),
    ],
)
def test_lists_are_as_long_as_they_may_be(arcs, urgent, slots, wrong, funds, kept):
    every = np.arange(arcs)
    sizes = list_sizes(every, every[:urgent], slots, wrong, funds)
    assert set(sizes.tolist()) == kept
    assert (sizes[:urgent] == max(kept)).all()


@pytest.mark.parametrize("ties", [None, 1])
def test_a_run_that_stops_for_the_clock_goes_on_as_if_it_had_not(monkeypatch, ties):
    rng = np.random.default_rng(8)
    E = rng.lognormal(0, 1, (6_000, 10)).astype(np.float32)
    E = E if ties is None else E.round(ties)
    problem = ptofa.AllocationProblem(E, np.bincount(rng.integers(0, 10, 6_000) // 2 * 2, minlength=10))
    wanted = ptofa.allocate(problem, "optimal", device="cpu")
    monkeypatch.setattr(settle, "AT_A_TIME", 0)  # one path, and a few customers, at a time
    plan = ptofa.allocate(problem, "optimal", device="cpu")
    np.testing.assert_array_equal(plan.funds, wanted.funds)
    np.testing.assert_array_equal(plan.price, wanted.price)
