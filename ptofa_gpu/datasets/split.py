"""Which exposures train, which validate and which test: by customer, or by time."""

from __future__ import annotations

from typing import Literal

import numpy as np

#: Names of the splits; ``LogArrays.split`` holds their positions.
SPLITS = ("train", "validation", "test")
#: Shares of customers, or of exposures by day, in each split where the log does not say.
SPLIT_SHARES = (0.8, 0.1, 0.1)
Split = Literal["customer", "day"]


def split_by_customer(
    customer: np.ndarray, seed: int = 0, shares: tuple[float, float, float] = SPLIT_SHARES
) -> np.ndarray:
    """A split (N,) int8 in which all rows of a customer fall together, the same on every machine.

    Parameters
    ----------
    customer : (N,) int64
        Row of the customer.
    seed : int
    shares : three floats
        Of customers in train, validation and test.
    """
    # splitmix64 (Steele, Lea, Flood 2014): well mixed bits from consecutive numbers, without any state
    with np.errstate(over="ignore"):
        z = customer.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(np.cumsum(shares[:2]), u, side="right").astype(np.int8)


def split_by_day(day: np.ndarray, shares: tuple[float, float, float] = SPLIT_SHARES) -> np.ndarray:
    """A split (N,) int8 by time: the earliest days train, the latest test, and no day falls in two splits.

    Parameters
    ----------
    day : (N,) int64
        Of each exposure; at least three different days.
    shares : three floats
        Of exposures in train, validation and test, met as closely as whole days allow with a day for each at least.
    """
    _, number, count = np.unique(day, return_inverse=True, return_counts=True)
    last, before = len(count), np.cumsum(count) / len(day)  # share of exposures up to the end of each day
    train = 1 + int(np.argmin(np.abs(before[: last - 2] - shares[0])))
    validation = train + 1 + int(np.argmin(np.abs(before[train : last - 1] - shares[0] - shares[1])))
    return np.searchsorted([train, validation], number, side="right").astype(np.int8)
