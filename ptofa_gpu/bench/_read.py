"""One pass over E by all threads, as little as can be done with every value: the measure of all other passes."""

from __future__ import annotations

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CHUNK, n_chunks


@nb.njit(parallel=True, cache=True)
def largest_bits(bits):
    """The bits (N,) uint32 of float32 values -> those of the largest |value|; of a NaN or inf if there is one."""
    rows = bits.shape[0]
    chunks = n_chunks(rows)
    largest = np.zeros(chunks, np.uint32)
    for c in nb.prange(chunks):
        top = np.uint32(0)
        for i in range(c * CHUNK, min(rows, (c + 1) * CHUNK)):
            top = max(top, bits[i] & np.uint32(0x7FFFFFFF))
        largest[c] = top
    return largest.max()
