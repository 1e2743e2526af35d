"""Exact repair: successive shortest paths on the fund graph, moving customers along the cheapest swaps.

Nodes are the funds and the empty slot (node F). At prices where every customer holds what they like best all swaps cost
>= 0; the few funds over or under their quota are put right along shortest paths (Dijkstra with potentials), which
keeps that true, so the plan is the best one when the last fund is right (Ahuja, Magnanti, Orlin, *Network Flows*,
1993, section 9.7). Costs are whole units: no rounding, no tolerance.

Only a working set of customers takes part: those with the cheapest swaps. An arc is never taken to cost more than the
bound which all others' swaps cost at least: a path that rests on the bound is no path, but the prices it gives are
still right, and the exchange goes on from there with more customers. One search serves many funds: paths that share no
fund do not touch each other's customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import numpy as np

from ptofa_gpu.ops._entry import Entry

#: What every swap costs less than.
FAR = np.int64(1) << np.int64(62)
DONE, NEEDS_CUSTOMERS, STOPPED = range(3)
#: Steps of a call, some nanoseconds each.
WORK = 1 << 24

_OPEN = Entry(
    "exchange_open",
    "out_f32 revenue; in_i8 tolerance; in_i8 risk; in_u64 mask; i64 words; i64 rows; i64 funds; in_f64 offset; "
    "f64 scale; in_i16 held; i64 k; in_i64 imbalance; i64 bound; in_i64 slack_price; in_i64 unused; in_i64 free; "
    "i64 low_bonus; out_i64 handle",
)
_RUN = Entry("exchange_run", "i64 handle; i64 work; out_i64 status")
_READ = Entry("exchange_read", "i64 handle; out_i16 held; out_i64 imbalance; out_i64 potential")
_CLOSE = Entry("exchange_close", "i64 handle")


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


@dataclass
class WorkingSet:
    """The customers who take part in an exchange, on the host.

    Attributes
    ----------
    rows : (n,) int64, rising
    revenue : (n, F) float32
        A copy, which the exchange works in.
    tolerance, mask
        Of these customers, as in `price_pass`.
    held : (n, K) int16
        What they have.
    bound : int
        What every swap of anybody else costs at least, units; `FAR` where there is nobody else.
    """

    rows: np.ndarray
    revenue: np.ndarray
    tolerance: np.ndarray
    mask: np.ndarray | None
    held: np.ndarray
    bound: int


class Exchange:
    """Puts every fund right along shortest paths over the swaps of a working set.

    Parameters
    ----------
    customers : WorkingSet
        With their best choice at these prices.
    risk : (F,) int8
    offset : (F,) float64
        Bonus - price, units.
    scale : float
        Units per currency.
    imbalance : (F + 1,) int64
        Exposures that each fund has too many (negative: too few), and last slots that stay empty too many.
    supply : Supply

    Attributes
    ----------
    moves : int
        Swaps made so far.
    held : (n, K) int16
        What the customers have, after `close`.
    imbalance : (F + 1,) int64
        What is left to put right, after `close`.
    potential : (F + 1,) int64
        By how much each fund has become dearer than the empty slot is, after `close`.
    """

    def __init__(
        self,
        customers: WorkingSet,
        risk: np.ndarray,
        offset: np.ndarray,
        scale: float,
        imbalance: np.ndarray,
        supply: Supply,
    ):
        (rows, funds), handle = customers.revenue.shape, np.zeros(1, np.int64)
        mask = customers.mask
        self.held, self.imbalance, self.potential = customers.held.copy(), imbalance.copy(), np.zeros_like(imbalance)
        self.moves, self._status = 0, np.zeros(3, np.int64)
        _OPEN(
            revenue=customers.revenue, tolerance=customers.tolerance, risk=risk, mask=mask,
            words=0 if mask is None else mask.shape[1], rows=rows, funds=funds, offset=offset, scale=scale,
            held=self.held, k=self.held.shape[1], imbalance=imbalance, bound=int(customers.bound),
            slack_price=supply.price, unused=supply.unused, free=supply.free, low_bonus=supply.low_bonus, handle=handle,
        )  # fmt: skip
        self._handle, self._revenue = int(handle[0]), customers.revenue

    def run(self, work: int = WORK) -> int:
        """Go on until every fund is right, or about so many steps were made.

        Returns
        -------
        int
            ``DONE``; ``STOPPED`` after as many steps; ``NEEDS_CUSTOMERS`` where every path left rests on the bound.
        """
        _RUN(handle=self._handle, work=work, status=self._status)
        self.moves = int(self._status[2])
        return int(self._status[0])

    def close(self) -> None:
        """Read what came of it, and let its memory go."""
        if self._handle:
            _READ(handle=self._handle, held=self.held, imbalance=self.imbalance, potential=self.potential)
            handle, self._handle = self._handle, 0
            _CLOSE(handle=handle)

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
