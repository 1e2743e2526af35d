"""How much an exchange may have at hand, so that with all else it keeps to `memory.customer_bytes` a customer.

Both bounds depend on the size of the problem alone: what is at hand decides which of several best plans comes out, and
that must not depend on where E lies or how much memory there is.
"""

from __future__ import annotations

from ptofa_gpu.allocation._heaps import ENTRY

#: Bytes a customer that copied rows of E may take; they may take so many in any case.
ROWS_EACH, ROWS_BYTES = 8, 1 << 20
#: Bytes a customer, and a slot, that swaps may take; and so many more in any case, and for each pair of funds.
CUSTOMER_EACH, SLOT_EACH, SWAPS, ARC_SWAPS = 17, 5, 1 << 17, 4


def most_rows(rows: int, funds: int) -> int:
    """Customers whose revenue may be copied."""
    return max(ROWS_EACH * rows, ROWS_BYTES) // (4 * funds)


def most_swaps(rows: int, k: int, funds: int) -> int:
    """Swaps that may be at hand."""
    each = (CUSTOMER_EACH + SLOT_EACH * k) * rows // ENTRY.itemsize
    return each + SWAPS + ARC_SWAPS * (funds + 1) ** 2
