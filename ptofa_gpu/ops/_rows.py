"""What a plan holds where there is no fund, and every n-th row of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

#: What `chosen` holds where there is no fund: an open slot that is empty, a slot the customer does not have.
EMPTY, CLOSED = -1, -2


def every(first: int, stride: int, *arrays: Any) -> list[Any]:
    """The rows first, first + stride, ... of arrays, contiguous. None stays None."""
    if not first and stride == 1:
        return list(arrays)
    return [None if array is None else np.ascontiguousarray(array[first::stride]) for array in arrays]
