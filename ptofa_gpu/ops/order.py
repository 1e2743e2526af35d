"""Every customer's funds in order of falling revenue (twin of kernels/order.cu)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CHUNK, n_chunks


@nb.njit(parallel=True, cache=True)
def _order(revenue, chosen):
    rows, k = chosen.shape
    for c in nb.prange(n_chunks(rows)):
        for u in range(c * CHUNK, min(rows, (c + 1) * CHUNK)):
            for j in range(1, k):
                fund = chosen[u, j]
                if fund < 0:
                    continue
                value = revenue[u, fund]
                i = j
                while i > 0:
                    before = chosen[u, i - 1]
                    if before >= 0 and (revenue[u, before] > value or (revenue[u, before] == value and before < fund)):
                        break
                    chosen[u, i] = before
                    i -= 1
                chosen[u, i] = fund


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
    _order(revenue, chosen)
