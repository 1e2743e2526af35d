"""`ptofa predict`: from a model and two tables to the expected revenue of every pair, in a file."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ptofa_gpu._files import atomic_path, check_output, require_space
from ptofa_gpu.cli._shared import (
    TABLE,
    Config,
    Decimal,
    Device,
    DeviceChoice,
    IdChoice,
    IdType,
    Json,
    Separator,
    say,
    table_reader,
)
from ptofa_gpu.errors import InputError
from ptofa_gpu.tables import field_separator, is_saved_index


def predict(
    model: Annotated[Path, typer.Argument(help="What ptofa train wrote: .ckpt.")],
    customers: Annotated[Path, typer.Argument(help=f"customer, and the features of training. {TABLE}.")],
    funds: Annotated[Path, typer.Argument(help="fund, and the features of training; the same forms.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Expected revenue: .parquet or .csv (customer and one column a fund), or .npy."
        ),
    ] = Path("revenue.parquet"),
    separator: Separator = None,
    decimal: Decimal = ".",
    id_type: IdType = IdChoice.text,
    device: Device = DeviceChoice.auto,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write the expected revenue of every customer and fund, in currency per exposure: what ptofa allocate reads.

    Examples:

    ptofa predict model.ckpt customers.parquet funds.csv -o revenue.parquet

    ptofa predict model.ckpt customers.parquet funds.csv -o revenue.npy && ptofa allocate revenue.npy customers.parquet
    funds.csv
    """
    import numpy as np

    writers: dict[str, Any] = {".parquet": _parquet, ".csv": partial(_csv, separator, decimal), ".npy": None}
    ending = output.suffix.lower()
    if ending not in writers:
        raise InputError(f"{output}: --output may end in {', '.join(writers)} here")
    check_output(output, [path for path in (model, customers, funds, config) if path is not None])
    if not model.is_file():
        raise InputError(f"{model}: there is no such file")
    read = table_reader(separator, decimal, id_type)
    people, products = read(customers), read(funds)
    for path, table, column in ((customers, people, "customer"), (funds, products, "fund")):
        if column not in table.column_names:
            names = ", ".join(map(repr, table.column_names))
            raise InputError(f"{path} lacks the column {column}; it has {names}")
    if ending != ".npy":
        _check_names(products["fund"].to_pylist(), funds)
    require_space(output, len(people) * len(products) * np.dtype(np.float32).itemsize)
    from ptofa_gpu.device import to_device
    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.revenue import expected_revenue

    trained = RevenueModel.load(model)
    begun = time.perf_counter()
    progress = True if sys.stderr.isatty() else None
    found = expected_revenue(trained, people, products, device=device.value, progress=progress)
    seconds, on = time.perf_counter() - begun, "cpu" if isinstance(found, np.ndarray) else "cuda"
    revenue = np.asarray(to_device(found, "cpu"))
    with atomic_path(output) as unfinished:
        write = writers[ending]
        if write is None:
            with unfinished.open("wb") as f:
                np.save(f, revenue, allow_pickle=False)
        else:
            write(_table(people, products, revenue), unfinished)
    n, f = revenue.shape
    if as_json:
        facts = {"revenue": str(output), "customers": n, "funds": f, "seconds": round(seconds, 3), "device": on}
        typer.echo(json.dumps(facts, indent=2))
    else:
        say(f"expected revenue of {n:,} customers x {f} funds in {seconds:.2f} s on {on}\nrevenue: {output}")


def _check_names(ids: list[Any], path: Path) -> None:
    """Funds name columns of the table that is written: refused where the table could not be read back."""
    names = ["" if i is None else str(i) for i in ids]
    repeated = next((n for n in names if names.count(n) > 1), None)
    taken = next((n for n in names if n in ("customer", "fund", "revenue") or is_saved_index(n)), None)
    if repeated is not None:
        raise InputError(f"{path}: the fund {repeated!r} is there twice; each fund has one row")
    if taken is not None:
        raise InputError(
            f"{path}: a fund is called {taken!r}, which cannot name a column of a revenue table; write .npy instead"
        )


def _table(people: Any, products: Any, revenue: Any) -> Any:
    import pyarrow as pa

    names = [str(name) for name in products["fund"].to_pylist()]
    return pa.table({"customer": people["customer"], **{name: revenue[:, i] for i, name in enumerate(names)}})


def _parquet(table: Any, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path)


def _csv(separator: str | None, decimal: str, table: Any, path: Path) -> None:
    """In the form in which the other tables are, so that ptofa allocate reads them with the same options."""
    import pyarrow.compute as pc
    from pyarrow import csv

    if decimal == ",":
        for i, name in enumerate(table.column_names[1:], start=1):
            table = table.set_column(i, name, pc.replace_substring(table[i].cast("string"), ".", ","))
    delimiter = field_separator(separator) or (";" if decimal == "," else ",")
    csv.write_csv(table, path, csv.WriteOptions(delimiter=delimiter))
