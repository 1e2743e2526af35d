"""Prices by an auction: customers bid for funds, and what nobody overbids is the price.

Every slot in turn bids for the fund that its customer likes best at the prices there are: as much above its price as it
is better than the next best, and eps more. A fund keeps the highest bids, as many as its quota, and throws the others
out; its price is the lowest bid it keeps. With no one left to bid, everyone's choice is within eps of their best one,
and eps becomes smaller, phase by phase (Bertsekas, *Math. Programming* 14, 1978 and *Annals of OR* 14, 1988; with
many places in each fund: Bertsekas and Castanon, *Annals of OR* 20, 1989).

That needs as many places as slots. Where quotas leave slots empty, being empty is a fund more, worth 0 and to be had
several times; where they have more places, strangers bid for these, to whom all funds are worth the same: the funds
that they end in are the cheapest, and those with room to spare.

It is sequential, but a bid costs one look at a row. That makes it the way to prices where there are few customers
to a fund: Newton's method (`dual`) has no curvature to go by then, and the exchange too much to move.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._best import NONE, fund_of, key_bits, value_of
from ptofa_gpu.ops._rows import ROUND, mask_words, slot_numbers
from ptofa_gpu.ops.largest import largest

#: How much smaller eps is in the next phase.
FINER = 4
#: Bids that a phase may take for each slot. Where a sample cannot be served prices rise without end.
BIDS = 24


@nb.njit
def _two_best(row, level, words, risk, price, scale, held, key):
    """The best and the second best key of a customer's row, the empty place included if there is one, without the
    funds that the customer holds."""
    funds = row.size
    bits = key_bits(key.size)
    last = (np.int64(1) << bits) - 1
    for f in range(funds):
        value = np.int64((np.float64(row[f]) * scale + ROUND) - ROUND) - price[f]
        key[f] = (value << bits) + (last - f) if level >= risk[f] else NONE
    if words.size:
        for f in range(funds):
            key[f] = key[f] if (words[f >> 6] >> np.uint64(f & 63)) & np.uint64(1) else NONE
    for j in range(held.size):
        if 0 <= held[j] < funds:
            key[held[j]] = NONE
    if key.size > funds:
        key[funds] = (-price[funds] << bits) + (last - funds)
    return _first_two(key)


@nb.njit
def _first_two(key):
    best = NONE
    for f in range(key.size):
        best = max(best, key[f])
    second = NONE
    for f in range(key.size):
        second = max(second, key[f] if key[f] < best else NONE)
    return best, second


@nb.njit
def _cheapest_two(price, quota, key):
    """What a stranger likes best: the cheapest funds, of those that have places."""
    bits = key_bits(price.size)
    last = (np.int64(1) << bits) - 1
    for f in range(price.size):
        key[f] = (-price[f] << bits) + (last - f) if quota[f] > 0 else NONE
    return _first_two(key)


@nb.njit
def _push(bid, owner, n, amount, customer):
    """Add a bid to the heap of n bids, the lowest on top."""
    i = n
    while i > 0 and bid[(i - 1) // 2] > amount:
        bid[i], owner[i] = bid[(i - 1) // 2], owner[(i - 1) // 2]
        i = (i - 1) // 2
    bid[i], owner[i] = amount, customer


@nb.njit
def _replace(bid, owner, n, amount, customer):
    """Put a bid in place of the lowest of n."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and bid[child + 1] < bid[child]:
            child += 1
        if bid[child] >= amount:
            break
        bid[i], owner[i] = bid[child], owner[child]
        i = child
    bid[i], owner[i] = amount, customer


