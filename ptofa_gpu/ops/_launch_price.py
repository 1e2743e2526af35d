"""Launches of the price pass: price.cu, choices.cu."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ptofa_gpu.ops._launch import IN_REGISTERS, ROW_MEMORY, THREADS, WARP, Launcher, in_registers


class PriceOps(Launcher):
    """Signatures of `ptofa_gpu.ops.price` and `choices`."""

    def price_pass(
        self,
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
        """See `ptofa_gpu.ops.price.price_pass`: one copy to the device, one back."""
        xp, funds = self.xp, revenue.shape[1]
        size, rows = funds + 1, len(range(first, revenue.shape[0], stride))
        numbers = xp.asarray(np.concatenate([offset, delta.ravel()]).astype(np.float64, copy=False))
        out = xp.zeros(size + size * size + 2, xp.uint64)  # counts, swaps, high and low half of the value
        args = (
            *self._customers(revenue, tolerance, risk, mask, numbers[:funds], scale, k),
            self._null_or(slots),
            np.int32(k),
            np.int64(rows),
            np.int64(first),
            np.int64(stride),
            numbers[funds:],
            out,
        )
        tally = 12 * size * size + 4 * size
        if funds <= IN_REGISTERS:
            n, block = in_registers(funds)
            name, shared, grid = f"price_{'one' if k == 1 else 'many'}_{n}", tally, self._grid(rows, block)
        else:
            row = 8 * funds  # bytes a warp
            fits = tally + 4 * row <= ROW_MEMORY
            used = tally if fits else 4 * size
            warps = min(THREADS // WARP, (ROW_MEMORY - used) // row)
            name, shared = ("price_wide" if fits else "price_wider"), used + warps * row
            grid, block = self._grid(rows, warps), WARP * warps
        self._check_counters(rows * k, grid)
        self._launch("price", name, grid, block, args, shared=shared)
        host = self._host(out).view(np.int64)
        swaps = host[size:-2].reshape(size, size).copy()
        return host[:size].copy(), swaps, (int(host[-2]) << 24) + int(host[-1])

    def choices(
        self,
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
        """See `ptofa_gpu.ops.choices.choices`: one copy back."""
        xp, rows = self.xp, len(range(first, revenue.shape[0], stride))
        # bytes of: margin, the two halves of the value, held, other
        ends = np.cumsum([0, 8 * rows * k, 16, 2 * rows * k, 2 * rows * k]).tolist()
        out = xp.zeros(ends[-1], xp.uint8)
        kinds = (np.float64, np.uint64, np.int16, np.int16)
        margin, total, held, other = (out[a:b].view(t) for (a, b), t in zip(pairwise(ends), kinds, strict=True))
        args = (
            *self._customers(revenue, tolerance, risk, mask, offset, scale, k),
            self._null_or(slots),
            np.int32(k),
            np.int64(rows),
            np.int64(first),
            np.int64(stride),
            held,
            other,
            margin,
            total,
        )
        self._launch_rows("choices", "choices", rows, revenue.shape[1], args)
        host = self._host(out)
        parts = [host[a:b].view(t) for (a, b), t in zip(pairwise(ends), kinds, strict=True)]
        margins, halves, taken, instead = parts
        value = (int(halves.view(np.int64)[0]) << 24) + int(halves.view(np.int64)[1])
        return taken.reshape(rows, k), instead.reshape(rows, k), margins.reshape(rows, k), value

    def take(
        self,
        revenue: Any,
        tolerance: Any,
        risk: Any,
        mask: Any,
        offset: np.ndarray,
        scale: float,
        chosen: Any,
        slots: Any = None,
    ) -> None:
        """See `ptofa_gpu.ops.choices.take`."""
        rows, k = chosen.shape
        args = (
            *self._customers(revenue, tolerance, risk, mask, offset, scale, k),
            self._null_or(slots),
            np.int32(k),
            np.int64(rows),
            chosen,
        )
        self._launch_rows("choices", "take", rows, revenue.shape[1], args)

    def _launch_rows(self, module: str, name: str, rows: int, funds: int, args: tuple[Any, ...]) -> None:
        """A kernel with one thread a customer or, with many funds, one warp and room for the row."""
        if funds <= IN_REGISTERS:
            n, block = in_registers(funds)
            self._launch(module, f"{name}_{n}", self._grid(rows, block), block, args)
            return
        warps = min(THREADS // WARP, ROW_MEMORY // (8 * funds))
        self._launch(module, f"{name}_wide", self._grid(rows, warps), WARP * warps, args, shared=warps * 8 * funds)
