"""Files are written whole or not at all, where and as they may be, and never over what is read."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptofa_gpu._files import atomic_path, check_output, require_space, scratch_folder, sweep
from ptofa_gpu.errors import InputError, OutputError
from tests.test_cli import CUSTOMERS, FUNDS, WIDE, E, run

TABLES = ("E.npy", "customers.parquet", "funds.parquet")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pq.write_table(CUSTOMERS, "customers.parquet")
    pq.write_table(FUNDS, "funds.parquet")
    Path("parts").mkdir()
    pq.write_table(WIDE.slice(0, 2), "parts/0.parquet")
    pq.write_table(WIDE.slice(2), "parts/1.parquet")
    np.save("E.npy", E)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- an output that is read ----------------------------------------------------------------------------------------
def _hard(path: Path) -> str:
    os.link("customers.parquet", path)
    return str(path)


def _soft(path: Path) -> str:
    path.symlink_to("customers.parquet")
    return str(path)


def _part(path: Path) -> str:
    path.symlink_to("parts/1.parquet")
    return str(path)


def _around(path: Path) -> str:
    path.mkdir()
    return f"{path}/../customers.parquet"


@pytest.mark.parametrize(
    "output",
    [
        "funds.parquet",
        "./customers.parquet",
        "parts/0.parquet",
        "parts/new.parquet",
        "parts/deep/new.parquet",
        _hard,
        _soft,
        _part,
        _around,
    ],
)
def test_an_output_that_is_read_is_refused(files: Path, capsys, output) -> None:
    name = output if isinstance(output, str) else output(Path("other.parquet"))
    before = contents(files)
    assert run("allocate", "parts", "customers.parquet", "funds.parquet", "--device", "cpu", "-o", name) == 2
    said = capsys.readouterr()
    assert "would be written over what is read from" in said.err
    assert said.out == ""
    assert contents(files) == before


def test_no_command_writes_over_what_it_reads(files: Path, capsys) -> None:
    before = contents(files)
    model = "customers.parquet"  # whatever it is: nothing has been read when this is refused
    assert run("predict", model, "funds.parquet", "funds.parquet", "-o", "customers.parquet") == 2
    os.link("funds.parquet", "log.ckpt")
    assert run("train", "E.npy", "customers.parquet", "funds.parquet", "-o", "log.ckpt") == 2
    assert run("train", "parts", "customers.parquet", "funds.parquet", "--run-dir", "parts/run") == 2
    assert capsys.readouterr().err.count("would be written over what is read from") == 3
    os.unlink("log.ckpt")
    assert contents(files) == before


# -- a place that cannot be written --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("customers.parquet/plan.csv", "cannot be written"),
        ("parts.csv", "is a folder"),
        ("n" * 300 + ".csv", "File name too long"),
        ("new/" + "n" * 300 + "/plan.csv", "File name too long"),
        ("loop.csv", "symbolic links"),
        ("/proc/plan.csv", "cannot be written"),
        ("null.csv", "is a device"),
    ],
)
def test_a_bad_place_is_refused_before_any_work(files: Path, capsys, output: str, said: str) -> None:
    Path("parts.csv").mkdir()
    Path("loop.csv").symlink_to("loop.csv")
    Path("null.csv").symlink_to("/dev/null")
    before = contents(files)
    assert run("allocate", "no such file.npy", "nor this.csv", "nor this.csv", "-o", output) == 2
    err = capsys.readouterr().err
    assert said in err
    assert output.rpartition("/")[2][:20] in err
    assert "nor this" not in err
    assert contents(files) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_is_write_protected_is_left_alone(files: Path, capsys) -> None:
    Path("plan.csv").touch(0o400)
    Path("shut").mkdir(0o500)
    for output in ("plan.csv", "shut/plan.csv"):
        assert run("allocate", "none.npy", "none.csv", "none.csv", "-o", output) == 2
        assert output in capsys.readouterr().err


def test_stdout_is_not_replaced(files: Path) -> None:
    command = [sys.executable, "-m", "ptofa_gpu.cli", "allocate", *TABLES, "-o", "said.csv"]
    with Path("said.csv").open("w") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "this program's own output" in done.stderr


def test_too_little_space_is_said_before_the_work(tmp_path: Path) -> None:
    system = os.statvfs(tmp_path)
    with pytest.raises(OutputError, match=r"new/plan\.csv cannot be written: it takes at least .* are free there"):
        require_space(tmp_path / "new" / "plan.csv", system.f_blocks * system.f_frsize + 1)
    require_space(tmp_path / "plan.csv", 1)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_disk_that_fills_up_is_one_message_and_keeps_the_earlier_file(files: Path, ending: str) -> None:
    n = 40_000
    np.save("E.npy", np.random.default_rng(0).random((n, 2)).astype(np.float32))
    pq.write_table(pa.table({"customer": np.arange(n), "tolerance": np.full(n, 3)}), "customers.parquet")
    pq.write_table(pa.table({"fund": ["a", "b"], "risk": [1, 1], "quota": [n // 2] * 2}), "funds.parquet")
    output = Path(f"plan{ending}")
    output.write_text("earlier")
    # a limit on the size of files ends a write as a full disk does
    command = [sys.executable, "-m", "ptofa_gpu.cli", "allocate", *TABLES, "-o", str(output), "--device", "cpu"]
    assert run(*command[3:-3], f"whole{ending}") == 0  # compiles what has to be, and is too large
    limit = 100_000
    assert Path(f"whole{ending}").stat().st_size > limit
    before = contents(files)
    done = subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"ptofa: {output} could not be written: File too large. What was there before is kept"
    )
    assert contents(files) == before


# -- how a file is written -----------------------------------------------------------------------------------------
def test_an_earlier_files_mode_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    for kept in (0o600, 0o640, 0o664):
        path.touch()
        path.chmod(kept)
        with atomic_path(path) as partial:
            assert mode(partial) == kept  # also while it is written
            partial.write_text(oct(kept))
        assert (mode(path), path.read_text()) == (kept, oct(kept))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_an_earlier_files_owner_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    path.touch()
    os.chown(path, 1234, 4321)
    with atomic_path(path) as partial:
        partial.write_text("new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_new_files(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "plan.csv") as partial:
            partial.write_text("new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "plan.csv") == 0o666 & ~umask


def test_a_link_is_followed(tmp_path: Path) -> None:
    real = tmp_path / "store" / "plan-7.csv"
    real.parent.mkdir()
    real.write_text("old")
    link = tmp_path / "latest.csv"
    link.symlink_to("store/plan-7.csv")
    with atomic_path(link) as partial:
        assert partial.parent == real.parent
        partial.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    dangling = tmp_path / "next.csv"
    dangling.symlink_to("store/plan-8.csv")
    with atomic_path(dangling) as partial:
        partial.write_text("eight")
    assert (tmp_path / "store" / "plan-8.csv").read_text() == "eight"
    assert len(list(real.parent.iterdir())) == 2


def test_an_error_of_the_writers_own_is_passed_on(tmp_path: Path) -> None:
    class Own(OSError):
        pass

    def fail(error: Exception) -> None:
        with atomic_path(tmp_path / "plan.csv"):
            raise error

    for error in (Own("mine"), FileNotFoundError(2, "another file"), InputError("no"), ValueError("no")):
        with pytest.raises(type(error)) as caught:
            fail(error)
        assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_only_what_nobody_holds_is_swept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, folder = tmp_path / ".ptofa-00112233aabb.part", tmp_path / ".ptofa-00112233aabc.part"
    with scratch_folder() as scratch, atomic_path(tmp_path / "plan.csv") as partial:
        (scratch / "inside").touch()
        left.touch()
        folder.mkdir()
        (folder / "inside").touch()
        sweep(tmp_path)
        assert set(tmp_path.iterdir()) == {scratch, partial}
        assert (scratch / "inside").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["plan.csv"]


def test_a_check_leaves_nothing(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "plan.csv")
    check_output(tmp_path / "plan.csv", [tmp_path / "none", tmp_path / "nor this"])
    assert list(tmp_path.iterdir()) == []
