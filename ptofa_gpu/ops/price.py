"""The price pass: what every customer would take at given prices, and who is about to change their mind.

All values are whole numbers of *units* held in float64 (below 2^52 in size), so additions and comparisons are exact and
every device and thread count gives the same bits. A unit is 2^-shift of the currency.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import mask_words, may_see

#: Adding and subtracting it rounds a float64 below 2^51 in size to a whole number, halves to even.
ROUND = 1.5 * 2.0**52


@nb.njit(inline="always")
def units(value, scale):
    """`value` in units, rounded to a whole number."""
    return (np.float64(value) * scale + ROUND) - ROUND


@nb.njit
def _best(revenue, tolerance, risk, mask, offset, scale, u, floor, value, fund):
    """Fill `value` and `fund` with the customer's best reduced values above `floor`, ties by lower fund; how many."""
    n, size = 0, value.size
    for f in range(revenue.shape[1]):
        if may_see(tolerance, risk, mask, u, f):
            r = units(revenue[u, f], scale) + offset[f]
            if r <= floor or (n == size and r <= value[size - 1]):
                continue
            j = min(n, size - 1)
            while j > 0 and value[j - 1] < r:
                value[j], fund[j] = value[j - 1], fund[j - 1]
                j -= 1
            value[j], fund[j] = r, f
            n = min(n + 1, size)
    return n


