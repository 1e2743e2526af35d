"""Frames of expected revenue, long or wide, as E in the order of the ids of customers and funds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._columns import ColumnError, arrow_column, floats, is_machine_number, values_of
from ptofa_gpu._frames import columns_of, lacking, positions, report
from ptofa_gpu._ids import Ids, shown
from ptofa_gpu.allocation._checks import exclude_pairs, pack, pack_eligible
from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from ptofa_gpu._columns import Eager

#: Rows of a wide frame that are written into E together.
_AT_A_TIME = 4096
_FLOAT32 = float(np.finfo(np.float32).max)


class Visible:
    """Which pairs may be shown: the others need no revenue.

    Parameters
    ----------
    shape : (U, F), or None where it is not known
    tolerance, risk : (U,) and (F,) int64, or None
    eligible, excluded
        As in :class:`AllocationProblem`.
    """

    def __init__(self, shape: tuple[int, int] | None, tolerance: Any, risk: Any, eligible: Any, excluded: Any):
        self.shape, self.tolerance, self.risk = shape, tolerance, risk
        self.eligible, self.excluded = eligible, excluded

    def also(self, held: np.ndarray | None) -> Any:
        """`eligible` without the pairs that are not `held`."""
        if held is None or self.eligible is None:
            return self.eligible if held is None else held
        try:
            return pack(held, *held.shape) & pack(self.eligible, *held.shape)
        except InputError:  # said when the problem is made
            return self.eligible

    def among(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Whether pairs may be shown, (n,) bool; a row or column of -1 is not known and might be."""
        out = np.ones(len(row), bool)
        at = np.flatnonzero((row >= 0) & (column >= 0))
        row, column = row[at], column[at]
        if self.tolerance is not None and self.risk is not None:
            out[at] &= self.tolerance[row] >= self.risk[column]
        words = self._words()
        if words is not None:
            out[at] &= (words[row, column >> 6] >> (column & 63).astype(np.uint64) & np.uint64(1)).astype(bool)
        return out

    def _words(self) -> np.ndarray | None:
        if self.shape is None:
            return None
        try:
            return exclude_pairs(pack_eligible(self.eligible, *self.shape), self.excluded, *self.shape)
        except InputError:  # said when the problem is made
            return None


def read_revenue(
    frame: Eager, customers: Ids | None, funds: Ids | None, exclude: bool, visible: Visible, problems: list[str]
) -> tuple[Any, np.ndarray | None]:
    """E (U, F), on the device of the frame, of float32 or, where that has more digits, of float64; and the pairs a long
    frame holds where it lacks some.

    Parameters
    ----------
    exclude : bool
        Whether pairs that a long frame lacks may not be shown; else they are a problem.
    problems : list of str
        Where what is wrong is added; then there is no E.
    """
    wrong = len(problems)
    row = None
    if "customer" in frame.columns:
        row = positions(frame, "customer", "revenue", customers, "customers", problems)
    else:
        problems.append(f"{lacking(frame, 'customer', 'revenue')} (and then fund, revenue; or one column a fund)")
    long = "fund" in frame.columns and "revenue" in frame.columns
    read = _from_long if long else _from_wide
    E, held = read(frame, row, customers, funds, exclude, visible, problems)
    return (None, None) if len(problems) > wrong else (E, held)


def _from_long(
    frame: Eager,
    row: np.ndarray | None,
    customers: Ids | None,
    funds: Ids | None,
    exclude: bool,
    visible: Visible,
    problems: list[str],
) -> tuple[Any, np.ndarray | None]:
    column = positions(frame, "fund", "revenue", funds, "funds", problems)
    values = amounts(frame, "revenue", problems)
    if values is not None:
        _report_not_finite(frame, "revenue", values, row, column, visible, problems)
    if row is None or column is None or customers is None or funds is None:
        return None, None
    known = (row >= 0) & (column >= 0)
    unknown = int(known.size - np.count_nonzero(known))
    flat = row * len(funds) + column
    shape = len(customers), len(funds)
    held = np.zeros(shape[0] * shape[1], bool)
    held[flat if not unknown else flat[known]] = True
    n_held = int(np.count_nonzero(held))
    if n_held < flat.size - unknown:
        again = _again(flat, known)
        report(problems, again, frame, "revenue", "the (customer, fund) pair was there before", ["customer", "fund"])
    absent = _distinct(customers) * _distinct(funds) - n_held
    if absent > unknown and not exclude:  # rows of unknown ids may be those
        problems.append(
            f"revenue: {absent:,} of {_distinct(customers) * _distinct(funds):,} (customer, fund) pairs are missing; "
            "give them, or say missing='exclude' if they may not be shown"
        )
    if values is None or unknown:
        return None, None
    E: np.ndarray = np.zeros(held.size, _kept([values]))
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which only pairs that may not be shown can be here
        E[flat] = values
    return E.reshape(shape), held.reshape(shape) if absent else None


