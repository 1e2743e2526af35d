"""An example of one's own data as files, for who has none at hand yet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ptofa_gpu._arguments import listed, path_of
from ptofa_gpu._files import atomic_path
from ptofa_gpu.errors import InputError

NAMES = ("log", "customers", "funds")


def example_files(
    folder: str | os.PathLike[str], given: Sequence[str] = (), *, customers: int = 30_000, seed: int = 0
) -> tuple[Path, Path, Path]:
    """Write ``log.parquet``, ``customers.parquet`` and ``funds.parquet`` of a synthetic campaign; return their paths.

    Parameters
    ----------
    folder : path
        Made if need be.
    given : sequence of str
        The files that the caller was given instead; an example must not stand in for a part of them.
    customers, seed
        Of the synthetic campaign.

    Raises
    ------
    InputError
        Some, but not all, of the three files were given.
    """
    from pyarrow import parquet

    from ptofa_gpu.datasets import lct

    files = listed("given", given, "paths")
    missing = [name for name, path in zip(NAMES, files) if path is None or (isinstance(path, str) and not path)]
    if len(missing) < len(files):
        raise InputError(f"give all three files or none; missing: {', '.join(missing)}")
    data = lct("A", customers=customers, seed=seed, backend="pyarrow")
    paths = tuple(path_of("folder", folder) / f"{name}.parquet" for name in NAMES)
    for path, table in zip(paths, (data.log, data.customers, data.funds)):
        with atomic_path(path) as partial:
            parquet.write_table(table, partial)
    return paths  # type: ignore[return-value]
