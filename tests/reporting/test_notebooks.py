"""The notebooks as committed, and their way through the report at a small size."""

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from ptofa_gpu._files import asset_dir
from ptofa_gpu._text import split_labels
from ptofa_gpu.datasets.hillstrom import FILE as HILLSTROM
from ptofa_gpu.reporting import run_report
from ptofa_gpu.reporting.example import example_files
from ptofa_gpu.reporting.html import remote_references
from ptofa_gpu.reporting.parameters import read_parameters, resolve

BOOKS = sorted(asset_dir("notebooks").glob("*.ipynb"))
NAMES = ["01_data", "02_prediction", "03_allocation", "04_ab_test", "05_hillstrom", "06_your_data", "07_speed"]


def test_they_are_all_there():
    assert [p.stem for p in BOOKS] == [*NAMES, "quickstart"]


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_as_committed(path: Path):
    nb = nbformat.read(path, as_version=4)
    nbformat.validate(nb)
    assert all(not c.outputs and c.execution_count is None for c in nb.cells if c.cell_type == "code")
    known = read_parameters(nb, path.stem)
    assert {"seed", "output_dir"} <= set(known)
    assert all(p.help for p in known.values()), "every parameter is explained"
    larger = nb.metadata["ptofa"]["profiles"]["paper"]
    quick, paper = (resolve({path.stem: nb}, {}, profile)[path.stem] for profile in ("quick", "paper"))
    assert {key for key in quick if quick[key] != paper[key]} == set(larger), "a profile sets what it changes"
    numbers = [key for key in larger if isinstance(paper[key], int | float)]
    assert all(paper[key] > quick[key] for key in numbers)
    assert numbers or path.stem == "07_speed"
    # thin: a notebook calls the package; what a test could want lives there
    code = [c.source for c in nb.cells if c.cell_type == "code"]
    assert not any(re.search(r"^\s*(def|class|while) ", source, re.M) for source in code)
    assert sum(source.count("\n") + 1 for source in code) < 130
    assert nb.cells[0].source.startswith("# ")


