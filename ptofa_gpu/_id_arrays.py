"""Ids that come as an array or a column of their own, not in a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._arguments import is_masked
from ptofa_gpu._columns import ColumnError, arrow_array, from_values
from ptofa_gpu._ids import Ids, shared_in_words
from ptofa_gpu.device import to_device
from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow as pa


def check_ids(ids: Any, n: int, what: str) -> Ids:
    """Identifiers passed as an array: one a row, none missing, none twice.

    Parameters
    ----------
    ids : list, array, or column of any library narwhals knows
    n : int
        As many as there must be.
    what : str
        What messages call them.

    Raises
    ------
    InputError
    """
    out = as_ids(ids, what)
    if len(out) != n:
        raise InputError(f"{what} has shape ({len(out)},); one identifier a row of the revenue needs ({n},).")
    if out.missing is not None:
        rows = np.flatnonzero(out.missing)
        raise InputError(f"{what} is missing: {rows.size:,} of {n:,} rows, the first is row {rows[0]}.")
    rows, distinct = out.repeated
    if rows.size:
        raise InputError(f"{what} must be unique; {shared_in_words(rows, n, distinct, 'id', out[int(rows[0])])}.")
    return out


def as_ids(values: Any, what: str) -> Ids:
    """Identifiers of any form, also with some missing or repeated.

    Raises
    ------
    InputError
        When they cannot be read exactly.
    """
    out = values if isinstance(values, Ids) else Ids(_as_series(values, what))  # what was read before remembers it
    try:
        _ = out.kind
    except ColumnError as e:
        raise InputError(f"{what} {e}.") from e
    return out


def _as_series(values: Any, what: str) -> nw.Series[Any]:
    import narwhals as nw
    import pyarrow as pa

    if isinstance(values, nw.Series):
        return values
    if type(values).__module__.partition(".")[0] == "pandas" and hasattr(values, "to_series"):  # an index
        values = values.to_series(index=range(len(values)))
    try:
        return nw.from_native(values, series_only=True)
    except TypeError:
        pass
    if not isinstance(values, (list, tuple, pa.Array)) and not hasattr(values, "__array__"):
        raise InputError(f"{what} is a {type(values).__name__}; it needs a list, an array or a column of identifiers.")
    try:
        array = _as_arrow(values, what)
    except ColumnError as e:
        raise InputError(f"{what} {e}.") from e
    return nw.from_native(pa.chunked_array([array]), series_only=True)


def _as_arrow(values: Any, what: str) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values
    if isinstance(values, (list, tuple)):
        return from_values(list(values))
    if hasattr(values, "__arrow_array__"):
        return pa.array(values)
    array = np.asanyarray(to_device(values, "cpu"))
    if array.ndim != 1:
        raise InputError(f"{what} has shape {array.shape}; identifiers are one column.")
    if is_masked(array):
        return from_values(array.tolist())
    return arrow_array(np.array(array))  # a copy: the caller's own array may change
