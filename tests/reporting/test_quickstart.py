"""The quickstart notebook: as committed, and run once at a small size through the command line."""

import html
import json
import re
import subprocess
import sys

import nbformat
import pandas as pd
import pytest

from ptofa_gpu._files import asset_dir
from ptofa_gpu.reporting.html import remote_references
from ptofa_gpu.reporting.parameters import read_parameters, resolve

PATH = asset_dir("notebooks") / "quickstart.ipynb"


def test_as_committed():
    nb = nbformat.read(PATH, as_version=4)
    nbformat.validate(nb)
    assert (nb.nbformat, nb.nbformat_minor) == (4, 5)
    assert nb.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert len({c.id for c in nb.cells}) == len(nb.cells)
    for cell in nb.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert set(read_parameters(nb, "quickstart")) >= {
        "world",
        "customers",
        "k",
        "epochs",
        "hillstrom",
        "seed",
        "output_dir",
    }
    assert resolve({"q": nb}, {}, "paper")["q"]["customers"] == 1_000_000


def test_no_word_is_true_of_the_synthetic_world_only():
    text = "\n".join(c.source for c in nbformat.read(PATH, as_version=4).cells[3:])
    for words in ("a week later", "Popular funds", "because the world is synthetic", "gets $K$ funds", "datasets.base"):
        assert words not in text


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    small = ["-p", "customers=2000", "-p", "epochs=1", "-p", "hillstrom=no"]
    command = [sys.executable, "-m", "ptofa_gpu.cli", "report", "--only", "quickstart", *small, "-o", str(folder / "r")]
    job = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300, check=False)
    assert job.returncode == 0, job.stderr
    return folder / "r", job


def test_the_last_line_is_the_report(report):
    folder, job = report
    assert job.stdout.strip().splitlines()[-1] == str(folder / "index.html")
    assert "[" in job.stderr, "progress goes to stderr"
    assert "ERROR" not in job.stderr


def test_the_report_holds_what_it_promises(report):
    folder, _ = report
    out = folder / "quickstart"
    plan = pd.read_parquet(out / "plan.parquet")
    assert list(plan.columns) == ["customer", "slot", "fund", "revenue"]
    assert len(plan) == 2000
    methods = pd.read_csv(out / "methods.csv").set_index("method")
    assert methods.loc["optimal", "share"] == pytest.approx(1, abs=1e-9)
    assert methods.loc["optimal", "objective"] == pytest.approx(methods.loc["reference", "objective"], rel=1e-9)
    assert methods.loc["optimal", "objective"] >= methods.loc["heuristic", "objective"] * (1 - 1e-9)
    assert plan["revenue"].sum() == pytest.approx(methods.loc["optimal", "objective"], rel=1e-5)
    for chart in ("amounts", "exposure-bias", "training", "calibration", "methods", "exposures", "shadow-prices"):
        assert (out / f"{chart}.png").stat().st_size > 5000
        assert (out / f"{chart}.svg").read_text().startswith("<?xml")
    epochs = pd.read_csv(out / "training.csv")
    assert list(epochs["epoch"]) == [1]
    assert list(epochs["kept"]) == [True]
    assert len(pd.read_csv(out / "funds.csv")) == 8
    assert json.loads((folder / "run.json").read_text())["notebooks"][0]["parameters"]["customers"] == 2000


def test_it_opens_without_a_network_and_every_link_resolves(report):
    folder, _ = report
    for page in ("index.html", "quickstart.html"):
        text = (folder / page).read_text()
        assert remote_references(text) == []
        assert "<script" not in text
        assert "default-src 'none'" in html.unescape(text)
        for link in re.findall(r'href="([^"#]+)"', text):
            assert (folder / link).exists(), link
        images = re.findall(r"<img[^>]*>", text)
        assert images
        for image in images:
            assert len(re.search(r'alt="([^"]*)"', image)[1]) > 30


def test_the_front_says_what_was_decided(report):
    text = (report[0] / "index.html").read_text()
    for words in (
        "2,000 exposures of 8 funds",
        "the synthetic world LCT-A",
        "Against manual",
        "of 10 tenths are right",
        "was not calibrated",
        "Certificate",
        "Every quota is met exactly",
        "synthetic",
    ):
        assert words in text
