"""Data frames of any library narwhals knows become the arrays of a problem, or one error listing what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.device import as_array
from ptofa_gpu.errors import SchemaError


def read_frames(revenue: Any, customers: Any, funds: Any, *, eligible: Any, missing: str) -> dict[str, Any]:
    """The arguments of `AllocationProblem` (and ``backend``, the data-frame library of `customers`)."""
    import narwhals as nw

    problems: list[str] = []
    people = _frame(customers, "customers", ["customer"], problems)
    products = _frame(funds, "funds", ["fund", "quota"], problems)
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
    quota = _numbers(products, "quota", "funds", problems)
    names = [str(n) for n in (products["name"] if "name" in products.columns else products["fund"]).to_list()]
    E, mask = _revenue(revenue, customer_ids, fund_ids, missing, problems)
    if problems:
        raise SchemaError("The frames do not describe an allocation problem:", problems)
    if mask is not None:
        eligible = mask if eligible is None else mask & np.asarray(eligible, bool)
    return {
        "revenue": E,
        "quota": quota,
        "tolerance": tolerance,
        "risk": risk,
        "eligible": eligible,
        "names": names,
        "customer_ids": customer_ids,
        "fund_ids": fund_ids,
        "backend": nw.from_native(customers).implementation.value,
    }


def _frame(native: Any, what: str, columns: list[str], problems: list[str]) -> Any:
    import narwhals as nw

    try:
        frame = nw.from_native(native, eager_only=True)
    except TypeError:
        problems.append(f"{what} is a {type(native).__name__}, not a data frame (pandas, Polars, PyArrow, cuDF, ...)")
        return None
    lacking = [c for c in columns if c not in frame.columns]
    if lacking:
        problems.append(f"{what} lacks the column(s) {', '.join(lacking)}; it has {', '.join(map(str, frame.columns))}")
        return None
    if len(frame) == 0:
        problems.append(f"{what} has no rows")
        return None
    return frame


def _unique_ids(frame: Any, column: str, what: str, problems: list[str]) -> np.ndarray:
    series = frame[column]
    empty = int(series.null_count())
    if empty:
        problems.append(f"{what}.{column}: {empty:,} row(s) without an id")
    twice = int(len(series) - series.n_unique())
    if twice:
        first = series.filter(series.is_duplicated()).to_list()[0]
        problems.append(f"{what}.{column}: {twice:,} row(s) repeat an id; the first is {first!r}")
    return np.asarray(series.to_numpy())


def _numbers(frame: Any, column: str, what: str, problems: list[str]) -> np.ndarray:
    series = frame[column]
    if not series.dtype.is_numeric():
        problems.append(f"{what}.{column} has type {series.dtype}; it needs whole numbers")
        return np.zeros(len(series), np.int64)
    empty = int(series.null_count())
    if empty:
        problems.append(f"{what}.{column}: {empty:,} row(s) are empty")
        return np.zeros(len(series), np.int64)
    return np.asarray(series.to_numpy())


def _revenue(
    revenue: Any, customer_ids: np.ndarray, fund_ids: np.ndarray, missing: str, problems: list[str]
) -> tuple[Any, np.ndarray | None]:
    """E in the order of the ids, on the device of the frame; and the pairs a long frame holds, if not all."""
    import narwhals as nw

    try:
        frame = nw.from_native(revenue, eager_only=True)
    except TypeError:
        E = as_array(revenue)
        if E.shape != (customer_ids.size, fund_ids.size):
            problems.append(
                f"revenue has shape {E.shape}; customers has {customer_ids.size:,} rows and funds {fund_ids.size:,}"
            )
        return E, None
    if "customer" not in frame.columns:
        problems.append("revenue lacks the column customer (and then fund, revenue; or one column a fund)")
        return None, None
    long = "fund" in frame.columns and "revenue" in frame.columns
    row, unknown = _positions(frame["customer"].to_numpy(), customer_ids)
    if unknown:
        problems.append(f"revenue.customer: {unknown:,} row(s) name a customer that customers does not hold")
    if long:
        return _from_long(frame, row, customer_ids, fund_ids, missing, problems)
    return _from_wide(frame, row, customer_ids, fund_ids, problems)


def _positions(values: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, int]:
    """The place of each value among `ids` (-1 where unknown), and how many are unknown."""
    if values.dtype.kind in "iu" and ids.dtype.kind in "iu":
        order = np.argsort(ids, kind="stable")
        at = np.minimum(np.searchsorted(ids[order], values), ids.size - 1)
        out = np.where(ids[order][at] == values, order[at], -1)
    else:
        place = {v: i for i, v in enumerate(ids.tolist())}
        out = np.fromiter((place.get(v, -1) for v in values.tolist()), np.int64, len(values))
    return out, int((out < 0).sum())


def _from_long(
    frame: Any, row: np.ndarray, customer_ids: np.ndarray, fund_ids: np.ndarray, missing: str, problems: list[str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    column, unknown = _positions(frame["fund"].to_numpy(), fund_ids)
    if unknown:
        problems.append(f"revenue.fund: {unknown:,} row(s) name a fund that funds does not hold")
    values = _numbers(frame, "revenue", "revenue", problems)
    if problems:
        return None, None
    shape = (customer_ids.size, fund_ids.size)
    flat = row.astype(np.int64) * fund_ids.size + column
    held = np.zeros(shape[0] * shape[1], bool)
    held[flat] = True
    twice = flat.size - int(held.sum())
    if twice:
        problems.append(f"revenue: {twice:,} row(s) repeat a (customer, fund) pair")
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
            f"revenue lacks a column for {len(lacking):,} fund(s), the first is {lacking[0]!r} (a wide frame has one "
            "column a fund, named by its id; a long one has customer, fund, revenue)"
        )
        return None, None
    if np.unique(row).size != row.size or row.size != customer_ids.size:
        problems.append(f"revenue has {row.size:,} rows for {customer_ids.size:,} customers; it needs one row each")
        return None, None
    for c in columns:
        _numbers(frame, c, "revenue", problems)
    if problems:
        return None, None
    if frame.implementation.is_cudf():
        E = frame.to_native()[columns].to_cupy().astype("float32")
        out = E.copy()
        out[row] = E  # stays on the device
        return out, None
    out = np.empty((customer_ids.size, len(columns)), np.float32)
    for j, c in enumerate(columns):
        out[row, j] = frame[c].to_numpy()
    return out, None
