"""Prices by an auction: customers bid for funds, and what nobody overbids is the price.

Every slot in turn bids for the fund that its customer likes best at the prices there are: as much above its price as it
is better than the next best, and eps more. A fund keeps the highest bids, as many as its quota, and throws the others
out; its price is the lowest bid it keeps. With no one left to bid, everyone's choice is within eps of their best one,
and eps becomes smaller, phase by phase (Bertsekas, *Math. Programming* 14, 1978 and *Annals of OR* 14, 1988; with
many places in each fund: Bertsekas and Castanon, *Annals of OR* 20, 1989).

It is sequential, but a bid costs one look at a row. That makes it the way to prices where there are few customers
to a fund: Newton's method (`dual`) has no curvature to go by then, and the exchange too much to move.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._best import NONE, fund_of, key_bits, value_of
from ptofa_gpu.ops._rows import ROUND, mask_words, slot_numbers

#: How much smaller eps is in the next phase.
FINER = 4
#: Bids that a phase may take for each slot. Where a sample cannot be served prices rise without end.
BIDS = 24


@nb.njit
def _two_best(row, level, words, risk, offset, scale, held, key):
    """The best and the second best key of a customer's row, without the funds that the customer holds."""
    funds = row.size
    bits = key_bits(funds)
    last = (np.int64(1) << bits) - 1
    for f in range(funds):
        value = np.int64((np.float64(row[f]) * scale + ROUND) - ROUND + offset[f])
        key[f] = (value << bits) + (last - f) if level >= risk[f] else NONE
    if words.size:
        for f in range(funds):
            key[f] = key[f] if (words[f >> 6] >> np.uint64(f & 63)) & np.uint64(1) else NONE
    for j in range(held.size):
        if held[j] >= 0:
            key[held[j]] = NONE
    best = NONE
    for f in range(funds):
        best = max(best, key[f])
    second = NONE
    for f in range(funds):
        second = max(second, key[f] if key[f] < best else NONE)
    return best, second


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
def _phase(revenue, tolerance, risk, mask, slots, k, bonus, scale, quota, eps, price):
    """One phase from `price` (F,) int64 on, which is updated; whether everybody came to an end."""
    rows, funds = revenue.shape
    start = np.zeros(funds + 1, np.int64)
    for f in range(funds):
        start[f + 1] = start[f] + quota[f]
    bid, owner = np.empty(start[funds], np.int64), np.empty(start[funds], np.int32)
    filled, held = np.zeros(funds, np.int64), np.full((rows, k), -1, np.int16)
    offset, key = bonus - price.astype(np.float64), np.empty(funds, np.int64)
    waiting, no_mask = np.empty(rows * k, np.int32), np.empty(0, np.uint64)
    left = 0
    for u in range(rows - 1, -1, -1):
        for _ in range(np.int64(slots[u]) if slots.size else k):
            waiting[left] = u
            left += 1
    bids_left, bits = BIDS * left, key_bits(funds)
    while left > 0 and bids_left > 0:
        left -= 1
        bids_left -= 1
        u = waiting[left]
        own_mask = mask[u] if mask.shape[0] else no_mask
        best, second = _two_best(revenue[u], tolerance[u], own_mask, risk, offset, scale, held[u], key)
        if value_of(best, bits) <= 0:
            continue  # leaves the slot empty
        f = fund_of(best, bits)
        amount = price[f] + value_of(best, bits) - max(value_of(second, bits), 0) + eps
        if quota[f] == 0:
            price[f] = amount
            waiting[left] = u
            left += 1
        else:
            own_bid, own_owner = bid[start[f] : start[f + 1]], owner[start[f] : start[f + 1]]
            for j in range(k):
                if held[u, j] < 0:
                    held[u, j] = f
                    break
            if filled[f] < quota[f]:
                _push(own_bid, own_owner, filled[f], amount, u)
                filled[f] += 1
            else:
                out = own_owner[0]
                for j in range(k):
                    if held[out, j] == f:
                        held[out, j] = -1
                        break
                _replace(own_bid, own_owner, filled[f], amount, u)
                waiting[left] = out
                left += 1
            if filled[f] == quota[f]:
                price[f] = max(price[f], own_bid[0])
        offset[f] = bonus - np.float64(price[f])
    return left == 0


def auction_phase(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    slots: Any,
    k: int,
    bonus: float,
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
    bonus : float
        Added to every value, in whole units; an empty slot is worth 0.
    quota : (F,) int64
        Places in each fund.
    eps : int
        Units, at least 1: how far from their best choice customers may end.
    price : (F,) float64, whole

    Returns
    -------
    price : (F,) float64
        Not below what they were.
    ended : bool
        False where bids were stopped, because somebody has no place.
    """
    own = price.astype(np.int64)
    data = (revenue, tolerance, risk, mask_words(mask), slot_numbers(slots))
    ended = _phase(*data, k, bonus, scale, quota.astype(np.int64), np.int64(eps), own)
    return own.astype(np.float64), bool(ended)
