"""Values that come with labels: dicts, pandas objects and data frames are put in the order of E, or refused.

A position says nothing where a label says something else: what is labelled is aligned by label, and where the labels
are not those of E's rows (customers) or columns (funds) it is an error. An index that only counts rows from 0 is no
label, unless E's own labels are such numbers in another order.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ptofa_gpu._id_arrays import as_ids, check_ids
from ptofa_gpu._id_keys import WHOLE
from ptofa_gpu._ids import Ids, shown
from ptofa_gpu.allocation._checks import check_names
from ptofa_gpu.allocation._revenue_frames import amounts
from ptofa_gpu.errors import InputError

Side = Literal["customer", "fund"]
#: As many labels as a message shows.
_SHOWN = 5


@dataclass(frozen=True)
class Axis:
    """The customers (rows of E) or the funds (its columns), and what they may be called.

    Attributes
    ----------
    side : {"customer", "fund"}
    size : int
        U or F.
    known : tuple
        What values may be labelled by, in any form that `as_ids` reads: identifiers, names, E's own labels; each of
        `size`, without repetition.
    """

    side: Side
    size: int
    known: tuple[Any, ...] = ()

    @cached_property
    def labels(self) -> tuple[Ids, ...]:
        """`known`, read when it is needed."""
        return tuple(as_ids(x, f"{self.side}s") for x in self.known)

    def positions(self, given: Ids, what: str) -> np.ndarray:
        """Which customer or fund each label stands for: (n,) int64, all different.

        Raises
        ------
        InputError
            Where one is unknown or repeated.
        """
        found = self.find(given, what)
        unknown = np.flatnonzero(found < 0)
        if unknown.size:
            raise InputError(
                f"{what} has labels that are no {self.side} of the revenue: {_some(given, unknown)}; the revenue has "
                f"{_some(self.labels[0])}."
            )
        twice = np.flatnonzero(np.bincount(found, minlength=self.size) > 1)
        if twice.size:
            again = given[int(np.argmax(found == twice[0]))]
            raise InputError(f"{what} names {self.side} {shown(again)} more than once.")
        return found

    def find(self, given: Ids, what: str) -> np.ndarray:
        """As `positions`, with -1 for labels that are unknown: by those of our labels that know most of them."""
        if not self.labels:
            one = "a name" if self.side == "fund" else "an id"
            ways = "names=[...] or fund_ids=[...]" if self.side == "fund" else "customer_ids=[...]"
            raise InputError(
                f"{what} is labelled ({_some(given)}) and the revenue's {self.side}s are not: give each {one} by "
                f"{ways} or as labels of the revenue, or pass plain numbers in the order of the revenue."
            )
        best = np.full(len(given), -1, np.int64)
        for known in self.labels:
            if not given.mismatch(known):
                found = known.positions(given)
                best = found if (found >= 0).sum() > (best >= 0).sum() else best
        return best

    def in_order(self, values: Any, what: str, columns: Sequence[str] = ()) -> Any:
        """`values` as plain values in the order of E; what has no labels comes back as it is.

        Parameters
        ----------
        values : dict, pandas Series, data frame, or anything without labels
        what : str
            What messages call it.
        columns : sequence of str, optional
            Where `values` is a frame: the columns that hold the values; by default `what`.

        Raises
        ------
        InputError
            Labels that are unknown, missing or repeated.
        """
        labelled = read_labelled(values, self.side, what, columns)
        if labelled is None:
            return values
        labels, plain, explicit = labelled
        if not explicit and self.is_no_label(labels):
            return plain
        by_position = isinstance(values, Mapping) and not self.labels and labels.kind == WHOLE
        known = Axis(self.side, self.size, (np.arange(self.size),)) if by_position else self
        found = known.positions(labels, what)
        if found.size < self.size:
            left = np.setdiff1d(np.arange(self.size), found)
            names = _some(known.labels[0], left)
            raise InputError(f"{what} lacks {left.size:,} of the {self.size:,} {self.side}s: {names}.")
        out = np.empty(plain.shape, plain.dtype)
        out[found] = plain
        return out

    def is_no_label(self, labels: Ids) -> bool:
        """Whether an index only counts from 0, beside a revenue whose own labels are something else."""
        return _counts(labels) and all(labels.mismatch(own) for own in self.labels)


@dataclass(frozen=True)
class Called:
    """What customers and funds are called: for the plan, and for values that are labelled."""

    customer_ids: Ids | None
    fund_ids: Ids | None
    names: list[str]
    customers: Axis
    funds: Axis


def read_names(
    frame: LabelledRevenue | None, shape: tuple[int, int], customer_ids: Any, fund_ids: Any, names: Any
) -> Called:
    """Identifiers and names as they were given, else the labels of the revenue's own frame.

    Raises
    ------
    InputError
        Where some are missing or repeated, or not as many as there are rows or columns.
    """
    rows = columns = None
    if frame is not None:
        rows = None if frame.customers is None else check_ids(frame.customers, shape[0], "revenue's customers")
        columns = check_ids(frame.funds, shape[1], "revenue's columns")
        customer_ids = rows if customer_ids is None and frame.named[0] else customer_ids
        fund_ids = columns if fund_ids is None and names is None and frame.named[1] else fund_ids
    if rows is not None and frame is not None and frame.named[0]:
        customer_ids = Axis("customer", shape[0], (rows,)).in_order(customer_ids, "customer_ids")
    if columns is not None and frame is not None and frame.named[1]:
        axis = Axis("fund", shape[1], (columns,))
        fund_ids, names = (axis.in_order(x, what) for x, what in ((fund_ids, "fund_ids"), (names, "names")))
    of_customers = _own_labels(customer_ids, "customer_ids")
    of_funds = _own_labels(fund_ids, "fund_ids") + _own_labels(names, "names")
    customer_ids = None if customer_ids is None else check_ids(customer_ids, shape[0], "customer_ids")
    fund_ids = None if fund_ids is None else check_ids(fund_ids, shape[1], "fund_ids")
    _same_order(customer_ids, rows, "customer_ids")
    _same_order(fund_ids, columns, "fund_ids")
    if columns is not None and names is not None:
        _same_order(as_ids(names, "names"), columns, "names")
    if names is None and fund_ids is not None:
        names = fund_ids.texts()
    texts = check_names(names, shape[1])
    known = [fund_ids, None if names is None else texts, columns, *of_funds]
    return Called(
        customer_ids,
        fund_ids,
        texts,
        Axis("customer", shape[0], tuple(x for x in (customer_ids, rows, *of_customers) if x is not None)),
        Axis("fund", shape[1], tuple(x for x in known if x is not None)),
    )


def _same_order(given: Ids | None, own: Ids | None, what: str) -> None:
    """Refuse identifiers or names that are the revenue's own labels in another order: whose values are these?"""
    if given is None or own is None or given is own or len(given) != len(own) or given.mismatch(own):
        return
    found = own.positions(given)
    if found.min() >= 0 and not np.array_equal(found, np.arange(found.size)):
        raise InputError(
            f"{what} are the labels of the revenue in another order: {_some(given)}, and the revenue has {_some(own)}. "
            "Leave them out, or give them in the order of the revenue."
        )


