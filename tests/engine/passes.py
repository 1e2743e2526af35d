"""One pass of each kind over the same customers, for processes that compare what they get.

It stands alone (NumPy and the package), so that a process with another copy of the package can import it.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np

from ptofa_gpu.ops import choices, largest, price

SCALE = 2.0**20
#: Enough for several threads.
ROWS, FUNDS = 100_000, 8


def customers(rows: int = ROWS, funds: int = FUNDS, seed: int = 0):
    rng = np.random.default_rng(seed)
    revenue = np.round(rng.lognormal(size=(rows, funds)).astype(np.float32), 1)
    return revenue, rng.integers(1, 6, rows).astype(np.int8), rng.integers(1, 6, funds).astype(np.int8), None


def digest(rows: int = ROWS, funds: int = FUNDS, k: int = 2) -> str:
    """What all passes give, as one word."""
    data = customers(rows, funds)
    offset, delta = np.rint(np.linspace(-2, 0, funds) * SCALE), np.full((funds + 1, funds + 1), 0.3 * SCALE)
    chosen = np.empty((rows, k), np.int16)
    choices.take(*data, offset, SCALE, chosen)
    found = [*price.price_pass(*data, offset, SCALE, delta, k), *choices.choices(*data, offset, SCALE, k), chosen]
    found += largest.largest(*data, None, np.ones(funds, bool))
    out = hashlib.sha256()
    for part in found:
        out.update(np.asarray(part).tobytes())
    return out.hexdigest()


class Items:
    """A data set whose items are what a worker finds."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> tuple[int, str]:
        return os.getpid(), digest()
