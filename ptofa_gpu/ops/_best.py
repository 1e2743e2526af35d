"""Every customer's best funds at given prices, for the CPU twins.

A fund's reduced value and its number are one integer, a *key*: larger is better, equal values by lower fund, and no
two funds of a customer have the same. So the best of a row are plain maxima, which compilers turn into vector code: of
few funds, for many customers side by side; of many funds, within a customer's row.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import ROUND

#: Customers looked at together.
ROWS = 128
#: With no more funds than this, customers stand side by side.
FEW_FUNDS = 32
#: The key of no fund.
NONE = np.int64(np.iinfo(np.int64).min)


@nb.njit(inline="always")
def key_bits(funds):
    """Bits of a key that hold the fund: 11 for up to 2,047 of them. Values must be below 2^(62 - bits) in size."""
    return np.int64(11) if funds < 2048 else np.int64(15)


@nb.njit(inline="always")
def fund_of(key, bits):
    """The fund of a key."""
    return (np.int64(1) << bits) - 1 - (key & ((np.int64(1) << bits) - 1))


@nb.njit(inline="always")
def value_of(key, bits):
    """The reduced value of a key, in units."""
    return key >> bits


@nb.njit
def room(funds, wanted):
    """Scratch memory for `best_keys`: the best keys, a row of keys, a column of revenue."""
    return np.empty((wanted, ROWS), np.int64), np.empty(max(funds, ROWS), np.int64), np.empty(ROWS, np.float32)


# Numba takes indices for possibly negative unless they count from 0: so blocks come as slices, and loops start at 0.
@nb.njit
def _side_by_side(revenue, tolerance, risk, mask, offset, scale, best, key, column):
    rows, funds = revenue.shape
    wanted = best.shape[0]
    bits = key_bits(funds)
    for j in range(wanted):
        for i in range(rows):
            best[j, i] = NONE
    for f in range(funds):
        for i in range(rows):
            column[i] = revenue[i, f]
        own, level, low = offset[f], risk[f], (np.int64(1) << bits) - 1 - f
        for i in range(rows):
            value = np.int64((np.float64(column[i]) * scale + ROUND) - ROUND + own)
            key[i] = (value << bits) + low if tolerance[i] >= level else NONE
        if mask.shape[0] > 0:
            word, bit = f >> 6, np.uint64(f & 63)
            for i in range(rows):
                key[i] = key[i] if (mask[i, word] >> bit) & np.uint64(1) else NONE
        for j in range(wanted - 1):
            for i in range(rows):
                before, new = best[j, i], key[i]
                best[j, i] = max(before, new)
                key[i] = min(before, new)
        for i in range(rows):
            best[wanted - 1, i] = max(best[wanted - 1, i], key[i])


@nb.njit
def _row_by_row(revenue, tolerance, risk, mask, offset, scale, best, key):
    rows, funds = revenue.shape
    bits = key_bits(funds)
    last = (np.int64(1) << bits) - 1
    for i in range(rows):
        level = tolerance[i]
        top = NONE
        for f in range(funds):
            value = np.int64((np.float64(revenue[i, f]) * scale + ROUND) - ROUND + offset[f])
            own = (value << bits) + (last - f) if level >= risk[f] else NONE
            key[f] = own
            top = max(top, own)
        if mask.shape[0] > 0:
            top = NONE
            for f in range(funds):
                key[f] = key[f] if (mask[i, f >> 6] >> np.uint64(f & 63)) & np.uint64(1) else NONE
                top = max(top, key[f])
        best[0, i] = top
        for j in range(1, best.shape[0]):
            before, top = top, NONE
            for f in range(funds):
                top = max(top, key[f] if key[f] < before else NONE)
            best[j, i] = top


@nb.njit
def best_keys(revenue, tolerance, risk, mask, offset, scale, best, key, column):
    """Write the best keys of up to `ROWS` customers: best[j, i] is the j-th best of customer i, NONE if there is none.

    The last three arguments come from `room`.
    """
    if revenue.shape[1] <= FEW_FUNDS:
        _side_by_side(revenue, tolerance, risk, mask, offset, scale, best, key, column)
    else:
        _row_by_row(revenue, tolerance, risk, mask, offset, scale, best, key)
