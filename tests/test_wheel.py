"""The built wheel, in an environment that knows nothing of the checkout: its commands, kernels and notebooks work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return next(folder.glob("*.whl"))


def test_everything_travels_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for kind, source in (
        ("notebooks", "notebooks"),
        ("kernels", "kernels"),
        ("templates", "reports/templates"),
        ("results", "benchmarks/results"),
    ):
        files = [p for p in (ROOT / source).rglob("*") if p.is_file() and ".ipynb_checkpoints" not in p.parts]
        assert files
        for path in files:
            assert f"ptofa_gpu/_assets/{kind}/{path.relative_to(ROOT / source).as_posix()}" in inside


@pytest.mark.slow
def test_the_quick_report_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """Without a network: the fresh environment has the wheel, and borrows the packages that the wheel asks for."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True, symlinks=True)
    python = home / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
        text=True,
    )
    mine = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], check=True, capture_output=True, text=True
    ).stdout.strip()
    # a plain line in a .pth file adds a folder without reading that folder's own .pth files: no editable install
    borrowed = [p for p in sys.path if p.endswith("site-packages")]
    Path(mine, "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JUPYTER", "IPYTHON"))}
    where = subprocess.run(
        [python, "-c", "import ptofa_gpu; print(ptofa_gpu.__file__)"],
        check=True, capture_output=True, text=True, cwd=tmp_path, env=env,
    ).stdout  # fmt: skip
    assert where.startswith(str(home)), "not the checkout"
    env["JUPYTER_PATH"] = str(Path(sys.prefix, "share", "jupyter"))  # nbconvert's own templates are borrowed too
    report = [home / "bin" / "ptofa", "report", "--only", "quickstart", "--json"]
    small = ["-p", "customers=2000", "-p", "epochs=1", "-p", "hillstrom=no"]
    done = subprocess.run(
        [*report, *small, "-o", "out"], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert [n["status"] for n in facts["notebooks"]] == ["ok"]
    assert (tmp_path / "out" / "quickstart" / "plan.parquet").is_file()
    assert str(ROOT) not in (tmp_path / "out" / "run.json").read_text()
