"""`read_table`: the one reader of files, for every command and notebook. What it gives does not depend on the form.

Ids and names are text in a CSV, exactly as they are written there: whether ``00123`` is a number, and ``NA`` a missing
value, is not for a reader to guess.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from ptofa_gpu._csv import CSV, large_text, read_csv
from ptofa_gpu._npy import open_npy
from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

IdType = Literal["text", "integer"]

#: Ids; with ``fund`` and ``customer`` goes the fund's name, which is text too.
_IDS, _TEXT = ("customer", "fund"), ("customer", "fund", "name")
_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_SAVED_INDEX = re.compile(r"|__index_level_\d+__|Unnamed: \d+(\.\d+)*")
#: Types by word, as `types` takes them.
_TYPES = {"text": "large_string", "integer": "int64", "number": "float64", "boolean": "bool", "date": "date32"}


def read_table(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    decimal: str = ".",
    id_type: IdType = "text",
    types: Mapping[str, Any] | None = None,
    array: bool = False,
) -> Any:
    """Read a table from a file; the name's ending says which form it has.

    Parameters
    ----------
    path : path
        ``.parquet``, or a folder of such files (also partitioned: ``day=3/part-0.parquet`` has a column ``day``);
        ``.csv``, ``.tsv`` or ``.txt``, also with ``.gz`` or ``.zst`` behind; ``.feather`` or ``.arrow``.
    separator : str, optional
        Between the fields of a CSV: a character, or "tab". By default the one of comma, semicolon, tab and bar that its
        first line shows.
    decimal : {".", ","}
        Decimal point of a CSV's numbers.
    id_type : {"text", "integer"}
        A CSV's ``customer`` and ``fund`` are text as written. With "integer" ``customer`` is read as whole numbers, and
        so is ``fund`` where all its values are (``00123`` is 123 then); text ids of other forms too.
    types : mapping, optional
        Column name -> "text", "integer", "number", "boolean", "date" or a PyArrow type, where none is to be found out.
    array : bool
        Whether a ``.npy`` may stand for a table; it is mapped into memory.

    Returns
    -------
    pyarrow.Table
        Or a NumPy array. In a CSV the empty field is missing, and in a column of numbers or dates ``-``, ``NA`` and the
        like too; text with zeros in front (``007``) stays text. A saved pandas index (``__index_level_0__``,
        ``Unnamed: 0``, a column without a name) is left out.

    Raises
    ------
    InputError
        Names the file, what is wrong with it, and what to do.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name) / "customers.csv"
    >>> _ = file.write_text("customer;tolerance;balance\\n00123;2;1,5\\nNA;3;-\\n")
    >>> read_table(file, decimal=",").to_pylist()
    [{'customer': '00123', 'tolerance': 2, 'balance': 1.5}, {'customer': 'NA', 'tolerance': 3, 'balance': None}]
    """
    import pyarrow as pa

    separator = field_separator(separator)
    wanted = _checked(path, separator, decimal, id_type, types)
    file = Path(path)
    form, compression = _form(file)
    readers: dict[str, Any] = {
        **dict.fromkeys((".parquet", "folder"), lambda: _parquet(file)),
        **dict.fromkeys(CSV, lambda: read_csv(file, compression, separator, decimal, wanted, _TEXT)),
        **dict.fromkeys((".feather", ".arrow"), lambda: _feather(file)),
    }
    if array:
        readers[".npy"] = lambda: open_npy(file)
    if form not in readers or (compression and form not in CSV):
        endings = ", ".join(e for e in readers if e != "folder")
        raise InputError(f"{file}: files may end in {endings} here (.csv.gz and .csv.zst too), or be a Parquet folder")
    if not file.exists():
        raise InputError(f"{file}: there is no such file")
    try:
        read = readers[form]()
        return read if form == ".npy" else _finished(read, file, id_type, wanted)
    except InputError:
        raise
    except (pa.ArrowException, ValueError, EOFError, OSError) as e:
        reason = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        raise InputError(f"{file} cannot be read as {form}: {reason}. {_ADVICE[form]}") from e


_ADVICE = {
    ".parquet": "Write it again, or rename it to what it is",
    "folder": "All its parts need the same columns with the same types",
    **dict.fromkeys(
        CSV,
        "Every line needs as many fields as the first, text with separators or line breaks stands in quotes, and the "
        "encoding is UTF-8; separator= says what stands between fields",
    ),
    **dict.fromkeys((".feather", ".arrow"), "Write it again, or rename it to what it is"),
    ".npy": "Write it with numpy.save, as numbers",
}


def field_separator(word: str | None) -> str | None:
    """What stands between fields, from how it can be typed."""
    return "\t" if word in ("tab", "\\t") else word


def split_names(text: str) -> list[str]:
    """Names of columns from text in which commas stand between them.

    Examples
    --------
    >>> split_names("age, region")
    ['age', 'region']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def is_saved_index(name: str) -> bool:
    """Whether a column of this name is a pandas index that was written beside the data."""
    return _SAVED_INDEX.fullmatch(name) is not None


