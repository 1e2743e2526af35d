"""Sums that are exact and rounded once, as `math.fsum` gives them, at the speed of NumPy."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

#: Sums of fewer values are quicker one by one.
_FEW = 1024
#: Binary exponents within which scaling by a power of two is exact.
_LARGEST, _SMALLEST = 900, -900


def exact_sum(values: np.ndarray) -> float:
    """`math.fsum` of a float64 array."""
    total, left = _cut(values)
    left = left[left != 0]
    return float(total + sum(map(Fraction, left.tolist()))) if total else math.fsum(left.tolist())


def exact_fraction(values: np.ndarray) -> Fraction:
    """The sum of a finite float64 array, not rounded at all."""
    total, left = _cut(values)
    return total + sum(map(Fraction, left[left != 0].tolist()), Fraction(0))


def _cut(values: np.ndarray) -> tuple[Fraction, np.ndarray]:
    """Part of the sum, and the values whose sum is the rest.

    Values are cut into whole multiples of ever smaller powers of two, each so that int64 holds the sum of all of them:
    two or three passes for values of like size.
    """
    left = np.array(values, np.float64).ravel()
    room = 62 - left.size.bit_length()
    total = Fraction(0)
    while left.size >= _FEW:
        top = max(float(left.max()), -float(left.min()))
        exponent = math.frexp(top)[1]
        if not math.isfinite(top) or top == 0.0 or not _SMALLEST < exponent < _LARGEST:
            break
        shift = min(52, room) - exponent
        whole = np.rint(left * 2.0**shift)
        total += Fraction(int(whole.astype(np.int64).sum())) / Fraction(2) ** shift
        left -= whole * 2.0**-shift  # exact: what is left are the lower bits of each value
    return total, left


def relative_gap(bound: float, objective: float, magnitude: float) -> float:
    """How far a plan can be from the best: (bound - objective) / sum of |E| over what was chosen.

    0 where the bound is reached, whatever the scale; infinite where nothing but zeros was chosen and more is possible.
    """
    if math.isnan(bound) or bound == objective:
        return bound - objective
    return (bound - objective) / magnitude if magnitude else math.inf


def rounded_up(value: Fraction) -> float:
    """The least float64 that is not below `value`."""
    out = float(value)
    return out if out >= value else math.nextafter(out, math.inf)
