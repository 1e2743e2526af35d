"""The schema: the same codes from every data-frame library, all problems in one error, a faithful round trip."""

from __future__ import annotations

import datetime
import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ptofa_gpu.errors import InputError, SchemaError
from ptofa_gpu.prediction.schema import Feature, Schema
from tests.datasets.frames import MAKERS, Maker, customers, funds

FUND = Feature("fund", "categorical", categories=("a", "b"))


def schema_of(**features: Feature) -> Schema:
    return Schema(tuple(features.values()), (FUND,))


@pytest.mark.parametrize("make", MAKERS)
def test_codes_and_numbers_do_not_depend_on_the_library(make: Maker) -> None:
    schema = Schema.infer(make(customers()), make(funds()), currency="CNY", name="six")
    assert [f.name for f in schema.customer_features] == ["tolerance", "region", "vip", "balance"]
    assert [f.name for f in schema.fund_features] == ["fund", "risk", "fee"]
    assert schema.fund_features[0].categories == ("a", "b", "c")

    encoded = schema.encode_customers(make(customers()))
    np.testing.assert_array_equal(encoded.categorical[:, 0], [1, 3, 1, 0, 2, 3])  # east, north, west; None unseen
    np.testing.assert_array_equal(encoded.categorical[:, 1], [2, 1, 1, 2, 1, 1])  # false, true
    x = np.array(customers()["balance"])
    np.testing.assert_allclose(encoded.numeric[:, 1], (x - x.mean()) / x.std(), rtol=1e-6)
    assert encoded.categorical.dtype == np.int32
    assert encoded.numeric.dtype == np.float32
    assert encoded.unseen == {"region": 1}
    np.testing.assert_array_equal(schema.encode_funds(make(funds())).categorical[:, 0], [1, 2, 3])


def test_a_vocabulary_learned_in_one_library_serves_another() -> None:
    learned = Schema.infer(
        pd.DataFrame({"customer": [1, 2], "level": pd.Categorical(["x", "y"])}), pd.DataFrame(funds())
    )
    polars = pl.DataFrame({"level": ["y", "new", "x"]}).with_columns(pl.col("level").cast(pl.Categorical))
    encoded = learned.encode_customers(polars)
    np.testing.assert_array_equal(encoded.categorical[:, 0], [2, 0, 1])
    assert encoded.unseen == {"level": 1}


def test_a_whole_number_is_the_same_category_as_integer_float_and_nullable() -> None:
    schema = schema_of(level=Feature("level", "categorical", categories=("1", "2")))
    for column in ([1, 2, 1], [1.0, 2.0, 1.0], pd.array([1, 2, 1], dtype="Int64"), ["1", "2", "1"]):
        codes = schema.encode_customers(pd.DataFrame({"level": column})).categorical[:, 0]
        np.testing.assert_array_equal(codes, [1, 2, 1])
    with_gap = schema.encode_customers(pd.DataFrame({"level": [1, None, 2]}))  # floats now
    np.testing.assert_array_equal(with_gap.categorical[:, 0], [1, 0, 2])


def test_a_missing_number_becomes_the_mean_and_is_counted() -> None:
    schema = schema_of(x=Feature("x", "numeric", mean=2.0, std=4.0))
    encoded = schema.encode_customers(pl.DataFrame({"x": [2.0, None, float("nan"), 10.0]}))
    np.testing.assert_array_equal(encoded.numeric[:, 0], [0, 0, 0, 2])
    assert encoded.unseen == {"x": 2}


def test_a_constant_column_has_spread_one() -> None:
    people = pd.DataFrame({"customer": range(4), "same": [0.1 + 0.2] * 4})
    feature = Schema.infer(people, pd.DataFrame(funds())).customer_features[0]
    assert feature.std == 1.0
    assert feature.mean == pytest.approx(0.3)


def test_long_tails_are_taken_in_logarithms_and_negative_ones_are_not() -> None:
    tail = np.exp(np.linspace(0, 9, 200))
    people = pd.DataFrame({"customer": range(200), "tail": tail, "signed": np.where(tail > 8000, tail, -1.0)})
    long, signed = Schema.infer(people, pd.DataFrame(funds())).customer_features
    assert long.log1p
    assert not signed.log1p
    assert long.mean == pytest.approx(np.log1p(tail).mean())