# -- what was asked for --------------------------------------------------------------------------------------------
def _checked(path: Any, separator: Any, decimal: Any, id_type: Any, types: Any) -> dict[str, Any]:
    """The wanted types of columns, after a look at all that was asked for."""
    import pyarrow as pa

    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"path is a {type(path).__name__}; it is the name of a file")
    if separator is not None and (not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n'):
        raise InputError(f"separator={separator!r} is none: it is one character such as ';', or 'tab'")
    if decimal not in (".", ","):
        raise InputError(f"decimal={decimal!r} is none: it is '.' or ','")
    if id_type not in ("text", "integer"):
        raise InputError(f"id_type is {id_type!r}; it is 'text' or 'integer'")
    if not isinstance(types, (Mapping, type(None))):
        raise InputError(f"types is a {type(types).__name__}; it is a mapping from column names to types")
    wanted = {}
    for name, kind in (types or {}).items():
        known = _TYPES.get(kind) if isinstance(kind, str) else None
        if known is None and not isinstance(kind, pa.DataType):
            words = ", ".join(map(repr, _TYPES))
            raise InputError(f"types: {name!r} has the type {kind!r}; there are {words} and PyArrow's types")
        wanted[name] = kind if known is None else pa.type_for_alias(known)
    return wanted


def _form(file: Path) -> tuple[str, str | None]:
    """The form of a file by its ending, and its compression."""
    if file.is_dir():
        return "folder", None
    ending = file.suffix.lower()
    if ending in _COMPRESSION:
        return Path(file.stem).suffix.lower(), _COMPRESSION[ending]
    return ending, None


# -- the forms -----------------------------------------------------------------------------------------------------
def _feather(file: Path) -> pa.Table:
    """Arrow's file format, which Feather is, or its stream."""
    import pyarrow as pa
    from pyarrow import ipc

    with pa.OSFile(str(file)) as source:
        whole = source.read(6) == b"ARROW1"
        source.seek(0)
        return (ipc.open_file if whole else ipc.open_stream)(source).read_all()


def _parquet(path: Path) -> pa.Table:
    """One file, or the files of a folder one below the other, with the keys of its partitions as columns."""
    # not parquet.read_table: it imports pandas, which takes longer than reading a million rows
    from pyarrow import parquet

    if path.is_file():
        return parquet.ParquetFile(path).read()
    import pyarrow as pa

    inside = (f for f in sorted(path.rglob("*.parquet")) if f.is_file())
    files = [f for f in inside if not any(p.startswith((".", "_")) for p in f.relative_to(path).parts)]
    if not files:
        raise InputError(f"{path} is a folder without a .parquet file; name a file, or a folder of Parquet files")
    tables = [_plain(parquet.ParquetFile(f).read()) for f in files]
    steps = [[p.partition("=") for p in f.relative_to(path).parts[:-1] if "=" in p] for f in files]
    keys = [{key: None if value == _HIVE_NULL else unquote(value) for key, _, value in parts} for parts in steps]
    for key in dict.fromkeys(k for own in keys for k in own):
        words = [own.get(key) for own in keys]
        values, kind = (words, pa.large_string()) if key in _TEXT else _found_out(words)
        tables = [
            t if key in t.column_names else t.append_column(key, pa.repeat(pa.scalar(value, kind), len(t)))
            for t, value in zip(tables, values)
        ]
    return pa.concat_tables(tables, promote_options="permissive")


def _found_out(words: list[str | None]) -> tuple[list[Any], pa.DataType]:
    """What names the parts of a partitioned table: whole numbers or dates where all of it is that, else text."""
    import pyarrow as pa

    there = [w for w in words if w is not None]
    if all(re.fullmatch(r"0|-?[1-9]\d{0,17}", w) for w in there):
        return [None if w is None else int(w) for w in words], pa.int64()
    try:
        return [None if w is None else date.fromisoformat(w) for w in words], pa.date32()
    except ValueError:
        return words, pa.large_string()


# -- the same table from each form ---------------------------------------------------------------------------------
def _unique(names: list[str], file: Path) -> None:
    repeated = sorted({n for n in names if names.count(n) > 1 and not is_saved_index(n)})
    if repeated:
        raise InputError(f"{file} has two columns of the name {', '.join(map(repr, repeated))}; rename one, or drop it")


def _plain(table: pa.Table) -> pa.Table:
    """Text in one of its types, and categories as what they stand for."""
    import pyarrow as pa

    for i, column in enumerate(table.schema):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_string(column.type):
            table = table.set_column(i, column.name, large_text(table[i]))
        elif pa.types.is_string(kind) or kind == pa.string_view():
            table = table.set_column(i, column.name, table[i].cast(pa.large_string()))
        elif kind != column.type:
            table = table.set_column(i, column.name, table[i].cast(kind))
    return table


def _finished(table: pa.Table, file: Path, id_type: IdType, wanted: dict[str, Any]) -> pa.Table:
    """Without saved indices, and with the types that were asked for."""
    import pyarrow as pa

    _unique(table.column_names, file)
    keep = [i for i, name in enumerate(table.column_names) if not is_saved_index(name)]
    if not keep:
        raise InputError(f"{file} has no column; a table has a first line with their names")
    table = _plain(table.select(keep).replace_schema_metadata(None))
    absent = [name for name in wanted if name not in table.column_names]
    if absent:
        raise InputError(f"{file} lacks the column{'s' * (len(absent) > 1)} {', '.join(map(repr, absent))} of types")
    for i, name in enumerate(table.column_names):
        column = table[i]
        text = pa.types.is_large_string(column.type)
        if name in wanted and column.type != wanted[name]:
            column = _as_whole(column, file, name) if text and pa.types.is_integer(wanted[name]) else column
            column = column.cast(wanted[name])
        elif name in _IDS and id_type == "integer" and text and name not in wanted:
            column = _as_whole(column, file, name, or_text=name == "fund")
        if column is not table[i]:
            table = table.set_column(i, name, column)
    return table


def _as_whole(column: pa.ChunkedArray, file: Path, name: str, *, or_text: bool = False) -> pa.ChunkedArray:
    """Text as 64-bit integers; where it is not that and `or_text` allows it, as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(column)
    strange = pc.invert(pc.match_substring_regex(trimmed, "^-?[0-9]+$"))
    if not pc.any(strange).as_py():
        for kind in (pa.int64(), pa.uint64()):
            try:
                return trimmed.cast(kind)
            except pa.ArrowInvalid:
                continue
    if or_text:
        return column
    row = pc.index(strange, value=True).as_py()
    said = "a number beyond 64 bits" if row < 0 else f"{column[row].as_py()!r} in row {row}"
    raise InputError(
        f"{file}: column {name!r} was asked for as whole numbers and holds {said}; read it as text "
        f"(id_type='text', which is the default)"
    )
