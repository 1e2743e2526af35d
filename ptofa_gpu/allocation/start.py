"""Prices to start from: an auction among few customers, then Newton's method on ever larger samples.

A sample is every n-th customer with their share of the quotas. Its right prices are off by chance from everyone's, by
about sqrt(n F) exposures; no more than that is asked of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ptofa_gpu.allocation.auction import FINER
from ptofa_gpu.allocation.dual import Quotas, newton
from ptofa_gpu.allocation.market import Market
from ptofa_gpu.allocation.passes import Passes
from ptofa_gpu.allocation.settle import Settling

#: Customers in the samples: the first holds an auction, the others refine its prices; and for each fund at least.
SMALL_SAMPLE, FIRST_SAMPLE, GROWTH, EACH_FUND = 1024, 20_000, 8, 64
#: One in so many customers is solved exactly where many are tied.
TIED = 8
#: Bytes of E that a sample may copy: so many (for an auction among all, where there are few), or so many for each
#: customer there is.
SAMPLE_BYTES, AUCTION_BYTES, SAMPLE_EACH = 1 << 25, 1 << 28, 24
#: Customers for each fund that it takes for Newton's method to find its way: the curvature of fewer is mostly noise.
CURVATURE = 500
#: Places for each slot with which an auction is held at most.
STRANGERS = 4
#: An auction's first steps, in median margins; it ends where finer ones leave no less than this share wrong.
COARSEST, BETTER = 4, 0.9
#: With a larger share of the slots than this in the wrong place an auction goes on: its steps are too coarse to tell.
MANY = 0.1
#: So many are likely to be tied; from this phase on every other one is tried for whether ties leave only a little.
FINE, LITTLE = 6, 0.03
#: Passes in which Newton's method must get somewhere, and those that a larger sample is likely to take.
SAMPLE_PATIENCE, SAMPLE_PASSES = 6, 5


@dataclass
class Sample:
    """Every n-th customer and their share of the quotas."""

    passes: Passes
    stride: int
    quotas: Quotas

    def own(self) -> Quotas:
        """Its quotas as whole numbers. It is not certain that it can meet them."""
        return Quotas(np.floor(self.quotas.low), _whole(self.quotas.high), self.quotas.floating)

    def roomy(self, under: bool) -> Quotas:
        """Its quotas, erring on the side that it can meet: nobody's price stands for a missing fund."""
        high = _whole(self.quotas.high * 0.98) if under else np.ceil(self.quotas.high * 1.02)
        return Quotas(np.floor(self.quotas.low * 0.98), high)


@dataclass
class Beginning:
    """Prices to start from on everyone."""

    price: np.ndarray  # (F,) units
    delta: np.ndarray | None  # the last sample's windows
    #: Newton's method on everyone would change little: all took part in an auction, or many are tied at these prices.
    settled: bool


