"""From prices to a plan that meets the quotas: ties dealt out together, then exchanges for the rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation.exchange import DONE, NEEDS_CUSTOMERS, NEEDS_SWAPS, STOPPED, Supply
from ptofa_gpu.allocation.passes import ALL_SWAPS
from ptofa_gpu.allocation.ties import deal, share_out
from ptofa_gpu.allocation.window import Window

if TYPE_CHECKING:
    from ptofa_gpu.allocation.dual import Quotas
    from ptofa_gpu.allocation.market import Market
    from ptofa_gpu.allocation.passes import Passes

#: Nanoseconds of paths after which the clock is looked at, roughly.
AT_A_TIME = 5e7
#: Rows the first window of an exchange takes in: at least so many, and so many for each exposure in the wrong place.
FIRST_WINDOW, FOR_EACH = 8192, 64
#: Kinds of tied customers times funds above which a flow takes too much memory (some 8 bytes for each, a few times).
MOST_CHOICES = 1 << 24
#: How much wider the next window is; while that is not likely to have more swaps than lists may hold, and so long as a
#: window leaves less than this share in the wrong place.
WIDER, MUCH = 4, 1 / 2


class Settling:
    """One plan of some customers, which starts as what is best at the given prices.

    Attributes
    ----------
    price : (F,) float64
        In units; the plan is best at them after every step.
    chosen : (U, K) int16
        The plan, changed in place.
    moves : int
        Swaps made so far.
    """

    def __init__(self, market: Market, passes: Passes, quotas: Quotas, price: np.ndarray):
        self.market, self.passes, self.quotas, self.price = market, passes, quotas, price
        self.moves = 0
        self.chosen: Any = passes.empty_plan()
        passes.take(market.bonus - price, self.chosen)
        passes.small_blocks = True  # those who are tied, and the exchange, need the rest

    def wrong(self) -> float:
        """How many exposures are in the wrong place."""
        return self.market.wrong(self.passes.held(self.chosen), self.price, self.quotas)

    def untie(self) -> None:
        """Decide for all who are indifferent at these prices at once, if they matter."""
        passes, quotas = self.passes, self.quotas
        groups = passes.tied(self.market.bonus - self.price, self.chosen)
        if groups is None or not 0 < groups.known * passes.funds <= MOST_CHOICES:
            return
        if sum(map(len, groups.rows)) * 4 < self.wrong():
            return
        has, picks, customers = groups.table()
        rows = np.concatenate(groups.rows)
        held = passes.few(rows, self.chosen)
        kinds = np.concatenate(groups.kinds)
        own = has[kinds[:, None], held] & (held >= -1)  # -1 is the last column: the empty slot
        fixed = passes.held(self.chosen)[:-1] - np.bincount(held[own & (held >= 0)], minlength=passes.funds)
        least, most = quotas.wanted(self.price)
        must = np.append(np.maximum(least - fixed, 0), 0).astype(np.int64)
        may = np.append(np.maximum(most - np.maximum(least, fixed), 0), passes.rows * passes.k).astype(np.int64)
        deal(groups, share_out(has, picks, customers, must, may), rows, kinds, held)
        passes.put(self.chosen, rows, held)

    def put_right(self) -> bool:
        """Exchanges until the quotas are met; False: the time was up before."""
        theta = self._window(self.wrong())
        while not self.market.watch.expired():
            status, theta = self._exchange(theta)
            if status == DONE:
                return True
        return False

    def _window(self, wrong: float) -> float:
        """How much a swap of the first exchange may lose, with so many exposures in the wrong place."""
        rows, funds = self.passes.rows, self.passes.funds
        if rows * funds <= ALL_SWAPS:
            return math.inf
        wanted = max(FIRST_WINDOW, rows // 32, 16 * funds, int(FOR_EACH * wrong))
        return self.passes.theta(self.market.bonus - self.price, self.chosen, min(wanted, rows // 4))

    def _exchange(self, theta: float) -> tuple[int, float]:
        """An exchange over the swaps that lose at most theta, and over more of those that turn out to be in the way.

        Returns its status, and the theta of the next.
        """
        market, passes, quotas, price = self.market, self.passes, self.quotas, self.price
        high, low = quotas.high.astype(np.int64), quotas.low.astype(np.int64)
        counts = passes.held(self.chosen)[:-1]
        # what may stay unused at this price; beyond it the fund is short
        least = np.where(price > 0, 0, np.where(price < 0, high - low, 0))
        most = np.where(price > 0, 0, np.where(price > market.floor, high - low, high))
        unused = np.clip(high - counts, least, most)
        excess = counts - high + unused
        supply = Supply(price.astype(np.int64), unused, high - low, int(market.bonus))
        if quotas.floating:
            supply.free = high
        if not excess.any():
            return DONE, theta
        window = Window(passes, market.bonus - price, self.chosen, theta, _total(excess))
        work = window.exchange(np.append(excess, -excess.sum()), supply)
        # no window is wider than that of all swaps
        status, wrong, narrow = STOPPED, _total(work.imbalance), theta < math.inf and window.is_small(WIDER)
        paths, moves = (int(AT_A_TIME / cost(passes.funds)) for cost in (market.path, market.move))
        while not market.watch.expired():
            status = work.run(paths, moves, window.entry_room(work))
            if status == DONE:
                break
            if status == NEEDS_CUSTOMERS:
                window.bring(work)
                continue
            window.make_room(work)  # not while a path waits for customers: where E is one array none ever does
            if status == NEEDS_SWAPS:
                left = _total(work.imbalance)
                if narrow and left < MUCH * wrong:
                    theta = theta * WIDER if theta < 2.0**50 else math.inf
                    break
                narrow = False
                window.fetch(work, left)
        window.write()
        self.moves += work.moves
        price = price - (work.potential[:-1] - work.potential[-1])
        # a fund that nobody has may be as cheap as it likes to be: no less than nothing
        self.price = price if quotas.floating else np.maximum(price, market.floor)
        return status, theta


def _total(imbalance: np.ndarray) -> int:
    """How many exposures are in the wrong place, on either side."""
    return int(np.abs(imbalance).sum())