@nb.njit(cache=True)
def _phase(revenue, tolerance, risk, mask, slots, k, scale, quota, strangers, eps, captive, price):
    """One phase from `price` on, which is updated; whether everybody found a place."""
    rows, places = revenue.shape[0], price.size
    start = np.zeros(places + 1, np.int64)
    for f in range(places):
        start[f + 1] = start[f] + quota[f]
    bid, owner = np.empty(start[places], np.int64), np.empty(start[places], np.int32)
    filled, held = np.zeros(places, np.int64), np.full((rows, k), -1, np.int16)
    key, no_mask, nothing = np.empty(places, np.int64), np.empty(0, np.uint64), np.empty(0, np.int16)
    waiting = np.full(strangers + rows * k, -1, np.int32)
    left = strangers  # customers come first: the last are the first to bid
    for u in range(rows - 1, -1, -1):
        for _ in range(np.int64(slots[u]) if slots.size else k):
            waiting[left] = u
            left += 1
    bids_left, bits, everybody = BIDS * left, key_bits(places), True
    while left > 0 and bids_left > 0:
        left -= 1
        bids_left -= 1
        u = waiting[left]
        if u < 0:
            best, second = _cheapest_two(price, quota, key)
        else:
            words = mask[u] if mask.shape[0] else no_mask
            best, second = _two_best(revenue[u], tolerance[u], words, risk, price, scale, held[u], key)
        if best == NONE:
            everybody = False
            continue
        f = fund_of(best, bits)
        amount = price[f] + eps
        amount += value_of(best, bits) - value_of(second, bits) if second != NONE else captive
        if amount > captive * (places + 2):  # no plan has such prices: more want the place than there are
            everybody = False
            continue
        if quota[f] == 0:
            price[f] = amount
            waiting[left] = u
            left += 1
            continue
        own_bid, own_owner = bid[start[f] : start[f + 1]], owner[start[f] : start[f + 1]]
        _change(held[u] if u >= 0 else nothing, -1, f)
        if filled[f] < quota[f]:
            _push(own_bid, own_owner, filled[f], amount, u)
            filled[f] += 1
        else:
            out = own_owner[0]
            _change(held[out] if out >= 0 else nothing, f, -1)
            _replace(own_bid, own_owner, filled[f], amount, u)
            waiting[left] = out
            left += 1
        if filled[f] == quota[f]:
            price[f] = max(price[f], own_bid[0])
    return everybody and left == 0


@nb.njit
def _change(held, before, after):
    for j in range(held.size):
        if held[j] == before:
            held[j] = after
            break


def auction_phase(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    slots: Any,
    k: int,
    scale: float,
    quota: np.ndarray,
    eps: int,
    price: np.ndarray,
) -> tuple[np.ndarray, bool]:
    """Prices after one phase of an auction that begins at `price`, everyone's slots empty; on the host.

    Parameters
    ----------
    revenue, tolerance, risk, mask, slots, scale
        As in `price_pass`.
    k : int
    quota : (F,) int64
        Places in each fund. Fewer than there are slots: some stay empty; more: some places do.
    eps : int
        Units, at least 1: how far from their best choice customers may end.
    price : (F + 1,) int64
        Units; last, the price of an empty slot.

    Returns
    -------
    price : (F + 1,) int64
        Not below what they were. Only differences count: of funds to an empty slot's where slots stay empty, else to
        the cheapest fund's.
    ended : bool
        False where somebody found no place, or bids were stopped because of that.
    """
    rows = revenue.shape[0]
    own_slots = rows * k if slots is None else int(slots.sum(dtype=np.int64))
    spare = own_slots - int(quota.sum())
    places = np.append(quota, spare) if spare > 0 else quota
    own = price[: places.size].astype(np.int64)
    # what is paid above the price for the only fund there is: as much as two funds can be apart
    _, most = largest(revenue, tolerance, risk, mask, slots, np.ones(revenue.shape[1], np.bool_))
    captive = 2 * round(float(most) * scale) + 1
    data = (revenue, tolerance, risk, mask_words(mask), slot_numbers(slots))
    ended = _phase(*data, k, scale, places.astype(np.int64), max(0, -spare), np.int64(eps), np.int64(captive), own)
    out = price.copy()
    out[: places.size] = own
    return out, bool(ended)
