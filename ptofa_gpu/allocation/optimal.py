"""The certified optimum by prices: Newton on samples, then on everyone, then an exact exchange of the last few.

One form serves every case. With a bonus M on each exposure, larger than anything a change of plan can earn, the best of
all plans within quotas and slots has the most exposures, and among those the most revenue: where the constraints can
be met it is the optimum, where they cannot it serves as many as possible. Its dual has prices p >= 0:

    g(p) = sum_f d_f p_f + sum_u sum over the K largest of (E[u,f] + M - p_f), where positive.

Everything is whole numbers of units (see `ptofa_gpu.ops.price`), so the answer is exact in them: at the end the primal
and the dual value are compared as integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation.dual import Choices, Quotas, newton
from ptofa_gpu.allocation.exchange import DONE, WIDEN, Supply, exchange
from ptofa_gpu.allocation.passes import ALL_SWAPS, Passes
from ptofa_gpu.allocation.serving import in_units
from ptofa_gpu.allocation.ties import deal, share_out

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch

#: Customers in the samples: the first is solved exactly from scratch, the others by Newton's method from the last.
SMALL_SAMPLE, FIRST_SAMPLE, GROWTH = 1024, 20_000, 8
#: Passes in which Newton's method must get somewhere.
SAMPLE_PATIENCE, PATIENCE = 6, 3
#: Passes a larger sample is likely to take.
SAMPLE_PASSES = 5
PATHS_AT_A_TIME = 20_000
#: Rows the first window of an exchange takes in: at least so many, and so many for each exposure in the wrong place.
FIRST_WINDOW, FOR_EACH = 8192, 64
#: How much wider the next window may be at most.
WIDER = 4
#: Where one window puts less than this share right, the rest is far off: with so few funds every pair gets a window of
#: its own.
TOO_LITTLE, FEW_FUNDS = 1 / 8, 32
#: An exchange that took more paths than this may go on with a narrower window.
MANY_PATHS = 64
# rough costs in nanoseconds, only to choose between another pass and another path; they never depend on the machine
_ROW, _PAIR, _SOLVE, _PATH, _NODE, _ARC = 4.0, 1.0, 0.35, 2000.0, 400.0, 12.0


@dataclass
class Optimum:
    """A plan with the most exposures, and among those the most revenue, with what proves it."""

    funds: Any  # (U, K) int16
    price: np.ndarray  # (F,) currency per exposure
    bound: float
    complete: bool  # False: the time was up before the exchange was done
    passes: int
    moves: int


def optimal(
    problem: AllocationProblem, source: RevenueBlocks, watch: Watch, warm_start: np.ndarray | None = None
) -> Optimum:
    """The plan of greatest expected revenue, and prices that prove it.

    Parameters
    ----------
    problem : AllocationProblem
    source : RevenueBlocks
        The revenue, its blocks on the device that does the work.
    watch : Watch
        Stops the work when the time is up; what there is then is returned with ``complete=False``.
    warm_start : (F,) float64, optional
        Prices in currency to start from, such as an earlier plan's.
    """
    return _Solver(problem, source, watch).solve(warm_start)


class _Solver:
    def __init__(self, problem: AllocationProblem, source: RevenueBlocks, watch: Watch):
        self.problem, self.watch = problem, watch
        n_funds = problem.n_funds
        # The bonus outweighs the longest change of plan, F + 1 swaps of at most 2 max |E|; with it values stay below
        # 2^51 units, so that sums and differences of two are exact in float64.
        bonus = 4.0 * (n_funds + 2) * max(problem.max_revenue, 2.0**-100)
        self.shift = 49 - int(np.frexp(bonus)[1])
        self.scale = 2.0**self.shift
        self.bonus = float(np.rint(bonus * self.scale))
        self.all = Passes.over(problem, source, self.scale)
        low = problem.quota_low if problem.has_ranges else np.zeros(n_funds)
        self.quotas = Quotas(low.astype(np.float64), problem.quota.astype(np.float64), problem.case == "exact")
        # a fund short of its lower bound is worth a bonus of its own: its price may fall as far below 0
        self.floor = np.where(low > 0, -self.bonus, 0.0)

    def solve(self, warm_start: np.ndarray | None) -> Optimum:
        everyone = self.all
        price = self._start(warm_start)
        size, delta = FIRST_SAMPLE, None
        while True:
            stride = max(1, everyone.rows // size)
            if stride == 1:
                break
            some, quotas = everyone.every(stride), self._share(stride)
            # a sample's own quotas are off by about sqrt(n F) exposures: closer than that is wasted
            enough = 0.25 * math.sqrt(self.problem.n_funds * self.problem.slots / stride)
            found = newton(
                lambda p, _, some=some, quotas=quotas: self._judge(some, p, quotas),  # type: ignore[misc]
                quotas, price, self.floor, enough, None, self._patience(SAMPLE_PATIENCE), self._worth(some),
                self.watch.expired,
            )  # fmt: skip
            price, delta = found.price, found.delta
            if found.error > 4 * enough:
                price = self._exact(some, price, stride)
            everyone.count += some.count
            # a larger sample spares everyone most of what this one leaves to put right, unless it takes longer itself
            size *= GROWTH
            if size > everyone.rows or stride * enough <= SAMPLE_PASSES * self._worth(everyone) * size / everyone.rows:
                break
        chosen = everyone.empty_plan()
        everyone.take(self.bonus - price, chosen)
        if self._wrong(everyone.held(chosen), price) > self._enough(everyone) and not self._untie(price, chosen):
            price = self._refine(price, delta)
            everyone.take(self.bonus - price, chosen)
            if self._wrong(everyone.held(chosen), price) > self._enough(everyone):
                self._untie(price, chosen)
        self.watch.advance(everyone.rows // 2)  # the rest is a plan already, all but a few exposures
        return self._settle(price, chosen)

    # -- prices --------------------------------------------------------------------------------------------------
    def _share(self, stride: int) -> Quotas:
        rows = self.all.rows
        return self.quotas.share(len(range(0, rows, stride)) / rows)

    def _judge(self, some: Passes, price: np.ndarray, quotas: Quotas) -> Choices:
        return some.judge(self.bonus - price, lambda counts: quotas.wrong_place(counts, price))

    def _refine(self, price: np.ndarray, delta: np.ndarray | None) -> np.ndarray:
        """Newton's method on everyone, with the last sample's windows."""

        def look(p: np.ndarray, windows: np.ndarray | None) -> Choices:
            return self._judge(self.all, p, self.quotas) if delta is None else self.all.look(self.bonus - p, windows)

        enough = self._enough(self.all)
        patience, worth = self._patience(PATIENCE), self._worth(self.all)
        return newton(look, self.quotas, price, self.floor, enough, delta, patience, worth, self.watch.expired).price

    def _enough(self, passes: Passes) -> float:
        """How many exposures in the wrong place the exchange puts right in less time than a pass takes."""
        return max(4.0, 0.1 * self._worth(passes))

    def _patience(self, passes: int) -> int:
        # with many funds the first steps go to finding how far a step may go
        return passes + self.problem.n_funds // 32

    def _worth(self, passes: Passes) -> float:
        """How many exposures the exchange puts right in the time of a step of Newton's method."""
        n = passes.funds
        return ((_ROW + _PAIR * n) * passes.rows * passes.k + _SOLVE * n**3) / (_PATH + _NODE * n + _ARC * n**2)

    def _wrong(self, counts: np.ndarray, price: np.ndarray, quotas: Quotas | None = None) -> float:
        """How many exposures are in the wrong place."""
        return float(np.abs((quotas or self.quotas).wrong_place(counts, price)).sum()) / 2

    def _start(self, warm_start: np.ndarray | None) -> np.ndarray:
        level = self.bonus if self.problem.case == "under" else 0.0
        if warm_start is None:
            return self._small_exact(np.full(self.problem.n_funds, level))
        price = np.rint(np.asarray(warm_start, np.float64) * self.scale) + level
        if self.quotas.floating:
            price -= price.min()
        return np.maximum(price, self.floor)

    def _small_exact(self, price: np.ndarray) -> np.ndarray:
        """Prices of a small sample, solved exactly from scratch: Newton's method is slow far from the answer."""
        stride = max(1, self.all.rows // max(SMALL_SAMPLE, 4 * self.problem.n_funds // self.problem.k))
        return self._exact(self.all.every(stride), price, stride)

    def _exact(self, some: Passes, price: np.ndarray, stride: int) -> np.ndarray:
        """Prices of a sample, solved exactly.

        The sample's quotas err on the side that a sample can meet, so that nobody's price stands for a missing fund.
        """
        share = self._share(stride)
        high = _whole(share.high * 0.98) if self.problem.case == "under" else np.ceil(share.high * 1.02)
        quotas = Quotas(np.floor(share.low * 0.98), high)
        chosen = some.empty_plan()
        some.take(self.bonus - price, chosen)
        price, _ = self._put_right(some, price, chosen, quotas)
        if self.quotas.floating:
            price = price - price.min()
        return np.maximum(price, self.floor)

    # -- the plan ------------------------------------------------------------------------------------------------
    def _untie(self, price: np.ndarray, chosen: Any) -> bool:
        """Decide for all who are indifferent at these prices at once; whether little is left to put right."""
        offset = self.bonus - price
        groups = self.all.tied(offset, chosen)
        if (
            groups is None
            or not groups.known
            or sum(map(len, groups.rows)) * 4 < self._wrong(self.all.held(chosen), price)
        ):
            return False
        has, picks, customers = groups.table()
        rows = np.concatenate(groups.rows)
        held = self.all.few(rows, chosen)
        kinds = np.concatenate(groups.kinds)
        own = has[kinds[:, None], held] & (held >= -1)  # -1 is the last column: the empty slot
        fixed = self.all.held(chosen)[:-1] - np.bincount(held[own & (held >= 0)], minlength=self.problem.n_funds)
        least, most = self.quotas.wanted(price)
        must = np.append(np.maximum(least - fixed, 0), 0).astype(np.int64)
        may = np.append(np.maximum(most - np.maximum(least, fixed), 0), self.problem.slots).astype(np.int64)
        deal(groups, share_out(has, picks, customers, must, may), rows, kinds, held)
        self.all.put(chosen, rows, held)
        return self._wrong(self.all.held(chosen), price) <= self._enough(self.all)

    def _exchange(
        self, passes: Passes, price: np.ndarray, chosen: Any, quotas: Quotas, theta: float, narrower: bool
    ) -> tuple[int, int, np.ndarray, float]:
        """One exchange over the swaps that lose at most theta: its status, paths, prices after it, and its theta."""
        high, low = quotas.high.astype(np.int64), quotas.low.astype(np.int64)
        counts = passes.held(chosen)[:-1]
        # what may stay unused at this price; beyond it the fund is short
        least = np.where(price > 0, 0, np.where(price < 0, high - low, 0))
        most = np.where(price > 0, 0, np.where(price > self.floor, high - low, high))
        unused = np.clip(high - counts, least, most)
        excess = counts - high + unused
        supply = Supply(price.astype(np.int64), unused, high - low, int(self.bonus))
        if quotas.floating:
            supply.free = high
        if not excess.any():
            return DONE, 0, price, theta
        found = passes.near(self.bonus - price, chosen, theta, int(np.abs(excess).sum()), narrower)
        done = exchange(
            *found.data, self.bonus - price, self.scale, found.chosen, np.append(excess, -excess.sum()), supply,
            found.bound, found.swaps, PATHS_AT_A_TIME,
        )  # fmt: skip
        passes.put(chosen, found.rows, found.chosen)
        self.moves += done.moves
        price = price - (done.potential[:-1] - done.potential[-1])
        # a fund that nobody has may be as cheap as it likes to be: no less than nothing
        price = price if quotas.floating else np.maximum(price, self.floor)
        return done.status, done.paths, price, found.theta

    moves = 0

    def _put_right(self, passes: Passes, price: np.ndarray, chosen: Any, quotas: Quotas) -> tuple[np.ndarray, bool]:
        """Exchanges over ever wider windows, from a plan that is best at its prices to one that meets the quotas.

        Returns the prices it ends with, and whether it is done (else the time was up).
        """
        theta, went_well, before = self._window(passes, price, chosen, quotas), True, math.inf
        while True:
            if self.watch.expired():
                return price, False
            status, paths, price, theta = self._exchange(passes, price, chosen, quotas, theta, went_well)
            if status == DONE:
                return price, True
            went_well = paths > MANY_PATHS
            if status == WIDEN:
                # so much further as there is left to do; the cheapest of what is left may be as far as the last was
                left = self._wrong(passes.held(chosen), price, quotas)
                if paths < TOO_LITTLE * left and passes.funds <= FEW_FUNDS:
                    theta = math.inf
                theta *= min(max(1.0, 1.5 * left / paths), WIDER) if paths and left < before else WIDER
                before = left
                if theta > 2.0**52:
                    theta = math.inf

    def _window(self, passes: Passes, price: np.ndarray, chosen: Any, quotas: Quotas) -> float:
        """How much a swap of the first exchange may lose."""
        rows = passes.rows
        if rows * passes.funds <= ALL_SWAPS:
            return math.inf
        left = self._wrong(passes.held(chosen), price, quotas)
        wanted = max(FIRST_WINDOW, rows // 32, 16 * passes.funds, int(FOR_EACH * left))
        return passes.theta(self.bonus - price, chosen, min(wanted, rows // 4))

    def _settle(self, price: np.ndarray, chosen: Any) -> Optimum:
        """From prices that are nearly right to the plan that is exactly right."""
        price, complete = self._put_right(self.all, price, chosen, self.quotas)
        self.watch.advance(self.all.rows - self.all.rows // 2)
        return self._optimum(chosen, price, complete)

    def _optimum(self, chosen: Any, price: np.ndarray, complete: bool) -> Optimum:
        problem = self.problem
        if problem.case == "under":
            price = price - self.bonus
        elif problem.case == "exact":
            price = price - price.min()
        price = np.ldexp(price, -self.shift) if problem.max_revenue else np.zeros(problem.n_funds)
        bound = self._bound(price)
        self.all.put_in_order(chosen)
        return Optimum(chosen, price, bound, complete, self.all.count, self.moves)

    def _bound(self, price: np.ndarray) -> float:
        """g(price): no plan that meets every constraint earns more. In finer units: there is no bonus."""
        problem = self.problem
        if problem.max_revenue == 0.0:
            return 0.0
        # Where every slot must be filled all values are lifted above 0, and the lift is taken off again.
        shift, units, lift = in_units(price, problem.max_revenue, problem.case != "under")
        never = np.zeros((problem.n_funds + 1,) * 2)
        everyone = self.all
        scale, everyone.scale = everyone.scale, 2.0**shift
        found = everyone.look(lift - units, never)
        everyone.scale = scale
        # a fund that may get fewer than its quota counts with what is worst for the bound
        counted = np.where(units < 0, problem.quota_low, problem.quota) if problem.case == "over" else problem.quota
        dual = found.value - int(lift) * problem.slots + sum(int(p) * int(d) for p, d in zip(units, counted))
        rounded = int(found.counts[:-1].sum())  # values of E that were rounded to units, by half a unit at most
        return math.ldexp(dual, -shift) + rounded * math.ldexp(1.0, -shift - 1)


def _whole(share: np.ndarray) -> np.ndarray:
    """Shares as whole numbers with the same sum, rounded down: the largest remainders are rounded up."""
    out = np.floor(share)
    left = int(share.sum() - out.sum())
    out[np.argsort(out - share, kind="stable")[:left]] += 1
    return out
