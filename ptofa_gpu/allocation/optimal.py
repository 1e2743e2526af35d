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

from ptofa_gpu.allocation.auction import FINER
from ptofa_gpu.allocation.dual import Choices, Prices, Quotas, newton
from ptofa_gpu.allocation.exchange import DONE, WIDEN, Supply, exchange
from ptofa_gpu.allocation.passes import ALL_SWAPS, Passes
from ptofa_gpu.allocation.serving import in_units
from ptofa_gpu.allocation.ties import deal, share_out

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch

#: Customers in the samples: the first holds an auction, the others refine its prices; and for each fund at least.
SMALL_SAMPLE, FIRST_SAMPLE, GROWTH, EACH_FUND = 1024, 20_000, 8, 64
#: Bytes of E that a sample may copy: so many, or so many for each customer there is.
SAMPLE_BYTES, SAMPLE_EACH = 1 << 26, 24
#: Customers for each fund that it takes for Newton's method to find its way: the curvature of fewer is mostly noise.
CURVATURE = 500
#: Places for each slot with which an auction is held at most.
STRANGERS = 4
#: An auction's first steps, in median margins; it ends where finer ones leave no less than this share wrong.
COARSEST, BETTER = 4, 0.9
#: Passes in which Newton's method must get somewhere.
SAMPLE_PATIENCE, PATIENCE = 6, 4
#: Passes a larger sample is likely to take.
SAMPLE_PASSES = 5
PATHS_AT_A_TIME = 20_000
#: With such a share of the slots in the wrong place Newton's method has stalled, most likely over ties.
TIED_LEFT = 0.02
#: Rows the first window of an exchange takes in: at least so many, and so many for each exposure in the wrong place.
FIRST_WINDOW, FOR_EACH = 8192, 64
#: How much wider the next window is. Where one puts less than this share right the rest is far off: then its square,
#: and with so few funds every pair gets a window of its own.
WIDER, TOO_LITTLE, FEW_FUNDS = 4, 1 / 8, 32
# rough costs in nanoseconds, only to choose between another pass and another path; they never depend on the machine
_ROW, _PAIR, _SOLVE, _PATH, _NODE, _ARC = 4.0, 1.0, 0.055, 2000.0, 40.0, 1.2


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


