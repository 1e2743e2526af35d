"""Every fault of the frames is told, whatever else is wrong, in the same words by both ways in."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.datasets import ExposureData
from ptofa_gpu.errors import SchemaError
from ptofa_gpu.prediction.schema import Schema
from tests.allocation.faults import FRAMES, LOG, OTHERS, Fault, N, World, spoiled, together, told, world


def allocation_problems(w: World) -> list[str]:
    names = ("k", "eligible", "excluded", "missing")
    with pytest.raises(SchemaError) as caught:
        ptofa.AllocationProblem.from_frames(w["revenue"], w["customers"], w["funds"], **{n: w[n] for n in names})
    return caught.value.problems


def data_problems(w: World) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        ExposureData.from_frames(w["log"], w["customers"], w["funds"], customer_features=["age"], fund_features=["fee"])
    return caught.value.problems


def test_the_world_has_no_fault() -> None:
    w = world()
    data = ExposureData.from_frames(w["log"], w["customers"], w["funds"])
    plan = ptofa.allocate(data.problem(w["revenue"], excluded=w["excluded"]), device="cpu").verify()
    assert plan.status == "optimal"


@pytest.mark.parametrize("fault", FRAMES + OTHERS, ids=lambda f: f.name)
def test_each_fault_with_each_other(fault: Fault) -> None:
    assert told(fault, allocation_problems(spoiled(fault)))
    for other in FRAMES + OTHERS:
        if together(fault, other):
            problems = allocation_problems(spoiled(fault, other))
            assert told(fault, problems), (other.name, problems)
            assert told(other, problems), (other.name, problems)
            assert len(set(problems)) == len(problems)


@pytest.mark.parametrize("fault", FRAMES + LOG, ids=lambda f: f.name)
def test_both_ways_in_say_the_same(fault: Fault) -> None:
    w = spoiled(fault)
    alone = data_problems(w)
    assert told(fault, alone)
    if fault in FRAMES:
        (line,) = (p for p in allocation_problems(w) if fault.words in p)
        assert line in alone
    for other in FRAMES + LOG:
        if together(fault, other):
            problems = data_problems(spoiled(fault, other))
            assert told(fault, problems), (other.name, problems)
            assert told(other, problems), (other.name, problems)


@pytest.mark.parametrize("fault", OTHERS, ids=lambda f: f.name)
def test_data_that_are_right_give_the_same_error_of_the_rest(fault: Fault) -> None:
    w = spoiled(fault)
    data = ExposureData.from_frames(w["log"], w["customers"], w["funds"])
    with pytest.raises(SchemaError) as caught:
        data.problem(w["revenue"], w["k"], eligible=w["eligible"], excluded=w["excluded"], missing=w["missing"])
    assert caught.value.problems == allocation_problems(w)
    unchecked = ExposureData(w["log"], w["customers"], w["funds"], Schema.infer(w["customers"], w["funds"]))
    for first, second in combinations([f for f in FRAMES if f.field in ("quota", "tolerance", "name")], 2):
        if together(first, second):
            w = spoiled(first, second)
            unchecked.customers, unchecked.funds = w["customers"], w["funds"]
            with pytest.raises(SchemaError) as caught:
                unchecked.problem(w["revenue"])
            assert told(first, caught.value.problems)
            assert told(second, caught.value.problems)


# -- what both take --------------------------------------------------------------------------------------------------
KINDS = {
    "int8": pa.int8(),
    "uint64": pa.uint64(),
    "double": pa.float64(),
    "float": pa.float32(),
    "decimal(38, 0)": pa.decimal128(38, 0),
    "decimal(20, 2)": pa.decimal128(20, 2),
    "decimal(5, 0)": pa.decimal32(5, 0),
}


def typed(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    values = table[name]
    wide = pa.decimal128(38, 0) if pa.types.is_decimal(kind) else kind
    values = pa.chunked_array([values.cast(wide).combine_chunks().cast(kind)])
    return table.set_column(table.column_names.index(name), name, values)


@pytest.mark.parametrize("library", ["pyarrow", "pandas", "polars"])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_every_type_work_to_the_plan(kind: str, library: str) -> None:
    import narwhals as nw

    if library == "polars" and kind == "decimal(5, 0)":
        pytest.skip("Polars does not read decimals of 32 bits")
    w = world()
    customers = pa.Table.from_pandas(w["customers"].assign(k=[1, 2, 0, 1, 1, 1, 1, 1]), preserve_index=False)
    funds = pa.Table.from_pandas(w["funds"], preserve_index=False)
    for name in ("tolerance", "k"):
        customers = typed(customers, name, KINDS[kind])
    for name in ("risk", "quota"):
        funds = typed(funds, name, KINDS[kind])
    customers, funds = (nw.from_arrow(t, backend=library).to_native() for t in (customers, funds))
    data = ExposureData.from_frames(w["log"], customers, funds, customer_features=["age"], fund_features=["fee"])
    for problem in (
        data.problem(w["revenue"]),
        ptofa.AllocationProblem.from_frames(w["revenue"], customers, funds),
    ):
        assert problem.tolerance.tolist() == [3] * N
        assert problem.risk.tolist() == [1] * 4
        assert problem.quota.tolist() == [2] * 4
        assert problem.slots_of.tolist() == [1, 2, 0, 1, 1, 1, 1, 1]
        ptofa.allocate(problem, device="cpu").verify()
    assert [(r["risk"], r["quota"]) for r in data.fund_table()] == [(1, 2)] * 4
    assert data.module(device="cpu").tolerance.tolist() == [3] * N


def test_slots_are_given_in_one_place() -> None:
    w = world()
    log, funds = w["log"], w["funds"]
    data = ExposureData.from_frames(log, w["customers"], funds)
    assert data.problem(w["revenue"]).k == 1
    assert data.problem(w["revenue"], 2).k == 2
    assert data.problem(w["revenue"], k=2).k == 2
    data = ExposureData.from_frames(log, w["customers"].assign(k=[3] + [1] * 7), funds)
    assert data.problem(w["revenue"]).slots_of.tolist() == [3] + [1] * 7
    with pytest.raises(SchemaError, match=r"customers.k is there and k=2 was given too"):
        data.problem(w["revenue"], 2)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ([1, None, 0, np.nan], [2, 3, None, np.inf], [[1, 2], [0, 3], [0, 8], [0, 8]]),
        ([None] * 4, [None] * 4, [[0, 8]] * 4),
        ([0, 0, 1, 1], [5, 5, 5, 5], [[0, 5], [0, 5], [1, 5], [1, 5]]),
    ],
)
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_open_ends_of_ranges(low: list[Any], high: list[Any], expected: list[list[int]], library: str) -> None:
    import narwhals as nw

    w = world()
    table = pa.table({"fund": list("abcd"), "quota_low": low, "quota_high": high, "fee": [1.0, 2.0, 3.0, 4.0]})
    customers, funds = w["customers"].drop(columns="tolerance"), nw.from_arrow(table, backend=library).to_native()
    data = ExposureData.from_frames(w["log"], customers, funds, fund_features=["fee"])
    for problem in (data.problem(w["revenue"]), ptofa.AllocationProblem.from_frames(w["revenue"], customers, funds)):
        assert np.stack([problem.quota_low, problem.quota], 1).tolist() == expected
        ptofa.allocate(problem, device="cpu").verify()
    opened = [h is None or np.isinf(h) for h in high]
    assert [r["quota"] is None for r in data.fund_table()] == opened


@pytest.mark.parametrize("absent", [None, np.nan, pd.NA])
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_fund_without_a_name_is_called_by_its_id(absent: Any, library: str) -> None:
    import narwhals as nw

    w = world()
    funds = w["funds"].assign(fund=[7, 8, 9, 10], name=["Alpha", absent, "Gamma", absent])
    if library != "pandas":
        funds = nw.from_arrow(pa.Table.from_pandas(funds, preserve_index=False), backend=library).to_native()
    data = ExposureData.from_frames(w["log"].assign(fund=10), w["customers"], funds)
    assert [r["name"] for r in data.fund_table()] == ["Alpha", "8", "Gamma", "10"]
    problem = data.problem(np.ones((N, 4)))
    assert problem.names == ["Alpha", "8", "Gamma", "10"]
    assert "never shown: Alpha, 8, Gamma" in repr(data)


def test_a_single_fault_is_one_problem() -> None:
    """What follows from a fault is no fault of its own."""
    for fault in FRAMES + OTHERS:
        if fault.field not in ("customer", "fund"):
            problems = allocation_problems(spoiled(fault))
            assert len(problems) == 1, (fault.name, problems)
    assert len(allocation_problems(spoiled(FRAMES[0]))) == 1


def test_a_wide_frame_names_what_it_lacks_and_repeats() -> None:
    w = world()
    wide = w["revenue"].pivot(index="customer", columns="fund", values="revenue").reset_index()
    wide = pd.concat([wide.drop(index=[2, 3]), wide.iloc[[4]]], ignore_index=True).drop(columns="b")
    wide.loc[0, "customer"], wide.loc[1, "a"], wide["c"] = "who", np.nan, "1"
    problems = allocation_problems({**w, "revenue": wide})
    for words in (
        "revenue: customer is not in customers (1 unknown id): 1 of 7 rows, the first is row 0 (customer 'who')",
        "revenue lacks a column for 1 fund, the first is 'b'",
        "revenue: a is missing: 1 of 7 rows, the first is row 1 (customer 'u1')",
        "revenue: column 'c' has type",
        "revenue: the customer was there before: 1 of 7 rows, the first is row 6 (customer 'u4')",
        "revenue lacks the row of 3 customers, the first is 'u0'",
    ):
        assert any(words in p for p in problems), (words, problems)
    assert len(problems) == 6


def test_a_fund_that_is_called_customer_needs_a_long_frame() -> None:
    customers, funds = pd.DataFrame({"customer": [1, 2]}), pd.DataFrame({"fund": ["customer", "a"], "quota": [1, 1]})
    wide = pd.DataFrame({"customer": [1, 2], "a": [1.0, 2.0]})
    with pytest.raises(SchemaError, match="the fund 'customer' cannot have a column of its own"):
        ptofa.AllocationProblem.from_frames(wide, customers, funds)


def test_pairs_that_may_not_be_shown_need_no_revenue() -> None:
    w = world()
    w["customers"].loc[0, "tolerance"] = 0
    for row in (0, 28, 29):  # above the tolerance; excluded; neither
        w["revenue"].loc[row, "revenue"] = np.nan
    (line,) = (p for p in allocation_problems(w) if "is missing" in p)
    assert line == "revenue: revenue is missing: 1 of 32 rows, the first is row 29 (customer 'u7', fund 'b')"
