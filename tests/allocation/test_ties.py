"""Tied customers: their kinds by the definition, what is shared out between kinds, and how a kind's share is dealt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptofa_gpu.allocation import ties
from ptofa_gpu.allocation.ties import Groups, deal, share_out
from ptofa_gpu.ops import _entry
from ptofa_gpu.ops.choices import take

EMPTY, CLOSED = -1, -2


def tied(seed, users=40, funds=6, k=3):
    """(arguments of `Groups.add`, slots) of customers whose revenue has few values; prices are whole numbers."""
    rng = np.random.default_rng(seed)
    funds = int(rng.integers(1, funds + 1))
    k = int(rng.integers(1, min(funds, k) + 1))
    revenue = rng.integers(0, 3, (users, funds)).astype(np.float32)
    tolerance, risk = rng.integers(1, 4, users).astype(np.int8), rng.integers(1, 4, funds).astype(np.int8)
    mask = rng.integers(0, 2**funds, (users, 1)).astype(np.uint64) if seed % 2 else None
    slots = rng.integers(0, k + 1, users).astype(np.int8) if seed % 3 else None
    offset, chosen = -rng.integers(-1, 2, funds).astype(np.float64), np.empty((users, k), np.int16)
    take(revenue, tolerance, risk, mask, offset, 1.0, chosen, slots)
    return revenue, tolerance, risk, mask, offset, 1.0, chosen


def kind_of(u, revenue, tolerance, risk, mask, offset, scale, chosen):
    """(choices as good as the worst one, how many of them the customer holds); F: the empty slot."""
    funds = risk.size
    value = {f: float(revenue[u, f] * scale + offset[f]) for f in range(funds) if tolerance[u] >= risk[f]}
    if mask is not None:
        value = {f: x for f, x in value.items() if int(mask[u, 0]) >> f & 1}
    value[funds] = 0.0
    held = [funds if f == EMPTY else int(f) for f in chosen[u] if f != CLOSED]
    worst = min((value[f] for f in held), default=None)
    same = frozenset(f for f, x in value.items() if x == worst)
    return same, sum(f in same for f in held)


@pytest.mark.parametrize("seed", range(60))
def test_kinds_of_tied_customers(seed, monkeypatch):
    data = tied(seed)
    users = len(data[0])
    if seed % 4:  # a few customers a call
        monkeypatch.setattr(_entry, "PAIRS_A_CALL", 1 << 9)
    groups = Groups(data[2].size)
    for lo, hi in ((0, 25), (25, users)):
        part = [x[lo:hi] if isinstance(x, np.ndarray) and len(x) == users else x for x in data]
        assert groups.add(np.arange(lo, hi), *part)
    has, picks, customers = groups.table()
    kinds = np.concatenate(groups.kinds)
    every = [kind_of(u, *data) for u in range(users)]
    assert list(dict.fromkeys(every)) == [
        (frozenset(np.flatnonzero(row).tolist()), n) for row, n in zip(has, picks, strict=True)
    ]
    first = list(dict.fromkeys(every))
    assert kinds.tolist() == [first.index(kind) for kind in every]
    assert customers.tolist() == [every.count(kind) for kind in first]


def test_more_funds_than_a_word_has_bits_and_too_many_kinds(monkeypatch):
    rng = np.random.default_rng(0)
    revenue = rng.integers(0, 2, (500, 130)).astype(np.float32)
    data = [revenue, np.ones(500, np.int8), np.ones(130, np.int8), None, np.zeros(130), 1.0]
    chosen = revenue.argmax(1).astype(np.int16)[:, None]
    groups = Groups(130)
    assert groups.add(np.arange(500), *data, chosen)
    assert groups.known == len(np.unique(revenue, axis=0))
    np.testing.assert_array_equal(groups.table()[0][groups.kinds[0]][:, :130], revenue == 1)
    monkeypatch.setattr(ties, "MOST_GROUPS", 499)
    assert not Groups(130).add(np.arange(500), *data, chosen)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 40, 2**40]))
def test_what_is_shared_out(seed, many):
    rng = np.random.default_rng(seed)
    kinds, funds = int(rng.integers(1, 9)), int(rng.integers(1, 7))
    has = rng.random((kinds, funds + 1)) < 0.6
    has[np.arange(kinds), rng.integers(0, funds, kinds)] = True
    customers = rng.integers(1, many + 1, kinds)
    # as many as there are choices, and where the empty slot is one any number
    picks = np.minimum(rng.integers(1, 4, kinds), np.where(has[:, -1], 3, has[:, :-1].sum(1)))
    must = np.append(rng.integers(0, 2 * many + 1, funds), 0)
    may = np.append(rng.integers(0, 2 * many + 1, funds), rng.choice([0, 10 * kinds * many]))
    share = share_out(has, picks, customers, must, may)
    assert (share.sum(1) == picks * customers).all()
    assert (share >= 0).all()
    assert not share[~has].any()
    assert (share[:, :-1] <= customers[:, None]).all()
    # quotas that must be filled come first, and nothing is above all quotas that has a place elsewhere
    arcs = np.where(has, np.uint8(1), np.uint8(0))
    arcs[has[:, -1], -1] = 2
    for wanted in (must, must + may):
        sent = np.zeros(has.shape, np.int64)
        ties.max_flow(arcs, customers, picks * customers, wanted, sent)
        assert np.minimum(share.sum(0), wanted).sum() == sent.sum()


@pytest.mark.parametrize("seed", range(20))
def test_a_share_is_dealt_in_turn(seed, monkeypatch):
    """Everybody keeps what is not tied, gets as many choices as before, none twice, and all that is shared out."""
    monkeypatch.setattr(_entry, "PAIRS_A_CALL", 1 << 10)
    data = tied(seed, users=200)
    chosen, funds = data[-1], data[2].size
    groups = Groups(funds)
    assert groups.add(np.arange(200), *data)
    has, picks, customers = groups.table()
    kinds = groups.kinds[0]
    room = np.full(funds + 1, 200 * chosen.shape[1] // (funds + 1) + 1)
    share = share_out(has, picks, customers, np.append(room[:-1], 0), np.append(np.zeros(funds, int), 10**6))
    held = chosen.copy()
    deal(groups, share, np.arange(200), kinds, held)
    for g in range(groups.known):
        mine = held[kinds == g]
        assert [int((mine == f).sum()) for f in range(funds) if has[g, f]] == share[g, :-1][has[g, :-1]].tolist()
    for u in range(200):
        funds_held = held[u][held[u] >= 0].tolist()
        assert len(set(funds_held)) == len(funds_held)
        assert (held[u] == CLOSED).tolist() == (chosen[u] == CLOSED).tolist()
        kept = {int(f) for f in chosen[u] if f >= 0 and not has[kinds[u], f]}
        assert kept == {f for f in funds_held if not has[kinds[u], f]}
