"""The command line: what it makes, what it says, and with which code it ends."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from ptofa_gpu import cli

CUSTOMERS = pa.table({"customer": ["ann", "bob", "cyd", "dan"], "tolerance": [1, 2, 3, 3]})
FUNDS = pa.table({"fund": ["bond", "stock"], "risk": [1, 3], "quota": [2, 2]})
E = np.array([[4, 9], [3, 9], [2, 5], [1, 6]], np.float32)
WIDE = pa.table({"customer": CUSTOMERS["customer"], "bond": E[:, 0], "stock": E[:, 1]})
LONG = pa.table(
    {
        "customer": np.repeat(CUSTOMERS["customer"].to_numpy(zero_copy_only=False), 2),
        "fund": np.tile(["bond", "stock"], 4),
        "revenue": E.ravel(),
    }
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pq.write_table(CUSTOMERS, "customers.parquet")
    csv.write_csv(FUNDS, "funds.csv")
    pq.write_table(WIDE, "wide.parquet")
    csv.write_csv(LONG, "long.csv")
    np.save("E.npy", E)
    return tmp_path


def run(*arguments: str) -> int:
    """The exit code of `ptofa ARGUMENTS`, run in this process."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("revenue", ["wide.parquet", "long.csv", "E.npy"])
def test_allocate_writes_the_verified_plan(files: Path, capsys, revenue: str) -> None:
    assert run("allocate", revenue, "customers.parquet", "funds.csv", "--device", "cpu") == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith("plan: plan.parquet")
    plan = pq.read_table("plan.parquet").to_pydict()
    # ann and bob may not see the stock fund, so there is one plan only
    assert dict(zip(plan["customer"], plan["fund"])) == {"ann": "bond", "bob": "bond", "cyd": "stock", "dan": "stock"}
    assert sum(plan["revenue"]) == 4 + 3 + 5 + 6


def test_allocate_json_is_json_and_nothing_else(files: Path, capsys) -> None:
    assert (
        run("allocate", "E.npy", "customers.parquet", "funds.csv", "--device", "cpu", "--json", "-o", "p.parquet") == 0
    )
    facts = json.loads(capsys.readouterr().out)
    assert facts["objective"] == 18
    assert facts["exposures"] == facts["quota"] == [2, 2]
    assert facts["plan"] == "p.parquet"
    assert facts["bound"] is None


def test_reference_proves_the_optimum(files: Path, capsys) -> None:
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", "--method", "reference", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["status"] == "optimal"
    assert facts["bound"] == pytest.approx(18)


def test_infeasible_ends_with_three_and_says_why(files: Path, capsys) -> None:
    csv.write_csv(FUNDS.set_column(2, "quota", [[1, 3]]), "funds.csv")
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", "--device", "cpu") == 3
    said = capsys.readouterr()
    assert "stock" in said.err
    assert said.out == ""
    assert not Path("plan.parquet").exists()


def test_infeasible_can_be_relaxed(files: Path, capsys) -> None:
    csv.write_csv(FUNDS.set_column(2, "quota", [[1, 3]]), "funds.csv")
    arguments = ["allocate", "E.npy", "customers.parquet", "funds.csv", "--device", "cpu", "--on-infeasible", "relax"]
    assert run(*arguments, "--json") == 0
    assert sum(json.loads(capsys.readouterr().out)["exposures"]) == 3


def _without(column: str) -> pa.Table:
    return FUNDS.drop_columns([column])


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("funds.csv", lambda p: csv.write_csv(_without("quota"), p), "lacks the column(s) quota"),
        ("funds.csv", lambda p: p.unlink(), "there is no such file"),
        ("customers.parquet", lambda p: p.write_bytes(b"PAR1 and then nothing"), "cannot be read as .parquet"),
        ("E.npy", lambda p: np.save(p, np.full((4, 2), np.nan)), "NaN"),
        ("E.npy", lambda p: np.save(p, E[:3]), "shape"),
        ("E.npy", lambda p: np.save(p, np.array([{}], dtype=object), allow_pickle=True), "cannot be read as .npy"),
        ("E.npy", lambda p: p.write_bytes(b""), "cannot be read as .npy"),
    ],
    ids=["missing column", "missing file", "not Parquet", "NaN", "shape", "pickled", "empty"],
)
def test_bad_files_end_with_two_and_one_message(files: Path, capsys, name: str, write, said: str) -> None:
    write(files / name)
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv") == 2
    err = capsys.readouterr().err
    assert err.startswith("ptofa: ")
    assert said in err
    assert "Traceback" not in err
    assert not Path("plan.parquet").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-k", "0"], "k"),
        (["-k", "3"], "k"),
        (["--method", "topk", "--tail", "zero"], "no option tail"),
        (["--solver", "ortools"], "no option solver"),
        (["--time-limit", "-1"], "time_limit"),
        (["--method", "magic"], "magic"),
        (["--device", "gpu"], "gpu"),
    ],
)
def test_bad_options_end_with_two(files: Path, capsys, more: list[str], said: str) -> None:
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", *more) == 2
    assert said in capsys.readouterr().err


def test_what_is_not_there_yet_says_so(files: Path, capsys) -> None:
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", "--method", "optimal") == 1
    assert "not part of this version" in capsys.readouterr().err


def test_cuda_without_a_gpu_ends_with_one_and_advice(files: Path, capsys, monkeypatch) -> None:
    from ptofa_gpu import device

    monkeypatch.setattr(device, "probe_gpu", lambda: device.Gpu(False, "there is none", "Get one."))
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", "--device", "cuda") == 1
    assert "Get one." in capsys.readouterr().err


def test_a_full_disk_is_one_message_and_leaves_no_plan(files: Path, capsys, monkeypatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", no_space)
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", "--device", "cpu") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert {p.name for p in files.iterdir()} == {"customers.parquet", "funds.csv", "wide.parquet", "long.csv", "E.npy"}


def test_help_is_quick() -> None:
    seconds = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        out = subprocess.run(
            [sys.executable, "-m", "ptofa_gpu.cli", "--help"], capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # processor time: the clock would measure the tests that run beside this one
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        for command in ("allocate", "doctor", "report"):
            assert command in out.stdout
    assert min(seconds) < 1.0


def test_version(capsys) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("ptofa-gpu 0.")


def test_our_warnings_are_notes(capsys) -> None:
    from ptofa_gpu.errors import PtofaWarning

    cli._show_warning(PtofaWarning("the GPU lies idle"), PtofaWarning, "file.py", 1)
    assert capsys.readouterr().err == "ptofa: note: the GPU lies idle\n"
