"""The built wheel, in an environment that knows nothing of the checkout: its commands, kernels and notebooks work."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from ptofa_gpu.ops import _library
from tests.engine import passes

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
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


def test_one_wheel_is_for_every_python_of_a_platform(wheel: Path) -> None:
    _, _, python, abi, system = wheel.stem.split("-")
    assert (python, abi) == ("py3", "none")
    assert system == sysconfig.get_platform().replace("-", "_").replace(".", "_")
    archive = zipfile.ZipFile(wheel)
    libraries = {_library.file_name(level) for level in _library.levels(platform.machine())}
    assert {Path(name).name for name in archive.namelist() if "/_engine/" in name} == libraries
    said = archive.read(next(name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))).decode()
    assert "Root-Is-Purelib: false" in said


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The `ptofa` command of a fresh environment, and the variables to run it with.

    Without a network: the environment has the wheel, and borrows the packages that the wheel asks for.
    """
    home = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(home, with_pip=True, symlinks=True)
    python = home / "bin" / "python"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JUPYTER", "IPYTHON"))}

    def said(*command: str | Path) -> str:
        run = subprocess.run([python, *command], check=True, capture_output=True, text=True, cwd=home, env=env)
        return run.stdout.strip()

    said("-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel)
    # a plain line in a .pth file adds a folder without reading that folder's own .pth files: no editable install
    borrowed = [p for p in sys.path if p.endswith("site-packages")]
    Path(said("-c", "import site; print(site.getsitepackages()[0])"), "borrowed.pth").write_text("\n".join(borrowed))
    asked = "import ptofa_gpu as p; from ptofa_gpu._files import asset_dir as a; print(p.__file__)"
    places = said("-c", asked + "; print(*(a(k) for k in ('kernels', 'notebooks', 'templates', 'results')), sep='\\n')")
    assert len(places.splitlines()) == 5
    assert all(place.startswith(str(home)) for place in places.splitlines()), "not the checkout"
    env["JUPYTER_PATH"] = str(Path(sys.prefix, "share", "jupyter"))  # nbconvert's own templates are borrowed too
    return home / "bin" / "ptofa", env


PASSES = """
import sys
sys.path.append(sys.argv[1])
import passes
from ptofa_gpu.ops._library import library
print(passes.digest(), library().path)
"""


def test_the_wheel_needs_no_compiler(fresh, tmp_path: Path) -> None:
    ptofa, env = fresh
    bare = {**env, "PATH": str(tmp_path), "CXX": "no-such-compiler"}
    command = [ptofa.with_name("python"), "-c", PASSES, ROOT / "tests" / "engine"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=bare, check=False)
    assert done.returncode == 0, done.stderr
    found, _, path = done.stdout.strip().partition(" ")
    assert found == passes.digest()
    assert path.startswith(str(ptofa.parents[1]))


#: every other notebook, at a size that takes seconds
SMALL = {
    "customers": 1500, "panel_customers": 60, "panel_exposures": 60, "methods": "ziln, esmm", "seeds": 1, "epochs": 1,
    "draws": 50, "integer_customers": 500, "example_customers": 1500, "sizes": "500x4, 1000x4", "repeats": 1,
    "bench_methods": "optimal, manual",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("small", [False, True], ids=["quick profile", "all others, small"])
def test_the_report_runs_from_the_wheel(fresh, tmp_path: Path, small: bool) -> None:
    ptofa, env = fresh
    books = sorted(p.stem for p in ROOT.glob("notebooks/*.ipynb") if (p.stem == "quickstart") != small)
    given = [word for name in books for word in ("--only", name)]
    given += [f"-p{name}={value}" for name, value in SMALL.items()] if small else []
    done = subprocess.run(
        [ptofa, "report", *given, "--profile", "quick", "--json", "-o", "out"],
        capture_output=True, text=True, cwd=tmp_path, env=env, timeout=550, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["profile"] == "quick"
    assert [n["name"] for n in facts["notebooks"]] == books
    assert {n["status"] for n in facts["notebooks"]} == {"ok"}
    for name in books:
        assert (tmp_path / "out" / f"{name}.html").is_file()
    assert (tmp_path / "out" / ("03_allocation" if small else "quickstart") / "plan.parquet").is_file()
    assert str(ROOT) not in (tmp_path / "out" / "run.json").read_text()
