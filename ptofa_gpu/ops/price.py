"""The price pass: what every customer would take at given prices, and who is about to change their mind
(kernels/cpu/price.cpp, kernels/cuda/price.cu).

All values are whole numbers of *units* held in float64 (below 2^52 in size), so additions and comparisons are exact and
every device and thread count gives the same bits. A unit is 2^-shift of the currency.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._customers import FIELDS, Customers
from ptofa_gpu.ops._entry import Entry, pieces

_PRICE_PASS = Entry("price_pass", FIELDS + "in_f64 delta; out_i64 counts; out_i64 swaps; out_i64 value")


def price_pass(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    delta: np.ndarray,
    k: int,
    slots: Any = None,
    first: int = 0,
    stride: int = 1,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Let every customer take the K funds of highest reduced value r = units(E) + offset where r > 0.

    Parameters
    ----------
    revenue : (U, F) float32
    tolerance, risk, mask
        As in `score_and_pick`.
    offset : (F,) float64, whole
        Added to each fund's value, in units: minus its price (and the same bonus for all).
    scale : float
        Units per currency, a power of two.
    delta : (F + 1, F + 1) float64
        A choice of a with the alternative b less than delta[a, b] units worse counts as a swap; F is the empty slot.
    k : int
    slots : (U,) int8, optional
        How many funds each customer gets, 0 to K; without it K. A slot beyond that is neither taken nor left empty.
    first, stride : int
        Look only at the customers first, first + stride, ...

    Returns
    -------
    counts : (F + 1,) int64
        How often each fund is taken; last, slots left empty.
    swaps : (F + 1, F + 1) int64
        [a, b]: customers who hold a and would rather have b once r_a - r_b falls by delta[a, b].
    value : int
        Sum of the reduced values taken, in units; exact.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().price_pass(
            revenue, tolerance, risk, mask, offset, scale, delta, k, slots, first, stride
        )
    customers = Customers(revenue, tolerance, risk, mask, offset, scale, k, slots, first, stride)
    size = customers.funds + 1
    counts, swaps, value = np.zeros(size, np.int64), np.zeros((size, size), np.int64), np.zeros(2, np.int64)
    delta = np.ascontiguousarray(delta, np.float64)
    for lo, hi in pieces(customers.rows, customers.funds, k + 1):
        _PRICE_PASS(**customers.part(lo, hi), delta=delta, counts=counts, swaps=swaps, value=value)
    return counts, swaps, (int(value[0]) << 24) + int(value[1])
