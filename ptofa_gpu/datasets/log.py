"""The exposure log, checked: one error that lists everything wrong, or arrays that index into customers and funds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._arguments import instance, listed, refused, seed_of, whole
from ptofa_gpu._columns import ColumnError, Eager, arrow_column, eager, floats, keys, texts
from ptofa_gpu.errors import DegenerateModelError, SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

    from ptofa_gpu.prediction.schema import Schema

#: Names of the splits; ``LogArrays.split`` holds their positions.
SPLITS = ("train", "validation", "test")
#: Shares of customers in each split where the log does not say.
SPLIT_SHARES = (0.8, 0.1, 0.1)
#: What int8 holds: the widest range a tolerance or risk level may have.
LEVEL_RANGE = (-128, 127)


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
) -> LogArrays:
    """Check an exposure log against its customers and funds.

    Parameters
    ----------
    log : data frame
        ``customer``, ``fund`` (ids), ``converted`` (boolean or 0/1), ``amount`` (currency, 0 where not converted);
        optional ``split`` ("train", "validation", "test") and ``propensity`` (0 < p <= 1). Without ``split``, 80 % of
        the customers train, 10 % validate and 10 % test, by a hash of `seed` and the customer's row.
    customers : data frame
        ``customer`` (unique); optional ``tolerance``.
    funds : data frame
        ``fund`` (unique); optional ``risk``, ``quota``.
    schema : Schema, optional
        Where given, its features are checked too.
    tolerance_range : (int, int)
        Smallest and largest tolerance and risk level that make sense for these data.
    seed : int
        Of the split.

    Raises
    ------
    SchemaError
        Lists everything that is wrong, each with how many rows and an example.
    DegenerateModelError
        When nothing else is wrong but no exposure, or none to train on, converted.
    """
    log, customers, funds = eager(log, "log"), eager(customers, "customers"), eager(funds, "funds")
    tolerance_range, seed = level_range(tolerance_range), seed_of(seed)
    problems: list[str] = []
    customer_ids = _unique_ids(customers, "customer", "customers", problems)
    fund_ids = _unique_ids(funds, "fund", "funds", problems)
    if ("tolerance" in customers.columns) != ("risk" in funds.columns):
        problems.append("risk limits need both customers.tolerance and funds.risk; only one of them is there")
    _check_whole(customers, "tolerance", "customers", tolerance_range, problems)
    _check_whole(funds, "risk", "funds", tolerance_range, problems)
    _check_whole(funds, "quota", "funds", (0, 2**62), problems)
    if schema is not None:
        _require_schema(schema)
        problems += _schema_problems(schema, customers, funds)

    if len(log) == 0:
        problems.append("log has no rows: without exposures there is nothing to learn from")
        raise SchemaError("The exposure log cannot be used:", problems)
    customer = _positions(log, "customer", customer_ids, "customers", problems)
    fund = _positions(log, "fund", fund_ids, "funds", problems)
    converted, amount = _outcome(log, problems)
    split = _split(log, customer, seed, problems)
    propensity = _propensity(log, problems)
    idle = None if converted is None else _no_positives(converted, split)
    # what could not be read has left a problem; the test for None tells the type checker
    if problems or customer is None or fund is None or converted is None or amount is None or split is None:
        raise SchemaError("The exposure log cannot be used:", problems + ([idle] if idle else []))
    if idle:
        raise DegenerateModelError(
            f"{idle}. A model of conversions needs some: check the `converted` column, or give a longer log."
        )
    return LogArrays(customer, fund, converted, amount, split, propensity)


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


def split_by_customer(
    customer: np.ndarray, seed: int = 0, shares: tuple[float, float, float] = SPLIT_SHARES
) -> np.ndarray:
    """A split (N,) int8 in which all rows of a customer fall together, the same on every machine.

    Parameters
    ----------
    customer : (N,) int64
        Row of the customer.
    seed : int
    shares : three floats
        Of customers in train, validation and test.
    """
    # splitmix64 (Steele, Lea, Flood 2014): well mixed bits from consecutive numbers, without any state
    with np.errstate(over="ignore"):
        z = customer.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(np.cumsum(shares[:2]), u, side="right").astype(np.int8)


# -- the frames of customers and funds -----------------------------------------------------------------------------
def _unique_ids(frame: Eager, column: str, what: str, problems: list[str]) -> pa.Array | None:
    ids = _read(frame, column, what, keys, problems)
    if ids is None:
        return None
    if len(ids) == 0:
        problems.append(f"{what} has no rows")
    missing = np.flatnonzero(ids.is_null().to_numpy(zero_copy_only=False))
    _report(problems, missing, frame, what, f"{column} is missing", [])
    codes = ids.dictionary_encode().indices.drop_null().to_numpy()
    count = np.bincount(codes, minlength=1)
    repeated = np.flatnonzero(count[codes] > 1) if codes.size else codes
    if repeated.size:
        value = ids.drop_null()[int(repeated[0])].as_py()
        distinct = int((count > 1).sum())
        problems.append(
            f"{what}: {column} must be unique; {repeated.size:,} of {len(ids):,} rows share {distinct:,} "
            f"id{'s' * (distinct > 1)}, for example {value!r}"
        )
    return ids


def _check_whole(frame: Eager, column: str, what: str, bounds: tuple[int, int], problems: list[str]) -> None:
    if column not in frame.columns:
        return
    x = _read(frame, column, what, floats, problems)
    if x is None:
        return
    _report(problems, np.flatnonzero(np.isnan(x)), frame, what, f"{column} is missing", [])
    with np.errstate(invalid="ignore"):
        fraction = np.flatnonzero(np.isfinite(x) & (x != np.floor(x)))
        outside = np.flatnonzero((x < bounds[0]) | (x > bounds[1]))
    _report(problems, fraction, frame, what, f"{column} must be whole", [column])
    span = "not negative" if column == "quota" else f"within {bounds[0]}..{bounds[1]}"
    _report(problems, outside, frame, what, f"{column} must be {span}", [column])


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
def _positions(log: Eager, column: str, ids: pa.Array | None, where: str, problems: list[str]) -> np.ndarray | None:
    import pyarrow.compute as pc

    found = _read(log, column, "log", keys, problems)
    if found is None or ids is None:
        return None
    missing = found.is_null().to_numpy(zero_copy_only=False)
    _report(problems, np.flatnonzero(missing), log, "log", f"{column} is missing", [])
    if found.type != ids.type:
        problems.append(
            f"log: {column} holds {_kind(found)} but {where}.{column} holds {_kind(ids)}; write both the same way"
        )
        return None
    position = pc.index_in(found, value_set=ids).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    unknown = np.flatnonzero((position < 0) & ~missing)
    if unknown.size:
        distinct = len(found.take(unknown).unique())
        ids_said = f"{distinct:,} unknown id{'s' * (distinct > 1)}"
        _report(problems, unknown, log, "log", f"{column} is not in {where} ({ids_said})", [column])
    return position


def _kind(ids: pa.Array) -> str:
    import pyarrow.types as pt

    return "whole numbers" if pt.is_integer(ids.type) else "text"


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


def _split(log: Eager, customer: np.ndarray | None, seed: int, problems: list[str]) -> np.ndarray | None:
    if "split" not in log.columns:
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


# -- reading and reporting -----------------------------------------------------------------------------------------
def _read(frame: Eager, column: str, what: str, reader: Any, problems: list[str]) -> Any:
    """Column through `reader`, or None with the reason in `problems`."""
    if column not in frame.columns:
        problems.append(f"{what}: column {column!r} is missing; there are {', '.join(map(repr, frame.columns))}")
        return None
    try:
        return reader(arrow_column(frame, column))
    except ColumnError as e:
        problems.append(f"{what}: column {column!r} {e}")
        return None


def _report(problems: list[str], rows: np.ndarray, frame: Eager, what: str, claim: str, show: list[str]) -> None:
    """One line: what is wrong, in how many rows, and the first of them with the values of the columns `show`."""
    if rows.size == 0:
        return
    row = int(rows[0])
    shown = [(c, frame[c].item(row)) for c in show if c in frame.columns]
    values = ", ".join(f"{c} {v.item() if isinstance(v, np.generic) else v!r}" for c, v in shown)
    first = f"row {row}" + (f" ({values})" if values else "")
    problems.append(f"{what}: {claim}: {rows.size:,} of {len(frame):,} rows, the first is {first}")