def _own_labels(values: Any, what: str) -> list[Ids]:
    """The index of a pandas Series of identifiers or names, where it says more than a count from 0."""
    if not _is_pandas(values, "Series"):
        return []
    labels = _index(values.index, what)
    return [] if _counts(labels) else [labels]


def _index(index: Any, what: str) -> Ids:
    if getattr(index, "nlevels", 1) > 1:
        raise InputError(f"{what} has labels of {index.nlevels} levels; they need one: see reset_index.")
    return as_ids(index, what)


def _counts(labels: Ids) -> bool:
    """Whether labels only count from 0."""
    keys = labels.keys
    return isinstance(keys, np.ndarray) and np.array_equal(keys, np.arange(keys.size))


def read_labelled(
    values: Any, side: Side, what: str, columns: Sequence[str] = ()
) -> tuple[Ids, np.ndarray, bool] | None:
    """Labels and values of whatever carries labels, and whether they were given on purpose (keys of a dict, a column)
    and not as an index; None for what carries none."""
    if isinstance(values, Mapping):
        return as_ids(list(values), what), _plain(list(values.values()), what), True
    if _is_pandas(values, "Series"):
        return _index(values.index, what), _plain(values, what), False
    if is_frame(values):
        return _read_frame(values, side, what, columns or (what,))
    return None


