"""Frames of customers and funds, checked once for all who take them: what is wrong is added to a list of problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ptofa_gpu._columns import (
    ColumnError,
    arrow_column,
    arrow_of,
    decoded,
    floats,
    is_machine_number,
    text_of,
    values_of,
)
from ptofa_gpu._ids import Ids, shared_in_words, shown

if TYPE_CHECKING:
    import narwhals as nw

    from ptofa_gpu._columns import Eager

#: What int8 holds: the widest range a tolerance or risk level may have, and the most slots a customer can have.
LEVEL_RANGE = (-128, 127)
#: What quotas, and their sum, may be.
QUOTAS = (0, 2**62 - 1)
#: As many column names as a message shows.
_COLUMNS_SHOWN = 12

T = TypeVar("T")


@dataclass
class Customers:
    """The frame of customers, read: ids, tolerance (U,) int64 and slots (U,) int64; None for what is not there."""

    ids: Ids | None
    tolerance: np.ndarray | None
    k: np.ndarray | None


@dataclass
class Funds:
    """The frame of funds, read: ids, risk (F,) int64, quota (F,) int64 or ranges (F, 2), and names.

    Ranges with open ends are float64: NaN is a low end of 0, or a high end that is open.
    """

    ids: Ids | None
    risk: np.ndarray | None
    quota: np.ndarray | None
    names: list[str] | None


def read_customers(frame: Eager, n_funds: int, problems: list[str], levels: tuple[int, int] = LEVEL_RANGE) -> Customers:
    """Check ``customer``, and ``tolerance`` and ``k`` where they are there."""
    ids = unique_ids(frame, "customer", "customers", problems)
    tolerance = _optional(frame, "tolerance", "customers", levels, problems)
    k = _optional(frame, "k", "customers", (0, min(n_funds, LEVEL_RANGE[1])), problems)
    if k is not None and k.size and not k.any():
        problems.append("customers: k is 0 for every customer: there is no slot to fill")
        k = None
    return Customers(ids, tolerance, k)


def read_funds(frame: Eager, problems: list[str], levels: tuple[int, int] = LEVEL_RANGE) -> Funds:
    """Check ``fund``, and where they are there ``risk``, ``quota`` (or ``quota_low``, ``quota_high``) and ``name``."""
    ids = unique_ids(frame, "fund", "funds", problems)
    risk = _optional(frame, "risk", "funds", levels, problems)
    return Funds(ids, risk, _quota(frame, problems), _names(frame, ids, problems))


def check_limits(customers: Eager, funds: Eager, problems: list[str]) -> None:
    """Risk limits need both columns."""
    both = {"customers.tolerance": "tolerance" in customers.columns, "funds.risk": "risk" in funds.columns}
    if len(set(both.values())) == 2:
        there, absent = sorted(both, key=lambda name: not both[name])
        problems.append(f"{there} is there without {absent}: risk limits need both (or drop both)")


# -- ids -------------------------------------------------------------------------------------------------------------
def unique_ids(frame: Eager, column: str, what: str, problems: list[str]) -> Ids | None:
    """The ids of a frame, none missing and none twice; None where they cannot be read."""
    ids = _ids(frame, column, what, problems)
    if len(frame) == 0:
        problems.append(f"{what} has no rows")
    if ids is None:
        return None
    if ids.missing is not None:
        report(problems, np.flatnonzero(ids.missing), frame, what, f"{column} is missing", [])
    rows, distinct = ids.repeated
    if rows.size:
        words = shared_in_words(rows, len(ids), distinct, "id", ids[int(rows[0])])
        problems.append(f"{what}: {column} must be unique; {words}")
    return ids


def positions(
    frame: Eager, column: str, what: str, ids: Ids | None, where: str, problems: list[str]
) -> np.ndarray | None:
    """The row in `where`, the frame of `ids`, of each id of a column; -1 where it is unknown or missing.

    None where one of the two columns cannot be read, or the two do not compare.
    """
    found = _ids(frame, column, what, problems)
    if found is None:
        return None
    if found.missing is not None:
        report(problems, np.flatnonzero(found.missing), frame, what, f"{column} is missing", [])
    if ids is None:
        return None
    if found.mismatch(ids):
        problems.append(
            f"{what}: {column} holds {found.kind} but {where}.{column} holds {ids.kind}; write both the same way (on "
            "the command line, --id-type says how ids are read)"
        )
        return None
    out = ids.positions(found)
    unknown = np.flatnonzero((out < 0) if found.missing is None else (out < 0) & ~found.missing)
    if unknown.size:
        distinct = len(set(found[unknown].texts()))
        said = f"{distinct:,} unknown id{'s' * (distinct > 1)}"
        report(problems, unknown, frame, what, f"{column} is not in {where} ({said})", [column])
    return out


def _ids(frame: Eager, column: str, what: str, problems: list[str]) -> Ids | None:
    def read_ids(series: Any) -> Ids:
        ids = Ids(series)
        _ = ids.kind  # where they cannot be read, the error is due here
        return ids

    return _read(frame, column, what, read_ids, problems)


# -- numbers and names -----------------------------------------------------------------------------------------------
def whole_numbers(
    frame: Eager, column: str, what: str, bounds: tuple[int, int], problems: list[str], *, may_miss: bool = False
) -> np.ndarray | None:
    """A column of whole numbers within `bounds`, (N,) int64.

    Integers, decimals, and floats that are whole; no booleans. Where `may_miss`, missing and infinite values are
    allowed, and a column that has some is float64 with NaN in their place.
    """
    x = _read(frame, column, what, _numbers, problems)
    if x is None:
        return None
    key = {"customers": "customer", "funds": "fund"}.get(what)
    show = [c for c in (key, column) if c]
    wrong = len(problems)
    if x.dtype.kind in "iu":
        outside = np.flatnonzero((x < bounds[0]) | (x > bounds[1])) if x.size and _exceeds(x, bounds) else x[:0]
    else:
        missing = np.isnan(x) | (np.isposinf(x) if may_miss else False)
        with np.errstate(invalid="ignore"):
            fraction = np.flatnonzero(~missing & ~(np.isfinite(x) & (x == np.floor(x))))
            outside = np.flatnonzero(np.isfinite(x) & ((x < bounds[0]) | (x > bounds[1])))
        if may_miss:
            x = np.where(missing, np.nan, x)
        else:
            report(problems, np.flatnonzero(missing), frame, what, f"{column} is missing", show[:-1])
        report(problems, fraction, frame, what, f"{column} must be whole", show)
    if bounds == QUOTAS:
        report(problems, outside[x[outside] < 0], frame, what, f"{column} must be not negative", show)
        outside = outside[x[outside] > 0]
        report(problems, outside, frame, what, f"{column} is more than any number of customers can be", show)
    else:
        report(problems, outside, frame, what, f"{column} must be within {bounds[0]}..{bounds[1]}", show)
    if len(problems) > wrong:
        return None
    return x if may_miss and x.dtype.kind == "f" and np.isnan(x).any() else x.astype(np.int64, copy=False)


def _exceeds(x: np.ndarray, bounds: tuple[int, int]) -> bool:
    return int(x.min()) < bounds[0] or int(x.max()) > bounds[1]


def _optional(frame: Eager, column: str, what: str, bounds: tuple[int, int], problems: list[str]) -> np.ndarray | None:
    return whole_numbers(frame, column, what, bounds, problems) if column in frame.columns else None


def _numbers(series: nw.Series[Any]) -> np.ndarray:
    """Integers as they are, other numbers as float64 with NaN where missing; whole decimals exactly."""
    if is_machine_number(series):
        values = values_of(series)
        if values.dtype.kind in "iu":
            return values
    import pyarrow as pa
    import pyarrow.types as pt

    array = decoded(arrow_of(series))
    if pt.is_boolean(array.type):
        raise ColumnError("holds true and false; it needs whole numbers")
    if not array.null_count and pt.is_decimal(array.type) and array.type.bit_width >= 128:
        try:
            return np.from_dlpack(array.cast(pa.int64()))
        except pa.ArrowInvalid:  # fractions, or beyond 64 bits
            pass
    return floats(array)


def _quota(frame: Eager, problems: list[str]) -> np.ndarray | None:
    """(F,) quotas, or (F, 2) ranges; None where there are none, or where they are wrong."""
    there = [c for c in ("quota", "quota_low", "quota_high") if c in frame.columns]
    columns = [whole_numbers(frame, c, "funds", QUOTAS, problems, may_miss=c != "quota") for c in there]
    if there not in ([], ["quota"], ["quota_low", "quota_high"]):
        problems.append(
            f"funds has the column{'s' * (len(there) > 1)} {' and '.join(there)}; it needs quota alone, or quota_low "
            "and quota_high for ranges"
        )
        return None
    if not columns or any(c is None for c in columns):
        return None
    high = columns[-1]
    assert high is not None
    total = sum(int(d) for d in high if not np.isnan(d))
    if total > QUOTAS[1]:
        problems.append(f"funds: the quotas sum to {total:,}, more than any number of customers can be")
    if len(there) == 1:
        return high
    low = columns[0]
    assert low is not None
    above = np.flatnonzero(low > high)  # False beside an open end
    report(problems, above, frame, "funds", "quota_low is above quota_high", ["fund", *there])
    return np.stack([low, high], axis=1)


def _names(frame: Eager, ids: Ids | None, problems: list[str]) -> list[str] | None:
    """Each fund's name, or its id where it has none."""
    ids_said = None if ids is None else ids.texts()
    if "name" not in frame.columns:
        return ids_said
    given = _read(frame, "name", "funds", _values, problems)
    if given is None:
        return None
    names = [text_of(v) if v is not None else (ids_said[f] if ids_said else None) for f, v in enumerate(given)]
    said = [n for n in names if n is not None]
    count: dict[str, int] = {}
    for n in said:
        count[n] = count.get(n, 0) + 1
    rows = np.array([f for f, n in enumerate(names) if n is not None and count[n] > 1], np.int64)
    if rows.size:
        distinct = sum(c > 1 for c in count.values())
        words = shared_in_words(rows, len(names), distinct, "name", names[int(rows[0])])
        problems.append(f"funds: name must be unique; {words}")
    return said


