"""Exact repair: successive shortest paths on the fund graph, moving customers along the cheapest swaps.

Nodes are the funds and the empty slot (node F). At prices where every customer holds what they like best all swaps cost
>= 0; the few funds over or under their quota are put right along shortest paths (Dijkstra with potentials), which
keeps that true, so the plan is the best one when the last fund is right (Ahuja, Magnanti, Orlin, *Network Flows*,
1993, section 9.7). Costs are whole units: no rounding, no tolerance.

Two things make it quick. Only some swaps are at hand, and an arc is never taken to cost more than its bound, which all
others cost at least: a path that rests on a bound is no path, but the prices it gives are still right, and the swaps
that are missing can be added. And one search serves many funds: paths that share no fund do not touch each other's
customers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptofa_gpu.allocation._heaps import ENTRIES, ENTRY, LISTED, add_all, empty, pack
from ptofa_gpu.allocation._lists import EACH_BYTES
from ptofa_gpu.allocation._moves import (
    DONE,
    FAR,
    MOVES,
    NEEDS_CUSTOMERS,
    NEEDS_SWAPS,
    PATHS,
    STOPPED,
    Arcs,
    Customers,
    Slack,
    State,
    clean_all,
    run,
)
from ptofa_gpu.allocation._trim import trim

__all__ = ["DONE", "NEEDS_CUSTOMERS", "NEEDS_SWAPS", "STOPPED", "Customers", "Exchange", "Supply"]


@dataclass
class Supply:
    """What leaving an exposure of each fund unused costs, in units.

    The first ``free`` exposures left unused cost the fund's price; the rest, down to none at all, its price and
    `low_bonus` (they are the fund's lower bound).
    """

    price: np.ndarray  # (F,) int64
    unused: np.ndarray  # (F,) int64, now
    free: np.ndarray  # (F,) int64
    low_bonus: int


class Exchange:
    """Puts every fund right along shortest paths over the swaps at hand.

    Parameters
    ----------
    customers : Customers
        Those who offer the swaps, with their best choice at these prices; `chosen` is updated.
    imbalance : (F + 1,) int64
        Exposures that each fund has too many (negative: too few), and last slots that stay empty too many.
    supply : Supply
        Its `unused` is updated.
    bound : (F + 1, F + 1) int64
        Every swap a -> b that costs less than bound[a, b] is in `swaps`, and of those that cost as much some may be;
        `FAR` where a = b. Shared with the caller, and updated by `add`.
    swaps : (arc, cost, row)
        arc = a (F + 1) + b, cost in units, and the customer.
    room : int, optional
        Bytes that are set aside for swaps of each kind; those never written to take no memory.

    Attributes
    ----------
    customers : Customers
        Those who are there; to be set anew when there are more, or fewer.
    potential : (F + 1,) int64
        By how much each fund has become dearer than the empty slot is: what a customer gains by it at the old prices.
    paths, moves : int
        Taken so far.
    entry_bytes, list_bytes : int
        Taken by the swaps that are at hand, or were: those of the customers who moved, and those that were added.
    missing : (n,) int64
        The customers who must be here before it can go on.
    """

    def __init__(
        self,
        customers: Customers,
        imbalance: np.ndarray,
        supply: Supply,
        bound: np.ndarray,
        swaps: tuple[np.ndarray, np.ndarray, np.ndarray],
        room: int = 0,
    ):
        size, n = imbalance.size, swaps[0].size
        self._slack = Slack(supply.price, supply.unused, supply.free, supply.low_bonus)
        self._arcs = Arcs(bound.copy(), np.full((size, size), -1), bound)
        potential, distance, parent, order, path = np.zeros((5, size), np.int64)
        touched, count = np.zeros(size, np.bool_), np.zeros(8, np.int64)
        self._state = State(imbalance.astype(np.int64), potential, distance, parent, order, path, touched, count)
        self._blocked, self.missing = np.zeros((size, size), np.bool_), np.empty(0, np.int64)
        heaps = empty(size, room // ENTRY.itemsize + 1024, max(n, room // EACH_BYTES))
        self._heaps = add_all(heaps, *swaps)
        self.customers = customers
        clean_all(customers, self._heaps, self._arcs, np.flatnonzero(self._heaps.first >= 0))

    @property
    def imbalance(self) -> np.ndarray:
        """(F + 1,) what is left to put right."""
        return self._state.imbalance

    @property
    def potential(self) -> np.ndarray:
        """(F + 1,) as above."""
        return self._state.potential

    @property
    def paths(self) -> int:
        """Paths so far."""
        return int(self._state.count[PATHS])

    @property
    def moves(self) -> int:
        """Swaps made so far."""
        return int(self._state.count[MOVES])

    @property
    def entry_bytes(self) -> int:
        """As above."""
        return int(ENTRY.itemsize * self._heaps.used[ENTRIES])

    @property
    def list_bytes(self) -> int:
        """As above."""
        return int(EACH_BYTES * self._heaps.used[LISTED])

    def run(self, max_paths: int, max_moves: int, max_bytes: int) -> int:
        """Go on until every fund is right, or so many paths were taken, moves made, or `entry_bytes` are taken, about.

        Returns
        -------
        int
            ``DONE``; ``STOPPED`` at a limit; ``NEEDS_SWAPS`` where every path left rests on a bound;
            ``NEEDS_CUSTOMERS`` where the next path is that of customers who are not here.
        """
        self._blocked[:] = False
        status, self._heaps, self.missing = run(
            self.customers, self._heaps, self._arcs, self._slack, self._state, self._blocked,
            max_paths, max_moves, max_bytes // ENTRY.itemsize,
        )  # fmt: skip
        return int(status)

    @property
    def blocked(self) -> np.ndarray:
        """The arcs that are in the way: a (F + 1) + b."""
        return np.flatnonzero(self._blocked)

    def wanted(self, most: int) -> np.ndarray:
        """The arcs of which more swaps are wanted: all that are in the way, and the next to be, about `most` in all.

        Returns
        -------
        (n,) int64, rising: a (F + 1) + b.
        """
        arcs, potential = self._arcs, self._state.potential
        ahead = arcs.bound + potential[:, None] - potential  # how much dearer paths may become before it is in the way
        rests = (arcs.cost == arcs.bound) & (arcs.bound < FAR)
        np.fill_diagonal(rests, False)
        some = np.flatnonzero(rests)
        ahead = ahead.ravel()[some]
        if some.size > most:
            some = some[np.argpartition(ahead, most)[:most]]
        return np.union1d(some, self.blocked)

    def pack(self) -> None:
        """Let the swaps of customers who moved take less memory."""
        self._heaps = pack(self._heaps)

    def trim(self, last: np.ndarray, most: int) -> None:
        """Keep about `most` bytes of swaps, those that may be wanted soonest; `last` is kept as `bound` is."""
        self._heaps = trim(self.customers, self._heaps, self._arcs, last, self.potential, most)

    def add(self, wanted: np.ndarray, bound: np.ndarray, swaps: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """More swaps of the arcs `wanted`, and what those of them cost at least that are still not at hand."""
        self._arcs.bound.reshape(-1)[wanted] = bound  # a view: it is contiguous
        self._heaps = add_all(self._heaps, *swaps)
        clean_all(self.customers, self._heaps, self._arcs, wanted)
