"""The price pass: what every customer would take at given prices, and who is about to change their mind
(twin of kernels/price.cu).

All values are whole numbers of *units* held in float64 (below 2^52 in size), so additions and comparisons are exact and
every device and thread count gives the same bits. A unit is 2^-shift of the currency.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import best_funds, mask_words, may_see, slot_numbers, units


@nb.njit(parallel=True, cache=True)
def _price_pass_one(revenue, tolerance, risk, mask, offset, scale, delta, slots, first, stride, count, threads):
    """`_price_pass` for one slot a customer: the best and the second best are enough."""
    funds = revenue.shape[1]
    counts = np.zeros((threads, funds + 1), np.int64)
    swaps = np.zeros((threads, funds + 1, funds + 1), np.int64)
    high, low = np.zeros(threads, np.int64), np.zeros(threads, np.int64)
    for t in nb.prange(threads):
        h, w = np.int64(0), np.int64(0)
        for i in range(count * t // threads, count * (t + 1) // threads):
            u = first + i * stride
            if slots.size and slots[u] == 0:
                continue
            best, second = 0.0, -np.inf  # an empty slot is worth 0
            best_fund, second_fund = funds, funds
            for f in range(funds):
                if may_see(tolerance, risk, mask, u, f):
                    r = units(revenue[u, f], scale) + offset[f]
                    if r > best:
                        second, second_fund = best, best_fund
                        best, best_fund = r, f
                    elif r > second:
                        second, second_fund = r, f
            counts[t, best_fund] += 1
            if best - second < delta[best_fund, second_fund]:
                swaps[t, best_fund, second_fund] += 1
            v = np.int64(best)
            h += v >> 24
            w += v & 0xFFFFFF
        high[t], low[t] = h, w
    return counts, swaps, high, low


@nb.njit(parallel=True, cache=True)
def _price_pass(revenue, tolerance, risk, mask, offset, scale, delta, k, slots, first, stride, count, threads):
    funds = revenue.shape[1]
    counts = np.zeros((threads, funds + 1), np.int64)
    swaps = np.zeros((threads, funds + 1, funds + 1), np.int64)
    high, low = np.zeros(threads, np.int64), np.zeros(threads, np.int64)
    for t in nb.prange(threads):
        h, w = np.int64(0), np.int64(0)
        value, fund = np.empty(k + 1), np.empty(k + 1, np.int64)
        for i in range(count * t // threads, count * (t + 1) // threads):
            u = first + i * stride
            own = slots[u] if slots.size else k
            n = best_funds(revenue, tolerance, risk, mask, offset, scale, u, -np.inf, value, fund)
            taken = 0
            while taken < min(n, own) and value[taken] > 0.0:
                v = np.int64(value[taken])
                h += v >> 24
                w += v & 0xFFFFFF
                counts[t, fund[taken]] += 1
                taken += 1
            counts[t, funds] += own - taken
            # what a chosen fund would be given up for: the best not chosen, or nothing
            other, worth = funds, 0.0
            if taken < n and (taken < own or value[taken] > 0.0):
                if taken == own:
                    other, worth = fund[taken], value[taken]
                elif -value[taken] < delta[funds, fund[taken]]:
                    swaps[t, funds, fund[taken]] += 1
            for j in range(taken):
                if value[j] - worth < delta[fund[j], other]:
                    swaps[t, fund[j], other] += 1
        high[t], low[t] = h, w
    return counts, swaps, high, low


def price_pass(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    delta: np.ndarray,
    k: int,
    slots: Any = None,
    first: int = 0,
    stride: int = 1,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Let every customer take the K funds of highest reduced value r = units(E) + offset where r > 0.

    Parameters
    ----------
    revenue : (U, F) float32
    tolerance, risk, mask
        As in `score_and_pick`.
    offset : (F,) float64, whole
        Added to each fund's value, in units: minus its price (and the same bonus for all).
    scale : float
        Units per currency, a power of two.
    delta : (F + 1, F + 1) float64
        A choice of a with the alternative b less than delta[a, b] units worse counts as a swap; F is the empty slot.
    k : int
    slots : (U,) int8, optional
        How many funds each customer gets, 0 to K; without it K. A slot beyond that is neither taken nor left empty.
    first, stride : int
        Look only at the customers first, first + stride, ...

    Returns
    -------
    counts : (F + 1,) int64
        How often each fund is taken; last, slots left empty.
    swaps : (F + 1, F + 1) int64
        [a, b]: customers who hold a and would rather have b once r_a - r_b falls by delta[a, b].
    value : int
        Sum of the reduced values taken, in units; exact.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().price_pass(
            revenue, tolerance, risk, mask, offset, scale, delta, k, slots, first, stride
        )
    rows = revenue.shape[0]
    count = len(range(first, rows, stride))
    threads = max(1, min(nb.get_num_threads(), count // 1024))
    arguments = (revenue, tolerance, risk, mask_words(mask), offset, scale, delta)
    own = slot_numbers(slots)
    if k == 1:
        counts, swaps, high, low = _price_pass_one(*arguments, own, first, stride, count, threads)
    else:
        counts, swaps, high, low = _price_pass(*arguments, k, own, first, stride, count, threads)
    return counts.sum(0), swaps.sum(0), (int(high.sum()) << 24) + int(low.sum())
