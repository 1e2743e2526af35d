"""The check of an exposure log: the arrays it gives, and everything wrong in one error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ptofa_gpu.datasets import check_log
from ptofa_gpu.datasets.log import split_by_customer
from ptofa_gpu.errors import DegenerateModelError, InputError, SchemaError
from ptofa_gpu.prediction.schema import Schema
from tests.datasets.frames import MAKERS, Maker, customers, funds, log


def problems(
    rows: dict[str, Any], people: dict[str, Any] | None = None, products: dict[str, Any] | None = None, **kwargs: Any
) -> list[str]:
    """What the check says is wrong."""
    with pytest.raises(SchemaError) as caught:
        check_log(
            pd.DataFrame(rows),
            pd.DataFrame(customers() if people is None else people),
            pd.DataFrame(funds() if products is None else products),
            **kwargs,
        )
    return caught.value.problems


@pytest.mark.parametrize("make", MAKERS)
def test_arrays_do_not_depend_on_the_library(make: Maker) -> None:
    arrays = check_log(make(log()), make(customers()), make(funds()))
    np.testing.assert_array_equal(arrays.customer, [0, 1, 2, 3, 4, 5, 2, 5])
    np.testing.assert_array_equal(arrays.fund, [0, 0, 1, 1, 2, 0, 0, 2])
    np.testing.assert_array_equal(arrays.converted, np.array(log()["converted"], bool))
    np.testing.assert_array_equal(arrays.amount, np.array(log()["amount"], np.float32))
    np.testing.assert_array_equal(arrays.split, [0, 0, 0, 1, 0, 2, 0, 2])
    assert (arrays.customer.dtype, arrays.fund.dtype, arrays.split.dtype) == (np.int64, np.int64, np.int8)
    assert (arrays.converted.dtype, arrays.amount.dtype) == (bool, np.float32)
    assert len(arrays) == 8
    assert arrays.positives == 3
    assert arrays.zero_amount_conversions == 1
    assert arrays.propensity is None


def test_ids_meet_across_libraries_and_widths() -> None:
    rows = pl.DataFrame(log()).with_columns(pl.col("customer").cast(pl.UInt16), pl.col("fund").cast(pl.Categorical))
    people = pa.table(customers())
    products = pd.DataFrame(funds()).astype({"fund": "category"})
    assert check_log(rows, people, products).customer.tolist() == [0, 1, 2, 3, 4, 5, 2, 5]


def test_one_error_lists_everything_with_counts_and_an_example() -> None:
    rows = log()
    rows["customer"] = [11, 99, 98, 99, 15, 16, 13, 16]
    rows["fund"][4] = "zz"
    rows["converted"] = [0, 1, 0, 2, 0, None, 0, 1]
    rows["amount"] = [7.5, -3.0, np.nan, 0.0, 0.0, 0.0, np.inf, 33.0]
    rows["split"][2] = "hold-out"
    rows["propensity"] = [0.5, 0.0, 1.5, 0.2, 0.2, 0.2, 0.2, 0.2]
    people = customers() | {"customer": [11, 12, 13, 13, 15, 16], "tolerance": [1, 2, 9, 4, 5, 0]}
    products = funds() | {"fund": ["a", "b", "b"], "quota": [2, -1, 2], "risk": [1, 2.5, 5]}
    found = problems(rows, people, products, tolerance_range=(1, 5))
    expected = [
        "customers: customer must be unique; 2 of 6 rows share 1 id, for example 13",
        "customers: tolerance must be within 1..5: 2 of 6 rows, the first is row 2 (customer 13, tolerance 9)",
        "funds: fund must be unique; 2 of 3 rows share 1 id, for example 'b'",
        "funds: risk must be whole: 1 of 3 rows, the first is row 1 (fund 'b', risk 2.5)",
        "funds: quota must be not negative: 1 of 3 rows, the first is row 1 (fund 'b', quota -1)",
        "log: customer is not in customers (2 unknown ids): 3 of 8 rows, the first is row 1 (customer 99)",
        "log: fund is not in funds (2 unknown ids): 2 of 8 rows, the first is row 4 (fund 'zz')",
        "log: converted is missing: 1 of 8 rows, the first is row 5 (customer 16, fund 'a')",
        "log: converted must be 0 or 1: 1 of 8 rows, the first is row 3 (customer 99, fund 'b', converted 2.0)",
        "log: amount is missing (0 where not converted): 1 of 8 rows, the first is row 2 (customer 98, fund 'b')",
        "log: amount is infinite or beyond float32: 1 of 8 rows, "
        "the first is row 6 (customer 13, fund 'a', amount inf)",
        "log: amount is negative: 1 of 8 rows, the first is row 1 (customer 99, fund 'a', amount -3.0)",
        "log: amount without a conversion: 2 of 8 rows, the first is row 0 (customer 11, fund 'a', amount 7.5)",
        "log: split must be one of train, validation, test: 1 of 8 rows, the first is row 2 (split 'hold-out')",
        "log: propensity must lie in (0, 1]: 2 of 8 rows, the first is row 1 (propensity 0.0)",
    ]
    assert found == expected


@pytest.mark.parametrize("column", ["customer", "fund", "converted", "amount"])
def test_a_missing_column_is_named_with_those_there_are(column: str) -> None:
    rows = log()
    del rows[column]
    (found,) = problems(rows)
    assert f"column {column!r} is missing; there are " in found
    assert "'split'" in found


def test_wrong_types_are_named_together() -> None:
    rows = log() | {"converted": ["yes", "no"] * 4, "amount": ["1"] * 8, "fund": [1, 2, 3, 1, 2, 3, 1, 2]}
    found = "\n".join(problems(rows))
    assert "column 'converted' has type" in found
    assert "column 'amount' has type" in found
    assert "fund holds whole numbers but funds.fund holds text" in found


def test_features_of_the_schema_are_checked_too() -> None:
    schema = Schema.infer(pd.DataFrame(customers()), pd.DataFrame(funds()))
    people, products = customers(), funds()
    del people["region"]
    products["fee"] = ["low", "mid", "high"]
    found = problems(log(), people, products, schema=schema)
    assert found[0] == "customers: column 'region' is missing"
    assert found[1].startswith("funds: column 'fee' has type")
    assert len(found) == 2


def test_an_empty_log_and_empty_frames() -> None:
    assert problems({k: [] for k in log()}) == ["log has no rows: without exposures there is nothing to learn from"]
    found = problems(log(), {k: v[:0] for k, v in customers().items()})
    assert "customers has no rows" in found


def test_missing_ids_are_counted() -> None:
    rows = log() | {"customer": [11, None, 13, 14, 15, 16, 13, None]}  # pandas makes floats of these
    people = customers() | {"customer": [11, 12, 13, 14, None, 16]}
    found = problems(rows, people)
    assert "customers: customer is missing: 1 of 6 rows, the first is row 4" in found
    assert "log: customer is missing: 2 of 8 rows, the first is row 1" in found


def test_no_conversion_at_all_is_a_degenerate_model() -> None:
    rows = log() | {"converted": [0] * 8, "amount": [0.0] * 8}
    with pytest.raises(DegenerateModelError, match="none of the 8 exposures converted"):
        check_log(pd.DataFrame(rows), pd.DataFrame(customers()), pd.DataFrame(funds()))
    assert any("none of the 8 exposures converted" in p for p in problems(rows | {"amount": [-1.0] * 8}))


def test_no_conversion_to_train_on_is_a_degenerate_model() -> None:
    rows = log() | {"split": ["train", "test", "train", "test", "train", "test", "train", "test"]}
    with pytest.raises(DegenerateModelError, match="none of the 4 exposures of the split 'train' converted, though 3"):
        check_log(pd.DataFrame(rows), pd.DataFrame(customers()), pd.DataFrame(funds()))


def test_a_log_without_training_rows_is_refused() -> None:
    assert problems(log() | {"split": ["test"] * 8}) == [
        "log: split has no row 'train': there is nothing to learn from"
    ]


def test_risk_needs_tolerance_and_no_limits_need_neither() -> None:
    people, products = customers(), funds()
    del people["tolerance"]
    assert problems(log(), people, products) == [
        "funds.risk is there without customers.tolerance: risk limits need both (or drop both)"
    ]
    del products["risk"]
    del products["quota"]
    assert len(check_log(pd.DataFrame(log()), pd.DataFrame(people), pd.DataFrame(products))) == 8


def test_what_is_no_data_frame_is_named() -> None:
    with pytest.raises(InputError, match="log is a"):
        check_log([1, 2], pd.DataFrame(customers()), pd.DataFrame(funds()))


def test_the_split_keeps_customers_together_and_has_its_shares() -> None:
    customer = np.repeat(np.arange(20_000), 2)
    split = split_by_customer(customer, seed=3)
    np.testing.assert_array_equal(split[::2], split[1::2])
    np.testing.assert_allclose(np.bincount(split) / split.size, [0.8, 0.1, 0.1], atol=0.01)
    np.testing.assert_array_equal(split, split_by_customer(customer, seed=3))
    # another seed is another split: as far apart as independent ones
    assert (split_by_customer(customer, seed=4) == split).mean() == pytest.approx(0.8**2 + 2 * 0.1**2, abs=0.02)


def test_a_log_without_a_split_gets_one() -> None:
    n = 3000
    rows = pd.DataFrame({"customer": np.arange(n), "fund": "a", "converted": 1, "amount": 1.0})
    people = pd.DataFrame({"customer": np.arange(n)})
    arrays = check_log(rows, people, pd.DataFrame({"fund": ["a"]}), seed=5)
    np.testing.assert_array_equal(arrays.split, split_by_customer(np.arange(n), 5))
    assert set(arrays.split.tolist()) == {0, 1, 2}


def test_known_propensities_are_kept() -> None:
    arrays = check_log(
        pd.DataFrame(log() | {"propensity": [0.25] * 8}), pd.DataFrame(customers()), pd.DataFrame(funds())
    )
    np.testing.assert_array_equal(arrays.propensity, np.full(8, 0.25, np.float32))
