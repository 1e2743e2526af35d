"""Reading tables: the same table from each form, ids as they are written, and one clear refusal of what is no table."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu import read_table
from ptofa_gpu.errors import InputError

Write = Callable[[pd.DataFrame, Path], Path]


def _compressed(text: bytes, file: Path) -> Path:
    with pa.output_stream(str(file), compression={".gz": "gzip", ".zst": "zstd"}.get(file.suffix)) as out:
        out.write(text)
    return file


def _csv(name: str, encoding: str = "utf-8", **how: Any) -> Write:
    def write(frame: pd.DataFrame, folder: Path) -> Path:
        return _compressed(frame.to_csv(index=False, **how).encode(encoding), folder / name)

    return write


def _parquet(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_parquet(folder / "t.parquet", index=False)
    return folder / "t.parquet"


def _parquet_folder(frame: pd.DataFrame, folder: Path) -> Path:
    (folder / "parts" / "_delta_log").mkdir(parents=True)
    for i, lo in enumerate(range(0, max(len(frame), 1), 2)):
        part = frame.iloc[lo : lo + 2]
        part.to_parquet(folder / "parts" / f"part-{i:05d}.snappy.parquet", index=False)
    for name in ("_SUCCESS", ".part-00000.snappy.parquet.crc", "_delta_log/0.parquet", "README.txt"):
        (folder / "parts" / name).write_bytes(b"no Parquet")
    return folder / "parts"


def _feather(frame: pd.DataFrame, folder: Path) -> Path:
    pyarrow.feather.write_feather(pa.Table.from_pandas(frame, preserve_index=False), folder / "t.feather")
    return folder / "t.feather"


def _stream(frame: pd.DataFrame, folder: Path) -> Path:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pa.ipc.new_stream(folder / "t.arrow", table.schema) as out:
        out.write_table(table)
    return folder / "t.arrow"


def _polars(write: str, name: str) -> Write:
    def run(frame: pd.DataFrame, folder: Path) -> Path:
        getattr(pl.from_pandas(frame), write)(folder / name)
        return folder / name

    return run


def _categories(frame: pd.DataFrame, folder: Path) -> Path:
    text = [c for c in frame if frame[c].dtype == "str"]
    return _parquet(frame.astype(dict.fromkeys(text, "category")), folder)


FORMS: dict[str, Write] = {
    "csv": _csv("t.csv"),
    "CSV": _csv("T.CSV"),
    "semicolon": _csv("t.csv", sep=";"),
    "tab in txt": _csv("t.txt", sep="\t"),
    "tsv": _csv("t.tsv", sep="\t"),
    "bar": _csv("t.csv", sep="|"),
    "gz": _csv("t.csv.gz"),
    "zst": _csv("t.csv.zst"),
    "quoted": _csv("t.csv", quoting=1),
    "bom, CRLF": _csv("t.csv", encoding="utf-8-sig", lineterminator="\r\n"),
    "parquet": _parquet,
    "parquet folder": _parquet_folder,
    "parquet with categories": _categories,
    "feather": _feather,
    "arrow stream": _stream,
    "polars csv": _polars("write_csv", "t.csv"),
    "polars parquet": _polars("write_parquet", "t.parquet"),
    "polars arrow": _polars("write_ipc", "t.arrow"),
}
FRAME = pd.DataFrame(
    {
        "customer": ["00123", "NA", "1e5", "12345678901234567890", "nan"],
        "fund": ["null", "-", "Fünf, \"quoted\"", "7", "two\nlines"],
        "name": ["None", None, "N/A", "x;y", "a|b\tc"],
        "region": ["north", None, "NA", "-", "south"],
        "branch": ["007", "012", None, "100", "007"],
        "age": [31.5, None, 64.0, -1e300, 0.1],
        "count": [1, 2, 3, -4, 5_000_000_000],
        "vip": [True, False, False, True, True],
    }
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_table(form: str, tmp_path: Path) -> None:
    expected = read_table(_parquet(FRAME, tmp_path))
    assert expected["customer"].to_pylist() == FRAME["customer"].tolist()
    assert [expected[c].null_count for c in ("name", "region", "branch", "age")] == [1, 1, 1, 1]
    (tmp_path / "other").mkdir()
    read = read_table(FORMS[form](FRAME, tmp_path / "other"))
    assert read.schema == expected.schema
    assert read.to_pylist() == expected.to_pylist()


# text that a CSV can hold: an empty field is missing there
_words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            _words,
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.one_of(st.none(), st.dates(date(1900, 1, 1), date(2200, 1, 1))),
        ),
        min_size=1,
        max_size=20,
    ),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    comma=st.booleans(),
    ending=st.sampled_from([".csv", ".csv.gz", ".csv.zst"]),
)
def test_what_is_written_is_read(rows: list, separator: str, comma: bool, ending: str, tmp_path: Path) -> None:
    ids, numbers, days = map(list, zip(*rows))
    frame = pd.DataFrame({"customer": ids, "x": pd.array(numbers, "float64"), "since": days})
    file, decimal = tmp_path / f"t{ending}", "," if comma else "."
    _compressed(frame.to_csv(index=False, sep=separator, decimal=decimal, quoting=1).encode(), file)
    read = read_table(file, separator=separator, decimal=decimal, types={"x": "number", "since": "date"})
    assert read["customer"].to_pylist() == ids
    assert read["x"].to_pylist() == numbers
    assert read["since"].to_pylist() == days


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def test_marks_for_missing_are_missing_in_numbers_and_dates_and_are_text_elsewhere(tmp_path: Path) -> None:
    file = write(tmp_path, "customer,age,since,region\n1,31,2020-01-31,-\n2,-,-,NA\n3,NA,,east\n4,,null,\n")
    assert read_table(file).to_pydict() == {
        "customer": ["1", "2", "3", "4"],
        "age": [31, None, None, None],
        "since": [date(2020, 1, 31), None, None, None],
        "region": ["-", "NA", "east", None],
    }


def test_zeros_in_front_make_text_also_far_down_a_file(tmp_path: Path) -> None:
    n = 300_000
    plain = "".join(f"{i},{i % 97},{i % 5}\n" for i in range(n))
    read = read_table(write(tmp_path, f"customer,branch,tolerance\n{plain}x,007,01\n"))
    assert read["branch"].type == pa.large_string()
    assert read["branch"][-1].as_py() == "007"
    assert read["tolerance"].type == pa.int64()
    assert read["customer"][n - 1].as_py() == str(n - 1)
    for text, whole in (("0", True), ("-0", True), ("+1", False), ("-01", False), ("0x1F", False), ("10", True)):
        read = read_table(write(tmp_path, f"customer,branch\n1,5\n2,{text}\n"))
        assert (read["branch"].type == pa.int64()) is whole, text


def test_codes_are_the_same_categories_in_a_file_that_shows_no_zero_in_front(tmp_path: Path) -> None:
    funds = pa.table({"fund": ["a"]})
    learned = ptofa.Schema.infer(read_table(write(tmp_path, "customer,branch\n1,007\n2,100\n3,210\n")), funds)
    later = read_table(write(tmp_path, "customer,branch\n8,210\n9,100\n"))
    assert learned.encode_customers(later).categorical[:, 0].tolist() == [3, 2]


def test_numbers_that_begin_whole_may_end_otherwise(tmp_path: Path) -> None:
    plain = "".join(f"{i},{i}\n" for i in range(300_000))
    assert read_table(write(tmp_path, f"customer,x\n{plain}y,0.5\n"))["x"].type == pa.float64()


def test_the_decimal_comma(tmp_path: Path) -> None:
    file = write(tmp_path, 'customer;balance\n1;"1,5"\n2;-3\n3;-\n')
    assert read_table(file, decimal=",")["balance"].to_pylist() == [1.5, -3.0, None]
    assert read_table(file)["balance"].to_pylist() == ["1,5", "-3", "-"]  # a schema refuses what looks like that


@pytest.mark.parametrize("index", [None, "random", "two levels"])
@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.feather"])
def test_a_saved_index_is_left_out(name: str, index: str | None, tmp_path: Path) -> None:
    frame = pd.DataFrame({"customer": ["a", "b", "c"], "age": [1, 2, 3]})
    if index:
        frame.index = pd.Index([5, 3, 4]) if index == "random" else pd.MultiIndex.from_tuples([(1, 2), (2, 2), (3, 1)])
    if name.endswith(".feather"):
        pyarrow.feather.write_feather(pa.Table.from_pandas(frame), tmp_path / name)
    else:
        getattr(frame, "to_parquet" if name.endswith(".parquet") else "to_csv")(tmp_path / name)
    assert read_table(tmp_path / name).column_names == ["customer", "age"]
    pd.read_csv(write(tmp_path, ",customer\n0,a\n", "u.csv")).to_csv(tmp_path / "u.csv")
    assert read_table(tmp_path / "u.csv").column_names == ["customer"]


def test_an_index_with_a_name_is_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"customer": ["a", "b"], "age": [1, 2]}).set_index("customer")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv")
    for name in ("t.parquet", "t.csv"):
        assert set(read_table(tmp_path / name).column_names) == {"customer", "age"}


# -- ids -----------------------------------------------------------------------------------------------------------
def test_ids_are_whole_numbers_where_that_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, "customer,fund,name\n00123,bond,1\n 7,1,2\n18446744073709551615,2,3\n,,\n")
    read = read_table(file, id_type="integer")
    assert read["customer"].to_pylist() == [123, 7, 18446744073709551615, None]
    assert read["fund"].to_pylist() == ["bond", "1", "2", None]
    assert read["name"].to_pylist() == ["1", "2", "3", None]
    assert read_table(write(tmp_path, "fund\n07\n8\n"), id_type="integer")["fund"].to_pylist() == [7, 8]
    pq.write_table(pa.table({"customer": ["1", "2"]}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", id_type="integer")["customer"].type == pa.int64()
    with pytest.raises(InputError, match=r"'customer' was asked for as whole numbers and holds 'C2' in row 1; read"):
        read_table(write(tmp_path, "customer\n1\nC2\n"), id_type="integer")
    with pytest.raises(InputError, match="holds a number beyond 64 bits"):
        read_table(write(tmp_path, "customer\n1\n123456789012345678901\n"), id_type="integer")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_types_can_be_given(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"customer": ["1", "002"], "zip": [10115, 1067], "x": ["5", "6"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    read = read_table(tmp_path / name, types={"customer": "integer", "zip": "text", "x": pa.float32()})
    assert read.schema.types == [pa.int64(), pa.large_string(), pa.float32()]
    assert read.to_pylist()[1] == {"customer": 2, "zip": "1067", "x": 6.0}
    with pytest.raises(InputError, match="lacks the column 'gone' of types"):
        read_table(tmp_path / name, types={"gone": "text"})


# -- folders -------------------------------------------------------------------------------------------------------
def test_partitions_become_columns(tmp_path: Path) -> None:
    n = 40
    frame = pd.DataFrame({"customer": range(n), "fund": ["07", "b/ö"] * 20, "day": np.arange(n) // 8, "x": 0.5})
    frame["since"] = [date(2024, 1, 1 + i % 3) for i in range(n)]
    frame["note"] = [None if i % 8 == 0 else "n" for i in range(n)]  # a part in which all are missing
    frame.to_parquet(tmp_path / "log", partition_cols=["day", "fund", "since"])
    read = read_table(tmp_path / "log")
    assert {f.name: f.type for f in read.schema} == {
        "customer": pa.int64(), "x": pa.float64(), "note": pa.large_string(),
        "day": pa.int64(), "fund": pa.large_string(), "since": pa.date32(),
    }  # fmt: skip
    rows = pd.DataFrame(read.to_pylist()).sort_values("customer")
    for column in ("fund", "day", "since"):
        assert rows[column].tolist() == frame[column].tolist()
    days = [None if d == 4 else f"0{d}" for d in frame["day"]]
    frame.assign(day=days).to_parquet(tmp_path / "z", partition_cols=["day"])
    assert set(read_table(tmp_path / "z")["day"].to_pylist()) == {"00", "01", "02", "03", None}


def test_parts_of_different_types_meet_where_one_holds_the_other(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    pq.write_table(pa.table({"x": pa.array([1], pa.int32()), "y": ["a"]}), tmp_path / "t" / "0.parquet")
    pq.write_table(pa.table({"x": pa.array([2.5]), "z": [1]}), tmp_path / "t" / "1.parquet")
    assert read_table(tmp_path / "t").to_pydict() == {"x": [1.0, 2.5], "y": ["a", None], "z": [None, 1]}
    pq.write_table(pa.table({"x": ["text"]}), tmp_path / "t" / "2.parquet")
    with pytest.raises(InputError, match=r"cannot be read as folder: .*x has incompatible types"):
        read_table(tmp_path / "t")


# -- what is refused -----------------------------------------------------------------------------------------------
GOOD = "customer,age\n" + "".join(f"{i},{i}\n" for i in range(20_000))


def _zstd(text: str) -> bytes:
    return pa.Codec("zstd").compress(text.encode(), asbytes=True)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "Empty CSV"),
        ("t.csv", b"\n\n", "Empty CSV"),
        ("t.csv", b"customer,age\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("t.csv", b"customer,age\n1,2,3\n", "Expected 2 columns, got 3"),
        ("t.csv", b"customer,age,age\n1,2,3\n", "two columns of the name 'age'"),
        ("t.csv", "customer,region\n1,Köln\n".encode("latin-1"), "'region' is not UTF-8"),
        ("t.csv", "customer,region\nKöln,1\n".encode("latin-1"), "UTF-8"),
        ("t.csv", "customer,Größe\n1,2\n".encode("latin-1"), "utf-8"),
        ("t.csv", "customer,age\n1,2\n".encode("utf-16"), "it looks like UTF-16"),
        ("t.csv", b"customer,age;x\n1,2;3\n", "say which of them is the separator="),
        ("t.csv", b'customer,age\n1,"2\n3,4\n', 'a quote (") is not closed'),
        ("t.csv", b"PAR1\x00\x01", "not UTF-8 text"),
        ("t.csv.gz", gzip.compress(GOOD.encode())[:-2000], "Truncated"),
        ("t.csv.gz", GOOD.encode(), "cannot be read as .csv"),
        ("t.csv.zst", _zstd(GOOD)[:-200], "cannot be read as .csv"),
        ("t.csv.zst", b"no zstd", "cannot be read as .csv"),
        ("t.parquet", b"", "cannot be read as .parquet"),
        ("t.parquet", b"customer,age\n1,2\n", "cannot be read as .parquet"),
        ("t.parquet", b"PAR1 and then nothing PAR1", "cannot be read as .parquet"),
        ("t.feather", b"customer,age\n", "cannot be read as .feather"),
        ("t.arrow", b"ARROW1 and then nothing", "cannot be read as .arrow"),
        ("t.arrow", b"", "cannot be read as .arrow"),
        ("t.xlsx", b"PK", "files may end in .parquet, .csv"),
        ("t.parquet.gz", b"", "files may end in"),
        ("t", b"", "files may end in"),
        ("t.npy", b"", "files may end in"),
    ],
)
def test_what_is_no_table_is_refused_with_its_path(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_table(write(tmp_path, content, name))
    assert str(tmp_path / name) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_without_parquet_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for hidden in (".x.parquet", "_x.parquet", "x.csv"):
        (tmp_path / "t" / hidden).write_bytes(b"")
    with pytest.raises(InputError, match=r"t is a folder without a \.parquet file"):
        read_table(tmp_path / "t")
    with pytest.raises(InputError, match=r"none\.csv: there is no such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "t" / "y.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"cannot be read as folder"):
        read_table(tmp_path / "t")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD).chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "options",
    [
        {"separator": ";;"}, {"separator": 3}, {"separator": "\n"}, {"decimal": "x"}, {"id_type": "number"},
        {"types": ["customer"]}, {"types": {"customer": "words"}},
    ],
)  # fmt: skip
def test_options_that_are_none_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        read_table(write(tmp_path, GOOD), **options)
    with pytest.raises(InputError, match="path is a list"):
        read_table([1])  # type: ignore[arg-type]


def test_header_only_is_an_empty_table(tmp_path: Path) -> None:
    read = read_table(write(tmp_path, "customer,age\n"))
    assert (read.num_rows, read.column_names) == (0, ["customer", "age"])
    assert read["customer"].type == pa.large_string()


def test_blanks_quotes_and_line_breaks(tmp_path: Path) -> None:
    text = '\ufeff\r\n"customer","a ""b"", c"\r\n"1\r\n2","x, y"\r\n"3",""\r\n'
    assert read_table(write(tmp_path, text)).to_pydict() == {"customer": ["1\r\n2", "3"], 'a "b", c': ["x, y", None]}


def test_times_of_a_csv(tmp_path: Path) -> None:
    read = read_table(write(tmp_path, "customer,t\n1,2024-01-31 10:00:00\n2,2024-01-31T11:30:00.5\n"))
    assert [v.as_py() for v in read["t"].cast(pa.timestamp("us"))][1] == datetime(2024, 1, 31, 11, 30, 0, 500_000)


def test_an_array_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "E.npy", np.ones((3, 2)))
    read = read_table(tmp_path / "E.npy", array=True)
    assert isinstance(read, np.memmap)
    assert read.shape == (3, 2)
    np.save(tmp_path / "O.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"cannot be read as \.npy"):
        read_table(tmp_path / "O.npy", array=True)


def test_reading_does_not_import_pandas(tmp_path: Path) -> None:
    write(tmp_path, "customer,branch,age,region\n1,7,1.5,n\n2,8,,\n")
    FRAME.to_parquet(tmp_path / "t.parquet")
    _parquet_folder(FRAME, tmp_path)
    program = (
        "import sys, json, ptofa_gpu\n"
        "n = [ptofa_gpu.read_table(f).num_rows for f in ('t.csv', 't.parquet', 'parts')]\n"
        "print(json.dumps([n, 'pandas' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == [[2, 5, 5], False]


def test_it_is_public() -> None:
    assert ptofa.read_table is read_table
    assert "read_table" in ptofa.__all__
