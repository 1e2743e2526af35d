"""Swaps: what a customer would lose by giving up one fund for another, and who is near to one (kernels/cpu/swaps.cpp,
kernels/cuda/swaps.cu).

A swap gives up a fund, or an empty slot, for a fund the customer does not hold, or a fund for an empty slot. Where
every customer holds what they like best at the given prices no swap gains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.device import is_cuda_array
from ptofa_gpu.ops._customers import FIELDS, Customers
from ptofa_gpu.ops._entry import Entry, pieces

_SWAP_MARGINS = Entry("swap_margins", FIELDS + "in_i16 chosen; out_f64 margin")
_MARK_NEAR = Entry("mark_near", FIELDS + "in_i16 chosen; f64 theta; out_u8 near")


def swap_margins(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    chosen: Any,
    stride: int,
) -> np.ndarray:
    """What the cheapest swap of every stride-th customer would lose.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale
        As in `price_pass`.
    chosen : (U, K) int16
        The allocation; -1 in an empty slot, -2 in a slot that the customer does not have.
    stride : int

    Returns
    -------
    (n,) float64, units; infinite where there is no swap.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().swap_margins(revenue, tolerance, risk, mask, offset, scale, chosen, stride)
    customers = Customers(revenue, tolerance, risk, mask, offset, scale, chosen.shape[1], stride=stride)
    margin = np.empty(customers.rows)
    for lo, hi in pieces(customers.rows, customers.funds):
        _SWAP_MARGINS(**customers.part(lo, hi), chosen=chosen, margin=margin[lo:hi])
    return margin


def near_rows(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    chosen: Any,
    theta: float,
) -> Any:
    """The customers whose cheapest swap loses at most `theta`: those an exchange of that reach has to do with.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale, chosen
        As in `swap_margins`.
    theta : float
        Units; infinite for all customers.

    Returns
    -------
    (n,) int64, rising, on the device where the data are; for `gather` and `scatter`.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().near_rows(revenue, tolerance, risk, mask, offset, scale, chosen, theta)
    customers = Customers(revenue, tolerance, risk, mask, offset, scale, chosen.shape[1])
    near = np.empty(customers.rows, np.bool_)
    for lo, hi in pieces(customers.rows, customers.funds):
        _MARK_NEAR(**customers.part(lo, hi), chosen=chosen, theta=theta, near=near[lo:hi].view(np.uint8))
    return np.flatnonzero(near)


def gather(array: Any, rows: Any) -> np.ndarray:
    """The rows `rows` of an array as a NumPy array: taken out on the device where `array` is, then copied."""
    if is_cuda_array(array):
        from ptofa_gpu._lazy import require

        cupy = require("cupy", "data on a GPU")
        return cupy.take(array, cupy.asarray(rows), axis=0).get()
    return array[rows]


def scatter(array: Any, rows: Any, values: np.ndarray) -> None:
    """Write a NumPy array into the rows `rows` of `array`, on the device where that is."""
    if is_cuda_array(array):
        from ptofa_gpu._lazy import require

        cupy = require("cupy", "data on a GPU")
        array[cupy.asarray(rows)] = cupy.asarray(values)
        return
    array[rows] = values
