"""The notebooks as committed, and their way through the report at a small size."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from ptofa_gpu._files import asset_dir
from ptofa_gpu._text import split_labels
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
    assert "paper" in nb.metadata["ptofa"]["profiles"]
    assert resolve({path.stem: nb}, {}, "paper") != resolve({path.stem: nb}, {}, "quick")
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
    "06_your_data": ({"example_customers": 1500, "epochs": 1}, {"methods", "exposures", "calibration"}),
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


def test_labels_are_split_outside_brackets():
    assert split_labels("esmm, ptofa(a=1, b=2) ,ziln") == ["esmm", "ptofa(a=1, b=2)", "ziln"]
    assert split_labels(" ") == []
