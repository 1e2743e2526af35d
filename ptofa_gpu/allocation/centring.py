"""Row constants: what a customer's funds have in common is taken off before E is rounded to float32.

Where every slot is filled, a constant added to a customer's row changes what every plan earns by the same amount, so it
changes no decision; but float32 keeps 24 bits, and a constant of 1e7 leaves nothing of differences below 1. (Scaling a
row, in contrast, does change the optimum.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptofa_gpu.allocation.blocks import ArrayRows, FileRows, RestoredRows, RevenueBlocks
from ptofa_gpu.device import array_namespace, to_device

#: A constant is taken off where the largest value is so many times the span of the row: then at least 4 bits are won,
#: and the difference of any value and the constant is exact.
DOMINATES = 16
#: Pairs looked at together.
_PAIRS = 1 << 19
#: Pairs in the sample of customers that says what rounding loses.
_SAMPLE = 1 << 20
#: The shares of differences lost from which constants are taken off, and from which a warning is due.
WORTH_CENTRING, WORTH_SAYING = 1e-4, 1e-3


@dataclass(frozen=True)
class Centred:
    """E less a constant a row.

    Attributes
    ----------
    rows : RevenueBlocks
        E - constant, rounded to float32.
    constants : (U,) float64
        Currency; 0 for rows left as they are.
    """

    rows: RevenueBlocks
    constants: np.ndarray


Allowed = Callable[[int, int], np.ndarray]


def centre(given: list[Any], blocks: RevenueBlocks, allowed: Allowed) -> tuple[RevenueBlocks, Centred | None]:
    """Take constants off the rows that float32 would not keep; what is in files is read once.

    Parameters
    ----------
    given : list of arrays
        The parts of `blocks` as they were given.
    blocks : RevenueBlocks
        E rounded to float32.
    allowed : callable(lo, hi) -> (hi - lo, F) bool
        The pairs within the limits; others are not looked at.

    Returns
    -------
    rows : RevenueBlocks
        E as before, from the centred rows where those replace it.
    centred : Centred, or None where no row gains by it
    """
    parts: list[Any] = []
    restored: list[Any] = []
    constants = np.zeros(blocks.shape[0])
    start = 0
    for source, part in zip(given, blocks.parts, strict=True):
        own = constants[start : start + part.shape[0]]
        if not _exact(source.dtype):
            for lo, hi, rows in _raw(source, part):
                own[lo:hi] = _constants(rows, allowed(start + lo, start + hi))
        if not own.any():
            parts.append(part)
            restored.append(part)
        elif isinstance(part, FileRows):
            parts.append(part.less(own))
            restored.append(part)
        else:
            new = ArrayRows(_less(source, own))
            parts.append(new)
            restored.append(RestoredRows(new, own))
        start += part.shape[0]
    if not constants.any():
        return blocks, None
    return RevenueBlocks(restored), Centred(RevenueBlocks(parts), constants)


def lost_share(given: list[Any], blocks: RevenueBlocks, allowed: Allowed) -> float:
    """The share of differences, between a customer's funds next to each other in revenue, that `blocks` has no more.

    Of evenly spread customers, where there are many.
    """
    stride = max(1, blocks.shape[0] * blocks.shape[1] // _SAMPLE)
    differ = lost = start = 0
    for source, part in zip(given, blocks.parts, strict=True):
        if not _exact(source.dtype):
            for lo, hi, rows in _raw(source, part, stride):
                first = -(start + lo) % stride
                at = np.arange(lo + first, hi, stride)
                if not at.size:
                    continue
                kept = array_namespace(rows).empty((at.size, rows.shape[1]), np.float32)
                part.gather(at, kept)
                sees = allowed(start + lo, start + hi)[first::stride]
                exact, rounded = to_device(rows[first::stride], "cpu"), to_device(kept, "cpu")
                order = np.argsort(np.where(sees, exact, np.inf), axis=1, kind="stable")
                pair = np.take_along_axis(sees, order, 1)
                both = pair[:, 1:] & pair[:, :-1]
                exact, rounded = (np.take_along_axis(x, order, 1) for x in (exact, rounded))
                apart = both & (exact[:, 1:] != exact[:, :-1])
                differ += int(apart.sum())
                lost += int((apart & (rounded[:, 1:] == rounded[:, :-1])).sum())
        start += part.shape[0]
    return lost / differ if differ else 0.0


def _exact(kind: np.dtype) -> bool:
    """Whether float32 holds every number of this type."""
    return bool(np.can_cast(kind, np.float32))


def _raw(source: Any, part: Any, stride: int = 1) -> Iterator[tuple[int, int, Any]]:
    """The rows as given, some at a time; more where only every stride-th is looked at."""
    step = max(1, min(stride, 8) * _PAIRS // part.shape[1])
    for lo in range(0, part.shape[0], step):
        hi = min(part.shape[0], lo + step)
        yield lo, hi, part.raw(lo, hi) if isinstance(part, FileRows) else source[lo:hi]


def _constants(rows: Any, allowed: np.ndarray) -> np.ndarray:
    """(n,) float64 constants worth taking off."""
    xp = array_namespace(rows)
    sees = xp.asarray(allowed)
    value = rows.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        low = xp.where(sees, value, np.inf).min(1)
        high = xp.where(sees, value, -np.inf).max(1)
        span, top = high - low, xp.maximum(xp.abs(high), xp.abs(low))
        worth = (span >= 0) & (top >= DOMINATES * span) & (top < np.inf)  # NaN is not
    out = xp.where(worth, low, 0.0)
    return np.asarray(to_device(out, "cpu"))


def _less(source: Any, constants: np.ndarray) -> Any:
    """`source` less its constants, as contiguous float32."""
    xp = array_namespace(source)
    out = xp.empty(source.shape, np.float32)
    step = max(1, _PAIRS // source.shape[1])
    with np.errstate(over="ignore"):
        for lo in range(0, len(source), step):
            hi = lo + step
            out[lo:hi] = source[lo:hi] - xp.asarray(constants[lo:hi, None])
    return out
