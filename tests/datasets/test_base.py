"""Exposure data from anybody's frames: checked at once, shown safely, handed on to the model and the allocator."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ptofa_gpu.datasets import ExposureData, lct
from ptofa_gpu.errors import DegenerateModelError, SchemaError
from tests.datasets.frames import MAKERS, Maker, customers, funds, log


@pytest.mark.parametrize("make", MAKERS)
def test_your_own_frames_become_data_in_your_own_library(make: Maker) -> None:
    given = make(log()), make(customers()), make(funds())
    data = ExposureData.from_frames(*given, currency="EUR", name="mine")
    assert (data.n_customers, data.n_funds, data.currency, data.name) == (6, 3, "EUR", "mine")
    eager = given[1].collect() if isinstance(given[1], pl.LazyFrame) else given[1]
    assert type(data.customers) is type(eager)
    assert len(data.encoded_customers) == 6
    problem = data.problem(np.ones((6, 3), np.float32))
    assert problem.case == "exact"
    np.testing.assert_array_equal(problem.quota, [2, 2, 2])
    np.testing.assert_array_equal(problem.eligible[0], [True, False, False])


def test_the_module_gives_the_rows_of_the_log() -> None:
    data = ExposureData.from_frames(*(pd.DataFrame(f()) for f in (log, customers, funds)))
    module = data.module(batch_size=4, device="cpu", seed=1)
    module.setup("fit")
    batches = list(module.train_dataloader())
    assert sum(len(b["amount"]) for b in batches) == 5
    assert float(sum(b["amount"].sum() for b in batches)) == 120.5


def test_the_numbers_of_the_log() -> None:
    data = ExposureData.from_frames(*(pd.DataFrame(f()) for f in (log, customers, funds)))
    summary = data.summary()
    assert summary["conversions"] == 3
    assert summary["conversions_without_amount"] == 1
    assert summary["split"] == {"train": 5, "validation": 1, "test": 2}
    assert summary["amount"] == pytest.approx(153.5)
    assert data.fund_table()[0] == {
        "name": "Fund A",
        "risk": 1,
        "quota": 2,
        "exposures": 4,
        "conversions": 1,
        "amount": 120.5,
    }
    assert "1 conversion without an amount, 1 without a known customers.region)" in repr(data)
    assert summary["without_value"] == {"customers.region": 1}
    assert "customers.region 1" in data._repr_html_()


def test_html_escapes_names_and_shows_what_was_counted() -> None:
    data = ExposureData.from_frames(*(pd.DataFrame(f()) for f in (log, customers, funds)), name="<script>x")
    page = data._repr_html_()
    assert "<script>" not in page
    assert "Fund &lt;b&gt;" in page
    assert "conversions without an amount" in page
    assert "37.50%" in page


def test_problems_of_schema_and_log_come_in_one_error() -> None:
    rows = log() | {"amount": [-1.0, *log()["amount"][1:]]}
    people = customers() | {"region": [None] * 6}
    with pytest.raises(SchemaError) as caught:
        ExposureData.from_frames(pd.DataFrame(rows), pd.DataFrame(people), pd.DataFrame(funds()))
    assert len(caught.value.problems) == 2
    assert "amount is negative" in caught.value.problems[0]
    assert "'region' holds no value at all" in caught.value.problems[1]


def test_a_missing_fund_column_is_told_once() -> None:
    products = funds()
    del products["fund"]
    with pytest.raises(SchemaError) as caught:
        ExposureData.from_frames(pd.DataFrame(log()), pd.DataFrame(customers()), pd.DataFrame(products))
    assert len([p for p in caught.value.problems if "'fund' is missing" in p]) == 1


def test_a_schema_problem_is_told_where_nothing_converted_too() -> None:
    rows = log() | {"converted": [0] * 8, "amount": [0.0] * 8}
    frames = pd.DataFrame(rows), pd.DataFrame(customers()), pd.DataFrame(funds())
    with pytest.raises(DegenerateModelError):
        ExposureData.from_frames(*frames)
    with pytest.raises(SchemaError, match="column 'gone' is missing"):
        ExposureData.from_frames(*frames, customer_features=["gone"])


def test_a_given_schema_is_used_and_checked() -> None:
    made = lct("B", customers=500, seed=1)
    with pytest.raises(SchemaError, match="column 'channel' is missing"):
        ExposureData.from_frames(made.log, made.customers.drop(columns="channel"), made.funds, schema=made.schema)
    again = ExposureData.from_frames(made.log, made.customers, made.funds, schema=made.schema)
    assert again.schema is made.schema
    assert again.name == "lct-b"


def test_the_repr_of_unchecked_data_checks_nothing() -> None:
    made = lct("B", customers=500, seed=1)
    broken = ExposureData(made.log.assign(amount=-1.0), made.customers, made.funds, made.schema)
    assert "500 customers" in repr(broken)
    with pytest.raises(SchemaError, match="amount is negative"):
        _ = broken.arrays


def test_a_column_that_is_no_feature_names_the_way_out() -> None:
    people = pd.DataFrame(customers()).assign(since=pd.Timestamp("2020-01-01"))
    frames = pd.DataFrame(log()), people, pd.DataFrame(funds())
    with pytest.raises(SchemaError) as caught:
        ExposureData.from_frames(*frames)
    (problem,) = caught.value.problems
    assert "column 'since' has type timestamp" in problem
    way_out = "customer_features=['tolerance', 'region', 'vip', 'balance']"
    assert problem.endswith(way_out)
    data = ExposureData.from_frames(*frames, customer_features=["tolerance", "region", "vip", "balance"])
    assert len(data.schema.customer_features) == 4
