"""Which funds customers take at given prices, and how close each choice is (kernels/cpu/choices.cpp,
kernels/cuda/choices.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._customers import FIELDS, Customers
from ptofa_gpu.ops._entry import Entry, pieces

_CHOICES = Entry("choices", FIELDS + "out_i16 held; out_i16 other; out_f64 margin; out_i64 value")
_TAKE = Entry("take", FIELDS + "out_i16 chosen")


def choices(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    k: int,
    slots: Any = None,
    first: int = 0,
    stride: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """What customers take at these prices, slot by slot, and how close each choice is.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale, k, slots, first, stride
        As in `price_pass`.

    Returns
    -------
    held, other : (n, K) int16
        The fund in each slot (F: empty, or a slot that the customer does not have) and the best alternative to it.
    margin : (n, K) float64
        By how many units the alternative is worse; infinite where there is none.
    value : int
        Sum of the reduced values taken, in units.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().choices(revenue, tolerance, risk, mask, offset, scale, k, slots, first, stride)
    customers = Customers(revenue, tolerance, risk, mask, offset, scale, k, slots, first, stride)
    rows = customers.rows
    held, other = np.empty((rows, k), np.int16), np.empty((rows, k), np.int16)
    margin, value = np.empty((rows, k)), np.zeros(2, np.int64)
    for lo, hi in pieces(rows, customers.funds, k + 1):
        out = {"held": held[lo:hi], "other": other[lo:hi], "margin": margin[lo:hi]}
        _CHOICES(**customers.part(lo, hi), **out, value=value)
    return held, other, margin, (int(value[0]) << 24) + int(value[1])


def exact_sum(value: np.ndarray) -> int:
    """Sum of an int64 array that may not fit in int64 itself."""
    return (int((value >> 24).sum()) << 24) + int((value & 0xFFFFFF).sum())


def take(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    chosen: Any,
    slots: Any = None,
) -> None:
    """Write what every customer takes at these prices (see `price_pass`).

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale, slots
        As in `price_pass`.
    chosen : (U, K) int16, written
        The funds, best first, equal values by lower index; -1 in a slot left empty, -2 in one the customer does not
        have.
    """
    if not isinstance(revenue, np.ndarray):
        from ptofa_gpu.ops import _kernels

        _kernels.device_module().take(revenue, tolerance, risk, mask, offset, scale, chosen, slots)
        return
    customers = Customers(revenue, tolerance, risk, mask, offset, scale, chosen.shape[1], slots)
    for lo, hi in pieces(customers.rows, customers.funds, chosen.shape[1]):
        _TAKE(**customers.part(lo, hi), chosen=chosen[lo:hi])