def _read_frame(values: Any, side: Side, what: str, columns: Sequence[str]) -> tuple[Ids, np.ndarray, bool]:
    from ptofa_gpu._columns import eager

    index = values.index if _is_pandas(values, "DataFrame") else None
    frame = eager(values, what)
    keyed = side in frame.columns
    there = _value_columns(frame.columns, side, what, columns)
    if not keyed and index is None:
        raise InputError(f"{what} is a frame without the column {side!r}, which says whose values its rows are.")
    labels = as_ids(frame[side], what) if keyed else _index(index, what)
    plain = [_plain(frame[c].to_native(), f"{what}.{c}") for c in there]
    return labels, plain[0] if len(plain) == 1 else np.stack(plain, axis=1), keyed


def _value_columns(names: Sequence[str], side: Side, what: str, columns: Sequence[str]) -> list[str]:
    """Which columns of a frame hold the values: the one called `what`, or all of `columns`."""
    there = [c for c in columns if c in names]
    if what in names and there in ([], [what]):
        return [what]
    if what not in names and len(there) == len(columns):
        return there
    wanted = repr(what) if tuple(columns) == (what,) else f"{what!r} alone, or {' and '.join(map(repr, columns))}"
    rest = ", ".join(repr(c) for c in names if c != side)
    raise InputError(f"{what} is a frame with the columns {rest}; it needs {wanted}.")


def _plain(values: Any, what: str) -> np.ndarray:
    """Values as an array, pandas' missing numbers as NaN."""
    if hasattr(values, "to_numpy"):
        kind = getattr(values, "dtype", None)
        if (
            not isinstance(kind, np.dtype)
            and hasattr(values, "isna")
            and str(kind)[:3].lower() in ("int", "uin", "flo")
        ):
            missing = bool(values.isna().any())
            return values.to_numpy(dtype=np.float64, na_value=np.nan) if missing else values.to_numpy(str(kind).lower())
        return np.asarray(values.to_numpy())
    try:
        return np.asarray(values)
    except ValueError as e:
        raise InputError(f"{what} cannot be read as an array: {e}.") from e


# -- the revenue as a frame --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class LabelledRevenue:
    """A frame of expected revenue taken apart."""

    values: Any  # (U, F)
    customers: Ids | None
    funds: Ids
    named: tuple[bool, bool]  # whether these labels say more than an index that counts from 0
    backend: str


def is_frame(x: Any) -> bool:
    """Whether `x` is a data frame of some library (and no array)."""
    if isinstance(x, (np.ndarray, list, tuple, dict, str, bytes)) or x is None:
        return False
    name = type(x).__name__
    return hasattr(type(x), "columns") or name in ("Table", "RecordBatch")


def read_revenue(frame: Any) -> LabelledRevenue:
    """Take a wide frame of expected revenue apart: its numbers, its customers and its funds.

    Rows are labelled by the column ``customer``, else by the index of a pandas frame; columns by their names.

    Raises
    ------
    InputError
        For columns that are no numbers, labels that repeat, and long frames (see `AllocationProblem.from_frames`).
    """
    from ptofa_gpu._columns import eager

    if _is_pandas(frame, "DataFrame"):
        return _read_pandas(frame)
    known = eager(frame, "revenue")
    names = [c for c in known.columns if c != "customer"]
    _check_wide(known.columns, names)
    ids = as_ids(known["customer"], "revenue.customer") if "customer" in known.columns else None
    if known.implementation.is_cudf():
        values = known.to_native()[names].to_cupy()
    else:
        problems: list[str] = []
        columns = [amounts(known, c, problems) for c in names]
        if problems:
            raise InputError(f"{problems[0]}.")
        values = np.stack([c for c in columns if c is not None], axis=1)
    return LabelledRevenue(
        values, ids, as_ids(names, "revenue's columns"), (ids is not None, True), known.implementation.value
    )


