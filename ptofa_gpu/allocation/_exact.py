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
    """`math.fsum` of a float64 array.

    Values are cut into whole multiples of ever smaller powers of two, each so that int64 holds the sum of all of them:
    two or three passes for values of like size.
    """
    left = np.array(values, np.float64).ravel()
    room = 62 - left.size.bit_length()
    total = Fraction(0)
    while left.size >= _FEW:
        top = max(float(left.max()), -float(left.min()))
        exponent = math.frexp(top)[1]
        if not math.isfinite(top) or (top and not _SMALLEST < exponent < _LARGEST):
            break
        if top == 0.0:
            return float(total)
        shift = min(52, room) - exponent
        whole = np.rint(left * 2.0**shift)
        total += Fraction(int(whole.astype(np.int64).sum())) / Fraction(2) ** shift
        left -= whole * 2.0**-shift  # exact: what is left are the lower bits of each value
    return math.fsum(left.tolist()) if not total else float(total + sum(map(Fraction, left.tolist())))
