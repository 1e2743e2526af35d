"""What one exchange has at hand: some swaps, and the revenue of the customers who make them, on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation._heaps import ENTRY
from ptofa_gpu.allocation.candidates import EACH, FAR, list_sizes
from ptofa_gpu.allocation.exchange import Customers, Exchange, Supply
from ptofa_gpu.allocation.room import give_back, most_rows, swap_bytes
from ptofa_gpu.ops._rows import mask_words

if TYPE_CHECKING:
    from ptofa_gpu.allocation.passes import Passes

#: Arcs for each fund of which more swaps are fetched at a time, at least.
ARCS_EACH = 4
#: One in so many bytes that swaps may take is for those of customers who moved.
MOVED = 8
#: Of the bytes that swaps may take, what stays where room is made.
KEEP = 0.7
#: Swaps that a customer of a list is not likely to have more of there.
MOST_OFTEN = 4


class Window:
    """The swaps that lose at most `theta`, and who makes them; more of both are fetched when they are wanted.

    Where E is one array on the host no customer's revenue is copied: all are there from the start. Elsewhere those are
    who are in the lists, so long as there is room, and then those who are about to move. What is copied never shows in
    the plan.

    Parameters
    ----------
    passes : Passes
    offset : (F,) float64
        Bonus - price, units.
    chosen : (U, K) int16
        The plan.
    theta : float
        Units.
    wrong : int
        Exposures to put right.

    Attributes
    ----------
    bound : (F + 1, F + 1) int64
        As `Exchange` wants it; its own from then on.
    entry_bytes, list_bytes : int
        Bytes of swaps, as the exchange has them, beyond which those of customers who moved are packed, and beyond which
        some of all go.
    """

    def __init__(self, passes: Passes, offset: np.ndarray, chosen: Any, theta: float, wrong: int):
        self._passes, self._offset, self._plan = passes, offset, chosen
        self._slots, size = passes.rows * passes.k, passes.funds + 1
        most = swap_bytes(passes.rows, passes.funds)
        self.entry_bytes = most // MOVED // ENTRY.itemsize * ENTRY.itemsize
        self.list_bytes = most - self.entry_bytes
        self._made_room = self._evicted = -1
        # the plan itself, or what those have who are here
        self._known = self._is_here(chosen)
        self._chosen = chosen if self._known else np.empty((passes.rows, passes.k), np.int16)
        self._whole = passes.where == "cpu" and passes.source.is_one_array
        self._place = np.full(0 if self._whole else passes.rows, -1, np.int32)
        self._revenue = np.empty((0 if self._whole else most_rows(passes.rows, passes.funds), passes.funds), np.float32)
        self._ids: list[np.ndarray] = []
        self._rows = 0
        if not self._whole:
            give_back()
        found = passes.near(offset, chosen, theta, wrong)
        self._n_first = found.swaps[0].size
        self._first_swaps: Any = found.swaps
        self.bound, self._last = np.full((size, size), FAR), np.full((size, size), passes.rows)
        self.bound.reshape(-1)[found.arcs], self._last.reshape(-1)[found.arcs] = found.bound, found.last
        self._copy(found.swaps[2])

    @staticmethod
    def _is_here(plan: Any) -> bool:
        return isinstance(plan, np.ndarray)

    def is_small(self, wider: float) -> bool:
        """Whether a window so many times as wide is likely to have no more swaps than lists may hold."""
        return self._n_first * wider <= max(self._slots // EACH, 4 * self.bound.size)

    def exchange(self, imbalance: np.ndarray, supply: Supply) -> Exchange:
        """The exchange over the first swaps, which are its own from then on; to be called once."""
        swaps, self._first_swaps = self._first_swaps, None
        if not self._whole:
            give_back()
        return Exchange(self.customers, imbalance, supply, self.bound, swaps, 2 * self.list_bytes)

    def entry_room(self, work: Exchange) -> int:
        """Bytes that the swaps of customers who move may take before `make_room`.

        None where there are too many of all: room is then made after the next path, and not whenever the exchange
        stops for another reason, which depends on the clock and on where E lies.
        """
        return self.entry_bytes if work.list_bytes < self.list_bytes else 0

    def make_room(self, work: Exchange) -> None:
        """Pack the swaps of customers who moved if they are too many, and drop some of all if those are, unless the
        exchange has come no further since that was done."""
        if work.entry_bytes >= self.entry_bytes:
            work.pack()
        if work.list_bytes >= self.list_bytes and work.paths > self._made_room:
            work.trim(self._last, int(KEEP * self.list_bytes))
            self._made_room = work.paths

    def bring(self, work: Exchange) -> None:
        """Bring the customers who are to move."""
        new = work.missing
        # who is there may be among those who are to move, too: without a move in between all stay
        full = self._rows + new.size > len(self._revenue)
        if full and self._known and self._ids and work.moves > self._evicted:
            self._place[np.concatenate(self._ids)] = -1
            self._ids, self._rows, self._evicted = [], 0, work.moves
        self._copy(new, anyway=True)
        work.customers = self.customers

    def fetch(self, work: Exchange, wrong: int) -> None:
        """Fetch more swaps of the arcs that are in the way of an exchange, or soon will be."""
        self.write()
        # the fewer exposures are to be put right, the fewer of an arc are likely to be wanted
        arcs = work.wanted(max(ARCS_EACH * len(self.bound), self._slots // EACH // (4 + wrong // 8)))
        if not arcs.size:
            raise RuntimeError("an exchange has come to a halt with all swaps at hand; this must not happen")
        bound, last = self.bound.reshape(-1), self._last.reshape(-1)  # views: they are contiguous
        sizes = list_sizes(arcs, work.blocked, self._slots, wrong, self._passes.funds)
        found = self._passes.more(self._offset, self._plan, arcs, bound[arcs], last[arcs], sizes)
        last[arcs] = found.last
        self._copy(found.swaps[2])
        work.customers = self.customers
        work.add(arcs, found.bound, found.swaps)

    def write(self) -> None:
        """Write what the customers have now into the plan."""
        if not self._known and self._ids:
            self._ids = [np.concatenate(self._ids)]
            self._passes.put(self._plan, self._ids[0], self._chosen[self._ids[0]])

    @property
    def customers(self) -> Customers:
        """Those who are there, for an exchange."""
        tolerance, risk, mask, _ = self._passes.limits_on_host
        revenue = self._passes.source.whole
        if not self._whole:
            revenue = self._passes.source.writeable_as_given(self._revenue.view())
        data = (revenue, tolerance, risk, mask_words(mask), self._offset, self._passes.scale, self._chosen)
        return Customers(*data, self._place, self._known)

    def _copy(self, rows: np.ndarray, anyway: bool = False) -> None:
        """Copy customers, some of whom may be there already; none where there is no room for all, unless `anyway`."""
        if self._whole:
            return
        rows = rows[self._place[rows] < 0]
        if not anyway and rows.size > MOST_OFTEN * (len(self._revenue) - self._rows):
            return  # not worth a closer look
        ids = np.unique(rows).astype(np.int64)
        there, needed = self._rows, self._rows + ids.size
        if needed > len(self._revenue):
            if not anyway:
                return
            larger = np.empty((max(needed, 2 * there), self._passes.funds), np.float32)
            larger[:there] = self._revenue[:there]
            self._revenue = larger
        self._passes.some(ids, self._revenue[there:needed])
        if not self._known:
            self._chosen[ids] = self._passes.few(ids, self._plan)
        self._place[ids] = np.arange(there, needed)
        self._ids.append(ids)
        self._rows = needed