@dataclass
class _Sample:
    """Every n-th customer and their share of the quotas."""

    passes: Passes
    stride: int
    quotas: Quotas


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
        price, delta, settled = self._from_samples(warm_start)
        if not settled:
            found = self._refine(price, delta)
            price = found.price
            if found.error > TIED_LEFT * self.problem.slots:
                price = self._at_ties(price)
        chosen = everyone.empty_plan()
        everyone.take(self.bonus - price, chosen)
        if self._wrong(everyone.held(chosen), price) > self._enough(everyone):
            self._untie(everyone, price, chosen, self.quotas)
        self.watch.advance(everyone.rows // 2)  # the rest is a plan already, all but a few exposures
        return self._settle(price, chosen)

    # -- prices --------------------------------------------------------------------------------------------------
    def _from_samples(self, warm_start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None, bool]:
        """Prices of ever larger samples, the last windows, and whether Newton's method on everyone would change little.

        That is so where everyone took part in an auction, and where many are indifferent at the prices there are.
        """
        everyone = self.all
        delta, size = None, FIRST_SAMPLE
        if warm_start is None:
            some = self._every(everyone.rows if self._few(everyone) else SMALL_SAMPLE)
            price = self._auction(some)
            if some.stride == 1:
                return price, None, True
        else:
            price = self._warm(warm_start)
        while everyone.rows // size > 1:
            some = self._every(size)
            # a sample's own quotas are off by about sqrt(n F) exposures: closer than that is wasted, and from prices
            # that were right before it leads away
            enough = 0.25 * math.sqrt(everyone.funds * self.problem.slots / some.stride)
            if not self._few(some.passes):
                found = newton(
                    lambda p, _, some=some: self._judge(some.passes, p, some.quotas),  # type: ignore[misc]
                    some.quotas, price, self.floor, enough if warm_start is None else 4 * enough, None,
                    self._patience(SAMPLE_PATIENCE), self._worth(some.passes), self.watch.expired,
                )  # fmt: skip
                price, delta = found.price, found.delta
                if found.error > 4 * enough:
                    price = self._exact(some, price)
                everyone.count += some.passes.count
                self._tied = found.error > 4 * enough and self._are_tied(some.passes, price)
                if self._tied:
                    return price, delta, True
            # a larger sample spares everyone most of what this one leaves to put right, unless it takes longer itself
            size *= GROWTH
            if size > everyone.rows or enough * some.stride <= (
                SAMPLE_PASSES * self._worth(everyone) * size / everyone.rows
            ):
                break
        return price, delta, False

    def _few(self, passes: Passes) -> bool:
        """Whether there are few customers to a fund."""
        return passes.rows < CURVATURE * passes.funds

    def _every(self, size: int) -> _Sample:
        """So many customers, or more where there are many funds, spread evenly, with their share of the quotas."""
        rows, funds = self.all.rows, self.all.funds
        most = max(SAMPLE_BYTES, SAMPLE_EACH * rows) // (4 * funds)
        size = min(max(size, EACH_FUND * funds), most)
        stride = max(1, rows // size) if size < rows else 1
        if rows > most:
            stride = max(stride, -(-rows // most))
        return _Sample(self.all.every(stride), stride, self.quotas.share(len(range(0, rows, stride)) / rows))

    def _are_tied(self, some: Passes, price: np.ndarray) -> bool:
        """Whether more customers are indifferent at exact prices than there are funds to be priced by them."""
        return int((some.margins(self.bonus - price) == 0).sum()) > 4 * some.funds + some.rows // 256

    def _at_ties(self, price: np.ndarray) -> np.ndarray:
        """Where Newton's method stalled because many are tied: a small sample's exact prices, at which they are."""
        some = self._every(SMALL_SAMPLE)
        exact = self._exact(some, price)
        self._tied = self._are_tied(some.passes, exact)
        return exact if self._tied else price

    _tied = False

    def _auction(self, some: _Sample) -> np.ndarray:
        """Prices by an auction among few customers."""
        under, funds = self.problem.case == "under", some.passes.funds
        level = self.bonus if under else 0.0
        margin = some.passes.margins(np.full(funds, self.bonus - level))
        margin = margin[(margin > 0) & np.isfinite(margin)]
        spread = float(np.partition(margin, margin.size // 2)[margin.size // 2]) if margin.size else 1.0
        # what the sample's own quotas miss by chance a little more room makes up for
        quota = _whole(some.quotas.high) if some.stride == 1 else self._roomy(some.quotas).high
        wanted = Quotas(some.quotas.low, quota)
        quota = np.minimum(quota, some.passes.rows)
        if quota.sum() > STRANGERS * some.passes.rows * some.passes.k:
            return self._grounded(np.full(funds, level))  # hardly any quota is in anybody's way
        eps, bids = max(1.0, COARSEST * spread), np.zeros(funds + 1, np.int64)
        found, least, in_vain = np.full(funds, level), np.inf, 0
        while in_vain < 2 and not self.watch.expired():
            bids, ended = some.passes.auction(bids, quota.astype(np.int64), int(eps))
            price = (bids[:-1] - (bids[-1] if under else bids[:-1].min())).astype(np.float64)
            if not under:
                price[price <= 2 * eps] = 0.0  # funds with room to spare are the cheapest, within eps of each other
            price = self._grounded(level + price)
            wrong = self._wrong(some.passes.look(self.bonus - price, np.zeros((funds + 1,) * 2)).counts, price, wanted)
            in_vain = 0 if wrong < BETTER * least else in_vain + 1
            if wrong < least:
                found, least = price, wrong
            if not ended or eps == 1.0:
                break
            eps = max(1.0, eps // FINER)
        return found

    def _grounded(self, price: np.ndarray) -> np.ndarray:
        if self.quotas.floating:
            price = price - price.min()
        return np.maximum(price, self.floor)

    def _judge(self, some: Passes, price: np.ndarray, quotas: Quotas) -> Choices:
        return some.judge(self.bonus - price, lambda counts: quotas.wrong_place(counts, price))

    def _refine(self, price: np.ndarray, delta: np.ndarray | None) -> Prices:
        """Newton's method on everyone, with the last sample's windows."""
        some = self._every(FIRST_SAMPLE)
        if delta is None and some.stride > 1:
            delta = self._judge(some.passes, price, some.quotas).delta

        def look(p: np.ndarray, windows: np.ndarray | None) -> Choices:
            if windows is None or delta is None:
                return self._judge(self.all, p, self.quotas)
            return self.all.look(self.bonus - p, windows)

        enough = self._enough(self.all)
        patience, worth = self._patience(PATIENCE), self._worth(self.all)
        return newton(look, self.quotas, price, self.floor, enough, delta, patience, worth, self.watch.expired)

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

    def _warm(self, price: np.ndarray) -> np.ndarray:
        level = self.bonus if self.problem.case == "under" else 0.0
        return self._grounded(np.rint(np.asarray(price, np.float64) * self.scale) + level)

    def _roomy(self, share: Quotas) -> Quotas:
        """A sample's quotas, erring on the side that a sample can meet: nobody's price stands for a missing fund."""
        high = _whole(share.high * 0.98) if self.problem.case == "under" else np.ceil(share.high * 1.02)
        return Quotas(np.floor(share.low * 0.98), high)

    def _exact(self, some: _Sample, price: np.ndarray) -> np.ndarray:
        """Prices of a sample, solved exactly."""
        quotas, chosen = self._roomy(some.quotas), some.passes.empty_plan()
        some.passes.take(self.bonus - price, chosen)
        self._untie(some.passes, price, chosen, quotas)
        price, _ = self._put_right(some.passes, price, chosen, quotas)
        return self._grounded(price)

    # -- the plan ------------------------------------------------------------------------------------------------
    def _untie(self, passes: Passes, price: np.ndarray, chosen: Any, quotas: Quotas) -> None:
        """Decide for all who are indifferent at these prices at once, if they matter."""
        groups = passes.tied(self.bonus - price, chosen)
        if (
            groups is None
            or not groups.known
            or sum(map(len, groups.rows)) * 4 < self._wrong(passes.held(chosen), price, quotas)
        ):
            return
        has, picks, customers = groups.table()
        rows = np.concatenate(groups.rows)
        held = passes.few(rows, chosen)
        kinds = np.concatenate(groups.kinds)
        own = has[kinds[:, None], held] & (held >= -1)  # -1 is the last column: the empty slot
        fixed = passes.held(chosen)[:-1] - np.bincount(held[own & (held >= 0)], minlength=self.problem.n_funds)
        least, most = quotas.wanted(price)
        must = np.append(np.maximum(least - fixed, 0), 0).astype(np.int64)
        may = np.append(np.maximum(most - np.maximum(least, fixed), 0), passes.rows * passes.k).astype(np.int64)
        deal(groups, share_out(has, picks, customers, must, may), rows, kinds, held)
        passes.put(chosen, rows, held)

    def _exchange(
        self, passes: Passes, price: np.ndarray, chosen: Any, quotas: Quotas, theta: float
    ) -> tuple[int, np.ndarray, float]:
        """One exchange over the swaps that lose at most theta: its status, prices after it, and its theta."""
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
            return DONE, price, theta
        found = passes.near(self.bonus - price, chosen, theta, int(np.abs(excess).sum()))
        done = exchange(
            *found.data, self.bonus - price, self.scale, found.chosen, np.append(excess, -excess.sum()), supply,
            found.bound, found.swaps, PATHS_AT_A_TIME,
        )  # fmt: skip
        passes.put(chosen, found.rows, found.chosen)
        self.moves += done.moves
        price = price - (done.potential[:-1] - done.potential[-1])
        # a fund that nobody has may be as cheap as it likes to be: no less than nothing
        price = price if quotas.floating else np.maximum(price, self.floor)
        return done.status, price, found.theta

    moves = 0

    def _put_right(self, passes: Passes, price: np.ndarray, chosen: Any, quotas: Quotas) -> tuple[np.ndarray, bool]:
        """Exchanges over ever wider windows, from a plan that is best at its prices to one that meets the quotas.

        Returns the prices it ends with, and whether it is done (else the time was up).
        """
        before = self._wrong(passes.held(chosen), price, quotas)
        theta = self._window(passes, price, chosen, before)
        while True:
            if self.watch.expired():
                return price, False
            status, price, theta = self._exchange(passes, price, chosen, quotas, theta)
            if status == DONE:
                return price, True
            if status == WIDEN:
                left = self._wrong(passes.held(chosen), price, quotas)
                little = before - left < TOO_LITTLE * left
                theta *= (math.inf if passes.funds <= FEW_FUNDS else WIDER**2) if little else WIDER
                if theta > 2.0**52:
                    theta = math.inf
                before = left

    def _window(self, passes: Passes, price: np.ndarray, chosen: Any, left: float) -> float:
        """How much a swap of the first exchange may lose, with so many exposures in the wrong place."""
        rows = passes.rows
        if rows * passes.funds <= ALL_SWAPS:
            return math.inf
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