class Samples:
    """Prices of samples."""

    def __init__(self, market: Market, everyone: Passes):
        self.market, self.everyone = market, everyone

    def beginning(self, warm_start: np.ndarray | None) -> Beginning:
        """Prices of ever larger samples, from an auction among the smallest or from `warm_start` (in currency)."""
        market, everyone = self.market, self.everyone
        delta, size = None, FIRST_SAMPLE
        if warm_start is None:
            some = self.every(everyone.rows, AUCTION_BYTES) if _few(everyone) else self.every(SMALL_SAMPLE)
            price = self._auction(some)
            if some.stride == 1:
                return Beginning(price, None, True)
        else:
            price = market.units(warm_start)
        while everyone.rows // size > 1:
            some = self.every(size)
            # a sample's own quotas are off by about sqrt(n F) exposures: closer than that is wasted, and from prices
            # that were right before it leads away
            enough = 0.25 * math.sqrt(everyone.funds * market.slots / some.stride)
            if not _few(some.passes):
                found = newton(
                    lambda p, _, some=some: market.judge(some.passes, p, some.quotas),  # type: ignore[misc]
                    some.quotas, price, market.grounded, enough if warm_start is None else 4 * enough, None,
                    patience(SAMPLE_PATIENCE, everyone.funds), market.worth(some.passes), market.watch.expired,
                )  # fmt: skip
                price, delta = found.price, found.delta
                stalled = found.error > 4 * enough
                if stalled:
                    price = self._exact(some, price)
                everyone.count += some.passes.count
                if stalled and self._are_tied(some.passes, price):
                    return Beginning(price, delta, True)
            # a larger sample spares everyone most of what this one leaves to put right, unless it takes longer itself
            size *= GROWTH
            longer = SAMPLE_PASSES * market.worth(everyone) * size / everyone.rows
            if size > everyone.rows or enough * some.stride <= longer:
                break
        return Beginning(price, delta, False)

    def every(self, size: int, most_bytes: int = SAMPLE_BYTES) -> Sample:
        """So many customers, or more where there are many funds, spread evenly, with their share of the quotas."""
        rows, funds = self.everyone.rows, self.everyone.funds
        most = max(most_bytes, SAMPLE_EACH * rows) // (4 * funds)
        size = min(max(size, EACH_FUND * funds), most)
        stride = max(1, rows // size) if size < rows else 1
        if rows > most:
            stride = max(stride, -(-rows // most))
        quotas = self.market.quotas.share(len(range(0, rows, stride)) / rows)
        return Sample(self.everyone.every(stride), stride, quotas)

    def at_ties(self, price: np.ndarray) -> np.ndarray:
        """Where Newton's method stalled because many are tied: a sample's exact prices, at which they are."""
        self.everyone.source.release()  # for the sample
        some = self.every(max(SMALL_SAMPLE, self.everyone.rows // TIED))
        exact = self._exact(some, price)
        return exact if self._are_tied(some.passes, exact) else price

    def _are_tied(self, some: Passes, price: np.ndarray) -> bool:
        """Whether more customers are indifferent at exact prices than there are funds to be priced by them."""
        margins = some.margins(self.market.bonus - price)
        return int((margins == 0).sum()) > 4 * some.funds + some.rows // 256

    def _exact(self, some: Sample, price: np.ndarray) -> np.ndarray:
        """Prices of a sample, solved exactly."""
        self.everyone.source.release()  # for the exchange
        for quotas in (some.own(), some.roomy(self.market.case == "under")):
            plan = Settling(self.market, some.passes, quotas, price)
            plan.untie()
            plan.put_right()
            found = self.market.grounded(plan.price)
            if np.abs(found - price).max() < self.market.bonus / 4 or self.market.watch.expired():
                break  # else some price stands for a fund that cannot be had: the sample does not meet its own quotas
        return found

    def _auction(self, some: Sample) -> np.ndarray:
        """Prices by an auction among few customers; among everyone those who are indifferent at them are so exactly."""
        if some.stride == 1:
            price, within, _ = self._phases(some, some.own())
            return price if self.market.watch.expired() else self._tightened(some, price, within)
        price, _, ended = self._phases(some, some.own())
        return price if ended else self._phases(some, some.roomy(self.market.case == "under"))[0]

    def _phases(self, some: Sample, wanted: Quotas) -> tuple[np.ndarray, float, bool]:
        """Prices by an auction, by how much somebody may like something else better, and whether all found a place."""
        market, under, funds = self.market, self.market.case == "under", some.passes.funds
        margin = some.passes.margins(np.full(funds, market.bonus - market.level))
        margin = margin[(margin > 0) & np.isfinite(margin)]
        spread = float(np.partition(margin, margin.size // 2)[margin.size // 2]) if margin.size else 1.0
        own = some.passes.limits_on_host[3]
        slots = some.passes.rows * some.passes.k if own is None else int(own.sum(dtype=np.int64))
        found = market.grounded(np.full(funds, market.level))
        quota = np.minimum(wanted.high, some.passes.rows)
        if quota.sum() > STRANGERS * slots:
            return found, 0.0, True  # hardly any quota is in anybody's way
        eps, bids = max(1.0, COARSEST * spread), np.zeros(funds + 1, np.int64)
        least, in_vain, within, phase, ended = np.inf, 0, 0.0, 0, True
        while in_vain < 2 and not market.watch.expired():
            bids, ended = some.passes.auction(bids, quota.astype(np.int64), int(eps))
            price = (bids[:-1] - (bids[-1] if under else bids[:-1].min())).astype(np.float64)
            if not under:
                price[price <= 2 * eps] = 0.0  # funds with room to spare are the cheapest, within eps of each other
            price = market.grounded(market.level + price)
            taken = some.passes.look(market.bonus - price, np.zeros((funds + 1,) * 2))
            wrong = market.wrong(taken.counts, price, wanted)
            in_vain = 0 if wrong < BETTER * least or wrong > MANY * slots else in_vain + 1
            if wrong < least or (ended and some.stride == 1):
                found, within = price, 2 * eps
            least, phase = min(wrong, least), phase + 1
            if not ended or eps == 1.0:
                break
            if some.stride == 1 and wrong > MANY * slots and phase >= FINE and phase % 2 == 0:
                plan = Settling(market, some.passes, wanted, self._tightened(some, price, within))
                plan.untie()
                if plan.wrong() < LITTLE * slots:
                    break
            eps = max(1.0, eps // FINER)
        return found, within, ended

    def _tightened(self, some: Sample, price: np.ndarray, within: float) -> np.ndarray:
        """Prices at which those who are indifferent but for so many units are so exactly."""
        passes, market = some.passes, self.market
        offset, plan = market.bonus - price, passes.empty_plan()
        passes.take(offset, plan)
        fixed = (price == 0) & (not some.quotas.floating)  # funds with room to spare
        return market.grounded(price + passes.tightened(offset, plan, within, fixed))


def patience(passes: int, funds: int) -> int:
    """Passes in which Newton's method must get somewhere: with many funds the first go to finding how far to step."""
    return passes + funds // 32


def _few(passes: Passes) -> bool:
    """Whether there are few customers to a fund."""
    return passes.rows < CURVATURE * passes.funds


def _whole(share: np.ndarray) -> np.ndarray:
    """Shares as whole numbers with the same sum, rounded down: the largest remainders are rounded up."""
    out = np.floor(share)
    left = int(share.sum() - out.sum())
    out[np.argsort(out - share, kind="stable")[:left]] += 1
    return out
