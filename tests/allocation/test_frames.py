"""Frames in, frames out: ids carry through, in any library; what is wrong is listed in one error."""

from __future__ import annotations

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu._columns import values_of
from ptofa_gpu.errors import SchemaError

RNG = np.random.default_rng(5)
E = RNG.random((6, 3)).astype(np.float32)
PEOPLE = pd.DataFrame({"customer": [f"u{i}" for i in range(6)], "tolerance": [1, 2, 3, 1, 2, 3]})
FUNDS = pd.DataFrame({"fund": ["a", "b", "c"], "risk": [1, 1, 2], "quota": [2, 2, 2], "name": ["A!", "B!", "C!"]})


def wide(order=range(6)):
    frame = pd.DataFrame(E, columns=["a", "b", "c"])
    frame.insert(0, "customer", PEOPLE["customer"])
    return frame.iloc[list(order)].reset_index(drop=True)


def long():
    return wide([3, 1, 2, 0, 5, 4]).melt("customer", var_name="fund", value_name="revenue")


def native(frame, library):
    if library == "pandas":
        return frame
    if library == "polars":
        return pytest.importorskip("polars").from_pandas(frame)
    if library == "cudf":
        return pytest.importorskip("cudf").from_pandas(frame)
    return pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)


@pytest.mark.parametrize("form", ["array", "wide", "long"])
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", pytest.param("cudf", marks=pytest.mark.gpu)])
def test_ids_carry_through(library, form):
    import narwhals as nw

    revenue = E if form == "array" else native(wide([3, 1, 2, 0, 5, 4]) if form == "wide" else long(), library)
    problem = ptofa.AllocationProblem.from_frames(revenue, native(PEOPLE, library), native(FUNDS, library))
    np.testing.assert_array_equal(problem.host_revenue(), E)
    assert problem.names == ["A!", "B!", "C!"]
    assert problem.quota.tolist() == [2, 2, 2]
    plan = ptofa.allocate(problem, "heuristic").verify()
    frame = plan.to_frame()
    assert type(frame).__module__.partition(".")[0] == library
    out = nw.from_native(frame, eager_only=True)
    expected = {(f"u{u}", "abc"[f]) for u, f in enumerate(plan.host_funds()[:, 0])}
    assert set(zip(out["customer"].to_list(), out["fund"].to_list())) == expected


def test_numbers_as_ids():
    people = pd.DataFrame({"customer": [30, 10, 20]})
    funds = pd.DataFrame({"fund": [7, 5], "quota": [2, 1]})
    frame = pd.DataFrame({"customer": [10, 20, 30], "7": [1.0, 2.0, 3.0], "5": [4.0, 5.0, 6.0]})
    problem = ptofa.AllocationProblem.from_frames(frame, people, funds)
    np.testing.assert_array_equal(problem.revenue, [[3, 6], [1, 4], [2, 5]])
    out = ptofa.allocate(problem, "topk").to_frame()
    assert out["customer"].tolist() == [30, 10, 20]
    assert out["fund"].tolist() == [5, 5, 5]


def test_missing_pairs_may_be_excluded():
    frame = long().iloc[:-3]
    with pytest.raises(SchemaError, match=r"3 of 18 .* pairs are missing"):
        ptofa.AllocationProblem.from_frames(frame, PEOPLE, FUNDS)
    problem = ptofa.AllocationProblem.from_frames(frame, PEOPLE, FUNDS, missing="exclude")
    tolerated = PEOPLE["tolerance"].to_numpy()[:, None] >= FUNDS["risk"].to_numpy()
    assert (tolerated & ~problem.eligible).sum() == 3 - (~tolerated)[[0, 5, 4], 2].sum()


