"""The CDNOW reader: nothing of the future in the features, sums that can be done by hand, files that are not it."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ptofa_gpu.datasets import cdnow
from ptofa_gpu.datasets._fetch import local_copy
from ptofa_gpu.datasets.cdnow import FILE
from ptofa_gpu.errors import InputError, SchemaError

HEADER = " customer_id  date number_of_cds  dollar_value"


def write(folder: Path, rows: Iterable[tuple[int, str, int, float]], header: str | None = HEADER) -> Path:
    lines = [header] if header is not None else []
    lines += [f" {c:05d} {day} {n:2d} {dollars:7.2f}" for c, day, n, dollars in rows]
    path = folder / "cdnow_master.txt"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode())
    return path


# With horizons of 10 and 20 days and the last purchase on Feb 19: learn from Jan 11 on, test from Jan 31 on.
PURCHASES = [
    (1, "19970101", 1, 10.0),
    (1, "19970101", 2, 5.0),  # the same visit
    (1, "19970111", 1, 7.0),  # the day itself is outcome
    (1, "19970120", 3, 8.0),  # the last of ten days
    (1, "19970121", 1, 100.0),  # behind them, within twenty
    (2, "19970110", 1, 0.0),
    (3, "19970112", 1, 30.0),  # first bought after the earlier day: known on the later one only
    (3, "19970219", 1, 40.0),
    *((i, "19970105", 1, 1.0 + i) for i in range(4, 60)),
    *((i, "19970115", 1, 2.0) for i in range(4, 60, 2)),
]


def row(data: pd.DataFrame, **where: object) -> pd.Series:
    for column, value in where.items():
        data = data[data[column] == value]
    assert len(data) == 1
    return data.iloc[0]


def test_outcomes_and_features_on_both_days(tmp_path: Path) -> None:
    data = cdnow(write(tmp_path, PURCHASES), horizons=(20, 10), verify=False)
    assert data.funds["fund"].tolist() == ["10d", "20d"]
    assert data.funds["name"].tolist() == ["next 10 days", "next 20 days"]
    one = 100_000_001
    short, long = (row(data.log, customer=one, fund=f) for f in ("10d", "20d"))
    assert (short["converted"], short["amount"]) == (True, 15.0)
    assert (long["converted"], long["amount"]) == (True, 115.0)
    known = row(data.customers, customer=one)
    assert (known["purchases"], known["spend"], known["mean_amount"], known["cds"]) == (1, 15.0, 15.0, 3)
    assert known["idle_share"] == 1.0
    later = row(data.customers, customer=200_000_001)
    assert (later["purchases"], later["spend"], later["last_amount"], later["largest_amount"]) == (4, 130.0, 100, 100)
    assert later["idle_share"] == pytest.approx(10 / 30)
    assert not row(data.log, customer=200_000_001, fund="20d")["converted"]
    assert 100_000_003 not in set(data.customers["customer"])
    last = [row(data.log, customer=200_000_003, fund=f) for f in ("10d", "20d")]
    assert [r["amount"] for r in last] == [0.0, 40.0]
    assert set(data.log["split"][data.log["customer"] > 2e8]) == {"test"}
    assert "1997-01-11" in data.note
    assert "1997-01-31" in data.note


def test_what_comes_after_the_later_day_changes_no_feature(tmp_path: Path) -> None:
    before = cdnow(write(tmp_path, PURCHASES), horizons=(20,), verify=False)
    more = [*PURCHASES, (1, "19970131", 50, 999.0), (9, "19970218", 50, 999.0)]
    after = cdnow(write(tmp_path, more), horizons=(20,), verify=False)
    pd.testing.assert_frame_equal(before.customers, after.customers)
    assert before.schema == after.schema
    earlier = before.log["customer"] < 2e8
    pd.testing.assert_frame_equal(before.log[earlier], after.log[earlier])
    assert after.log["amount"].sum() == before.log["amount"].sum() + 1998.0


def test_one_horizon_is_a_table_with_one_fund(tmp_path: Path) -> None:
    data = cdnow(write(tmp_path, PURCHASES), horizons=[20], verify=False)
    assert data.n_funds == 1
    assert len(data.log) == data.n_customers


def test_the_split_follows_the_seed_and_keeps_customers(tmp_path: Path) -> None:
    path = write(tmp_path, PURCHASES)
    first, again, other = (cdnow(path, seed=s, horizons=(10, 20), verify=False).log for s in (0, 0, 5))
    assert first.equals(again)
    assert not first["split"].equals(other["split"])
    assert first.groupby("customer")["split"].nunique().max() == 1


def test_without_a_header_and_gzipped(tmp_path: Path) -> None:
    plain = cdnow(write(tmp_path, PURCHASES), horizons=(20,), verify=False)
    path = write(tmp_path, PURCHASES, header=None)
    (tmp_path / "cdnow_master.txt.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    pd.testing.assert_frame_equal(cdnow(tmp_path, horizons=(20,), verify=False).log, plain.log)


@pytest.mark.parametrize(
    ("horizons", "message"),
    [
        ((), "horizons is"),
        ((0,), "at least 1"),
        ((7, 7), "different"),
        ((7.5,), "whole number"),
        ((25,), "at most 24"),
        ((30,), "at most 24"),
    ],
)
def test_horizons_out_of_range_are_named(tmp_path: Path, horizons: tuple[int, ...], message: str) -> None:
    path = write(tmp_path, PURCHASES)
    with pytest.raises(InputError, match=message):
        cdnow(path, horizons=horizons, verify=False)


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the published cdnow_master"):
        cdnow(write(tmp_path, PURCHASES))
    with pytest.raises(SchemaError, match="no rows"):
        cdnow(write(tmp_path, []), verify=False)
    path = tmp_path / "cdnow_master.txt"
    path.write_text(" 00001 19970101 1 3.50\n 00002 19971301 x -4.00\n")
    with pytest.raises(SchemaError) as caught:
        cdnow(path, verify=False)
    assert caught.value.problems == [
        "date: 1 of 2 rows cannot be read, the first is row 1 ('19971301')",
        "cds: 1 of 2 rows cannot be read, the first is row 1 ('x')",
        "dollars: 1 of 2 rows cannot be read, the first is row 1 ('-4.00')",
    ]
    path.write_text("")
    with pytest.raises(SchemaError):
        cdnow(path, verify=False)
    with pytest.raises(InputError, match="seed is 'x'"):
        cdnow(path, seed="x", verify=False)  # type: ignore[arg-type]


@pytest.mark.skipif(
    local_copy(FILE) is None, reason="cdnow_master.txt is not on this machine: set PTOFA_DATA to its folder"
)
def test_the_real_file() -> None:
    data = cdnow()
    a = data.arrays
    assert (data.n_customers, data.n_funds, len(a)) == (47_140, 2, 94_280)
    assert data.encoded_customers.unseen == {}
    test = a.split == 2
    assert test.sum() == 47_140
    # bought again within half a year: 27 % from July on, 23 % from the last day of the year on
    rates = [a.converted[(a.fund == 1) & part].mean() for part in (~test, test)]
    np.testing.assert_allclose(rates, [0.2709, 0.2283], atol=1e-3)
    assert (a.amount[a.fund == 1].reshape(2, -1) >= a.amount[a.fund == 0].reshape(2, -1)).all()
