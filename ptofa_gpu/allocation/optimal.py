"""The certified optimum by prices: Newton on samples, then on everyone, then an exact exchange of the last few.

One form serves every case. With a bonus M on each exposure, larger than anything a change of plan can earn, the best of
all plans within quotas and slots has the most exposures, and among those the most revenue: where the constraints can
be met it is the optimum, where they cannot it serves as many as possible. Its dual has prices p >= 0:

    g(p) = sum_f d_f p_f + sum_u sum over the K largest of (E[u,f] + M - p_f), where positive.

Everything is whole numbers of units (see `ptofa_gpu.ops.price`), so the answer is exact in them: at the end the primal
and the dual value are compared as integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation._exact import rounded_up
from ptofa_gpu.allocation.dual import Choices, Prices, newton
from ptofa_gpu.allocation.market import Market
from ptofa_gpu.allocation.passes import Passes
from ptofa_gpu.allocation.serving import in_units
from ptofa_gpu.allocation.settle import Settling
from ptofa_gpu.allocation.start import FIRST_SAMPLE, Beginning, Samples, patience

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch

#: Passes over everyone in which Newton's method must get somewhere.
PATIENCE = 4
#: With such a share of the slots in the wrong place Newton's method has stalled, most likely over ties.
TIED_LEFT = 0.01


@dataclass
class Optimum:
    """A plan with the most exposures, and among those the most revenue, with what proves it."""

    funds: Any  # (U, K) int16
    price: np.ndarray  # (F,) currency per exposure
    bound: float
    complete: bool  # False: the time was up before the exchange was done
    passes: int
    moves: int


def optimal(
    problem: AllocationProblem, source: RevenueBlocks, watch: Watch, warm_start: np.ndarray | None = None
) -> Optimum:
    """The plan of greatest expected revenue, and prices that prove it.

    Parameters
    ----------
    problem : AllocationProblem
    source : RevenueBlocks
        The revenue, its blocks on the device that does the work.
    watch : Watch
        Stops the work when the time is up; what there is then is returned with ``complete=False``.
    warm_start : (F,) float64, optional
        Prices in currency to start from, such as an earlier plan's.
    """
    market = Market(problem, watch)
    everyone = Passes.over(problem, source, market.scale)
    plan = Settling(market, everyone, market.quotas, _prices(market, everyone, warm_start))
    if plan.wrong() > market.enough(everyone):
        plan.untie()
    watch.advance(everyone.rows // 2)  # the rest is a plan already, all but a few exposures
    complete = plan.put_right()
    watch.advance(everyone.rows - everyone.rows // 2)
    price = market.currency(plan.price) if problem.max_revenue else np.zeros(problem.n_funds)
    never_full = problem.quota > problem.attainable(problem.quota)
    price[never_full] = np.minimum(price[never_full], 0.0)  # where everybody has it, they keep it at 0 too
    bound = _bound(problem, everyone, price)
    everyone.put_in_order(plan.chosen)
    return Optimum(plan.chosen, price, bound, complete, everyone.count, plan.moves)


def _prices(market: Market, everyone: Passes, warm_start: np.ndarray | None) -> np.ndarray:
    """Prices, in units, at which few exposures are in the wrong place, or many because of ties."""
    samples = Samples(market, everyone)
    start = samples.beginning(warm_start)
    if start.settled:
        return start.price
    found = _refine(market, everyone, samples, start)
    return samples.at_ties(found.price) if found.error > TIED_LEFT * market.slots else found.price


def _refine(market: Market, everyone: Passes, samples: Samples, start: Beginning) -> Prices:
    """Newton's method on everyone, with the last sample's windows."""
    some, delta = samples.every(FIRST_SAMPLE), start.delta
    if delta is None and some.stride > 1:
        delta = market.judge(some.passes, start.price, some.quotas).delta

    def look(price: np.ndarray, windows: np.ndarray | None) -> Choices:
        if windows is None or delta is None:
            return market.judge(everyone, price, market.quotas)
        return everyone.look(market.bonus - price, windows)

    return newton(
        look, market.quotas, start.price, market.grounded, market.enough(everyone), delta,
        patience(PATIENCE, everyone.funds), market.worth(everyone), market.watch.expired,
    )  # fmt: skip


def _bound(problem: AllocationProblem, everyone: Passes, price: np.ndarray) -> float:
    """g(price): no plan that meets every constraint earns more. In finer units: there is no bonus."""
    if problem.max_revenue == 0.0:
        return 0.0
    # Where every slot must be filled all values are lifted above 0, and the lift is taken off again.
    shift, units, lift = in_units(price, problem.max_revenue, problem.case != "under")
    never = np.zeros((problem.n_funds + 1,) * 2)
    scale, everyone.scale = everyone.scale, 2.0**shift
    found = everyone.look(lift - units, never)
    everyone.scale = scale
    # a fund that may get fewer than its quota counts with what is worst for the bound
    counted = np.where(units < 0, problem.quota_low, problem.quota) if problem.case == "over" else problem.quota
    dual = found.value - int(lift) * problem.slots + sum(int(p) * int(d) for p, d in zip(units, counted))
    # every slot's value was rounded to units, by half a unit at most: also where it came to nothing
    return rounded_up((Fraction(dual) + Fraction(problem.slots, 2)) / Fraction(2) ** shift)
