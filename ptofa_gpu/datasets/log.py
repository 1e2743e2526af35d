"""The exposure log, checked: one error that lists everything wrong, or arrays that index into customers and funds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._arguments import instance, listed, one_of, refused, seed_of, whole
from ptofa_gpu._columns import eager, floats, texts
from ptofa_gpu._dates import days, is_date
from ptofa_gpu._frames import LEVEL_RANGE, check_limits, positions, read_customers, read_funds
from ptofa_gpu._frames import read as _read
from ptofa_gpu._frames import report as _report
from ptofa_gpu.datasets.split import SPLITS, Split, split_by_customer, split_by_day
from ptofa_gpu.errors import DegenerateModelError, SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

    from ptofa_gpu._columns import Eager
    from ptofa_gpu.prediction.schema import Schema


@dataclass
class LogArrays:
    """A checked exposure log; row i says that a customer saw a fund and what came of it.

    Attributes
    ----------
    customer, fund : (N,) int64
        Row in the customers' and in the funds' frame.
    converted : (N,) bool
    amount : (N,) float32
        Currency; 0 where not converted. A conversion of amount 0 is one whose amount is not known.
    split : (N,) int8
        0 train, 1 validation, 2 test.
    propensity : (N,) float32 or None
        Probability with which the fund was shown, where the log's ``propensity`` column gives it.
    """

    customer: np.ndarray
    fund: np.ndarray
    converted: np.ndarray
    amount: np.ndarray
    split: np.ndarray
    propensity: np.ndarray | None = None

    def __len__(self) -> int:
        return self.customer.shape[0]

    @property
    def positives(self) -> int:
        """Exposures that converted."""
        return int(self.converted.sum())

    @property
    def zero_amount_conversions(self) -> int:
        """Conversions with amount 0: they teach whether customers convert, not how much they invest."""
        return int((self.converted & (self.amount == 0)).sum())


def check_log(
    log: Any,
    customers: Any,
    funds: Any,
    schema: Schema | None = None,
    *,
    tolerance_range: tuple[int, int] = LEVEL_RANGE,
    seed: int = 0,
    split: Split | None = None,
) -> LogArrays:
    """Check an exposure log against its customers and funds.

    Parameters
    ----------
    log : data frame
        ``customer``, ``fund`` (ids), ``converted`` (boolean or 0/1), ``amount`` (currency, 0 where not converted);
        optional ``split`` ("train", "validation", "test"), ``propensity`` (0 < p <= 1) and ``day`` (whole numbers or
        dates).
    customers : data frame
        ``customer`` (unique); optional ``tolerance`` and, as slots of each, ``k``.
    funds : data frame
        ``fund`` (unique); optional ``risk``, ``quota`` (or ``quota_low`` and ``quota_high``) and ``name``.
    schema : Schema, optional
        Where given, its features are checked too.
    tolerance_range : (int, int)
        Smallest and largest tolerance and risk level that make sense for these data.
    seed : int
        Of the split by customer.
    split : {"customer", "day"}, optional
        "customer": 80 % of the customers train, 10 % validate, 10 % test, by a hash of `seed` and the customer's row.
        "day": the same shares of exposures, the earliest days train and the latest test; each day is in one split. By
        default the log's column ``split`` says it, and where there is none it is "customer".

    Raises
    ------
    InputError
        For a split of another name.
    SchemaError
        Lists everything that is wrong, each with how many rows and an example.
    DegenerateModelError
        When nothing else is wrong but no exposure, or none to train on, converted.
    """
    one_of("split", split, (None, "customer", "day"))
    log, customers, funds = eager(log, "log"), eager(customers, "customers"), eager(funds, "funds")
    tolerance_range, seed = level_range(tolerance_range), seed_of(seed)
    problems: list[str] = []
    customer_ids = read_customers(customers, len(funds), problems, tolerance_range).ids
    fund_ids = read_funds(funds, problems, tolerance_range).ids
    check_limits(customers, funds, problems)
    if schema is not None:
        _require_schema(schema)
        problems += _schema_problems(schema, customers, funds)

    if len(log) == 0:
        problems.append("log has no rows: without exposures there is nothing to learn from")
        raise SchemaError("The exposure log cannot be used:", problems)
    customer = positions(log, "customer", "log", customer_ids, "customers", problems)
    fund = positions(log, "fund", "log", fund_ids, "funds", problems)
    converted, amount = _outcome(log, problems)
    parts = _split(log, customer, seed, split, problems)
    propensity = _propensity(log, problems)
    idle = None if converted is None else _no_positives(converted, parts)
    # what could not be read has left a problem; the test for None tells the type checker
    if problems or customer is None or fund is None or converted is None or amount is None or parts is None:
        raise SchemaError("The exposure log cannot be used:", problems + ([idle] if idle else []))
    if idle:
        raise DegenerateModelError(
            f"{idle}. A model of conversions needs some: check the `converted` column, or give a longer log."
        )
    return LogArrays(customer, fund, converted, amount, parts, propensity)


def level_range(tolerance_range: tuple[int, int]) -> tuple[int, int]:
    """The smallest and largest level, as two whole numbers that int8 holds, or `InputError`."""
    ends = listed("tolerance_range", tolerance_range, "two levels, the smallest and the largest")
    if len(ends) != 2:
        raise refused("tolerance_range", tolerance_range, "two levels, the smallest and the largest")
    low, high = (whole("tolerance_range", end, *LEVEL_RANGE) for end in ends)
    if low > high:
        raise refused("tolerance_range", tolerance_range, "two levels, the smallest first")
    return low, high


def _require_schema(schema: Schema) -> None:
    from ptofa_gpu.prediction.schema import Schema

    instance("schema", schema, Schema, "from Schema.infer")


# -- the features -----------------------------------------------------------------------------------------------------
def _schema_problems(schema: Schema, customers: Eager, funds: Eager) -> list[str]:
    problems = []
    for what, encode, frame in (
        ("customers", schema.encode_customers, customers),
        ("funds", schema.encode_funds, funds),
    ):
        try:
            encode(frame)
        except SchemaError as e:
            # a missing id column has been reported by the check of ids
            problems += [f"{what}: {p}" for p in e.problems if p != "column 'fund' is missing"]
    return problems


# -- the log -------------------------------------------------------------------------------------------------------
def _outcome(log: Eager, problems: list[str]) -> tuple[np.ndarray | None, np.ndarray | None]:
    c = _read(log, "converted", "log", floats, problems)
    r = _read(log, "amount", "log", floats, problems)
    who = ["customer", "fund"]
    if c is not None:
        _report(problems, np.flatnonzero(np.isnan(c)), log, "log", "converted is missing", who)
        other = np.flatnonzero(~np.isnan(c) & (c != 0) & (c != 1))
        _report(problems, other, log, "log", "converted must be 0 or 1", [*who, "converted"])
    if r is None:
        return (None if c is None else c == 1), None
    _report(problems, np.flatnonzero(np.isnan(r)), log, "log", "amount is missing (0 where not converted)", who)
    with np.errstate(over="ignore", invalid="ignore"):
        amount = r.astype(np.float32)
        large = np.flatnonzero(np.isinf(amount))
        negative = np.flatnonzero(r < 0)
        stray = np.flatnonzero((r > 0) & (c == 0)) if c is not None else np.zeros(0, int)
    _report(problems, large, log, "log", "amount is infinite or beyond float32", [*who, "amount"])
    _report(problems, negative, log, "log", "amount is negative", [*who, "amount"])
    _report(problems, stray, log, "log", "amount without a conversion", [*who, "amount"])
    return (None if c is None else c == 1), amount


def _split(
    log: Eager, customer: np.ndarray | None, seed: int, by: Split | None, problems: list[str]
) -> np.ndarray | None:
    if by == "day":
        day = _read(log, "day", "log", _days, problems)
        return None if day is None else _split_by_day(log, day, problems)
    if by == "customer" or "split" not in log.columns:
        return None if customer is None else split_by_customer(np.maximum(customer, 0), seed)
    read = _read(log, "split", "log", texts, problems)
    if read is None:
        return None
    codes, values = read
    _report(problems, np.flatnonzero(codes < 0), log, "log", "split is missing", [])
    lookup = np.array([SPLITS.index(v) if v in SPLITS else -1 for v in values] + [-1], np.int8)
    split = lookup[codes]
    unknown = np.flatnonzero((split < 0) & (codes >= 0))
    _report(problems, unknown, log, "log", f"split must be one of {', '.join(SPLITS)}", ["split"])
    if not unknown.size and not (split == 0).any():
        problems.append("log: split has no row 'train': there is nothing to learn from")
    return split


def _days(column: pa.Array) -> np.ndarray:
    """Days as numbers (N,) float64, NaN where missing."""
    if not is_date(column.type):
        return floats(column)
    day, part = days(column)
    return np.where(np.isnan(part), np.nan, day)


def _split_by_day(log: Eager, day: np.ndarray, problems: list[str]) -> np.ndarray | None:
    missing = np.flatnonzero(np.isnan(day))
    fraction = np.flatnonzero(np.isinf(day) | (~np.isnan(day) & (day != np.floor(day))))
    _report(problems, missing, log, "log", "day is missing", ["customer", "fund"])
    _report(problems, fraction, log, "log", "day must be whole, or a date", ["day"])
    if missing.size or fraction.size:
        return None
    there = np.unique(day).size
    if there < len(SPLITS):
        problems.append(
            f"log: a split by day needs {len(SPLITS)} different days, one each for {', '.join(SPLITS)}; there "
            f"{'is' if there == 1 else 'are'} {there}. Give a longer log, or split by customer"
        )
        return None
    return split_by_day(day)


def _propensity(log: Eager, problems: list[str]) -> np.ndarray | None:
    if "propensity" not in log.columns:
        return None
    p = _read(log, "propensity", "log", floats, problems)
    if p is None:
        return None
    outside = np.flatnonzero(~((p > 0) & (p <= 1)))
    _report(problems, outside, log, "log", "propensity must lie in (0, 1]", ["propensity"])
    return p.astype(np.float32)


def _no_positives(converted: np.ndarray, split: np.ndarray | None) -> str | None:
    n = len(converted)
    if not converted.any():
        return f"log: none of the {n:,} exposures converted"
    if split is not None and (split == 0).any() and not converted[split == 0].any():
        return (
            f"log: none of the {int((split == 0).sum()):,} exposures of the split 'train' converted, though "
            f"{int(converted.sum()):,} of all {n:,} did"
        )
    return None
