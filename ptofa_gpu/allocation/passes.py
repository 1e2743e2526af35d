"""Everything the optimum does to customers: map over blocks of rows, then add.

A block is all rows of an array, on the host or on a GPU, or a part that fits in memory. What comes back is small
(counts, sums, a few candidate rows), and all that is added is whole numbers: the blocks never show in a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._lazy import require
from ptofa_gpu.allocation.auction import auction_phase
from ptofa_gpu.allocation.blocks import ArrayRows, RevenueBlocks
from ptofa_gpu.allocation.dual import Choices, windows
from ptofa_gpu.allocation.exchange import FAR, WorkingSet
from ptofa_gpu.allocation.ties import Groups
from ptofa_gpu.allocation.tighten import tightened
from ptofa_gpu.device import array_namespace, to_device
from ptofa_gpu.ops._rows import every
from ptofa_gpu.ops.choices import choices, take
from ptofa_gpu.ops.order import order_slots
from ptofa_gpu.ops.price import price_pass
from ptofa_gpu.ops.swaps import gather, near_rows, scatter, swap_margins
from ptofa_gpu.ops.totals import count_funds

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem

#: Bytes of E that are copied at a time, by where it is.
PORTION = {"cpu": 1 << 18, "cuda": 1 << 22}
#: As many more customers than wanted may come with them; beyond that some of those who are alike stay away.
TOO_MANY = 2
#: Customers in the sample that says how far a working set must reach.
MARGINS = 50_000


class Passes:
    """Passes over some customers: all of a problem's, or every n-th.

    Parameters
    ----------
    source : RevenueBlocks
        Their revenue, in blocks on the device that does the work.
    tolerance, risk, mask, slots
        As in `price_pass`, of all these customers, on the host.
    k : int
    scale : float
        Units per currency.

    Attributes
    ----------
    count : int
        Passes over everybody so far.
    small_blocks : bool
        Whether what is read or copied of E at a time is to leave room for something else.
    """

    def __init__(self, source: RevenueBlocks, tolerance: Any, risk: Any, mask: Any, slots: Any, k: int, scale: float):
        self.source, self.k, self.scale, self.where = source, k, scale, source.device
        self.rows, self.funds = source.shape
        self.count = 0
        self.small_blocks = False
        self.limits_on_host = (tolerance, risk, mask, slots)
        self._moved: dict[int, tuple[Any, ...]] = {}

    @classmethod
    def over(cls, problem: AllocationProblem, source: RevenueBlocks, scale: float) -> Passes:
        """Passes over all customers of a problem."""
        out = cls(source, problem.tolerance, problem.risk, problem.mask, problem.slots_of, problem.k, scale)
        if source.is_one_array:
            out._moved[0] = problem.limits(source.device)
        return out

    # -- the customers -------------------------------------------------------------------------------------------
    def _revenue(self) -> Iterator[tuple[int, int, Any]]:
        return self.source.iterate_small() if self.small_blocks else self.source.iterate()

    def _blocks(self) -> Iterator[tuple[int, int, tuple[Any, Any, Any, Any], Any]]:
        """(lo, hi, (revenue, tolerance, risk, mask), slots), all where the work is done."""
        for lo, hi, revenue in self._revenue():
            tolerance, risk, mask, slots = self._limits(lo, hi)
            yield lo, hi, (revenue, tolerance, risk, mask), slots

    def _limits(self, lo: int, hi: int) -> tuple[Any, ...]:
        """Tolerance, risk, mask and slots of a block, where the work is done; copied once if E is there as a whole."""
        if lo in self._moved:
            return self._moved[lo]
        tolerance, risk, mask, slots = self.limits_on_host
        own = (x if x is None or x is risk else x[lo:hi] for x in (tolerance, risk, mask, slots))
        there = tuple(None if x is None else to_device(x, self.where) for x in own)
        if self.source.is_one_array:
            self._moved[lo] = there
        return there

    def every(self, stride: int) -> Passes:
        """Passes over the customers 0, stride, 2 stride, ...; copied together, on the host."""
        if stride == 1 and self.where == "cpu" and self.source.is_one_array:
            return self
        tolerance, risk, mask, slots = self.limits_on_host
        some = RevenueBlocks([ArrayRows(to_device(self.source.every(stride), "cpu"))])
        tolerance, mask, slots = every(0, stride, tolerance, mask, slots)
        return Passes(some, tolerance, risk, mask, slots, self.k, self.scale)

    def empty_plan(self) -> Any:
        """(U, K) int16 to write a plan into: beside E when that is one array, else on the host."""
        if self.where == "cuda" and self.source.is_one_array:
            return require("cupy", "device='cuda'").empty((self.rows, self.k), np.int16)
        return np.empty((self.rows, self.k), np.int16)

    # -- the passes ----------------------------------------------------------------------------------------------
    def look(self, offset: np.ndarray, delta: np.ndarray) -> Choices:
        """What everybody takes, and who is within `delta` of a swap."""
        self.count += 1
        size = self.funds + 1
        counts, swaps, value = np.zeros(size, np.int64), np.zeros((size, size), np.int64), 0
        for _, _, data, slots in self._blocks():
            found = price_pass(*data, offset, self.scale, delta, self.k, slots)
            counts += found[0]
            swaps += found[1]
            value += found[2]
        return Choices(counts, swaps, delta, value)

    def judge(self, offset: np.ndarray, wrong: Any) -> Choices:
        """As `look`, with windows that fit: `wrong(counts)` says how many exposures each fund has too many."""
        self.count += 1
        size, value = self.funds + 1, 0
        parts = []
        for _, _, data, slots in self._blocks():
            *part, worth = choices(*data, offset, self.scale, self.k, slots)
            parts.append([to_device(x, "cpu").ravel() for x in part])
            value += worth
        held, other, margin = (np.concatenate(x) for x in zip(*parts, strict=True))
        counts = np.bincount(held, minlength=size)
        # as many customers as a larger sample is likely to find in the wrong place
        least = max(8, int(np.sqrt(margin.size / self.funds)))
        delta = windows(held, other, margin, wrong(counts), least)
        close = margin < delta[held, other]
        pair = held[close].astype(np.int64) * size + other[close]
        swaps = np.bincount(pair, minlength=size**2).reshape(size, size)
        return Choices(counts, swaps, delta, value)

    def margins(self, offset: np.ndarray) -> np.ndarray:
        """By how much the best alternative to each choice is worse; infinite where there is none."""
        parts = [choices(*data, offset, self.scale, self.k, slots)[2] for _, _, data, slots in self._blocks()]
        return np.concatenate([to_device(x, "cpu").ravel() for x in parts])

    def auction(self, price: np.ndarray, quota: np.ndarray, eps: int) -> tuple[np.ndarray, bool]:
        """Prices after a phase of an auction; for few customers, who are copied to the host."""
        self.count += 1
        revenue = to_device(self.source.assemble(), "cpu")
        return auction_phase(revenue, *self.limits_on_host, self.k, self.scale, quota, eps, price)

    def tightened(self, offset: np.ndarray, chosen: Any, within: float, fixed: np.ndarray) -> np.ndarray:
        """By how much prices rise after an auction so that who is indifferent but for `within` units is so exactly."""
        self.count += 1
        tolerance, risk, mask, _ = self.limits_on_host
        revenue = to_device(self.source.assemble(), "cpu")
        return tightened(revenue, tolerance, risk, mask, offset, self.scale, chosen, within, fixed)

    def take(self, offset: np.ndarray, chosen: Any) -> None:
        """Write what everybody takes."""
        self.count += 1
        for lo, hi, data, slots in self._blocks():
            if self._beside(chosen):
                take(*data, offset, self.scale, chosen[lo:hi], slots)
            else:
                part = array_namespace(data[0]).empty((hi - lo, self.k), np.int16)
                take(*data, offset, self.scale, part, slots)
                chosen[lo:hi] = to_device(part, "cpu")

    def held(self, chosen: Any) -> np.ndarray:
        """(F + 1,) exposures of each fund in a plan, and empty slots."""
        counts = count_funds(chosen, self.funds)
        return np.append(counts[2:], counts[1])

    def theta(self, offset: np.ndarray, chosen: Any, wanted: int) -> float:
        """How much a swap may lose so that about `wanted` customers have one; infinite when that is everyone."""
        if wanted >= self.rows:
            return np.inf
        stride = max(1, self.rows // MARGINS)
        parts, at = [], 0
        for lo, hi, data, _ in self._blocks():
            first = -lo % stride
            if first < hi - lo:
                mask = None if data[3] is None else data[3][first:]
                some = (data[0][first:], data[1][first:], data[2], mask)
                part = swap_margins(*some, offset, self.scale, self._of(chosen, lo + first, hi), stride)
                parts.append(to_device(part, "cpu"))
            at = hi
        margins = np.concatenate(parts)
        if (margins > 0).any():  # of those who are indifferent nobody knows how many there are
            margins = margins[margins > 0]
        place = min(-(-wanted * margins.size // at), margins.size - 1)
        return float(max(np.partition(margins, place)[place], 1.0))

    def nearest(self, offset: np.ndarray, chosen: Any, wanted: int) -> WorkingSet:
        """About `wanted` customers, those with the cheapest swaps, on the host."""
        self.count += 1
        theta = self.theta(offset, chosen, wanted)
        rows = self._near(offset, chosen, theta)
        if theta < np.inf and rows.size > TOO_MANY * wanted:  # many are indifferent
            self.count += 1
            theta = 0.0
            rows = self._near(offset, chosen, theta)
            if rows.size > wanted:
                rows = rows[np.linspace(0, rows.size - 1, wanted).astype(np.int64)]
        tolerance, _, mask, _ = self.limits_on_host
        revenue = np.empty((rows.size, self.funds), np.float32)
        self.some(rows, revenue)
        own = tolerance[rows], None if mask is None else mask[rows], self.few(rows, chosen)
        return WorkingSet(rows, revenue, *own, int(FAR) if rows.size == self.rows else int(theta))

    def _near(self, offset: np.ndarray, chosen: Any, theta: float) -> np.ndarray:
        """Those whose cheapest swap loses at most theta."""
        if np.isinf(theta):
            return np.arange(self.rows)
        found = [
            to_device(near_rows(*data, offset, self.scale, self._of(chosen, lo, hi), theta), "cpu") + lo
            for lo, hi, data, _ in self._blocks()
        ]
        return np.concatenate(found)

    def _portions(self, rows: Any) -> Iterator[Any]:
        """Few enough rows at a time to be copied."""
        step = max(1, PORTION[self.where] // (4 * self.funds))
        for lo in range(0, len(rows), step):
            yield rows[lo : lo + step]

    def tied(self, offset: np.ndarray, chosen: Any) -> Groups | None:
        """Customers who are indifferent between several choices, by kind; None when there are too many kinds."""
        self.count += 1
        groups = Groups(self.funds)
        for lo, hi, data, _ in self._blocks():
            part = self._of(chosen, lo, hi)
            rows = near_rows(*data, offset, self.scale, part, 0.0)
            revenue, tolerance = gather(data[0], rows), gather(data[1], rows)
            mask = None if data[3] is None else gather(data[3], rows)
            held, risk = gather(part, rows), self.limits_on_host[1]
            if not groups.add(to_device(rows, "cpu") + lo, revenue, tolerance, risk, mask, offset, self.scale, held):
                return None
        return groups

    # -- a few customers, on the host ----------------------------------------------------------------------------
    def some(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Write the revenue of some customers into `out` (n, F) on the host; `rows` rise."""
        done = 0
        for part in self._portions(rows):
            out[done : done + part.size] = to_device(self.source.rows(part), "cpu")
            done += part.size

    def few(self, rows: np.ndarray, chosen: Any) -> np.ndarray:
        """What some customers have, on the host."""
        return gather(chosen, rows if isinstance(chosen, np.ndarray) else to_device(rows, "cuda"))

    def put(self, chosen: Any, rows: np.ndarray, values: np.ndarray) -> None:
        """Write what some customers have now."""
        scatter(chosen, rows, values)

    def put_in_order(self, chosen: Any) -> None:
        """Order every customer's funds by falling revenue; -1 for whatever slot has none."""
        if self.k > 1:
            for lo, hi, block in self._revenue():
                part = self._of(chosen, lo, hi)
                order_slots(block, part)
                if not self._beside(chosen):
                    chosen[lo:hi] = to_device(part, "cpu")
        if self.limits_on_host[3] is not None:
            chosen[chosen < 0] = -1

    def _beside(self, chosen: Any) -> bool:
        return isinstance(chosen, np.ndarray) == (self.where == "cpu")

    def _of(self, chosen: Any, lo: int, hi: int) -> Any:
        """A block's part of the plan, where the block is."""
        return chosen[lo:hi] if self._beside(chosen) else to_device(chosen[lo:hi], self.where)
