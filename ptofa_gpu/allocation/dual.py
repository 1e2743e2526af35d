"""Shadow prices by damped Newton on the dual: convex, piecewise linear, only F variables (design 5.3).

At prices p every customer takes the K funds of highest E - p. The dual's gradient is d - c, quotas less counts; its
curvature comes from the customers who are about to swap: a Laplacian whose weights are how many lie within delta of
swapping fund a for fund b, over delta. Revenues span many orders of magnitude, so each fund has a delta of its own:
as far as its price must move, all else equal, for its count to come right.

Prices are whole units and all counts integers, so every step gives the same bits on every device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ptofa_gpu.ops._entry import Entry


@dataclass
class Choices:
    """What customers take at some prices: counts, who is about to swap, and the value of it all."""

    counts: np.ndarray  # (F + 1,), last: slots left empty
    swaps: np.ndarray  # (F + 1, F + 1): customers within `delta` of swapping a for b
    delta: np.ndarray  # (F + 1, F + 1) units
    value: int


#: Looks at the customers at given prices, with the given windows or, where the customers are few, better ones.
Look = Callable[[np.ndarray, np.ndarray | None], Choices]


@dataclass
class Prices:
    """Where Newton's method ended."""

    price: np.ndarray  # (F,) whole units
    delta: np.ndarray  # (F + 1, F + 1)
    error: float  # exposures in the wrong place
    passes: int


