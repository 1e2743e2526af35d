"""Results files only grow."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from ptofa_gpu.bench.results import append_row, read_rows, results_path
from ptofa_gpu.errors import InputError

COLUMNS = ("method", "seconds", "note")


def test_rows_are_added_and_old_bytes_stay(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "r.csv"
    append_row(path, COLUMNS, {"method": "a", "seconds": 1.5, "note": 'said "no", twice'})
    before = path.read_bytes()
    append_row(path, COLUMNS, {"method": "b", "seconds": None})
    assert path.read_bytes() == before + b"b,,\n"
    assert read_rows(path, COLUMNS) == [
        {"method": "a", "seconds": "1.5", "note": 'said "no", twice'},
        {"method": "b", "seconds": "", "note": ""},
    ]


def test_files_of_other_columns_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    append_row(path, COLUMNS, {"method": "a"})
    before = path.read_bytes()
    with pytest.raises(InputError, match="other columns"):
        append_row(path, ("method", "other"), {"method": "b"})
    with pytest.raises(InputError, match="no column for other"):
        append_row(path, COLUMNS, {"other": 1})
    assert path.read_bytes() == before
    assert results_path(tmp_path, "R", COLUMNS) == path
    assert results_path(tmp_path, "R", ("x",)) == tmp_path / "r-2.csv"
    assert results_path(tmp_path, "Some CPU (R) @ 2 cores", COLUMNS).name == "some-cpu-r-2-cores.csv"
    with pytest.raises(InputError, match="lacks the columns other"):
        read_rows(path, ("method", "other"))
    with pytest.raises(InputError, match="no such file"):
        read_rows(tmp_path / "none.csv", COLUMNS)


def test_a_line_that_a_crash_cut_short_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    append_row(path, COLUMNS, {"method": "a"})
    with path.open("a") as f:
        f.write("b,2")
    append_row(path, COLUMNS, {"method": "c"})
    assert [row["method"] for row in read_rows(path, COLUMNS)] == ["a", "c"]


def _write(path: Path, name: str) -> None:
    for _ in range(50):
        append_row(path, COLUMNS, {"method": name, "note": "x" * 200})


def test_two_writers_do_not_mix_lines(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = read_rows(path, COLUMNS)
    assert sorted(row["method"] for row in rows) == ["a"] * 50 + ["b"] * 50
    assert all(row["note"] == "x" * 200 for row in rows)
