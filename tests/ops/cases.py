"""Instances for the passes at given prices: every size at which another kernel takes over, masks, slots, ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptofa_gpu.ops.choices import take
from tests.ops.reference import eligible

SCALE = 2.0**20


@dataclass(frozen=True)
class Shape:
    rows: int
    funds: int
    k: int
    masked: bool = False
    slotted: bool = False
    ties: bool = False

    def __str__(self):
        words = [f"{self.rows}x{self.funds}", f"K{self.k}"]
        return "-".join(words + [w for w in ("masked", "slotted", "ties") if getattr(self, w)])


@dataclass
class PriceCase:
    revenue: np.ndarray
    tolerance: np.ndarray
    risk: np.ndarray
    mask: np.ndarray | None
    offset: np.ndarray
    delta: np.ndarray
    k: int
    slots: np.ndarray | None
    chosen: np.ndarray
    theta: float

    @property
    def data(self):
        return self.revenue, self.tolerance, self.risk, self.mask


#: F where a kernel is used for the last time or the first: 8 | 16 | 32 registers, 61 | 62 shared memory, 1024
SHAPES = [
    Shape(1, 1, 1),
    Shape(70, 1, 1, masked=True, slotted=True),
    Shape(530, 8, 1),
    Shape(413, 5, 1, masked=True, slotted=True, ties=True),
    Shape(300, 8, 3, masked=True, ties=True),
    Shape(130, 7, 7, slotted=True),
    Shape(200, 9, 1, masked=True),
    Shape(150, 9, 2, slotted=True, ties=True),
    Shape(200, 16, 1, ties=True),
    Shape(130, 16, 16, slotted=True),
    Shape(130, 17, 1, slotted=True),
    Shape(90, 17, 5, masked=True),
    Shape(90, 31, 1, masked=True, ties=True),
    Shape(70, 31, 16, slotted=True, ties=True),
    Shape(140, 32, 1, slotted=True),
    Shape(90, 32, 3, masked=True),
    Shape(70, 33, 1, masked=True, ties=True),
    Shape(50, 33, 16, slotted=True),
    Shape(40, 61, 2, slotted=True, ties=True),
    Shape(40, 62, 3, masked=True, ties=True),
    Shape(50, 64, 1, ties=True),
    Shape(40, 65, 4, masked=True, slotted=True),
    Shape(20, 257, 2, masked=True, slotted=True),
    Shape(12, 1024, 16, masked=True, slotted=True, ties=True),
]


def make_price_case(shape: Shape, seed: int = 0) -> PriceCase:
    """Prices at which about a fund and a half a slot is worth taking, so that slots stay empty."""
    rng = np.random.default_rng([seed, shape.rows, shape.funds, shape.k])
    rows, funds, k = shape.rows, shape.funds, shape.k
    revenue = rng.lognormal(0.0, 1.0, (rows, funds)).astype(np.float32)
    if shape.ties:
        revenue = np.round(revenue)
        revenue[::7] = 0.0
    revenue[rng.random((rows, funds)) < 0.05] *= -1
    risk = rng.integers(-2, 4, funds).astype(np.int8)
    words = -(-funds // 64)
    share = min(0.9, 1.5 * k / funds)
    price = np.quantile(revenue, 1 - share, axis=0)
    if shape.ties:
        price = np.round(price)
    offset = np.rint(-price.astype(np.float64) * SCALE)
    delta = np.rint(rng.exponential(0.7, (funds + 1, funds + 1)) * SCALE)
    delta[rng.random(delta.shape) < 0.1] = 0.0
    delta[rng.random(delta.shape) < 0.1] = np.inf
    case = PriceCase(
        revenue=np.ascontiguousarray(revenue),
        tolerance=rng.integers(-2, 5, rows).astype(np.int8),
        risk=risk,
        mask=rng.integers(0, 2**64, (rows, words), dtype=np.uint64) if shape.masked else None,
        offset=offset,
        delta=delta,
        k=k,
        slots=rng.integers(0, k + 1, rows).astype(np.int8) if shape.slotted else None,
        chosen=np.empty((rows, k), np.int16),
        theta=float(np.rint(0.2 * SCALE)),
    )
    take(*case.data, case.offset, SCALE, case.chosen, case.slots)
    _stir(case, rng)
    return case


def _stir(case: PriceCase, rng: np.random.Generator) -> None:
    """Move some customers off what they like best, and their slots into any order, as an exchange leaves them."""
    funds = case.risk.size
    sees = eligible(*case.data[1:])
    for u in np.flatnonzero(rng.random(len(case.chosen)) < 0.4):
        row = case.chosen[u]
        j, f = int(rng.integers(row.size)), int(rng.integers(-1, funds))
        if row[j] != -2 and (f < 0 or (f not in row and sees[u, f])):
            row[j] = f
        rng.shuffle(row)
