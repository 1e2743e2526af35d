"""Labelled values: aligned by label or refused, never taken by position where labels differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.allocation.certificate import dual_bound
from ptofa_gpu.errors import InputError, PtofaWarning

P = ptofa.AllocationProblem
U, NAMES = 300, ["bond", "mix", "stock"]
IDS = [f"c{i}" for i in range(U)]


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    E = pd.DataFrame(rng.lognormal(size=(U, 3)), index=IDS, columns=NAMES)
    risk = pd.Series({"bond": 1, "mix": 2, "stock": 3})
    quota = pd.Series({"bond": 150, "mix": 90, "stock": 60})
    tolerance = pd.Series(rng.integers(1, 4, U), index=IDS)
    plain = P(E.to_numpy(), quota.to_numpy(), 1, tolerance.to_numpy(), risk.to_numpy())
    return E, quota, tolerance, risk, ptofa.allocate(plain, device="cpu")


def shuffled(x, seed=1):
    return x.sample(frac=1, random_state=seed)


def as_kind(series, kind, side, name):
    """A labelled Series in another form."""
    if kind == "series":
        return series
    if kind == "dict":
        return series.to_dict()
    table = pd.DataFrame({side: series.index, name: series.to_numpy()})
    if kind == "pandas":
        return table
    if kind == "index":
        return series.rename(name).to_frame()
    return pl.from_pandas(table) if kind == "polars" else pa.Table.from_pandas(table, preserve_index=False)


@pytest.mark.parametrize("kind", ["series", "dict", "pandas", "index", "polars", "pyarrow"])
def test_every_form_is_aligned_in_any_order(world, kind):
    E, quota, tolerance, risk, wanted = world
    quota, tolerance, risk = shuffled(quota), shuffled(tolerance), shuffled(risk, 2)
    problem = P(
        E,
        as_kind(quota, kind, "fund", "quota"),
        tolerance=as_kind(tolerance, kind, "customer", "tolerance"),
        risk=as_kind(risk, kind, "fund", "risk"),
    )
    plan = ptofa.allocate(problem, device="cpu").verify()
    np.testing.assert_array_equal(plan.funds, wanted.funds)
    table = plan.to_frame()
    assert table.customer.tolist() == IDS
    shown = table.set_index("customer").fund
    assert (risk[shown].to_numpy() <= tolerance[shown.index].to_numpy()).all()
    assert problem.names == NAMES


@pytest.mark.parametrize("order", ["rows", "columns", "both"])
def test_the_revenue_may_be_in_another_order(world, order):
    E, quota, tolerance, risk, wanted = world
    rows = shuffled(E) if order != "columns" else E
    rows = rows[NAMES[::-1]] if order != "rows" else rows
    plan = ptofa.allocate(P(rows, quota, tolerance=tolerance, risk=risk), device="cpu").verify()
    assert plan.objective == pytest.approx(wanted.objective, rel=1e-12)
    got = plan.to_frame().set_index("customer").fund[IDS]
    assert got.tolist() == [NAMES[f] for f in wanted.funds[:, 0]]


def test_ranges_slots_and_exclusions_by_label(world):
    E, _, tolerance, risk, _ = world
    ranges = pd.DataFrame({"quota_low": [10, 20, 0], "quota_high": [np.inf, 40, 500]}, index=["stock", "mix", "bond"])
    k = pd.Series(np.arange(U) % 3, index=IDS)
    common = {"k": k.to_numpy(), "tolerance": tolerance.to_numpy(), "risk": risk.to_numpy()}
    plain = P(E.to_numpy(), [[0, 500], [20, 40], [10, np.inf]], excluded=[(0, 1), (5, 2), (5, 0)], **common)
    excluded = [
        {"c0": "mix", "c5": ["stock", "bond"]},
        pd.Series(["mix", "stock", "bond"], index=["c0", "c5", "c5"]),
        pd.DataFrame({"fund": ["bond", "mix", "stock"], "customer": ["c5", "c0", "c5"]}),
        pl.DataFrame({"fund": ["bond", "mix", "stock"], "customer": ["c5", "c0", "c5"]}),
    ]
    for pairs in excluded:
        problem = P(E, ranges, shuffled(k), shuffled(tolerance), risk, excluded=pairs)
        np.testing.assert_array_equal(problem.quota, plain.quota)
        np.testing.assert_array_equal(problem.quota_low, plain.quota_low)
        np.testing.assert_array_equal(problem.mask, plain.mask)
        np.testing.assert_array_equal(problem.slots_of, plain.slots_of)


def test_eligible_frames_are_aligned_in_both_directions(world):
    E, quota, *_ = world
    allowed = pd.DataFrame(np.random.default_rng(3).random(E.shape) < 0.8, index=IDS, columns=NAMES)
    problem = P(E, quota, eligible=shuffled(allowed)[NAMES[::-1]])
    np.testing.assert_array_equal(problem.eligible, allowed.to_numpy())
    with pytest.raises(InputError, match="eligible has 299 customers"):
        P(E, quota, eligible=allowed.iloc[1:])
    with pytest.raises(InputError, match="eligible has labels that are no fund"):
        P(E, quota, eligible=allowed.rename(columns={"mix": "mixed"}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quota": {"bond": 150, "mix": 90}}, "quota lacks 1 of the 3 funds: 'stock'"),
        ({"quota": {"bond": 1, "mix": 9, "stok": 6}}, "quota has labels that are no fund of the revenue: 'stok'"),
        ({"quota": {"bond": 1, "mix": 9, "stock": 6, "gold": 1}}, "no fund of the revenue: 'gold'"),
        ({"quota": pd.Series([1, 2, 3], index=["bond", "bond", "mix"])}, "quota names fund 'bond' more than once"),
        ({"quota": pd.Series([1, 2, 3], index=[7, 8, 9])}, "quota has labels that are no fund of the revenue: 7, 8, 9"),
        ({"quota": pl.DataFrame({"quota": [1, 2, 3]})}, "quota is a frame without the column 'fund'"),
        (
            {"quota": pd.DataFrame({"fund": NAMES, "a": 1, "b": 2, "c": 3})},
            "needs 'quota' alone, or 'quota_low' and 'quota_high'",
        ),
        ({"tolerance": pd.Series(1, index=IDS[1:]), "risk": [1, 1, 1]}, "tolerance lacks 1 of the 300 customers: 'c0'"),
        ({"tolerance": pd.Series(1, index=range(1, U + 1)), "risk": [1, 1, 1]}, "no customer of the revenue"),
        ({"k": pd.Series(1, index=[*IDS[1:], "x"])}, "k has labels that are no customer of the revenue: 'x'"),
        ({"excluded": {"c0": "gold"}}, "excluded names funds that the revenue does not have: 'gold'"),
        ({"excluded": {"x": "bond"}}, "excluded names customers that the revenue does not have: 'x'"),
        ({"excluded": pd.DataFrame({"customer": ["c0"]})}, "excluded lacks the column fund"),
        ({"names": ["a", "a", "b"]}, "names must be unique; .* for example 'a'"),
        ({"names": ["a", None, "b"]}, "names is missing: .* the first is row 1"),
        ({"customer_ids": ["x"] * U}, "customer_ids must be unique; .* for example 'x'"),
        ({"fund_ids": [1, 2, float("nan")]}, "fund_ids is missing: .* the first is row 2"),
    ],
)
def test_labels_that_do_not_match_are_refused(world, change, words):
    E, quota, *_ = world
    with pytest.raises(InputError, match=words):
        P(**{"revenue": E, "quota": quota, **change})


def test_labels_beside_a_revenue_without_any_are_refused_or_named(world):
    E, quota, tolerance, risk, wanted = world
    array = E.to_numpy()
    for arguments, words in (
        ({"quota": quota}, r"quota is labelled .* give each a name by names=\[...\] or fund_ids"),
        ({"quota": {"bond": 150, "mix": 90, "stock": 60}}, "quota is labelled"),
        (
            {"quota": [150, 90, 60], "k": pd.Series(1, index=np.arange(U)[::-1])},
            r"k is labelled .* customer_ids=\[...\]",
        ),
    ):
        with pytest.raises(InputError, match=words):
            P(array, **arguments)
    named = P(array, shuffled(quota), tolerance=shuffled(tolerance), risk=risk, names=NAMES, customer_ids=IDS)
    np.testing.assert_array_equal(ptofa.allocate(named, device="cpu").funds, wanted.funds)
    by_ids = P(array, shuffled(quota), fund_ids=NAMES, names=["A", "B", "C"])
    assert by_ids.quota.tolist() == [150, 90, 60]
    # an index that only counts is no label, and whole numbers of a dict are positions
    assert P(array, pd.Series([150, 90, 60])).quota.tolist() == [150, 90, 60]
    assert P(array, {2: 60, 0: 150, 1: 90}).quota.tolist() == [150, 90, 60]
    # labels that names share with quotas
    index = pd.Index([7, 8, 9])
    assert P(array, pd.Series([60, 150, 90], index=[9, 7, 8]), names=pd.Series(NAMES, index=index)).quota[0] == 150


def test_whole_numbers_are_labels_like_any_others():
    E = pd.DataFrame([[9.0, 1], [2, 8], [1, 3]], index=[30, 10, 20], columns=[101, 102])
    plan = ptofa.allocate(P(E, {102: 2, 101: 1}, k=pd.Series([1, 1, 1], index=[10, 20, 30])), device="cpu")
    assert plan.to_frame().to_dict("list") == {
        "customer": [30, 10, 20], "slot": [1, 1, 1], "fund": [101, 102, 102], "revenue": [9.0, 8.0, 3.0],
    }  # fmt: skip
    ordered = E.reset_index(drop=True)
    tolerance = pd.Series([3, 1, 2], index=[2, 0, 1])  # a sorted table: rows are known by their number
    assert P(ordered, [1, 2], tolerance=tolerance, risk=[1, 1]).tolerance.tolist() == [1, 2, 3]
    # with E's rows in another order a Series that counts from 0 is aligned, too
    moved = ordered.loc[[2, 0, 1]]
    assert P(moved, [1, 2], tolerance=pd.Series([1, 2, 3]), risk=[1, 1]).tolerance.tolist() == [3, 1, 2]


@pytest.mark.parametrize("library", ["polars", "pyarrow", "pandas"])
def test_frames_with_a_column_of_customers(library):
    table = {"customer": ["x", "y"], "b": [9.0, 2.0], "a": [1.0, 8.0]}
    frame = {"polars": pl.DataFrame, "pandas": pd.DataFrame, "pyarrow": pa.table}[library](table)
    problem = P(frame, {"a": 1, "b": 1}, k={"y": 1, "x": 1})
    assert problem.names == ["b", "a"]
    plan = ptofa.allocate(problem, device="cpu")
    made = plan.to_frame()
    assert type(made).__module__.partition(".")[0] == library
    columns = (
        made.to_pydict()
        if library == "pyarrow"
        else made.to_dict(**({"orient": "list"} if library == "pandas" else {"as_series": False}))
    )
    assert columns["customer"] == ["x", "y"]
    assert columns["fund"] == ["b", "a"]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), "column 'b' of type"),
        (pl.DataFrame({"a": [1.0], "b": ["x"]}), "column 'b' has type"),
        (pa.table({"a": [1.0], "b": [True]}), "true and false"),
        (pd.DataFrame({"customer": [1], "fund": ["a"], "revenue": [2.0]}), "a long frame.*from_frames"),
        (pl.DataFrame({"customer": [1]}), "no column of a fund"),
        (pd.DataFrame(np.ones((2, 2)), columns=["a", "a"]), "columns must be unique"),
        (pd.DataFrame(np.ones((2, 2)), index=["a", "a"]), "customers must be unique"),
        (pd.DataFrame(np.ones((2, 2)), index=pd.MultiIndex.from_tuples([(1, 2), (1, 3)])), "labels of 2 levels"),
        (pd.DataFrame({"a": [1.0, None], "b": [1.0, 1.0]}), "row 1, fund column 0"),
        (pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": [1, 1]}), "row 1, fund column 0"),
    ],
)
def test_frames_that_are_no_revenue(frame, words):
    with pytest.raises(InputError, match=words):
        P(frame, [1, 1][: frame.shape[1]])


@pytest.mark.parametrize("kind", ["series", "dict", "pandas", "index", "polars", "pyarrow"])
def test_prices_are_aligned(world, kind):
    E, quota, tolerance, risk, _ = world
    problem = P(E, quota, tolerance=tolerance, risk=risk)
    plan = ptofa.allocate(problem, device="cpu")
    price = as_kind(shuffled(pd.Series(plan.price, index=NAMES)), kind, "fund", "price")
    warm = ptofa.allocate(problem, device="cpu", warm_start=price)
    np.testing.assert_array_equal(warm.funds, ptofa.allocate(problem, device="cpu", warm_start=plan.price).funds)
    assert dual_bound(problem, price) == dual_bound(problem, plan.price)
    with pytest.raises(InputError, match="warm_start lacks 1 of the 3 funds"):
        ptofa.allocate(problem, warm_start={"bond": 1.0, "mix": 2.0})


@pytest.mark.parametrize(
    "priority",
    [
        [2, 0, 1],
        ["stock", "bond", "mix"],
        np.array(["stock", "bond", "mix"]),
        pd.Series(["stock", "bond", "mix"]).tolist(),
        {"bond": 2, "stock": 1, "mix": 3},
        pd.Series({"mix": 3, "bond": 2, "stock": 1}),
        pd.DataFrame({"fund": NAMES, "priority": [2, 3, 1]}),
        pl.DataFrame({"fund": NAMES, "priority": [1, 2, 0]}),
    ],
)
def test_priorities_by_index_name_or_place(world, priority):
    E, quota, *_ = world
    wanted = ptofa.allocate(P(E.to_numpy(), quota.to_numpy()), "manual", priority=[2, 0, 1])
    plan = ptofa.allocate(P(E, quota), "manual", priority=priority)
    np.testing.assert_array_equal(plan.funds, wanted.funds)


@pytest.mark.parametrize(
    ("priority", "words"),
    [
        ({"bond": 1, "stock": 1, "mix": 2}, "each fund's place"),
        ({"bond": 0.3, "stock": 0.1, "mix": 0.2}, "each fund's place"),
        ({"bond": 1, "stock": 2}, "priority lacks"),
        (["bond", "mix"], "each of the 3 funds"),
        (["bond", "mix", "gold"], "no fund of the revenue"),
        ("bond", "priority is 'bond'"),
        (3, "priority is 3"),
        (np.array(2), "priority is array"),
        ([None, 1, 2], "each of the 3 funds"),
    ],
)
def test_priorities_that_are_none(world, priority, words):
    E, quota, *_ = world
    with pytest.raises(InputError, match=words):
        ptofa.allocate(P(E, quota), "manual", priority=priority)


SMALL = pd.DataFrame([[1.0, 2, 3], [4, 5, 7], [9, 8, 1]], columns=list("abc"), index=list("xyz"))


def test_keys_and_columns_are_labels_also_where_they_count_from_0():
    """Identifiers that are digits as text, as CSV gives them, and whole numbers in the other table."""
    E = SMALL.to_numpy()
    for order in ([0, 1, 2], [1, 2, 0]):
        table = pd.DataFrame({"fund": [0, 1, 2], "quota": [10, 20, 30]}).loc[order]
        assert P(E, table, names=["2", "1", "0"]).quota.tolist() == [30, 20, 10]
        assert P(E, dict(zip(table.fund, table.quota)), names=["2", "1", "0"]).quota.tolist() == [30, 20, 10]
        index = pd.Series(table.quota.to_numpy(), index=table.fund)
        assert P(E, index, names=["2", "1", "0"]).quota.tolist() == [30, 20, 10]
    levels = pd.DataFrame({"customer": [0, 1, 2], "tolerance": [1, 2, 3]})
    problem = P(E, [1, 1, 1], tolerance=levels, risk=[0] * 3, customer_ids=["2", "1", "0"])
    assert problem.tolerance.tolist() == [3, 2, 1]
    for quota in ({0: 1, 1: 1, 2: 1}, pd.DataFrame({"fund": [0, 1, 2], "quota": 1})):
        with pytest.raises(InputError, match="no fund of the revenue: 0, 1, 2"):
            P(E, quota, names=["a", "b", "c"])


def test_names_and_identifiers_are_aligned_with_the_frame_or_refused():
    names = pd.Series({"c": "C", "b": "B", "a": "A"})
    assert P(SMALL, [1, 1, 1], names=names).names == ["A", "B", "C"]
    ids = pd.Series(["Z", "Y", "X"], index=list("zyx"))
    assert P(SMALL, [1, 1, 1], customer_ids=ids).customer_ids.tolist() == ["X", "Y", "Z"]
    bits = pd.Series([1, 2, 4], index=list("zyx"), dtype="uint64")
    assert P(SMALL, [1, 1, 1], eligible=bits).eligible.argmax(1).tolist() == [2, 1, 0]
    for what, value in (("fund_ids", list("cba")), ("names", list("cba")), ("customer_ids", list("zyx"))):
        with pytest.raises(InputError, match=f"{what} are the labels of the revenue in another order"):
            P(SMALL, [1, 1, 1], **{what: value})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"quota_low": [1, 0, 0]}, "needs 'quota' alone, or 'quota_low' and 'quota_high'"),
        ({"quota_low": 0, "quota_high": 3, "quota": [1, 1, 1]}, "needs 'quota' alone"),
        ({"price": [1, 1, 1]}, "needs 'quota' alone"),
    ],
)
def test_values_of_frames_are_not_guessed(table, words):
    with pytest.raises(InputError, match=words):
        P(SMALL, pd.DataFrame({"fund": list("abc"), **table}))
    with pytest.raises(InputError, match="tolerance is a frame with the columns 'age'; it needs 'tolerance'"):
        P(SMALL, [1, 1, 1], tolerance=pd.DataFrame({"customer": list("zyx"), "age": [31, 42, 53]}), risk=[0] * 3)
    funds = pd.DataFrame({"fund": list("cba"), "quota": [3, 2, 1], "risk": [1, 2, 3]})
    problem = P(SMALL, funds, risk=funds, tolerance=[3, 3, 3])
    assert (problem.quota.tolist(), problem.risk.tolist()) == ([1, 2, 3], [3, 2, 1])


def test_whole_numbers_of_a_new_frame_are_the_plans_funds():
    plan = ptofa.allocate(P(SMALL.set_axis([2, 0, 1], axis=1), [1, 1, 1]), device="cpu")
    new = pd.DataFrame([[100.0, 0, 0]], columns=[0, 1, 2])
    assert plan.assign(new).tolist() == plan.assign(np.array([[0, 100.0, 0]])).tolist() == [[1]]
    assert plan.assign(new.set_axis([2, 0, 1], axis=1)).tolist() == [[0]]
    plan = ptofa.allocate(P(SMALL, [1, 1, 1]), device="cpu")
    assert plan.assign(pl.LazyFrame({"c": [3.0], "b": [2.0], "a": [100.0]})).tolist() == [[0]]
    assert plan.assign(SMALL.loc["x"][::-1]).tolist() == plan.assign(SMALL.loc["x"].to_numpy()).tolist()


def test_odd_forms_of_revenue_and_prices():
    E = SMALL.to_numpy()
    whole = P([np.ma.array(E), E.tolist()], [2, 2, 2])
    assert whole.n_customers == 6
    with pytest.raises(InputError, match=r"x\.npy: there is no such file"):
        P([np.ma.array(E), "x.npy"], [1, 1, 1])
    with pytest.raises(InputError, match="same funds"):
        P([np.ma.array(E), np.ma.array(E[:, :2])], [1, 1, 1])
    money = pa.table({"a": pa.array([1]).cast(pa.decimal128(22, 2)), "b": [2.0]})
    assert P(money, [1, 1]).max_revenue == 2.0
    problem = P(SMALL, [1, 1, 1])
    for price in (np.ma.masked_equal([1.0, 2, 3], 2), [1j, 2, 3]):
        with pytest.raises(InputError, match="warm_start"):
            ptofa.allocate(problem, warm_start=price)
    with pytest.raises(InputError, match="max_memory is True"):
        ptofa.allocate(problem, max_memory=True)
    with pytest.raises(InputError, match=r"of type set\); it must be a list of the 3 funds in the order"):
        ptofa.allocate(problem, "manual", priority={"a", "b", "c"})
    by_list = ptofa.allocate(problem, "manual", priority=["c", "b", "a"])
    np.testing.assert_array_equal(
        ptofa.allocate(problem, "manual", priority=pd.Series(["c", "b", "a"])).funds, by_list.funds
    )
    missing = SMALL.gt(1).astype("boolean")
    assert P(SMALL, [1, 1, 1], eligible=missing).eligible.sum() == 7


def test_whole_numbers_beyond_float64_are_told_of_in_every_form():
    table = {"a": [2**60 + 5, 2**60], "b": [2**60 + 7, 2**60]}
    for kind in ("int64", "Int64"):
        with pytest.warns(PtofaWarning, match="differences"):
            P(pd.DataFrame(table, dtype=kind), [1, 1])


def test_new_customers_come_labelled_too(world):
    E, quota, tolerance, risk, _ = world
    plan = ptofa.allocate(P(E, quota, tolerance=tolerance, risk=risk), device="cpu")
    wanted = plan.assign(E.to_numpy(), tolerance.to_numpy())
    got = plan.assign(E[NAMES[::-1]], shuffled(tolerance))
    np.testing.assert_array_equal(got, wanted)
    with pytest.raises(InputError, match="no fund of the revenue"):
        plan.assign(E.rename(columns={"bond": "bund"}), tolerance)


# -- quotas with open ends -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("none", [None, np.inf, np.nan])
def test_open_ends_are_as_many_as_may_see_the_fund(none):
    E = np.random.default_rng(0).random((100, 3))
    tolerance, risk = np.arange(100) % 2, [0, 1, 0]
    for quota in ([(None, 30), (10, none), (0, 30)], np.array([(0, 30), (10, none), (0, 30)], float)):
        problem = P(E, quota, tolerance=tolerance, risk=risk)
        assert problem.quota.tolist() == [30, 50, 30]
        assert problem.quota_low.tolist() == [0, 10, 0]
        ptofa.allocate(problem, device="cpu").verify()
    assert P(E, [(None, none)] * 3).quota.tolist() == [100] * 3
    with pytest.raises(InputError, match=r"quota of fund 1 is (inf|nan)|dtype object"):
        P(E, [1, none, 1])
    with pytest.raises(InputError, match="quota of fund 0 is inf"):
        P(E, [(np.inf, none), (0, 1), (0, 1)])
