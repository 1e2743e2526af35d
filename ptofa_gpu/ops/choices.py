"""Which funds customers take at given prices; of a sample, how close each choice is (twin of kernels/choices.cu)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CLOSED, EMPTY, best_funds, mask_words, slot_numbers


@nb.njit(parallel=True, cache=True)
def _choices(revenue, tolerance, risk, mask, offset, scale, k, slots, first, stride, held, other, margin, value):
    rows, funds = held.shape[0], revenue.shape[1]
    for i in nb.prange(rows):
        u = first + i * stride
        own = slots[u] if slots.size else k
        best, fund = np.empty(k + 1), np.empty(k + 1, np.int64)
        n = best_funds(revenue, tolerance, risk, mask, offset, scale, u, -np.inf, best, fund)
        taken = 0
        while taken < min(n, own) and best[taken] > 0.0:
            taken += 1
        alternative, worth = funds, 0.0
        if taken == own and n > own and best[own] > 0.0:
            alternative, worth = fund[own], best[own]
        total = np.int64(0)
        for j in range(k):
            if j < taken:
                held[i, j], other[i, j], margin[i, j] = fund[j], alternative, best[j] - worth
                total += np.int64(best[j])
            elif j < min(n, own):
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
    slots: Any = None,
    first: int = 0,
    stride: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """What a sample of customers takes at these prices, slot by slot, and how close each choice is.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale, k, slots, first, stride
        As in `price_pass`.

    Returns
    -------
    held, other : (n, K) int16
        The fund in each slot (F: empty, or a slot that the customer does not have) and the best alternative to it.
    margin : (n, K) float64
        By how many units the alternative is worse; infinite where there is none.
    value : int
        Sum of the reduced values taken, in units.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().choices(revenue, tolerance, risk, mask, offset, scale, k, slots, first, stride)
    rows = len(range(first, revenue.shape[0], stride))
    held, other = np.empty((rows, k), np.int16), np.empty((rows, k), np.int16)
    margin, value = np.empty((rows, k)), np.empty(rows, np.int64)
    data = (revenue, tolerance, risk, mask_words(mask), offset, scale)
    _choices(*data, k, slot_numbers(slots), first, stride, held, other, margin, value)
    return held, other, margin, exact_sum(value)


def exact_sum(value: np.ndarray) -> int:
    """Sum of an int64 array that may not fit in int64 itself."""
    return (int((value >> 24).sum()) << 24) + int((value & 0xFFFFFF).sum())


@nb.njit(parallel=True, cache=True)
def _take(revenue, tolerance, risk, mask, offset, scale, chosen, slots, threads):
    rows, k = chosen.shape
    for t in nb.prange(threads):
        value = np.empty(k)
        fund = np.empty(k, np.int64)
        for u in range(rows * t // threads, rows * (t + 1) // threads):
            own = slots[u] if slots.size else k
            n = best_funds(revenue, tolerance, risk, mask, offset, scale, u, 0.0, value, fund)
            for j in range(k):
                chosen[u, j] = CLOSED if j >= own else fund[j] if j < n else EMPTY


def take(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    chosen: Any,
    slots: Any = None,
) -> None:
    """Write what every customer takes at these prices (see `price_pass`).

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale, slots
        As in `price_pass`.
    chosen : (U, K) int16, written
        The funds, best first, equal values by lower index; -1 in a slot left empty, -2 in one the customer does not
        have.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        _kernels.device_module().take(revenue, tolerance, risk, mask, offset, scale, chosen, slots)
        return
    _take(
        revenue,
        tolerance,
        risk,
        mask_words(mask),
        offset,
        scale,
        chosen,
        slot_numbers(slots),
        nb.get_num_threads(),
    )