def _from_wide(
    frame: Eager,
    row: np.ndarray | None,
    customers: Ids | None,
    funds: Ids | None,
    exclude: bool,
    visible: Visible,
    problems: list[str],
) -> tuple[Any, None]:
    wrong = len(problems)
    columns = _columns_of_funds(frame, funds, problems)
    values = {}
    for f, name in columns.items():
        x = None if frame.implementation.is_cudf() else amounts(frame, name, problems)
        if x is not None:
            values[f] = x
            _report_not_finite(frame, name, x, row, np.full(len(x), f), visible, problems)
    if row is None or customers is None or funds is None:
        return None, None
    n = len(customers)
    in_order = row.size == n and np.array_equal(row, np.arange(n))
    if not in_order:
        _check_one_row_each(frame, row, customers, problems)
    if len(problems) > wrong or (row < 0).any():
        return None, None
    if frame.implementation.is_cudf():
        return _from_cudf(frame, list(columns.values()), row, problems), None
    out: np.ndarray = np.empty((n, len(funds)), _kept(values.values()))
    with np.errstate(over="ignore"):
        for lo in range(0, n, _AT_A_TIME):  # every column of some rows: they are written while they are in the cache
            some = slice(lo, lo + _AT_A_TIME)
            rows = some if in_order else row[some]
            for f, column in values.items():
                out[rows, f] = column[some]
    return out, None


def _columns_of_funds(frame: Eager, funds: Ids | None, problems: list[str]) -> dict[int, str]:
    """The column of each fund, named by its id as text."""
    if funds is None:
        return {}
    wanted = funds.texts()
    if "customer" in wanted:
        problems.append(
            "revenue: the fund 'customer' cannot have a column of its own beside the customers' ids; give a long frame "
            "(customer, fund, revenue)"
        )
    there = set(frame.columns) - {"customer"}
    absent = [c for c in dict.fromkeys(wanted) if c not in there and c != "customer"]
    if absent:
        problems.append(
            f"revenue lacks a column for {len(absent):,} fund{'s' * (len(absent) > 1)}, the first is {absent[0]!r} (a "
            "wide frame has one column a fund, named by its id; a long one has customer, fund, revenue); it has "
            f"{columns_of(frame)}"
        )
    return {f: c for f, c in enumerate(wanted) if c in there}


def _check_one_row_each(frame: Eager, row: np.ndarray, customers: Ids, problems: list[str]) -> None:
    known = row if row.size and row.min() >= 0 else row[row >= 0]
    count = np.bincount(known, minlength=len(customers))
    if known.size and count.max() > 1:
        report(problems, _again(row, row >= 0), frame, "revenue", "the customer was there before", ["customer"])
    absent = _distinct(customers) - int(np.count_nonzero(count))
    if absent > row.size - known.size:  # rows of unknown ids may be those
        first_absent = customers[int(np.argmin(count > 0))]
        problems.append(
            f"revenue lacks the row of {absent:,} customer{'s' * (absent > 1)}, the first is {shown(first_absent)} (a "
            "wide frame has one row a customer)"
        )


def _again(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Rows `among` all whose value an earlier row has."""
    rows = np.flatnonzero(among)
    _, first = np.unique(values[rows], return_index=True)
    return np.delete(rows, first)


def _distinct(ids: Ids) -> int:
    """As many different ids as there are."""
    rows, shared = ids.repeated
    missing = 0 if ids.missing is None else int(ids.missing.sum())
    return len(ids) - rows.size + shared - missing


def _kept(columns: Iterable[np.ndarray]) -> type:
    """float32 where that holds every number; else the problem decides what to keep."""
    return np.float32 if all(np.can_cast(x.dtype, np.float32) for x in columns) else np.float64


# -- amounts ---------------------------------------------------------------------------------------------------------
def amounts(frame: Eager, column: str, problems: list[str]) -> np.ndarray | None:
    """Numbers of any type as an array, NaN where missing; None where they are none."""
    series = frame.get_column(column)
    if is_machine_number(series, floats=True):
        values = values_of(series)
        if values.dtype.kind in "iuf":
            return values
    try:
        array = arrow_column(frame, column)
        import pyarrow.types as pt

        if pt.is_boolean(array.type):
            raise ColumnError("holds true and false; it needs numbers")
        return floats(array)
    except ColumnError as e:
        problems.append(f"revenue: column {column!r} {e}")
        return None


def _report_not_finite(
    frame: Eager,
    name: str,
    values: np.ndarray,
    row: np.ndarray | None,
    column: np.ndarray | None,
    visible: Visible,
    problems: list[str],
) -> None:
    """A problem where a pair that may be shown has no number."""
    if values.dtype.kind != "f" or not values.size:
        return
    if max(float(values.max()), -float(values.min())) <= _FLOAT32:  # not where one of them is NaN
        return
    with np.errstate(over="ignore"):
        bad = np.flatnonzero(~(np.abs(values) <= _FLOAT32))
    here = [np.full(bad.size, -1) if x is None else x[bad] for x in (row, column)]
    bad = bad[visible.among(*here)]
    keys = ["customer", "fund"] if name == "revenue" and "fund" in frame.columns else ["customer"]
    gone = bad[np.isnan(values[bad])]
    report(problems, gone, frame, "revenue", f"{name} is missing", keys)
    report(problems, np.setdiff1d(bad, gone), frame, "revenue", f"{name} is infinite or beyond float32", [*keys, name])


def _from_cudf(frame: Eager, columns: list[str], row: np.ndarray, problems: list[str]) -> Any:
    """E on the device, where it stays."""
    for c in columns:
        series = frame.get_column(c)
        if not series.dtype.is_numeric():
            problems.append(f"revenue: column {c!r} has type {series.dtype}; it needs numbers")
        elif series.null_count():
            report(
                problems, np.flatnonzero(series.is_null().to_numpy()), frame, "revenue", f"{c} is missing", ["customer"]
            )
    if problems:
        return None
    E = frame.to_native()[columns].to_cupy().astype("float32")
    out = E.copy()
    out[row] = E
    return out
