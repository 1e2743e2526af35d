"""The commands with valid arguments. A value is damaged as it is for Python, and then written as a word."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ptofa_gpu.errors import PtofaError
from tests.fuzz.kinds import Arguments, Call
from tests.fuzz.world import World


class Said(Exception):
    """A command ended as no command may: with another code, or with a traceback for a message."""


class Refused(PtofaError):
    """A command ended with one of the codes that say why."""


def commands(w: World) -> Iterator[Call]:
    """All of them; arguments without dashes come first."""
    files = {"customers": w.path("customers.parquet"), "funds": w.path("funds.csv")}
    yield _command(
        "train",
        "cli",
        ["train"],
        lambda: {
            "log": w.path("log.parquet"),
            **files,
            "--output": str(w.folder / "cli.ckpt"),
            "--method": "dnn_c",
            "--epochs": 1,
            "--patience": 1,
            "--lr": 0.01,
            "--dropout": 0.1,
            "--batch-size": 512,
            "--debias": "none",
            "--currency": "EUR",
            "--seed": 0,
            "--device": "cpu",
        },
    )
    yield _command(
        "predict",
        "cli",
        ["predict"],
        lambda: {"model": w.path("model.ckpt"), **files, "--output": str(w.folder / "cli.csv"), "--device": "cpu"},
    )
    yield _command(
        "predict(csv)",
        "cli",
        ["predict"],
        lambda: {
            "model": w.path("model.ckpt"),
            "customers": w.path("customers.csv"),
            "funds": w.path("funds.parquet"),
            "--output": str(w.folder / "cli.npy"),
        },
    )
    allocate = {
        "-k": 1,
        "--device": "cpu",
        "--on-infeasible": "relax",
        "--time-limit": 9.0,
        "--block-rows": 100,
        "--max-memory": "2GiB",
    }
    yield _command(
        "allocate(npy)",
        "allocation",
        ["allocate"],
        lambda: {"revenue": w.path("revenue.npy"), **files, "--output": str(w.folder / "plan.parquet"), **allocate},
    )
    yield _command(
        "allocate(heuristic)",
        "allocation",
        ["allocate", "--method", "heuristic"],
        lambda: {
            "revenue": w.path("revenue.npy"),
            **files,
            "--output": str(w.folder / "plan.csv"),
            "--tail": "zero",
            **allocate,
        },
    )
    yield _command(
        "allocate(excluded)",
        "allocation",
        ["allocate"],
        lambda: {
            "revenue": w.path("revenue.npy"),
            **files,
            "--output": str(w.folder / "plan.csv"),
            "--excluded": w.path("log.parquet"),
            "--on-infeasible": "relax",
        },
    )
    yield _command(
        "report",
        "reporting",
        ["report", "--json"],
        lambda: {
            "--only": str(w.path("book.ipynb")),
            "--profile": "quick",
            "-p": "customers=20",
            "--output": str(w.report),
        },
    )
    yield _command(
        "bench allocation",
        "cli",
        ["bench", "allocation"],
        lambda: {
            "--from": w.path("bench.csv"),
            "--sizes": "1000x8",
            "--k": 1,
            "--ties": "none",
            "--methods": "optimal",
            "--figure": str(w.folder / "bench.png"),
            "--max-memory": "1GiB",
            "--repeats": 1,
            "--threads": 1,
            "--profile": "quick",
        },
    )
    state = {
        "--state": str(w.folder / "state"),
        "--output": str(w.folder / "prediction.csv"),
        "--page": str(w.folder / "page.html"),
    }
    yield _command(
        "bench prediction",
        "cli",
        ["bench", "prediction"],
        lambda: {
            "--datasets": "lct-a",
            "--methods": "dnn_c",
            "--seeds": 1,
            "--lr": 0.01,
            "--dropout": 0.1,
            "--customers": 300,
            **state,
        },
    )
    yield _command(
        "--config",
        "cli",
        ["predict", str(w.path("model.ckpt")), str(files["customers"]), str(files["funds"])],
        lambda: {"--config": w.path("config.yaml"), "--output": str(w.folder / "cli.npy")},
    )


def _command(name: str, area: str, first: list[str], arguments: Callable[[], Arguments]) -> Call:
    return Call(f"ptofa {name}", area, lambda **given: _run(first, given), arguments)


def _run(first: list[str], given: dict[str, Any]) -> None:
    from ptofa_gpu.cli import main

    words = list(first)
    for name, value in given.items():
        word = value if isinstance(value, str) else str(value)
        words += [name, word] if name.startswith("-") else [word]
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(words)
    except SystemExit as e:
        if e.code not in (0, 1, 2, 3) or "Traceback (most recent call last)" in err.getvalue():
            raise Said(f"exit code {e.code}: {err.getvalue()[-300:]}") from e
        if e.code:
            raise Refused(f"exit code {e.code}: {err.getvalue()[-300:]}") from e


def write_more(w: World) -> None:
    """The files that only commands read."""
    from ptofa_gpu.bench.record import COLUMNS
    from tests.fuzz.reports import ROW

    row = {c: ROW.get(c, "") for c in COLUMNS}
    text = ",".join(COLUMNS) + "\n" + ",".join(str(v) for v in row.values()) + "\n"
    Path(w.folder / "bench.csv").write_text(text)
    Path(w.folder / "config.yaml").write_text("device: cpu\njson: true\n")
