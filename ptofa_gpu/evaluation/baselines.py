"""The plan nobody would defend: customers see a random fund they may see, within the quotas."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptofa_gpu._arguments import seed_of
from ptofa_gpu.evaluation._kinds import allocation_problem

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem

# a block of this many rows keeps the temporary (rows, F) arrays of a round small
_BLOCK_ROWS = 1 << 18


def random_funds(problem: AllocationProblem, *, seed: int = 0) -> NDArray[np.int32]:
    """Random eligible funds within the quotas, without looking at revenue.

    In rounds, every customer with an empty slot asks for one fund at random among those they may see, do not have and
    that are still open; a fund with more askers than open exposures accepts a random subset of them. A round either
    gives every asker a fund or exhausts a fund, so there are at most K + F rounds.

    Returns
    -------
    (U, K) int32, fund index, -1 for an empty slot
    """
    allocation_problem(problem)
    rng = np.random.default_rng(seed_of(seed))
    n, k = problem.n_customers, problem.k
    funds = np.full((n, k), -1, dtype=np.int32)
    filled = np.zeros(n, dtype=np.int64)
    left = np.asarray(problem.quota, dtype=np.int64).copy()
    while True:
        askers, wishes = [], []
        for lo in range(0, n, _BLOCK_ROWS):
            rows = lo + np.flatnonzero(filled[lo : lo + _BLOCK_ROWS] < k)
            if rows.size == 0:
                continue
            can = problem.eligible_rows(lo, min(lo + _BLOCK_ROWS, n))[rows - lo] & (left > 0)
            for slot in range(k):
                held = funds[rows, slot]
                can[np.flatnonzero(held >= 0), held[held >= 0]] = False
            choices = can.sum(axis=1)
            some = choices > 0
            # the j-th permitted fund, j uniform: the first place where the running count of permitted funds passes j
            j = (rng.random(int(some.sum())) * choices[some]).astype(np.int64)
            wish = np.argmax(np.cumsum(can[some], axis=1) > j[:, None], axis=1)
            askers.append(rows[some])
            wishes.append(wish)
        if not askers or sum(a.size for a in askers) == 0:
            return funds
        row, wish = np.concatenate(askers), np.concatenate(wishes)
        for f in np.unique(wish):
            takers = row[wish == f]
            if takers.size > left[f]:
                takers = rng.choice(takers, size=int(left[f]), replace=False)
            funds[takers, filled[takers]] = f
            filled[takers] += 1
            left[f] -= takers.size


def random_plan(problem: AllocationProblem, *, seed: int = 0) -> AllocationPlan:
    """Return `random_funds` as a plan: what revenue looks like when nobody predicts anything."""
    from ptofa_gpu.allocation.plan import AllocationPlan, decide_status

    start = time.perf_counter()
    funds = random_funds(problem, seed=seed)
    seconds = time.perf_counter() - start
    plan = AllocationPlan(problem, funds, method="random", status="feasible", seconds=seconds, device="cpu")
    plan.status = decide_status(plan)
    return plan
