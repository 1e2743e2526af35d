"""Launches of totals.cu, order.cu and largest.cu: what a plan adds up to, its slots in order, how large E is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.errors import InputError
from ptofa_gpu.ops._launch import MOST_FUNDS, THREADS, Launcher


class PlanOps(Launcher):
    """Signatures of `ptofa_gpu.ops.totals`, `order` and `largest`."""

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

    def earned(self, revenue: Any, chosen: Any) -> np.ndarray:
        """(512,) int64 sums of mantissas, which `ptofa_gpu.ops.totals.exact_sums` adds up."""
        (rows, k), out = chosen.shape, self.xp.zeros(512, self.xp.uint64)
        sizes = (np.int64(rows), np.int32(revenue.shape[1]), np.int32(k))
        self._launch("totals", "earned", self._grid(rows, THREADS), THREADS, (revenue, chosen, *sizes, out))
        return self._host(out).view(np.int64)

    def largest(
        self, revenue: Any, tolerance: Any, risk: Any, mask: Any, slots: Any, wanted: np.ndarray
    ) -> tuple[int, int]:
        """The bits of what `ptofa_gpu.ops.largest.largest` gives."""
        rows, funds = revenue.shape
        words, width = self._mask(mask)
        out = self.xp.zeros(2, self.xp.uint32)
        flags, sizes = self.xp.asarray(wanted.astype(np.uint8)), (np.int64(rows), np.int32(funds))
        args = (revenue, tolerance, risk, words, width, self._null_or(slots), flags, *sizes, out)
        self._launch("largest", "largest", self._grid(rows * funds, THREADS), THREADS, args)
        chosen, seen = self._host(out).tolist()
        return chosen, seen

    def order_slots(self, revenue: Any, chosen: Any) -> None:
        """See `ptofa_gpu.ops.order.order_slots`."""
        rows, k = chosen.shape
        args = (revenue, np.int64(rows), np.int32(revenue.shape[1]), np.int32(k), chosen)
        self._launch("order", "order_slots", self._grid(rows, THREADS), THREADS, args)
