"""Exposure data from anybody's frames: checked at once, shown safely, handed on to the model and the allocator."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ptofa_gpu.datasets import ExposureData, lct
from ptofa_gpu.errors import DegenerateModelError, InputError, SchemaError
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


def test_columns_that_are_no_features_name_one_way_out() -> None:
    people = pd.DataFrame(customers()).assign(waited=pd.Timedelta(days=3), bought=[["x"]] * 6)
    products = pd.DataFrame(funds()).assign(holdings=[{"a": 1}] * 3)
    frames = pd.DataFrame(log()), people, products
    with pytest.raises(SchemaError) as caught:
        ExposureData.from_frames(*frames)
    waited, bought, holdings = caught.value.problems
    assert "column 'waited' has type duration" in waited
    assert "; a feature holds text, numbers, booleans or dates" in waited
    assert "column 'bought' has type list" in bought
    assert holdings.endswith("; without them: exclude=['waited', 'bought', 'holdings']")
    data = ExposureData.from_frames(*frames, exclude=["waited", "bought", "holdings"])
    assert [f.name for f in data.schema.customer_features] == ["tolerance", "region", "vip", "balance"]


def test_names_of_columns_are_numbers_or_text_and_each_is_one_columns() -> None:
    people = pd.DataFrame(customers())
    numbered = people.rename(columns={"balance": 0, "vip": 1})
    data = ExposureData.from_frames(pd.DataFrame(log()), numbered, pd.DataFrame(funds()))
    assert [f.name for f in data.schema.customer_features] == ["tolerance", "region", "1", "0"]
    assert data.encoded_customers.numeric[:, 1].any()
    for twice in (pd.concat([people, people[["balance"]]], axis=1), people.rename(columns={"vip": 7, "balance": "7"})):
        name = "balance" if "balance" in twice else "7"
        with pytest.raises(SchemaError) as caught:
            ExposureData.from_frames(pd.DataFrame(log()), twice, pd.DataFrame(funds()))
        assert caught.value.problems == [
            f"customers: 2 columns have the name {name!r}; rename them, or drop all but one"
        ]
    table = pa.table([[11, 12], [1, 2], [1, 2]], names=["customer", "x", "x"])
    with pytest.raises(SchemaError, match="2 columns have the name 'x'"):
        ExposureData.from_frames(pd.DataFrame(log()), table, pd.DataFrame(funds()))
    with pytest.raises(SchemaError, match=r"the name of a column is \('a', 'b'\); give it a name that is text"):
        ExposureData.from_frames(pd.DataFrame(log()), people.rename(columns={"vip": ("a", "b")}), pd.DataFrame(funds()))


@pytest.mark.parametrize("dates", [False, True])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, lambda t: pa.Table.from_pandas(pd.DataFrame(t))])
def test_a_split_by_day_keeps_days_whole_and_their_order(make, dates: bool) -> None:
    rng = np.random.default_rng(0)
    n = 4000
    day = rng.integers(0, 40, n) * 3
    rows = pd.DataFrame({"customer": rng.integers(11, 17, n), "fund": rng.choice(list("abc"), n), "day": day})
    rows = rows.assign(converted=rng.random(n) < 0.5, amount=0.0)
    if dates:
        rows["day"] = pd.Timestamp("2024-01-01 09:30", tz="Asia/Tokyo") + pd.to_timedelta(day, unit="D")
    rows = make(rows)
    frames = rows, make(pd.DataFrame(customers())), make(pd.DataFrame(funds()))
    split = ExposureData.from_frames(*frames, split="day").arrays.split
    ends = [(day[split == s].min(), day[split == s].max()) for s in range(3)]
    assert ends[0][1] < ends[1][0] <= ends[1][1] < ends[2][0]
    np.testing.assert_allclose(np.bincount(split) / n, [0.8, 0.1, 0.1], atol=0.03)
    by_customer = ExposureData.from_frames(*frames).arrays
    assert set(by_customer.split[by_customer.customer == 0].tolist()) in ({0}, {1}, {2})


def test_a_schema_and_a_choice_of_features_are_not_both_taken() -> None:
    frames = pd.DataFrame(log()), pd.DataFrame(customers()), pd.DataFrame(funds())
    schema = ExposureData.from_frames(*frames).schema
    assert ExposureData.from_frames(*frames, schema=schema, exclude=[]).schema is schema
    for choice in ({"exclude": ["vip"]}, {"categorical": ["vip"]}, {"customer_features": ["vip"]}):
        with pytest.raises(InputError, match="schema says which columns are features already"):
            ExposureData.from_frames(*frames, schema=schema, **choice)


def test_a_missing_date_is_told_once() -> None:
    people = pd.DataFrame(customers()).assign(since=pd.to_datetime(["2024-01-01", None, *["2024-02-01"] * 4]))
    data = ExposureData.from_frames(pd.DataFrame(log()), people, pd.DataFrame(funds()))
    assert data.summary()["without_value"] == {"customers.region": 1, "customers.since": 1}


def test_text_in_place_of_numbers_is_shown_with_what_to_do() -> None:
    rows = log() | {"amount": ["0,0", "120,5", *["0,0"] * 6], "converted": ["no", "yes"] * 4}
    with pytest.raises(SchemaError) as caught:
        ExposureData.from_frames(pd.DataFrame(rows), pd.DataFrame(customers()), pd.DataFrame(funds()))
    converted, amount = caught.value.problems
    assert "column 'converted' has type" in converted
    assert converted.endswith("('no'); it needs numbers")
    assert amount.endswith("('0,0'); it needs numbers; read it with decimal=','")


def test_a_split_by_day_needs_days_and_says_how_many() -> None:
    def problems(**columns) -> list[str]:
        rows = pd.DataFrame(log()).drop(columns="split").assign(**columns)
        with pytest.raises(SchemaError) as caught:
            ExposureData.from_frames(rows, pd.DataFrame(customers()), pd.DataFrame(funds()), split="day")
        return caught.value.problems

    assert "column 'day' is missing" in problems()[0]
    (said,) = problems(day=[1, 2] * 4)
    assert said == (
        "log: a split by day needs 3 different days, one each for train, validation, test; there are 2. Give a longer "
        "log, or split by customer"
    )
    assert "day is missing: 1 of 8 rows" in problems(day=[1, 2, 3, None, 1, 2, 3, 4])[0]
    for strange in (0.5, np.inf):
        assert "day must be whole, or a date" in problems(day=[1, 2, 3, strange, 1, 2, 3, 4])[0]
    assert "'day' has type" in problems(day=["mon"] * 8)[0]
    with pytest.raises(InputError, match="split is 'time'"):
        ExposureData.from_frames(*(pd.DataFrame(f()) for f in (log, customers, funds)), split="time")  # type: ignore[arg-type]


def test_a_split_that_was_asked_for_goes_before_the_logs_own() -> None:
    frames = pd.DataFrame(log()).assign(day=[1, 1, 1, 2, 2, 2, 2, 3]), pd.DataFrame(customers()), pd.DataFrame(funds())
    assert ExposureData.from_frames(*frames).arrays.split.tolist() == [0, 0, 0, 1, 0, 2, 0, 2]
    assert ExposureData.from_frames(*frames, split="day").arrays.split.tolist() == [0, 0, 0, 1, 1, 1, 1, 2]
