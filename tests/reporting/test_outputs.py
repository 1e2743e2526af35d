import json
import math

import numpy as np
import pandas as pd
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.errors import AllocationError, InputError
from ptofa_gpu.evaluation import random_plan
from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.reporting import Check, Figure, Outputs, Summary, figures
from ptofa_gpu.reporting.outputs import read_summary
from ptofa_gpu.reporting.style import short_number


def test_chart_table_plan_and_summary_lie_in_the_folder(tmp_path):
    out = Outputs(tmp_path / "a" / "b")
    chart = out.chart(figures.price_chart(["x", "y"], [1.0, 2.0]))
    out.table(pd.DataFrame({"fund": ["x"]}), "funds")
    plan = random_plan(ptofa.AllocationProblem(np.ones((6, 2)), quota=[3, 3]))
    assert out.plan(plan) is plan
    summary = Summary("t", "d", [Figure("a", "b")], [Check("c", "bad")], ["e"], "shadow-prices")
    out.summary(summary)
    assert {p.name for p in out.folder.iterdir()} == {
        "shadow-prices.png", "shadow-prices.svg", "shadow-prices.alt.txt", "funds.csv", "plan.parquet", "summary.json",
    }  # fmt: skip
    assert (out.folder / "shadow-prices.alt.txt").read_text() == chart.alt
    assert Summary.from_json((out.folder / "summary.json").read_text()) == summary
    assert len(pd.read_parquet(out.folder / "plan.parquet")) == 6


def test_a_broken_plan_is_not_kept(tmp_path):
    plan = random_plan(ptofa.AllocationProblem(np.ones((6, 2)), quota=[3, 3]))
    plan.funds = np.zeros_like(plan.funds)
    with pytest.raises(AllocationError):
        Outputs(tmp_path).plan(plan)
    assert list(tmp_path.iterdir()) == []


def test_a_table_must_be_a_frame(tmp_path):
    with pytest.raises(InputError, match="pandas"):
        Outputs(tmp_path).table([1, 2], "t")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "—"),
        (float("-inf"), "—"),
        (np.float32("nan"), "—"),
        ("nan", "—"),
        ("-inf %", "—"),
        ("+nan EUR", "—"),
        (1234567.8, "1.23M"),
        (np.float32(0.5), "0.5"),
        (np.int64(12), "12"),
        ("nano", "nano"),
        ("12 inf", "12 inf"),
    ],
)
def test_what_is_no_finite_number_is_a_dash(tmp_path, value, shown):
    Outputs(tmp_path).summary(Summary("t", "d", [Figure("gap", value)]))
    assert json.loads((tmp_path / "summary.json").read_text())["figures"][0]["value"] == shown


def test_short_numbers_and_shares_are_dashes_too():
    for number in (math.nan, math.inf, -math.inf):
        assert short_number(number) == percent(number, 1, sign=True) == "—"


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (Summary("t", None), r"decision must be text, got None \(NoneType\)"),
        (Summary("t", "d", [Figure("gap", None)]), "the value of figure 'gap' must be text, got None"),
        (Summary("t", "d", [Figure("gap", [1])]), "the value of figure 'gap' must be text"),
        (Summary("t", "d", [("gap", "1")]), "figures must be a list of Figure"),
        (Summary("t", "d", checks=[Check("c", "fine")]), "check 'c' must be one of 'good', 'warning', 'bad'"),
        (Summary("t", "d", caveats="one"), "caveats must be a list, got 'one'"),
        (Summary("t", "d", caveats=[1]), "a caveat must be text"),
        (Summary("t", "d", chart="../../secret"), "name of a chart"),
    ],
)
def test_a_bad_summary_is_refused_where_it_is_recorded(tmp_path, summary, words):
    with pytest.raises(InputError, match=words):
        Outputs(tmp_path).summary(summary)
    assert list(tmp_path.iterdir()) == []


def test_half_a_surrogate_pair_can_be_written(tmp_path):
    Outputs(tmp_path).summary(Summary("a\ud800b", "d"))
    assert read_summary(tmp_path).title == "a\\ud800b"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"title": "t", "decision": 1}', '{"title": "t", "more": 1}', "\xff"])
def test_a_summary_of_another_hand_is_an_error(tmp_path, text):
    (tmp_path / "summary.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"summary\.json cannot be read"):
        read_summary(tmp_path)
