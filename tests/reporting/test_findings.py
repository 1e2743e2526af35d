"""What the report's front says of single notebooks."""

import csv

import pytest

from ptofa_gpu._files import asset_dir
from ptofa_gpu.reporting.findings import policy_summary, speed_summary
from ptofa_gpu.reporting.speed import SpeedTable, kept_results


def row(method, seconds, read, customers=1000):
    return {
        "method": method, "seconds": seconds, "read_seconds": read, "reads_of_E": seconds / read,
        "customers": customers,
        "funds": 8, "device": "a machine", "cores": 2, "share": 1.0, "over_quota": 0, "unfilled": 0, "peak_MiB": 10,
        "status": "optimal",
    }  # fmt: skip


def test_times_are_in_units_of_the_quickest_read_that_any_process_saw():
    rows = [row("optimal", 0.2, 0.02), row("manual", 0.1, 0.001), row("optimal", 0.1, 0.0001, customers=10)]
    table = SpeedTable(rows)
    assert table.reads(rows[0]) == pytest.approx(200)
    assert table.reads(rows[1]) == pytest.approx(100)
    told = {f.label: f.note for f in speed_summary(table).figures}
    assert told == {"optimum (by prices)": "200 reads of E", "manual": "100 reads of E"}
    assert table.reads({**rows[0], "seconds": ""}) is None


def test_kept_results_are_the_latest_of_each_kind():
    found = kept_results()
    keys = [(r["device"], r["customers"], r["funds"], r["k"], r["seed"], r["method"]) for r in found.rows]
    assert len(set(keys)) == len(keys)
    assert {r["ties"] for r in found.rows} == {"none"}
    newest = {}
    for path in sorted(asset_dir("results").glob("allocation-*.csv")):
        with path.open(newline="") as f:
            for r in csv.DictReader(f):
                if r["seconds"] and r["ties"] == "none":
                    newest[r["device"], r["customers"], r["funds"], r["k"], r["seed"], r["method"]] = r["date"]
    assert {k: r["date"] for k, r in zip(keys, found.rows)} == newest


def test_without_data_the_front_says_so():
    said = policy_summary({}, "the campaign")
    assert said.title == "On real, randomised data: the campaign"
    assert "no copy of the data" in said.decision
    assert not said.figures
    assert not said.chart
