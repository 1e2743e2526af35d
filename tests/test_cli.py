"""The command line: what it makes, what it says, and with which code it ends."""

from __future__ import annotations

import json
import re
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
from ptofa_gpu.cli import _main

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
    csv.write_csv(FUNDS.append_column("name", [["The bond fund", "The stock fund"]]), "funds.csv")
    assert (
        run("allocate", "E.npy", "customers.parquet", "funds.csv", "--device", "cpu", "--json", "-o", "p.parquet") == 0
    )
    facts = json.loads(capsys.readouterr().out)
    assert facts["objective"] == 18
    assert facts["exposures"] == facts["quota"] == [2, 2]
    assert facts["plan"] == "p.parquet"
    assert facts["status"] == "optimal"
    assert facts["bound"] == pytest.approx(18)
    assert facts["funds"] == ["bond", "stock"] == sorted(set(pq.read_table("p.parquet")["fund"].to_pylist()))
    assert facts["names"] == ["The bond fund", "The stock fund"]


def test_the_phases_add_up_to_the_total(files: Path, capsys) -> None:
    arguments = ("allocate", "wide.parquet", "customers.parquet", "funds.csv", "--device", "cpu")
    assert run(*arguments, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    phases = facts["phases"]
    assert list(phases) == ["load", "read", "check", "solve", "verify", "write", "total"]
    total = phases.pop("total")
    assert min(phases.values()) >= 0
    assert sum(phases.values()) == pytest.approx(total, abs=1e-3)  # each is rounded
    assert phases["solve"] >= facts["seconds"] - 1e-3
    assert run(*arguments) == 0
    assert re.search(
        r"load .* read .* check .* solve .* verify .* write [\d.]+ s; [\d.]+ s in all", capsys.readouterr().out
    )


def test_numbers_pass_through_without_pandas(files: Path) -> None:
    # importing it takes longer than reading a million rows
    pq.write_table(CUSTOMERS.set_column(0, "customer", pa.array([4, 3, 2, 1])), "numbered.parquet")
    pq.write_table(pa.table({"fund": [7, 9], "risk": [1, 3], "quota": [2, 2]}), "funds.parquet")
    pq.write_table(
        pa.table({"customer": [1, 2, 3, 4], "7": E[::-1, 0].copy(), "9": E[::-1, 1].copy()}), "by-id.parquet"
    )
    program = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print('pandas' in sys.modules, gc.get_freeze_count() > 0))\n"
        "from ptofa_gpu.cli import main\n"
        "main(['allocate', 'by-id.parquet', 'numbered.parquet', 'funds.parquet', '--device', 'cpu'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # nor are the objects of a finished command looked through for garbage
    assert done.stdout.splitlines()[-1] == "False True"
    plan = pq.read_table("plan.parquet").to_pydict()
    assert plan == {"customer": [4, 3, 2, 1], "slot": [1] * 4, "fund": [7, 7, 9, 9], "revenue": [4.0, 3.0, 5.0, 6.0]}


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
    assert "or pass --on-infeasible relax." in said.err
    assert "allocate(" not in said.err
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
        (
            "funds.csv",
            lambda p: csv.write_csv(_without("quota"), p),
            "column 'quota' is missing; there are 'fund', 'risk'",
        ),
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


def test_missing_pairs_are_mended_by_an_option(files: Path, capsys) -> None:
    csv.write_csv(LONG.slice(1), "long.csv")
    assert run("allocate", "long.csv", "customers.parquet", "funds.csv") == 2
    assert "say --missing exclude if" in capsys.readouterr().err


def test_the_ending_of_the_output_says_how_the_plan_is_written(files: Path, capsys) -> None:
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", "-o", "out/plan.csv") == 0
    plan = csv.read_csv("out/plan.csv").to_pydict()
    assert plan["customer"] == ["ann", "bob", "cyd", "dan"]
    assert plan["fund"] == ["bond", "bond", "stock", "stock"]
    assert sum(plan["revenue"]) == 18


@pytest.mark.parametrize("name", ["plan.xlsx", "plan"])
def test_an_unknown_ending_is_refused_before_any_work(files: Path, capsys, name: str) -> None:
    assert run("allocate", "no such file", "nor this", "nor this", "-o", name) == 2
    assert ".parquet or .csv" in capsys.readouterr().err


