"""Which funds customers take at given prices, and how close each choice is (twin of kernels/choices.cu)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._best import NONE, ROWS, best_keys, fund_of, key_bits, room, value_of
from ptofa_gpu.ops._rows import CHUNK, CLOSED, EMPTY, every, mask_words, n_chunks, slot_numbers


@nb.njit
def _write_choices(best, slots, k, funds, held, other, margin, value):
    """What some customers take whose best keys are known."""
    bits = key_bits(funds)
    for i in range(held.shape[0]):
        own = np.int64(slots[i]) if slots.size else k
        taken = 0
        while taken < own and value_of(best[taken, i], bits) > 0:
            taken += 1
        alternative, worth = funds, np.int64(0)
        if taken == own and value_of(best[own, i], bits) > 0:
            alternative, worth = fund_of(best[own, i], bits), value_of(best[own, i], bits)
        total = np.int64(0)
        for j in range(k):
            fund, own_value = fund_of(best[j, i], bits), value_of(best[j, i], bits)
            if j < taken:
                held[i, j], other[i, j], margin[i, j] = fund, alternative, own_value - worth
                total += own_value
            elif j < own and best[j, i] != NONE:
                held[i, j], other[i, j], margin[i, j] = funds, fund, -own_value
            else:
                held[i, j], other[i, j], margin[i, j] = funds, funds, np.inf
        value[i] = total


@nb.njit(parallel=True, cache=True)
def _choices(revenue, tolerance, risk, mask, offset, scale, k, slots, held, other, margin, value):
    rows, funds = revenue.shape
    for c in nb.prange(n_chunks(rows)):
        scratch = room(funds, k + 1)
        for lo in range(c * CHUNK, min(rows, (c + 1) * CHUNK), ROWS):
            hi = min(rows, (c + 1) * CHUNK, lo + ROWS)
            best_keys(revenue[lo:hi], tolerance[lo:hi], risk, mask[lo:hi], offset, scale, *scratch)
            out = (held[lo:hi], other[lo:hi], margin[lo:hi], value[lo:hi])
            _write_choices(scratch[0], slots[lo:hi], k, funds, *out)


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
    """What customers take at these prices, slot by slot, and how close each choice is.

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
    revenue, tolerance, mask, slots = every(first, stride, revenue, tolerance, mask, slots)
    rows = revenue.shape[0]
    held, other = np.empty((rows, k), np.int16), np.empty((rows, k), np.int16)
    margin, value = np.empty((rows, k)), np.empty(rows, np.int64)
    data = (revenue, tolerance, risk, mask_words(mask), offset, scale)
    _choices(*data, k, slot_numbers(slots), held, other, margin, value)
    return held, other, margin, exact_sum(value)


def exact_sum(value: np.ndarray) -> int:
    """Sum of an int64 array that may not fit in int64 itself."""
    return (int((value >> 24).sum()) << 24) + int((value & 0xFFFFFF).sum())


@nb.njit
def _write_taken(best, slots, funds, chosen):
    bits = key_bits(funds)
    for i in range(chosen.shape[0]):
        own = np.int64(slots[i]) if slots.size else chosen.shape[1]
        for j in range(chosen.shape[1]):
            fund = fund_of(best[j, i], bits) if value_of(best[j, i], bits) > 0 else EMPTY
            chosen[i, j] = fund if j < own else CLOSED


@nb.njit(parallel=True, cache=True)
def _take(revenue, tolerance, risk, mask, offset, scale, slots, chosen):
    rows, funds = revenue.shape
    for c in nb.prange(n_chunks(rows)):
        scratch = room(funds, chosen.shape[1])
        for lo in range(c * CHUNK, min(rows, (c + 1) * CHUNK), ROWS):
            hi = min(rows, (c + 1) * CHUNK, lo + ROWS)
            best_keys(revenue[lo:hi], tolerance[lo:hi], risk, mask[lo:hi], offset, scale, *scratch)
            _write_taken(scratch[0], slots[lo:hi], funds, chosen[lo:hi])


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
    _take(revenue, tolerance, risk, mask_words(mask), offset, scale, slot_numbers(slots), chosen)
