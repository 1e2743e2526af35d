"""`ptofa bench allocation` on the command line, and the figure it draws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptofa_gpu import cli
from ptofa_gpu.bench.record import COLUMNS
from ptofa_gpu.bench.results import append_row, read_rows
from ptofa_gpu.cli.bench import _bytes
from ptofa_gpu.errors import InputError
from ptofa_gpu.reporting.figures._ends import spread
from ptofa_gpu.reporting.figures.benchmark import benchmark_chart


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "allocation", *arguments])
    return int(ended.value.code or 0)


def row(method: str, customers: int, seconds: float, share: float | None = 1.0, **more: object) -> dict:
    facts = dict.fromkeys(COLUMNS, "") | {
        "method": method, "customers": str(customers), "funds": "8", "k": "1", "ties": "none", "seed": "0",
        "seconds": str(seconds), "seconds_min": str(seconds), "read_seconds": str(customers * 3e-9),
        "share": "" if share is None else str(share), "status": "optimal", "over_quota": "0", "under_quota": "0",
        "unfilled": "0", "time_limit": "60",
    }  # fmt: skip
    return facts | more


def rows() -> list[dict]:
    made = []
    for customers in (20_000, 200_000, 1_000_000):
        made.append(row("optimal", customers, customers * 3e-7))
        made.append(row("heuristic", customers, customers * 4e-7, 0.997, status="feasible"))
        made.append(row("topk", customers, customers * 1e-7, 1.02, status="infeasible", over_quota="70"))
        made.append(row("somebody's $own", customers, customers * 1e-6, 0.9))
    made.append(row("scip", 20_000, 61.0, None, status="killed"))
    return made


def test_the_command_measures_draws_and_speaks_json(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    several = ["--sizes", "300x4", "200x4,300x4", "--methods", "optimal", "--repeats", "1"]
    assert run(*several, "--json", "--figure", "f.svg", "-o", "r.csv") == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert [(r["customers"], r["method"]) for r in facts["rows"]] == [(200, "optimal"), (300, "optimal")]
    assert facts["rows"][0]["share"] == pytest.approx(1)
    assert facts["results"] == "r.csv"
    assert facts["figures"] == ["f.svg"]
    assert facts["skipped"] == []
    assert "[0/2] 200 x 4 k=1: optimal" in said.err
    assert Path("f.svg").read_bytes().startswith(b"<?xml")
    assert len(read_rows(Path("r.csv"), COLUMNS)) == 2


def test_earlier_results_are_shown_and_drawn(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for one in [*rows(), row("optimal", 20_000, 0.1, funds="64"), row("optimal", 20_000, 0.1, k="3", ties="zero")]:
        append_row(Path("r.csv"), COLUMNS, one)
    before = Path("r.csv").read_bytes()
    assert run("--from", "r.csv", "--sizes", "20000x8", "--k", "1", "--figure", "one.png") == 0
    out = capsys.readouterr().out
    assert "20,000 x 8 k=1" in out
    assert "killed at the time limit of 60 s" in out
    assert "200,000" not in out
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")
    assert run("--from", "r.csv", "--figure", "all.png") == 0
    assert {p.name for p in tmp_path.glob("all*.png")} == {
        "all-8-funds-k1.png", "all-64-funds-k1.png", "all-8-funds-k3-zero.png",
    }  # fmt: skip
    assert Path("r.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sizes", "20x"], "size '20x'"),
        (["--methods", "optmal"], "did you mean 'optimal'"),
        (["--ties", "3digit"], "ties='3digit' is not known"),
        (["--max-memory", "lots"], "--max-memory 'lots'"),
        (["--figure", "f.pdf"], ".png or .svg"),
        (["--from", "none.csv"], "there is no such file"),
        (["--time-limit", "0"], "must be positive"),
        (["-k", "9"], "k is at most the number of funds"),
    ],
)
def test_bad_input_is_one_message_and_code_2(arguments, says, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""
    assert not list(tmp_path.iterdir())


def test_memory_is_read_with_its_unit() -> None:
    assert _bytes("12GiB") == 12 << 30
    assert _bytes("1.5 gb") == 1_500_000_000
    assert _bytes("800MiB") == 800 << 20
    with pytest.raises(InputError):
        _bytes("0GiB")


def test_the_figure_tells_what_matters() -> None:
    chart = benchmark_chart(rows())
    assert chart.render("png") == benchmark_chart(rows()).render("png")
    assert "heuristic (Alg. 1) at 1,000,000: 99.7 % of the optimum" in chart.alt
    assert "70 exposures over quota" in chart.alt
    assert "SCIP, integer at 20,000: stopped after 61 s" in chart.alt
    right = chart.figure.axes[1]
    assert right.get_yscale() == right.get_xscale() == "log"
    assert "time limit" in right.get_title(loc="left")
    names = [text.get_text() for text in right.texts]
    assert any(name.startswith("one read of E") for name in names)
    assert any(name.startswith("SCIP, integer  >61") for name in names)
    # a later row of the same cell takes the earlier one's place
    assert (
        "optimum (by prices) at 1,000,000: 100 % of the optimum, 9 s"
        in benchmark_chart([*rows(), row("optimal", 1_000_000, 9.0)]).alt
    )


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        benchmark_chart([])
    with pytest.raises(InputError, match="F=8 k=1 ties=none, F=8 k=3 ties=none"):
        benchmark_chart([*rows(), row("optimal", 20_000, 1.0, k="3")])


def test_names_do_not_cover_each_other() -> None:
    places = spread([0.5, 0.5, 0.51, 0.99], [0.04, 0.12, 0.04, 0.04])
    assert places == sorted(places)
    tops = [p + h / 2 for p, h in zip(places, [0.04, 0.12, 0.04, 0.04])]
    bottoms = [p - h / 2 for p, h in zip(places, [0.04, 0.12, 0.04, 0.04])]
    assert all(low >= high - 1e-12 for low, high in zip(bottoms[1:], tops))
    assert tops[-1] <= 1
