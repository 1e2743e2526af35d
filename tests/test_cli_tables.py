"""The commands on tables of many forms: ids survive from the log to the plan, features are chosen, advice works."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptofa_gpu import read_table
from ptofa_gpu.cli import _main
from tests.test_cli import run

N = 600
#: Ids of twenty digits, ids with zeros in front, and words that mean "missing" elsewhere.
IDS = ["NA", "null", "-", "1e5", *(f"{i:06d}" for i in range(N // 2))]
IDS += [str(12345678901234567890 + 4096 * i) for i in range(N - len(IDS))]
FUNDS = ["001", "1", "nan", "a, b"]
QUICK = ("--epochs", "1", "--method", "ziln", "--device", "cpu", "--json")
pytestmark = pytest.mark.filterwarnings("ignore::ptofa_gpu.errors.PtofaWarning")  # a tiny log


def frames() -> dict[str, pd.DataFrame]:
    g = np.random.default_rng(0)
    rows = 2 * N
    customers = pd.DataFrame(
        {
            "customer": IDS,
            "tolerance": g.integers(1, 4, N),
            "balance": g.lognormal(size=N).round(2),
            "branch": g.integers(1, 9, N),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(g.integers(0, 900, N), unit="D"),
            "email": [f"c{i}@example.org" for i in range(N)],
        }
    )
    customers.loc[::7, "balance"] = np.nan
    log = pd.DataFrame({"customer": g.choice(IDS, rows), "fund": g.choice(FUNDS, rows), "day": g.integers(0, 30, rows)})
    log["converted"] = (g.random(rows) < 0.3).astype(int)
    log["amount"] = np.where(log["converted"], g.lognormal(4, 1, rows).round(2), 0.0)
    funds = pd.DataFrame({"fund": FUNDS, "risk": [1, 1, 2, 3], "quota": N // 4, "name": ["NA", "One", "Two", "Three"]})
    return {"log": log, "customers": customers, "funds": funds}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_csv(frame: pd.DataFrame, name: str, **how) -> str:
    with pa.output_stream(name, compression={".gz": "gzip", ".zst": "zstd"}.get(Path(name).suffix)) as out:
        out.write(frame.to_csv(**{"index": False, **how}).encode())
    return name


@pytest.mark.parametrize("revenue", ["revenue.csv", "revenue.parquet", "revenue.npy"])
def test_ids_survive_from_a_log_in_csv_to_the_plan(folder: Path, capsys, revenue: str) -> None:
    made = frames()
    german = {"sep": ";", "decimal": ","}
    log = write_csv(made["log"], "log.csv.gz", **german)
    customers = write_csv(made["customers"], "customers.csv.zst", index=True, **german)
    made["funds"].sample(frac=1, random_state=0).to_parquet("funds.parquet")
    tables = (customers, "funds.parquet")
    chosen = ("--exclude", "email", "--categorical", "branch", "--split", "day", "--decimal", ",")
    assert run("train", log, *tables, *chosen, *QUICK) == 0
    capsys.readouterr()
    assert run("predict", "model.ckpt", *tables, "--decimal", ",", "-o", revenue) == 0
    assert run("allocate", revenue, *tables, "--decimal", ",", "--device", "cpu", "-o", "plan.csv") == 0
    plan = read_table("plan.csv")
    assert plan["customer"].to_pylist() == IDS
    assert set(plan["fund"].to_pylist()) <= set(FUNDS)
    assert plan["fund"].value_counts().field("counts").to_pylist() == [N // 4] * 4


def features(checkpoint: str) -> dict[str, str]:
    from ptofa_gpu.prediction.model import RevenueModel

    schema = RevenueModel.load(checkpoint).schema
    return {f.name: f.kind for f in (*schema.customer_features, *schema.fund_features)}


def test_features_are_chosen_on_the_command_line_and_in_a_file(folder: Path, capsys) -> None:
    made = frames()
    made["customers"].insert(1, "a, b", 1.5)
    made["customers"].insert(2, "k", 1)
    tables = [write_csv(frame, f"{name}.csv") for name, frame in made.items()]
    assert run("train", *tables, *QUICK, "--exclude", "email", "-o", "all.ckpt") == 0
    dates = {"since (age)": "numeric", "since (weekday)": "categorical", "since (month)": "categorical"}
    every = {"a, b": "numeric", "tolerance": "numeric", "balance": "numeric", "branch": "numeric", **dates}
    assert features("all.ckpt") == {**every, "fund": "categorical", "risk": "numeric"}
    some = ["--customer-features", "tolerance, branch", "--customer-features", "a, b", "--fund-features", "fund"]
    assert run("train", *tables, *QUICK, *some, "--categorical", "branch", "-o", "some.ckpt") == 0
    expected = {"tolerance": "numeric", "branch": "categorical", "a, b": "numeric", "fund": "categorical"}
    assert features("some.ckpt") == expected
    Path("train.yaml").write_text(
        json.dumps(
            {
                "log": "log.csv", "customers": "customers.csv", "funds": "funds.csv", "separator": ",", "decimal": ".",
                "customer-features": ["tolerance", "branch", "a, b"], "fund_features": "fund",
                "categorical": ["branch"], "split": "day", "id-type": "text",
            }
        )
    )  # fmt: skip
    assert run("train", "--config", "train.yaml", *QUICK, "-o", "file.ckpt") == 0
    assert features("file.ckpt") == expected


def test_whole_numbers_as_ids(folder: Path, capsys) -> None:
    pq.write_table(pa.table({"customer": [1, 2], "tolerance": [1, 1]}), "customers.parquet")
    write_csv(pd.DataFrame({"fund": ["07", "8"], "risk": 1, "quota": 1}), "funds.csv")
    write_csv(pd.DataFrame({"customer": ["01", "2"], "7": [1, 2], "8": [2, 1]}), "revenue.csv")
    command = ("allocate", "revenue.csv", "customers.parquet", "funds.csv", "--device", "cpu")
    assert run(*command, "--id-type", "integer") == 0
    assert pq.read_table("plan.parquet").to_pydict() == {
        "customer": [1, 2], "slot": [1, 1], "fund": [8, 7], "revenue": [2.0, 2.0],
    }  # fmt: skip
    write_csv(pd.DataFrame({"customer": ["01", "b2"], "7": [1, 2], "8": [2, 1]}), "revenue.csv")
    assert run(*command, "--id-type", "integer") == 2
    assert (
        "column 'customer' was asked for as whole numbers and holds 'b2' in row 1; read it as text (--id-type text"
        in (capsys.readouterr().err)
    )


@pytest.mark.parametrize("separator", ["tab", "\\t", "\t"])
def test_a_tab_can_be_typed(folder: Path, separator: str) -> None:
    write_csv(pd.DataFrame({"customer": ["a", "b"]}), "customers.txt")
    write_csv(pd.DataFrame({"fund": ["x"], "quota": 2, "name": "n, m"}), "funds.txt", sep="\t")
    write_csv(pd.DataFrame({"customer": ["a", "b"], "x": [1.5, 2.5]}), "revenue.txt", sep="\t")
    tables = ("revenue.txt", "customers.txt", "funds.txt")
    assert run("allocate", *tables, "--separator", separator, "--device", "cpu") == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--exclude email"),
        (("--exclude", "email, branche"), "--exclude branche names no column of customers or funds; did you mean 'br"),
        (("--exclude", "email", "--categorical", "age"), "--categorical age names no feature"),
        (("--customer-features", "tolerance,customer"), "column 'customer' cannot be a feature: it says the"),
        (("--fund-features", "quota", "--exclude", "email"), "column 'quota' cannot be a feature"),
        (("--separator", "::"), "--separator :: is none"),
        (("--decimal", "x"), "--decimal x is none"),
        (("--split", "time"), "split"),
        (("--id-type", "integer"), "'customer' was asked for as whole numbers"),
    ],
)  # fmt: skip
def test_advice_is_in_the_words_of_the_command_line(folder: Path, capsys, options: tuple[str, ...], said: str) -> None:
    made = frames()
    made["customers"]["email"] = made["customers"]["email"].map(lambda e: [e])
    for name, frame in made.items():
        if name == "customers":
            frame.to_parquet("customers.parquet")
        else:
            write_csv(frame, f"{name}.csv")
    assert run("train", "log.csv", "customers.parquet", "funds.csv", *QUICK, *options) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "exclude=" not in err
    assert "_features" not in err
    assert not Path("model.ckpt").exists()


def test_advice_for_names_with_blanks_can_be_pasted() -> None:
    said = _main._as_options(
        "x; without them: exclude=['opening date', 'd1']; read them with decimal=',', say split='day'"
    )
    assert said == "x; without them: --exclude 'opening date,d1'; read them with --decimal ,, say --split day"


@pytest.mark.parametrize("names", [["customer", "b"], ["a", "a"], ["a", None], ["", "b"], ["Unnamed: 0", "b"]])
def test_funds_that_cannot_name_columns_are_refused(folder: Path, capsys, names: list) -> None:
    made = frames()
    tables = [write_csv(frame, f"{name}.csv") for name, frame in made.items()]
    assert run("train", *tables, *QUICK, "--exclude", "email") == 0
    pq.write_table(pa.table({"fund": names, "risk": [1, 2], "quota": [1, 1]}), "odd.parquet")
    assert run("predict", "model.ckpt", "customers.csv", "odd.parquet") == 2
    assert "odd.parquet: " in capsys.readouterr().err
    assert not Path("revenue.parquet").exists()
