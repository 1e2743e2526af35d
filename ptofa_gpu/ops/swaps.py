"""Swaps: what a customer would lose by giving up one fund for another, and who is near to one
(twin of kernels/swaps.cu).

A swap gives up a fund, or an empty slot, for a fund the customer does not hold, or a fund for an empty slot. Where
every customer holds what they like best at the given prices no swap gains.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.device import array_namespace, is_cuda_array
from ptofa_gpu.ops._best import NONE, ROWS, best_keys, fund_of, key_bits, room, value_of
from ptofa_gpu.ops._rows import CHUNK, CLOSED, EMPTY, every, holds, mask_words, may_see, n_chunks, units

#: Bytes of E that are copied at a time.
COPIED = 1 << 22


@nb.njit
def _margins(revenue, offset, scale, chosen, best, out):
    """What the cheapest swap of some customers loses whose K + 1 best keys are known; infinite where there is none."""
    bits = key_bits(revenue.shape[1])
    for i in range(chosen.shape[0]):
        given, has_empty = np.inf, False  # the cheapest fund held
        for j in range(chosen.shape[1]):
            f = chosen[i, j]
            if f >= 0:
                given = min(given, units(revenue[i, f], scale) + offset[f])
            has_empty |= f == EMPTY
        got = -np.inf  # the best one not held
        for j in range(best.shape[0]):
            key = best[j, i]
            if key == NONE or not holds(chosen, i, fund_of(key, bits)):
                if key != NONE:
                    got = np.float64(value_of(key, bits))
                break
        if has_empty:  # worth 0, and nothing may be put in place of it
            out[i] = min(min(given, 0.0) - got, given)
        else:
            out[i] = given - max(got, 0.0)


@nb.njit
def _margins_of(revenue, tolerance, risk, mask, offset, scale, chosen, scratch, out):
    best_keys(revenue, tolerance, risk, mask, offset, scale, *scratch)
    _margins(revenue, offset, scale, chosen, scratch[0], out)


@nb.njit(parallel=True, cache=True)
def _swap_margins(revenue, tolerance, risk, mask, offset, scale, chosen, margin):
    rows, funds = revenue.shape
    for c in nb.prange(n_chunks(rows)):
        scratch = room(funds, chosen.shape[1] + 1)
        for lo in range(c * CHUNK, min(rows, (c + 1) * CHUNK), ROWS):
            hi = min(rows, (c + 1) * CHUNK, lo + ROWS)
            part = (revenue[lo:hi], tolerance[lo:hi], risk, mask[lo:hi], offset, scale, chosen[lo:hi])
            _margins_of(*part, scratch, margin[lo:hi])


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
    """What the cheapest swap of every stride-th customer would lose.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale
        As in `price_pass`.
    chosen : (U, K) int16
        The allocation; -1 in an empty slot, -2 in a slot that the customer does not have.
    stride : int

    Returns
    -------
    (n,) float64, units; infinite where there is no swap.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().swap_margins(revenue, tolerance, risk, mask, offset, scale, chosen, stride)
    rows, funds = revenue.shape
    margin = np.empty(-(-rows // stride))
    step = max(1, COPIED // (4 * funds) if stride > 1 else rows)  # nothing is copied where all are looked at
    for at in range(0, margin.size, step):
        out, here = margin[at : at + step], slice(at * stride, (at + step) * stride)
        arrays = revenue[here], tolerance[here], None if mask is None else mask[here], chosen[here]
        some, able, allowed, has = every(0, stride, *arrays)
        _swap_margins(some, able, risk, mask_words(allowed), offset, scale, has, out)
    return margin


@nb.njit(parallel=True, cache=True)
def _count_near(revenue, tolerance, risk, mask, offset, scale, chosen, theta, near):
    rows, funds = revenue.shape
    found = np.zeros(n_chunks(rows), np.int64)
    for c in nb.prange(found.size):
        scratch, margin = room(funds, chosen.shape[1] + 1), np.empty(ROWS)
        n = 0
        for lo in range(c * CHUNK, min(rows, (c + 1) * CHUNK), ROWS):
            hi = min(rows, (c + 1) * CHUNK, lo + ROWS)
            part = (revenue[lo:hi], tolerance[lo:hi], risk, mask[lo:hi], offset, scale, chosen[lo:hi])
            _margins_of(*part, scratch, margin)
            for i in range(hi - lo):
                near[lo + i] = margin[i] <= theta
                n += margin[i] <= theta
        found[c] = n
    return found


@nb.njit(parallel=True, cache=True)
def _write_near(near, found, out):
    for c in nb.prange(found.size):
        at = found[:c].sum()
        for u in range(c * CHUNK, min(near.size, (c + 1) * CHUNK)):
            if near[u]:
                out[at] = u
                at += 1


def near_rows(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    chosen: Any,
    theta: float,
) -> Any:
    """The customers whose cheapest swap loses at most `theta`: those an exchange of that reach has to do with.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale, chosen
        As in `swap_margins`.
    theta : float
        Units; infinite for all customers.

    Returns
    -------
    (n,) int64, rising, on the device where the data are; for `gather` and `scatter`.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().near_rows(revenue, tolerance, risk, mask, offset, scale, chosen, theta)
    near = np.empty(revenue.shape[0], np.bool_)
    found = _count_near(revenue, tolerance, risk, mask_words(mask), offset, scale, chosen, theta, near)
    out = np.empty(int(found.sum()), np.int64)
    _write_near(near, found, out)
    return out


def holders(chosen: Any, funds: np.ndarray, n_funds: int) -> Any:
    """The customers who hold one of some funds; fund F stands for an empty slot.

    Returns
    -------
    (n,) int64, rising, on the device where `chosen` is.
    """
    xp = array_namespace(chosen)
    wanted = xp.zeros(n_funds + 2, xp.bool_)
    wanted[xp.asarray(np.where(funds == n_funds, EMPTY, funds))] = True  # from the end: EMPTY, before it CLOSED
    return xp.flatnonzero(wanted[chosen].any(axis=1))


def gather(array: Any, rows: Any) -> np.ndarray:
    """The rows `rows` of an array as a NumPy array: taken out on the device where `array` is, then copied."""
    if is_cuda_array(array):
        from ptofa_gpu._lazy import require

        cupy = require("cupy", "data on a GPU")
        return cupy.take(array, cupy.asarray(rows), axis=0).get()
    return array[rows]


def scatter(array: Any, rows: Any, values: np.ndarray) -> None:
    """Write a NumPy array into the rows `rows` of `array`, on the device where that is."""
    if is_cuda_array(array):
        from ptofa_gpu._lazy import require

        cupy = require("cupy", "data on a GPU")
        array[cupy.asarray(rows)] = cupy.asarray(values)
        return
    array[rows] = values


@nb.njit
def _row_swaps(revenue, tolerance, risk, mask, offset, scale, chosen, u, theta, arc, cost, row, at, write):
    """Count (or write from `at` on) the swaps of one customer that lose at most theta."""
    funds, k = revenue.shape[1], chosen.shape[1]
    size = funds + 1
    n = 0
    empty = False
    for j in range(k):
        a = chosen[u, j]
        if a == CLOSED or (a == EMPTY and empty):
            continue  # one empty slot stands for all of the customer's
        if a == EMPTY:
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
            loss = held - (units(revenue[u, b], scale) + offset[b])
            if loss <= theta and may_see(tolerance, risk, mask, u, b) and not holds(chosen, u, b):
                if write:
                    arc[at + n], cost[at + n], row[at + n] = a * size + b, np.int64(loss), u
                n += 1
    return n


@nb.njit(parallel=True, cache=True)
def _count_swaps(revenue, tolerance, risk, mask, offset, scale, chosen, theta):
    """The swaps of the customers in each chunk of rows."""
    rows = revenue.shape[0]
    found = np.zeros(n_chunks(rows), np.int64)
    for c in nb.prange(found.size):
        none, no_cost = np.empty(0, np.int32), np.empty(0, np.int64)
        data = (revenue, tolerance, risk, mask, offset, scale, chosen)
        n = 0
        for u in range(c * CHUNK, min(rows, (c + 1) * CHUNK)):
            n += _row_swaps(*data, u, theta, none, no_cost, none, 0, False)
        found[c] = n
    return found


@nb.njit(parallel=True, cache=True)
def _write_swaps(revenue, tolerance, risk, mask, offset, scale, chosen, theta, found, arc, cost, row):
    rows = revenue.shape[0]
    for c in nb.prange(found.size):
        data = (revenue, tolerance, risk, mask, offset, scale, chosen)
        at = found[:c].sum()
        for u in range(c * CHUNK, min(rows, (c + 1) * CHUNK)):
            at += _row_swaps(*data, u, theta, arc, cost, row, at, True)


def collect_swaps(
    revenue: np.ndarray,
    tolerance: np.ndarray,
    risk: np.ndarray,
    mask: np.ndarray | None,
    offset: np.ndarray,
    scale: float,
    chosen: np.ndarray,
    theta: float,
    most: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Every swap that loses at most theta units: a customer who holds a and could have b instead. On the CPU only.

    With more than `most` of them it returns None, before it takes memory for them.

    Returns
    -------
    arc : (n,) int32
        a (F + 1) + b; F stands for an empty slot.
    cost : (n,) int64
        r_a - r_b in units, not negative where the plan is the best at these prices.
    row : (n,) int32
        The customer. In order of the rows, the same for any number of threads.
    """
    arguments = (revenue, tolerance, risk, mask_words(mask), offset, scale, chosen, theta)
    found = _count_swaps(*arguments)
    n = int(found.sum())
    if most is not None and n > most:
        return None
    arc, cost, row = np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int32)
    _write_swaps(*arguments, found, arc, cost, row)
    return arc, cost, row
