"""Swaps: what a customer would lose by giving up one fund for another, and who is near to one (kernels/cpu/swaps.cpp,
kernels/cuda/swaps.cu).

A swap gives up a fund, or an empty slot, for a fund the customer does not hold, or a fund for an empty slot. Where
every customer holds what they like best at the given prices no swap gains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.device import array_namespace, is_cuda_array
from ptofa_gpu.ops._customers import FIELDS, Customers
from ptofa_gpu.ops._entry import Entry, pieces
from ptofa_gpu.ops._rows import EMPTY

_SWAP_MARGINS = Entry("swap_margins", FIELDS + "in_i16 chosen; out_f64 margin")
_MARK_NEAR = Entry("mark_near", FIELDS + "in_i16 chosen; f64 theta; out_u8 near")
_COUNT_SWAPS = Entry("count_swaps", FIELDS + "in_i16 chosen; f64 theta; out_i64 found")
_WRITE_SWAPS = Entry(
    "write_swaps", FIELDS + "in_i16 chosen; f64 theta; in_i64 at; out_i32 arc; out_i64 cost; out_i32 row"
)


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


def holders(chosen: Any, funds: np.ndarray, n_funds: int) -> Any:
    """The customers who hold one of some funds; fund F stands for an empty slot.

    Returns
    -------
    (n,) int64, rising, on the device where `chosen` is.
    """
    xp = array_namespace(chosen)
    wanted = xp.zeros(n_funds + 2, xp.bool_)
    wanted[xp.asarray(np.where(funds == n_funds, EMPTY, funds))] = True  # from the end: EMPTY, before it CLOSED
    return xp.flatnonzero(wanted[chosen].any(axis=1))


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


def collect_swaps(
    revenue: np.ndarray,
    tolerance: np.ndarray,
    risk: np.ndarray,
    mask: np.ndarray | None,
    offset: np.ndarray,
    scale: float,
    chosen: np.ndarray,
    theta: float,
    most: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Every swap that loses at most theta units: a customer who holds a and could have b instead. On the CPU only.

    With more than `most` of them it returns None, before it takes memory for them.

    Returns
    -------
    arc : (n,) int32
        a (F + 1) + b; F stands for an empty slot.
    cost : (n,) int64
        r_a - r_b in units, not negative where the plan is the best at these prices.
    row : (n,) int32
        The customer. In order of the rows, the same for any number of threads.
    """
    customers = Customers(revenue, tolerance, risk, mask, offset, scale, chosen.shape[1])
    ends = np.zeros(customers.rows + 1, np.int64)  # of each customer's swaps; before the first, 0
    parts = [
        (lo, hi, {**customers.part(lo, hi), "chosen": chosen, "theta": theta})
        for lo, hi in pieces(customers.rows, customers.funds, chosen.shape[1] + 1)
    ]
    for lo, hi, part in parts:
        _COUNT_SWAPS(**part, found=ends[1 + lo : 1 + hi])
    n = int(np.cumsum(ends, out=ends)[-1])
    if most is not None and n > most:
        return None
    arc, cost, row = np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int32)
    for lo, hi, part in parts:
        _WRITE_SWAPS(**part, at=ends[lo:hi], arc=arc, cost=cost, row=row)
    return arc, cost, row
