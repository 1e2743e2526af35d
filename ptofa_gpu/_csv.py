"""Delimited text as a table. PyArrow finds out the types; what it would get wrong is seen to here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

#: Endings of delimited text; .gz or .zst may follow.
CSV = (".csv", ".tsv", ".txt")
#: Written for a missing number. In a text column only the empty field is missing.
NO_NUMBER = ("", "-", "NA", "N/A", "n/a", "#N/A", "#NA", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None")
#: Columns whose job says that they hold numbers: zeros in front are no part of a code there.
NUMBERS = {"tolerance", "risk", "quota", "quota_low", "quota_high", "k", "converted", "amount", "revenue", "day"}
_SEPARATORS = (",", ";", "\t", "|")


def read_csv(
    file: Path,
    compression: str | None,
    separator: str | None,
    decimal: str,
    wanted: dict[str, Any],
    text: tuple[str, ...],
) -> pa.Table:
    """A table from delimited text in UTF-8.

    Parameters
    ----------
    file : path
    compression : str or None
        As PyArrow names it.
    separator : str or None
        By default what the first line shows.
    decimal : str
        Decimal point.
    wanted : dict
        Column name -> Arrow type; what is to be an integer is left as text, for the caller.
    text : tuple of str
        Columns that are text as written.

    Returns
    -------
    pyarrow.Table
        Empty fields are missing; so are other marks in columns of numbers and dates.
    """
    import pyarrow as pa
    from pyarrow import csv

    separator = separator or _separator(file, compression)

    def read(types: dict[str, Any], only: list[str] | None = None) -> pa.Table:
        with pa.input_stream(str(file), compression=compression) as source:
            return csv.read_csv(
                source,
                parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    column_types=types, include_columns=only, null_values=NO_NUMBER, decimal_point=decimal
                ),
            )

    # the text of an integer is made an integer where that of other forms is, in `_finished`
    as_text = [*text, *(name for name, kind in wanted.items() if pa.types.is_integer(kind))]
    table = read(wanted | dict.fromkeys(as_text, pa.large_string()))
    if len(set(table.column_names)) < len(table.column_names):
        return table  # the caller refuses it
    _refuse_an_open_quote(table, file, compression)
    known = {*as_text, *wanted, *NUMBERS}
    whole = [f.name for f in table.schema if pa.types.is_integer(f.type) and f.name not in known]
    if whole:  # numbers, or codes: what is read as 7 may be written 007
        written = read(dict.fromkeys(whole, pa.large_string()), whole)
        for name in filter(lambda name: codes(written[name]), whole):
            table = table.set_column(table.column_names.index(name), name, written[name])
    for i, column in enumerate(table.schema):
        if pa.types.is_binary(column.type):
            raise InputError(f"{file}: column {column.name!r} is not UTF-8; save the file in that encoding")
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            table = table.set_column(i, column.name, large_text(table[i], empty_is_missing=True))
    return table


def _separator(file: Path, compression: str | None) -> str:
    """What stands between the names in a file's first line."""
    import pyarrow as pa

    with pa.input_stream(str(file), compression=compression) as source:
        start = bytes(source.read(1 << 16))
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
        raise InputError(f"{file} is not UTF-8 text (it looks like UTF-16); save it in that encoding")
    lines = start.decode(errors="replace").splitlines()
    names = re.sub(r'"[^"]*"', "", next(filter(str.strip, lines), ""))
    counts = {s: names.count(s) for s in _SEPARATORS}
    most = [s for s, n in counts.items() if n == max(counts.values())]
    if len(most) > 1 and counts[most[0]]:
        raise InputError(
            f"{file}: its first line holds as many {most[0]!r} as {most[1]!r}; say which of them is the separator="
        )
    return most[0]


def _refuse_an_open_quote(table: pa.Table, file: Path, compression: str | None) -> None:
    """A quote that is never closed makes one field of all that follows, and PyArrow takes it for one."""
    import pyarrow as pa

    text = [i for i, f in enumerate(table.schema) if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    last = [table[i][-1].as_py() for i in text if len(table)]
    if any("\n" in value or "\r" in value for value in last if value):
        with pa.input_stream(str(file), compression=compression) as source:
            quotes = sum(block.count(b'"') for block in iter(lambda: bytes(source.read(1 << 20)), b""))
        if quotes % 2:
            raise InputError(f'{file}: a quote (") is not closed; the file is cut short, or has one too many')


# -- text by its bytes: Arrow's functions import pandas first, which takes longer than to read a million rows --------
def large_text(column: pa.ChunkedArray, *, empty_is_missing: bool = False) -> pa.ChunkedArray:
    """A column of strings in Arrow's large strings, the bytes shared; where asked for, empty ones are missing."""
    import pyarrow as pa

    kind, chunks = pa.large_string(), []
    for chunk in column.chunks:
        if chunk.offset:
            chunk = pa.concat_arrays([chunk])
        ends, (valid, _, data) = _ends(chunk), chunk.buffers()
        if empty_is_missing and not chunk.null_count and (ends[1:] == ends[:-1]).any():
            valid = pa.py_buffer(np.packbits(ends[1:] > ends[:-1], bitorder="little"))
        chunks.append(pa.Array.from_buffers(kind, len(chunk), [valid, pa.py_buffer(ends), data]))
    return pa.chunked_array(chunks, kind)


def codes(column: pa.ChunkedArray) -> bool:
    """Whether a value is written with a zero in front, as codes (007) are and numbers are not."""
    for chunk in column.chunks:
        ends, data = _ends(chunk), np.frombuffer(chunk.buffers()[2] or b"", np.uint8)
        start, end = ends[:-1], ends[1:]
        start, end = start[end > start], end[end > start]
        start = start + np.isin(data[start], (ord("+"), ord("-")))
        start = start[end - start > 1]
        start = start[data[start] == ord("0")]
        if np.isin(data[start + 1], np.frombuffer(b"0123456789xX", np.uint8)).any():
            return True
    return False


def _ends(chunk: pa.Array) -> np.ndarray:
    """Where each string ends, (N + 1,) int64; the first number is where the first begins."""
    import pyarrow as pa

    width = np.int64 if pa.types.is_large_string(chunk.type) else np.int32
    ends = np.frombuffer(chunk.buffers()[1] or bytes(8), width)
    return np.ascontiguousarray(ends[chunk.offset : chunk.offset + len(chunk) + 1], np.int64)
