"""What one exchange has at hand: some swaps, and the customers who make them, copied together on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation.candidates import EACH, FAR, list_sizes
from ptofa_gpu.allocation.exchange import Customers, Exchange
from ptofa_gpu.allocation.passes import MOST_SWAPS, ROOM
from ptofa_gpu.ops._rows import mask_words

if TYPE_CHECKING:
    from ptofa_gpu.allocation.passes import Passes

#: Arcs for each fund of which more swaps are fetched at a time, at least.
ARCS_EACH = 4
#: Swaps that one exchange may come to hold, if customers do not have more.
ENTRIES = 1 << 22


class Window:
    """The swaps that lose at most `theta`, and who makes them; more of both are fetched when they are wanted.

    Where E is one array on the host, and so is the plan, no customer is copied: all are there from the start. Elsewhere
    those are who are in the lists, so long as there is room, and then those who are about to move. Whoever is not there
    has not moved, so the plan never depends on it.

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
    swaps : (arc, cost, row)
    bound : (F + 1, F + 1) int64
        As `Exchange` wants them; the latter is its own from then on.
    most_swaps : int
        Swaps that one exchange may hold.
    """

    def __init__(self, passes: Passes, offset: np.ndarray, chosen: Any, theta: float, wrong: int):
        self._passes, self._offset, self._chosen = passes, offset, chosen
        self._slots, size = passes.rows * passes.k, passes.funds + 1
        self._most_rows = max(MOST_SWAPS, ROOM * passes.rows // 4) // passes.funds
        self._whole = passes.where == "cpu" and passes.source.is_one_array
        self._ids: list[np.ndarray] = []
        self._rows = 0
        self._place = np.full(0 if self._whole else passes.rows, -1, np.int32)
        self._copies: list[Any] = []  # revenue, tolerance, mask, chosen, with room for more
        found = passes.near(offset, chosen, theta, wrong)
        self.swaps, self.most_swaps = found.swaps, max(ENTRIES, self._slots // 2)
        self.bound, self._last = np.full((size, size), FAR), np.full((size, size), passes.rows)
        self.bound.reshape(-1)[found.arcs], self._last.reshape(-1)[found.arcs] = found.bound, found.last
        self._copy(np.zeros(0, np.int64))
        self._copy(self.swaps[2], self._most_rows)

    def is_small(self, wider: float) -> bool:
        """Whether a window so many times as wide is likely to have no more swaps than lists may hold."""
        return self.swaps[0].size * wider <= max(self._slots // EACH, 4 * self.bound.size)

    def is_full(self, work: Exchange) -> bool:
        """Whether the exchange holds too many swaps, and would better begin anew."""
        return work.paths > 0 and work.entries >= self.most_swaps

    def bring(self, work: Exchange) -> None:
        """Bring the customers who are to move."""
        self._copy(work.missing)
        work.take_in(self.customers)

    def fetch(self, work: Exchange, wrong: int) -> None:
        """Fetch more swaps of the arcs that are in the way of an exchange, or soon will be."""
        self.write()
        # the fewer exposures are to be put right, the fewer of an arc are likely to be wanted
        arcs = work.wanted(max(ARCS_EACH * len(self.bound), self._slots // EACH // (4 + wrong // 8)))
        if not arcs.size:
            raise RuntimeError("an exchange has come to a halt with all swaps at hand; this must not happen")
        bound, last = self.bound.reshape(-1), self._last.reshape(-1)  # views: they are contiguous
        sizes = list_sizes(arcs, work.blocked, self._slots, wrong)
        found = self._passes.more(self._offset, self._chosen, arcs, bound[arcs], last[arcs], sizes)
        last[arcs] = found.last
        self._copy(found.swaps[2], self._most_rows)
        work.take_in(self.customers)
        work.add(arcs, found.bound, found.swaps)

    def write(self) -> None:
        """Write what the customers have now into the plan."""
        if not self._whole:
            self._ids = [np.concatenate(self._ids)]
            self._passes.put(self._chosen, self._ids[0], self._copies[3][: self._rows])

    @property
    def customers(self) -> Customers:
        """Those who are there, for an exchange."""
        tolerance, risk, mask, _ = self._passes.limits_on_host
        revenue, chosen = self._passes.source.whole, self._chosen
        if not self._whole:
            # read-only where the originals are: for anything else Numba would compile the exchange anew
            *copies, chosen = self._copies
            originals = (self._passes.source.parts[0], tolerance, mask)
            revenue, tolerance, mask = (_as(x, getattr(y, "array", y)) for x, y in zip(copies, originals, strict=True))
        data = (revenue, tolerance, risk, mask_words(mask), self._offset, self._passes.scale, chosen)
        return Customers(*data, self._place)

    def _copy(self, rows: np.ndarray, most: int | None = None) -> None:
        """Copy customers, some of whom may be there already; none where there would be more than `most`."""
        if self._whole:
            return
        ids = np.unique(rows[self._place[rows] < 0])
        if most is not None and self._rows + ids.size > most:
            return
        (revenue, tolerance, _, mask), held = self._passes.some(ids, self._chosen)
        self._append([revenue, tolerance, mask, held])
        self._place[ids] = np.arange(self._rows, self._rows + ids.size)
        self._ids.append(ids)
        self._rows += ids.size

    def _append(self, new: list[Any]) -> None:
        there, needed = self._rows, self._rows + len(new[0])
        if not self._copies:
            self._copies = new
            return
        for i, part in enumerate(new):
            if part is None:
                continue
            if needed > len(self._copies[i]):
                larger = np.empty((max(needed, 2 * there), *part.shape[1:]), part.dtype)
                larger[:there] = self._copies[i][:there]
                self._copies[i] = larger
            self._copies[i][there:needed] = part


def _as(copy: Any, original: Any) -> Any:
    """A view of `copy` that may be written to where `original` may."""
    if copy is None or not isinstance(original, np.ndarray):
        return copy
    view = copy.view()
    view.setflags(write=original.flags.writeable)
    return view
