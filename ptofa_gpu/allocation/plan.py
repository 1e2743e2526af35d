"""An allocation plan: who sees which fund, what it earns, how far from the best it can be, and the proof of both."""

from __future__ import annotations

import html
import math
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptofa_gpu._arguments import one_of
from ptofa_gpu.allocation._exact import relative_gap
from ptofa_gpu.device import to_device
from ptofa_gpu.ops.totals import count_funds, earned, exact_sums, in_currency

if TYPE_CHECKING:
    import pyarrow as pa

    from ptofa_gpu.allocation.problem import AllocationProblem

#: Libraries that :meth:`AllocationPlan.to_frame` makes tables of.
BACKENDS = ("pandas", "polars", "pyarrow", "cudf", "modin")
Status = Literal["optimal", "feasible", "infeasible", "time_limit"]

#: Plans whose certificate leaves no more than this, rounding counted, are called the certified optimum.
OPTIMAL_GAP = 1e-9


@dataclass(repr=False)
class AllocationPlan:
    """The answer of an allocator.

    Attributes
    ----------
    problem : AllocationProblem
    funds : array (U, K) of int16
        Fund index in each slot, best revenue first, -1 for an empty slot; on the device of the revenue.
    method, device : str
        Which allocator made it, and where.
    status : str
        ``optimal`` (proved), ``feasible`` (every constraint kept), ``infeasible`` (some quota or slot is not met) or
        ``time_limit``.
    seconds : float
        Time the allocator took.
    exposures : array (F,) of int64
        How often each fund is shown.
    objective : float
        Expected revenue of all exposures, in currency.
    unfilled : int
        Empty slots, of those the customers have.
    price : array (F,) of float64, or None
        Shadow price of each fund's quota, in currency per exposure: a solution of the dual, so the difference of two
        prices lies between what one exposure more of the one in place of the other earns and what one fewer costs
        (the two all but meet where there are many customers); None where the method gives no certificate.
    bound : float
        No plan that keeps the constraints earns more than this; NaN where unknown.
    gap : float
        (bound - objective) / (sum of |E| over what was chosen): a plan is ``optimal`` where this is at most 1e-9,
        rounding counted. 0 where the bound is reached; NaN where it is unknown.
    relaxed : bool
        Made with ``on_infeasible="relax"``: as many exposures as possible instead of all.
    """

    problem: AllocationProblem
    funds: Any
    method: str
    status: Status
    device: str = "cpu"
    seconds: float = 0.0
    price: np.ndarray | None = None
    bound: float = math.nan
    relaxed: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        self.funds = to_device(self.funds, self.problem.device)
        self.exposures: np.ndarray = count_funds(self.funds, self.problem.n_funds)[2:]
        self._sums = _sums(self.problem.core().problem, self.funds)
        self.objective, self._magnitude = _earned(self.problem, self.funds, self._sums)
        self.unfilled: int = self.problem.slots - int(self.exposures.sum())

    @property
    def gap(self) -> float:
        """(bound - objective) / sum of |E| over what was chosen."""
        return relative_gap(self.bound, self.objective, self._magnitude)

    def below(self, powers: int) -> tuple[int, float]:
        """How many exposures at least are worth less than about 2^-powers of the largest (but not nothing), and the sum
        of their |E|; both less constants of rows, if any."""
        sums = self._sums.reshape(2, -1).copy()
        there = np.flatnonzero(sums.any(0))
        if not there.size:
            return 0, 0.0
        sums[:, max(0, int(there[-1]) - powers) :] = 0
        return int(sums.sum()) >> 24, in_currency(exact_sums(sums)[1])  # each mantissa is below 2^24

    @property
    def shortfall(self) -> np.ndarray:
        """(F,) int64: exposures that each fund must get and does not: of its quota, or of its range's low end where
        not all high ends fit; none where the quotas are only upper bounds."""
        return np.maximum(self.problem.quota_low - self.exposures, 0)

    @property
    def excess(self) -> np.ndarray:
        """(F,) int64: exposures beyond the quota."""
        return np.maximum(self.exposures - self.problem.quota, 0)

    def host_funds(self) -> np.ndarray:
        """``funds`` as a NumPy array; a copy only when the plan lives on a GPU."""
        return self.funds if isinstance(self.funds, np.ndarray) else self.funds.get()

    def verify(self) -> AllocationPlan:
        """Check the plan again from its data alone, sharing no code with the allocators.

        Returns
        -------
        AllocationPlan
            Itself, so that ``allocate(...).verify()`` reads well.

        Raises
        ------
        AllocationError
            Naming the first violation: a fund out of range or twice for a customer, a fund above a customer's
            tolerance, a quota or slot not met, an objective or bound that does not follow from the plan.
        """
        from ptofa_gpu.allocation.verify import verify

        verify(self)
        return self

    def assign(
        self, revenue: Any, tolerance: Any = None, *, eligible: Any = None, k: Any = None, excluded: Any = None
    ) -> Any:
        """Funds for customers who were not there when the plan was made, by its prices: the K largest E - price.

        What a customer takes from others is in the prices, so each is decided for alone, in O(F) time. As long as new
        customers resemble those of the plan, exposures stay in proportion to quotas; they are not counted. Solve again,
        with ``warm_start=plan.price``, where quotas must be met exactly.

        Parameters
        ----------
        revenue : (n, F) array, list of blocks, or path; or (F,) for one customer
            Their expected revenue, in the plan's currency.
        tolerance : (n,) int, or one number for one customer
            Needed where funds have risk levels.
        eligible, k, excluded
            As in `AllocationProblem`; by default everything is eligible and K is the plan's (the largest, where
            customers differ).

        Returns
        -------
        (n, K) int16, or (K,) for one customer
            Fund indices by falling revenue, on the device of `revenue`; -1 in slots left empty: of customers who may
            see too few funds, and where quotas leave slots empty (the case *under*), wherever nothing is worth its
            price.

        Raises
        ------
        InputError
            For a plan without prices (of `heuristic`, `topk`, `manual`), and as `AllocationProblem`.

        Examples
        --------
        >>> import numpy as np, ptofa_gpu as ptofa
        >>> problem = ptofa.AllocationProblem(np.array([[3.0, 1.0], [2.0, 1.5]]), quota=[1, 1])
        >>> plan = ptofa.allocate(problem, "optimal", device="cpu")
        >>> plan.assign(np.array([[5.0, 1.0], [1.0, 2.0]])).ravel().tolist()
        [0, 1]
        """
        from ptofa_gpu.allocation.serving import assign

        return assign(self, revenue, tolerance, eligible, k, excluded)

    # -- tables --------------------------------------------------------------------------------------------------
    def columns(self) -> dict[str, Any]:
        """The filled slots as columns: customer, slot (from 1), fund, revenue; in the order of the customers.

        Ids are columns of the type they came in (:class:`~ptofa_gpu._ids.Ids`), all else are arrays.
        """
        funds = self.host_funds()
        row, slot = np.nonzero(funds >= 0)
        fund = funds[row, slot].astype(np.int64)
        revenue = np.empty(row.size, np.float32)
        for lo, hi, block in self.problem.host_blocks():
            a, b = np.searchsorted(row, [lo, hi])
            revenue[a:b] = block[row[a:b] - lo, fund[a:b]]
        ids, names = self.problem.customer_ids, self.problem.fund_ids
        return {
            "customer": row if ids is None else ids[row],
            "slot": (slot + 1).astype(np.int16),
            "fund": np.asarray(self.problem.names, dtype=object)[fund] if names is None else names[fund],
            "revenue": revenue,
        }

    def to_frame(self, backend: str | None = None) -> Any:
        """The filled slots as a data frame with the columns customer, slot, fund, revenue.

        Ids have the type they came in. Where the library is another than they came from, and lacks their type, they are
        the nearest it has: objects in pandas (decimals, UUIDs, dates), text in Polars (UUIDs, decimals of more than 38
        digits).

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow", "cudf", "modin"}, optional
            Which library makes it: by default the one `AllocationProblem.from_frames` was given, else pandas.
        """
        import narwhals as nw

        from ptofa_gpu._ids import Ids
        from ptofa_gpu._lazy import require

        one_of("backend", backend, (None, *BACKENDS))
        name = backend or self.problem.frame_backend or "pandas"
        require(name, f"to_frame(backend={name!r})")
        columns = self.columns()
        frame = nw.from_arrow(_as_table(columns, name), backend=name)  # type: ignore[arg-type]
        own = {c: v.to_series(name) for c, v in columns.items() if isinstance(v, Ids)}
        return frame.with_columns(*(s.alias(c) for c, s in own.items() if s is not None)).to_native()

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_frame`'s columns as Parquet; the file is whole or absent, whatever happens meanwhile."""
        from ptofa_gpu._files import atomic_path
        from ptofa_gpu._lazy import require

        pq = require("pyarrow.parquet", "to_parquet()")
        facts = {
            "method": self.method,
            "status": self.status,
            "objective": repr(self.objective),
            "bound": repr(self.bound),
        }
        table = _as_table(self.columns()).replace_schema_metadata({f"ptofa.{k}": v for k, v in facts.items()})
        with atomic_path(path) as partial:
            # customers and revenue hardly ever repeat: looking for values that do would take most of the time
            pq.write_table(table, partial, use_dictionary=["slot", "fund"])

    def fund_table(self) -> dict[str, np.ndarray]:
        """One row a fund: fund, risk, quota (for ranges quota_low before it), exposures, revenue and, where known,
        price."""
        funds, p = self.host_funds(), self.problem
        earned = np.zeros(p.n_funds)
        for lo, hi, block in p.host_blocks():
            pick = funds[lo:hi]
            row, slot = np.nonzero(pick >= 0)
            value = block[row, pick[row, slot]]
            earned += np.bincount(pick[row, slot].astype(np.int64), weights=value, minlength=p.n_funds)
        table = {
            "fund": np.asarray(p.names, dtype=object),
            "risk": p.risk,
            **({"quota_low": p.quota_low} if p.has_ranges else {}),
            "quota": p.quota,
            "exposures": self.exposures,
            "revenue": earned,
        }
        return table if self.price is None else {**table, "price": self.price}

    def summary(self) -> str:
        """A few lines of text: what was decided, what it earns, how good it is, what is not met."""
        p = self.problem
        lines = [
            f"{self.method} plan for {p.n_customers:,} customers x {p.n_funds} funds, k={p._k_in_words()}: "
            f"{self.status}",
            f"  expected revenue {self.objective:,.2f}{self._quality()}",
            f"  {int(self.exposures.sum()):,} of {p._bought_in_words()} exposures bought, "
            f"{self.unfilled:,} of {p.slots:,} slots empty"
            + ("; quotas are ranges" if p.has_ranges else "; quotas are upper bounds" * (p.case == "over")),
        ]
        if self.relaxed and self.status == "infeasible":
            lines.append("  no plan can make more exposures; this one makes as many as can be made")
        short = "short of its low end" if p.has_ranges else "short of its quota"
        for what, amount in ((short, self.shortfall), ("over its quota", self.excess)):
            worst = [f"{p.names[f]!r} by {amount[f]:,}" for f in np.argsort(-amount, kind="stable")[:5] if amount[f]]
            if worst:
                n = int((amount > 0).sum())
                more = f" and {n - len(worst)} more" if n > len(worst) else ""
                lines.append(f"  {n} fund{'s' * (n > 1)} {what}: {', '.join(worst)}{more}")
        if self.note:
            lines.append(f"  {self.note}")
        lines.append(f"  {self.seconds:.3f} s on {self.device}")
        return "\n".join(lines)

    def _quality(self) -> str:
        if math.isnan(self.bound):
            return ""
        if self.gap > OPTIMAL_GAP:
            return f" of at most {self.bound:,.2f} (gap {self.gap:.2e})"
        fullest = " among plans with as many exposures" if self.status == "infeasible" else ""
        return f", the certified optimum{fullest}"

    def explore(self, funds: Any = None) -> Any:
        """Sliders for quotas and K that solve again from this plan's prices, in a notebook.

        Parameters
        ----------
        funds : sequence of int, optional
            Which funds get a slider; by default all, or where there are many, those of the largest prices.

        Returns
        -------
        ptofa_gpu.reporting.explore.Explorer
            ``.plan`` is the plan of the sliders as they stand.

        Raises
        ------
        MissingPackageError
            Without ipywidgets.
        """
        from ptofa_gpu.reporting.explore import Explorer

        return Explorer(self, funds)

    def __repr__(self) -> str:
        if math.isnan(self.gap):
            gap = "gap unknown"
        else:
            gap = f"gap {self.gap:.1e}" if self.gap > OPTIMAL_GAP else "certified optimum"
        return (
            f"AllocationPlan({self.method}, {self.status}, objective={self.objective:,.2f}, "
            f"unfilled={self.unfilled:,}, {gap}, {self.seconds:.3f} s on {self.device})"
        )

    def _repr_html_(self) -> str:
        table = self.fund_table()
        money = {"revenue", "price"}
        shown = min(self.problem.n_funds, 50)
        head = "".join(f"<th scope='col'>{html.escape(c)}</th>" for c in table)
        body = ""
        for f in range(shown):
            cells = [f"<th scope='row'>{html.escape(str(table['fund'][f]))}</th>"]
            for c, v in list(table.items())[1:]:
                cells.append(
                    f"<td style='text-align:right'>{v[f]:,.2f}</td>" if c in money else f"<td>{int(v[f]):,}</td>"
                )
            body += f"<tr>{''.join(cells)}</tr>"
        more = "" if shown == self.problem.n_funds else f"<p>... and {self.problem.n_funds - shown} more funds</p>"
        words = html.escape(self.summary()).replace("\n", "<br>")
        return (
            f"<div class='ptofa-plan'><p>{words}</p><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{more}</div>"
        )


def _earned(problem: AllocationProblem, funds: Any, sums: np.ndarray) -> tuple[float, float]:
    """Revenue of all exposures and the sum of its sizes, from the core's sums; exact until they are rounded once."""
    core = problem.core()
    total, size = exact_sums(sums)
    if core.constants is None:
        return in_currency(total), in_currency(size)
    filled = (to_device(funds, "cpu") >= 0).sum(1)
    return float(Fraction(total, 2**149) + core.on_top(filled)), in_currency(exact_sums(_sums(problem, funds))[1])


def _sums(problem: AllocationProblem, funds: Any) -> np.ndarray:
    """What `ptofa_gpu.ops.totals.earned` adds up over all blocks; where E and the plan are in one place as it is."""
    revenue = problem.revenue_blocks()
    blocks = revenue.iterate_small(16)  # the solver's memory may not all be free yet
    parts = [earned(block, to_device(funds[lo:hi], revenue.device)) for lo, hi, block in blocks]
    return np.sum(parts, axis=0)


def _as_table(columns: dict[str, Any], backend: str = "pyarrow") -> pa.Table:
    """Columns of a plan as an Arrow table for the library `backend`."""
    import pyarrow as pa

    from ptofa_gpu._columns import arrow_array
    from ptofa_gpu._ids import Ids

    arrays = {c: v.to_arrow(backend) if isinstance(v, Ids) else arrow_array(v) for c, v in columns.items()}
    return pa.table(arrays)


def decide_status(plan: AllocationPlan) -> Status:
    """``infeasible`` when a quota or slot that must be met is not; ``optimal`` when the plan's bound proves it; else
    ``feasible``."""
    problem, exposures = plan.problem, plan.exposures
    goal = min(int(problem.quota.sum()), problem.slots)
    kept = (exposures <= problem.quota).all() and (exposures >= problem.quota_low).all()
    if not kept or int(exposures.sum()) != goal:
        return "infeasible"
    if plan.price is None or not plan.gap <= OPTIMAL_GAP:
        return "feasible"
    if problem.core().constants is None:
        return "optimal"
    # constants of rows make every gap small: what decides is what is left without them
    from ptofa_gpu.allocation.certificate import excess

    missed, size = excess(problem, plan.funds, plan.price)
    return "optimal" if missed <= OPTIMAL_GAP * Fraction(size) else "feasible"
