"""The house is in order: package lists in step, a set-up that heals and says why it fails, licence, citation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
REQUIREMENTS = [Requirement(r) for group in GROUPS.values() for r in group]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())

# PyPI's name -> conda's, where they differ
CONDA_NAME = {"torch": "pytorch", "matplotlib": "matplotlib-base", "cupy-cuda13x": "cupy", "cudf-cu13": "cudf"}
# what environment.yml narrows, because cuDF accepts no more
NARROWER = {"numpy", "pandas", "cudf"}


def pins() -> dict[str, Version]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    found = [Requirement(line) for line in lines if line]
    assert all(len(r.specifier) == 1 and str(r.specifier).startswith("==") for r in found)
    names = [canonicalize_name(r.name) for r in found]
    assert len(names) == len(set(names)), "a package is pinned twice"
    return {name: Version(str(r.specifier)[2:]) for name, r in zip(names, found)}


def conda_specs() -> dict[str, rattler.MatchSpec]:
    specs = [rattler.MatchSpec(d, strict=True) for d in ENVIRONMENT["dependencies"] if isinstance(d, str)]
    names = [s.name.normalized if hasattr(s.name, "normalized") else str(s.name) for s in specs]
    assert len(names) == len(set(names)), "a package is listed twice"
    return dict(zip(names, specs))


def pip_specs() -> dict[str, Requirement]:
    (section,) = (d["pip"] for d in ENVIRONMENT["dependencies"] if isinstance(d, dict))
    return {canonicalize_name(r.name): r for r in (Requirement(line) for line in section if not line.startswith("-"))}


def test_environment_has_the_shape_conda_reads() -> None:
    assert set(ENVIRONMENT) == {"name", "channels", "dependencies"}
    assert ENVIRONMENT["channels"] == ["rapidsai", "conda-forge", "nvidia"]
    sections = [d for d in ENVIRONMENT["dependencies"] if isinstance(d, dict)]
    assert [set(s) for s in sections] == [{"pip"}]
    assert "-e ." in sections[0]["pip"]
    assert {"pip", "python", "cuda-version"} <= set(conda_specs())


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.name)
def test_every_dependency_is_pinned_and_in_environment_yml(requirement: Requirement) -> None:
    name = canonicalize_name(requirement.name)
    pin = pins().get(name)
    assert pin is not None, f"constraints.txt lacks {name}"
    assert requirement.specifier.contains(pin), (
        f"constraints.txt pins {name} {pin}, pyproject.toml asks for {requirement}"
    )
    conda = CONDA_NAME.get(name, name)
    if conda not in conda_specs():
        assert str(pip_specs()[name].specifier) == str(requirement.specifier), f"environment.yml differs for {name}"
        return
    assert name not in pip_specs(), f"{name} comes from conda and from pip"
    spec = conda_specs()[conda].version
    if conda in NARROWER:
        assert spec is not None
        assert rattler.VersionSpec(str(spec)).matches(rattler.Version(str(pin)))
    else:
        as_in_project = {str(s) for s in requirement.specifier}
        assert set(str(spec).split(",") if spec else []) == as_in_project, f"environment.yml differs for {name}"


def test_environment_lists_nothing_that_the_project_does_not_ask_for() -> None:
    asked = {CONDA_NAME.get(n, n) for n in (canonicalize_name(r.name) for r in REQUIREMENTS)}
    tools = {"python", "pip", "make", "cxx-compiler", "cuda-version", "pytorch-gpu"}
    assert set(conda_specs()) | set(pip_specs()) == asked | tools


def test_python_is_the_same_everywhere() -> None:
    least = PROJECT["requires-python"].removeprefix(">=")
    assert str(conda_specs()["python"].version).startswith(f">={least}")
    assert f"({least.replace('.', ', ')})" in (ROOT / "scripts/setup").read_text()
    assert least in (ROOT / "README.md").read_text()


def test_the_environment_that_make_built_holds_the_pinned_versions() -> None:
    if not list(Path(sys.prefix).glob(".ptofa-*")):
        pytest.skip("this environment was not made by `make setup`")
    installed = {canonicalize_name(d.name): d.version for d in metadata.distributions()}
    wrong = {
        name: (installed[name], str(pin))
        for name, pin in pins().items()
        if name in installed and Version(Version(installed[name]).public) != pin
    }
    assert not wrong, "installed, pinned"


def test_what_travels_in_the_wheel_is_there() -> None:
    inside = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source in inside["force-include"]:
        assert (ROOT / source).is_dir(), source
    assert PROJECT["readme"] == "README.md"


def test_versions_agree() -> None:
    import ptofa_gpu

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == ptofa_gpu.__version__ == citation["version"]
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changes or f"## [{PROJECT['version']}]" in changes


def test_licence_and_citation() -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert {r["url"] for r in citation["references"]} == {
        "https://arxiv.org/abs/2503.03165",
        "https://arxiv.org/abs/2401.01525",
    }
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"


def test_hooks_run_the_tools_of_the_environment() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    tools = {hook["entry"].split()[0].rpartition("/")[2] for hook in repo["hooks"]}
    assert tools == {"ruff", "nbstripout", "clang-format"}
    assert tools <= set(pins())


# -- the set-up, with a Python that only writes down what it is asked -------------------------------------------------


FAKE_PYTHON = """#!/usr/bin/env bash
echo "$*" >> {log}
case "$*" in
    --version) echo "Python {version}" ;;
    "-c import sys"*) {new_enough} ;;
    "-c import venv"*) {has_venv} ;;
    "-c import torch"*) exit 1 ;;
    "-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; touch "$4/pyvenv.cfg"; cp "$0" "$4/bin/python" ;;
    "-m pip --version") exit 0 ;;
    "-m pip install"*) {install} ;;
