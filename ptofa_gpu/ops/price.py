"""The price pass: what every customer would take at given prices, and who is about to change their mind
(twin of kernels/price.cu).

All values are whole numbers of *units* held in float64 (below 2^52 in size), so additions and comparisons are exact and
every device and thread count gives the same bits. A unit is 2^-shift of the currency.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._best import NONE, ROWS, best_keys, fund_of, key_bits, room, value_of
from ptofa_gpu.ops._rows import every, mask_words, slot_numbers


@nb.njit
def _count(best, slots, k, delta, counts, swaps, rows):
    """Add up what some customers take whose best keys are known; the value in two halves."""
    funds = counts.size - 1
    bits = key_bits(funds)
    high, low = np.int64(0), np.int64(0)
    for i in range(rows):
        own = np.int64(slots[i]) if slots.size else k
        if own == 0:
            continue
        taken = 0
        while taken < own and value_of(best[taken, i], bits) > 0:
            value = value_of(best[taken, i], bits)
            high += value >> 24
            low += value & 0xFFFFFF
            counts[fund_of(best[taken, i], bits)] += 1
            taken += 1
        counts[funds] += own - taken
        # what a chosen fund would be given up for: the best not chosen, or nothing
        other, worth = funds, np.int64(0)
        if best[taken, i] != NONE:
            fund, value = fund_of(best[taken, i], bits), value_of(best[taken, i], bits)
            if taken < own:
                swaps[funds, fund] += -value < delta[funds, fund]
            elif value > 0:
                other, worth = fund, value
        for j in range(taken):
            fund = fund_of(best[j, i], bits)
            swaps[fund, other] += value_of(best[j, i], bits) - worth < delta[fund, other]
    return high, low


@nb.njit
def _price_rows(revenue, tolerance, risk, mask, offset, scale, delta, k, slots, counts, swaps):
    rows, funds = revenue.shape
    scratch = room(funds, k + 1)
    high, low = np.int64(0), np.int64(0)
    for lo in range(0, rows, ROWS):
        hi = min(rows, lo + ROWS)
        best_keys(revenue[lo:hi], tolerance[lo:hi], risk, mask[lo:hi], offset, scale, *scratch)
        h, w = _count(scratch[0], slots[lo:hi], k, delta, counts, swaps, hi - lo)
        high += h
        low += w
    return high, low


@nb.njit(parallel=True, cache=True)
def _price_pass(revenue, tolerance, risk, mask, offset, scale, delta, k, slots, threads):
    rows, funds = revenue.shape
    counts = np.zeros((threads, funds + 1), np.int64)
    swaps = np.zeros((threads, funds + 1, funds + 1), np.int64)
    high, low = np.zeros(threads, np.int64), np.zeros(threads, np.int64)
    for t in nb.prange(threads):
        lo, hi = rows * t // threads, rows * (t + 1) // threads
        own_counts, own_swaps = np.zeros(funds + 1, np.int64), np.zeros((funds + 1, funds + 1), np.int64)
        part = (revenue[lo:hi], tolerance[lo:hi], risk, mask[lo:hi], offset, scale, delta, k, slots[lo:hi])
        high[t], low[t] = _price_rows(*part, own_counts, own_swaps)
        counts[t], swaps[t] = own_counts, own_swaps
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
    revenue, tolerance, mask, slots = every(first, stride, revenue, tolerance, mask, slots)
    threads = max(1, min(nb.get_num_threads(), revenue.shape[0] // 1024))
    data = (revenue, tolerance, risk, mask_words(mask), offset, scale)
    counts, swaps, high, low = _price_pass(*data, delta, k, slot_numbers(slots), threads)
    return counts.sum(0), swaps.sum(0), (int(high.sum()) << 24) + int(low.sum())
