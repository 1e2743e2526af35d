"""What every CPU twin shares: chunks of rows for the threads, eligibility of one pair, values as whole numbers."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

#: Rows a thread takes at a time. Results never depend on it: what is added across chunks is integer.
CHUNK = 8192

#: Stands for "no pair is excluded" where a kernel takes the (U, W) mask words.
NO_MASK = np.zeros((0, 1), np.uint64)

#: Stands for "every customer gets K funds" where a kernel takes the (U,) number of slots.
ALL_SLOTS = np.zeros(0, np.int8)

#: What `chosen` holds where there is no fund: an open slot that is empty, a slot the customer does not have.
EMPTY, CLOSED = -1, -2

#: Adding and subtracting it rounds a float64 below 2^51 in size to a whole number, halves to even.
ROUND = 1.5 * 2.0**52


def mask_words(mask: np.ndarray | None) -> np.ndarray:
    """The mask, or the empty array that means there is none."""
    return NO_MASK if mask is None else mask


def slot_numbers(slots: np.ndarray | None) -> np.ndarray:
    """Each customer's number of slots, or the empty array that means K for all."""
    return ALL_SLOTS if slots is None else slots


def every(first: int, stride: int, *arrays: Any) -> list[Any]:
    """The rows first, first + stride, ... of arrays, laid out and writeable as the whole is: for anything else Numba
    would compile its functions anew. None stays None."""
    out = []
    for array in arrays:
        part = array
        if array is not None and (first or stride > 1):
            part = np.ascontiguousarray(array[first::stride])
            if part.base is None:
                part.setflags(write=array.flags.writeable)
        out.append(part)
    return out


@nb.njit(inline="always")
def n_chunks(rows):
    """How many chunks cover `rows` rows."""
    return (rows + CHUNK - 1) // CHUNK


@nb.njit(inline="always")
def may_see(tolerance, risk, mask, u, f):
    """Whether customer u may see fund f."""
    if tolerance[u] < risk[f]:
        return False
    if mask.shape[0] == 0:
        return True
    return (mask[u, f >> 6] >> np.uint64(f & 63)) & np.uint64(1) != np.uint64(0)


@nb.njit(inline="always")
def fixed(value, scale):
    """`value` in fixed point: round(value x scale), halves to even, as int64."""
    return np.int64(np.rint(np.float64(value) * scale))


@nb.njit(inline="always")
def units(value, scale):
    """`value` in units, rounded to a whole number."""
    return (np.float64(value) * scale + ROUND) - ROUND


@nb.njit(inline="always")
def holds(chosen, u, f):
    """Whether customer u holds fund f (or, for EMPTY, an empty slot)."""
    held = False
    for j in range(chosen.shape[1]):
        held |= chosen[u, j] == f
    return held
