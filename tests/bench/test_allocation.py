"""A run: rows as they come, the same instance for all, and limits that end a method without ending the run."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ptofa_gpu import allocate
from ptofa_gpu.bench import process
from ptofa_gpu.bench.allocation import PROFILES, Settings, run
from ptofa_gpu.bench.instances import Instance, generate, store
from ptofa_gpu.bench.process import observe
from ptofa_gpu.bench.record import COLUMNS, read_results, table
from ptofa_gpu.bench.results import read_rows
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops._library import library

ROOT = Path(__file__).resolve().parents[2]


def test_a_run_measures_writes_and_compares(tmp_path: Path) -> None:
    path, told = tmp_path / "r.csv", []
    settings = Settings([(400, 4)], ks=(1,), methods=("topk", "ortools-flow", "optimal"), repeats=2, threads=1)
    cells = run(settings, path, lambda done, total, text: told.append((done, total, text)))
    rows = read_rows(path, COLUMNS)
    assert [row["method"] for row in rows] == ["optimal", "topk", "ortools-flow"]
    assert [cell.method for cell in cells] == ["optimal", "topk", "ortools-flow"]
    best = allocate(generate(Instance(400, 4)).problem(), device="cpu")
    for row in rows:
        assert (row["customers"], row["funds"], row["k"], row["ties"], row["seed"]) == ("400", "4", "1", "none", "0")
        assert float(row["optimum"]) == pytest.approx(best.bound)
        assert len(row["seconds_all"].split()) == int(row["repeats"]) == 2
        assert 0 < float(row["seconds_min"]) <= float(row["seconds"])
        assert float(row["reads_of_E"]) == pytest.approx(float(row["seconds"]) / float(row["read_seconds"]), rel=1e-2)
        assert int(row["peak_MiB"]) > 20
        assert row["threads"] == "1"
        assert row["device"]
        assert row["engine"] == library().level
        assert float(row["load"]) >= 0
    optimal, topk, flow = rows
    assert optimal["status"] == flow["status"] == "optimal"
    assert float(flow["objective"]) == pytest.approx(best.objective, rel=1e-9)
    assert float(flow["share"]) == pytest.approx(1, abs=1e-9)
    assert flow["unfilled"] == flow["over_quota"] == flow["under_quota"] == "0"
    assert topk["status"] == "infeasible"
    assert int(topk["over_quota"]) > 0
    assert told[0][:2] == (0, 3)
    assert told[-1] == (3, 3, "done")
    text = table(rows)
    assert "400 x 4 k=1" in text
    assert "100.000000 %" in text
    assert "breaks quotas" in text

    # a second run adds to the file; a method alone is still compared with the optimum
    before = path.read_bytes()
    run(replace(settings, methods=("topk",), repeats=1), path)
    assert path.read_bytes().startswith(before)
    assert read_rows(path, COLUMNS)[-1]["share"] == topk["share"]


def test_a_method_that_passes_the_time_limit_is_killed_marked_and_left_out_of_greater_sizes(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    settings = Settings([(60_000, 8), (61_000, 8)], methods=("ortools-flow",), time_limit=0.01, repeats=1)
    cells = {(c.instance.customers, c.method): c for c in run(settings, path)}
    killed = cells[60_000, "ortools-flow"].row
    assert killed["status"] == "killed"
    assert float(killed["seconds"]) >= 0.01
    assert killed["objective"] in (None, "")
    assert "met its limit at 60,000 x 8" in cells[61_000, "ortools-flow"].skipped
    assert "killed at the time limit of 0.01 s" in table([killed])
    written = read_rows(path, COLUMNS)
    assert sum(row["method"] == "ortools-flow" for row in written) == 1
    assert next(row for row in written if row["method"] == "ortools-flow")["status"] == "killed"


def test_cells_that_cannot_be_measured_are_left_out_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    cells = run(Settings([(1_000, 8)], ks=(3,), methods=("pot-emd",)), path)
    assert "one slot a customer" in cells[0].skipped
    cells = run(Settings([(10_000_000, 512)], methods=("scip", "topk"), max_memory=1 << 30), path)
    assert all("GiB of memory and may hold 1.0 GiB" in c.skipped for c in cells)
    assert not path.exists()  # nothing was measured, nothing was drawn
    left_out = [(str(c.instance), c.method, c.skipped) for c in cells]
    assert "10,000,000 x 512 k=1  scip: it needs about" in table([], left_out)


@pytest.mark.parametrize(
    "wrong",
    [{"methods": ("optimum",)}, {"time_limit": 0.0}, {"repeats": 0}, {"sizes": ()}, {"ties": ("few",)}, {"ks": (9,)}],
)
def test_settings_without_sense_are_refused_before_anything_runs(wrong: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(Settings(**{"sizes": [(100, 8)], **wrong}), tmp_path / "r.csv")
    assert not list(tmp_path.iterdir())


def test_results_from_before_the_engine_are_read(tmp_path: Path) -> None:
    path = ROOT / "benchmarks/results/allocation-amd-epyc-2-cores.csv"
    rows = read_results(path)
    assert rows[0]["numba"]
    assert "optimal" in table(rows)
    with pytest.raises(InputError, match="lacks the columns engine"):
        run(Settings([(100, 4)], methods=("topk",)), path)


def test_a_results_file_of_other_columns_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = ROOT / "benchmarks/results/allocation.csv"
    before = path.read_bytes()
    with pytest.raises(InputError, match="lacks the columns"):
        run(Settings([(100, 4)], methods=("topk",)), path)
    assert path.read_bytes() == before


def test_profiles_are_settings_that_make_sense() -> None:
    for settings in PROFILES.values():
        assert set(settings.methods) >= {"optimal", "heuristic", "manual", "topk", "ortools-flow", "pot-emd"}
        assert {8} <= {funds for _, funds in settings.sizes}
    assert (10_000_000, 8) in PROFILES["full"].sizes
    assert {f for _, f in PROFILES["full"].sizes} == {8, 64, 512}


def spec(folder: Path, method: str) -> dict:
    store(Instance(200, 4), folder)
    instance = {"customers": 200, "funds": 4, "k": 1, "ties": "none", "seed": 0}
    return {
        "method": method,
        "folder": str(folder),
        "instance": instance,
        "device": "cpu",
        "repeats": 1,
        "time_limit": 9,
    }


def test_a_process_that_holds_too_much_memory_is_ended(tmp_path: Path) -> None:
    seen = observe(spec(tmp_path, "topk"), patience=60, max_memory=20 << 20, environment=os.environ)
    assert seen.ending == "memory"
    assert "memory" in seen.note


def test_a_process_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = observe(spec(tmp_path, "guess"), patience=60, max_memory=8 << 30, environment=os.environ)
    assert seen.ending == "failed"
    assert "KeyError: 'guess'" in seen.note
    monkeypatch.setattr(process, "SETUP_LIMIT", 0.05)
    seen = observe(spec(tmp_path, "topk"), patience=60, max_memory=8 << 30, environment=os.environ)
    assert seen.ending == "failed"
    assert "outside the solve" in seen.note


def test_the_script_in_benchmarks_is_the_command() -> None:
    script = [sys.executable, str(ROOT / "benchmarks/allocation.py"), "--sizes", "nonsense"]
    done = subprocess.run(script, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert "size 'nonsense'" in done.stderr
