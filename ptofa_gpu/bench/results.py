"""Results as CSV that only grows: written rows are never changed, and files of other columns are left alone."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptofa_gpu.errors import InputError


def append_row(path: Path, columns: Sequence[str], row: Mapping[str, Any]) -> None:
    """Append one row, with the header where the file is new.

    The row goes out in one write under a lock, so that two runs may share a file. A line that a crash left half
    written is ended first and stays as it is.

    Raises
    ------
    InputError
        The file has other columns, or the row has a value without a column.
    """
    import fcntl

    stray = sorted(set(row) - set(columns))
    if stray:
        raise InputError(f"{path}: there is no column for {', '.join(stray)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        first, text = f.readline(), ""
        if not first:
            text = _line(columns)
        else:
            _same_columns(path, first, columns)
            f.seek(-1, os.SEEK_END)
            text = "" if f.read(1) == b"\n" else "\n"
        f.write((text + _line([row.get(c, "") for c in columns])).encode())
        f.flush()
        os.fsync(f.fileno())


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Refuse, before anything is measured, a file that rows of these columns could not be appended to.

    Raises
    ------
    InputError
        The file has other columns.
    """
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as f:
            _same_columns(path, f.readline(), columns)


def _same_columns(path: Path, header: bytes, columns: Sequence[str]) -> None:
    if header.decode(errors="replace") != _line(columns):
        raise InputError(f"{path} has other columns than these results; rows are only ever added. Name a new file.")


def _line(values: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(["" if v is None else v for v in values])
    return out.getvalue()


def results_path(folder: Path, stem: str, columns: Sequence[str]) -> Path:
    """``stem.csv``, or the first of ``stem-2.csv``, ... that is new or has these columns."""
    stem = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    number = 1
    while True:
        path = folder / (f"{stem}.csv" if number == 1 else f"{stem}-{number}.csv")
        if not path.exists() or path.stat().st_size == 0:
            return path
        with path.open("rb") as f:
            if f.readline().decode(errors="replace") == _line(columns):
                return path
        number += 1


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The whole rows of a file in the order in which they were written.

    Raises
    ------
    InputError
        There is no such file, it is no CSV, or a column of `columns` is missing.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    with path.open(newline="", encoding="utf-8", errors="replace") as f:
        try:
            reader = csv.DictReader(f)
            missing = [c for c in columns if c not in (reader.fieldnames or [])]
            if missing:
                raise InputError(
                    f"{path} lacks the columns {', '.join(missing)}: these are no results of this benchmark"
                )
            return [row for row in reader if None not in row and None not in row.values()]
        except csv.Error as e:
            raise InputError(f"{path} cannot be read as CSV: {e}") from e
