"""Sums over customers, as integers: exact, in any order, so the same on every device (kernels/cpu/rounds.cpp,
kernels/cuda/sums.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._customers import LIMITS, limits
from ptofa_gpu.ops._entry import Entry, pieces

_COLUMN_SUMS = Entry("column_sums", LIMITS + "f64 scale; out_i64 sums")


def column_sums(revenue: Any, tolerance: Any, risk: Any, mask: Any, shift: int) -> np.ndarray:
    """Sum of E over the eligible customers of each fund, in fixed point.

    Parameters
    ----------
    revenue : (U, F) float32
    tolerance, risk : (U,) and (F,) int8
    mask : (U, W) uint64 or None
    shift : int
        The sums are of round(E x 2^shift).

    Returns
    -------
    (F,) int64 NumPy array.
    """
    if isinstance(revenue, np.ndarray):
        sums = np.zeros(revenue.shape[1], np.int64)
        for lo, hi in pieces(*revenue.shape):
            part = limits(revenue[lo:hi], tolerance[lo:hi], risk, None if mask is None else mask[lo:hi])
            _COLUMN_SUMS(**part, scale=2.0**shift, sums=sums)
        return sums
    from ptofa_gpu.ops import _kernels

    return _kernels.device_module().column_sums(revenue, tolerance, risk, mask, shift)
