"""Cutting a campaign into parts: quotas for some of the customers, in whole exposures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptofa_gpu._arguments import real_array
from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem


def share_of_quota(quota: ArrayLike, part: int, whole: int) -> NDArray[np.int64]:
    """Return `part` / `whole` of each quota in whole exposures, by largest remainders: the total is right too."""
    if not 0 <= part <= whole or whole < 1:
        raise InputError(f"a part of {part} customers of {whole} makes no sense")
    exact = np.asarray(quota, dtype=np.float64) * (part / whole)
    out = np.floor(exact).astype(np.int64)
    left = round(float(exact.sum())) - int(out.sum())
    order = np.argsort(-(exact - out), kind="stable")
    out[order[:left]] += 1
    return out


def subproblem(
    problem: AllocationProblem, rows: NDArray[np.int64], revenue: ArrayLike | None = None
) -> AllocationProblem:
    """Return the problem of some customers, with their share of every quota.

    Parameters
    ----------
    problem : AllocationProblem
    rows : (n,) int64
        Which customers.
    revenue : (U, F) float, optional
        Another expected revenue of all customers, in place of the problem's.
    """
    from ptofa_gpu.allocation.problem import AllocationProblem

    shape = (problem.n_customers, problem.n_funds)
    host = problem.host_revenue() if revenue is None else real_array("revenue", revenue, shape)
    eligible = None
    if problem.mask is not None:
        lo, hi = (int(rows.min()), int(rows.max()) + 1) if rows.size else (0, 0)
        eligible = problem.eligible_rows(lo, hi)[rows - lo]
    return AllocationProblem(
        np.ascontiguousarray(host[rows]),
        quota=share_of_quota(problem.quota, rows.size, problem.n_customers),
        k=problem.k if problem.slots_of is None else problem.slots_of[rows],
        tolerance=problem.tolerance[rows],
        risk=problem.risk,
        eligible=eligible,
        names=problem.names,
    )
