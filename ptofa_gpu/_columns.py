"""Reading columns of any data frame narwhals knows; Arrow is where the libraries meet."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from ptofa_gpu.errors import InputError, SchemaError

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow as pa

    Eager = nw.DataFrame[Any]


class ColumnError(ValueError):
    """One column cannot be read as asked; the message completes the sentence "column x ..."."""


def eager(frame: Any, what: str) -> Eager:
    """`frame` as an eager narwhals frame whose columns have names of their own, as text; a lazy one is collected.

    Raises
    ------
    InputError
        When `frame` is no data frame; `what` names it in the message.
    SchemaError
        When two columns have one name, or a name is neither text nor a whole number.
    """
    import narwhals as nw

    try:
        known = frame if isinstance(frame, nw.DataFrame) else nw.from_native(frame)
    except nw.exceptions.DuplicateError as e:
        raise SchemaError(f"{what} cannot be used:", _repeated(_names(frame), what)) from e
    except TypeError as e:
        kind = f"{type(frame).__module__}.{type(frame).__qualname__}".removeprefix("builtins.")
        raise InputError(
            f"{what} is a {kind}, not a data frame. Pass a pandas, Polars, PyArrow or cuDF frame (or another that "
            "narwhals knows)."
        ) from e
    except nw.exceptions.NarwhalsError as e:
        raise InputError(f"{what} cannot be read: {e}.") from e
    if isinstance(known, nw.LazyFrame):
        try:
            known = known.collect()
        except Exception as e:  # whatever stands in the query
            raise InputError(f"{what} is a lazy frame whose query fails: {type(e).__name__}: {e}") from e
    names = known.columns
    if all(type(name) is str for name in names):
        return known
    # pandas numbers columns that nobody named
    text: dict[Any, str] = {n: str(n) for n in names if isinstance(n, (str, int, np.integer))}
    problems = [f"{what}: the name of a column is {n!r}; give it a name that is text" for n in names if n not in text]
    problems += _repeated(list(text.values()), what)
    if problems:
        raise SchemaError(f"{what} cannot be used:", problems)
    return known.rename(text)


def _names(frame: Any) -> list[Any]:
    """Column names of a frame that narwhals does not take."""
    return list(frame.column_names if hasattr(frame, "column_names") else frame.columns)


def _repeated(names: list[Any], what: str) -> list[str]:
    """One line for each name that several columns have."""
    return [
        f"{what}: {names.count(n)} columns have the name {n!r}; rename them, or drop all but one"
        for n in dict.fromkeys(names)
        if names.count(n) > 1
    ]


def arrow_column(frame: Eager, name: str) -> pa.Array:
    """Column `name` as one Arrow array, dictionaries decoded."""
    return decoded(arrow_of(frame.get_column(name)))


def arrow_of(series: Any) -> pa.Array:
    """A narwhals series as one Arrow array of its own type.

    Raises
    ------
    ColumnError
        When its values are of several types, or none that Arrow knows.
    """
    import narwhals as nw
    import pyarrow as pa

    try:
        if series.implementation.is_pyarrow():
            return _one_chunk(series.to_native())
        if series.implementation.is_polars() and series.dtype in (nw.Object, nw.Int128, nw.UInt128):
            return from_values(series.to_list())  # Arrow is not told what these are
        array = series.to_arrow()
    except ColumnError:
        raise
    except OverflowError:  # Python's own numbers beyond 64 bits
        return from_values(series.to_list())
    except (pa.ArrowException, TypeError, ValueError) as e:
        values = series.to_numpy()
        if values.dtype.kind not in "iuf":
            raise _mixed(e) from e
        return arrow_array(values)  # numbers that Arrow does not take: bytes the other way round, sparse columns
    return _one_chunk(array) if isinstance(array, pa.ChunkedArray) else array


def _one_chunk(array: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa
    import pyarrow.types as pt

    if array.num_chunks == 1:
        return array.chunk(0)
    if (pt.is_string(array.type) or pt.is_binary(array.type)) and array.nbytes >= 1 << 31:  # beyond their offsets
        array = array.cast(pa.large_string() if pt.is_string(array.type) else pa.large_binary())
    return array.combine_chunks()


def decoded(array: pa.Array) -> pa.Array:
    """`array`, or what its dictionary stands for."""
    import pyarrow as pa

    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array


def from_values(values: list[Any]) -> pa.Array:
    """Python values as an Arrow array; whole numbers beyond 64 bits as decimals.

    Raises
    ------
    ColumnError
        When they are of several types, or none that Arrow knows.
    """
    import pyarrow as pa

    try:
        return pa.array(values, from_pandas=True)
    except OverflowError:
        pass
    except (pa.ArrowException, TypeError, ValueError) as e:
        raise _mixed(e) from e
    there = [v for v in values if v is not None]
    if not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in there):
        raise ColumnError("mixes whole numbers beyond 64 bits with other values; give it one type")
    whole = [None if v is None else int(v) for v in values]
    if min(v for v in there) >= 0 and max(v for v in there) < 1 << 64:
        return pa.array(whole, pa.uint64())
    try:
        return pa.array([None if v is None else Decimal(v) for v in whole])
    except pa.ArrowException as e:
        raise ColumnError("holds whole numbers of more than 76 digits; write them as text") from e


def _mixed(error: Exception) -> ColumnError:
    reason = str(error).splitlines()[0]
    return ColumnError(f"mixes values of different types ({reason}); give it one type")


def is_machine_number(series: Any, *, floats: bool = False) -> bool:
    """Whether a narwhals series holds integers (or `floats`) that NumPy has, and in every row."""
    import narwhals as nw

    try:
        kind = series.dtype
    except ValueError:  # narwhals has no decimals of negative scale
        return False
    plain = kind.is_integer() and kind not in (nw.Int128, nw.UInt128)
    return bool(plain or (floats and kind.is_float())) and not series.null_count()


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
    """A NumPy array as an Arrow array; numbers without a copy, and without importing pandas.

    Raises
    ------
    ColumnError
        As :func:`from_values`.
    """
    import pyarrow as pa

    if values.dtype == np.longdouble and values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    if values.dtype.kind in "iuf" and values.dtype != np.float16:
        whole = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        kind = pa.from_numpy_dtype(whole.dtype)
        return pa.Array.from_buffers(kind, len(whole), [None, pa.py_buffer(whole)])
    if values.dtype.kind == "M":
        return pa.array(values)
    return from_values(values.tolist())


def texts(array: pa.Array) -> tuple[np.ndarray, list[str]]:
    """A categorical column as codes and the text of each distinct value.

    The same value gives the same text in every library: 3, 3.0, Decimal("3.00") and a nullable 3 are all "3", True is
    "true".

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
    unique = kind == pa.uuid()
    if unique:
        array = array.storage
    if not (unique or is_text(kind) or is_number(kind) or is_bytes(kind)):
        raise ColumnError(f"has type {kind}; a categorical feature needs text, whole numbers or booleans")
    if pt.is_floating(kind):
        array = pa.array(array.to_numpy(zero_copy_only=False), from_pandas=True)  # NaN means missing here
    if kind in (pa.string_view(), pa.binary_view()):
        array = array.cast(pa.large_string() if is_text(kind) else pa.large_binary())
    encoded = array.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    known = encoded.dictionary.to_pylist()
    return codes, [str(UUID(bytes=v)) for v in known] if unique else [text_of(v) for v in known]


