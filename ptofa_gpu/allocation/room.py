"""How much an exchange may have at hand, so that with all else it keeps to `memory.customer_bytes` a customer, and
memory that goes back to the system when it is not wanted any more.

Both bounds depend on the size of the problem alone: what is at hand decides which of several best plans comes out, and
that must not depend on where E lies or how much memory there is.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy as np

#: Bytes a customer that copied rows of E may take; they may take so many in any case.
ROWS_EACH, ROWS_BYTES = 8, 1 << 20
#: Bytes a customer that swaps may take; and so many more in any case, and for each pair of funds: for the first pairs,
#: or for one in so many of all.
CUSTOMER_EACH, SWAPS, ARC_SWAPS, MOST_ARCS, ONE_IN = 16, 1 << 20, 224, 1 << 16, 4


def most_rows(rows: int, funds: int) -> int:
    """Customers whose revenue may be copied."""
    return max(ROWS_EACH * rows, ROWS_BYTES) // (4 * funds)


def swap_bytes(rows: int, funds: int) -> int:
    """Bytes that swaps may take which are at hand."""
    arcs = (funds + 1) ** 2
    return CUSTOMER_EACH * rows + SWAPS + ARC_SWAPS * max(min(arcs, MOST_ARCS), arcs // ONE_IN)


def fresh(n: int, dtype: Any) -> np.ndarray:
    """(n,) of zeros that take no memory until they are written to, and none any more when they have gone.

    What `numpy` sets aside it may leave to the C library, which need not give it back.
    """
    size = n * np.dtype(dtype).itemsize
    try:
        pages = mmap.mmap(-1, max(size, 1))
    except OSError as e:
        raise MemoryError(f"{size:,} bytes for swaps are not to be had: {e}") from e
    return np.frombuffer(pages, np.uint8, size).view(dtype)


def give_back() -> None:
    """Give memory that was freed back to the system.

    The GNU C library keeps tens of MB of it at hand, in pieces, and what comes next may not fit into them. Elsewhere
    this does nothing.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
