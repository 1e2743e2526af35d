"""What comes from outside is shown in a terminal, and does nothing there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from ptofa_gpu._text import visible
from ptofa_gpu.cli import main

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202efund\r\u2028"
#: what a terminal acts on; ends of line and tabs are the commands' own
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def run(capsys, *arguments) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    said = capsys.readouterr()
    return stop.value.code, said.out, said.err


def tables(folder: Path, fund: str, quota: int = 1) -> list[Path]:
    """Revenue, customers and funds of two customers, where one fund has the name given."""
    pd.DataFrame({"customer": [1, 1, 2, 2], "fund": [fund, "b"] * 2, "revenue": [1.0, 2, 3, 4]}).to_parquet(
        folder / "e.parquet"
    )
    pd.DataFrame({"customer": [1, 2], "tolerance": [1, 1]}).to_parquet(folder / "c.parquet")
    pd.DataFrame({"fund": [fund, "b"], "risk": [1, 1], "quota": [quota, 1]}).to_parquet(folder / "f.parquet")
    return [folder / f"{n}.parquet" for n in "ecf"]


def test_what_acts_is_escaped_and_the_rest_is_as_it_was():
    assert visible(EVIL) == r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202efund\x0d\u2028"
    assert visible("a\tb\nc") == "a\tb\nc"
    assert visible("a\tb\nc", line=True) == r"a\x09b\x0ac"
    assert visible("half \ud800") == r"half \ud800"
    for text in ("a\u00a0b", "صندوق الاستثمار", "rocket 🚀 👩\u200d🚀", "naïve – “x”"):
        assert visible(text) == text
    assert not ACTING.search(visible("".join(map(chr, range(0x3000)))))


@pytest.mark.parametrize("quota", [1, 5], ids=["done", "infeasible"])
@pytest.mark.parametrize("how", [[], ["--on-infeasible", "relax"], ["--method", "manual"], ["--json"]], ids=str)
def test_a_plan_of_hostile_names(tmp_path, capsys, quota, how):
    files = tables(tmp_path, EVIL + "\nplan: elsewhere", quota)
    code, out, err = run(capsys, "allocate", *files, "-o", tmp_path / "plan.csv", *how)
    assert not ACTING.search(out + err)
    assert "\nplan: elsewhere" not in out + err
    if "--json" in how and code in (0, None):
        assert json.loads(out)["names"][0] == EVIL + "\nplan: elsewhere", "a script reads it as it is"


@pytest.mark.parametrize("column", ["customer", "fund", "revenue"])
def test_errors_about_hostile_names(tmp_path, capsys, column):
    e, c, f = tables(tmp_path, "a")
    pd.read_parquet(e).rename(columns={column: EVIL}).to_parquet(e)
    code, out, err = run(capsys, "allocate", e, c, f, "-o", tmp_path / "plan.parquet")
    assert code == 2
    assert not ACTING.search(out + err)


@pytest.mark.parametrize("command", ["allocate", "predict", "train"])
def test_errors_about_hostile_paths(tmp_path, capsys, command):
    code, out, err = run(
        capsys,
        command,
        *[f"{EVIL}{i}.parquet" for i in range(3)],
        "-o",
        tmp_path / f"x.{'ckpt' if command == 'train' else 'parquet'}",
    )
    assert code != 0
    assert not ACTING.search(out + err)
    assert r"\x1b" in err


def test_a_report_of_a_hostile_notebook(tmp_path, capsys):
    from .reporting.notebooks import write

    heading = "## " + "".join(EVIL.splitlines())
    book = write(
        tmp_path, "nb", f"# Title\n\n{heading}", heading.replace("## ", "# ") + "\n", f"raise ValueError({EVIL!r})"
    )
    code, out, err = run(capsys, "report", "--only", book, "-o", tmp_path / "out")
    assert code == 1
    assert not ACTING.search(out + err)
    assert r"\x1b]0;owned\x07" in err
    code, out, err = run(capsys, "report", "--only", book, "-o", tmp_path / "out", "--json")
    assert not ACTING.search(out + err)
    assert EVIL.strip() in json.loads(out)["notebooks"][0]["error"]
