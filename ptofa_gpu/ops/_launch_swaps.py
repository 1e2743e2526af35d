"""Launches of swaps.cu and compact.cu: margins of swaps, and who is near to one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._launch import IN_REGISTERS, THREADS, WARP, Launcher, in_registers

TILE_WORDS = 256  # as in compact.cuh


class Marks(Launcher):
    """Rows marked by bits, and the list made from them."""

    def _marks(self, rows: int) -> tuple[Any, Any]:
        """Room for one bit a row, and a counter for each tile of words."""
        words = -(-rows // WARP)
        return self.xp.empty(words, self.xp.uint32), self.xp.zeros(-(-words // TILE_WORDS), self.xp.uint64)

    def _write_rows(self, marks: Any, through_tile: Any, out: Any) -> None:
        """The first ``out.size`` marked rows, in order; `through_tile` is the running sum of the tiles' counts."""
        args = (marks, np.int64(marks.size), through_tile, np.int64(out.size), out)
        self._launch("compact", "write_rows", through_tile.size, TILE_WORDS, args)


class SwapOps(Marks):
    """Signatures of `ptofa_gpu.ops.swaps`."""

    def swap_margins(
        self,
        revenue: Any,
        tolerance: Any,
        risk: Any,
        mask: Any,
        offset: np.ndarray,
        scale: float,
        chosen: Any,
        stride: int,
    ) -> np.ndarray:
        """See `ptofa_gpu.ops.swaps.swap_margins`."""
        xp, (rows, k) = self.xp, chosen.shape
        count, funds = len(range(0, rows, stride)), revenue.shape[1]
        margin = xp.empty(count, xp.float64)
        args = (
            *self._customers(revenue, tolerance, risk, mask, offset, scale, k),
            chosen,
            np.int32(k),
            np.int64(count),
            np.int64(stride),
            margin,
        )
        self._launch_margins("swap_margins", count, funds, args)
        return self._host(margin)

    def near_rows(
        self,
        revenue: Any,
        tolerance: Any,
        risk: Any,
        mask: Any,
        offset: np.ndarray,
        scale: float,
        chosen: Any,
        theta: float,
    ) -> Any:
        """See `ptofa_gpu.ops.swaps.near_rows`: the list stays on the device, its length is copied back."""
        xp, (rows, k) = self.xp, chosen.shape
        marks, in_tile = self._marks(rows)
        args = (
            *self._customers(revenue, tolerance, risk, mask, offset, scale, k),
            chosen,
            np.int32(k),
            np.int64(rows),
            np.float64(theta),
            marks,
            in_tile,
        )
        self._launch_margins("near", rows, revenue.shape[1], args)
        through_tile = xp.cumsum(in_tile, dtype=xp.uint64)
        out = xp.empty(int(through_tile[-1]), xp.int64)
        if out.size:
            self._write_rows(marks, through_tile, out)
        return out

    def _launch_margins(self, name: str, rows: int, funds: int, args: tuple[Any, ...]) -> None:
        if funds <= IN_REGISTERS:
            n, block = in_registers(funds)
            self._launch("swaps", f"{name}_{n}", self._grid(rows, block), block, args)
        else:
            self._launch("swaps", f"{name}_wide", self._grid(rows, THREADS // WARP), THREADS, args)
