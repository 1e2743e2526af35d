"""Ids of every type and library: exact or refused, and in the plan as they came in."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu._columns import text_of
from ptofa_gpu._id_arrays import check_ids
from ptofa_gpu._ids import Ids, take
from ptofa_gpu.cli.allocate import _write_csv
from ptofa_gpu.datasets import ExposureData
from ptofa_gpu.errors import InputError, SchemaError

pl = pytest.importorskip("polars")

DAY = dt.datetime(2024, 3, 31, 1, 30)
UUIDS = [uuid.UUID(int=(0xA5 << 120) + 7 * i) for i in (3, 1, 4, 2, 5)]
#: Five ids of each type, in no order.
TYPES: dict[str, pa.Array] = {
    "int64": pa.array([30, -10, 20, 1_700_000_000_000_000_001, 5]),
    "int64, in order": pa.array([1, 2, 3, 4, 5]),
    "int8": pa.array([3, -1, 2, 9, 5], pa.int8()),
    "uint16": pa.array([3, 1, 2, 60_000, 5], pa.uint16()),
    "uint64": pa.array([2**63 + 1, 2**63, 2**64 - 1, 7, 2**63 + 2], pa.uint64()),
    "double": pa.array([3.0, -1.0, 2.0, 2.0**53 - 1, 5.0]),
    "decimal(20, 0)": pa.array([Decimal(10**19 + i) for i in (3, 1, 4, 2, 5)], pa.decimal128(20, 0)),
    "decimal(38, 0)": pa.array([Decimal(10**37 + i) for i in (3, 1, 4, 2, 5)], pa.decimal128(38, 0)),
    "decimal(38, 2)": pa.array([Decimal(i) for i in (3, 1, 4, 2, 5)], pa.decimal128(38, 2)),
    "decimal(60, 0)": pa.array([Decimal(10**59 + i) for i in (3, 1, 4, 2, 5)], pa.decimal256(60, 0)),
    "uuid": pa.array(UUIDS, pa.uuid()),
    "binary(16)": pa.array([u.bytes for u in UUIDS], pa.binary(16)),
    "binary": pa.array([b"\xff\x00", b"a", b"\x00", b"bb", b"c"]),
    "date32": pa.array([dt.date(2024, 1, d) for d in (3, 1, 4, 2, 5)]),
    "timestamp[ns]": pa.array([DAY + dt.timedelta(hours=h) for h in (3, 1, 4, 2, 5)], pa.timestamp("ns")),
    "timestamp[us, UTC]": pa.array([DAY + dt.timedelta(hours=h) for h in (3, 1, 4, 2, 5)], pa.timestamp("us", "UTC")),
    "timestamp[ms, Berlin]": pa.array(
        [DAY + dt.timedelta(hours=h) for h in (3, 1, 4, 2, 5)], pa.timestamp("ms", "Europe/Berlin")
    ),
    "string": pa.array(["007", "7", "12345678901234567890", "é", " b"]),
    "large_string": pa.array(["c", "a", "d", "b", "e"], pa.large_string()),
    "string_view": pa.array(["c", "a longer one than twelve", "d", "b", "e"], pa.string_view()),
    "dictionary": pa.array(["c", "a", "d", "b", "e"]).dictionary_encode(),
    "dictionary of int": pa.array([30, 10, 40, 20, 50]).dictionary_encode(),
}
LIBRARIES = ("pandas", "polars", "pyarrow")
E = np.array([[9, 1, 2], [1, 8, 2], [1, 2, 7], [6, 1, 2], [1, 5, 2]], np.float32)
BEST = 9.0 + 8 + 7 + 6 + 5
FUND_OF = [0, 1, 2, 0, 1]
ORDER = [3, 0, 4, 2, 1]


def native(table: pa.Table, library: str) -> Any:
    if library == "polars" and any(pa.types.is_decimal256(c.type) for c in table.columns):
        pytest.skip("Polars has no decimals of 60 digits")
    return nw.from_arrow(table, backend=library).to_native()


def some(column: pa.Array, rows: Any) -> pa.ChunkedArray:
    return take(pa.chunked_array([column]), np.asarray(rows))


def funds_of(ids: pa.Array | None = None) -> pa.Table:
    return pa.table({"fund": pa.array(["x", "y", "z"]) if ids is None else ids[:3], "quota": [2, 2, 1]})


def revenue_of(form: str, customers: pa.Array, funds: pa.Array, order: list[int]) -> Any:
    if form == "array":
        return E
    if form == "wide":
        columns = {text_of(f): E[order, at] for at, f in enumerate(funds.to_pylist())}
        return pa.table({"customer": some(customers, order), **columns})
    pairs = np.random.default_rng(0).permutation(15)
    return pa.table(
        {
            "customer": some(customers, pairs // 3),
            "fund": some(funds, pairs % 3),
            "revenue": E[pairs // 3, pairs % 3],
        }
    )


def plan_of(customers: Any, funds: Any, revenue: Any) -> Any:
    plan = ptofa.allocate(ptofa.AllocationProblem.from_frames(revenue, customers, funds), device="cpu").verify()
    assert plan.objective == BEST
    return plan


@pytest.mark.parametrize("form", ["array", "wide", "long"])
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", TYPES)
def test_ids_come_out_as_they_came_in(kind: str, library: str, form: str) -> None:
    ids, funds = TYPES[kind], pa.array(["x", "y", "z"])
    customers = native(pa.table({"customer": ids}), library)
    revenue = revenue_of(form, ids, funds, ORDER)
    revenue = revenue if form == "array" else native(revenue, library)
    frame = plan_of(customers, native(funds_of(), library), revenue).to_frame()
    came = nw.from_native(customers, eager_only=True)["customer"]
    went = nw.from_native(frame, eager_only=True)
    assert went.implementation.value == library
    assert went["customer"].dtype == came.dtype
    assert type(went["customer"].to_native()) is type(came.to_native())
    if library == "pandas":
        assert frame["customer"].dtype == customers["customer"].dtype
        assert frame.index.equals(pd.RangeIndex(5))
    assert went["customer"].to_list() == came.to_list()
    assert went["fund"].to_list() == ["xyz"[f] for f in FUND_OF]


@pytest.mark.parametrize("form", ["array", "wide", "long"])
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", TYPES)
def test_ids_of_funds_too(kind: str, library: str, form: str) -> None:
    customers, funds = pa.array([4, 2, 5, 1, 3]), TYPES[kind][:3]
    products = native(funds_of(funds), library)
    if form == "wide" and kind == "uuid" and library == "polars":  # which reads UUIDs as bytes
        funds = TYPES["binary(16)"][:3]
    revenue = revenue_of(form, customers, funds, ORDER)
    plan = plan_of(
        native(pa.table({"customer": customers}), library),
        products,
        revenue if form == "array" else native(revenue, library),
    )
    came = nw.from_native(products, eager_only=True)["fund"]
    went = nw.from_native(plan.to_frame(), eager_only=True)["fund"]
    assert went.dtype == came.dtype
    assert went.to_list() == [came.to_list()[f] for f in FUND_OF]
    assert plan.problem.names == [text_of(v) for v in came.to_list()]


@pytest.mark.parametrize("kind", TYPES)
def test_a_round_trip_through_parquet_keeps_the_type(kind: str, tmp_path: Any) -> None:
    def saved(table: pa.Table) -> pa.Table:
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        return pq.ParquetFile(buffer).read()

    ids = TYPES[kind]
    customers, funds = saved(pa.table({"customer": ids})), saved(funds_of(ids))
    plan = plan_of(customers, funds, E)
    plan.to_parquet(tmp_path / "plan.parquet")
    written = pq.ParquetFile(tmp_path / "plan.parquet").read()
    assert written["customer"].type == customers["customer"].type
    assert kind == "dictionary of int" or written["customer"].type == ids.type  # Parquet reads those as int64
    assert written["fund"].type == funds["fund"].type
    assert written["customer"].to_pylist() == ids.to_pylist()
    assert written["fund"].to_pylist() == [ids[f].as_py() for f in FUND_OF]
    _write_csv(plan, tmp_path / "plan.csv")
    rows = pd.read_csv(tmp_path / "plan.csv", dtype=str, keep_default_na=False)
    if not pa.types.is_temporal(ids.type):  # which Arrow writes its own way
        assert rows["customer"].tolist() == [text_of(v) for v in ids.to_pylist()]
    assert rows["customer"].nunique() == 5


@pytest.mark.parametrize("into", LIBRARIES)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", TYPES)
def test_a_plan_for_another_library(kind: str, library: str, into: str) -> None:
    customers = native(pa.table({"customer": TYPES[kind]}), library)
    plan = plan_of(customers, native(funds_of(), library), E)
    went = nw.from_native(plan.to_frame(into), eager_only=True)
    assert went.implementation.value == into
    expected = TYPES[kind].to_pylist()
    if kind == "uuid" and library == "polars":
        expected = [u.bytes for u in expected]  # so Polars reads them
    texts = [text_of(v) for v in expected]
    got = [text_of(v.to_pydatetime() if isinstance(v, pd.Timestamp) else v) for v in went["customer"].to_list()]
    if pa.types.is_temporal(TYPES[kind].type):
        got, texts = ([str(pd.Timestamp(t)) for t in x] for x in (got, texts))
    assert got == texts


EQUAL = [
    ("int64", pa.array([30, 10, 20, 50, 40]), "uint64", pa.array([30, 10, 20, 50, 40], pa.uint64())),
    ("int64", pa.array([2**62 + i for i in (3, 1, 2, 5, 4)]), "uint64", None),
    ("uint64", pa.array([2**63 + i for i in (3, 1, 2, 5, 4)], pa.uint64()), "decimal", None),
    ("uint64", pa.array([2**63 + i for i in (3, 1, 2, 5, 4)], pa.uint64()), "text", None),
    ("int64", pa.array([2**62 + i for i in (3, 1, 2, 5, 4)]), "decimal", None),
    ("int64", pa.array([30, -10, 0, 50, 40]), "text", None),
    ("int64", pa.array([30, -10, 0, 50, 40]), "double", None),
    ("int64", pa.array([30, -10, 0, 50, 40]), "int8", None),
    ("int64", pa.array([30, -10, 0, 50, 40]), "dictionary of text", None),
    ("decimal", pa.array([Decimal(10**37 + i) for i in (3, 1, 2, 5, 4)]), "text", None),
    (
        "timestamp",
        pa.array([DAY + dt.timedelta(hours=h) for h in (3, 1, 4, 2, 5)], pa.timestamp("ns", "UTC")),
        "s",
        None,
    ),
    ("date", TYPES["date32"], "naive", TYPES["date32"].cast(pa.timestamp("us"))),
    ("string", TYPES["string"], "view", TYPES["string"].cast(pa.string_view())),
    ("string", TYPES["string"], "dictionary", TYPES["string"].dictionary_encode()),
    ("uuid", TYPES["uuid"], "bytes", TYPES["binary(16)"]),
]
CASTS = {
    "uint64": pa.uint64(),
    "decimal": pa.decimal128(38, 0),
    "double": pa.float64(),
    "int8": pa.int8(),
    "s": pa.timestamp("s", "Asia/Kolkata"),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("form", ["wide", "long"])
@pytest.mark.parametrize(
    ("name", "ids", "other", "same"), EQUAL, ids=[f"{e[0]}-{e[2]}-{i}" for i, e in enumerate(EQUAL)]
)
def test_equal_ids_of_two_types_meet(name: str, ids: Any, other: str, same: Any, form: str, turned: bool) -> None:
    if same is None:
        texts = pa.array([text_of(v) for v in ids.to_pylist()])
        same = texts if other == "text" else texts.dictionary_encode() if "text" in other else ids.cast(CASTS[other])
    here, there = (same, ids) if turned else (ids, same)
    for order in ([0, 1, 2, 3, 4], ORDER):
        revenue = revenue_of(form, there, pa.array(["x", "y", "z"]), order)
        plan = plan_of(pa.table({"customer": here}), funds_of(), revenue)
        assert plan.to_frame()["customer"].type == here.type
        assert plan.to_frame()["customer"].to_pylist() == here.to_pylist()


def test_pandas_and_polars_meet() -> None:
    customers = pd.DataFrame({"customer": pd.Categorical(["c", "a", "d", "b", "e"])})
    ids = pl.Series("customer", ["b", "c", "e", "d", "a"], dtype=pl.Enum(["a", "b", "c", "d", "e"]))
    revenue = pl.DataFrame([ids, *(pl.Series("xyz"[f], E[ORDER, f]) for f in range(3))])
    frame = plan_of(customers, funds_of(), revenue).to_frame()
    assert frame["customer"].dtype == customers["customer"].dtype
    assert frame["customer"].tolist() == ["c", "a", "d", "b", "e"]


def test_polars_numbers_of_128_bits_and_objects() -> None:
    for series in (
        pl.Series([2**100 + i for i in (3, 1, 4, 2, 5)], dtype=pl.Int128),
        pl.Series(UUIDS, dtype=pl.Object),
    ):
        customers = pl.DataFrame({"customer": series})
        order = pl.DataFrame({"customer": pl.Series([series[i] for i in ORDER], dtype=series.dtype)})
        revenue = order.with_columns(**{"xyz"[f]: pl.Series(E[ORDER, f]) for f in range(3)})
        frame = plan_of(customers, pl.from_arrow(funds_of()), revenue).to_frame()
        assert frame["customer"].dtype == series.dtype
        assert frame["customer"].to_list() == series.to_list()


def test_a_pandas_pivot_with_numbers_for_labels() -> None:
    long = pd.DataFrame({"customer": [1, 1, 2, 2], "fund": [101, 102] * 2, "revenue": [5.0, 1.0, 2.0, 4.0]})
    wide = long.pivot(index="customer", columns="fund", values="revenue").reset_index()
    for kind in (np.int64, np.uint64, float, str):
        funds = pd.DataFrame({"fund": np.array([101, 102]).astype(kind), "quota": [1, 1]})
        problem = ptofa.AllocationProblem.from_frames(wide, pd.DataFrame({"customer": [1, 2]}), funds)
        plan = ptofa.allocate(problem, device="cpu")
        assert plan.objective == 9.0
        assert plan.problem.names == ["101", "102"]
        assert plan.to_frame()["fund"].dtype == funds["fund"].dtype


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (
            pa.array([1.3e19, 1.0]),
            r"floating-point numbers .* from 9,007,199,254,740,992 on: 1 of 2 .*Read them as text",
        ),
        (pa.array([2.0**53, 1.0]), "Read them as text"),
        (pa.array([2.0**24, 1.0], pa.float32()), "from 16,777,216 on"),
        (pa.array([1.5, 1.0]), "fractions"),
        (pa.array([np.inf, 1.0]), "infinite"),
        (pa.array([Decimal("1.50"), Decimal("1.00")]), "1 fractions"),
        (pa.array([True, False]), "holds true and false"),
        (pa.array([dt.timedelta(1), dt.timedelta(2)]), "has type duration"),
        (pa.array([[1], [2]]), "has type .*list"),
        (pa.array([dt.date(9999, 12, 31), dt.date(2020, 1, 1)]), "beyond the years"),
        (pa.array([dt.datetime(9999, 12, 31), dt.datetime(2020, 1, 1)]), "beyond the years"),
        (pa.array([1, None]), r"customer is missing: 1 of 2 rows, the first is row 1"),
        (pa.array([np.nan, 2.0]), r"customer is missing: 1 of 2 rows, the first is row 0"),
        (pa.array([None, None], pa.string()), r"customer is missing: 2 of 2 rows"),
        (pa.array([None, None]), r"customer is missing: 2 of 2 rows"),
        (pa.array(["a", "a"]), r"customer must be unique; 2 of 2 rows share 1 id, for example 'a'"),
        (pa.array([7, 7], pa.uint64()), r"2 of 2 rows share 1 id, for example 7"),
        (pa.array([Decimal(10**30)] * 2), r"share 1 id, for example 1000000000000000000000000000000"),
        (pa.array(UUIDS[:1] * 2), r"share 1 id, for example a50{6}-?0{4}-?0{4}-?0{4}-?0{10}15"),
    ],
    ids=str,
)
def test_what_is_not_exact_is_refused(ids: pa.Array, words: str) -> None:
    customers, funds = pa.table({"customer": ids}), pa.table({"fund": ["a"], "quota": [2]})
    for library in LIBRARIES:
        with pytest.raises(SchemaError, match=words) as caught:
            ptofa.AllocationProblem.from_frames(np.ones((2, 1)), native(customers, library), native(funds, library))
        log = pa.table({"customer": ids, "fund": ["a", "a"], "converted": [0, 1], "amount": [0.0, 1.0]})
        with pytest.raises(SchemaError) as other:
            ExposureData.from_frames(*(native(t, library) for t in (log, customers, funds)))
        assert caught.value.problems[0] in other.value.problems
    with pytest.raises(InputError, match=words.replace("customer ", "customer_ids ")):
        ptofa.AllocationProblem(np.ones((2, 1)), [2], customer_ids=ids)


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        (
            ["7", "007"],
            [7, 8],
            "revenue: customer holds text but customers.customer holds whole numbers; write both the",
        ),
        ([7, 8], ["7", "8.0"], "customer holds whole numbers but customers.customer holds text"),
        ([7, 8], ["a", "b"], "--id-type"),
        ([DAY, DAY + dt.timedelta(1)], [7, 8], "dates or times without a time zone but customers.customer holds whole"),
        (UUIDS[:2], [str(u) for u in UUIDS[:2]], "holds UUIDs but customers.customer holds text"),
    ],
)
def test_ids_of_two_kinds_are_one_problem(here: Any, there: Any, words: str) -> None:
    revenue = pa.table({"customer": pa.array(here), "a": [1.0, 2.0]})
    with pytest.raises(SchemaError, match=words) as caught:
        ptofa.AllocationProblem.from_frames(
            revenue, pa.table({"customer": pa.array(there)}), pa.table({"fund": ["a"], "quota": [2]})
        )
    assert len(caught.value.problems) == 1


def test_times_with_and_without_a_zone_do_not_meet() -> None:
    zoned = pa.array([DAY, DAY + dt.timedelta(1)], pa.timestamp("us", "UTC"))
    revenue = pa.table({"customer": zoned.cast(pa.timestamp("us")), "a": [1.0, 2.0]})
    with pytest.raises(SchemaError, match=r"without a time zone but customers.customer holds times with a time zone"):
        ptofa.AllocationProblem.from_frames(
            revenue, pa.table({"customer": zoned}), pa.table({"fund": ["a"], "quota": [2]})
        )


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", [k for k in TYPES if not k.startswith(("date", "time"))])
def test_the_log_meets_its_funds(kind: str, library: str) -> None:
    ids = TYPES["binary(16)" if kind == "uuid" and library == "polars" else kind][:3]
    log = pa.table(
        {
            "customer": [0, 1, 2, 3, 4, 0],
            "fund": some(ids, [2, 0, 1, 0, 2, 1]),
            "converted": [0, 1, 0, 1, 0, 1],
            "amount": [0.0, 1.0, 0.0, 1.0, 0.0, 2.0],
            "split": ["train"] * 6,
        }
    )
    customers = pa.table({"customer": range(5), "age": range(5)})
    data = ExposureData.from_frames(*(native(t, library) for t in (log, customers, funds_of(ids))))
    assert data.arrays.fund.tolist() == [2, 0, 1, 0, 2, 1]
    assert data.schema.fund_features[0].categories == tuple(sorted(text_of(v) for v in ids.to_pylist()))
    assert [row["name"] for row in data.fund_table()] == [text_of(v) for v in ids.to_pylist()]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", TYPES)
def test_the_log_meets_its_customers_its_customers(kind: str, library: str) -> None:
    ids = TYPES[kind]
    log = pa.table(
        {
            "customer": some(ids, [*ORDER, 0]),
            "fund": ["x", "y", "x", "y", "z", "z"],
            "converted": [0, 1, 0, 1, 0, 1],
            "amount": [0.0, 1.0, 0.0, 1.0, 0.0, 2.0],
            "split": ["train"] * 6,
        }
    )
    data = ExposureData.from_frames(
        *(native(t, library) for t in (log, pa.table({"customer": ids, "age": range(5)}), funds_of()))
    )
    assert data.arrays.customer.tolist() == [*ORDER, 0]
    frame = nw.from_native(ptofa.allocate(data.problem(E), device="cpu").to_frame(), eager_only=True)
    assert frame["customer"].to_list() == nw.from_native(data.customers, eager_only=True)["customer"].to_list()


# -- ids as arrays ---------------------------------------------------------------------------------------------------
def series_of(values: list[Any]) -> list[Any]:
    return [values, tuple(values), pd.Series(values, index=range(9, 14)), pd.Index(values), pa.array(values)]


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        *((x, pa.int64()) for x in series_of([3, 1, 4, 2, 5])),
        (np.array([3, 1, 4, 2, 5], np.int16), pa.int16()),
        (np.array([3, 1, 4, 2, 5], ">i8"), pa.int64()),
        (np.array([2**63 + i for i in (3, 1, 4, 2, 5)], np.uint64), pa.uint64()),
        ([2**63 + i for i in (3, 1, 4, 2, 5)], pa.uint64()),
        ([2**70 + i for i in (3, 1, 4, 2, 5)], pa.decimal128(22, 0)),
        (np.array(["c", "a", "d", "b", "e"]), pa.string()),
        (np.array(["c", "a", "d", "b", "e"], object), pa.string()),
        (np.array(["2020-01-03", "2020-01-01", "2020-01-05", "2020-01-02", "2020-01-04"], "M8[s]"), pa.timestamp("s")),
        (pd.array([3, 1, 4, 2, 5], dtype="Int64"), pa.int64()),
        (pl.Series(["c", "a", "d", "b", "e"]), pa.large_string()),
        (pl.Series([3, 1, 4, 2, 5], dtype=pl.UInt8), pa.uint8()),
        (pa.chunked_array([[3, 1], [4, 2, 5]]), pa.int64()),
        (UUIDS, pa.uuid()),
    ],
    ids=lambda x: type(x).__name__ if not isinstance(x, pa.DataType) else str(x),
)
def test_ids_given_as_arrays(ids: Any, kind: pa.DataType) -> None:
    problem = ptofa.AllocationProblem(E, [2, 2, 1], customer_ids=ids, fund_ids=["x", "y", "z"])
    table = ptofa.allocate(problem, device="cpu").to_frame("pyarrow")
    assert table["customer"].type == kind
    assert table["customer"].to_pylist() == [
        v.as_py() if hasattr(v, "as_py") else v for v in Ids.tolist(check_ids(ids, 5, "x"))
    ]
    assert table["fund"].to_pylist() == ["xyz"[f] for f in FUND_OF]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([1, 2, 2, 3, 4], r"customer_ids must be unique; 2 of 5 rows share 1 id, for example 2\."),
        (np.array(["a", "b", "a", "b", "c"]), r"4 of 5 rows share 2 ids, for example 'a'"),
        (["a", None, "c", "d", "e"], r"customer_ids is missing: 1 of 5 rows, the first is row 1\."),
        (pd.Series([1, None, 3, 4, 5]), "is missing: 1 of 5 rows"),
        (np.ma.masked_array([1, 2, 3, 4, 5], [0, 0, 1, 0, 0]), "is missing: 1 of 5 rows, the first is row 2"),
        ([1, "a", 2, 3, 4], "mixes values of different types"),
        ([2**70, "a", 2, 3, 4], "mixes"),
        ([True, False, True, False, True], "true and false"),
        (np.arange(5) + 0.5, "fractions"),
        (np.arange(5) * 1j, "customer_ids"),
        ([1, 2], r"customer_ids has shape \(2,\); one identifier a row of the revenue needs \(5,\)"),
        (np.zeros((5, 1)), r"customer_ids has shape \(5, 1\)"),
        ("abcde", "customer_ids is a str"),
        ({1: 2}, "customer_ids is a dict"),
        (7, "customer_ids is a int"),
        ([object()] * 5, "customer_ids"),
        (pd.MultiIndex.from_product([[1], range(5)]), "customer_ids"),
    ],
)
def test_bad_arrays_of_ids(ids: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ptofa.AllocationProblem(E, [2, 2, 1], customer_ids=ids)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (pa.array([Decimal("1e5"), Decimal("2e5")], pa.decimal128(5, -3)), r"decimal128\(5, -3\), which files"),
        (pa.array([1, 2], pa.timestamp("us", "Not/AZone")), "time zone 'Not/AZone', which this machine does not know"),
        (pa.array([1, 2], pa.time32("s")), "has type time32"),
        (pa.RunEndEncodedArray.from_arrays([1, 2], [1, 2]), "has type run_end_encoded"),
        (pd.Series(["\ud800", "a"], dtype=object), "surrogates not allowed"),
        (pd.Series([1, "a"], dtype=object), "mixes values of different types"),
        (pd.Series([10**90, 1], dtype=object), "more than 76 digits"),
        (pl.Series([object(), object()], dtype=pl.Object), "mixes values"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_columns_that_no_id_can_be_read_from(ids: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ptofa.AllocationProblem(np.ones((2, 1)), [2], customer_ids=ids)
    column = pa.chunked_array([ids]) if isinstance(ids, pa.Array) else ids
    table = pl.DataFrame if isinstance(ids, pl.Series) else pd.DataFrame if isinstance(ids, pd.Series) else pa.table
    with pytest.raises(SchemaError, match=words):
        ptofa.AllocationProblem.from_frames(np.ones((2, 1)), table({"customer": column}), funds_of().slice(0, 1))


@pytest.mark.parametrize(
    "ids", [pd.Series(np.array([3, 1, 4, 2, 5], ">i4")), pd.Series(pd.arrays.SparseArray([3, 1, 4, 2, 5]))]
)
def test_numbers_of_pandas_that_arrow_does_not_take(ids: Any) -> None:
    plan = plan_of(
        pd.DataFrame({"customer": ids}),
        funds_of(),
        revenue_of("wide", TYPES["int64, in order"], pa.array(["x", "y", "z"]), [0, 1, 2, 3, 4]).set_column(
            0, "customer", pa.array([3, 1, 4, 2, 5])
        ),
    )
    assert plan.to_frame()["customer"].tolist() == [3, 1, 4, 2, 5]


def test_ids_of_another_problem_are_checked_again() -> None:
    problem = ptofa.AllocationProblem(E, [2, 2, 1], customer_ids=[3, 1, 4, 2, 5])
    again = ptofa.AllocationProblem(E, [2, 2, 1], customer_ids=problem.customer_ids)
    assert list(again.customer_ids) == [3, 1, 4, 2, 5]
    with pytest.raises(InputError, match="share 1 id"):
        ptofa.AllocationProblem(E, [2, 2, 1], customer_ids=problem.customer_ids[[0, 1, 2, 3, 3]])


def test_an_array_of_ids_is_copied() -> None:
    ids = np.array([3, 1, 4, 2, 5])
    problem = ptofa.AllocationProblem(E, [2, 2, 1], customer_ids=ids)
    ids[:] = 0
    assert problem.customer_ids.tolist() == [3, 1, 4, 2, 5]
    assert np.asarray(problem.customer_ids).tolist() == [3, 1, 4, 2, 5]
    assert list(problem.customer_ids) == [3, 1, 4, 2, 5]
    assert problem.customer_ids[2] == 4
