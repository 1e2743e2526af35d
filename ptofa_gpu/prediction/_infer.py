"""Reading a schema from data frames: the kind of each column, its vocabulary or its mean and standard deviation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._columns import ColumnError, arrow_column, eager, floats, texts
from ptofa_gpu._dates import days, is_date
from ptofa_gpu._text import nearest
from ptofa_gpu.errors import SchemaError
from ptofa_gpu.prediction._encode import PARTS, age, transformed
from ptofa_gpu.prediction.schema import Feature, FeatureChoice, Kind
from ptofa_gpu.tables import is_saved_index

if TYPE_CHECKING:
    from ptofa_gpu._columns import Eager

#: Columns with another job than describing, and that job: ids, and what the plan is bound by.
RESERVED = {
    "customers": {"customer": "the customer's id", "k": "how many funds the customer is shown"},
    "funds": {
        "fund": "the fund's id",
        "quota": "how many exposures the fund has bought",
        "quota_low": "the least exposures of the fund",
        "quota_high": "the most exposures of the fund",
        "name": "what the fund is called",
    },
}
#: Numeric columns without negative values are taken in logarithms above this skewness.
LOG_SKEWNESS = 2.0
#: As many distinct numbers, or dates, in a column of text are no categories but numbers, or dates, gone wrong.
WORDS = 12
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_CODE = re.compile(r"0\d")
_DATE = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}([ T].*)?")


def infer_features(
    customers: Any,
    funds: Any,
    customer_features: FeatureChoice,
    fund_features: FeatureChoice,
    exclude: Sequence[str],
    categorical: Sequence[str],
    max_categories: int,
) -> tuple[tuple[Feature, ...], tuple[Feature, ...]]:
    """The features of both sides; one `SchemaError` lists what is wrong with either frame."""
    problems: list[str] = []
    out, as_words = _names("exclude", exclude, problems), _names("categorical", categorical, problems)
    sides = [
        _Side(what, eager(frame, what), choice, list(out), list(as_words), max_categories, problems)
        for what, frame, choice in (("customers", customers, customer_features), ("funds", funds, fund_features))
    ]
    there, chosen = {c for s in sides for c in s.frame.columns}, {c for s in sides for c in s.choice}
    problems += [
        f"{what}={[name]} names no {kind} of customers or funds{nearest(name, known)}"
        for what, kind, names, known in (
            ("exclude", "column", out, there),
            ("categorical", "feature", as_words, chosen),
        )
        for name in names
        if name not in known
    ]
    read = [side.features(problems) for side in sides]
    unfit = {name: line for side in sides for name, line in side.unfit.items()}
    if unfit:
        problems[max(unfit.values())] += f"; without {'it' if len(unfit) == 1 else 'them'}: exclude={list(unfit)}"
    if problems:
        raise SchemaError("No schema can be read from these frames:", problems)
    return read[0], read[1]


def _names(what: str, given: Any, problems: list[str]) -> dict[str, Any]:
    """Names of columns, with kinds where they were given; a number is a name as in `eager`."""
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, (Mapping, Iterable)):
        problems.append(f"{what} is a {type(given).__name__}; it is a list of names of columns")
        return {}
    named = {}
    for name in given:
        if isinstance(name, (str, int, np.integer)):
            named[str(name)] = given[name] if isinstance(given, Mapping) else None
        else:
            problems.append(f"{what} holds {name!r}; a name of a column is text")
    return named


class _Side:
    """One frame, and which of its columns become features."""

    def __init__(
        self,
        what: str,
        frame: Eager,
        choice: FeatureChoice,
        exclude: Sequence[str],
        categorical: Sequence[str],
        max_categories: int,
        problems: list[str],
    ):
        self.what, self.frame, self.max_categories = what, frame, max_categories
        self.chosen = choice is not None
        self.unfit: dict[str, int] = {}  # columns that nobody chose and that cannot be features: their line of problems
        named: dict[str, Any]
        if choice is None:
            named = {c: None for c in frame.columns if c not in RESERVED[what] and not is_saved_index(c)}
        else:
            named = _names(f"{what.removesuffix('s')}_features", choice, problems)
        if what == "funds":  # the fund itself is always a feature, the first
            named = {"fund": "categorical", **{k: v for k, v in named.items() if k != "fund"}}
        self.choice: dict[str, Kind | None] = {k: v for k, v in named.items() if k not in exclude or k == "fund"}
        self.choice |= dict.fromkeys([c for c in categorical if c in self.choice], "categorical")

    def features(self, problems: list[str]) -> tuple[Feature, ...]:
        """The features; what is wrong with a column goes to `problems`."""
        if len(self.frame) == 0:
            problems.append(f"{self.what}: the frame has no rows")
            return ()
        found: list[Feature] = []
        for name, kind in self.choice.items():
            if name not in self.frame.columns:
                problems.append(f"{self.what}: column {name!r} is missing")
                continue
            try:
                found += self._read(name, kind)
            except ColumnError as e:
                problems.append(f"{self.what}: column {name!r} {e}")
                if not self.chosen and name != "fund":
                    self.unfit[name] = len(problems) - 1
        return tuple(found)

    def _read(self, name: str, kind: Kind | None) -> list[Feature]:
        import pyarrow.types as pt

        if name in RESERVED[self.what] and name != "fund":
            raise ColumnError(f"cannot be a feature: it says {RESERVED[self.what][name]}")
        if is_saved_index(name):
            raise ColumnError("cannot be a feature: it is an index that was written beside the data")
        if kind not in (None, "categorical", "numeric"):
            raise ColumnError(f"was given the kind {kind!r}; 'categorical' or 'numeric' is needed")
        column = arrow_column(self.frame, name)
        if len(column) == column.null_count:
            raise ColumnError("holds no value at all; leave it out")
        if is_date(column.type):
            if kind == "categorical":
                raise ColumnError("holds dates, of which the weekday and the month are categories already")
            return _parts(column, name)[: 1 if kind == "numeric" else None]
        if name == "fund":  # ids are of more types than features
            return [self._categorical(column, name, checked=kind is None)]
        number = pt.is_integer(column.type) or pt.is_floating(column.type) or pt.is_decimal(column.type)
        words = (pt.is_string, pt.is_large_string, pt.is_string_view, pt.is_boolean)
        if not number and not any(is_kind(column.type) for is_kind in words):
            raise ColumnError(f"has type {column.type}; a feature holds text, numbers, booleans or dates")
        if kind == "numeric" or (kind is None and number):
            return [_numeric(column, name)]
        return [self._categorical(column, name, checked=kind is None)]

    def _categorical(self, column: Any, name: str, *, checked: bool) -> Feature:
        _, values = texts(column)
        if checked:
            _refuse_gone_wrong(values, name)
        if len(values) > self.max_categories and name != "fund":
            raise ColumnError(
                f"has {len(values):,} distinct values, more than the {self.max_categories:,} that a categorical "
                "feature may have: it looks like an id"
            )
        return Feature(name, "categorical", categories=tuple(sorted(set(values))))


def _refuse_gone_wrong(values: Sequence[str], name: str) -> None:
    """Text of numbers with some words between them, or of dates, is no vocabulary; who means it says so."""
    meant = f"or say categorical=[{name!r}]"
    dates = [v for v in values if _DATE.fullmatch(v)]
    if len(dates) > WORDS and 2 * len(dates) > len(values):
        raise ColumnError(
            f"holds dates as text ({dates[0]!r}); write them as 2024-12-31 and read them as dates, {meant}"
        )
    numbers = [v for v in values if _NUMBER.fullmatch(v)]
    if len(numbers) <= WORDS or 2 * len(numbers) <= len(values) or any(map(_CODE.match, values)):
        return
    words, commas = [v for v in values if not _NUMBER.fullmatch(v)], [v for v in numbers if "," in v]
    if words:
        raise ColumnError(
            f"holds {len(numbers):,} distinct numbers, and text such as {words[0]!r}; leave it empty where there is no "
            f"number, {meant}"
        )
    if commas:
        raise ColumnError(f"holds numbers as text ({commas[0]!r}); read them with decimal=',', {meant}")


def _parts(column: Any, name: str) -> list[Feature]:
    """The features that a column of dates gives."""
    day, of_day = days(column)
    reference = str(np.datetime64(int(day[~np.isnan(of_day)].max()), "D"))
    elapsed = _numeric_of(age(column, reference), f"{name} (age)", logarithm=False)
    return [
        replace(elapsed, source=name, part="age", reference=reference),
        Feature(f"{name} (weekday)", "categorical", PARTS["weekday"], source=name, part="weekday"),
        Feature(f"{name} (month)", "categorical", PARTS["month"], source=name, part="month"),
    ]


def _numeric(column: Any, name: str) -> Feature:
    x = transformed(floats(column), False)
    if np.isnan(x).all():
        raise ColumnError("holds no value at all; leave it out")
    return _numeric_of(x, name, logarithm=True)


def _numeric_of(x: np.ndarray, name: str, *, logarithm: bool) -> Feature:
    x = x[~np.isnan(x)]
    largest = float(np.abs(x).max())
    if largest > 1e100:
        raise ColumnError(f"holds values up to {largest:g}, too large to standardise; rescale it or leave it out")
    log1p = bool(logarithm and x.min() >= 0 and _skewness(x) > LOG_SKEWNESS)
    x = transformed(x, log1p)
    mean, std = float(x.mean()), float(x.std())
    # a constant column's spread is rounding noise: dividing by it would make features of noise
    constant = std <= 1e-9 * max(1.0, abs(mean))
    return Feature(name, "numeric", mean=mean, std=1.0 if constant else std, log1p=log1p)


def _skewness(x: np.ndarray) -> float:
    d = x - x.mean()
    spread = float(np.sqrt(np.mean(d * d)))
    return float(np.mean((d / spread) ** 3)) if spread > 1e-9 * max(1.0, float(np.abs(x).max())) else 0.0