def text_of(value: Any) -> str:
    """A value as text, the same in every library: 7, 7.0 and Decimal("7") are "7"; bytes are written in hexadecimal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return value.hex() if isinstance(value, bytes) else str(value)


def floats(array: pa.Array) -> np.ndarray:
    """A numeric column as (N,) float64, NaN where missing."""
    import pyarrow as pa
    import pyarrow.types as pt

    kind = array.type
    if pt.is_null(kind):
        return np.full(len(array), np.nan)
    if not is_number(kind):
        shown = next((repr(v) for v in array[:100].to_pylist() if v is not None), "") if is_text(kind) else ""
        hint = "; read it with decimal=','" if re.fullmatch(r"'-?\d+,\d+'", shown) else ""
        raise ColumnError(f"has type {kind}{shown and f' ({shown})'}; it needs numbers{hint}")
    if pt.is_boolean(kind):
        array = array.cast(pa.int8())
    if pt.is_decimal(kind) and kind.bit_width < 128:  # Arrow casts these to nothing else
        array = array.cast(pa.decimal128(38, kind.scale))
    return array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def is_text(kind: Any) -> bool:
    """Whether an Arrow type holds text."""
    import pyarrow as pa
    import pyarrow.types as pt

    return bool(pt.is_string(kind) or pt.is_large_string(kind) or kind == pa.string_view())


def is_bytes(kind: Any) -> bool:
    """Whether an Arrow type holds bytes."""
    import pyarrow as pa
    import pyarrow.types as pt

    plain = pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind)
    return bool(plain or kind == pa.binary_view())


def is_number(kind: Any) -> bool:
    """Whether an Arrow type holds numbers, or true and false."""
    import pyarrow.types as pt

    return bool(pt.is_boolean(kind) or pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))
