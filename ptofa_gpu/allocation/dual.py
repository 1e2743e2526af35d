"""Shadow prices by damped Newton on the dual: convex, piecewise linear, only F variables (design 5.3).

At prices p every customer takes the K funds of highest E - p. The dual's gradient is d - c, quotas less counts; its
curvature comes from the customers who are about to swap: a Laplacian whose weights are how many lie within delta of
swapping fund a for fund b, over delta. Revenues span many orders of magnitude, so each fund has a delta of its own:
as far as its price must move, all else equal, for its count to come right.

Prices are whole units and all counts integers, so every step gives the same bits on every device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numba as nb
import numpy as np


@dataclass
class Choices:
    """What customers take at some prices: counts, who is about to swap, and the value of it all."""

    counts: np.ndarray  # (F + 1,), last: slots left empty
    swaps: np.ndarray  # (F + 1, F + 1): customers within `delta` of swapping a for b
    delta: np.ndarray  # (F + 1, F + 1) units
    value: int


#: Looks at the customers at given prices; with the funds' excess known, chooses the windows `delta` anew.
Look = Callable[[np.ndarray], Choices]


@dataclass
class Prices:
    """Where Newton's method ended."""

    price: np.ndarray  # (F,) whole units
    delta: np.ndarray  # (F + 1, F + 1)
    error: float  # exposures in the wrong place
    passes: int


def wrong_place(counts: np.ndarray, quota: np.ndarray, price: np.ndarray, floating: bool) -> np.ndarray:
    """(F,) how far each fund's count is from right: from its quota, or anything up to it where its price is 0."""
    excess = counts[:-1] - quota
    return excess if floating else np.where((price <= 0) & (excess < 0), 0.0, excess)


def windows(held: np.ndarray, other: np.ndarray, margin: np.ndarray, wrong: np.ndarray, least: int = 32) -> np.ndarray:
    """(F + 1, F + 1) units: how far apart a and b must move, judged by the funds' own margins.

    For a fund with n exposures too many, the n-th smallest margin among those who hold it; with n too few, among those
    whose alternative it is; of `least` customers at least, so that the estimate of a density stands on some numbers.
    """
    n = wrong.size
    reach = np.full(n + 1, np.inf)
    for side, fund in ((1, held), (-1, other)):
        order = np.argsort(fund, kind="stable")
        ends = np.searchsorted(fund[order], np.arange(n + 2))
        for f in range(n):
            if side * wrong[f] < 0 or ends[f + 1] == ends[f]:
                continue
            own = margin[order[ends[f] : ends[f + 1]]]
            place = min(own.size - 1, max(least, int(abs(wrong[f]))))
            # with fewer customers than must move the last margin is all that is known
            reach[f] = min(reach[f], float(np.partition(own, place)[place]))
    known = reach[np.isfinite(reach)]
    reach[~np.isfinite(reach)] = float(np.median(known)) if known.size else 1.0
    return np.maximum(np.minimum(reach[:, None], reach[None, :]), 1.0)


@nb.njit(cache=True)
def solve_spd(matrix, vector):
    """Solve a symmetric positive definite system by Cholesky, in one fixed order of operations.

    (A library's solver may split the work between threads in ways that change the last bits, and with them the plan.)
    """
    n = vector.size
    a = matrix.copy()
    x = vector.copy()
    for j in range(n):
        for i in range(j, n):
            total = a[i, j]
            for p in range(j):
                total -= a[i, p] * a[j, p]
            a[i, j] = total
        root = np.sqrt(max(a[j, j], 1e-300))
        for i in range(j, n):
            a[i, j] /= root
    for i in range(n):
        for p in range(i):
            x[i] -= a[i, p] * x[p]
        x[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        for p in range(i + 1, n):
            x[i] -= a[p, i] * x[p]
        x[i] /= a[i, i]
    return x


def newton(
    look: Look,
    quota: np.ndarray,
    price: np.ndarray,
    enough: float,
    floating: bool,
    max_passes: int = 60,
    stop: Callable[[], bool] = lambda: False,
) -> Prices:
    """Levenberg-Marquardt on the prices until at most `enough` exposures are in the wrong place, or it stalls.

    Parameters
    ----------
    look : callable
        One pass over the customers.
    quota : (F,) float64
        For a subsample, the quotas' share of it.
    price : (F,) whole float64, >= 0
    floating : bool
        The quotas fill the slots, so a constant added to all prices changes nothing: keep the lowest at 0.
    """
    n = quota.size
    now = look(price)
    passes, damping, failed = 1, 1e-2, 0
    goal = now.value + float(price @ quota)
    wrong = wrong_place(now.counts, quota, price, floating)
    error = float(np.abs(wrong).sum()) / 2
    while error > enough and passes < max_passes and failed < 4 and not stop():
        density = now.swaps / now.delta
        density = (density + density.T) / 2  # the same density, seen from either side of the swap
        np.fill_diagonal(density, 0.0)
        curvature = np.diag(density.sum(1)[:n]) - density[:n, :n]
        # a fund that nobody is about to swap moves by some windows at most
        floor = (1.0 + np.abs(wrong)) / now.delta[:n, :n].diagonal()
        curvature[np.diag_indices(n)] += floor * damping
        reach = now.delta[:n, :n].diagonal()
        step = np.clip(solve_spd(curvature, wrong), -2 * reach, 2 * reach)
        candidate = np.rint(price + step)
        candidate = candidate - candidate.min() if floating else np.maximum(candidate, 0.0)
        then = look(candidate)
        passes += 1
        new_goal = then.value + float(candidate @ quota)
        new_wrong = wrong_place(then.counts, quota, candidate, floating)
        new_error = float(np.abs(new_wrong).sum()) / 2
        if new_goal < goal or (new_goal == goal and new_error < error):
            price, now, goal, wrong, error = candidate, then, new_goal, new_wrong, new_error
            damping, failed = max(damping * 0.2, 1e-6), 0
        else:
            damping = max(damping * 16, 1e-2)
            failed += 1
    return Prices(price, now.delta, error, passes)