@dataclass(frozen=True)
class Quotas:
    """How many exposures each fund wants: at least `low`, at most `high`; a subsample's are its share of them.

    At a price above 0 the fund wants all of `high`, below 0 (it has to be subsidised) no more than `low`. With
    `floating` the quotas fill the slots: a constant added to all prices changes nothing, and every fund wants `high`.
    """

    low: np.ndarray  # (F,)
    high: np.ndarray  # (F,)
    floating: bool = False

    def share(self, part: float) -> Quotas:
        """The quotas of a subsample."""
        return Quotas(self.low * part, self.high * part, self.floating)

    def wanted(self, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(F,) and (F,): the least and the most exposures that are right at these prices."""
        if self.floating:
            return self.high, self.high
        return np.where(price > 0, self.high, self.low), np.where(price < 0, self.low, self.high)

    def wrong_place(self, counts: np.ndarray, price: np.ndarray) -> np.ndarray:
        """(F,) how far each fund's count is from right: above 0 too many, below too few."""
        least, most = self.wanted(price)
        count = counts[: price.size]
        return np.maximum(count - most, 0.0) - np.maximum(least - count, 0.0)

    def rise(self, before: np.ndarray, after: np.ndarray) -> float:
        """How much the funds' side adds to the dual from some prices to others (its sums alone would be rounded)."""
        if self.floating:
            return math.fsum(((after - before) * self.high).tolist())
        past = np.sign(before) * np.sign(after) < 0  # then by way of 0
        middle = np.where(past, 0.0, after)
        first = np.where(np.maximum(before, middle) > 0, self.high, self.low)
        second = np.where(after > 0, self.high, self.low)
        return math.fsum([*((middle - before) * first).tolist(), *((after - middle) * second).tolist()])

    def at_rest(self, price: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        """(F,) funds at a price of 0 whose count is right at it: they stay there while the others' prices move."""
        return ~np.asarray(self.floating) & (price == 0) & (self.low < self.high) & (wrong == 0)

    def not_past_zero(self, price: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Prices that a step may lead to: none goes past 0 at one go where the dual has a kink there."""
        past = (np.sign(price) * np.sign(before) < 0) & (self.low < self.high) & ~np.asarray(self.floating)
        return np.where(past, 0.0, price)


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


_SOLVE = Entry("solve_spd", "i64 n; i64 first; i64 last; out_f64 a; out_f64 x")
#: Entries that a call to the engine takes off others, at least: less than 0.1 s.
_ENTRIES_A_CALL = 1 << 24


def solve_spd(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Solve a symmetric positive definite system by Cholesky, in one fixed order of operations.

    (A library's solver may split the work between threads in ways that change the last bits, and with them the plan.)
    """
    n = vector.size
    a, x = np.array(matrix, np.float64, order="C"), np.array(vector, np.float64)
    step = max(1, 2 * _ENTRIES_A_CALL // n**2)
    for first in range(0, n, step):
        _SOLVE(n=n, first=first, last=min(n, first + step), a=a, x=x)
    return x


#: Newton has stalled when over some passes the error has not fallen to this share of what it was.
STALL_SHARE = 0.95
#: Customers that a window should hold at least, so that the estimate of a density stands on some numbers.
IN_A_WINDOW = 64
#: A step that went too far is taken again at no less and no more than these shares of it.
SHORTEST, LONGEST = 1 / 32, 7 / 8


def newton(
    look: Look,
    quotas: Quotas,
    price: np.ndarray,
    within: Callable[[np.ndarray], np.ndarray],
    enough: float,
    delta: np.ndarray | None = None,
    patience: int = 6,
    worth: float = np.inf,
    stop: Callable[[], bool] = lambda: False,
) -> Prices:
    """Levenberg-Marquardt on the prices until at most `enough` exposures are in the wrong place, or it stalls.

    A step that goes too far (the dual rises) is taken again, shorter: the dual is convex, so its slope along the step,
    known at both ends, says where between them it turns.

    Parameters
    ----------
    look : callable(price, delta)
        One pass over the customers; with other windows than `delta` where it can choose better ones.
    quotas : Quotas
        For a subsample, their share of it.
    price : (F,) whole float64
    within : callable(price)
        The nearest prices that mean anything, see `Market.grounded`. Without a ceiling a fund that too many want, where
        nobody is near a swap, would become dearer without end.
    enough : float
    delta : (F + 1, F + 1) float64, optional
        The windows of the first pass.
    patience : int
        Passes in which the error must fall to `STALL_SHARE` of what it was, or by `worth` exposures a pass. (With ties
        it does neither, and the exchange is quicker.)
    worth : float
        How many exposures a pass must put right to be worth its time.
    """
    now = _Point(look(price, delta), price, quotas)
    damping, failed = 1e-3, 0
    errors = [now.error]
    step = None  # one that went too far
    while now.error > enough and failed < 4 and not stop():
        if len(errors) > patience:
            before = errors[-1 - patience]
            if now.error > STALL_SHARE * before:
                break
        density = now.density()
        if step is None:
            step = _step(density, now, damping)
        candidate = within(quotas.not_past_zero(np.rint(price + step), price))
        moved = candidate - price
        if not moved.any():
            break
        then = _Point(look(candidate, _next_windows(now.seen.delta, density, moved)), candidate, quotas)
        errors.append(min(then.error, now.error))
        rise = then.above(now)
        if rise < 0 or (rise == 0 and then.error < now.error):
            price, now, step = candidate, then, None
            if not failed:
                damping = max(damping * 0.2, 1e-6)
            failed = 0
        else:
            falls, rises = now.slope(moved), then.slope(moved)
            turns = falls / (falls - rises) if falls < 0 < rises else 0.0
            step, failed = moved * min(max(turns, SHORTEST), LONGEST), failed + 1
            damping = max(damping * 4, 1e-2)
    return Prices(price, now.seen.delta, now.error, len(errors))


class _Point:
    """What there is to know at some prices."""

    def __init__(self, seen: Choices, price: np.ndarray, quotas: Quotas):
        self.seen, self.price, self.quotas = seen, price, quotas
        self.wrong = quotas.wrong_place(seen.counts, price)
        self.error = float(np.abs(self.wrong).sum()) / 2

    def above(self, other: _Point) -> float:
        """How much higher the dual is here."""
        return self.seen.value - other.seen.value + self.quotas.rise(other.price, self.price)

    def density(self) -> np.ndarray:
        """(F + 1, F + 1) customers per unit of price who are about to swap a for b, seen from either side."""
        density = self.seen.swaps / self.seen.delta
        density = (density + density.T) / 2
        np.fill_diagonal(density, 0.0)
        return density

    def slope(self, moved: np.ndarray) -> float:
        """How the dual changes along `moved`."""
        return -math.fsum((self.wrong * moved).tolist())


def _step(density: np.ndarray, now: _Point, damping: float) -> np.ndarray:
    n = now.wrong.size
    out = density.sum(1)[:n]
    curvature = np.diag(out) - density[:n, :n]
    reach = now.seen.delta[:n, :n].diagonal()
    # a fund that nobody is about to swap moves by some windows at most
    curvature[np.diag_indices(n)] += damping * np.maximum(out, (1.0 + np.abs(now.wrong)) / reach)
    rest = now.quotas.at_rest(now.price, now.wrong)
    curvature[rest, :] = curvature[:, rest] = 0.0
    curvature[rest, rest] = 1.0
    return np.clip(solve_spd(curvature, now.wrong), -2 * reach, 2 * reach)


def _next_windows(delta: np.ndarray, density: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Windows for the next pass: half as far as a fund moved against the others, with some customers in each."""
    reach = delta.diagonal()
    total = density.sum(1)
    apart = np.append(moved, 0.0)
    apart = np.abs(apart[:, None] - apart[None, :])
    mean = np.divide((density * apart).sum(1), total, out=np.zeros_like(total), where=total > 0)
    filled = np.divide(IN_A_WINDOW, total, out=4 * reach, where=total > 0)
    wanted = np.clip(np.maximum(mean / 2, filled), reach / 16, 4 * reach)
    return np.maximum(np.rint(np.minimum(wanted[:, None], wanted[None, :])), 1.0)