def test_one_error_lists_every_problem_of_a_frame() -> None:
    schema = Schema.infer(pd.DataFrame(customers()), pd.DataFrame(funds()))
    bad = pd.DataFrame({"tolerance": ["low", "high"], "vip": [[1], [2]], "balance": [1.0, math.inf]})
    with pytest.raises(SchemaError) as caught:
        schema.encode_customers(bad)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "column 'region' is missing" in text
    assert "column 'tolerance' has type" in text
    assert "column 'vip' has type list" in text
    assert "column 'balance' is infinite in 1 of 2 rows, the first is row 1" in text


def test_mixed_types_and_values_below_the_logarithm_are_named() -> None:
    schema = schema_of(
        x=Feature("x", "categorical", categories=("1",)), y=Feature("y", "numeric", log1p=True, mean=0.0, std=1.0)
    )
    with pytest.raises(SchemaError) as caught:
        schema.encode_customers(pd.DataFrame({"x": [1, "two", 3], "y": [0.0, -5.0, 1.0]}))
    assert "mixes values of different types" in caught.value.problems[0]
    assert "-5.0 in 1 of 3 rows, the first is row 1" in caught.value.problems[1]


def test_inference_refuses_ids_and_empty_columns_together() -> None:
    people = pd.DataFrame({"customer": range(30), "email": [f"c{i}@x" for i in range(30)], "empty": [None] * 30})
    with pytest.raises(SchemaError) as caught:
        Schema.infer(
            people, pd.DataFrame({"quota": [1]}), customer_features=["email", "empty", "gone"], max_categories=20
        )
    text = str(caught.value)
    assert "'email' has 30 distinct values" in text
    assert "'empty' holds no value at all" in text
    assert "customers: column 'gone' is missing" in text
    assert "funds: column 'fund' is missing" in text


def test_inference_refuses_values_no_standard_deviation_can_hold() -> None:
    people = pd.DataFrame({"customer": [1, 2], "x": [1e300, 1.0], "y": [math.inf, 1.0]})
    with pytest.raises(SchemaError) as caught:
        Schema.infer(people, pd.DataFrame(funds()))
    assert "'x' holds values up to 1e+300" in caught.value.problems[0]
    assert "'y' is infinite in 1 of 2 rows" in caught.value.problems[1]


def test_the_kind_can_be_chosen() -> None:
    schema = Schema.infer(
        pd.DataFrame(customers()),
        pd.DataFrame(funds()),
        customer_features={"tolerance": "categorical"},
        fund_features=[],
    )
    assert schema.customer_features == (Feature("tolerance", "categorical", categories=("1", "2", "3", "4", "5")),)
    assert [f.name for f in schema.fund_features] == ["fund"]


def test_json_gives_back_an_equal_schema() -> None:
    people = pd.DataFrame(customers()).assign(odd=[0.1, 1 / 3, 1e90, -1e-300, 2.0, 7.0])
    schema = Schema.infer(people, pd.DataFrame(funds()), currency="€", name="ünï")
    again = Schema.from_json(schema.to_json())
    assert again == schema
    assert hash(again) == hash(schema)
    assert again.differences(schema) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "ptofa-schema-1"}', '{"format": "ptofa-schema-9"}'])
def test_json_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="not a schema"):
        Schema.from_json(text)


def test_json_with_an_unknown_field_is_refused() -> None:
    raw = json.loads(schema_of().to_json())
    raw["fund_features"][0]["weight"] = 3
    with pytest.raises(SchemaError, match="weight"):
        Schema.from_json(json.dumps(raw))


def test_differences_name_the_columns() -> None:
    one = schema_of(
        x=Feature("x", "numeric"), y=Feature("y", "categorical", categories=("u",)), z=Feature("z", "numeric")
    )
    two = schema_of(
        x=Feature("x", "numeric", mean=1.0),
        y=Feature("y", "categorical", categories=("u", "v")),
        w=Feature("w", "numeric"),
    )
    text = "\n".join(one.differences(two))
    assert "'x' is scaled differently" in text
    assert "'y' has another vocabulary (2 values, not 1)" in text
    assert "'z' is missing" in text
    assert "'w' is new" in text


