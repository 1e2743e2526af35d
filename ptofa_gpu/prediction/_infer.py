"""Reading a schema from data frames: the kind of each column, its vocabulary or its mean and standard deviation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ptofa_gpu._columns import ColumnError, Eager, arrow_column, eager, floats, texts
from ptofa_gpu.errors import SchemaError
from ptofa_gpu.prediction.schema import Feature, FeatureChoice, Kind, transformed

#: Columns with another job than describing: ids, and what the plan is bound by.
RESERVED_CUSTOMER = ("customer",)
RESERVED_FUND = ("fund", "quota", "name")
#: Numeric columns without negative values are taken in logarithms above this skewness.
LOG_SKEWNESS = 2.0


def infer_features(
    customers: Any, funds: Any, customer_features: FeatureChoice, fund_features: FeatureChoice, max_categories: int
) -> tuple[tuple[Feature, ...], tuple[Feature, ...]]:
    """The features of both sides; one `SchemaError` lists what is wrong with either frame."""
    customers, funds = eager(customers, "customers"), eager(funds, "funds")
    problems: list[str] = []
    c_choice = _choose(customers, customer_features, RESERVED_CUSTOMER)
    f_choice: dict[str, Kind | None] = {"fund": "categorical", **_choose(funds, fund_features, RESERVED_FUND)}
    sides = (
        _infer_side(customers, c_choice, "customers", max_categories, problems, chosen=customer_features is not None),
        _infer_side(funds, f_choice, "funds", max_categories, problems, chosen=fund_features is not None),
    )
    if problems:
        raise SchemaError("No schema can be read from these frames:", problems)
    return sides


def _choose(frame: Eager, choice: FeatureChoice, reserved: Iterable[str]) -> dict[str, Kind | None]:
    """Feature name -> kind, None where it is to be read from the column's type."""
    if choice is None:
        return {c: None for c in frame.columns if c not in reserved}
    if isinstance(choice, str):
        choice = [choice]
    named: dict[str, Kind | None] = dict(choice) if isinstance(choice, Mapping) else dict.fromkeys(choice)
    named.pop("fund", None)
    return named


def _infer_side(
    frame: Eager,
    choice: Mapping[str, Kind | None],
    what: str,
    max_categories: int,
    problems: list[str],
    *,
    chosen: bool,
) -> tuple[Feature, ...]:
    features = []
    if len(frame) == 0:
        problems.append(f"{what}: the frame has no rows")
    for name, kind in choice.items():
        if name not in frame.columns:
            problems.append(f"{what}: column {name!r} is missing")
            continue
        try:
            features.append(_infer_feature(frame, name, kind, max_categories))
        except ColumnError as e:
            # where nobody chose the columns, the way out is to choose
            others = [c for c in choice if c not in (name, "fund")]
            shown = ", ".join(map(repr, others[:4])) + (", ..." if len(others) > 4 else "")
            way_out = "" if chosen else f"; without it: {what.removesuffix('s')}_features=[{shown}]"
            problems.append(f"{what}: column {name!r} {e}{way_out}")
    return tuple(features)


def _infer_feature(frame: Eager, name: str, kind: Kind | None, max_categories: int) -> Feature:
    import pyarrow.types as pt

    column = arrow_column(frame, name)
    if len(column) == column.null_count:
        raise ColumnError("holds no value at all; leave it out")
    if kind is None:
        number = pt.is_integer(column.type) or pt.is_floating(column.type) or pt.is_decimal(column.type)
        kind = "numeric" if number else "categorical"
    if kind not in ("categorical", "numeric"):
        raise ColumnError(f"was given the kind {kind!r}; 'categorical' or 'numeric' is needed")
    if kind == "categorical":
        _, values = texts(column)
        if len(values) > max_categories and name != "fund":
            raise ColumnError(
                f"has {len(values):,} distinct values, more than max_categories={max_categories:,}: it looks like an "
                "id. Leave it out, name its kind 'numeric', or raise max_categories"
            )
        return Feature(name, "categorical", categories=tuple(sorted(set(values))))
    x = transformed(floats(column), False)
    x = x[~np.isnan(x)]
    if x.size == 0:
        raise ColumnError("holds no value at all; leave it out")
    largest = float(np.abs(x).max())
    if largest > 1e100:
        raise ColumnError(f"holds values up to {largest:g}, too large to standardise; rescale it or leave it out")
    log1p = bool(x.min() >= 0 and _skewness(x) > LOG_SKEWNESS)
    x = transformed(x, log1p)
    mean, std = float(x.mean()), float(x.std())
    # a constant column's spread is rounding noise: dividing by it would make features of noise
    constant = std <= 1e-9 * max(1.0, abs(mean))
    return Feature(name, "numeric", mean=mean, std=1.0 if constant else std, log1p=log1p)


def _skewness(x: np.ndarray) -> float:
    d = x - x.mean()
    spread = float(np.sqrt(np.mean(d * d)))
    return float(np.mean((d / spread) ** 3)) if spread > 1e-9 * max(1.0, float(np.abs(x).max())) else 0.0
