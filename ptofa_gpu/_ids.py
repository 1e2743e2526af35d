"""Ids of customers and funds: kept as they came, compared by value whatever their type and library."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._columns import arrow_array, arrow_of, decoded, is_bytes, is_machine_number, text_of, values_of
from ptofa_gpu._id_keys import BYTES, TEXT, UUIDS, WHOLE, canonical

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow as pa

#: Kinds of one family hold the same bytes.
_FAMILY = {UUIDS: BYTES}
#: A whole number as everybody writes it: text of this form is the same id as the number.
_CANONICAL = r"^(0|-?[1-9][0-9]*)$"


class Ids:
    """A column of ids.

    Parameters
    ----------
    series : narwhals series
        The column as it came; what :meth:`__getitem__` takes from it has the same type.

    Attributes
    ----------
    kind : str
        What the ids are, in words; ids of two kinds do not compare (but see :meth:`mismatch`). Empty where all ids are
        missing.
    keys : (N,) int64 or uint64, or Arrow array of large_string or large_binary
        What ids are compared by. Whole numbers beyond 64 bits are the text of their digits.
    missing : (N,) bool, or None
        Where there is no id; None where there is one in each row.

    Raises
    ------
    ColumnError
        On the first use of `kind`, `keys` or `missing`, when ids cannot be read exactly from the column.
    """

    def __init__(self, series: nw.Series[Any]):
        self.series = series

    @cached_property
    def _canonical(self) -> tuple[str, Any, np.ndarray | None]:
        return canonical(self.series)

    @property
    def kind(self) -> str:
        return self._canonical[0]

    @property
    def keys(self) -> Any:
        return self._canonical[1]

    @property
    def missing(self) -> np.ndarray | None:
        return self._canonical[2]

    def __len__(self) -> int:
        return len(self.series)

    @property
    def shape(self) -> tuple[int]:
        """(N,)."""
        return (len(self),)

    def __getitem__(self, rows: Any) -> Any:
        """The id of one row; or those of some rows (integers), as the column's own type."""
        if isinstance(rows, (int, np.integer)):
            return self._take(np.array([rows], np.int64)).to_list()[0]
        return Ids(self._take(np.asarray(rows)))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._is_native:
            values = values_of(self.series)
            return np.array(values, dtype, copy=copy)
        out = np.empty(len(self), object)
        out[:] = self.tolist()
        return out

    def __repr__(self) -> str:
        return f"Ids({len(self):,} of type {self.series.dtype})"

    @property
    def _is_native(self) -> bool:
        """Whether NumPy holds these ids as they are."""
        return is_machine_number(self.series) and isinstance(self.keys, np.ndarray)

    def tolist(self) -> list[Any]:
        """The ids as Python values: int, str, Decimal, UUID, date, datetime, ..."""
        return values_of(self.series).tolist() if self._is_native else list(self.to_arrow().to_pylist())

    def texts(self) -> list[str]:
        """The ids as text; see :func:`~ptofa_gpu._columns.text_of`."""
        return [text_of(v) for v in self.tolist()]

    def to_arrow(self, backend: str = "pyarrow") -> pa.Array:
        """The column as an Arrow array of its own type; where the library `backend` lacks that, as text."""
        import pyarrow as pa
        import pyarrow.types as pt

        array = arrow_of(self.series)
        odd = array.type == pa.uuid() or pt.is_decimal256(array.type)
        return _as_texts(array) if backend == "polars" and odd else array

    def to_series(self, backend: str) -> nw.Series[Any] | None:
        """The column itself where it is one of this library; else None."""
        return self.series if self.series.implementation.value == backend else None

    def _take(self, rows: np.ndarray) -> nw.Series[Any]:
        import narwhals as nw

        native = self.series.to_native()
        if self.series.implementation.is_pyarrow():  # Arrow's own way from NumPy would import pandas
            return nw.from_native(take(native, rows), series_only=True)
        if not hasattr(native, "reset_index"):
            return self.series[rows]
        if isinstance(native.dtype, np.dtype) and not native.dtype.isnative:  # which pandas cannot take from
            native = native.astype(native.dtype.newbyteorder("="))
        return nw.from_native(native.iloc[rows].reset_index(drop=True), series_only=True)

    # -- comparing -----------------------------------------------------------------------------------------------
    @cached_property
    def _rises(self) -> bool:
        """Ids in order, as tables mostly are: nothing need be sorted or hashed."""
        keys = self.keys
        return isinstance(keys, np.ndarray) and self.missing is None and bool((keys[1:] > keys[:-1]).all())

    @cached_property
    def repeated(self) -> tuple[np.ndarray, int]:
        """Rows whose id is that of another row too, and how many ids they share."""
        import pyarrow.compute as pc

        none = np.zeros(0, np.int64), 0
        if self._rises:
            return none
        valid = np.arange(len(self)) if self.missing is None else np.flatnonzero(~self.missing)
        if isinstance(self.keys, np.ndarray):
            keys = self.keys if self.missing is None else self.keys[valid]
            ordered = np.sort(keys)
            if not (ordered[1:] == ordered[:-1]).any():
                return none
            encoded = arrow_array(keys).dictionary_encode()
        else:
            if pc.count_distinct(self.keys, mode="only_valid").as_py() == valid.size:
                return none
            encoded = self.keys.drop_null().dictionary_encode()
        codes = np.from_dlpack(encoded.indices)
        count = np.bincount(codes, minlength=1)
        return valid[count[codes] > 1], int((count > 1).sum())

    def mismatch(self, other: Ids) -> bool:
        """Whether the ids of the two columns cannot be compared.

        Text compares with whole numbers where each of the texts is a whole number as everybody writes it: "7", not
        "007", "+7" or "7.0".
        """
        if not (self.kind and other.kind) or _family(self.kind) == _family(other.kind):
            return False
        if {self.kind, other.kind} != {TEXT, WHOLE}:
            return True
        import pyarrow.compute as pc

        text = self if self.kind == TEXT else other
        return not pc.all(pc.match_substring_regex(text.keys, _CANONICAL)).as_py()

    def positions(self, wanted: Ids) -> np.ndarray:
        """The row of each of `wanted` in this column, (n,) int64: the first where there are several, -1 where there is
        none."""
        a, b = wanted.keys, self.keys
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype == b.dtype:
            return self._find_numbers(wanted)
        import pyarrow.compute as pc

        if not (self.kind and wanted.kind):
            return np.full(len(wanted), -1, np.int64)
        a, b = wanted._as_text(), self._as_text()
        if a.null_count == 0 and self._same_text(a, b):
            return np.arange(len(self))
        found = pc.index_in(a, value_set=b, skip_nulls=True).fill_null(-1)
        return np.from_dlpack(found).astype(np.int64)

    def _same_text(self, a: pa.Array, b: pa.Array) -> bool:
        return len(a) == len(b) and bool(a.equals(b)) and not self.repeated[0].size

    def _find_numbers(self, wanted: Ids) -> np.ndarray:
        a, b = wanted.keys, self.keys
        plain = wanted.missing is None and self.missing is None
        if plain and self._rises and np.array_equal(a, b):
            return np.arange(len(self))
        order = None if self._rises else np.argsort(b, kind="stable")
        if order is not None and self.missing is not None:
            order = order[~self.missing[order]]
        ordered = b if order is None else b[order]
        if not ordered.size:
            return np.full(len(a), -1, np.int64)
        at = np.minimum(np.searchsorted(ordered, a), ordered.size - 1)
        out = np.where(ordered[at] == a, at if order is None else order[at], -1)
        if wanted.missing is not None:
            out[wanted.missing] = -1
        return out

    def _as_text(self) -> pa.Array:
        """`keys` as an Arrow array, whole numbers as the text of their digits."""
        import pyarrow as pa

        if not isinstance(self.keys, np.ndarray):
            return self.keys
        text = arrow_array(self.keys).cast(pa.large_string())
        return text if self.missing is None else pa.compute.if_else(_mask(self.missing), None, text)


