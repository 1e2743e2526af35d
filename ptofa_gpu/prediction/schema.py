"""Which columns the model reads and how each becomes numbers: vocabularies, means, standard deviations."""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from ptofa_gpu._arguments import instance, refused, text_of, whole
from ptofa_gpu._columns import eager
from ptofa_gpu.errors import InputError, SchemaError

Kind = Literal["categorical", "numeric"]
#: What the caller may say about features: their names, or names with kinds; None takes every column but the reserved.
FeatureChoice = Sequence[str] | Mapping[str, Kind] | None
#: What a column of dates tells: how long ago (in days), on which day of the week, and in which month.
Part = Literal["age", "weekday", "month"]

_FORMAT = "ptofa-schema-1"
_OF_DATES = ("source", "part", "reference")
_KIND_OF: dict[str, Kind] = {"age": "numeric", "weekday": "categorical", "month": "categorical"}


@dataclass(frozen=True)
class Feature:
    """One column and how it is encoded.

    Parameters
    ----------
    name : str
        Column name.
    kind : {"categorical", "numeric"}
    categories : tuple of str
        Known values of a categorical feature, as text. Index 0 stands for anything else, a missing value too; known
        values are 1..len(categories).
    mean, std : float
        A numeric feature becomes (x - mean) / std, after log(1 + x) where `log1p`; a missing value becomes 0, the mean.
    log1p : bool
        Take log(1 + x) first: for counts and amounts with a long tail.
    source : str
        Of a part of a date: the column of dates; empty where the feature is its own column.
    part : {"", "age", "weekday", "month"}
        Which part. "age" is numeric: days from the date to `reference`; the other two are categorical.
    reference : str
        The day from which "age" counts back, as 2024-12-31; what is encoded later counts from the same day.
    """

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    log1p: bool = False
    source: str = ""
    part: Part | Literal[""] = ""
    reference: str = ""

    @property
    def column(self) -> str:
        """The column it is read from."""
        return self.source or self.name

    @property
    def cardinality(self) -> int:
        """Rows an embedding table needs: the known values and one for the unseen."""
        return len(self.categories) + 1


@dataclass
class Encoded:
    """Encoded rows, in the order of the frame they came from.

    Attributes
    ----------
    categorical : (N, n_cat) int32
        Index into each feature's vocabulary, 0 where unseen or missing.
    numeric : (N, n_num) float32
        Standardised, dimensionless, finite.
    unseen : dict
        Column -> rows whose value is not in the vocabulary, or missing. Columns without such rows are absent.
    """

    categorical: np.ndarray
    numeric: np.ndarray
    unseen: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kinds in (("categorical", "iu"), ("numeric", "f")):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in kinds:
                words = "whole numbers" if kinds == "iu" else "floating-point numbers"
                raise refused(f"Encoded.{name}", array, f"an array (rows, features) of {words}; Schema.encode makes it")
        if self.categorical.size and not -1 < self.categorical.min() <= self.categorical.max() < 2**31:
            raise InputError("Encoded.categorical holds numbers that are no category's.")
        with np.errstate(over="ignore"):  # what is infinite then is refused where it is used
            self.categorical = self.categorical.astype(np.int32, copy=False)
            self.numeric = self.numeric.astype(np.float32, copy=False)
        if len(self.categorical) != len(self.numeric):
            raise InputError(f"Encoded has {len(self.categorical)} rows of categories, {len(self.numeric)} of numbers.")

    def __len__(self) -> int:
        return self.categorical.shape[0]


