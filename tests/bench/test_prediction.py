"""The prediction benchmark: data by name, one row a run, and no row twice."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ptofa_gpu.bench.prediction import COLUMNS, DATASETS, load, run_prediction
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation.model_runs import ModelRun, Training
from ptofa_gpu.evaluation.model_table import METRICS
from tests.evaluation.runs import run


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for training: made-up metrics, and a list of what was asked for."""
    asked: list[str] = []

    def train(data: Any, judge: Any, method: str, options: Any, setting: Any, seed: int, training: Any) -> ModelRun:
        asked.append(f"{data.name} {method} {seed}")
        made = run(method, seed, dict(setting), auc=0.6 + 0.1 * len(method) + 0.01 * seed, mse=2.0, mae_zero=1.0)
        return ModelRun(**{**vars(made), "data": data.name})

    monkeypatch.setattr("ptofa_gpu.evaluation.table1.train", train)
    return asked


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as f:
        return list(csv.DictReader(f))


def test_each_run_is_a_row_and_none_is_written_twice(tmp_path: Path, trained: list[str]) -> None:
    results = tmp_path / "prediction.csv"
    given: dict[str, Any] = {
        "datasets": ["lct-b", "lct-a"],
        "methods": ["ziln", "esmm"],
        "customers": 400,
        "directory": tmp_path / "runs",
        "results": results,
        "progress": None,
    }
    tables = run_prediction(seeds=2, **given)
    assert list(tables) == ["lct-b", "lct-a"]
    written = rows(results)
    assert len(written) == len(trained) == 2 * 2 * 3  # two settings and a second seed, each
    assert list(written[0]) == list(COLUMNS)
    first = written[0]
    assert (first["data"], first["customers"], first["funds"], first["currency"]) == ("lct-b", "400", "4", "CNY")
    assert (first["method"], first["lr"], first["dropout"], first["seed"]) == ("ziln", "0.002", "0.1", "0")
    assert (first["auc"], first["gini"], first["profile"]) == ("1", "", "quick")
    assert all(first[name] for name in ("date", "device", "torch", "lightning", "torchmetrics", "numpy", "train_rows"))
    # one more seed: only what is new is trained and written
    run_prediction(seeds=3, **given)
    assert len(rows(results)) == len(trained) == 2 * 2 * 4
    assert {r["seed"] for r in rows(results)[12:]} == {"2"}


def test_every_metric_has_a_column() -> None:
    assert set(METRICS) <= set(COLUMNS)
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_data_by_name() -> None:
    small = load("lct-b", "quick")(3)
    assert (small.n_customers, small.n_funds, small.name) == (8_000, 4, "lct-b")
    assert load("lct-a", "paper", customers=300)(0).n_customers == 300
    with pytest.raises(InputError, match=r"'mnist' is not known; there are lct-a, lct-b, hillstrom, cdnow"):
        load("mnist", "quick")
    assert set(DATASETS) == {"lct-a", "lct-b", "hillstrom", "cdnow"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"datasets": []}, "at least one"),
        ({"datasets": ["cdnow", "cdnow"]}, "each once"),
        ({"profile": "huge"}, "profile is 'huge'"),
    ],
)
def test_settings_out_of_range_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_prediction(**{"datasets": ["lct-b"], **given})


def test_the_command(tmp_path: Path, trained: list[str]) -> None:
    import json

    from ptofa_gpu.cli import app

    call = [
        *(
            "bench",
            "prediction",
            "--datasets",
            "lct-a",
            "--methods",
            "ziln",
            "ptofa(debias=none)",
            "--customers",
            "300",
        ),
        *("--state", str(tmp_path / "runs"), "-o", str(tmp_path / "p.csv"), "--seeds", "2"),
    ]
    shown = CliRunner().invoke(app, [*call, "--page", str(tmp_path / "models.html")])
    assert shown.exit_code == 0, shown.output
    assert "* ptofa(debias=none)" in shown.output
    page = (tmp_path / "models.html").read_text()
    assert "Against the paper" in page
    assert "data:image/png;base64," in page
    facts = json.loads(CliRunner().invoke(app, [*call, "--json"]).stdout)
    assert facts["tables"]["lct-a"][0]["metric"] == "auc"
    assert len(trained) == 6  # the second time everything was there
    refused = CliRunner().invoke(app, [*call, "--page", "models.pdf"])
    assert refused.exit_code == 2
    assert len(rows(tmp_path / "p.csv")) == 6


def test_learning_rates_and_dropouts_to_try(tmp_path: Path, trained: list[str]) -> None:
    from ptofa_gpu.cli import app

    results = tmp_path / "p.csv"
    call = ["bench", "prediction", "--datasets", "lct-b", "--methods", "ziln", "--customers", "300", "--seeds", "1"]
    call += ["--state", str(tmp_path / "runs"), "-o", str(results)]
    shown = CliRunner().invoke(app, [*call, "--lr", "0.001", "0.005", "--dropout", "0.2", "0.4", "0.6"])
    assert shown.exit_code == 0, shown.output
    tried = [(r["lr"], r["dropout"]) for r in rows(results)]
    assert tried == [(lr, d) for lr in ("0.001", "0.005") for d in ("0.2", "0.4", "0.6")]
    # of what is not said the profile's are tried
    CliRunner().invoke(app, [*call, "--lr", "0.03"])
    assert [(r["lr"], r["dropout"]) for r in rows(results)[6:]] == [("0.03", "0.1")]
    before = len(trained)
    for wrong, message in ((["--lr", "0.01", "0"], "lr is 0.0"), (["--dropout", "1.5"], "dropout is 1.5")):
        refused = CliRunner().invoke(app, [*call, *wrong])
        assert isinstance(refused.exception, InputError) or refused.exit_code == 2
        assert message in str(refused.exception) + refused.output
    assert len(trained) == before  # the good one of two is not trained first


def test_a_file_of_other_columns_is_refused_before_anything_is_trained(tmp_path: Path, trained: list[str]) -> None:
    (tmp_path / "p.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="other columns"):
        run_prediction(["lct-b"], ["ziln"], 1, customers=300, results=tmp_path / "p.csv", progress=None)
    assert trained == []


def test_results_of_an_earlier_form_are_left_alone(
    tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptofa_gpu.cli import app

    monkeypatch.chdir(tmp_path)
    earlier = Path("benchmarks/results/prediction.csv")
    earlier.parent.mkdir(parents=True)
    earlier.write_text("a,b\n1,2\n")
    call = ["bench", "prediction", "--datasets", "lct-b", "--methods", "ziln", "--customers", "300", "--seeds", "1"]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 0, shown.output
    assert earlier.read_text() == "a,b\n1,2\n"
    assert len(rows(earlier.with_name("prediction-2.csv"))) == 2


def test_training_is_the_profiles_unless_given(tmp_path: Path, trained: list[str]) -> None:
    results = tmp_path / "p.csv"
    run_prediction(
        ["lct-b"], ["ziln"], 1, customers=300, training=Training(max_epochs=2), results=results, progress=None
    )
    assert {r["max_epochs"] for r in rows(results)} == {"2"}