def test_highs_prints_nothing_into_the_json(files: Path) -> None:
    arguments = ["allocate", "E.npy", "customers.parquet", "funds.csv", "--method", "reference", "--solver", "HIGHS"]
    done = subprocess.run(
        [sys.executable, "-m", "ptofa_gpu.cli", *arguments, "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["objective"] == 18
    assert "HiGHS" in done.stderr  # it does greet: else there is nothing to keep away


def test_a_time_limit_without_a_plan_says_so(files: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    np.save("big.npy", rng.random((20_000, 4)))
    pq.write_table(pa.table({"customer": np.arange(20_000)}), "many.parquet")
    csv.write_csv(pa.table({"fund": [1, 2, 3, 4], "quota": [5000] * 4}), "four.csv")
    arguments = ["allocate", "big.npy", "many.parquet", "four.csv", "--method", "reference", "--time-limit", "0.001"]
    assert run(*arguments) == 1
    assert "the time limit of 0.001 s passed without a plan" in capsys.readouterr().err
    assert not Path("plan.parquet").exists()


def test_topk_is_written_with_a_warning_about_quotas(files: Path, capsys) -> None:
    pq.write_table(CUSTOMERS.set_column(1, "tolerance", [[3, 3, 3, 3]]), "customers.parquet")
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", "--method", "topk", "--device", "cpu") == 0
    err = capsys.readouterr().err
    assert "ptofa: warning: method topk" in err
    assert "exposures missing: 2, too many: 2, empty slots: 0" in err
    assert pq.read_table("plan.parquet")["fund"].to_pylist() == ["stock"] * 4


def test_manual_that_gets_stuck_is_written_with_a_warning(files: Path, capsys) -> None:
    csv.write_csv(FUNDS.set_column(2, "quota", [[1, 3]]), "funds.csv")
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", "--method", "manual", "--device", "cpu") == 0
    assert "exposures missing: 1" in capsys.readouterr().err


def test_a_plan_without_quotas_is_still_verified(files: Path, monkeypatch) -> None:
    from ptofa_gpu.allocation import baselines

    monkeypatch.setattr(baselines, "topk", lambda problem, revenue: np.ones((4, 1), np.int16))  # above ann's tolerance
    assert run("allocate", "E.npy", "customers.parquet", "funds.csv", "--method", "topk", "--device", "cpu") == 1
    assert not Path("plan.parquet").exists()


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
        for command in ("train", "predict", "allocate", "doctor", "report", "bench"):
            assert command in out.stdout
    assert min(seconds) < 1.0


def test_version(capsys) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("ptofa-gpu 0.")


def test_our_warnings_are_notes(capsys) -> None:
    from ptofa_gpu.errors import PtofaWarning

    _main.show_warning(PtofaWarning("the GPU lies idle"), PtofaWarning, "file.py", 1)
    assert capsys.readouterr().err == "ptofa: note: the GPU lies idle\n"


def test_a_npy_file_is_met_in_blocks_within_the_memory_allowed(files: Path, capsys) -> None:
    tables = ["allocate", "E.npy", "customers.parquet", "funds.csv", "--device", "cpu", "--method", "heuristic"]
    assert run(*tables, "--output", "whole.csv") == 0
    assert run(*tables, "--output", "blocks.csv", "--block-rows", "1", "--max-memory", "1 kB") == 0
    assert Path("whole.csv").read_text() == Path("blocks.csv").read_text()
    assert run(*tables, "--block-rows", "4", "--max-memory", "210") == 1
    assert "210 bytes are allowed by --max-memory. Pass --block-rows 2 or fewer." in capsys.readouterr().err


@pytest.mark.parametrize("command", ["doctor", "train", "predict", "allocate", "report"])
def test_every_command_has_help_with_examples_and_the_same_options(command: str, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(command, "--help") == 0
    said = capsys.readouterr().out
    assert "Example" in said
    assert f"ptofa {command}" in said
    assert "--json" in said
    if command != "doctor":
        assert "--config" in said
        assert "--output" in said
    if command in ("train", "predict", "allocate"):
        assert "--device" in said


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Path:
    from ptofa_gpu.reporting.example import example_files

    folder = tmp_path_factory.mktemp("campaign")
    example_files(folder, customers=3000)
    return folder


@pytest.mark.filterwarnings("ignore::ptofa_gpu.errors.PtofaWarning")  # a tiny log
def test_from_a_log_to_a_plan_without_python(campaign: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(campaign)
    tables = ["customers.parquet", "funds.parquet"]
    quick = ["--epochs", "1", "--method", "ziln", "--device", "cpu"]
    assert run("train", "log.parquet", *tables, *quick, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["model"], facts["method"], facts["epochs"], facts["best_epoch"]) == ("model.ckpt", "ziln", 1, 1)
    assert run("predict", "model.ckpt", *tables, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["customers"], facts["funds"], facts["device"]) == (3000, 8, "cpu")
    assert run("predict", "model.ckpt", *tables, "-o", "E.npy") == 0
    table = pq.read_table("revenue.parquet")
    assert table.column_names[1:] == pq.read_table("funds.parquet")["fund"].to_pylist()
    matrix = np.column_stack([table[name].to_numpy() for name in table.column_names[1:]])
    assert np.array_equal(matrix, np.load("E.npy"))
    assert (matrix >= 0).all()
    capsys.readouterr()
    found = []
    for revenue in ("revenue.parquet", "E.npy"):
        assert run("allocate", revenue, *tables, "--device", "cpu", "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["objective"])
    assert found[0] == found[1] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "log.parquet", "customers.parquet", "funds.parquet", "-o", "m.pkl"], "must end in .ckpt"),
        (["train", "customers.parquet", "customers.parquet", "funds.parquet"], "'fund'"),
        (["train", "log.parquet", "customers.parquet", "funds.parquet", "--method", "magic"], "magic"),
        (["train", "log.parquet", "customers.parquet", "funds.parquet", "--lr", "-1"], "lr"),
        (["predict", "none.ckpt", "customers.parquet", "funds.parquet"], "no such file"),
        (["predict", "log.parquet", "customers.parquet", "funds.parquet"], "log.parquet"),
        (["predict", "log.parquet", "funds.parquet", "funds.parquet"], "lacks the column customer"),
        (["predict", "log.parquet", "customers.parquet", "funds.parquet", "-o", "E.xlsx"], "may end in .parquet"),
    ],
)
def test_bad_input_of_train_and_predict_ends_with_two(campaign: Path, capsys, monkeypatch, arguments, said) -> None:
    monkeypatch.chdir(campaign)
    before = set(campaign.iterdir())
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert set(campaign.iterdir()) == before


def test_a_config_file_stands_for_arguments_and_options(files: Path, capsys) -> None:
    Path("plan.yaml").write_text(
        "revenue: E.npy\ncustomers: customers.parquet\nfunds: funds.csv\nmethod: heuristic\nrepair: true\n"
        "device: cpu\noutput: from-config.parquet\njson: true\n"
    )
    assert run("allocate", "--config", "plan.yaml") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["method"], facts["plan"], facts["objective"]) == ("heuristic", "from-config.parquet", 18)
    assert run("allocate", "--config", "plan.yaml", "--method", "topk") == 2  # topk has no option repair
    assert "no option repair" in capsys.readouterr().err
    Path("plan.yaml").write_text("methd: heuristic\n")
    assert run("allocate", "--config", "plan.yaml") == 2
    err = capsys.readouterr().err
    assert "did you mean 'method'?" in err
    assert ", max-memory, method, " in err
    assert run("allocate", "--config", "no.yaml") == 2
    assert "cannot be read as YAML" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::ptofa_gpu.errors.PtofaWarning")  # a tiny log
def test_train_says_what_its_adjustment_rests_on(campaign: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(campaign)
    quick = ("train", "log.parquet", "customers.parquet", "funds.parquet", "--epochs", "1", "--device", "cpu")
    assert run(*quick, "--json", "-o", "adjusted.ckpt") == 0
    exposure = json.loads(capsys.readouterr().out)["exposure"]
    assert exposure["debias"] == "adjust"
    assert exposure["effective_rows"] == round(exposure["effective_share"] * exposure["rows"]) > 0
    assert len(exposure["overlap"]) == 8
    assert run(*quick, "-o", "adjusted.ckpt") == 0
    said = capsys.readouterr().out
    assert f"effective sample: {exposure['effective_rows']:,} of {exposure['rows']:,} rows" in said
    least = min(exposure["overlap"].items(), key=lambda pair: pair[1])
    assert f"overlap by fund, least first: {least[0]} {least[1]:.0%}" in said
    assert run(*quick, "--debias", "none", "-o", "plain.ckpt", "--json") == 0
    assert json.loads(capsys.readouterr().out)["exposure"] is None


@pytest.mark.parametrize("arguments", [(), ("bench",)])
def test_the_help_of_groups_has_examples(arguments, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(*arguments, "--help") == 0
    said = capsys.readouterr().out
    assert "Examples:" in said
    assert f"ptofa {'bench allocation' if arguments else 'train log.parquet'}" in said


def test_paragraphs_of_help_are_broken_by_the_terminal_alone(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run("predict", "--help") == 0
    made = "ptofa predict model.ckpt customers.parquet funds.csv -o revenue.npy"
    assert f"{made} && ptofa allocate revenue.npy customers.parquet funds.csv" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    script = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'ptofa'; from ptofa_gpu.cli import main; main()"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "_PTOFA_COMPLETE": f"source_{shell}", "HOME": "/nowhere"},
    )
    assert "_PTOFA_COMPLETE" in script.stdout
