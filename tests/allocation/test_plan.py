"""Plans: what they count, what verify finds, and files that are whole or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.allocation.plan import AllocationPlan
from ptofa_gpu.errors import AllocationError


def make(k=1, **more):
    rng = np.random.default_rng(1)
    arguments = {
        "revenue": rng.random((12, 4)),
        "quota": [3 * k] * 4,
        "k": k,
        "tolerance": [2] * 6 + [1] * 6,
        "risk": [1, 1, 1, 2],
        **more,
    }
    return ptofa.AllocationProblem(**arguments)


@pytest.mark.parametrize("k", [1, 2])
def test_counts(k):
    problem = make(k)
    plan = ptofa.allocate(problem, "heuristic")
    assert plan.exposures.tolist() == [3 * k] * 4
    picked = [(u, f) for u, row in enumerate(plan.funds) for f in row if f >= 0]
    assert plan.objective == pytest.approx(sum(float(problem.revenue[u, f]) for u, f in picked), rel=1e-12)
    assert plan.unfilled == 0
    assert plan.verify() is plan
    assert plan.status == "feasible"
    assert np.isnan(plan.bound)
    assert np.isnan(plan.gap)
    assert plan.price is None
    assert "heuristic plan" in plan.summary()


def spoil(plan, change, **more):
    funds = plan.funds.copy()
    change(funds)
    return AllocationPlan(plan.problem, funds, "by hand", "feasible", **more)


def test_verify_names_the_first_violation():
    plan = ptofa.allocate(make(2), "heuristic")
    bold = int(np.flatnonzero((plan.funds == 3).any(1))[0])
    careful = 7
    fund = plan.funds[careful, 0]

    def twice(funds):
        funds[careful] = fund

    def too_bold(funds):
        funds[careful, 0] = 3

    def emptied(funds):
        funds[bold, 1] = -1

    broken = spoil(plan, lambda funds: None)
    broken.funds[7, 0] = 9
    with pytest.raises(AllocationError, match="customer row 7, slot 1: fund index 9"):
        broken.verify()
    with pytest.raises(AllocationError, match=f"row 7 sees fund {fund} more than once"):
        spoil(plan, twice).verify()
    with pytest.raises(AllocationError, match=r"row 7 may not see fund 3 \('fund 3'\): risk 2 is above tolerance 1"):
        spoil(plan, too_bold).verify()
    with pytest.raises(AllocationError, match=r"5 times; its quota is 6 \(1 exposure of all funds is missing\)"):
        spoil(plan, emptied).verify()
    eligible = np.ones((12, 4), bool)
    eligible[0, plan.funds[0, 0]] = False
    broken = AllocationPlan(make(2, eligible=eligible), plan.funds, "by hand", "feasible")
    with pytest.raises(AllocationError, match="the pair is excluded"):
        broken.verify()


def test_verify_recounts_what_is_stated():
    for name, value, words in (
        ("objective", 1.0, "objective is stated as 1.0"),
        ("unfilled", 5, "unfilled is stated as 5"),
        ("exposures", np.array([3, 3, 2, 4]), "exposures of fund 2"),
        ("bound", 0.5, "bound 0.5 is below"),
        ("status", "optimal", "without a bound that proves it"),
        ("funds", np.zeros((3, 1), np.int16), "funds has shape"),
        ("funds", np.zeros((12, 1)), "dtype float64"),
    ):
        plan = ptofa.allocate(make(), "heuristic")
        setattr(plan, name, value)
        with pytest.raises(AllocationError, match=words):
            plan.verify()


def test_verify_holds_an_optimal_plan_to_its_prices():
    plan = ptofa.allocate(make(2), "reference")
    assert plan.status == "optimal"
    plan.verify()
    plan.price = plan.price + np.array([0.5, 0, 0, 0])
    with pytest.raises(AllocationError, match="the prices"):
        plan.verify()


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_to_frame(backend):
    pytest.importorskip(backend)
    import narwhals as nw

    plan = ptofa.allocate(make(2, names=list("abcd"), customer_ids=[f"c{i}" for i in range(12)]), "heuristic")
    frame = nw.from_native(plan.to_frame(backend))
    assert frame.columns == ["customer", "slot", "fund", "revenue"]
    assert len(frame) == 24
    for row in frame.iter_rows(named=True):
        u = int(row["customer"][1:])
        f = "abcd".index(row["fund"])
        assert plan.funds[u, row["slot"] - 1] == f
        assert row["revenue"] == plan.problem.revenue[u, f]


def test_empty_slots_have_no_row():
    plan = ptofa.allocate(make(quota=[1, 1, 0, 1]), "heuristic")
    assert plan.unfilled == 9
    assert len(plan.to_frame()) == 3


def test_to_parquet(tmp_path):
    import pyarrow.parquet as pq

    plan = ptofa.allocate(make(), "heuristic")
    plan.to_parquet(tmp_path / "new" / "plan.parquet")
    table = pq.read_table(tmp_path / "new" / "plan.parquet")
    assert table.column_names == ["customer", "slot", "fund", "revenue"]
    assert table.num_rows == 12
    assert table.schema.metadata[b"ptofa.method"] == b"heuristic"
    assert os.listdir(tmp_path / "new") == ["plan.parquet"]


def test_a_full_disk_leaves_the_old_plan(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    plan = ptofa.allocate(make(), "heuristic")
    path = tmp_path / "plan.parquet"
    plan.to_parquet(path)
    before = path.read_bytes()

    def full(table, where, **options):
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        plan.to_parquet(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["plan.parquet"]


def test_a_killed_process_leaves_the_old_plan(tmp_path):
    path = tmp_path / "plan.parquet"
    path.write_bytes(b"the plan of yesterday")
    code = """
        import os, signal, sys, numpy as np, pyarrow.parquet as pq, ptofa_gpu as ptofa
        def killed(table, where, **options):
            where.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        pq.write_table = killed
        problem = ptofa.AllocationProblem(np.ones((2, 2)), [1, 1])
        ptofa.allocate(problem, "topk").to_parquet(sys.argv[1])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"the plan of yesterday"


def test_html_has_every_fund():
    html = ptofa.allocate(make(names=["a&b", "c", "d", "e"]), "reference")._repr_html_()
    assert "a&amp;b" in html
    assert "price" in html


def test_summary_of_a_relaxed_plan_says_what_is_missing():
    eligible = np.ones((4, 2), bool)
    eligible[:2, 0] = False
    problem = ptofa.AllocationProblem(np.ones((4, 2)), [4, 0], eligible=eligible, names=["A", "B"])
    plan = ptofa.allocate(problem, on_infeasible="relax").verify()
    assert plan.status == "infeasible"
    assert "2 of 4 exposures bought, 2 of 4 slots empty" in plan.summary()
    assert "no plan can make more exposures" in plan.summary()
    assert "1 fund short of its quota: 'A' by 2" in plan.summary()