def test_everything_wrong_is_in_one_error():
    people = PEOPLE.copy()
    people.loc[1, "customer"] = "u0"
    people["tolerance"] = people["tolerance"].astype(str)
    funds = FUNDS.copy()
    funds["quota"] = funds["quota"].astype(float)
    funds.loc[2, "quota"] = np.nan
    frame = long()
    frame.loc[0, "fund"] = "zzz"
    with pytest.raises(SchemaError) as caught:
        ptofa.AllocationProblem.from_frames(frame, people, funds)
    text = str(caught.value)
    for words in (
        "customers: customer must be unique; 2 of 6 rows share 1 id, for example 'u0'",
        "customers: column 'tolerance' has type large_string",
        "funds: quota is missing: 1 of 3 rows, the first is row 2 (fund 'c')",
        "revenue: fund is not in funds (1 unknown id): 1 of 18 rows, the first is row 0 (fund 'zzz')",
        "revenue: customer is not in customers (1 unknown id): 3 of 18 rows, the first is row 1 (customer 'u1')",
    ):
        assert words in text
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"customers": PEOPLE.drop(columns="customer")},
            "customers: column 'customer' is missing; there are 'tolerance'",
        ),
        ({"customers": PEOPLE.drop(columns="tolerance")}, "funds.risk is there without customers.tolerance"),
        ({"customers": PEOPLE.iloc[:0]}, "customers has no rows"),
        ({"customers": [1, 2]}, "customers is a list, not a data frame"),
        ({"funds": FUNDS.drop(columns="quota")}, "funds: column 'quota' is missing; there are .*a range is quota_low"),
        ({"funds": FUNDS.assign(quota_low=0)}, "columns quota and quota_low; it needs quota alone"),
        ({"funds": FUNDS.rename(columns={"quota": "quota_high"})}, "column quota_high; it needs quota alone"),
        ({"customers": PEOPLE.assign(k=1), "k": 2}, "k=2 was given too"),
        ({"customers": PEOPLE.assign(k="1")}, "customers: column 'k' has type large_string"),
        ({"excluded": PEOPLE}, "excluded: column 'fund' is missing"),
        (
            {"excluded": pd.DataFrame({"customer": ["u0", "who"], "fund": ["zzz", "a"]})},
            r"excluded: customer is not in customers .*: 1 of 2 rows, the first is row 1 \(customer 'who'\)\n"
            r".*excluded: fund is not in funds .*: 1 of 2 rows, the first is row 0 \(fund 'zzz'\)",
        ),
        ({"revenue": E[:5]}, r"shape \(5, 3\); customers has 6 rows"),
        ({"revenue": wide().drop(columns="b")}, "lacks a column for 1 fund"),
        ({"revenue": wide().iloc[:5]}, "lacks the row of 1 customer, the first is 'u5'"),
        (
            {"revenue": wide().drop(columns="customer")},
            r"revenue: column 'customer' is missing; there are 'a', 'b', 'c'",
        ),
        (
            {"revenue": pd.concat([long(), long().iloc[:2]])},
            r"was there before: 2 of 20 rows, the first is row 18 \(customer 'u3'",
        ),
    ],
)
def test_bad_frames(change, words):
    arguments = {"revenue": wide(), "customers": PEOPLE, "funds": FUNDS, **change}
    with pytest.raises(SchemaError, match=words):
        ptofa.AllocationProblem.from_frames(**arguments)


def numbered(frame):
    return frame.assign(customer=range(6))


@pytest.mark.parametrize("revenue", [wide(), long()], ids=["wide", "long"])
def test_ids_of_two_types_are_one_problem(revenue):
    with pytest.raises(SchemaError) as caught:
        ptofa.AllocationProblem.from_frames(revenue, numbered(PEOPLE), FUNDS)
    assert caught.value.problems == [
        "revenue: customer holds text but customers.customer holds whole numbers; write both the same way (on the "
        "command line, --id-type says how ids are read)"
    ]


def test_an_unknown_customer_in_a_wide_frame_is_one_problem():
    with pytest.raises(SchemaError) as caught:
        ptofa.AllocationProblem.from_frames(wide().replace({"customer": {"u4": "who"}}), PEOPLE, FUNDS)
    assert caught.value.problems == [
        "revenue: customer is not in customers (1 unknown id): 1 of 6 rows, the first is row 4 (customer 'who')"
    ]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_an_empty_revenue_names_the_first_customer(library):
    frame = wide()
    frame.loc[[2, 4], "b"] = None
    if library != "pandas":
        frame = native(frame, library)
    with pytest.raises(SchemaError, match=r"revenue: b is missing: 2 of 6 rows, the first is row 2 \(customer 'u2'\)"):
        ptofa.AllocationProblem.from_frames(frame, PEOPLE, FUNDS)


@pytest.mark.parametrize("revenue", [wide([3, 1, 2, 0, 5, 4]), long()], ids=["wide", "long"])
def test_lazy_frames_are_collected(revenue):
    pl = pytest.importorskip("polars")
    lazy = [pl.from_pandas(frame).lazy() for frame in (revenue, PEOPLE, FUNDS)]
    problem = ptofa.AllocationProblem.from_frames(*lazy)
    np.testing.assert_array_equal(problem.host_revenue(), E)
    assert isinstance(ptofa.allocate(problem, "heuristic").to_frame(), pl.DataFrame)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_ranges_slots_and_excluded_pairs(library):
    people = native(PEOPLE.assign(k=[2, 1, 1, 0, 1, 1]), library)
    funds = native(FUNDS.drop(columns="quota").assign(quota_low=[1, 0, 1], quota_high=[4, 4, 4]), library)
    excluded = native(pd.DataFrame({"customer": ["u4", "u0", "u4"], "fund": ["b", "a", "c"]}), library)
    problem = ptofa.AllocationProblem.from_frames(native(wide(), library), people, funds, excluded=excluded)
    assert problem.quota.tolist() == [4, 4, 4]
    assert problem.quota_low.tolist() == [1, 0, 1]
    assert problem.slots_of.tolist() == [2, 1, 1, 0, 1, 1]
    tolerated = PEOPLE["tolerance"].to_numpy()[:, None] >= FUNDS["risk"].to_numpy()
    tolerated[[4, 0, 4], [1, 0, 2]] = False
    np.testing.assert_array_equal(problem.eligible, tolerated)
    by_position = ptofa.AllocationProblem.from_frames(
        native(wide(), library), people, funds, excluded=[(4, 1), (0, 0), (4, 2)]
    )
    np.testing.assert_array_equal(by_position.mask, problem.mask)