esac
"""


#: asked in every case; it finds nothing to do
ENGINE = "scripts/build_engine.py\n"


class Bench:
    """Runs `make setup` in a folder of its own with a fake Python."""

    def __init__(self, folder: Path):
        self.venv, self.python, self.log = folder / "venv", folder / "python3", folder / "log"

    def make(self, *, new_enough="exit 0", has_venv="exit 0", install="exit 0", **more: str) -> tuple[int, str, str]:
        """Exit code, what was said, and what the fake was asked."""
        self.python.write_text(
            FAKE_PYTHON.format(log=self.log, version="3.9.2", new_enough=new_enough, has_venv=has_venv, install=install)
        )
        self.python.chmod(0o755)
        if (self.venv / "bin/python").exists():
            (self.venv / "bin/python").write_text(self.python.read_text())
        self.log.write_text("")
        settings = {"VENV": str(self.venv), "PYTHON": str(self.python), **more}
        command = ["make", "-s", "setup", *(f"{k}={v}" for k, v in settings.items())]
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", *settings)}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout + done.stderr, self.log.read_text()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_setup_installs_once_and_then_is_silent(bench: Bench) -> None:
    code, said, asked = bench.make()
    assert code == 0, said
    assert re.search(r"-m pip install .*--editable \.\[dev\] --constraint constraints\.txt", asked)
    assert bench.make() == (0, "", ENGINE)


def test_setup_knows_the_cpu_index_and_the_groups(bench: Bench) -> None:
    _, _, asked = bench.make(CPU_INDEX="1", EXTRAS="dev,gpu")
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in asked
    assert ".[dev,gpu]" in asked
    assert bench.make(EXTRAS="dev,gpu")[2] == ENGINE
    code, _, asked = bench.make(CPU_INDEX="https://mirror.example/cpu")  # other groups: not done yet
    assert code == 0
    assert "--extra-index-url https://mirror.example/cpu" in asked


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"new_enough": "exit 1"}, "Python 3.9.2 is too old, 3.11 or later is needed"),
        ({"has_venv": "exit 1"}, "apt install python3-venv"),
        ({"install": "exit 1"}, "pip could not install the packages"),
        ({"PYTHON": "no-such-python"}, "there is no no-such-python"),
    ],
)
def test_setup_fails_with_the_reason(bench: Bench, trouble: dict[str, str], reason: str) -> None:
    code, said, _ = bench.make(**trouble)
    assert code != 0
    assert reason in said


def test_an_interrupted_setup_starts_anew(bench: Bench) -> None:
    code, said, _ = bench.make(install="kill -9 $$")
    assert code != 0
    (bench.venv / "half_a_package").touch()
    code, said, asked = bench.make()
    assert code == 0, said
    assert "left half done" in said
    assert "-m venv --clear" in asked
    assert not (bench.venv / "half_a_package").exists()


def test_setup_does_not_overwrite_a_folder_that_is_no_environment(bench: Bench) -> None:
    bench.venv.mkdir()
    (bench.venv / "thesis.txt").write_text("years of work")
    code, said, _ = bench.make()
    assert code != 0
    assert "is no virtual environment" in said
    assert (bench.venv / "thesis.txt").read_text() == "years of work"