def test_an_inconsistent_schema_cannot_be_made() -> None:
    with pytest.raises(SchemaError) as caught:
        Schema((Feature("x", "numeric", std=0.0), Feature("x", "other"), Feature("c", "categorical", ("k", "k"))), ())  # type: ignore[arg-type]
    text = str(caught.value)
    for part in ("named twice: 'x'", "standard deviation 0.0", "kind 'other'", "lists a category twice", "must be"):
        assert part in text


@pytest.mark.parametrize(
    "values",
    [
        [datetime.timedelta(1)] * 2, [datetime.time(1)] * 2, [[1], [2]], [{"a": 1}, {"a": 2}], [b"x", b"y"],
        [1j, 2j], pd.interval_range(0, 2),
        pd.period_range("2020", periods=2),
    ],
)  # fmt: skip
def test_a_column_of_another_kind_is_one_problem_with_a_way_out(values: object) -> None:
    people = pd.DataFrame({"customer": [1, 2], "x": values, "age": [3, 4]})
    with pytest.raises(SchemaError) as caught:
        Schema.infer(people, pd.DataFrame(funds()))
    (problem,) = caught.value.problems
    assert problem.startswith("customers: column 'x' ")
    assert problem.endswith("; without it: exclude=['x']")
    assert len(Schema.infer(people, pd.DataFrame(funds()), exclude=["x"]).customer_features) == 1


def test_what_is_no_data_frame_is_named() -> None:
    with pytest.raises(InputError, match=r"customers is a dict, not a data frame"):
        schema_of(x=Feature("x", "numeric")).encode_customers({"x": [1]})


def test_no_features_on_one_side_is_allowed() -> None:
    encoded = schema_of().encode_customers(pa.table({"customer": [1, 2, 3]}))
    assert encoded.categorical.shape == (3, 0)
    assert encoded.numeric.shape == (3, 0)
    assert len(encoded) == 3


def test_html_escapes_names_and_categories() -> None:
    page = schema_of(x=Feature("<i>x", "categorical", categories=("<script>",)))._repr_html_()
    assert "<script>" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page


# -- dates ---------------------------------------------------------------------------------------------------------
DAYS = ["2024-02-28", "2023-12-31", None, "2024-02-29", "1969-07-20"]


