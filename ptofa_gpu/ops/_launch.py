"""What every launcher shares: functions looked up once, grids, null pointers, the shape of what a pass reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ptofa_gpu.errors import InputError

THREADS = 256
WARP = 32
SHARED_MEMORY = 48 << 10  # what every device gives a block without asking
ROW_MEMORY = SHARED_MEMORY - 256  # of it for rows and tallies: the kernels' own variables lie beside them
IN_REGISTERS = 32  # funds: with no more a thread keeps a customer's row in registers
MOST_FUNDS = 1024  # a warp's lanes keep one bit a fund
MOST_SLOTS = 31  # a warp's lanes keep one fund each, and the best of the others
MOST_ROWS = 1 << 40


def in_registers(funds: int) -> tuple[int, int]:
    """For how many funds the kernel to launch is made (8, 16 or 32), and its threads a block."""
    n = 8 if funds <= 8 else 16 if funds <= 16 else 32
    return n, THREADS if n < 32 else 128


class Launcher:
    """Launches kernels on CuPy's current stream.

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

    def _customers(
        self, revenue: Any, tolerance: Any, risk: Any, mask: Any, offset: Any, scale: float, k: int
    ) -> tuple[Any, ...]:
        """The arguments that make a kernel's ``Customers``."""
        rows, funds = revenue.shape
        if rows >= MOST_ROWS:
            raise InputError(f"{rows:,} customers are more than the GPU kernels index (2^40).")
        if funds > MOST_FUNDS:
            raise InputError(f"{funds} funds are more than the GPU kernels take ({MOST_FUNDS}); use device='cpu'.")
        if funds > IN_REGISTERS and k > MOST_SLOTS:
            raise InputError(
                f"{k} slots are more than the GPU kernels take with {funds} funds ({MOST_SLOTS}); use device='cpu'."
            )
        words, width = self._mask(mask)
        offset = self.xp.asarray(offset, self.xp.float64)
        return revenue, tolerance, risk, words, width, np.int32(funds), offset, np.float64(scale)

    def _check_counters(self, items: int, grid: int) -> None:
        """Blocks count in 32 bits: so many items must not meet one block's counter."""
        if items >= (1 << 32) * max(1, grid) - (1 << 20):
            raise InputError(f"{items:,} slots are more than the GPU kernels count; pass block_rows to work in blocks.")

    @staticmethod
    def _null_or(array: Any) -> Any:
        return np.uint64(0) if array is None else array

    @staticmethod
    def _host(x: Any) -> np.ndarray:
        return x if isinstance(x, np.ndarray) else x.get()