def _values(series: nw.Series[Any]) -> list[Any]:
    """Python values, None where missing (NaN too)."""
    import pyarrow as pa

    try:
        values = decoded(arrow_of(series)).to_pylist()
    except pa.ArrowException as e:
        raise ColumnError(f"cannot be read: {e}") from e
    return [None if v is None or v != v else v for v in values]


# -- reading and reporting -------------------------------------------------------------------------------------------
def read(frame: Eager, column: str, what: str, reader: Callable[[Any], T], problems: list[str]) -> T | None:
    """Column through `reader` of Arrow arrays, or None with the reason in `problems`."""
    return _read(frame, column, what, lambda _: reader(arrow_column(frame, column)), problems)


def _read(frame: Eager, column: str, what: str, reader: Callable[[Any], T], problems: list[str]) -> T | None:
    if column not in frame.columns:
        problems.append(lacking(frame, column, what))
        return None
    try:
        return reader(frame.get_column(column))
    except ColumnError as e:
        problems.append(f"{what}: column {column!r} {e}")
        return None


def lacking(frame: Eager, column: str, what: str) -> str:
    """The problem of a frame without a column."""
    return f"{what}: column {column!r} is missing; there are {columns_of(frame)}"


def columns_of(frame: Eager) -> str:
    """Names of a frame's columns, the first of many."""
    names = [repr(c) for c in frame.columns]
    left = len(names) - _COLUMNS_SHOWN
    return ", ".join(names[:_COLUMNS_SHOWN]) + (f" and {left:,} more" if left > 0 else "")


def report(problems: list[str], rows: np.ndarray, frame: Eager, what: str, claim: str, show: list[str]) -> None:
    """One line: what is wrong, in how many rows, and the first of them with the values of the columns `show`."""
    if rows.size == 0:
        return
    row = int(rows[0])
    values = ", ".join(f"{c} {shown(_item(frame, c, row))}" for c in show if c in frame.columns)
    first = f"row {row}" + (f" ({values})" if values else "")
    problems.append(f"{what}: {claim}: {rows.size:,} of {len(frame):,} rows, the first is {first}")


def _item(frame: Eager, column: str, row: int) -> Any:
    value = frame.get_column(column).item(row)
    return value.item() if isinstance(value, np.generic) else value
