"""The schema: the same codes from every data-frame library, all problems in one error, a faithful round trip."""

from __future__ import annotations

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