@dataclass(frozen=True)
class Schema:
    """The features of customers and of funds, with everything needed to encode them again elsewhere.

    The fund itself is a categorical fund feature named ``fund``, always the first. Make one with :meth:`infer`.

    Parameters
    ----------
    customer_features, fund_features : tuple of Feature
    currency : str
        Unit of amounts, for labels of figures and tables.
    name : str
        What the data are called.
    """

    customer_features: tuple[Feature, ...]
    fund_features: tuple[Feature, ...]
    currency: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        for name in ("currency", "name"):
            text_of(name, getattr(self, name))
        problems = []
        for side in ("customer_features", "fund_features"):
            features = getattr(self, side)
            if not isinstance(features, tuple | list) or not all(isinstance(f, Feature) for f in features):
                raise refused(side, features, "a tuple of Feature; Schema.infer reads them from data frames")
            object.__setattr__(self, side, tuple(features))
        for side, features in (("customer", self.customer_features), ("fund", self.fund_features)):
            names = [f.name for f in features]
            repeated = sorted({n for n in names if names.count(n) > 1})
            if repeated:
                problems.append(f"{side} features named twice: {', '.join(map(repr, repeated))}")
            problems += [p for f in features for p in _feature_problems(side, f)]
        first = self.fund_features[0] if self.fund_features else None
        if first is None or first.name != "fund" or first.kind != "categorical":
            problems.append("the first fund feature must be the categorical feature 'fund'")
        if problems:
            raise SchemaError("The schema is not consistent:", problems)

    def encode_customers(self, frame: Any) -> Encoded:
        """Encode customers: any frame narwhals knows with the columns of ``customer_features``.

        Raises
        ------
        SchemaError
            One error listing every missing column, wrong type and infinite value, with row counts.
        """
        from ptofa_gpu.prediction._encode import encode

        return encode(eager(frame, "customers"), self.customer_features, "customers")

    def encode_funds(self, frame: Any) -> Encoded:
        """Encode funds: any frame narwhals knows with the columns of ``fund_features``. Raises as above."""
        from ptofa_gpu.prediction._encode import encode

        return encode(eager(frame, "funds"), self.fund_features, "funds")

    def differences(self, other: Schema) -> list[str]:
        """What distinguishes `other`'s features from these, one line a feature; empty when they encode alike."""
        instance("other", other, Schema)
        lines = []
        for side in ("customer", "fund"):
            mine = {f.name: f for f in getattr(self, f"{side}_features")}
            theirs = {f.name: f for f in getattr(other, f"{side}_features")}
            lines += [f"{side} feature {n!r} is missing" for n in mine if n not in theirs]
            lines += [f"{side} feature {n!r} is new" for n in theirs if n not in mine]
            lines += [_difference(side, f, theirs[n]) for n, f in mine.items() if n in theirs and theirs[n] != f]
            if not lines and list(mine) != list(theirs):
                lines.append(f"{side} features come in another order")
        return lines

    def to_json(self) -> str:
        """The schema as JSON text; :meth:`from_json` gives back an equal schema."""
        raw = asdict(self)
        for side in ("customer_features", "fund_features"):  # what only parts of dates have is not written for others
            raw[side] = [{k: v for k, v in f.items() if k not in _OF_DATES or f["part"]} for f in raw[side]]
        return json.dumps({"format": _FORMAT, **raw}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        SchemaError
            When the text is not a schema this version can read.
        """
        from pydantic import ValidationError

        from ptofa_gpu.prediction.file_format import StoredSchema, problems_of

        if not isinstance(text, str):
            raise refused("text", text, "what Schema.to_json wrote")
        try:
            raw = StoredSchema.model_validate_json(text)
        except ValidationError as e:
            problems = [p.replace("format: ", f"this version reads {_FORMAT!r}; format: ", 1) for p in problems_of(e)]
            raise SchemaError("This is not a schema this version reads:", problems) from e
        customers, funds = (
            tuple(Feature(**{**f.model_dump(), "categories": tuple(f.categories)}) for f in side)
            for side in (raw.customer_features, raw.fund_features)
        )
        return cls(customers, funds, currency=raw.currency, name=raw.name)

    @classmethod
    def infer(
        cls,
        customers: Any,
        funds: Any,
        *,
        customer_features: FeatureChoice = None,
        fund_features: FeatureChoice = None,
        exclude: Sequence[str] = (),
        categorical: Sequence[str] = (),
        currency: str = "",
        name: str = "",
        max_categories: int = 1000,
    ) -> Schema:
        """Read vocabularies, means and standard deviations from data frames.

        Text and booleans become categorical, numbers numeric, unless told otherwise. A numeric column without negative
        values and with a skewness above 2 is taken in logarithms. A column of dates becomes three features: how many
        days before the latest of them, the day of the week, and the month.

        Parameters
        ----------
        customers, funds : data frames
            Any narwhals knows.
        customer_features, fund_features : sequence of names, or mapping name -> kind, optional
            By default every column except ``customer`` and ``k`` on one side and ``fund``, ``quota``, ``quota_low``,
            ``quota_high`` and ``name`` on the other (the fund's id is always a feature), and a saved pandas index.
        exclude : sequence of names
            Columns of either side that are no features.
        categorical : sequence of names
            Columns of either side to take as categories although they hold numbers.
        currency, name : str
            Kept in the schema for labels.
        max_categories : int
            A categorical feature with more distinct values is refused: it is an id rather than a description.

        Raises
        ------
        SchemaError
            One error listing everything that is wrong with the frames.
        """
        from ptofa_gpu.prediction._infer import infer_features

        max_categories = whole("max_categories", max_categories, 1)
        sides = infer_features(customers, funds, customer_features, fund_features, exclude, categorical, max_categories)
        return cls(*sides, currency=currency, name=name)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{side}</td><th scope='row'>{html.escape(f.name)}</th><td>{f.kind}</td>"
            f"<td>{html.escape(_describe(f))}</td></tr>"
            for side, features in (("customer", self.customer_features), ("fund", self.fund_features))
            for f in features
        )
        head = "".join(f"<th scope='col'>{title}</th>" for title in ("side", "feature", "kind", "encoding"))
        return (
            f"<div class='ptofa-schema'><p><b>Schema {html.escape(self.name)}</b></p><table><thead><tr>{head}"
            f"</tr></thead><tbody>{rows}</tbody></table></div>"
        )


def _feature_problems(side: str, f: Feature) -> list[str]:
    where = f"{side} feature {f.name!r}"
    if not isinstance(f.kind, str) or f.kind not in ("categorical", "numeric"):
        return [f"{where} has kind {f.kind!r}; 'categorical' or 'numeric' is needed"]
    problems = []
    words = (f.name, *f.categories) if isinstance(f.categories, tuple | list) else (None,)
    if not all(isinstance(word, str) for word in words):
        return [f"{where} has a name or categories that are no text; name columns by text"]
    if not isinstance(f.log1p, bool):
        problems.append(f"{where} has log1p={f.log1p!r}; True or False is needed")
    if len(set(f.categories)) != len(f.categories):
        problems.append(f"{where} lists a category twice")
    if not (_is_finite(f.mean) and _is_finite(f.std) and f.std > 0):
        problems.append(f"{where} has mean {f.mean} and standard deviation {f.std}; finite and positive are needed")
    if f.part and (f.part not in _KIND_OF or f.kind != _KIND_OF[f.part] or not f.source):
        problems.append(
            f"{where} is the {f.kind} part {f.part!r} of column {f.source!r}; there is no such part of a date"
        )
    if f.part == "age" and not _is_day(f.reference):
        problems.append(f"{where} counts from {f.reference!r}; a day such as '2024-12-31' is needed")
    return problems


def _is_day(text: str) -> bool:
    try:
        return len(text) > 0 and bool(np.isfinite(np.datetime64(text, "D").astype(np.int64)))
    except (TypeError, ValueError):
        return False


def _is_finite(value: Any) -> bool:
    return isinstance(value, float | int) and abs(value) <= sys.float_info.max


def _describe(f: Feature) -> str:
    if f.kind == "categorical":
        shown = ", ".join(f.categories[:6]) + (", ..." if len(f.categories) > 6 else "")
        return f"{len(f.categories)} values: {shown}"
    x = f"days to {f.reference}" if f.part else "log(1 + x)" if f.log1p else "x"
    return f"({x} - {f.mean:.4g}) / {f.std:.4g}"


def _difference(side: str, mine: Feature, theirs: Feature) -> str:
    where = f"{side} feature {mine.name!r}"
    if mine.kind != theirs.kind:
        return f"{where} is {theirs.kind}, not {mine.kind}"
    if (mine.column, mine.part) != (theirs.column, theirs.part):
        return f"{where} is read from the column {theirs.column!r} {theirs.part}, not {mine.column!r} {mine.part}"
    if mine.kind == "categorical":
        return f"{where} has another vocabulary ({len(theirs.categories)} values, not {len(mine.categories)})"
    return f"{where} is scaled differently ({_describe(theirs)}, not {_describe(mine)})"