def _read_pandas(frame: Any) -> LabelledRevenue:
    by_index = "customer" not in frame.columns
    if by_index:
        ids = _index(frame.index, "revenue")
    else:
        if (frame.columns == "customer").sum() > 1:
            raise InputError("revenue has two columns 'customer'.")
        _check_wide([str(c) for c in frame.columns], [c for c in frame.columns if c != "customer"])
        ids, frame = as_ids(frame["customer"], "revenue.customer"), frame.drop(columns="customer")
    for at, kind in enumerate(frame.dtypes):
        if getattr(kind, "kind", "O") not in "iufb":
            raise InputError(f"revenue has the column {frame.columns[at]!r} of type {kind}; every fund needs numbers.")
    if not frame.shape[1]:
        raise InputError("revenue has no column of a fund.")
    if all(isinstance(kind, np.dtype) for kind in frame.dtypes):
        values = frame.to_numpy()
    else:  # nullable numbers: what is missing is NaN
        values = np.stack([_plain(frame.iloc[:, at], "revenue") for at in range(frame.shape[1])], axis=1)
    funds = _index(frame.columns, "revenue")
    named = not (by_index and _counts(ids)), not _counts(funds)
    return LabelledRevenue(values, ids, funds, named, "pandas")


def _check_wide(columns: Sequence[str], funds: Sequence[Any]) -> None:
    if "fund" in columns and "revenue" in columns:
        raise InputError(
            "revenue is a long frame (customer, fund, revenue): AllocationProblem.from_frames takes it, with customers "
            "and funds."
        )
    if not funds:
        raise InputError("revenue has no column of a fund.")


def align_eligible(eligible: Any, customers: Axis, funds: Axis) -> Any:
    """`eligible` in the order of E where it is a labelled frame."""
    if _is_pandas(eligible, "Series"):
        return customers.in_order(eligible, "eligible")
    if not _is_pandas(eligible, "DataFrame"):
        if is_frame(eligible):
            raise InputError("eligible is a frame without an index; pass a pandas frame, or an array.")
        return eligible
    out = eligible.to_numpy()
    if (
        out.dtype == object
        and all(str(kind) == "boolean" for kind in eligible.dtypes)
        and not eligible.isna().to_numpy().any()
    ):
        out = out.astype(bool)
    for axis, index, what in ((0, eligible.index, customers), (1, eligible.columns, funds)):
        labels = _index(index, "eligible")
        if what.is_no_label(labels):
            continue
        found = what.positions(labels, "eligible")
        if found.size != what.size:
            raise InputError(f"eligible has {found.size:,} {what.side}s; the revenue has {what.size:,}.")
        ordered = np.empty_like(out)
        ordered[(found, slice(None)) if axis == 0 else (slice(None), found)] = out
        out = ordered
    return out


def pairs_by_label(excluded: Any, customers: Axis, funds: Axis) -> Any:
    """Pairs (n, 2) of positions where `excluded` names customers and funds by label, else as it is.

    Labelled are a frame with the columns customer and fund, a Series of funds by customer, and a dict from a customer
    to a fund or a list of funds.
    """
    rows: Any
    columns: Any
    if isinstance(excluded, Mapping):
        flat = [(c, f) for c, funds_of in excluded.items() for f in _listed(funds_of)]
        rows, columns = [c for c, _ in flat], [f for _, f in flat]
    elif _is_pandas(excluded, "Series"):
        rows, columns = excluded.index, excluded
    elif is_frame(excluded):
        from ptofa_gpu._columns import eager

        frame = eager(excluded, "excluded")
        lacking = [c for c in ("customer", "fund") if c not in frame.columns]
        if lacking:
            raise InputError(f"excluded lacks the column{'s' * (len(lacking) > 1)} {' and '.join(lacking)}.")
        rows, columns = frame["customer"], frame["fund"]
    else:
        return excluded
    if not len(rows):
        return None
    found = []
    for axis, values in ((customers, rows), (funds, columns)):
        labels = as_ids(values, "excluded")
        at = axis.find(labels, "excluded")
        bad = np.flatnonzero(at < 0)
        if bad.size:
            raise InputError(f"excluded names {axis.side}s that the revenue does not have: {_some(labels, bad)}.")
        found.append(at)
    return np.stack(found, axis=1).astype(np.int64)


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple, set, frozenset, np.ndarray)) else [value]


def _is_pandas(x: Any, name: str) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(x, getattr(pandas, name))


def _some(labels: Ids, rows: np.ndarray | None = None) -> str:
    rows = np.arange(len(labels)) if rows is None else rows
    text = ", ".join(shown(labels[int(i)]) for i in rows[:_SHOWN])
    return text + (f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else "")
