"""Wrong values: for each kind of argument what people, files and other programs really hand over."""

from __future__ import annotations

import copy
import datetime
import decimal
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Wrong = tuple[str, Any]  # what was done, in words; the value

SCALARS: tuple[Any, ...] = (
    None,
    float("nan"),
    float("inf"),
    float("-inf"),
    -1,
    0,
    1,
    10**30,
    -(10**30),
    2**63,
    2**31,
    1.5,
    0.0,
    -0.5,
    1e308,
    "1",
    "",
    "no-such-word",
    "nan",
    "\x00",
    "\ud800",
    "x" * 5000,
    b"bytes",
    True,
    False,
    1j,
    decimal.Decimal("NaN"),
    np.float64("nan"),
    np.int8(-7),
    np.bool_(True),
    datetime.date(2024, 1, 1),
    np.datetime64("NaT"),
    pd.NA,
    pd.NaT,
)


class Anything:
    """An object of no use."""


def _containers(rng: random.Random) -> list[Wrong]:
    return [
        ("an empty list", []),
        ("an empty dict", {}),
        ("an empty tuple", ()),
        ("an empty set", set()),
        ("a list of a list", [[1], [1, 2]]),
        ("a list of None", [None]),
        ("a list of words", ["a", "b"]),
        ("a dict", {"a": 1}),
        ("a dict with an odd key", {None: 1}),
        ("a generator", (i for i in range(3))),
        ("a lambda", lambda *a, **k: None),
        ("an object", Anything()),
        ("a type", int),
        ("a range", range(3)),
        ("a 0-d array", np.array(1.0)),
        ("an array", np.arange(3)),
        ("a 3-d array", np.zeros((2, 2, 2))),
        ("an empty array", np.zeros(0)),
        ("a frame", pd.DataFrame({"a": [1]})),
        ("a Series", pd.Series([1, 2])),
        ("a folder", Path()),
        ("a missing path", Path("no/such/file.parquet")),
        ("a path in a file", Path(__file__) / "x"),
    ]


def anything(value: Any, rng: random.Random) -> Wrong:
    """A value that has nothing to do with what belongs there."""
    if rng.random() < 0.65:
        chosen = rng.choice(SCALARS)
        return (repr(chosen)[:40], chosen)
    return rng.choice(_containers(rng))


def word(value: str, rng: random.Random) -> Wrong:
    """A word that is almost right, or anything."""
    if rng.random() < 0.4:
        near = rng.choice([value.upper(), value[:-1], value + "s", f" {value}", value[::-1], value + "\x00"])
        return (f"the word {near!r}"[:40], near)
    return anything(value, rng)


