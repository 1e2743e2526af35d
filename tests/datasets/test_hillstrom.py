"""The Hillstrom reader, on a small file in its format and, where it can be found, on the real one."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from ptofa_gpu.datasets import hillstrom
from ptofa_gpu.datasets._fetch import local_copy
from ptofa_gpu.datasets.hillstrom import FILE
from ptofa_gpu.errors import InputError, SchemaError

HEADER = "recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend"
ARMS = ("Mens E-Mail", "Womens E-Mail", "No E-Mail")


def write(folder: Path, rows: list[str] | None = None, header: str = HEADER) -> Path:
    if rows is None:
        rows = [
            f"{1 + i % 12},1) $0 - $100,{29.99 + i},1,0,Rural,{i % 2},Web,{ARMS[i % 3]},1,{int(i % 10 == 0)},"
            f"{(5.5 + i) if i % 10 == 0 else 0}"
            for i in range(100)
        ]
    path = folder / "hillstrom.csv"
    path.write_text("\r\n".join([header, *rows]))
    return path


def test_a_file_in_the_format_becomes_exposure_data(tmp_path: Path) -> None:
    data = hillstrom(write(tmp_path), verify=False)
    a = data.arrays
    assert (len(a), data.n_customers, data.n_funds, data.currency) == (100, 100, 3, "USD")
    assert data.funds["name"].tolist() == list(ARMS)
    assert data.funds["quota"].tolist() == [34, 33, 33]
    np.testing.assert_array_equal(a.fund, np.arange(100) % 3)
    assert a.positives == 10
    assert a.amount[20] == np.float32(25.5)
    assert data.propensity is not None
    np.testing.assert_array_equal(data.propensity, np.full(100, 1 / 3, np.float32))
    assert data.problem(np.ones((100, 3))).eligible.all()
    assert data.problem(np.ones((100, 3))).case == "exact"
    assert "visit" not in [f.name for f in data.schema.customer_features]


def test_gzip_and_folder_are_understood(tmp_path: Path) -> None:
    plain = write(tmp_path)
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "hillstrom.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    one, two = hillstrom(plain, verify=False), hillstrom(folder, verify=False)
    np.testing.assert_array_equal(one.arrays.amount, two.arrays.amount)


def test_the_split_follows_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path)
    first, again, other = (hillstrom(path, seed=s, verify=False).log["split"] for s in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_a_changed_file_is_refused_unless_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not the published hillstrom\.csv"):
        hillstrom(write(tmp_path))


def test_missing_columns_and_unknown_arms_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, ["1,2"], header="recency,spend")
    with pytest.raises(SchemaError, match="column 'conversion' is missing"):
        hillstrom(path, verify=False)
    row = "1,1) $0 - $100,29.99,1,0,Rural,0,Web,{},0,0,0"
    path = write(tmp_path, [row.format("No E-Mail"), row.format("Telegram")])
    with pytest.raises(SchemaError, match=r"1 of 2 rows, the first is row 1 \('Telegram'\)"):
        hillstrom(path, verify=False)


def test_ragged_and_empty_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, ["1,2,3"])
    with pytest.raises(SchemaError, match="cannot be read as CSV"):
        hillstrom(path, verify=False)
    path.write_text("")
    with pytest.raises(SchemaError, match="cannot be read as CSV"):
        hillstrom(path, verify=False)
    with pytest.raises(SchemaError, match="no rows"):
        hillstrom(write(tmp_path, [""]), verify=False)


def test_a_seed_that_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seed is 'x'"):
        hillstrom(write(tmp_path), seed="x", verify=False)  # type: ignore[arg-type]


@pytest.mark.skipif(
    local_copy(FILE) is None, reason="hillstrom.csv is not on this machine: set PTOFA_DATA to its folder"
)
def test_the_real_file() -> None:
    data = hillstrom()
    a = data.arrays
    assert len(a) == 64_000
    assert a.positives == 578
    assert np.bincount(a.fund).tolist() == [21_307, 21_387, 21_306]
    assert a.amount.sum(dtype=float) == pytest.approx(67_258.13, abs=0.01)
    mens = a.amount[a.fund == 0].mean(dtype=float)
    assert mens == pytest.approx(1.42, abs=0.005)
    np.testing.assert_allclose(np.bincount(a.split) / len(a), [0.6, 0.1, 0.3], atol=0.01)
    assert data.encoded_customers.unseen == {}
