"""The allocation problem: expected revenue, quotas, slots and who may see what, checked once on the way in."""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptofa_gpu.allocation._checks import (
    check_k,
    check_levels,
    check_quota,
    check_revenue,
    exclude_pairs,
    pack,
    pack_eligible,
    raise_not_finite,
    without_mask,
)
from ptofa_gpu.allocation.centring import WORTH_CENTRING, WORTH_SAYING, Centred, centre, lost_share
from ptofa_gpu.allocation.core import Core, make_core
from ptofa_gpu.allocation.labels import (
    Axis,
    align_eligible,
    is_frame,
    pairs_by_label,
    read_names,
    read_revenue,
)
from ptofa_gpu.allocation.memory import fit_blocks, require_memory
from ptofa_gpu.device import DeviceName, to_device
from ptofa_gpu.errors import PtofaError, PtofaWarning
from ptofa_gpu.ops.largest import largest

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.feasibility import Feasibility

#: Rows, and (customer, fund) pairs, looked at in one go by host-side passes that need temporaries of each.
BLOCK_ROWS, BLOCK_PAIRS = 1 << 18, 1 << 23
#: The columns of a frame of quotas: one of the first, or ranges.
QUOTA_COLUMNS = ("quota_low", "quota_high")


class AllocationProblem:
    """Which customers see which fund: the data of one allocation, validated.

    Maximise the expected revenue of all exposures so that every customer gets ``k`` different funds, every fund
    exactly its quota of exposures, and nobody a fund above their risk tolerance (PTOFA, arXiv 2503.03165, Eq. 1).
    When the quotas sum to less than the slots, customers keep empty slots (revenue 0); when they sum to more, quotas
    are upper bounds and all slots are filled; :attr:`case` says which. Quotas given as ranges [low, high] are met at
    their high ends where those fit into the slots; where they sum to more, all slots are filled and every fund gets
    between its low and its high end.

    Parameters
    ----------
    revenue : array (U, F), data frame, list of arrays, memory map or path
        Expected revenue E of each (customer, fund) pair, in currency per exposure. NumPy, CuPy or a torch tensor;
        it stays on the device where it is. Kept as float32, C-contiguous; copied only when it is not that already.
        Or a data frame with a column a fund, customers being its column ``customer`` or a pandas index: its labels
        become identifiers and names. Or a list of arrays, blocks of rows with the same funds; or a `numpy.memmap` or
        the path of a .npy file, which stays on the disk and is read block by block whenever it is needed. The plan is
        the same bit for bit. Only pairs that may be shown are looked at: others may hold NaN or anything else. Entries
        that a masked array masks may not be shown.
    quota : array (F,) or (F, 2)
        Exposures d each fund has bought; whole, not negative. Two columns are ranges [low, high]; a low end that is
        None or NaN is 0, a high end that is None, NaN or infinite is open: as many as may see the fund.
    k : int or array (U,)
        Slots per customer, 1 <= k <= F; or each customer's own, 0 <= k <= F and not 0 for all.
    tolerance, risk : array (U,) and array (F,), optional
        Risk tolerance of customers and risk level of funds (-128..127, larger is bolder); both or neither. A fund may
        be shown where ``tolerance >= risk``.
    eligible : array (U, F) of bool or array (U,) or (U, ceil(F / 64)) of uint64, optional
        Further limits: False (or a 0 bit at position f % 64 of word f // 64) excludes the pair.
    names : sequence of F strings, optional
        Fund names for reports. Untrusted text: escaped wherever HTML is made.
    customer_ids, fund_ids : arrays (U,) and (F,), optional
        Identifiers that :meth:`AllocationPlan.to_frame` writes; by default row numbers and names.
    excluded : array (n, 2) of int, or a list of pairs, optional
        Pairs (customer row, fund index) that may not be shown, besides those that `eligible` and the risk limits
        exclude. Or by label: a frame with the columns ``customer`` and ``fund``, a Series of funds by customer, or a
        dict from a customer to a fund or a list of funds.

    Notes
    -----
    `quota`, `risk` (by fund), `tolerance` and `k` (by customer) may be a dict, a pandas Series or a data frame with the
    column ``fund`` or ``customer``: they are put in the order of the revenue by their labels, which are those of
    `customer_ids`, `fund_ids`, `names` or of the revenue's own frame. Labels that do not match are an error.

    Everything but the revenue is copied. Where E is contiguous float32 it is shared with the caller, and what depends
    on it is looked at anew by each `allocate`. E of higher precision, where all slots are filled: what a customer's
    funds have in common is taken off before E is rounded (:mod:`ptofa_gpu.allocation.centring`).

    Attributes
    ----------
    quota : array (F,) of int64
        The most exposures a plan may give each fund: d, or the high ends.
    k : int
        The most slots any customer has: plans are (U, k) with -1 in empty slots, and in those a customer lacks.
    slots_of : array (U,) of int8, or None
        Slots of each customer; None where all have `k`.
    max_revenue : float
        The largest |E| of the pairs that can be chosen: within the limits, of customers with slots and funds with
        quota, when E was looked at last.

    Raises
    ------
    InputError
        For NaN or infinite revenue of a pair that may be shown, shapes and labels that disagree, identifiers or names
        that repeat or are missing, quotas that are negative or fractional, ranges whose low end is above the high one,
        k out of range, pairs that do not exist; the message names the place.
    OutOfMemoryError
        When a copy of E must be made that does not fit in memory.

    Warns
    -----
    PtofaWarning
        When float32 cannot tell apart what E of higher precision does, with the share of differences that are lost.

    Examples
    --------
    >>> import numpy as np
    >>> from ptofa_gpu import AllocationProblem
    >>> problem = AllocationProblem(np.array([[3.0, 1.0], [2.0, 2.0]]), quota=[1, 1])
    >>> problem.n_customers, problem.n_funds, problem.case
    (2, 2, 'exact')
    """

    def __init__(
        self,
        revenue: Any,
        quota: Any,
        k: Any = 1,
        tolerance: Any = None,
        risk: Any = None,
        eligible: Any = None,
        names: Sequence[str] | None = None,
        *,
        customer_ids: Any = None,
        fund_ids: Any = None,
        excluded: Any = None,
    ):
        frame = read_revenue(revenue) if is_frame(revenue) else None
        revenue, absent = without_mask(revenue if frame is None else frame.values)
        given, blocks = check_revenue(revenue)
        n_customers, n_funds = blocks.shape
        self.frame_backend: str | None = None if frame is None else frame.backend  # the library the revenue came in
        called = read_names(frame, blocks.shape, customer_ids, fund_ids, names)
        self.customer_ids, self.fund_ids, self.names = called.customer_ids, called.fund_ids, called.names
        customers, funds = called.customers, called.funds
        quota = funds.in_order(quota, "quota", QUOTA_COLUMNS)
        self.k, self.slots_of = check_k(customers.in_order(k, "k"), n_customers, n_funds)
        self.tolerance, self.risk = check_levels(
            customers.in_order(tolerance, "tolerance"), funds.in_order(risk, "risk"), n_customers, n_funds
        )
        mask = pack_eligible(align_eligible(eligible, customers, funds), n_customers, n_funds)
        if absent is not None:
            mask = pack(~absent, n_customers, n_funds) if mask is None else mask & pack(~absent, n_customers, n_funds)
        #: (U, W) uint64, bit f % 64 of word f // 64 set where the pair is not excluded; None when nothing is.
        self.mask = exclude_pairs(mask, pairs_by_label(excluded, customers, funds), n_customers, n_funds)
        self._limits: dict[str, tuple[Any, Any, Any, Any]] = {}
        self._rows = blocks
        self.quota, self._range_low = check_quota(quota, n_funds, self.names, self._audience)
        self._core: Core | None = None
        self._centred: Centred | None = None
        self._round(given)
        self.measure()

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """What customers and funds may be called, for values that are labelled."""
        funds = (self.names,) if self.fund_ids is None else (self.fund_ids, self.names)
        customers = () if self.customer_ids is None else (self.customer_ids,)
        return Axis("customer", self.n_customers, customers), Axis("fund", self.n_funds, funds)

    def _round(self, given: list[Any]) -> None:
        """Take off what customers' funds have in common, where that changes no plan and float32 would lose by it."""
        if all(np.can_cast(x.dtype, np.float32) for x in given):
            return
        lost = lost_share(given, self._rows, self._may_be_chosen)
        if lost > WORTH_CENTRING and self.case != "under" and self.feasibility().ok:
            self._rows, self._centred = centre(given, self._rows, self._may_be_chosen)
            if self._centred is not None:
                lost = lost_share(given, self._centred.rows, self._may_be_chosen)
        if lost > WORTH_SAYING:
            warnings.warn(
                f"revenue is kept as float32, which cannot tell apart {lost:.1%} of the differences between funds next "
                "to each other in a customer's revenue. Take off what is common to all of a customer's funds, or what "
                "is far from the rest, before you pass it.",
                PtofaWarning,
                stacklevel=3,
            )

    def measure(self) -> None:
        """Look at all of E anew: `max_revenue`, and that every pair that may be shown has a finite number.

        Raises
        ------
        InputError
        """
        wanted, top = self.quota > 0, np.zeros(2, np.float32)
        tolerance, risk, mask, slots = self.limits(self._rows.device)
        for lo, hi, block in self._rows.iterate():
            own, own_slots = (None if x is None else x[lo:hi] for x in (mask, slots))
            found = largest(block, tolerance[lo:hi], risk, own, own_slots, wanted)
            top = np.maximum(top, found)  # of which NaN stays
        if not np.isfinite(top[1]):
            raise_not_finite(self)
        self.max_revenue, self._max_seen = (float(x) for x in top)
        self._core = None

    def core(self) -> Core:
        """The problem without what cannot change the best plan, as of the last `measure`; see `Core`."""
        core = self._core
        if core is None:
            core = self._core = make_core(self)
        return core

    @classmethod
    def from_frames(
        cls,
        revenue: Any,
        customers: Any,
        funds: Any,
        k: Any = None,
        *,
        eligible: Any = None,
        excluded: Any = None,
        missing: Literal["error", "exclude"] = "error",
    ) -> AllocationProblem:
        """Build a problem from data frames; ids carry through to the plan.

        Parameters
        ----------
        revenue : data frame or array (U, F)
            Either an array whose rows follow `customers` and whose columns follow `funds`; or a wide frame with the
            column ``customer`` and one column a fund, named by its id; or a long frame with the columns ``customer``,
            ``fund`` and ``revenue``. Any library narwhals knows: pandas, Polars, PyArrow, cuDF, Modin. For an array
            also a list of row blocks, a memory map or the path of a .npy file, as in :class:`AllocationProblem`.
        customers : data frame
            ``customer`` (unique) and, where there are risk limits, ``tolerance``; optionally ``k``, each customer's
            slots. Ids are whole numbers, text, UUIDs, bytes, dates or times of any type that holds them exactly; the
            plan has them as they are here. Ids of two tables are compared by value, and whole numbers also with text
            such as "7" where all ids of the column are.
        funds : data frame
            ``fund`` (unique), ``quota`` (or the range ``quota_low`` and ``quota_high``; an end that is missing is open)
            and, where there are risk limits, ``risk``; optionally ``name`` (unique; the id where it is missing).
        k : int, optional
            Slots of every customer: 1 unless given here or in `customers`.
        eligible : array, optional
            As in :class:`AllocationProblem`.
        excluded : data frame, or array (n, 2) of int, optional
            Pairs that may not be shown: a frame with the columns ``customer`` and ``fund`` (ids), or positions as in
            :class:`AllocationProblem`.
        missing : {"error", "exclude"}
            What a pair that a long frame does not hold means: an error, or a pair that may not be shown.

        Raises
        ------
        SchemaError
            One error that lists everything wrong with frames and arguments, with row counts.
        """
        from ptofa_gpu.allocation.frames import from_frames

        problem, backend = from_frames(
            cls, revenue, customers, funds, k=k, eligible=eligible, excluded=excluded, missing=missing
        )
        problem.frame_backend = backend
        return problem

    # -- sizes ---------------------------------------------------------------------------------------------------
    @property
    def n_customers(self) -> int:
        """U."""
        return self._rows.shape[0]

    @property
    def n_funds(self) -> int:
        """F."""
        return self._rows.shape[1]

    @property
    def slots(self) -> int:
        """The slots there are in all: K x U, or the sum of the customers' own."""
        if self.slots_of is None:
            return self.k * self.n_customers
        return int(self.slots_of.sum(dtype=np.int64))

    @property
    def quota_low(self) -> np.ndarray:
        """(F,) int64: the fewest exposures each fund must get.

        The quota itself in the cases ``under`` and ``exact``, where every quota is met (ranges at their high ends). In
        the case ``over`` the low ends of the ranges, and 0 for quotas that are no ranges.
        """
        if self.case != "over":
            return self.quota
        return np.zeros_like(self.quota) if self._range_low is None else self._range_low

    @property
    def has_ranges(self) -> bool:
        """Whether low ends matter: funds may get less than their quota, and some not as little as nothing."""
        return self.case == "over" and bool(self.quota_low.any())

    def attainable(self, ends: np.ndarray) -> np.ndarray:
        """Quotas, or ends of them, with no more for any fund than there are customers with a slot: no plan shows a fund
        to anybody twice. What an allocator looks for never depends on numbers beyond that."""
        has_slot = self.n_customers if self.slots_of is None else int(np.count_nonzero(self.slots_of))
        return np.minimum(ends, has_slot)

    @property
    def case(self) -> Literal["under", "exact", "over"]:
        """How the quotas (high ends) compare with the slots: ``under`` leaves slots empty, ``over`` makes them upper
        bounds."""
        total = int(self.quota.sum())
        return "exact" if total == self.slots else "under" if total < self.slots else "over"

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """Where the revenue lives."""
        return self._rows.device

    @property
    def fixed_point_shift(self) -> int:
        """s, so that U rows of round(E x 2^s) sum in 62 bits: sums across customers are integer sums (exact, in any
        order), which makes plans equal bit for bit on any device and any number of threads."""
        if self.max_revenue == 0.0:
            return 0
        return 62 - int(np.frexp(self.max_revenue)[1]) - max(self.slots, self.n_customers).bit_length()

    def limits(self, device: DeviceName) -> tuple[Any, Any, Any, Any]:
        """Tolerance, risk, mask and own slots where the work is done; None for what there is not. Copied there once."""
        if device not in self._limits:
            mask, slots = (None if x is None else to_device(x, device) for x in (self.mask, self.slots_of))
            self._limits[device] = to_device(self.tolerance, device), to_device(self.risk, device), mask, slots
        return self._limits[device]

    # -- eligibility ---------------------------------------------------------------------------------------------
    @property
    def eligible(self) -> np.ndarray:
        """(U, F) bool, every limit taken together. Made on each access: for large U use :meth:`eligible_rows`."""
        return self.eligible_rows(0, self.n_customers)

    def eligible_rows(self, lo: int, hi: int) -> np.ndarray:
        """Eligibility of the customers lo..hi-1: (hi - lo, F) bool."""
        out = self.tolerance[lo:hi, None] >= self.risk[None, :]
        if self.mask is not None:
            fund = np.arange(self.n_funds)
            word = self.mask[lo:hi, fund >> 6]
            out &= ((word >> (fund & 63).astype(np.uint64)) & np.uint64(1)).astype(bool)
        return out

    def _may_be_chosen(self, lo: int, hi: int) -> np.ndarray:
        """(hi - lo, F) bool: the pairs of the customers lo..hi-1 that a plan may hold."""
        out = self.eligible_rows(lo, hi) & (self.quota > 0)
        if self.slots_of is not None:
            out &= (self.slots_of[lo:hi] > 0)[:, None]
        return out

    # -- revenue -------------------------------------------------------------------------------------------------
    @property
    def revenue(self) -> Any:
        """E as one array where it was given as one (float32, on its device); else a `RevenueBlocks`."""
        whole = self._rows.whole
        return self._rows if whole is None else whole

    def revenue_blocks(
        self,
        block_rows: int | None = None,
        max_memory: int | str | None = None,
        device: DeviceName | None = None,
        *,
        on_host: int = 0,
    ) -> RevenueBlocks:
        """E by blocks of rows, as an allocator walks through it.

        Parameters
        ----------
        block_rows : int, optional
            Rows in a block. By default all of E, or each block it was given in, where it lies in memory; else as many
            as 32 MiB hold, or fewer where the memory is less.
        max_memory : int or str, optional
            Bytes ("2 GiB") that an allocation may take beyond the problem's own data.
        device : {"cpu", "cuda"}, optional
            Where blocks are wanted; by default where E is.
        on_host : int
            Bytes of host memory that the allocator takes beside 48 a customer and a block.

        Raises
        ------
        OutOfMemoryError
            Before anything is allocated: with the bytes needed, those there are, and the block size that would fit.
        """
        words = 0 if self.mask is None else self.mask.shape[1]
        where = device or self.device
        return fit_blocks(self._rows, self.k, where, block_rows, max_memory, words=words, on_host=on_host)

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[tuple[int, int]]:
        """(lo, hi) pairs that cover the customers in order; fewer rows at a time where there are many funds."""
        rows = min(rows, max(1, BLOCK_PAIRS // self.n_funds))
        for lo in range(0, self.n_customers, rows):
            yield lo, min(self.n_customers, lo + rows)

    def host_blocks(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(lo, hi, E[lo:hi] on the host) for the pairs of :meth:`blocks`, wherever E is; each valid until the next."""
        first = next(self.blocks())
        yield from self._rows.on("cpu").iterate(first[1] - first[0])

    def host_revenue(self) -> np.ndarray:
        """E as one NumPy array; a copy only when it lies on a GPU, in several blocks or in a file."""
        if self._rows.device == "cpu" and self._rows.whole is not None:
            return self._rows.whole
        advice = "Use a method that works by blocks: every one but 'reference'."
        require_memory(self._rows.nbytes, "a copy of revenue in host memory", advice)
        return self._rows.on("cpu").assemble()

    def feasibility(self) -> Feasibility:
        """Whether some plan meets every constraint, exactly, and in words why not."""
        from ptofa_gpu.allocation.feasibility import check_feasibility

        return check_feasibility(self)

    # -- faces ---------------------------------------------------------------------------------------------------
    def __repr__(self) -> str:
        return (
            f"AllocationProblem({self.n_customers:,} customers x {self.n_funds} funds, k={self._k_in_words()}, "
            f"{self._bought_in_words()} exposures bought for {self.slots:,} slots ({self.case}), on {self.device})"
        )

    def _repr_html_(self) -> str:
        limited = np.asarray([int(n) for n in self.eligible_counts()])
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(name)}</th><td>{int(r)}</td><td>{d}</td><td>{int(n):,}</td></tr>"
            for name, r, d, n in zip(self.names[:50], self.risk, self.quotas_in_words(), limited)
        )
        more = f"<p>... and {self.n_funds - 50} more funds</p>" if self.n_funds > 50 else ""
        return (
            f"<div class='ptofa-problem'><p><b>Allocation problem</b>: {self.n_customers:,} customers &times; "
            f"{self.n_funds} funds, {self._k_in_words()} slot{'s' * (self.k > 1)} each; "
            f"{html.escape(self._case_in_words())}</p>"
            "<table><thead><tr><th scope='col'>fund</th><th scope='col'>risk</th><th scope='col'>quota</th>"
            "<th scope='col'>eligible customers</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>{more}</div>"
        )

    def _k_in_words(self) -> str:
        return f"{self.k}" if self.slots_of is None else f"{int(self.slots_of.min())} to {self.k}"

    def _bought_in_words(self) -> str:
        total = int(self.quota.sum())
        return f"{int(self.quota_low.sum()):,} to {total:,}" if self.has_ranges else f"{total:,}"

    def quotas_in_words(self) -> list[str]:
        """Each fund's quota as text, ranges as 'low to high'."""
        if not self.has_ranges:
            return [f"{d:,}" for d in self.quota.tolist()]
        both = zip(self.quota_low.tolist(), self.quota.tolist(), strict=True)
        return [f"{low:,} to {high:,}" if low < high else f"{high:,}" for low, high in both]

    def _case_in_words(self) -> str:
        total, slots = int(self.quota.sum()), self.slots
        if self.has_ranges:
            return (
                f"the quotas ask for at least {int(self.quota_low.sum()):,} and at most {total:,} exposures of "
                f"{slots:,} slots: all slots are filled"
            )
        if total == slots:
            return f"the quotas fill all {slots:,} slots"
        if total < slots:
            return f"the quotas buy {total:,} of {slots:,} slots: {slots - total:,} stay empty"
        return f"the quotas sum to {total:,} for {slots:,} slots: they are upper bounds"

    def _audience(self) -> np.ndarray:
        """(F,) int64: how many customers with slots may see each fund."""
        patterns, sizes = self.groups
        return (sizes * (self.group_slots > 0)) @ patterns.astype(np.int64)

    def eligible_counts(self) -> np.ndarray:
        """(F,) int64: how many customers may see each fund."""
        counts = np.zeros(self.n_funds, np.int64)
        try:
            groups = self.groups
        except PtofaError:  # pragma: no cover - too many patterns to group: count by blocks
            for lo, hi in self.blocks():
                counts += self.eligible_rows(lo, hi).sum(0)
            return counts
        return groups[1] @ groups[0].astype(np.int64)

    @property
    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Customers grouped by what they may see and how many slots they have: patterns (G, F) bool and customers in
        each (G,) int64; :attr:`group_slots` has their slots."""
        return self._grouped[:2]

    @property
    def group_slots(self) -> np.ndarray:
        """(G,) int64: slots of each customer of a group."""
        return self._grouped[2]

    @cached_property
    def _grouped(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        from ptofa_gpu.allocation.feasibility import group_customers

        return group_customers(self)
