"""What the commands share: choices, options of one name and meaning everywhere, and tables from and to files."""

from __future__ import annotations

import inspect
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ptofa_gpu.cli._config import read_config
from ptofa_gpu.errors import InputError


class DeviceChoice(StrEnum):
    """Where to work."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Device = Annotated[DeviceChoice, typer.Option(help="Where to work.")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document and nothing else.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.yaml",
        callback=read_config,
        is_eager=True,
        help="Arguments and options from a YAML file; what the command line says comes first.",
    ),
]


def flowing(text: str) -> str:
    """A docstring with each paragraph as one line: a terminal breaks it where it is itself that wide."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(text).split("\n\n"))


def read_table(path: Path, *, array: bool = False) -> Any:
    """A table, or where `array` allows it a matrix, from a file; the name's ending says which."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv, parquet

    # not parquet.read_table: it imports pandas, which takes longer than reading a million rows
    readers: dict[str, Any] = {".parquet": lambda p: parquet.ParquetFile(p).read(), ".csv": csv.read_csv}
    if array:
        readers[".npy"] = lambda p: np.load(p, mmap_mode="r", allow_pickle=False)
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: files may end in {', '.join(readers)} here")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        return reader(path)
    except (pa.ArrowException, ValueError, EOFError) as e:
        raise InputError(f"{path} cannot be read as {path.suffix.lower()}: {e}") from e
