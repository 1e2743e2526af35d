import json

import numpy as np
import pandas as pd
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.errors import AllocationError, InputError
from ptofa_gpu.evaluation import random_plan
from ptofa_gpu.reporting import Check, Figure, Outputs, Summary, figures


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


def test_json_without_nan(tmp_path):
    Outputs(tmp_path).summary(Summary("t", "d", [Figure("a", float("nan"))]))
    assert json.loads((tmp_path / "summary.json").read_text())["figures"][0]["value"] is None