def take(column: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    """Some rows of an Arrow column."""
    import pyarrow as pa

    plain = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}.get(column.type)
    if plain is not None:  # which Arrow cannot take from
        return take(column.cast(plain), rows).cast(column.type)
    return column.take(arrow_array(rows))


def shown(value: Any) -> str:
    """An id, or another value of a table, in a message: text in quotes."""
    return repr(value) if isinstance(value, (str, float)) else text_of(value)


def csv_ids(array: pa.Array) -> pa.Array:
    """Ids as a CSV file holds them: what it has no form for is text; floats and decimals, which are whole, have no
    fraction."""
    import pyarrow as pa
    import pyarrow.types as pt

    array = decoded(array)
    kind = array.type
    if pt.is_floating(kind):
        return array.cast(pa.int64())
    if pt.is_decimal(kind) and kind.scale > 0:
        return array.cast(pa.decimal256(76, 0))
    return _as_texts(array) if kind in (pa.uuid(), pa.string_view()) or is_bytes(kind) else array


def shared_in_words(rows: np.ndarray, n: int, distinct: int, what: str, example: Any) -> str:
    """'3 of 6 rows share 1 id, for example 7'."""
    return f"{rows.size:,} of {n:,} rows share {distinct:,} {what}{'s' * (distinct > 1)}, for example {shown(example)}"


def _family(kind: str) -> str:
    return _FAMILY.get(kind, kind)


def _mask(values: np.ndarray) -> pa.Array:
    import pyarrow as pa

    return pa.array(values.tolist(), pa.bool_())


def _as_texts(array: pa.Array) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if v is None else text_of(v) for v in array.to_pylist()], pa.large_string())
