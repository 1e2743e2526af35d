"""Launches of totals.cu and order.cu: what a plan adds up to, and its slots in order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.errors import InputError
from ptofa_gpu.ops._launch import MOST_FUNDS, THREADS, Launcher


class PlanOps(Launcher):
    """Signatures of `ptofa_gpu.ops.totals` and `order`."""

    def count_funds(self, chosen: Any, funds: int) -> np.ndarray:
        """See `ptofa_gpu.ops.totals.count_funds`."""
        if funds > MOST_FUNDS:
            raise InputError(f"{funds} funds are more than the GPU kernels take ({MOST_FUNDS}); use device='cpu'.")
        out = self.xp.zeros(funds + 2, self.xp.uint64)
        grid = self._grid(chosen.size, THREADS)
        self._check_counters(chosen.size, grid)
        args = (chosen, np.int64(chosen.size), np.int32(funds), out)
        self._launch("totals", "count_funds", grid, THREADS, args, shared=4 * (funds + 2))
        return self._host(out).view(np.int64)

    def earned(self, revenue: Any, chosen: Any, shift: int) -> int:
        """See `ptofa_gpu.ops.totals.earned`."""
        (rows, k), out = chosen.shape, self.xp.zeros(1, self.xp.uint64)
        sizes = (np.int64(rows), np.int32(revenue.shape[1]), np.int32(k), np.float64(2.0**shift))
        self._launch("totals", "earned", self._grid(rows, THREADS), THREADS, (revenue, chosen, *sizes, out))
        return int(self._host(out).view(np.int64)[0])

    def order_slots(self, revenue: Any, chosen: Any) -> None:
        """See `ptofa_gpu.ops.order.order_slots`."""
        rows, k = chosen.shape
        args = (revenue, np.int64(rows), np.int32(revenue.shape[1]), np.int32(k), chosen)
        self._launch("order", "order_slots", self._grid(rows, THREADS), THREADS, args)
