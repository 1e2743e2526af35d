"""Importing the package is quick, lazy and tells where a missing name could have come from."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import ptofa_gpu
from ptofa_gpu._lazy import require
from ptofa_gpu.errors import MissingPackageError

HEAVY = [
    "torch",
    "pytorch_lightning",
    "cvxpy",
    "ortools",
    "papermill",
    "matplotlib",
    "pandas",
    "polars",
    "numba",
    "cupy",
]


def _fresh(code: str) -> str:
    """What `code` prints in a new interpreter."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_light_and_quick() -> None:
    code = f"""
import sys, time, json
start = time.process_time()
import ptofa_gpu
seconds = time.process_time() - start
print(json.dumps([seconds, [m for m in {HEAVY!r} if m in sys.modules]]))
"""
    runs = [json.loads(_fresh(code)) for _ in range(3)]
    assert all(heavy == [] for _, heavy in runs)
    assert min(seconds for seconds, _ in runs) < 0.5


@pytest.mark.parametrize("module", ["ptofa_gpu.device", "ptofa_gpu.cli", "ptofa_gpu.errors", "ptofa_gpu.doctor"])
def test_light_modules_stay_light(module: str) -> None:
    loaded = json.loads(
        _fresh(f"import {module}, sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))")
    )
    assert loaded == []


def test_every_public_name_resolves() -> None:
    for name in ptofa_gpu.__all__:
        assert getattr(ptofa_gpu, name) is not None, name
    assert set(dir(ptofa_gpu)) == set(ptofa_gpu.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'ptofa_gpu' has no attribute 'allokate'"):
        ptofa_gpu.allokate  # noqa: B018


def test_a_missing_package_is_named_with_its_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)  # Python's own way of saying "cannot be imported"
    with pytest.raises(
        MissingPackageError, match=r"calibration needs the package scikit-learn.*pip install scikit-learn"
    ):
        require("sklearn", "calibration")


def test_a_broken_import_inside_a_package_is_shown_as_it_is(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_broken.py").write_text("import certainly_not_a_package_of_anybody\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="certainly_not_a_package_of_anybody") as caught:
        require("half_broken", "this test")
    assert not isinstance(caught.value, MissingPackageError)
