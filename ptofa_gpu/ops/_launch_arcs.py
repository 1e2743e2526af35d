"""Launches of arcs.cu: the fund graph of a plan."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._launch import SHARED_MEMORY, THREADS
from ptofa_gpu.ops._launch_swaps import Marks


class ArcOps(Marks):
    """Signatures of `ptofa_gpu.ops.arcs`."""

    def count_arcs(self, tolerance: Any, risk: Any, mask: Any, chosen: Any) -> np.ndarray:
        """See `ptofa_gpu.ops.arcs.count_arcs`."""
        xp, (rows, k), funds = self.xp, chosen.shape, risk.size
        out = xp.zeros((funds + 1, funds), xp.uint64)
        words, width = self._mask(mask)
        shared = 4 * out.size
        in_shared = shared <= SHARED_MEMORY
        # blocks that count in their own memory should count much before they hand it over
        grid = max(self._grid(rows * funds, THREADS), -(-funds // THREADS))
        self._check_counters(rows, grid)
        sizes = (np.int64(rows), np.int32(funds), np.int32(k), np.int32(in_shared))
        args = (tolerance, risk, words, width, chosen, *sizes, out)
        self._launch("arcs", "count_arcs", grid, THREADS, args, shared=shared if in_shared else 0)
        return self._host(out).view(np.int64)

    def arc_candidates(
        self,
        revenue: Any,
        tolerance: Any,
        risk: Any,
        mask: Any,
        chosen: Any,
        a: int,
        b: int,
        count: int,
        least: float = -np.inf,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `ptofa_gpu.ops.arcs.arc_candidates`: one copy back, nothing waits before it."""
        xp, (rows, k), funds = self.xp, chosen.shape, revenue.shape[1]
        if count == 0:
            return np.empty(0, np.int64), np.empty(0)
        words, width = self._mask(mask)
        marks, in_tile = self._marks(rows)
        sizes = (np.int64(rows), np.int32(funds), np.int32(k), np.int32(a), np.int32(b), np.float64(least))
        args = (revenue, tolerance, risk, words, width, chosen, *sizes, marks, in_tile)
        self._launch("arcs", "mark_candidates", self._grid(rows, THREADS), THREADS, args)
        through_tile = xp.cumsum(in_tile, dtype=xp.uint64)
        out = xp.zeros(2 * count + 1, xp.int64)  # customers, gains, how many there are
        customers, gain, found = out[:count], out[count : 2 * count].view(xp.float64), out[2 * count :]
        found[:] = through_tile[-1:].view(xp.int64)
        self._write_rows(marks, through_tile, customers)
        gain_args = (revenue, customers, np.int64(count), found, np.int32(funds), np.int32(a), np.int32(b), gain)
        self._launch("arcs", "swap_gains", self._grid(count, THREADS), THREADS, gain_args)
        host = self._host(out)
        n = min(count, int(host[-1]))
        return host[:n].copy(), host[count : count + n].view(np.float64).copy()
