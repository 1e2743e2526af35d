"""Prices by an auction: customers bid for funds, and what nobody overbids is the price.

Every slot in turn bids for the fund that its customer likes best at the prices there are: as much above its price as it
is better than the next best, and eps more. A fund keeps the highest bids, as many as its quota, and throws the others
out; its price is the lowest bid it keeps. With no one left to bid, everyone's choice is within eps of their best one,
and eps becomes smaller, phase by phase (Bertsekas, *Math. Programming* 14, 1978 and *Annals of OR* 14, 1988; with
many places in each fund: Bertsekas and Castanon, *Annals of OR* 20, 1989).

That needs as many places as slots. Where quotas leave slots empty, being empty is a fund more, worth 0 and to be had
several times; where they have more places, strangers bid for these, to whom all funds are worth the same: the funds
that they end in are the cheapest, and those with room to spare.

It is sequential (kernels/cpu/auction.cpp), but a bid costs one look at a row. That makes it the way to prices where
there are few customers to a fund: Newton's method (`dual`) has no curvature to go by then, and the exchange too much to
move.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._entry import Entry
from ptofa_gpu.ops.largest import largest

#: How much smaller eps is in the next phase.
FINER = 4
#: Bids that a phase may take for each slot. Where a sample cannot be served prices rise without end.
BIDS = 24
#: Places looked at in one call, some more for what else a bid costs: less than 0.1 s, so that Ctrl-C is heard.
PLACES_A_CALL, PLACES_A_BID = 1 << 23, 128

_AUCTION = Entry(
    "auction",
    "in_f32 revenue; in_i8 tolerance; in_i8 risk; in_u64 mask; i64 words; i64 funds; f64 scale; i64 k; i64 places; "
    "in_i64 start; i64 eps; i64 captive; i64 highest; i64 bids; out_i64 price; out_i64 bid; out_i64 bidder; "
    "out_i64 filled; out_i16 held; out_i64 waiting; out_i64 tally",
)


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
    rows, funds = revenue.shape
    each = np.full(rows, k) if slots is None else slots.astype(np.int64)
    spare = int(each.sum()) - int(quota.sum())
    start = np.concatenate([[0], np.cumsum(np.append(quota, spare) if spare > 0 else quota, dtype=np.int64)])
    places = start.size - 1
    own = price[:places].astype(np.int64)
    # what is paid above the price for the only fund there is: as much as two funds can be apart
    _, most = largest(revenue, tolerance, risk, mask, slots, np.ones(funds, np.bool_))
    captive = 2 * round(float(most) * scale) + 1
    # the last are the first to bid: customers in their order, then strangers
    customers = np.repeat(np.arange(rows - 1, -1, -1), each[::-1])
    waiting = np.concatenate([np.full(max(0, -spare), -1), customers])
    tally = np.array([waiting.size, BIDS * waiting.size, 1])  # who wait, bids left, whether all found a place
    state = {
        "price": own, "bid": np.empty(start[-1], np.int64), "bidder": np.empty(start[-1], np.int64),
        "filled": np.zeros(places, np.int64), "held": np.full((rows, k), -1, np.int16), "waiting": waiting,
        "tally": tally,
    }  # fmt: skip
    while tally[:2].all():
        _AUCTION(
            revenue=revenue, tolerance=tolerance, risk=risk, mask=mask, words=0 if mask is None else mask.shape[1],
            funds=funds, scale=scale, k=k, places=places, start=start, eps=eps, captive=captive,
            highest=min(captive * (places + 2), 1 << 62), bids=PLACES_A_CALL // (PLACES_A_BID + places), **state,
        )  # fmt: skip
    out = price.copy()
    out[:places] = own
    return out, bool(tally[2]) and not tally[0]
