"""What every CPU twin shares: chunks of rows for the threads, eligibility of one pair, keys that order like numbers."""

from __future__ import annotations

import numba as nb
import numpy as np

#: Rows a thread takes at a time. Results never depend on it: what is added across chunks is integer.
CHUNK = 8192

#: Stands for "no pair is excluded" where a kernel takes the (U, W) mask words.
NO_MASK = np.zeros((0, 1), np.uint64)


def mask_words(mask: np.ndarray | None) -> np.ndarray:
    """The mask, or the empty array that means there is none."""
    return NO_MASK if mask is None else mask


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