def array(value: np.ndarray, rng: random.Random) -> Wrong:
    """Another shape, another type, or a value that is none in one place."""
    a = np.asarray(value)

    def with_value(v: Any, dtype: Any = None) -> np.ndarray:
        out = a.astype(dtype or (a.dtype if a.dtype.kind == "f" else np.float64))
        if out.size:
            out.flat[rng.randrange(out.size)] = v
        return out

    def torch_of(make: Callable[[Any], Any]) -> Any:
        import torch

        return make(torch.as_tensor(np.ascontiguousarray(a)) if a.dtype.kind in "biuf" else torch.zeros(2))

    ways: list[tuple[str, Callable[[], Any]]] = [
        ("transposed", lambda: a.T),
        ("one row less", lambda: a[:-1]),
        ("one column less", lambda: a[..., :-1]),
        ("one axis more", lambda: a[None]),
        ("flattened", lambda: a.ravel()),
        ("empty", lambda: a[:0]),
        ("doubled", lambda: np.concatenate([a, a])),
        ("a 0-d array", lambda: np.array(1.0)),
        ("with nan", lambda: with_value(np.nan)),
        ("with inf", lambda: with_value(np.inf)),
        ("with -1", lambda: with_value(-1)),
        ("with 1e300", lambda: with_value(1e300)),
        ("with 0.5", lambda: with_value(0.5)),
        ("of int64 with a huge one", lambda: with_value(2**62, np.int64)),
        ("of zeros", lambda: np.zeros_like(a)),
        ("of objects", lambda: a.astype(object)),
        ("with None", lambda: with_value(None, object)),
        ("with 10**30", lambda: with_value(10**30, object)),
        ("of text", lambda: a.astype(str)),
        ("of complex", lambda: a.astype(complex)),
        ("of dates", lambda: np.zeros(a.shape, "M8[D]")),
        ("of bool", lambda: a.astype(bool)),
        ("of float16", lambda: a.astype(np.float16)),
        ("of longdouble", lambda: a.astype(np.longdouble)),
        ("big-endian", lambda: a.astype(a.dtype.newbyteorder())),
        ("of records", lambda: np.zeros(a.shape, [("x", float)])),
        ("of bytes", lambda: a.astype("S8")),
        ("as a list", lambda: a.tolist()),
        ("a ragged list", lambda: [[1.0], [1.0, 2.0]] * max(1, len(a) // 2)),
        ("masked", lambda: np.ma.masked_invalid(with_value(np.nan))),
        ("a frame", lambda: pd.DataFrame(np.atleast_2d(a))),
        ("a generator", lambda: (x for x in a)),
        ("a nullable Series", lambda: pd.Series([1, None] * (a.size // 2 + 1), dtype="Int64")),
        ("a bfloat16 tensor", lambda: torch_of(lambda t: t.bfloat16())),
        ("a sparse tensor", lambda: torch_of(lambda t: t.to_sparse())),
        ("a meta tensor", lambda: torch_of(lambda t: t.to("meta"))),
        ("of durations", lambda: a.astype("m8[s]")),
    ]
    if rng.random() < 0.25:
        return anything(value, rng)
    return _made(*rng.choice(ways), value, rng)


def frame(value: Any, rng: random.Random) -> Wrong:
    """A column missing, twice, of another type or with holes; other names; other things than a frame."""
    table: pd.DataFrame = value.copy() if isinstance(value, pd.DataFrame) else pd.DataFrame(value)
    column = rng.choice(list(table.columns)) if len(table.columns) else "none"
    n = len(table)

    def assigned(values: Any) -> pd.DataFrame:
        out = table.copy()
        out[column] = values
        return out

    def named(names: list[Any]) -> pd.DataFrame:
        out = table.copy()
        out.columns = names
        return out

    def polars(make: Callable[[Any], Any]) -> Any:
        import polars

        return make(polars.from_pandas(table))

    def arrow(make: Callable[[Any], Any]) -> Any:
        import pyarrow as pa

        return make(pa.Table.from_pandas(table, preserve_index=False))

    def arrow_twice(t: Any) -> Any:
        return t.append_column(column, t[column])

    def arrow_struct(t: Any) -> Any:
        import pyarrow as pa

        return t.set_column(t.column_names.index(column), column, pa.array([{"a": 1}] * n))

    objects = [1, "a", None, 2.5, b"x", [1], {"a": 1}, Anything()]
    ways: list[tuple[str, Callable[[], Any]]] = [
        ("missing", lambda: table.drop(columns=[column])),
        ("twice", lambda: pd.concat([table, table[[column]]], axis=1)),
        ("with holes", lambda: assigned([None] * (n // 2) + list(table[column])[n // 2 :])),
        ("all None", lambda: assigned([None] * n)),
        ("of lists", lambda: assigned([[1, 2]] * n)),
        ("of dicts", lambda: assigned([{"a": 1}] * n)),
        ("of bytes", lambda: assigned([b"x"] * n)),
        ("of dates", lambda: assigned(pd.Timestamp("2024-01-01"))),
        ("of durations", lambda: assigned(pd.Timedelta(days=1))),
        ("of complex", lambda: assigned(1j)),
        ("of mixed objects", lambda: assigned([rng.choice(objects) for _ in range(n)])),
        ("of text", lambda: assigned([f"w{i}" for i in range(n)])),
        ("of surrogates", lambda: assigned(["\ud800"] * n)),
        ("of decimals", lambda: assigned([decimal.Decimal("1.5")] * n)),
        ("of huge integers", lambda: assigned([10**30 + i for i in range(n)])),
        ("of uint64", lambda: assigned(np.arange(n, dtype=np.uint64) + np.uint64(2**63))),
        ("of -1", lambda: assigned(-1)),
        ("of inf", lambda: assigned(np.inf)),
        ("of nan", lambda: assigned(np.nan)),
        ("of 1e300", lambda: assigned(1e300)),
        ("of float ids", lambda: assigned(np.arange(n) + 0.5)),
        ("of 1e19", lambda: assigned(np.arange(n) * 1e19)),
        ("of bool", lambda: assigned(True)),
        ("of the same", lambda: assigned(table[column].iloc[0])),
        ("of categories", lambda: assigned(pd.Categorical(["a"] * n))),
        ("of intervals", lambda: assigned(pd.IntervalIndex.from_breaks(range(n + 1)))),
        ("of periods", lambda: assigned(pd.period_range("2024-01-01", periods=n))),
        ("of sparse", lambda: assigned(pd.arrays.SparseArray([0] * n))),
        ("named by numbers", lambda: named(list(range(len(table.columns))))),
        ("of mixed names", lambda: named([*table.columns[:-1], 7])),
        ("with a name None", lambda: named([*table.columns[:-1], None])),
        ("of two levels", lambda: pd.concat({"top": table}, axis=1)),
        ("a Series", lambda: table[column]),
        ("a dict of lists", lambda: table.to_dict("list")),
        ("records", lambda: table.to_records()),
        ("an array", lambda: table.to_numpy()),
        ("no rows", lambda: table.iloc[:0]),
        ("no columns", lambda: table[[]]),
        ("no frame", lambda: pd.DataFrame()),
        ("a GroupBy", lambda: table.groupby(column)),
        ("a csv's path", lambda: "frame.csv"),
        ("a saved index", lambda: table.set_index(column)),
        ("lazy", lambda: polars(lambda t: t.lazy())),
        ("lazy and broken", lambda: polars(lambda t: t.lazy().select("no-such-column"))),
        ("polars objects", lambda: polars(lambda t: t.with_columns(__import__("polars").lit("x").alias(column)))),
        ("arrow, twice", lambda: arrow(arrow_twice)),
        ("arrow, of structs", lambda: arrow(arrow_struct)),
        ("a record batch", lambda: arrow(lambda t: t.to_batches()[0])),
    ]
    if rng.random() < 0.2:
        return anything(value, rng)
    return _made(*rng.choice(ways), value, rng, f"{column} ")


def tree(value: Any, rng: random.Random) -> Wrong:
    """A nested structure with one node replaced, dropped or added."""
    out = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, inner in items:
            places.append((node, key))
            walk(inner)

    walk(out)
    if not places or rng.random() < 0.05:
        return anything(value, rng)
    node, key = rng.choice(places)
    way = rng.choice(("replace", "replace", "replace", "drop", "add"))
    if way == "drop":
        del node[key]
        return (f"without {key!r}", out)
    what, wrong = anything(node[key], rng)
    if way == "add" and isinstance(node, dict):
        node["no-such-key"] = wrong
        return (f"with a key more: {what}", out)
    node[key] = wrong
    return (f"{key!r} is {what}", out)


def _made(what: str, make: Callable[[], Any], value: Any, rng: random.Random, where: str = "") -> Wrong:
    try:
        return (where + what, make())
    except Exception:  # the library itself cannot make such a thing: then something else
        return anything(value, rng)
