"""From prices to a plan that meets the quotas: ties dealt out together, then exchanges for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation.exchange import DONE, FAR, STOPPED, Exchange, Supply
from ptofa_gpu.allocation.memory import EACH_FUND, FIRST_CUSTOMERS, working_set_rows
from ptofa_gpu.allocation.ties import deal, share_out

if TYPE_CHECKING:
    from ptofa_gpu.allocation.dual import Quotas
    from ptofa_gpu.allocation.market import Market
    from ptofa_gpu.allocation.passes import Passes

#: Customers of the first working set for each exposure in the wrong place, where that is more than `memory` says.
EACH_WRONG = 16
#: Pairs of a customer and a fund below which the working set is everyone.
SMALL = 1 << 18
#: How much larger the next working set is where one left more than such a share in the wrong place.
WIDER, MUCH = 4, 1 / 2
#: Kinds of tied customers times funds above which a flow takes too much memory (some 8 bytes for each, a few times).
MOST_CHOICES = 1 << 24


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
        passes, status = self.passes, STOPPED
        everyone = passes.rows * passes.funds <= SMALL
        wanted = max(FIRST_CUSTOMERS, EACH_FUND * passes.funds, int(EACH_WRONG * self.wrong()))
        most = max(FIRST_CUSTOMERS, working_set_rows(passes.funds, passes.k))
        wanted = min(wanted, most)
        while not self.market.watch.expired():
            wrong, moves = self.wrong(), self.moves
            status, whole = self._exchange(passes.rows if everyone else min(wanted, passes.rows))
            if status == DONE:
                return True
            if whole and status != STOPPED:
                raise RuntimeError("an exchange has come to a halt with all swaps at hand; this must not happen")
            if self.moves == moves:
                most *= WIDER
            if self.wrong() > MUCH * wrong:
                wanted = min(wanted * WIDER, most)
        return False

    def _exchange(self, wanted: int) -> tuple[int, bool]:
        """An exchange among about `wanted` customers, those with the cheapest swaps.

        Returns its status, and whether these were all.
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
            return DONE, True
        offset = market.bonus - price
        some = passes.nearest(offset, self.chosen, wanted)
        imbalance = np.append(excess, -excess.sum())
        status = STOPPED
        with Exchange(some, passes.limits_on_host[1], offset, passes.scale, imbalance, supply) as work:
            while status == STOPPED and not market.watch.expired():
                status = work.run()
        passes.put(self.chosen, some.rows, work.held)
        self.moves += work.moves
        price = price - (work.potential[:-1] - work.potential[-1])
        # a fund that nobody has may be as cheap as it likes to be: no less than nothing
        self.price = price if quotas.floating else np.maximum(price, market.floor)
        return status, some.bound == FAR