SMALL = {
    "01_data": ({"customers": 3000, "panel_customers": 60, "panel_exposures": 60}, {"amounts", "matthew-effect"}),
    "02_prediction": (
        {"customers": 1500, "methods": "ziln, esmm", "seeds": 1, "epochs": 1}, {"models", "calibration", "lift"},
    ),
    "03_allocation": (
        {"customers": 1000, "revenue_from": "truth", "integer_customers": 500},
        {"objective-by-scale", "time-by-scale", "shadow-prices", "quota-losses"},
    ),
    "04_ab_test": ({"customers": 4000, "epochs": 1, "draws": 50}, {"ab-lifts"}),
    "05_hillstrom": ({"epochs": 1, "draws": 50}, set()),  # its figures need a copy of the data
    "06_your_data": (
        {"example_customers": 1500, "epochs": 1}, {"methods", "exposures", "calibration", "shadow-prices"},
    ),
    "07_speed": ({"sizes": "500x4, 1000x4", "bench_methods": "optimal, manual", "repeats": 1}, {"benchmark"}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs(name: str, tmp_path: Path):
    parameters, figures = SMALL[name]
    given = [f"-p{key}={value}" for key, value in parameters.items()]
    command = [sys.executable, "-m", "ptofa_gpu.cli", "report", "--only", name, *given, "-o", str(tmp_path / "r")]
    job = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=400, check=False)
    assert job.returncode == 0, job.stderr
    said = [line for line in job.stderr.splitlines() if not line.startswith(("1/1 ", "the report is whole"))]
    assert said == [], "nothing but progress"
    out = tmp_path / "r" / name
    for figure in figures:
        assert (out / f"{figure}.png").stat().st_size > 5000
        assert (out / f"{figure}.svg").is_file()
        assert len((out / f"{figure}.alt.txt").read_text()) > 30
    page = (tmp_path / "r" / f"{name}.html").read_text()
    assert remote_references(page) == []
    assert "output_error" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    if figures:
        assert json.loads((out / "summary.json").read_text())["decision"]
        assert list(out.glob("*.csv"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("splits", "words"),
    [
        (("train", "train", "validation"), "On validation rows, predicted revenue is"),
        (("train",), "Predictions were not checked. All rows of the log are training rows"),
    ],
    ids=["no test rows", "training rows only"],
)
def test_training_rows_of_ones_own_log_are_not_called_test_rows(splits, words, tmp_path: Path):
    files = example_files(tmp_path, customers=1200)
    log = pd.read_parquet(files[0])
    log["split"] = np.resize(splits, len(log))
    log.to_parquet(files[0])
    given = {f"{name}_file": str(path) for name, path in zip(("log", "customers", "funds"), files)}
    run_report(["06_your_data"], parameters={**given, "epochs": 1}, output=tmp_path / "r")
    out = tmp_path / "r" / "06_your_data"
    checks = [check["text"] for check in json.loads((out / "summary.json").read_text())["checks"]]
    assert [c for c in checks if c.startswith(words)]
    assert not [c for c in checks if "test rows" in c.partition(". ")[0]]
    assert (out / "calibration.png").is_file() == ("validation" in splits)
    assert (out / "plan.parquet").is_file(), "what cannot be checked can be planned with"


@pytest.mark.slow
def test_ones_own_tables_come_in_the_forms_that_the_commands_read(tmp_path: Path):
    files = example_files(tmp_path, customers=1200)
    log, customers, funds = (pd.read_parquet(file) for file in files)
    customers["customer"], log["customer"] = ("000" + table["customer"].astype(str) for table in (customers, log))
    customers["since"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(customers["balance"] % 900, unit="D").dt.floor(
        "D"
    )
    customers["note"] = [f"no {i}" for i in range(len(customers))]
    (tmp_path / "log").mkdir()
    log.to_parquet(tmp_path / "log" / "part-0.parquet")
    customers.to_csv(tmp_path / "customers.csv", sep="\t", decimal=",")
    funds.to_csv(tmp_path / "funds.csv", sep="\t", decimal=",")
    given = {
        "log_file": str(tmp_path / "log"),
        "customers_file": str(tmp_path / "customers.csv"),
        "funds_file": str(tmp_path / "funds.csv"),
        **{"separator": "tab", "decimal": ",", "split": "day", "epochs": 1},
        **{"exclude": "note, region", "categorical": "holdings"},
    }
    run_report(["06_your_data"], parameters=given, output=tmp_path / "r")
    plan = pd.read_parquet(tmp_path / "r" / "06_your_data" / "plan.parquet")
    assert plan["customer"].tolist() == customers["customer"].tolist()
    from ptofa_gpu.prediction.model import RevenueModel

    kept = next((tmp_path / "r" / "06_your_data" / "model").rglob("*.ckpt"))
    kinds = {f.name: f.kind for f in RevenueModel.load(kept).schema.customer_features}
    assert kinds["holdings"] == "categorical"
    assert {"since (age)", "since (weekday)", "since (month)"} <= set(kinds)
    assert not {"note", "region", "", "Unnamed: 0"} & set(kinds)


def campaign_like_hillstroms(path: Path, n: int = 3000) -> None:
    """A file of the campaign's format, in which men's goods sell to those who bought them before."""
    rng = np.random.default_rng(0)
    mens, arm = rng.integers(0, 2, n), rng.integers(0, 3, n)
    bought = rng.random(n) < np.where((arm == 0) & (mens == 1), 0.3, np.where(arm == 2, 0.03, 0.1))
    history = rng.lognormal(5, 0.8, n).round(2)
    columns = {
        "recency": rng.integers(1, 13, n),
        "history_segment": np.where(history < 100, "1) $0 - $100", "2) $100 - $200"),
        "history": history,
        "mens": mens,
        "womens": 1 - mens,
        "zip_code": rng.choice(["Rural", "Surburban", "Urban"], n),
        "newbie": rng.integers(0, 2, n),
        "channel": rng.choice(["Phone", "Web", "Multichannel"], n),
        "segment": np.array(["Mens E-Mail", "Womens E-Mail", "No E-Mail"])[arm],
        "visit": bought.astype(int),
        "conversion": bought.astype(int),
        "spend": np.where(bought, rng.lognormal(4, 0.5, n).round(2), 0),
    }
    pd.DataFrame(columns).to_csv(path, index=False)


def test_the_campaign_notebook_runs_on_a_file_of_its_format(tmp_path: Path, monkeypatch, capsys):
    """In this process, so that the file that was published can be replaced by one of ours."""
    file = tmp_path / "hillstrom.csv"
    campaign_like_hillstroms(file)
    ours = replace(HILLSTROM, sha256=(hashlib.sha256(file.read_bytes()).hexdigest(),))
    monkeypatch.setattr(sys.modules["ptofa_gpu.datasets.hillstrom"], "FILE", ours)  # the package has the function
    monkeypatch.setenv("PTOFA_DATA", str(tmp_path))
    nb = nbformat.read(asset_dir("notebooks") / "05_hillstrom.ipynb", as_version=4)
    shown: list[object] = []
    space = {"display": shown.append}
    for cell in (c for c in nb.cells if c.cell_type == "code"):
        exec(cell.source, space)
        if "parameters" in cell.metadata.get("tags", []):
            space |= {"epochs": 2, "draws": 200, "output_dir": str(tmp_path / "out")}
    out, data, values = tmp_path / "out", space["data"], space["values"]
    assert data.n_customers == 3000
    tests = int((data.arrays.split == 2).sum())
    assert set(values) == {"ips", "snips", "dr"}
    for kind, value in values.items():
        frame = pd.read_csv(out / f"values-{kind}.csv")
        assert frame["name"].tolist() == [value.planned, value.free, value.best_arm, value.random]
        assert set(frame["rows"]) == {tests}
        # arms at random earn what the customers earned
        random = frame.set_index("name").loc[value.random]
        assert random["low"] < data.arrays.amount[data.arrays.split == 2].mean() < random["high"]
    assert len(pd.read_parquet(out / "plan.parquet")) == tests
    assert [getattr(x, "name", "") for x in shown] == ["estimators", "", "policy-values"]
    for chart in ("estimators", "policy-values"):
        assert (out / f"{chart}.png").stat().st_size > 5000
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.isupper()] == ["IPS", "SNIPS", "DR"]
    assert values["dr"].table.verdict(values["dr"].planned) in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["title"] == "On real, randomised data: the Hillstrom campaign"
    assert "USD" in summary["figures"][0]["value"]


def test_labels_are_split_outside_brackets():
    assert split_labels("esmm, ptofa(a=1, b=2) ,ziln") == ["esmm", "ptofa(a=1, b=2)", "ziln"]
    assert split_labels(" ") == []
