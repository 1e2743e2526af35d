"""Reading columns of any data frame narwhals knows; Arrow is where the libraries meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Eager = nw.DataFrame[Any]


class ColumnError(ValueError):
    """One column cannot be read as asked; the message completes the sentence "column x ..."."""


def eager(frame: Any, what: str) -> Eager:
    """`frame` as an eager narwhals frame; a lazy one is collected.

    Raises
    ------
    InputError
        When `frame` is no data frame, or its columns are not told apart by their names; `what` names it in the message.
    """
    if isinstance(frame, nw.DataFrame):
        return frame
    try:
        known = nw.from_native(frame)
    except TypeError as e:
        kind = f"{type(frame).__module__}.{type(frame).__qualname__}".removeprefix("builtins.")
        raise InputError(
            f"{what} is a {kind}, not a data frame. Pass a pandas, Polars, PyArrow or cuDF frame (or another that "
            "narwhals knows)."
        ) from e
    except nw.exceptions.NarwhalsError as e:
        raise InputError(f"{what} cannot be read: {e}. Give every column a name of its own.") from e
    if isinstance(known, nw.LazyFrame):
        try:
            known = known.collect()
        except Exception as e:  # whatever stands in the query
            raise InputError(f"{what} is a lazy frame whose query fails: {type(e).__name__}: {e}") from e
    return known


def arrow_column(frame: Eager, name: str) -> pa.Array:
    """Column `name` as one Arrow array, dictionaries decoded."""
    import pyarrow as pa

    try:
        array = frame[name].to_arrow()
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError) as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise ColumnError(f"mixes values of different types ({reason}); give it one type") from e
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    return array


def values_of(series: Any) -> np.ndarray:
    """A narwhals series as a NumPy array; numbers of an Arrow table without a copy, where they are one chunk.

    Arrow's own way imports pandas first, which takes longer than a million rows take to read.
    """
    native = series.to_native()
    if type(native).__module__.partition(".")[0] != "pyarrow" or native.null_count:
        return np.asarray(series.to_numpy())
    import pyarrow.types as pt

    if not (pt.is_integer(native.type) or pt.is_float32(native.type) or pt.is_float64(native.type)):
        return np.asarray(series.to_numpy())
    chunks = [np.from_dlpack(chunk) for chunk in native.chunks if len(chunk)]
    if not chunks:
        return np.zeros(0, native.type.to_pandas_dtype())
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def arrow_array(values: np.ndarray) -> pa.Array:
    """A NumPy array as an Arrow array; numbers without a copy, and without importing pandas."""
    import pyarrow as pa

    if values.dtype.kind in "iuf" and values.dtype.isnative and values.dtype != np.float16:
        whole = np.ascontiguousarray(values)
        kind = pa.from_numpy_dtype(whole.dtype)
        return pa.Array.from_buffers(kind, len(whole), [None, pa.py_buffer(whole)])
    return pa.array(values.tolist() if values.dtype == object else values)


def texts(array: pa.Array) -> tuple[np.ndarray, list[str]]:
    """A categorical column as codes and the text of each distinct value.

    The same value gives the same text in every library: 3, 3.0 and a nullable 3 are all "3", True is "true".

    Returns
    -------
    codes : (N,) int32, -1 where missing
    values : list of str
    """
    import pyarrow as pa
    import pyarrow.types as pt

    kind = array.type
    if pt.is_null(kind):
        return np.full(len(array), -1, np.int32), []
    if not (_is_text(kind) or _is_number(kind)):
        raise ColumnError(f"has type {kind}; a categorical feature needs text, whole numbers or booleans")
    if pt.is_floating(kind):
        array = pa.array(array.to_numpy(zero_copy_only=False), from_pandas=True)  # NaN means missing here
    if kind == pa.string_view():
        array = array.cast(pa.large_string())
    encoded = array.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return codes, [_text(v) for v in encoded.dictionary.to_pylist()]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def floats(array: pa.Array) -> np.ndarray:
    """A numeric column as (N,) float64, NaN where missing."""
    import pyarrow as pa
    import pyarrow.types as pt

    kind = array.type
    if pt.is_null(kind):
        return np.full(len(array), np.nan)
    if not _is_number(kind):
        raise ColumnError(f"has type {kind}; it needs numbers")
    if pt.is_boolean(kind):
        array = array.cast(pa.int8())
    return array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def keys(array: pa.Array) -> pa.Array:
    """An id column in one of two spellings, int64 or large_string, so that ids of different libraries compare."""
    import pyarrow as pa
    import pyarrow.types as pt

    kind = array.type
    if pt.is_floating(kind):  # what pandas makes of integers when one is missing
        values = array.to_numpy(zero_copy_only=False)
        if not np.all(np.isnan(values) | (values == np.floor(values))):
            raise ColumnError(f"has type {kind} with fractions; ids are whole numbers or text")
        return pa.array(values, from_pandas=True).cast(pa.int64())
    if pt.is_integer(kind):
        try:
            return array.cast(pa.int64())
        except pa.ArrowInvalid as e:
            raise ColumnError("holds ids beyond the range of 64-bit integers; write them as text") from e
    if _is_text(kind):
        return array.cast(pa.large_string())
    if pt.is_null(kind):
        return array.cast(pa.large_string())
    raise ColumnError(f"has type {kind}; ids are whole numbers or text")


def _is_text(kind: Any) -> bool:
    import pyarrow as pa
    import pyarrow.types as pt

    return bool(pt.is_string(kind) or pt.is_large_string(kind) or kind == pa.string_view())


def _is_number(kind: Any) -> bool:
    import pyarrow.types as pt

    return bool(pt.is_boolean(kind) or pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))
