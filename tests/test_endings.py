"""Commands that are interrupted, terminated or killed: exit code, what is left, and how the next run goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptofa_gpu.cli._signals import Signals

N = 60_000
ALLOCATE = ("allocate", "E.npy", "customers.parquet", "funds.parquet", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("endings")
    g = np.random.default_rng(0)
    np.save(where / "E.npy", g.lognormal(size=(N, 8)).astype(np.float32))
    pq.write_table(pa.table({"customer": np.arange(N), "tolerance": g.integers(1, 6, N)}), where / "customers.parquet")
    funds = {"fund": [f"F{i}" for i in range(8)], "risk": [1, 1, 2, 2, 3, 3, 4, 5], "quota": [N // 20] * 8}
    pq.write_table(pa.table(funds), where / "funds.parquet")
    for _ in range(2):  # the first one compiles whatever has to be
        began = time.monotonic()
        assert start(where, *ALLOCATE).wait(300) == 0
        (where / "seconds").write_text(str(time.monotonic() - began))
    return where


def start(where: Path, *arguments: str, **more) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ptofa_gpu.cli", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=where, **{**pipes, **more})


def until(job: subprocess.Popen[str], seen: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until `seen`; the job must be at work all the while."""
    end = time.monotonic() + seconds
    while not seen():
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def names(where: Path) -> set[str]:
    return {p.name for p in where.iterdir()}


def temporary(where: Path) -> list[Path]:
    return list(where.glob(".ptofa-*"))


@pytest.fixture
def slow_disk(folder: Path) -> Iterator[dict[str, str]]:
    """An environment in which writing a plan never ends: `sitecustomize` is the only thing that is not the product."""
    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(
        "import os, time\n"
        "def fsync(file):\n"
        "    open('written', 'w').close()\n"
        "    while True:\n"
        "        time.sleep(60)\n"
        "os.fsync = fsync\n"
    )
    (folder / "written").unlink(missing_ok=True)
    yield {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])}
    (folder / "written").unlink(missing_ok=True)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_a_signal_while_the_plan_is_written_leaves_the_earlier_one(folder: Path, slow_disk, how) -> None:
    plan = folder / "kept.parquet"
    plan.write_bytes(b"earlier")
    before = names(folder) | {"written"}
    job = start(folder, *ALLOCATE, "-o", plan.name, env=slow_disk)
    until(job, (folder / "written").exists)
    assert temporary(folder)
    sent = time.monotonic()
    job.send_signal(how)
    out, err = job.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert job.returncode == 128 + how
    assert (out, err) == ("", f"ptofa: ended by {how.name}\n")
    assert plan.read_bytes() == b"earlier"
    assert names(folder) == before


def test_what_a_killed_run_left_is_swept_by_the_next(folder: Path, slow_disk) -> None:
    killed = start(folder, *ALLOCATE, "-o", "killed.parquet", env=slow_disk)
    until(killed, (folder / "written").exists)
    [left] = temporary(folder)
    # while it lives, nobody takes its file away
    assert start(folder, *ALLOCATE, "-o", "other.parquet").wait(60) == 0
    assert temporary(folder) == [left]
    killed.kill()
    killed.communicate()
    assert left.is_file()
    # nor is anything taken away that only looks like it
    target = folder / "precious"
    target.write_text("mine")
    link = folder / ".ptofa-0123456789ab.part"
    link.symlink_to(target)
    (folder / ".ptofa-notes.part").write_text("mine, too")
    pipe = folder / ".ptofa-0123456789ac.part"
    os.mkfifo(pipe)
    assert start(folder, *ALLOCATE, "-o", "killed.parquet").wait(60) == 0
    assert set(temporary(folder)) == {link, pipe, folder / ".ptofa-notes.part"}
    assert target.read_text() == "mine"
    for made in (link, pipe, folder / ".ptofa-notes.part", target):
        made.unlink()


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 0.95])
def test_ctrl_c_ends_allocate_at_any_moment(folder: Path, share: float) -> None:
    whole = float((folder / "seconds").read_text())
    job = start(folder, *ALLOCATE, "-o", "cut.parquet", start_new_session=True)
    time.sleep(0.1 + share * (whole - 0.1))
    early = job.poll() is None
    os.killpg(job.pid, signal.SIGINT) if early else None  # as a terminal does
    _, err = job.communicate(timeout=30)
    done = (folder / "cut.parquet").exists()
    if job.returncode == 130:
        assert err == "ptofa: ended by SIGINT\n"
    else:  # it was done meanwhile; a signal may still have ended the last steps of the interpreter
        assert job.returncode in (0, -signal.SIGINT)
        assert (done, err) == (True, "")
    if done:
        assert pq.read_table(folder / "cut.parquet").num_rows == N * 8 // 20
        (folder / "cut.parquet").unlink()
    assert temporary(folder) == []


