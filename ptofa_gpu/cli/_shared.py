"""What the commands share: choices, options of one name and meaning everywhere, and tables from and to files."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ptofa_gpu._text import visible
from ptofa_gpu.cli._config import read_config
from ptofa_gpu.tables import read_table, split_names


class DeviceChoice(StrEnum):
    """Where to work."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class IdChoice(StrEnum):
    """How ids are read from text."""

    text = "text"
    integer = "integer"


#: What the help of each command says of its files.
TABLE = "Parquet (a file or a folder), .csv (also .gz or .zst), .feather or .arrow"

Device = Annotated[DeviceChoice, typer.Option(help="Where to work.")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document and nothing else.")]
Separator = Annotated[
    str | None,
    typer.Option(help="Between a CSV's fields: one character, or tab. By default what its first line shows."),
]
Decimal = Annotated[str, typer.Option(help="Decimal point of a CSV's numbers: . or ,")]
IdType = Annotated[
    IdChoice,
    typer.Option(help="Ids of a CSV: text as written (00123 is not 123), or whole numbers where they are that."),
]
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


def say(text: str, *, err: bool = False) -> None:
    """Print text that may hold names from outside: nothing in it acts on the terminal."""
    typer.echo(visible(text), err=err)


def flowing(text: str) -> str:
    """A docstring with each paragraph as one line: a terminal breaks it where it is itself that wide."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(text).split("\n\n"))


def table_reader(separator: str | None, decimal: str, id_type: IdChoice) -> Callable[..., Any]:
    """`read_table` with what the command line says of the files' form."""
    return partial(read_table, separator=separator, decimal=decimal, id_type=id_type.value)


def names_of(given: list[str] | None, *tables: Any) -> list[str] | None:
    """Columns from an option that may be repeated, each time with one name or several with commas between them."""
    if not given:
        return None
    columns = {name for table in tables for name in table.column_names}
    return [name for text in given for name in ([text] if text in columns else split_names(text))]
