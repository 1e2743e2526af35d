"""The one form in which ids of all types compare: what cannot be read exactly is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._columns import ColumnError, arrow_of, decoded, is_bytes, is_machine_number, is_text, values_of

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow as pa

WHOLE, TEXT, UUIDS, BYTES = "whole numbers", "text", "UUIDs", "bytes"
TIMES, ZONED = "dates or times without a time zone", "times with a time zone"
#: Floating-point numbers from here on stand for several whole numbers each: pandas makes floats of integers where one
#: is missing.
_EXACT = {2: 2**11, 4: 2**24, 8: 2**53}


def canonical(series: nw.Series[Any]) -> tuple[str, Any, np.ndarray | None]:
    """Kind, keys and missing rows of a column."""
    if is_machine_number(series):
        values = values_of(series)
        if values.dtype.kind in "iu":
            return WHOLE, _narrow(values), None
    import pyarrow as pa
    import pyarrow.types as pt

    array = decoded(arrow_of(series))
    kind = array.type
    if pt.is_floating(kind):
        return _from_floats(array)
    missing = np.array(array.is_null().to_pylist(), bool) if array.null_count else None
    if pt.is_null(kind) or (missing is not None and missing.all()):
        return "", pa.nulls(len(array), pa.large_string()), missing
    if pt.is_integer(kind):
        return WHOLE, _narrow(np.from_dlpack(array.fill_null(0))), missing
    if pt.is_decimal(kind):
        return WHOLE, _from_decimals(array), missing
    if is_text(kind):
        return TEXT, array.cast(pa.large_string()), missing
    if kind == pa.uuid():
        return UUIDS, array.storage.cast(pa.large_binary()), missing
    if is_bytes(kind):
        return BYTES, array.cast(pa.large_binary()), missing
    if pt.is_date(kind) or pt.is_timestamp(kind):
        return _from_times(array, missing)
    if pt.is_boolean(kind):
        raise ColumnError("holds true and false; ids are whole numbers or text")
    raise ColumnError(f"has type {kind}; ids are whole numbers, text, UUIDs, bytes, or dates and times")


def _narrow(values: np.ndarray) -> np.ndarray:
    """As int64 where they fit, else uint64."""
    if values.dtype == np.uint64:
        beyond = values.size and values.max() > np.iinfo(np.int64).max
        return values if beyond else values.view(np.int64)
    return values.astype(np.int64, copy=False)


def _from_floats(array: pa.Array) -> tuple[str, Any, np.ndarray | None]:
    import pyarrow as pa

    limit = _EXACT[array.type.bit_width // 8]
    values = np.asarray(array.to_numpy(zero_copy_only=False), np.float64)
    missing = np.isnan(values)
    values = np.where(missing, 0, values)
    if missing.all() and len(array):
        return "", pa.nulls(len(array), pa.large_string()), missing
    if np.isinf(values).any() or (values != np.floor(values)).any():
        raise ColumnError(f"has type {array.type} with fractions or infinite values; ids are whole numbers or text")
    beyond = np.flatnonzero(np.abs(values) >= limit)
    if beyond.size:
        raise ColumnError(
            f"holds ids as floating-point numbers ({array.type}), which are not exact from {limit:,} on: "
            f"{beyond.size:,} of {len(array):,} rows, the first is row {beyond[0]} ({int(values[beyond[0]])}). Read "
            "them as text"
        )
    return WHOLE, values.astype(np.int64), missing if missing.any() else None


def _from_decimals(array: pa.Array) -> Any:
    """Whole numbers as int64, or beyond it as uint64, or beyond that as the text of their digits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if array.type.bit_width < 128:
        array = array.cast(pa.decimal128(38, array.type.scale))
    if array.type.scale < 0:
        raise ColumnError(f"has type {array.type}, which files and other libraries lack; cast it to decimal128(38, 0)")
    if array.type.scale > 0:
        fractions = pc.sum(pc.not_equal(pc.floor(array), array)).as_py()
        if fractions:
            raise ColumnError(f"has type {array.type} with {fractions:,} fractions; ids are whole numbers or text")
    for kind in (pa.int64(), pa.uint64()):
        try:
            return np.from_dlpack(array.cast(kind).fill_null(0))
        except pa.ArrowInvalid:
            continue
    try:
        return array.cast(pa.decimal256(76, 0)).cast(pa.large_string())
    except pa.ArrowInvalid as e:
        raise ColumnError("holds whole numbers of more than 76 digits; write them as text") from e


def _from_times(array: pa.Array, missing: np.ndarray | None) -> tuple[str, Any, np.ndarray | None]:
    """Instants in nanoseconds: the same in every unit and time zone."""
    import pyarrow as pa
    import pyarrow.types as pt

    zone = array.type.tz if pt.is_timestamp(array.type) else None
    try:
        array.drop_null()[:1].to_pylist()
    except pa.ArrowException as e:
        raise ColumnError(f"has the time zone {zone!r}, which this machine does not know") from e
    try:
        ticks = array.cast(pa.timestamp("ns", zone)).cast(pa.int64()).fill_null(0)
    except pa.ArrowInvalid as e:
        raise ColumnError("holds times beyond the years 1678 to 2261; write such ids as text") from e
    return (ZONED if zone else TIMES), np.from_dlpack(ticks), missing