def test_an_interrupt_that_somebody_swallows_comes_again() -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)  # what is raised here, Python drops

    def swallow() -> None:
        thing = Finalized()
        del thing
        time.sleep(5)

    with Signals(last=False) as signals:
        with pytest.raises(KeyboardInterrupt):
            swallow()
        assert signals.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_clearing_up_is_not_disturbed() -> None:
    cleared = []

    def clear_up() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.4)
            cleared.append(True)

    with Signals(last=False), pytest.raises(KeyboardInterrupt):
        clear_up()
    assert cleared


def test_nohup_goes_on_working(folder: Path) -> None:
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from ptofa_gpu.cli import main; main()"
    job = subprocess.Popen([sys.executable, "-c", code, *ALLOCATE, "-o", "nohup.parquet"], cwd=folder)
    time.sleep(0.4)
    job.send_signal(signal.SIGHUP)
    assert job.wait(60) == 0


# -- training ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("training")
    g = np.random.default_rng(0)
    n, rows = 3_000, 20_000
    customers = {"customer": np.arange(n), "tolerance": g.integers(1, 4, n), "wealth": g.normal(size=n)}
    pq.write_table(pa.table(customers), where / "customers.parquet")
    funds = {"fund": ["a", "b", "c"], "risk": [1, 2, 3], "quota": [n // 3] * 3}
    pq.write_table(pa.table(funds), where / "funds.parquet")
    customer = g.integers(0, n, rows)
    converted = g.random(rows) < 1 / (1 + np.exp(1.5 - customers["wealth"][customer]))
    log = {
        "customer": customer,
        "fund": np.array(funds["fund"])[g.integers(0, 3, rows)],
        "converted": converted.astype(int),
        "amount": np.where(converted, g.lognormal(4, 1, rows), 0.0),
    }
    pq.write_table(pa.table(log), where / "log.parquet")
    return where


TRAIN = (
    *("train", "log.parquet", "customers.parquet", "funds.parquet", "--method", "ziln", "--device", "cpu"),
    *("--batch-size", "64", "--dropout", "0.3", "--json", "--epochs", "7", "--patience", "7"),
)


def weights(path: Path) -> dict[str, bytes]:
    import torch

    saved = torch.load(path, weights_only=True)
    return {name: value.numpy().tobytes() for name, value in saved["state_dict"].items()}


def test_a_training_cut_by_every_signal_comes_to_the_same_model(campaign: Path) -> None:
    from ptofa_gpu.prediction.model import RevenueModel

    straight = start(campaign, *TRAIN, "-o", "straight.ckpt")
    run = campaign / "cut.ckpt.run"
    more: tuple[str, ...] = ()
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        job = start(campaign, *TRAIN, "-o", "cut.ckpt", *more)
        last = run / "last.ckpt"
        was = last.stat().st_mtime_ns if last.exists() else 0
        until(job, lambda: last.exists() and last.stat().st_mtime_ns != was)  # noqa: B023
        job.send_signal(how)
        out, err = job.communicate(timeout=60)
        assert out == ""
        assert not (campaign / "cut.ckpt").exists()
        if how != signal.SIGKILL:
            assert job.returncode == 128 + how
            assert "Traceback" not in err
            assert re.search(r"the best model so far, of epoch \d of \d \(not calibrated yet\), is kept in cut", err)
            typed = " ".join((*TRAIN, "-o", "cut.ckpt"))
            assert f"go on with: ptofa {typed} --resume\n" in err
            assert names(run) == {"best.ckpt", "last.ckpt", "run.json"}
        more = ("--resume",)
    # the best epoch so far is a model
    assert RevenueModel.load(run / "best.ckpt").method == "ziln"
    # not to be replaced, or gone on with as something else, by mistake
    for given, said in (((), "--resume"), (("--resume", "--lr", "0.1"), "lr (it was 0.002)")):
        refused = start(campaign, *TRAIN, "-o", "cut.ckpt", *given)
        _, err = refused.communicate(timeout=120)
        assert refused.returncode == 2
        assert said in err
    finished = start(campaign, *TRAIN, "-o", "cut.ckpt", "--resume")
    ends = [json.loads(job.communicate(timeout=300)[0]) for job in (straight, finished)]
    assert (straight.returncode, finished.returncode) == (0, 0)
    for facts in ends:
        del facts["model"], facts["seconds"]
    assert ends[0] == ends[1]
    assert weights(campaign / "straight.ckpt") == weights(campaign / "cut.ckpt")
    assert not run.exists()
    assert temporary(campaign) == []
