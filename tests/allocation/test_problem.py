"""What an allocation problem refuses, and what it makes of what it takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InputError, PtofaError
from tests.allocation.strategies import eligible_of, instances

E = np.ones((4, 3), np.float32)


def bad(where, value):
    out = E.copy()
    out[where] = value
    return out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"revenue": bad((2, 1), np.nan)}, "row 2, fund column 1"),
        ({"revenue": bad((3, 0), np.inf)}, "row 3, fund column 0"),
        ({"revenue": np.full((4, 3), 1e300)}, "beyond float32"),
        ({"revenue": E[0]}, "two dimensions"),
        ({"revenue": np.zeros((0, 3))}, "at least one customer"),
        ({"revenue": np.full((4, 3), "a")}, "real numbers"),
        ({"revenue": E.astype(complex)}, "real numbers"),
        ({"revenue": np.zeros((1, 20_000))}, "at most 16,384"),
        ({"quota": [1, 1]}, r"shape \(2,\)"),
        ({"quota": [1, -1, 2], "names": ["a", "b", "c"]}, "fund 'b' is -1"),
        ({"quota": [1, 1.5, 2]}, "whole numbers"),
        ({"quota": [1, np.nan, 2]}, "whole numbers"),
        ({"quota": ["1", "2", "3"]}, "whole numbers"),
        ({"quota": [2**62, 2**62, 1]}, "more than any number"),
        ({"k": 0}, "between 1 and 3"),
        ({"k": 4}, "between 1 and 3"),
        ({"k": 1.5}, "whole number"),
        ({"k": [1, 2]}, r"shape \(2,\).*needs \(4,\)"),
        ({"k": [1, 2, 4, 9]}, r"k of 2 customers .* 0..3; the first is 4 of customer row 2"),
        ({"k": [1, -1, 1, 1]}, r"k of 1 customer .* -1 of customer row 1"),
        ({"k": [1, 1.5, 1, 1]}, "1.5 of customer row 1"),
        ({"k": [1, np.nan, 1, 1]}, "nan of customer row 1"),
        ({"k": [0, 0, 0, 0]}, "no slot to fill"),
        ({"k": "two"}, "k is 'two'"),
        ({"k": ["1", "1", "1", "1"]}, "k is an array of dtype"),
        ({"quota": np.ones((3, 3))}, r"ranges \[low, high\] need \(3, 2\)"),
        ({"quota": [[1, 2], [3, 2], [0, 1]], "names": ["a", "b", "c"]}, "fund 'b' ranges from 3 to 2"),
        ({"quota": [[1, 2], [-1, 2], [0, 1]], "names": ["a", "b", "c"]}, "fund 'b' is -1"),
        ({"quota": [[1, 2], [1, 2], [0.5, 1]]}, "fund 2 is 0.5"),
        ({"quota": [[1, 2], [1]]}, "quota cannot be read"),
        ({"excluded": [[0, 1, 2]]}, r"shape \(1, 3\)"),
        ({"excluded": [(0, 1), (4, 0)]}, "customer row outside 0..3 in 1 pair; the first is 4, in pair 1"),
        ({"excluded": [(0, -1)]}, "fund index outside 0..2 in 1 pair; the first is -1"),
        ({"excluded": [(0.0, 1.0)]}, "dtype float64"),
        ({"excluded": [(0, 1), (1,)]}, "excluded cannot be read"),
        ({"tolerance": [1, 1, 1, 1]}, "without risk"),
        ({"risk": [1, 1, 1]}, "without tolerance"),
        ({"tolerance": [1, 1], "risk": [1, 1, 1]}, r"needs \(4,\)"),
        ({"tolerance": [1, 1, 1, 300], "risk": [1, 1, 1]}, "300 at 3"),
        ({"tolerance": [1, 1, 1, 1.5], "risk": [1, 1, 1]}, "1.5 at 3"),
        ({"tolerance": [1, 1, 1, np.nan], "risk": [1, 1, 1]}, "nan at 3"),
        ({"eligible": np.ones((3, 4), bool)}, r"needs \(4, 3\)"),
        ({"eligible": np.full((4, 3), 0.5)}, "needs bool"),
        ({"names": ["a"]}, "names has 1"),
        ({"customer_ids": [1, 2]}, "customer_ids"),
    ],
)
def test_bad_input_is_named(arguments, words):
    with pytest.raises(InputError, match=words):
        ptofa.AllocationProblem(**{"revenue": E, "quota": [2, 1, 1], **arguments})


def test_errors_are_value_errors_too():
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, PtofaError)


@settings(max_examples=200, deadline=None)
@given(instances(max_customers=30, max_funds=12))
def test_eligibility_is_read_alike_in_every_form(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    expected = eligible_of(arguments)
    np.testing.assert_array_equal(problem.eligible, expected)
    np.testing.assert_array_equal(problem.eligible_counts(), expected.sum(0))
    patterns, sizes = problem.groups
    assert sizes.sum() == problem.n_customers
    rows, counts = np.unique(expected, axis=0, return_counts=True)
    got = sorted((tuple(p), int(n)) for p, n in zip(patterns.tolist(), sizes) if n)
    merged: dict[tuple, int] = {}
    for p, n in got:
        merged[p] = merged.get(p, 0) + n
    assert merged == {tuple(r): int(n) for r, n in zip(rows.tolist(), counts)}


def test_masks_of_more_than_64_funds():
    rng = np.random.default_rng(0)
    eligible = rng.random((50, 130)) < 0.5
    problem = ptofa.AllocationProblem(np.ones((50, 130)), np.zeros(130, int), eligible=eligible)
    np.testing.assert_array_equal(problem.eligible, eligible)
    np.testing.assert_array_equal(problem.eligible_counts(), eligible.sum(0))


def test_float32_input_is_not_copied():
    E = np.random.default_rng(0).random((5, 2), np.float32)
    assert np.shares_memory(ptofa.AllocationProblem(E, [3, 2]).revenue, E)


def test_torch_tensors_are_taken():
    torch = pytest.importorskip("torch")
    problem = ptofa.AllocationProblem(torch.ones(4, 2), quota=[2, 2])
    assert problem.device == "cpu"
    assert problem.n_funds == 2


@pytest.mark.parametrize(("quota", "case"), [([1, 1], "under"), ([2, 2], "exact"), ([4, 4], "over")])
def test_case(quota, case):
    assert ptofa.AllocationProblem(np.ones((4, 2)), quota).case == case


@pytest.mark.parametrize(
    ("quota", "case", "low", "ranges"),
    [
        ([[0, 1], [1, 2]], "under", [1, 2], False),
        ([[0, 2], [1, 2]], "exact", [2, 2], False),
        ([[1, 4], [0, 3]], "over", [1, 0], True),
        ([[0, 4], [0, 3]], "over", [0, 0], False),
        ([[4, 4], [3, 3]], "over", [4, 3], True),
        ([4, 4], "over", [0, 0], False),
        ([1, 2], "under", [1, 2], False),
    ],
)
def test_quota_ranges(quota, case, low, ranges):
    problem = ptofa.AllocationProblem(np.ones((4, 2)), quota)
    assert problem.case == case
    assert problem.quota.shape == (2,)
    assert problem.quota_low.tolist() == low
    assert problem.has_ranges == ranges
    assert ("to 4" in problem._repr_html_()) == (ranges and low == [1, 0])
    assert "sum to" not in problem._repr_html_() or not ranges


def test_slots_of_each_customer():
    problem = ptofa.AllocationProblem(E, [1, 1, 1], k=[0, 2, 1, 3])
    assert problem.k == 3
    assert problem.slots == 6
    assert problem.slots_of.dtype == np.int8
    assert problem.slots_of.tolist() == [0, 2, 1, 3]
    assert "k=0 to 3" in repr(problem)
    alike = ptofa.AllocationProblem(E, [1, 1, 1], k=np.full(4, 2.0))
    assert alike.k == 2
    assert alike.slots_of is None
    assert alike.slots == 8


def test_groups_are_of_like_slots():
    problem = ptofa.AllocationProblem(
        E, [1, 1, 1], k=[1, 2, 1, 1], tolerance=[1, 1, 1, 2], risk=[1, 1, 2], excluded=[(2, 0)]
    )
    found = {
        (tuple(p), int(n), int(k))
        for p, n, k in zip(problem.groups[0].tolist(), problem.groups[1], problem.group_slots, strict=True)
    }
    assert found == {
        ((True, True, False), 1, 1),
        ((True, True, False), 1, 2),
        ((False, True, False), 1, 1),
        ((True, True, True), 1, 1),
    }


@pytest.mark.parametrize("funds", [3, 64, 130])
def test_excluded_pairs(funds):
    rng = np.random.default_rng(funds)
    pairs = np.stack([rng.integers(0, 20, 90), rng.integers(0, funds, 90)], axis=1)  # some twice
    expected = np.ones((20, funds), bool)
    expected[pairs[:, 0], pairs[:, 1]] = False
    E, quota = np.ones((20, funds)), np.zeros(funds, int)
    for form in (pairs, pairs.tolist(), [tuple(p) for p in pairs], pairs.astype(np.uint16)):
        problem = ptofa.AllocationProblem(E, quota, excluded=form)
        np.testing.assert_array_equal(problem.eligible, expected)
    np.testing.assert_array_equal(problem.eligible_counts(), expected.sum(0))
    eligible, tolerance, risk = rng.random((20, funds)) < 0.7, rng.integers(0, 3, 20), rng.integers(0, 3, funds)
    problem = ptofa.AllocationProblem(E, quota, 1, tolerance, risk, eligible, excluded=pairs)
    np.testing.assert_array_equal(problem.eligible, expected & eligible & (tolerance[:, None] >= risk))
    packed = ptofa.AllocationProblem(E, quota, eligible=eligible).mask
    again = ptofa.AllocationProblem(E, quota, 1, tolerance, risk, packed, excluded=pairs)
    np.testing.assert_array_equal(again.mask, problem.mask)
    np.testing.assert_array_equal(packed, ptofa.AllocationProblem(E, quota, eligible=eligible).mask)  # not written to
    assert ptofa.AllocationProblem(E, quota, excluded=[]).mask is None


def test_fixed_point_cannot_overflow():
    for scale in (1e-44, 1e-20, 1.0, 3e38):
        for rows in (1, 1000):
            problem = ptofa.AllocationProblem(np.full((rows, 3), scale, np.float32), [rows, 0, 0], k=1)
            assert rows * problem.max_revenue * 2.0**problem.fixed_point_shift < 2**62
            plan = ptofa.allocate(problem, "heuristic", device="cpu")
            np.testing.assert_allclose(plan.objective, rows * float(np.float32(scale)), rtol=1e-12)


def test_repr_escapes_names():
    problem = ptofa.AllocationProblem(np.ones((4, 2)), [2, 2], names=["<script>alert(1)</script>", "b"])
    html = problem._repr_html_() + ptofa.allocate(problem, "topk")._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "4 customers" in repr(problem)


def test_pandas_series_are_taken_for_every_argument():
    import pandas as pd

    funds = pd.DataFrame({"quota": [2, 1, 1], "risk": [1, 2, 1], "name": list("abc")}, index=[7, 8, 9])
    people = pd.Series([1, 2, 3, 1])
    eligible = pd.DataFrame(np.ones((4, 3), bool))
    problem = ptofa.AllocationProblem(
        pd.DataFrame(E), funds["quota"], 1, people, funds["risk"], eligible, names=funds["name"]
    )
    assert problem.quota.tolist() == [2, 1, 1]
    assert problem.tolerance.tolist() == [1, 2, 3, 1]
    assert problem.names == ["a", "b", "c"]
    ranges = pd.DataFrame({"quota_low": [0, 1, 0], "quota_high": [2, 2, 2]})
    problem = ptofa.AllocationProblem(E, ranges, pd.Series([1, 1, 0, 2]), excluded=pd.DataFrame([[0, 2]]).to_numpy())
    assert problem.quota_low.tolist() == [0, 1, 0]
    assert problem.slots_of.tolist() == [1, 1, 0, 2]
    assert not problem.eligible[0, 2]
    with pytest.raises(InputError, match="fund 'b' is -1"):
        ptofa.AllocationProblem(E, pd.Series([2, -1, 1], index=[7, 8, 9]), names=funds["name"])
