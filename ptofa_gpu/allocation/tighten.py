"""From prices that are nearly right to prices at which those who are nearly indifferent are indifferent.

After an auction everybody's choice is within a few units of their best one. Where many are tied at the right prices
that is not enough: within so little everyone prefers the same one of two equally good funds, and a plan has crowds in
the wrong place. But who is that close tells which funds are tied: two funds between which a customer is nearly
indifferent are apart by the difference of that customer's revenue, exactly. Such pairs make trees of funds, whose
prices follow from one of each; the others hardly change (as a basis of the transport problem does it).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._customers import FIELDS, Customers
from ptofa_gpu.ops._entry import Entry, pieces

__all__ = ["tightened"]

_TIGHTEN = Entry("tighten", FIELDS + "in_i16 chosen; f64 within; out_i64 parent; out_f64 apart; out_i64 trees")


def tightened(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    offset: np.ndarray,
    scale: float,
    chosen: np.ndarray,
    within: float,
    fixed: np.ndarray,
) -> np.ndarray:
    """By how much prices rise so that customers who are nearly indifferent are so exactly; on the host.

    Parameters
    ----------
    revenue, tolerance, risk, mask, offset, scale
        As in `price_pass`.
    chosen : (U, K) int16
        What everybody takes at the prices there are.
    within : float
        Units. Who would lose no more by a swap is taken to be indifferent. Of pairs of funds that do not fit together
        the first customers' count.
    fixed : (F,) bool
        Funds whose price is right as it is.

    Returns
    -------
    (F,) float64, whole units: no more than F `within`. 0 for those that are fixed, and for one fund of each tree that
    is tied neither to these nor to an empty slot, which is worth 0 at any price.
    """
    funds = revenue.shape[1]
    parent, apart = np.arange(funds + 1), np.zeros(funds + 1)
    parent[:-1][fixed] = funds
    trees = np.array([int((parent == np.arange(funds + 1)).sum())])
    customers = Customers(revenue, tolerance, risk, mask, offset, scale, chosen.shape[1])
    for lo, hi in pieces(len(revenue), funds, 4):
        if trees[0] == 1:
            break
        data = customers.part(lo, hi)
        _TIGHTEN(**data, chosen=chosen[lo:hi], within=float(within), parent=parent, apart=apart, trees=trees)
    return np.array([_rise(parent, apart, f) for f in range(funds)])


def _rise(parent: np.ndarray, apart: np.ndarray, node: int) -> float:
    """By how much a node's price rises more than its root's: a sum of whole numbers."""
    out = 0.0
    while parent[node] != node:
        out += float(apart[node])
        node = int(parent[node])
    return out
