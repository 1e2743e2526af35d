"""What README says is true: its Python runs, its commands and files exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.partition("#")[0].strip()
]


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), names)
    if "plan" not in names:  # the block about one's own data stops where the others go on
        assert names["data"].n_customers == 5
        return
    plan = names["plan"]
    assert plan.status == "optimal"
    assert plan.unfilled == 0
    if (tmp_path / "plan.parquet").exists():
        assert pq.read_table(tmp_path / "plan.parquet").column_names == ["customer", "slot", "fund", "revenue"]


def test_there_are_three_blocks_and_the_first_is_ten_lines() -> None:
    assert len(PYTHON) == 3
    statements = compile(PYTHON[0], "README.md", "exec", flags=0x400).body  # 0x400: ast.PyCF_ONLY_AST
    assert len(statements) <= 10


def test_make_targets_exist() -> None:
    targets = [line.split()[1] for line in SHELL if line.startswith("make ")]
    assert {"report", "test"} <= set(targets)
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_ptofa_commands_and_options_exist() -> None:
    lines = [shlex.split(line) for line in SHELL if line.startswith("ptofa ")]
    assert lines
    for line in lines:
        command = [sys.executable, "-m", "ptofa_gpu.cli", line[1], "--help"]
        out = subprocess.run(command, capture_output=True, text=True, check=True, env=_wide()).stdout
        for option in (word for word in line if word.startswith("--")):
            assert option in out, option


def _wide() -> dict[str, str]:
    import os

    return {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}


def test_files_it_names_exist() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README) + re.findall(r'src="(?!https?://)([^"]+)"', README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def _row(start: str) -> str:
    return next(line for line in README.splitlines() if line.startswith(f"| {start}"))


def test_what_is_said_to_be_there_is_there() -> None:
    import numpy as np

    import ptofa_gpu as ptofa
    from ptofa_gpu.cli import app
    from ptofa_gpu.prediction.methods import available

    row = _row('`method="optimal"`')
    assert "ranges" in row
    revenue = np.arange(6, dtype=np.float32).reshape(3, 2)
    ranges = ptofa.AllocationProblem(revenue, quota=[[0, 2], [1, 3]])
    assert ptofa.allocate(ranges, device="cpu").verify().status == "optimal"
    own = ptofa.AllocationProblem(revenue, quota=[2, 2], k=[1, 2, 1], excluded=[(1, 0)])
    plan = ptofa.allocate(own, device="cpu", on_infeasible="relax").verify()
    assert plan.assign(revenue).shape == (3, 2)
    commands = {c.name or c.callback.__name__ for c in app.registered_commands} | {
        g.name for g in app.registered_groups
    }
    assert set(re.findall(r"`(?:ptofa )?(\w+)`", _row("commands"))) == commands
    assert {"ptofa", "ziln", "esmm", "mmoe", "shared_bottom", "dnn_c", "dnn_r", "mtl_mse"} <= set(available())
    for reader in ("lct", "hillstrom", "cdnow"):
        assert callable(getattr(ptofa.datasets, reader))


def test_what_is_said_to_be_missing_is_missing() -> None:
    """No GPU has run this: so no kept result is from one."""
    import csv

    assert "no run on a GPU" in _row("**not yet**")
    results = sorted((ROOT / "benchmarks" / "results").glob("*.csv"))
    assert results
    for path in results:
        with path.open(newline="") as f:
            for line in csv.DictReader(f):
                assert not line.get("cupy"), path.name
                assert not re.search("nvidia|cuda|H100|A100", str(line.get("device")), re.I), path.name
