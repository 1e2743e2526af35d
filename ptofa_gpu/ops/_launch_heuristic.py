"""Launches of the heuristic's kernels: sums.cu, score.cu, select.cu, commit.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.errors import InputError
from ptofa_gpu.ops._launch import IN_REGISTERS, SHARED_MEMORY, THREADS, Launcher, in_registers


class HeuristicOps(Launcher):
    """Signatures of `ptofa_gpu.ops.sums`, `score`, `select` and `commit`."""

    def column_sums(self, revenue: Any, tolerance: Any, risk: Any, mask: Any, shift: int) -> np.ndarray:
        """See `ptofa_gpu.ops.sums.column_sums`."""
        rows, funds = revenue.shape
        out = self.xp.zeros(funds, self.xp.uint64)
        words, width = self._mask(mask)
        grid = max(self._grid(rows * funds, THREADS), -(-funds // THREADS))
        args = (revenue, tolerance, risk, words, width, np.int64(rows), np.int32(funds), np.float64(2.0**shift), out)
        self._launch("sums", "column_sums", grid, THREADS, args)
        return self._host(out).view(np.int64)

    def score_and_pick(
        self,
        revenue: Any,
        tolerance: Any,
        risk: Any,
        mask: Any,
        done: Any,
        alpha: np.ndarray,
        is_open: np.ndarray,
        tail: int,
        key: Any,
        picks: Any,
    ) -> None:
        """See `ptofa_gpu.ops.score.score_and_pick`."""
        rows, funds = revenue.shape
        words, width = self._mask(mask)
        speeds, flags = self.xp.asarray(alpha), self.xp.asarray(is_open.astype(np.uint8))
        sizes = (np.int64(rows), np.int32(funds), np.int32(picks.shape[1]), np.int32(tail))
        args = (revenue, tolerance, risk, words, width, done, speeds, flags, *sizes, key, picks)
        if funds <= IN_REGISTERS:
            n, block = in_registers(funds)
            self._launch("score", f"score_pick_{n}", self._grid(rows, block), block, args)
            return
        item = 1 << (funds - 1).bit_length()  # sorted items a warp
        warps = min(8, SHARED_MEMORY // (8 * item))
        if warps == 0:
            raise InputError(
                f"{funds} funds are more than the GPU kernels sort ({SHARED_MEMORY // 8}); use device='cpu'."
            )
        grid = self._grid(rows, warps)
        self._launch("score", "score_pick_wide", grid, 32 * warps, (*args, np.int32(item)), shared=warps * 8 * item)

    def find_cut(self, key: Any, picks: Any, done: Any, open_quota: np.ndarray) -> Any:
        """See `ptofa_gpu.ops.select.find_cut`; the cut stays on the device, as (key, ~row, whether a fund runs out)."""
        xp, (rows, k), funds = self.xp, picks.shape, open_quota.size
        if rows >= 1 << 40:
            raise InputError(f"{rows:,} customers are more than the GPU kernels index (2^40).")
        cut = xp.asarray(np.array([0, 0, 1], np.uint64))
        quota, above = xp.asarray(open_quota), xp.zeros(funds, xp.int64)
        counts = xp.zeros(funds * 256, xp.uint32)
        shared = funds * 256 * 4
        in_shared = shared <= SHARED_MEMORY
        for digit in range(8 + 5):
            args = (key, picks, done, np.int64(rows), np.int32(k), np.int32(funds), np.int32(digit), cut, counts)
            self._launch(
                "select",
                "digit_histogram",
                self._grid(rows, THREADS),
                THREADS,
                (*args, np.int32(in_shared)),
                shared=shared if in_shared else 0,
            )
            self._launch(
                "select", "choose_digit", 1, THREADS, (counts, quota, above, np.int32(funds), np.int32(digit), cut)
            )
        return cut

    def commit(
        self,
        revenue: Any,
        tolerance: Any,
        risk: Any,
        mask: Any,
        key: Any,
        picks: Any,
        done: Any,
        cut: Any,
        shift: int,
        chosen: Any,
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """See `ptofa_gpu.ops.commit.commit`."""
        xp, (rows, funds), k = self.xp, revenue.shape, picks.shape[1]
        words, width = self._mask(mask)
        out = xp.zeros(2 * funds + 1, xp.uint64)  # counts, sums, served: one copy back a round
        args = (revenue, tolerance, risk, words, width, key, picks, done, np.int64(rows), np.int32(funds), np.int32(k))
        grid = max(self._grid(rows * funds, THREADS), -(-funds // THREADS))
        tail = (np.float64(2.0**shift), cut, out[:funds], out[funds : 2 * funds])
        self._launch("commit", "committed_sums", grid, THREADS, (*args, *tail))
        row_args = (key, picks, done, np.int64(rows), np.int32(k), cut, chosen, out[2 * funds :])
        self._launch("commit", "commit_rows", self._grid(rows, THREADS), THREADS, row_args)
        host = self._host(out).view(np.int64)
        return host[:funds].copy(), host[funds : 2 * funds].copy(), int(host[-1])
