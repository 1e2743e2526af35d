"""What every pass at given prices reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._entry import threads_for

#: The first fields of such a pass, as in kernels/cpu/customers.hpp.
FIELDS = (
    "in_f32 revenue; in_i8 tolerance; in_i8 risk; in_u64 mask; i64 words; i64 funds; in_f64 offset; f64 scale; "
    "in_i8 slots; i64 k; i64 rows; i64 first; i64 step; i64 threads;"
)

#: The first fields of passes that look at what customers may see, as in kernels/cpu/limits.hpp.
LIMITS = "in_f32 revenue; in_i8 tolerance; in_i8 risk; in_u64 mask; i64 words; i64 rows; i64 funds; i64 threads;"


def limits(revenue: np.ndarray, tolerance: np.ndarray, risk: np.ndarray, mask: np.ndarray | None) -> dict[str, Any]:
    """The values of `LIMITS`."""
    rows, funds = revenue.shape
    return {
        "revenue": revenue, "tolerance": tolerance, "risk": risk, "mask": mask,
        "words": 0 if mask is None else mask.shape[1], "rows": rows, "funds": funds,
        "threads": threads_for(rows * funds),
    }  # fmt: skip


def key_bits(funds: int) -> int:
    """Bits of a key that hold the fund, as in kernels/rows/best.cuh; values must be below 2^(62 - bits) in size."""
    return 11 if funds < 2048 else 15


class Customers:
    """Customers on the host, and the prices at which they are looked at.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale, k, slots, first, stride
        As in `ptofa_gpu.ops.price.price_pass`.
    """

    def __init__(
        self,
        revenue: np.ndarray,
        tolerance: np.ndarray,
        risk: np.ndarray,
        mask: np.ndarray | None,
        offset: np.ndarray,
        scale: float,
        k: int,
        slots: np.ndarray | None = None,
        first: int = 0,
        stride: int = 1,
    ):
        self.funds, self.rows = revenue.shape[1], len(range(first, revenue.shape[0], stride))
        self._first, self._step = first, stride
        self._data: dict[str, Any] = {
            "revenue": revenue, "tolerance": tolerance, "risk": risk, "mask": mask,
            "words": 0 if mask is None else mask.shape[1], "funds": self.funds,
            "offset": np.ascontiguousarray(offset, np.float64), "scale": float(scale), "slots": slots, "k": k,
            "step": stride,
        }  # fmt: skip

    def part(self, lo: int, hi: int) -> dict[str, Any]:
        """The fields for the customers lo to hi - 1 of the pass."""
        rows = {"rows": hi - lo, "first": self._first + lo * self._step, "threads": threads_for((hi - lo) * self.funds)}
        return {**self._data, **rows}