def date_columns() -> dict[str, object]:
    """The same days in every type and unit, from several libraries."""
    found: dict[str, object] = {}
    arrow = pa.array(DAYS).cast(pa.date32())
    kinds = [pa.date32(), pa.date64(), *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns"))]
    for kind in kinds:
        found[f"arrow {kind}"] = pa.table({"since": arrow.cast(kind)})
    for zone in ("UTC", "Asia/Tokyo"):
        found[f"arrow {zone}"] = pa.table({"since": arrow.cast(pa.timestamp("us")).cast(pa.timestamp("us", zone))})
    stamps = pd.to_datetime(pd.Series(DAYS))
    for unit in ("s", "ms", "us", "ns"):
        found[f"pandas {unit}"] = pd.DataFrame({"since": stamps.astype(f"datetime64[{unit}]")})
    found["pandas utc"] = pd.DataFrame({"since": stamps.dt.tz_localize("UTC")})
    found["pandas zone"] = pd.DataFrame({"since": stamps.dt.tz_localize("UTC").dt.tz_convert("America/New_York")})
    found["pandas objects"] = pd.DataFrame({"since": arrow.to_pylist()}, dtype=object)
    found["pandas arrow"] = pd.DataFrame({"since": pd.Series(arrow.to_pylist(), dtype=pd.ArrowDtype(pa.date32()))})
    polars = pl.DataFrame({"since": DAYS}).with_columns(pl.col("since").str.to_date())
    found["polars date"] = polars
    for unit in ("ms", "us", "ns"):
        found[f"polars {unit}"] = polars.with_columns(pl.col("since").cast(pl.Datetime(unit)))
    return found


@pytest.mark.parametrize("name", date_columns())
def test_dates_are_the_same_features_in_every_type_unit_and_library(name: str) -> None:
    frame = date_columns()[name]
    schema = Schema.infer(frame, pd.DataFrame(funds()))
    age, weekday, month = schema.customer_features
    assert [f.name for f in schema.customer_features] == ["since (age)", "since (weekday)", "since (month)"]
    assert (age.kind, weekday.kind, month.kind) == ("numeric", "categorical", "categorical")
    assert age.reference == "2024-02-29"
    days = np.array([1.0, 60.0, 0.0, 19947.0])
    assert age.mean == days.mean()
    encoded = schema.encode_customers(frame)
    z = (days - days.mean()) / days.std()
    np.testing.assert_array_equal(encoded.numeric[:, 0], np.insert(z, 2, 0).astype(np.float32))
    # Wednesday, Sunday, missing, Thursday, Sunday
    np.testing.assert_array_equal(encoded.categorical[:, 0], [3, 7, 0, 4, 7])
    np.testing.assert_array_equal(encoded.categorical[:, 1], [2, 12, 0, 2, 7])
    assert encoded.unseen == {"since": 1}
    again = Schema.from_json(schema.to_json())
    assert again == schema
    np.testing.assert_array_equal(again.encode_customers(frame).numeric, encoded.numeric)


def test_the_hour_counts_and_later_dates_are_encoded_from_the_same_day() -> None:
    then = pd.DataFrame({"since": pd.to_datetime(["2024-01-01 12:00", "2024-01-03 00:00"])})
    schema = Schema.infer(then, pd.DataFrame(funds()))
    assert (schema.customer_features[0].mean, schema.customer_features[0].std) == (0.75, 0.75)
    later = pa.table({"since": pa.array(["2024-01-06 18:00:00"]).cast(pa.timestamp("s"))})
    np.testing.assert_allclose(schema.encode_customers(later).numeric[:, 0], [(-3.75 - 0.75) / 0.75])
    assert "days to 2024-01-03" in schema._repr_html_()


def test_a_date_column_can_be_asked_for_and_is_missing_once() -> None:
    people = pd.DataFrame({"customer": [1, 2], "since": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    schema = Schema.infer(people, pd.DataFrame(funds()), customer_features=["since"])
    assert len(schema.customer_features) == 3
    assert (
        len(Schema.infer(people, pd.DataFrame(funds()), customer_features={"since": "numeric"}).customer_features) == 1
    )
    with pytest.raises(SchemaError) as caught:
        schema.encode_customers(pd.DataFrame({"customer": [1]}))
    assert caught.value.problems == ["column 'since' is missing"]
    with pytest.raises(SchemaError) as caught:
        schema.encode_customers(pd.DataFrame({"since": ["2024-01-01"]}))
    assert len(caught.value.problems) == 1
    assert "it needs dates or timestamps" in caught.value.problems[0]
    nothing = schema.encode_customers(pa.table({"since": pa.nulls(2)}))
    assert nothing.unseen == {"since": 2}
    with pytest.raises(SchemaError, match="are categories already"):
        Schema.infer(people, pd.DataFrame(funds()), categorical=["since"])


def test_a_schema_without_dates_is_written_as_ever() -> None:
    raw = json.loads(schema_of(x=Feature("x", "numeric")).to_json())
    assert set(raw["customer_features"][0]) == {"name", "kind", "categories", "mean", "std", "log1p"}


def test_parts_that_are_none_are_refused() -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of(
            x=Feature("x", "numeric", source="s", part="month"),
            y=Feature("y", "numeric", source="s", part="age", reference="soon"),
            z=Feature("z", "categorical", part="weekday"),
        )
    assert len(caught.value.problems) == 3


# -- which columns are features ------------------------------------------------------------------------------------
RESERVED = {
    "customer": ["customer", "k", "__index_level_0__", "Unnamed: 0", "Unnamed: 0.1", ""],
    "fund": ["fund", "quota", "quota_low", "quota_high", "name", "__index_level_0__", "Unnamed: 0", ""],
}


def test_reserved_columns_are_never_features() -> None:
    people = pd.DataFrame({c: [1, 2] for c in [*RESERVED["customer"], "tolerance", "age", "quota", "fund"]})
    products = pd.DataFrame({c: [1, 2] for c in [*RESERVED["fund"], "risk", "fee", "k"]})
    schema = Schema.infer(people, products)
    # a fund that a customer holds describes them: what is reserved is what means something on that side
    assert [f.name for f in schema.customer_features] == ["tolerance", "age", "quota", "fund"]
    assert [f.name for f in schema.fund_features] == ["fund", "risk", "fee", "k"]


@pytest.mark.parametrize(("side", "name"), [(s, n) for s, names in RESERVED.items() for n in names if n != "fund"])
def test_a_reserved_column_that_is_asked_for_is_refused_with_one_sentence(side: str, name: str) -> None:
    people, products = pd.DataFrame(customers()), pd.DataFrame(funds())
    frame = people if side == "customer" else products
    frame[name] = frame.get(name, 1)
    with pytest.raises(SchemaError) as caught:
        Schema.infer(people, products, **{f"{side}_features": [name]})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{side}s: column {name!r} cannot be a feature: it ")


def test_columns_are_excluded_and_taken_as_categories() -> None:
    people = pd.DataFrame(customers()).assign(branch=[1, 2, 3, 1, 2, 3])
    schema = Schema.infer(people, pd.DataFrame(funds()), exclude=["vip", "fee"], categorical=["branch", "tolerance"])
    assert [(f.name, f.kind) for f in schema.customer_features] == [
        ("tolerance", "categorical"), ("region", "categorical"), ("balance", "numeric"), ("branch", "categorical"),
    ]  # fmt: skip
    assert [f.name for f in schema.fund_features] == ["fund", "risk"]
    with pytest.raises(SchemaError) as caught:
        Schema.infer(people, pd.DataFrame(funds()), exclude=["vips", "vip"], categorical=["vip", "banch"])
    assert caught.value.problems == [
        "exclude=['vips'] names no column of customers or funds; did you mean 'vip'?",
        "categorical=['vip'] names no feature of customers or funds.",
        "categorical=['banch'] names no feature of customers or funds; did you mean 'branch'?",
    ]


@pytest.mark.parametrize("choice", [5, [["age"]], [None]])
def test_a_choice_of_features_that_is_none_is_named(choice: object) -> None:
    with pytest.raises(SchemaError, match="customer_features"):
        Schema.infer(pd.DataFrame(customers()), pd.DataFrame(funds()), customer_features=choice)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([*map(str, range(20, 50)), "unknown"], "30 distinct numbers, and text such as 'unknown'"),
        ([f"{i},5" for i in range(30)], "numbers as text ('0,5'); read them with decimal=','"),
        ([f"2024-01-{i + 1:02d}" for i in range(30)], "dates as text ('2024-01-01')"),
        ([f"{i + 1}.3.2024" for i in range(30)], "dates as text ('1.3.2024')"),
    ],
)
def test_numbers_and_dates_gone_wrong_are_no_vocabulary(values: list[str], said: str) -> None:
    people = pd.DataFrame({"x": values})
    with pytest.raises(SchemaError) as caught:
        Schema.infer(people, pd.DataFrame(funds()))
    (problem,) = caught.value.problems
    assert said in problem
    assert problem.endswith("or say categorical=['x']; without it: exclude=['x']")
    meant = Schema.infer(people, pd.DataFrame(funds()), categorical=["x"])
    assert len(meant.customer_features[0].categories) == len(values)


@pytest.mark.parametrize(
    "values",
    [
        [f"{i:05d}" for i in range(30)],  # codes
        [*(f"{i:02d}" for i in range(1, 40)), "2A", "2B"],
        ["0", "1", "2", "3+"],
        [str(i) for i in range(30)],  # text of whole numbers alone: its type says what is meant
        ["red", "green", "7"],
    ],
)
def test_codes_and_words_are_a_vocabulary(values: list[str]) -> None:
    feature = Schema.infer(pd.DataFrame({"x": values}), pd.DataFrame(funds())).customer_features[0]
    assert set(feature.categories) == set(values)
