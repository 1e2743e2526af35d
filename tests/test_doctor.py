"""`ptofa doctor` tells what is broken, what to install, and never fails to answer."""

from __future__ import annotations

import json
import sys

import pytest

from ptofa_gpu import cli, doctor
from ptofa_gpu.device import Gpu
from ptofa_gpu.ops._library import library

SOME_GPU = Gpu(True, name="Test GPU", memory=8 << 30, capability="9.0", driver=13000, count=1)


def parts(report: doctor.Report) -> dict[str, doctor.Part]:
    return {p.name: p for p in report.parts}


@pytest.fixture(scope="module")
def here() -> doctor.Report:
    return doctor.examine()


def test_it_finds_what_the_tests_run_on(here: doctor.Report) -> None:
    found = parts(here)
    assert here.ok
    assert found["data"].usable
    assert found["allocate (CPU)"].usable
    assert found["predict (CPU)"].usable
    assert "HIGHS" in found["reference solvers"].detail
    assert here.packages["numpy"] == sys.modules["numpy"].__version__
    assert here.cores >= 1
    assert here.memory > 1 << 28


def test_whatever_is_not_usable_says_why_and_what_to_do(here: doctor.Report) -> None:
    for part in here.parts:
        assert part.usable or (part.detail and part.install), part


def test_json_is_whole(here: doctor.Report) -> None:
    data = json.loads(here.to_json())
    assert data["ok"] is True
    assert {"version", "python", "cores", "memory", "driver", "gpu", "packages", "parts"} <= set(data)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "papermill", None)
    part = doctor._try("notebooks", "runs", "json", "papermill")
    assert not part.usable
    assert "papermill" in part.detail
    assert part.install == "pip install papermill -c constraints.txt"


def test_a_broken_core_ends_with_one(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setattr(doctor, "_solvers", str)
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "--json"])
    assert ended.value.code == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False


def test_the_engine_is_described() -> None:
    part = doctor._engine()
    assert part.usable
    assert part.core
    assert library().level in part.detail
    assert str(library().path) in part.detail


@pytest.mark.parametrize(("name", "value"), [("PTOFA_CPU_LEVEL", "pentium"), ("PTOFA_NUM_THREADS", "many")])
def test_an_engine_that_cannot_be_used_says_why(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    library.cache_clear()
    try:
        part = doctor._engine()
    finally:
        library.cache_clear()
    assert not part.usable
    assert f"{name}={value!r}" in part.detail
    assert part.install


def test_the_table_shows_every_part_and_fact(here: doctor.Report, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    doctor.show(here)
    out = capsys.readouterr().out
    assert all(p.name in out for p in here.parts)
    assert "NVIDIA driver" in out


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe_gpu", lambda: SOME_GPU)
    part = doctor._allocate_gpu()
    assert part.usable
    assert part.detail == "Test GPU, compute capability 9.0, 8 GiB"


def test_nvidia_smi_is_read(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '580.65.06, NVIDIA H100 80GB HBM3, 81559'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert doctor._nvidia_smi() == ("580.65.06", [{"name": "NVIDIA H100 80GB HBM3", "memory": 81559 << 20}])
    tool.write_text("#!/bin/sh\nexit 9\n")
    monkeypatch.setattr(doctor, "driver_present", lambda: True)
    assert doctor._nvidia_smi() == ("present, but nvidia-smi does not answer", [])