@nb.njit(parallel=True, cache=True)
def _price_pass_one(revenue, tolerance, risk, mask, offset, scale, delta, first, stride, count, threads):
    """`_price_pass` for one slot a customer: the best and the second best are enough."""
    funds = revenue.shape[1]
    counts = np.zeros((threads, funds + 1), np.int64)
    swaps = np.zeros((threads, funds + 1, funds + 1), np.int64)
    high, low = np.zeros(threads, np.int64), np.zeros(threads, np.int64)
    for t in nb.prange(threads):
        h, w = np.int64(0), np.int64(0)
        for i in range(count * t // threads, count * (t + 1) // threads):
            u = first + i * stride
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
def _price_pass(revenue, tolerance, risk, mask, offset, scale, delta, k, first, stride, count, threads):
    funds = revenue.shape[1]
    counts = np.zeros((threads, funds + 1), np.int64)
    swaps = np.zeros((threads, funds + 1, funds + 1), np.int64)
    high, low = np.zeros(threads, np.int64), np.zeros(threads, np.int64)
    for t in nb.prange(threads):
        h, w = np.int64(0), np.int64(0)
        value, fund = np.empty(k + 1), np.empty(k + 1, np.int64)
        for i in range(count * t // threads, count * (t + 1) // threads):
            u = first + i * stride
            n = _best(revenue, tolerance, risk, mask, offset, scale, u, -np.inf, value, fund)
            taken = 0
            while taken < min(n, k) and value[taken] > 0.0:
                v = np.int64(value[taken])
                h += v >> 24
                w += v & 0xFFFFFF
                counts[t, fund[taken]] += 1
                taken += 1
            counts[t, funds] += k - taken
            # what a chosen fund would be given up for: the best not chosen, or nothing
            other, worth = funds, 0.0
            if taken < n and (taken < k or value[taken] > 0.0):
                if taken == k:
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
        Minus the price of each fund, in units.
    scale : float
        Units per currency, a power of two.
    delta : (F + 1, F + 1) float64
        A choice of a with the alternative b less than delta[a, b] units worse counts as a swap; F is the empty slot.
    k : int
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
    rows = revenue.shape[0]
    count = len(range(first, rows, stride))
    threads = max(1, min(nb.get_num_threads(), count // 1024))
    arguments = (revenue, tolerance, risk, mask_words(mask), offset, scale, delta)
    if k == 1:
        counts, swaps, high, low = _price_pass_one(*arguments, first, stride, count, threads)
    else:
        counts, swaps, high, low = _price_pass(*arguments, k, first, stride, count, threads)
    return counts.sum(0), swaps.sum(0), (int(high.sum()) << 24) + int(low.sum())


@nb.njit(parallel=True, cache=True)
def _choices(revenue, tolerance, risk, mask, offset, scale, k, first, stride, held, other, margin, value):
    rows, funds = held.shape[0], revenue.shape[1]
    for i in nb.prange(rows):
        u = first + i * stride
        best, fund = np.empty(k + 1), np.empty(k + 1, np.int64)
        n = _best(revenue, tolerance, risk, mask, offset, scale, u, -np.inf, best, fund)
        taken = 0
        while taken < min(n, k) and best[taken] > 0.0:
            taken += 1
        alternative, worth = funds, 0.0
        if taken == k and n > k and best[k] > 0.0:
            alternative, worth = fund[k], best[k]
        total = np.int64(0)
        for j in range(k):
            if j < taken:
                held[i, j], other[i, j], margin[i, j] = fund[j], alternative, best[j] - worth
                total += np.int64(best[j])
            elif j < n:
                held[i, j], other[i, j], margin[i, j] = funds, fund[j], -best[j]
            else:
                held[i, j], other[i, j], margin[i, j] = funds, funds, np.inf
        value[i] = total


def choices(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    k: int,
    first: int = 0,
    stride: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """What a sample of customers takes at these prices, slot by slot, and how close each choice is.

    Returns
    -------
    held, other : (n, K) int16
        The fund in each slot (F: empty) and the best alternative to it.
    margin : (n, K) float64
        By how many units the alternative is worse.
    value : int
        Sum of the reduced values taken, in units.
    """
    rows = len(range(first, revenue.shape[0], stride))
    held, other = np.empty((rows, k), np.int16), np.empty((rows, k), np.int16)
    margin, value = np.empty((rows, k)), np.empty(rows, np.int64)
    data = (revenue, tolerance, risk, mask_words(mask), offset, scale)
    _choices(*data, k, first, stride, held, other, margin, value)
    return held, other, margin, int((value >> 24).sum() << 24) + int((value & 0xFFFFFF).sum())


@nb.njit(parallel=True, cache=True)
def _take(revenue, tolerance, risk, mask, offset, scale, chosen, threads):
    rows, k = chosen.shape
    for t in nb.prange(threads):
        value = np.empty(k)
        fund = np.empty(k, np.int64)
        for u in range(rows * t // threads, rows * (t + 1) // threads):
            n = _best(revenue, tolerance, risk, mask, offset, scale, u, 0.0, value, fund)
            for j in range(k):
                chosen[u, j] = fund[j] if j < n else -1


def take(revenue: Any, tolerance: Any, risk: Any, mask: Any, offset: np.ndarray, scale: float, chosen: Any) -> None:
    """Write what every customer takes at these prices (see `price_pass`), (U, K) int16, equal values by lower index."""
    _take(revenue, tolerance, risk, mask_words(mask), offset, scale, chosen, nb.get_num_threads())


@nb.njit(parallel=True, cache=True)
def _swap_margins(revenue, tolerance, risk, mask, offset, scale, chosen, first, stride, count):
    margin = np.empty(count)
    funds, k = revenue.shape[1], chosen.shape[1]
    for i in nb.prange(count):
        u = first + i * stride
        margin[i] = _margin(revenue, tolerance, risk, mask, offset, scale, chosen, u, funds, k)
    return margin


@nb.njit(inline="always")
def _holds(chosen, u, f):
    held = False
    for j in range(chosen.shape[1]):
        held |= chosen[u, j] == f
    return held


@nb.njit
def _margin(revenue, tolerance, risk, mask, offset, scale, chosen, u, funds, k):
    """How far the customer's cheapest swap is from paying."""
    worst, best = np.inf, 0.0
    for j in range(k):
        if chosen[u, j] < 0:
            worst = min(worst, 0.0)
            best = -np.inf if best == 0.0 else best
    for f in range(funds):
        if may_see(tolerance, risk, mask, u, f):
            r = units(revenue[u, f], scale) + offset[f]
            if _holds(chosen, u, f):
                worst = min(worst, r)
            else:
                best = max(best, r)
    return worst - best


def swap_margins(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    chosen: Any,
    stride: int,
) -> np.ndarray:
    """Margin of every stride-th customer: what their cheapest swap would lose, in units."""
    count = len(range(0, revenue.shape[0], stride))
    return _swap_margins(revenue, tolerance, risk, mask_words(mask), offset, scale, chosen, 0, stride, count)


@nb.njit
def _row_swaps(revenue, tolerance, risk, mask, offset, scale, chosen, u, theta, arc, cost, row, at, write):
    """Count (or write from `at` on) the swaps of one customer that lose at most theta."""
    funds, k = revenue.shape[1], chosen.shape[1]
    size = funds + 1
    n = 0
    empty = False
    for j in range(k):
        a = chosen[u, j]
        if a < 0:
            if empty:
                continue  # one empty slot stands for all of the customer's
            empty = True
            held = 0.0
            a = funds
        else:
            held = units(revenue[u, a], scale) + offset[a]
            if held <= theta:  # give it up for nothing
                if write:
                    arc[at + n], cost[at + n], row[at + n] = a * size + funds, np.int64(held), u
                n += 1
        for b in range(funds):
            if may_see(tolerance, risk, mask, u, b) and not _holds(chosen, u, b):
                loss = held - (units(revenue[u, b], scale) + offset[b])
                if loss <= theta:
                    if write:
                        arc[at + n], cost[at + n], row[at + n] = a * size + b, np.int64(loss), u
                    n += 1
    return n


@nb.njit(parallel=True, cache=True)
def _count_swaps(revenue, tolerance, risk, mask, offset, scale, chosen, theta, chunk, close):
    """Mark the rows that have a swap, and count swaps by chunks of rows."""
    rows, funds = revenue.shape
    k = chosen.shape[1]
    chunks = (rows + chunk - 1) // chunk
    found = np.zeros(chunks, np.int64)
    for c in nb.prange(chunks):
        none = np.empty(0, np.int64)
        data = (revenue, tolerance, risk, mask, offset, scale, chosen)
        n = 0
        for u in range(c * chunk, min(rows, (c + 1) * chunk)):
            close[u] = _margin(*data, u, funds, k) <= theta
            if close[u]:
                n += _row_swaps(*data, u, theta, none, none, none, 0, False)
        found[c] = n
    return found


@nb.njit(parallel=True, cache=True)
def _write_swaps(revenue, tolerance, risk, mask, offset, scale, chosen, theta, chunk, close, found, arc, cost, row):
    rows = revenue.shape[0]
    for c in nb.prange(found.size):
        data = (revenue, tolerance, risk, mask, offset, scale, chosen)
        at = found[:c].sum()
        for u in range(c * chunk, min(rows, (c + 1) * chunk)):
            if close[u]:
                at += _row_swaps(*data, u, theta, arc, cost, row, at, True)


def collect_swaps(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    chosen: Any,
    theta: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every swap that loses at most theta units: a customer who holds a and could have b instead.

    Returns
    -------
    arc : (n,) int64
        a (F + 1) + b; F stands for an empty slot.
    cost : (n,) int64
        r_a - r_b in units, not negative where the plan is the best at these prices.
    row : (n,) int64
        The customer. In order of the rows, the same for any number of threads.
    """
    chunk = 8192
    close = np.zeros(revenue.shape[0], np.bool_)
    arguments = (revenue, tolerance, risk, mask_words(mask), offset, scale, chosen, theta, chunk, close)
    found = _count_swaps(*arguments)
    n = int(found.sum())
    arc, cost, row = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    _write_swaps(*arguments, found, arc, cost, row)
    return arc, cost, row
