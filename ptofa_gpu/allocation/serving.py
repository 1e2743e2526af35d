"""Decide for customers who were not there when the plan was made, by the plan's prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation.blocks import read_blocks
from ptofa_gpu.allocation.passes import Passes
from ptofa_gpu.allocation.problem import AllocationProblem
from ptofa_gpu.device import to_device
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops._best import key_bits

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan


def in_units(price: np.ndarray, largest: float, all_slots: bool) -> tuple[int, np.ndarray, float]:
    """The finest whole units in which E - price is exact for |E| <= `largest`.

    Returns
    -------
    shift : int
        A unit is 2^-shift of the currency.
    units : (F,) float64
        Prices in whole units.
    lift : float
        Added to every value where all slots are to be filled, so that whatever may be seen is worth more than nothing.
    """
    largest = max(largest, float(np.abs(price).max()), 2.0**-100)
    shift = int(61 - key_bits(price.size) - np.frexp(4 * largest)[1])
    lift = float(np.rint(np.ldexp(2 * largest, shift))) + 1 if all_slots else 0.0
    return shift, np.rint(np.ldexp(price, shift)), lift


def assign(plan: AllocationPlan, revenue: Any, tolerance: Any, eligible: Any, k: Any, excluded: Any) -> Any:
    """See :meth:`ptofa_gpu.AllocationPlan.assign`."""
    made_for = plan.problem
    if plan.price is None:
        raise InputError(
            f"a plan by method={plan.method!r} has no prices to serve new customers by; make it by "
            "allocate(problem, method='optimal')."
        )
    one = getattr(revenue, "ndim", None) == 1 or (isinstance(revenue, (list, tuple)) and np.ndim(revenue) == 1)
    if one:
        revenue = revenue[None] if hasattr(revenue, "ndim") else [revenue]
        tolerance, eligible = (None if x is None else np.asarray(x)[None] for x in (tolerance, eligible))
    if tolerance is None and made_for.risk.any():
        raise InputError("tolerance is missing: the plan's funds have risk levels, and new customers need theirs.")
    blocks = read_blocks(revenue)
    if blocks.shape[1] != made_for.n_funds:
        raise InputError(f"revenue has {blocks.shape[1]} funds (columns); the plan was made for {made_for.n_funds}.")
    customers = AllocationProblem(
        revenue,
        np.zeros(made_for.n_funds, np.int64),
        made_for.k if k is None else k,
        tolerance,
        None if tolerance is None else made_for.risk,
        eligible,
        made_for.names,
        excluded=excluded,
    )
    shift, units, lift = in_units(plan.price, customers.max_revenue, made_for.case != "under")
    everyone = Passes.over(customers, customers.revenue_blocks(), 2.0**shift)
    chosen = everyone.empty_plan()
    everyone.take(lift - units, chosen)
    everyone.put_in_order(chosen)
    funds = to_device(chosen, customers.device)
    return funds[0] if one else funds