def test_packed_limits_and_missing_pairs_together():
    packed = np.full(6, 0b101, np.uint64)
    problem = ptofa.AllocationProblem.from_frames(long().iloc[:-3], PEOPLE, FUNDS, eligible=packed, missing="exclude")
    expected = PEOPLE["tolerance"].to_numpy()[:, None] >= FUNDS["risk"].to_numpy()
    expected[:, 1] = False
    expected[[0, 5, 4], 2] = False
    np.testing.assert_array_equal(problem.eligible, expected)


def test_numbers_of_arrow_come_as_they_are():
    table = pa.table({"x": pa.chunked_array([[1, 2], [], [3]], pa.int16()), "y": [0.5, 1.5, 2.5], "z": [1, None, 3]})
    frame = nw.from_native(table, eager_only=True)
    assert values_of(frame["x"]).tolist() == [1, 2, 3]
    assert values_of(frame["x"]).dtype == np.int16
    assert values_of(frame["x"][1:]).tolist() == [2, 3]
    assert values_of(frame["x"][:0]).dtype == np.int16
    assert np.shares_memory(values_of(frame["y"]), table["y"].chunk(0).to_numpy())
    np.testing.assert_array_equal(values_of(frame["z"]), [1, np.nan, 3])


@pytest.mark.parametrize("ids", [[5, 1, 3], ["e", "a", "c"]])
def test_ids_in_any_order_are_met_but_not_twice(ids):
    customers = pa.table({"customer": ids, "tolerance": [1, 1, 1]})
    funds = pa.table({"fund": [1], "risk": [1], "quota": [3]})
    rows = {"customer": [ids[2], ids[0], ids[1]], "1": [3.0, 1.0, 2.0]}
    problem = ptofa.AllocationProblem.from_frames(pa.table(rows), customers, funds)
    assert problem.revenue.ravel().tolist() == [1.0, 2.0, 3.0]
    twice = pa.table({"customer": [ids[0], ids[1], ids[0]], "tolerance": [1, 1, 1]})
    with pytest.raises(SchemaError, match=f"2 of 3 rows share 1 id, for example {ids[0]!r}"):
        ptofa.AllocationProblem.from_frames(pa.table(rows), twice, funds)


def test_a_wide_frame_of_many_rows_in_any_order():
    rng = np.random.default_rng(0)
    order, E = rng.permutation(10_000), rng.random((10_000, 3)).astype(np.float32)
    customers = pa.table({"customer": np.arange(10_000)})
    funds = pa.table({"fund": [0, 1, 2], "quota": [10_000, 0, 0]})
    for rows in (order, np.arange(10_000)):
        revenue = pa.table({"customer": rows, **{str(f): E[rows, f] for f in range(3)}})
        np.testing.assert_array_equal(ptofa.AllocationProblem.from_frames(revenue, customers, funds).revenue, E)


@pytest.mark.parametrize("which", ["revenue", "customers", "funds", "excluded"])
def test_two_columns_of_one_name_are_one_problem(which: str) -> None:
    frames = {
        "revenue": pd.DataFrame({"customer": ["u", "v"], "a": [1.0, 2.0], "b": [2.0, 1.0]}),
        "customers": pd.DataFrame({"customer": ["u", "v"]}),
        "funds": pd.DataFrame({"fund": ["a", "b"], "quota": [1, 1]}),
        "excluded": pd.DataFrame({"customer": ["u"], "fund": ["a"]}),
    }
    ptofa.AllocationProblem.from_frames(**frames)
    last = frames[which].columns[-1]
    frames[which] = pd.concat([frames[which], frames[which][[last]]], axis=1)
    with pytest.raises(SchemaError) as caught:
        ptofa.AllocationProblem.from_frames(**frames)
    assert caught.value.problems == [f"{which}: 2 columns have the name {last!r}; rename them, or drop all but one"]


def test_columns_that_numbers_name_are_funds() -> None:
    revenue = pd.DataFrame({"customer": ["u", "v"], 7: [1.0, 5.0], 9: [2.0, 1.0]})
    products = pd.DataFrame({"fund": [7, 9], "quota": [1, 1]})
    problem = ptofa.AllocationProblem.from_frames(revenue, pd.DataFrame({"customer": ["u", "v"]}), products)
    np.testing.assert_array_equal(problem.revenue, [[1, 2], [5, 1]])
