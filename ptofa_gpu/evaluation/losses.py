"""Who loses what by which quota: the plan against what each customer would choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptofa_gpu.evaluation._kinds import allocation_plan
from ptofa_gpu.evaluation._table import html_table

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan


@dataclass(frozen=True)
class QuotaLosses:
    """Exposures that go elsewhere than the customers' best funds, and the expected revenue lost by it."""

    names: tuple[str, ...]
    #: (F, F + 1) exposures: of fund a, wanted, to fund b, given; the last column: to an empty slot
    moved: NDArray[np.int64]
    #: (F, F + 1) currency, by the same; negative where a customer gains (empty slots that quotas fill)
    lost: NDArray[np.float64]
    #: (F,) exposures that customers would choose freely
    wanted: NDArray[np.int64]
    quota: NDArray[np.int64]
    #: tolerance levels, customers of each, and currency they lose
    tolerance: NDArray[np.int64]
    customers: NDArray[np.int64]
    lost_by_tolerance: NDArray[np.float64]

    @property
    def total(self) -> float:
        """Currency: revenue without quotas less the plan's."""
        return float(self.lost_by_tolerance.sum())

    def to_frame(self) -> Any:
        """Return one row for each pair of a wanted and a given fund between which exposures move."""
        import pandas as pd

        a, b = np.nonzero(self.moved)
        given = [*self.names, ""]
        return pd.DataFrame(
            {
                "wanted": [self.names[i] for i in a],
                "given": [given[i] for i in b],
                "exposures": self.moved[a, b],
                "lost": self.lost[a, b],
            }
        )

    def _repr_html_(self) -> str:
        out = self.moved.sum(axis=1)
        money = self.lost.sum(axis=1)
        return html_table(
            {
                "fund": list(self.names),
                "quota": [f"{v:,}" for v in self.quota],
                "wanted by": [f"{v:,}" for v in self.wanted],
                "of these sent elsewhere": [f"{v:,}" for v in out],
                "revenue lost": [f"{v:,.0f}" for v in money],
                "a head": [f"{m / n:,.2f}" if n else "—" for m, n in zip(money, out)],
            },
            caption="What customers would choose, how many of them the quotas send elsewhere, and what that costs.",
            text=("fund",),
        )


def quota_losses(plan: AllocationPlan) -> QuotaLosses:
    """Compare a plan with each customer's K best permitted funds, quotas ignored.

    Of each customer, funds that both have do not count; the best of those left is said to be moved to the best of
    those given instead.
    """
    from ptofa_gpu.allocation.api import allocate

    problem = allocation_plan(plan).problem
    free = np.asarray(allocate(problem, method="topk").host_funds(), dtype=np.int64)
    given = np.asarray(plan.host_funds(), dtype=np.int64)
    n = problem.n_funds
    revenue = problem.host_revenue()
    moved = np.zeros((n, n + 1), dtype=np.int64)
    lost = np.zeros((n, n + 1))
    by_customer = np.zeros(problem.n_customers)
    for lo, hi in problem.blocks():
        e, want, got = revenue[lo:hi], free[lo:hi], given[lo:hi]
        dropped = (want >= 0) & ~(want[:, :, None] == got[:, None, :]).any(axis=2)
        gained = (got >= 0) & ~(got[:, :, None] == want[:, None, :]).any(axis=2)
        a, b = _front(want, dropped), _front(got, gained)
        for slot in range(a.shape[1]):
            x, y = a[:, slot], b[:, slot] if slot < b.shape[1] else np.full(len(a), -1)
            rows = np.flatnonzero((x >= 0) | (y >= 0))
            worth = np.where(x[rows] >= 0, e[rows, x[rows]], 0.0) - np.where(y[rows] >= 0, e[rows, y[rows]], 0.0)
            by_customer[lo + rows] += worth
            both = x[rows] >= 0  # a slot that a customer would leave empty is not moved from any fund
            key = x[rows][both] * (n + 1) + np.where(y[rows][both] >= 0, y[rows][both], n)
            moved += np.bincount(key, minlength=n * (n + 1)).reshape(n, n + 1)
            lost += np.bincount(key, weights=worth[both], minlength=n * (n + 1)).reshape(n, n + 1)
    level = np.asarray(problem.tolerance, dtype=np.int64)
    levels, place = np.unique(level, return_inverse=True)
    return QuotaLosses(
        tuple(str(name) for name in problem.names),
        moved,
        lost,
        np.bincount(free[free >= 0], minlength=n),
        np.asarray(problem.quota, dtype=np.int64),
        levels,
        np.bincount(place, minlength=levels.size),
        np.bincount(place, weights=by_customer, minlength=levels.size).astype(np.float64),
    )


def _front(funds: NDArray[np.int64], keep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Move the kept entries of each row to its front, in their order; the rest becomes -1."""
    order = np.argsort(~keep, axis=1, kind="stable")
    return np.take_along_axis(np.where(keep, funds, -1), order, axis=1)
