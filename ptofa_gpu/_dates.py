"""Dates and timestamps as numbers: an instant gives the same one whatever library, type or unit it comes in."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu._columns import ColumnError

_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def is_date(kind: Any) -> bool:
    """Whether an Arrow type is a date or a timestamp."""
    import pyarrow.types as pt

    return bool(pt.is_date(kind) or pt.is_timestamp(kind))


def days(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """An Arrow column of dates or timestamps as days since 1970-01-01; one with a time zone is taken in UTC.

    Returns
    -------
    day : (N,) int64
        Whole days; 0 where missing.
    part : (N,) float64
        What of that day has passed, in [0, 1); NaN where missing.
    """
    import pyarrow as pa
    import pyarrow.types as pt

    kind = column.type
    if pt.is_null(kind):
        return np.zeros(len(column), np.int64), np.full(len(column), np.nan)
    if not is_date(kind):
        raise ColumnError(f"has type {kind}; it needs dates or timestamps")
    per_day = 1 if pt.is_date32(kind) else _PER_DAY["ms" if pt.is_date64(kind) else kind.unit]
    missing = column.is_null().to_numpy(zero_copy_only=False)
    number = column.cast(pa.int32() if pt.is_date32(kind) else pa.int64())
    number = number.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    # whole days first: what is left is exact in float64, so that units do not differ in a last bit
    day = number // per_day
    return day, np.where(missing, np.nan, (number - day * per_day) / per_day)
