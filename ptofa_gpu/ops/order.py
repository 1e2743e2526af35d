"""Every customer's funds in order of falling revenue (kernels/cpu/totals.cpp, kernels/cuda/order.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._entry import Entry, pieces, threads_for

_ORDER_SLOTS = Entry("order_slots", "in_f32 revenue; i64 rows; i64 funds; i64 k; i64 threads; out_i16 chosen")


def order_slots(revenue: Any, chosen: Any) -> None:
    """Put each row's funds in order of falling revenue, equal revenue by lower fund, slots without a fund last.

    Parameters
    ----------
    revenue : (U, F) float32
    chosen : (U, K) int16, updated; on the same device
        Negative where there is no fund; which of these comes first does not change.
    """
    if chosen.shape[1] == 1:
        return
    if not isinstance(chosen, np.ndarray):
        from ptofa_gpu.ops import _kernels

        _kernels.device_module().order_slots(revenue, chosen)
        return
    k, funds = chosen.shape[1], revenue.shape[1]
    for lo, hi in pieces(len(chosen), k, 4):
        size = {"rows": hi - lo, "funds": funds, "k": k, "threads": threads_for((hi - lo) * k)}
        _ORDER_SLOTS(revenue=revenue[lo:hi], chosen=chosen[lo:hi], **size)
