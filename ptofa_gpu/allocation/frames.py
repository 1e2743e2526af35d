"""Data frames of any library narwhals knows become the arrays of a problem, or one error listing what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu._columns import eager, values_of
from ptofa_gpu.allocation._checks import pack
from ptofa_gpu.allocation.blocks import are_blocks, is_file, read_blocks
from ptofa_gpu.device import as_array
from ptofa_gpu.errors import InputError, SchemaError

#: As many column names as a message shows.
_COLUMNS_SHOWN = 12
#: Rows of a wide frame that are written into E together.
_AT_A_TIME = 4096


def read_frames(
    revenue: Any, customers: Any, funds: Any, *, k: Any, eligible: Any, excluded: Any, missing: str
) -> dict[str, Any]:
    """The arguments of `AllocationProblem` (and ``backend``, the data-frame library of `customers`)."""
    problems: list[str] = []
    people = _frame(customers, "customers", ["customer"], problems)
    products = _frame(funds, "funds", ["fund"], problems)
    if products is not None and not {"quota", "quota_low", "quota_high"} & set(products.columns):
        problems.append(
            f"funds lacks the column quota; it has {_columns_of(products)} (a range is quota_low and quota_high)"
        )
        products = None
    if people is None or products is None:
        raise SchemaError("The frames do not describe an allocation problem:", problems)
    customer_ids = _unique_ids(people, "customer", "customers", problems)
    fund_ids = _unique_ids(products, "fund", "funds", problems)
    has_tolerance, has_risk = "tolerance" in people.columns, "risk" in products.columns
    if has_tolerance != has_risk:
        there, absent = (
            ("customers.tolerance", "funds.risk") if has_tolerance else ("funds.risk", "customers.tolerance")
        )
        problems.append(f"{there} is there without {absent}: risk limits need both (or drop both)")
    tolerance = _numbers(people, "tolerance", "customers", problems) if has_tolerance else None
    risk = _numbers(products, "risk", "funds", problems) if has_risk else None
    quota = _quota(products, problems)
    if "k" in people.columns:
        if k is not None:
            problems.append(f"customers.k is there and k={k!r} was given too: give the slots in one place")
        k = _numbers(people, "k", "customers", problems)
    names = [str(n) for n in (products["name"] if "name" in products.columns else products["fund"]).to_list()]
    E, mask = _revenue(revenue, customer_ids, fund_ids, missing, problems)
    pairs = None if excluded is None else _pairs(excluded, customer_ids, fund_ids, problems)
    if problems:
        raise SchemaError("The frames do not describe an allocation problem:", problems)
    if mask is not None and eligible is not None:
        eligible = pack(mask, *mask.shape) & pack(eligible, *mask.shape)
    elif mask is not None:
        eligible = mask
    return {
        "revenue": E,
        "quota": quota,
        "k": 1 if k is None else k,
        "excluded": pairs,
        "tolerance": tolerance,
        "risk": risk,
        "eligible": eligible,
        "names": names,
        "customer_ids": customer_ids,
        "fund_ids": fund_ids,
        "backend": people.implementation.value,
    }


def _frame(native: Any, what: str, columns: list[str], problems: list[str]) -> Any:
    try:
        frame = eager(native, what)
    except SchemaError as e:
        problems += e.problems
        return None
    except InputError as e:
        problems.append(str(e))
        return None
    lacking = [c for c in columns if c not in frame.columns]
    if lacking:
        problems.append(
            f"{what} lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; it has {_columns_of(frame)}"
        )
        return None
    if len(frame) == 0:
        problems.append(f"{what} has no rows")
        return None
    return frame


def _columns_of(frame: Any) -> str:
    names = [repr(c) for c in frame.columns]
    left = len(names) - _COLUMNS_SHOWN
    return ", ".join(names[:_COLUMNS_SHOWN]) + (f" and {left:,} more" if left > 0 else "")


def _rows(n: int, one: str, many: str) -> str:
    """'1 row is', '2 rows are'."""
    return f"1 row {one}" if n == 1 else f"{n:,} rows {many}"


def _unique_ids(frame: Any, column: str, what: str, problems: list[str]) -> np.ndarray:
    series = frame[column]
    empty = int(series.null_count())
    if empty:
        problems.append(f"{what}.{column}: {_rows(empty, 'has', 'have')} no id")
    ids = values_of(series)
    if ids.dtype.kind in "iu":
        if bool((ids[1:] > ids[:-1]).all()):
            return ids  # in order, as tables mostly are: nothing is sorted or hashed
        ordered = np.sort(ids)
        twice = int((ordered[1:] == ordered[:-1]).sum())
    else:
        twice = int(len(series) - series.n_unique())
    if twice:
        first = series.filter(series.is_duplicated()).to_list()[0]
        problems.append(f"{what}.{column}: {_rows(twice, 'repeats', 'repeat')} an id; the first is {first!r}")
    return ids


def _numbers(frame: Any, column: str, what: str, problems: list[str]) -> np.ndarray:
    series = frame[column]
    if not series.dtype.is_numeric():
        shown = series.drop_nulls().head(1).to_list()
        such = f" (such as {shown[0]!r})" if shown else ""
        kind = "numbers" if what == "revenue" else "whole numbers"
        problems.append(f"{what}.{column} has type {series.dtype}{such}; it needs {kind}")
        return np.zeros(len(series), np.int64)
    empty = int(series.null_count())
    if empty:
        key = "fund" if what == "funds" else "customer"
        first = frame.filter(series.is_null())[key].to_list()[0]
        problems.append(
            f"{what}.{column}: {_rows(empty, 'is', 'are')} empty, {'that' if empty == 1 else 'the first'} of {key} "
            f"{first!r}"
        )
        return np.zeros(len(series), np.int64)
    return values_of(series)


def _quota(products: Any, problems: list[str]) -> np.ndarray:
    """(F,) quotas, or (F, 2) ranges."""
    there = [c for c in ("quota", "quota_low", "quota_high") if c in products.columns]
    columns = [_numbers(products, c, "funds", problems) for c in there]
    if len(there) == 1 and there[0] == "quota":
        return columns[0]
    if there != ["quota_low", "quota_high"]:
        problems.append(
            f"funds has the columns {' and '.join(there)}; it needs quota alone, or quota_low and quota_high for ranges"
        )
    return np.stack([columns[0], columns[-1]], axis=1)


def _pairs(excluded: Any, customer_ids: np.ndarray, fund_ids: np.ndarray, problems: list[str]) -> Any:
    """Positions (n, 2) of excluded pairs; what is no frame is taken for positions already."""
    try:
        frame = eager(excluded, "excluded")
    except SchemaError as e:
        problems += e.problems
        return None
    except InputError:
        return excluded
    lacking = [c for c in ("customer", "fund") if c not in frame.columns]
    if lacking:
        problems.append(
            f"excluded lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; it has {_columns_of(frame)}"
        )
        return None
    if len(frame) == 0:
        return None
    row = _positions(frame, "customer", customer_ids, "customers", problems, of="excluded")
    column = _positions(frame, "fund", fund_ids, "funds", problems, of="excluded")
    return np.stack([row, column], axis=1)


def _revenue(
    revenue: Any, customer_ids: np.ndarray, fund_ids: np.ndarray, missing: str, problems: list[str]
) -> tuple[Any, np.ndarray | None]:
    """E in the order of the ids, on the device of the frame; and the pairs a long frame holds, if not all."""
    by_blocks = is_file(revenue) or are_blocks(revenue)
    try:
        frame = None if by_blocks else eager(revenue, "revenue")
    except SchemaError as e:
        problems += e.problems
        return None, None
    except InputError:  # no frame, so an array of some library
        frame = None
    if frame is None:
        E = read_blocks(revenue) if by_blocks else as_array(revenue)
        if E.shape != (customer_ids.size, fund_ids.size):
            problems.append(
                f"revenue has shape {E.shape}; customers has {customer_ids.size:,} rows and funds {fund_ids.size:,}"
            )
        return E, None
    if "customer" not in frame.columns:
        problems.append(
            "revenue lacks the column customer (and then fund, revenue; or one column a fund); it has "
            f"{_columns_of(frame)}"
        )
        return None, None
    long = "fund" in frame.columns and "revenue" in frame.columns
    row = _positions(frame, "customer", customer_ids, "customers", problems)
    if long:
        return _from_long(frame, row, customer_ids, fund_ids, missing, problems)
    return _from_wide(frame, row, customer_ids, fund_ids, problems)


def _positions(
    frame: Any, column: str, ids: np.ndarray, where: str, problems: list[str], of: str = "revenue"
) -> np.ndarray:
    """The place of each id among `ids`, the ids of the frame `where`; -1 where unknown."""
    values = values_of(frame[column])
    here, there = _kind(values), _kind(ids)
    if here != there and "other" not in (here, there):
        problems.append(
            f"{of}.{column} and {where}.{column} do not match: ids are {here} here and {there} there; write both "
            "the same way"
        )
        return np.full(len(values), -1)
    if values.dtype.kind in "iu" and np.array_equal(values, ids):
        return np.arange(ids.size)
    if values.dtype.kind in "iu" and ids.dtype.kind in "iu":
        order = np.argsort(ids, kind="stable")
        at = np.minimum(np.searchsorted(ids[order], values), ids.size - 1)
        out = np.where(ids[order][at] == values, order[at], -1)
    else:
        place = {v: i for i, v in enumerate(ids.tolist())}
        out = np.fromiter((place.get(v, -1) for v in values.tolist()), np.int64, len(values))
    unknown = int((out < 0).sum())
    if unknown:
        problems.append(
            f"{of}.{column}: {_rows(unknown, 'names', 'name')} a {column} that {where} does not hold; the first is "
            f"{values[int(np.argmin(out >= 0))]!s}"
        )
    return out


def _kind(ids: np.ndarray) -> str:
    if ids.dtype.kind in "iu":
        return "integers"
    first = next((v for v in ids.tolist() if v is not None), None)
    return "text" if isinstance(first, str) else "other"


def _from_long(
    frame: Any, row: np.ndarray, customer_ids: np.ndarray, fund_ids: np.ndarray, missing: str, problems: list[str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    column = _positions(frame, "fund", fund_ids, "funds", problems)
    values = _numbers(frame, "revenue", "revenue", problems)
    if problems:
        return None, None
    shape = (customer_ids.size, fund_ids.size)
    flat = row.astype(np.int64) * fund_ids.size + column
    held = np.zeros(shape[0] * shape[1], bool)
    held[flat] = True
    twice = flat.size - int(held.sum())
    if twice:
        problems.append(f"revenue: {_rows(twice, 'repeats', 'repeat')} a (customer, fund) pair")
    absent = held.size - int(held.sum())
    if absent and missing != "exclude":
        problems.append(
            f"revenue: {absent:,} of {held.size:,} (customer, fund) pairs are missing; give them, or say "
            "missing='exclude' if they may not be shown"
        )
    E = np.zeros(held.size, np.float32)
    E[flat] = values
    return E.reshape(shape), held.reshape(shape) if absent else None


def _from_wide(
    frame: Any, row: np.ndarray, customer_ids: np.ndarray, fund_ids: np.ndarray, problems: list[str]
) -> tuple[Any, None]:
    columns = [str(f) for f in fund_ids.tolist()]
    lacking = [c for c in columns if c not in frame.columns]
    if lacking:
        problems.append(
            f"revenue lacks a column for {len(lacking):,} fund{'s' * (len(lacking) > 1)}, the first is "
            f"{lacking[0]!r} (a wide frame has one column a fund, named by its id; a long one has customer, fund, "
            "revenue)"
        )
        return None, None
    if (row < 0).any():
        return None, None  # said already
    in_order = np.array_equal(row, np.arange(customer_ids.size))
    if not in_order and (row.size != customer_ids.size or int(np.bincount(row, minlength=1).max()) > 1):
        problems.append(f"revenue has {row.size:,} rows for {customer_ids.size:,} customers; it needs one row each")
        return None, None
    values = [_numbers(frame, c, "revenue", problems) for c in columns]
    if problems:
        return None, None
    if frame.implementation.is_cudf():
        E = frame.to_native()[columns].to_cupy().astype("float32")
        out = E.copy()
        out[row] = E  # stays on the device
        return out, None
    out = np.empty((customer_ids.size, len(columns)), np.float32)
    for lo in range(0, row.size, _AT_A_TIME):  # every column of some rows: they are written while they are in the cache
        some = slice(lo, lo + _AT_A_TIME)
        rows = some if in_order else row[some]
        for j, column in enumerate(values):
            out[rows, j] = column[some]
    return out, None
