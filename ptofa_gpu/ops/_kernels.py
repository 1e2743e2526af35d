"""The CUDA side of the ops: finds, compiles (once a process) and launches kernels/*.cu on CuPy's current stream.

`DeviceOps` takes its arrays' namespace and its loader as arguments, so that the tests run these very launchers, and the
kernels behind them, on the CPU.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ptofa_gpu._files import asset_dir
from ptofa_gpu._lazy import require
from ptofa_gpu.errors import InputError

#: No contraction: a fused multiply-add rounds once where the CPU twin rounds twice.
OPTIONS: tuple[str, ...] = ("--std=c++17", "--fmad=false")
THREADS = 256
_ENTRY = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(')
_MACRO_ENTRY = re.compile(r"^SCORE_IN_REGISTERS\((\d+),", re.MULTILINE)
SHARED_MEMORY = 48 << 10  # what every device gives a block without asking


def kernel_path(name: str) -> Path:
    """The source kernels/`name`.cu."""
    return asset_dir("kernels") / f"{name}.cu"


def kernel_names(path: Path) -> list[str]:
    """The entry points of a kernel source."""
    text = path.read_text()
    return _ENTRY.findall(text) + [f"score_pick_{n}" for n in _MACRO_ENTRY.findall(text)]


def compile_options() -> tuple[str, ...]:
    """Options for NVRTC, the folder of the headers included."""
    return (*OPTIONS, f"-I{asset_dir('kernels')}")


def _raw_module(name: str) -> Any:
    cupy = require("cupy", "device='cuda'")
    path = kernel_path(name)
    return cupy.RawModule(code=path.read_text(), options=compile_options(), backend="nvrtc")


class DeviceOps:
    """Launchers with the signatures of the CPU twins in `ptofa_gpu.ops`.

    Parameters
    ----------
    xp : module
        CuPy (in tests NumPy).
    load : callable(name) -> module with ``get_function``
        Loads kernels/name.cu.
    multiprocessors : int
        How many blocks fill the device once; grids are a small multiple of it and stride over the rows.
    """

    def __init__(self, xp: Any, load: Callable[[str], Any], multiprocessors: int):
        self.xp, self._load, self._blocks = xp, load, 8 * multiprocessors
        self._functions: dict[tuple[str, str], Any] = {}

    def _launch(self, module: str, name: str, grid: int, block: int, args: tuple[Any, ...], shared: int = 0) -> None:
        kernel = self._functions.get((module, name))
        if kernel is None:
            kernel = self._functions[module, name] = self._load(module).get_function(name)
        kernel((max(1, grid),), (block,), args, shared_mem=shared)  # on the current stream

    def _grid(self, items: int, per_block: int) -> int:
        return min(self._blocks, -(-items // per_block))

    def _mask(self, mask: Any) -> tuple[Any, np.int32]:
        """The mask words, or a null pointer for "nothing is excluded"."""
        return (np.uint64(0), np.int32(0)) if mask is None else (mask, np.int32(mask.shape[1]))

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
        if funds <= 32:
            n = 8 if funds <= 8 else 16 if funds <= 16 else 32
            block = 256 if n < 32 else 128
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

    @staticmethod
    def _host(x: Any) -> np.ndarray:
        return x if isinstance(x, np.ndarray) else x.get()


@lru_cache(maxsize=8)
def _device_ops(device_id: int) -> DeviceOps:
    cupy = require("cupy", "device='cuda'")
    count = cupy.cuda.Device(device_id).attributes["MultiProcessorCount"]
    return DeviceOps(cupy, _raw_module, int(count))


def device_module() -> DeviceOps:
    """The launchers for CuPy's current device."""
    cupy = require("cupy", "device='cuda'")
    return _device_ops(int(cupy.cuda.Device().id))
