"""From prices that are nearly right to prices at which those who are nearly indifferent are indifferent.

After an auction everybody's choice is within a few units of their best one. Where many are tied at the right prices
that is not enough: within so little everyone prefers the same one of two equally good funds, and a plan has crowds in
the wrong place. But who is that close tells which funds are tied: two funds between which a customer is nearly
indifferent are apart by the difference of that customer's revenue, exactly. Such pairs make trees of funds, whose
prices follow from one of each; the others hardly change (as a basis of the transport problem does it).
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CLOSED, EMPTY, holds, mask_words, may_see, units

__all__ = ["tightened"]


@nb.njit(cache=True)
def _root(parent, apart, f):
    """The root of f's tree, and by how much f's price rises more than the root's. Paths are cut short on the way."""
    root, more = f, 0.0
    while parent[root] != root:
        more += apart[root]
        root = parent[root]
    left = more
    while parent[f] != root and f != root:
        above, own = parent[f], apart[f]
        parent[f], apart[f] = root, left
        f, left = above, left - own
    return root, more


@nb.njit
def _join(parent, apart, f, g, more):
    """Let f's price rise by `more` more than g's; False where both are in one tree. What is fixed stays a root."""
    a, of_a = _root(parent, apart, f)
    b, of_b = _root(parent, apart, g)
    if a < b:  # the last node is the one of fixed price
        parent[a], apart[a] = b, more + of_b - of_a
    elif b < a:
        parent[b], apart[b] = a, of_a - of_b - more
    return a != b


@nb.njit(cache=True)
def _tighten(revenue, tolerance, risk, mask, offset, scale, chosen, within, parent, apart):
    """Join the funds between which some customer is indifferent but for `within` units."""
    funds = revenue.shape[1]
    value, trees = np.empty(funds + 1), 0
    for f in range(funds + 1):
        trees += parent[f] == f
    for u in range(revenue.shape[0]):
        if trees == 1:
            break
        worst, best, last = np.inf, -np.inf, np.int64(-1)  # of what is held, and of what is not
        has_slot = False
        for j in range(chosen.shape[1]):
            has = np.int64(chosen[u, j])
            if has == CLOSED:
                continue
            has_slot = True
            here = 0.0 if has == EMPTY else units(revenue[u, has], scale) + offset[has]
            if here <= worst:
                worst, last = here, np.int64(funds) if has == EMPTY else has
        if not has_slot:
            continue
        for f in range(funds):
            value[f] = -np.inf
            if may_see(tolerance, risk, mask, u, f):
                value[f] = units(revenue[u, f], scale) + offset[f]
                if not holds(chosen, u, f):
                    best = max(best, value[f])
        value[funds] = 0.0
        if not holds(chosen, u, EMPTY):
            best = max(best, 0.0)
        if worst - best > within:
            continue
        for f in range(funds + 1):  # the last is the empty slot
            held = holds(chosen, u, EMPTY if f == funds else f)
            if f != last and ((held and value[f] <= best + within) or (not held and value[f] >= worst - within)):
                trees -= _join(parent, apart, f, last, value[f] - worst)


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
    _tighten(revenue, tolerance, risk, mask_words(mask), offset, scale, chosen, float(within), parent, apart)
    return np.array([_root(parent, apart, f)[1] for f in range(funds)])
