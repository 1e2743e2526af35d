"""Encoding rows of a data frame by the features of a schema: indices into vocabularies, and standardised numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._columns import ColumnError, arrow_column, floats, texts
from ptofa_gpu._dates import days
from ptofa_gpu.errors import SchemaError
from ptofa_gpu.prediction.schema import Encoded, Feature, Kind

if TYPE_CHECKING:
    from ptofa_gpu._columns import Eager

#: Vocabularies of a date's parts, in the order of their numbers.
PARTS = {
    "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "month": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
}


def encode(frame: Eager, features: Sequence[Feature], what: str) -> Encoded:
    """Encode the rows of a frame; one `SchemaError` lists all columns that do not fit."""
    problems: dict[str, None] = {}  # of a column of dates several features are read; what is wrong with it is said once
    columns: dict[Kind, list[np.ndarray]] = {"categorical": [], "numeric": []}
    unseen: dict[str, int] = {}
    known = set(frame.columns)
    for f in features:
        if f.column not in known:
            problems[f"column {f.column!r} is missing"] = None
            continue
        try:
            of_kind = _encode_categorical if f.kind == "categorical" else _encode_numeric
            column, lost = of_kind(arrow_column(frame, f.column), f)
        except ColumnError as e:
            problems[f"column {f.column!r} {e}"] = None
            continue
        columns[f.kind].append(column)
        if lost:
            unseen[f.column] = lost
    if problems:
        raise SchemaError(f"The frame of {what} does not fit the schema:", list(problems))
    n = len(frame)
    return Encoded(
        np.stack(columns["categorical"], 1) if columns["categorical"] else np.zeros((n, 0), np.int32),
        np.stack(columns["numeric"], 1) if columns["numeric"] else np.zeros((n, 0), np.float32),
        unseen,
    )


def _encode_categorical(values: Any, f: Feature) -> tuple[np.ndarray, int]:
    codes, known = date_part(values, f.part) if f.part else texts(values)
    index = {c: i + 1 for i, c in enumerate(f.categories)}
    lookup = np.array([index.get(v, 0) for v in known] + [0], np.int32)  # code -1 (missing) reads the last entry
    column = lookup[codes]
    return column, int((column == 0).sum())


def _encode_numeric(values: Any, f: Feature) -> tuple[np.ndarray, int]:
    x = age(values, f.reference) if f.part else transformed(floats(values), f.log1p)
    missing = np.isnan(x)
    with np.errstate(over="ignore"):
        z = ((np.where(missing, f.mean, x) - f.mean) / f.std).astype(np.float32)
    if not np.isfinite(z).all():
        rows = np.flatnonzero(~np.isfinite(z))
        raise ColumnError(f"is beyond float32 once standardised in {_rows(rows, len(z))}: value {x[rows[0]]}")
    return z, int(missing.sum())


def transformed(x: np.ndarray, log1p: bool) -> np.ndarray:
    """`x`, or log(1 + x) where `log1p`; missing values stay NaN, infinite ones are refused."""
    infinite = np.flatnonzero(np.isinf(x))
    if infinite.size:
        raise ColumnError(f"is infinite in {_rows(infinite, len(x))}; use a missing value or a number")
    if not log1p:
        return x
    low = np.flatnonzero(x <= -1)
    if low.size:
        raise ColumnError(f"is taken as log(1 + x) but is {x[low[0]]} in {_rows(low, len(x))}")
    return np.log1p(x)


def _rows(rows: np.ndarray, n: int) -> str:
    return f"{rows.size:,} of {n:,} rows, the first is row {rows[0]}"


# -- parts of dates ------------------------------------------------------------------------------------------------
def age(values: Any, reference: str) -> np.ndarray:
    """Days from each date to the day `reference`, (N,) float64, NaN where missing."""
    day, part = days(values)
    return (np.datetime64(reference, "D").astype(np.int64) - day) - part


def date_part(values: Any, part: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The weekday or the month of each date as codes, -1 where missing, and the text of each code."""
    day, of_day = days(values)
    if part == "weekday":
        code = (day + 3) % 7  # 1970-01-01 was a Thursday
    else:
        code = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    return np.where(np.isnan(of_day), -1, code).astype(np.int32), PARTS[part]
