"""Keys of a customer's funds, for what is compiled by Numba: see kernels/rows/best.cuh."""

from __future__ import annotations

import numba as nb
import numpy as np

from ptofa_gpu.ops import _customers

#: The key of no fund.
NONE = np.int64(np.iinfo(np.int64).min)

key_bits = nb.njit(inline="always")(_customers.key_bits)


@nb.njit(inline="always")
def fund_of(key, bits):
    """The fund of a key."""
    return (np.int64(1) << bits) - 1 - (key & ((np.int64(1) << bits) - 1))


@nb.njit(inline="always")
def value_of(key, bits):
    """The reduced value of a key, in units."""
    return key >> bits
