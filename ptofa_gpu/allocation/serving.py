"""Decide for customers who were not there when the plan was made, by the plan's prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation.blocks import read_blocks
from ptofa_gpu.allocation.labels import is_frame, read_revenue
from ptofa_gpu.allocation.passes import Passes
from ptofa_gpu.allocation.problem import AllocationProblem
from ptofa_gpu.device import to_device
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops._customers import key_bits

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
    largest = max(largest, float(np.abs(price).max())) or 1.0
    shift = int(61 - key_bits(price.size) - np.frexp(4 * largest)[1])
    lift = float(np.rint(np.ldexp(2 * largest, shift))) + 1 if all_slots else 0.0
    return shift, np.rint(np.ldexp(price, shift)), lift


#: More than any customers there are, so that all slots are to be filled and every fund may be chosen.
ANY_QUOTA = 1 << 40


def _in_the_plans_order(frame: Any, made_for: AllocationProblem) -> tuple[Any, Any]:
    """The values of a frame of revenue, its columns in the order of the plan's funds, and its customers' labels."""
    read, axis = read_revenue(frame), made_for.axes[1]
    if axis.is_no_label(read.funds):
        return read.values, read.customers
    found = axis.positions(read.funds, "revenue")
    if found.size < made_for.n_funds:
        left = [made_for.names[f] for f in np.setdiff1d(np.arange(made_for.n_funds), found)[:5]]
        raise InputError(f"revenue has {found.size} funds (columns); the plan was made for {made_for.n_funds}: {left}.")
    return read.values[:, np.argsort(found)], read.customers


def _one_row(revenue: Any, made_for: AllocationProblem) -> tuple[bool, Any]:
    """Whether it is one customer's revenue, which may be labelled by fund; then as a matrix of one row."""
    own = made_for.axes[1].in_order(revenue, "revenue") if not is_frame(revenue) else revenue
    if isinstance(own, (list, tuple)) and own and all(isinstance(x, (int, float, np.number)) for x in own):
        return True, [list(own)]
    if getattr(own, "ndim", None) != 1:
        return False, own
    return True, (own if hasattr(own, "__array__") and not hasattr(own, "index") else np.asarray(own))[None]


def assign(plan: AllocationPlan, revenue: Any, tolerance: Any, eligible: Any, k: Any, excluded: Any) -> Any:
    """See :meth:`ptofa_gpu.AllocationPlan.assign`."""
    made_for = plan.problem
    if plan.price is None:
        raise InputError(
            f"a plan by method={plan.method!r} has no prices to serve new customers by; make it by "
            "allocate(problem, method='optimal')."
        )
    one, revenue = _one_row(revenue, made_for)
    if one:
        tolerance, eligible = (None if x is None else np.asarray(x)[None] for x in (tolerance, eligible))
    if tolerance is None and made_for.risk.any():
        raise InputError("tolerance is missing: the plan's funds have risk levels, and new customers need theirs.")
    ids = None
    if is_frame(revenue):
        revenue, ids = _in_the_plans_order(revenue, made_for)
    if (width := read_blocks(revenue).shape[1]) != made_for.n_funds:
        raise InputError(f"revenue has {width} funds (columns); the plan was made for {made_for.n_funds}.")
    asked = AllocationProblem(
        revenue,
        np.full(made_for.n_funds, ANY_QUOTA),
        made_for.k if k is None else k,
        tolerance,
        None if tolerance is None else made_for.risk,
        eligible,
        made_for.names,
        customer_ids=ids,
        fund_ids=made_for.fund_ids,
        excluded=excluded,
    )
    # where slots may stay empty E itself is compared with prices: no constants are taken off
    customers = asked if made_for.case == "under" else asked.core().problem
    shift, units, lift = in_units(plan.price, customers.max_revenue, made_for.case != "under")
    everyone = Passes.over(customers, customers.revenue_blocks(), 2.0**shift)
    chosen = everyone.empty_plan()
    everyone.take(lift - units, chosen)
    everyone.put_in_order(chosen)
    funds = to_device(chosen, customers.device)
    return funds[0] if one else funds
