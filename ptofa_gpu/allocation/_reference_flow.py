"""Min-cost flow by OR-Tools: customers send their slots to funds, cost is minus the revenue."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu._lazy import require
from ptofa_gpu.errors import AllocationError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.reference import Pairs


def flow_plan(problem: AllocationProblem, pairs: Pairs) -> np.ndarray:
    """(U, K) funds of greatest revenue among the plans with the most exposures.

    Costs are float32 revenues times a power of two, rounded: exact unless revenues of one instance differ by more
    than about 2^20, and then to 2^-40 of the largest or better.
    """
    graph = require("ortools.graph.python.min_cost_flow", "solver='ortools'")
    n_customers, n_funds, k = problem.n_customers, problem.n_funds, problem.k
    # Supplies may stay unsent (largest flow first, then least cost): in every case the fullest plans are compared.
    quota = problem.attainable(problem.quota)
    slots = np.full(n_customers, k, np.int64) if problem.slots_of is None else problem.slots_of.astype(np.int64)
    supplies = np.concatenate([slots, -quota])
    if problem.has_ranges:
        # Funds pass on to two nodes, exposures up to the low ends and those above: what the two ask for is what the
        # best plan delivers, so a largest flow meets as much of the low ends as can be.
        low = problem.attainable(problem.quota_low)
        feasibility = problem.feasibility()
        towards_low = int((problem.quota_low - feasibility.shortfall).sum())
        supplies[n_customers:] = 0
        supplies = np.append(supplies, [-towards_low, -(feasibility.delivered - towards_low)])
    nodes = np.arange(supplies.size, dtype=np.int32)
    arcs = np.arange(len(pairs), dtype=np.int32)
    shift = _cost_shift(problem.max_revenue, n_customers + n_funds)
    for _ in range(8):
        flow = graph.SimpleMinCostFlow()
        if arcs.size:
            cost = -np.rint(np.ldexp(pairs.revenue.astype(np.float64), shift)).astype(np.int64)
            flow.add_arcs_with_capacity_and_unit_cost(
                pairs.customer, pairs.fund + np.int32(n_customers), np.ones(len(pairs), np.int64), cost
            )
        if problem.has_ranges:
            for end, capacity in ((nodes[-2], low), (nodes[-1], quota - low)):
                flow.add_arcs_with_capacity_and_unit_cost(
                    nodes[n_customers:-2], np.full(n_funds, end, np.int32), capacity, np.zeros(n_funds, np.int64)
                )
        flow.set_nodes_supplies(nodes, supplies)
        status = flow.solve_max_flow_with_min_cost()
        if status == flow.OPTIMAL:
            return pairs.plan(flow.flows(arcs) > 0, n_customers, k)
        if status != flow.BAD_COST_RANGE:
            break
        shift -= 4  # its own headroom is data-dependent: give it some more
    raise AllocationError(f"OR-Tools min-cost flow ended with status {status.name}.")


def _cost_shift(largest: float, nodes: int) -> int:
    """s with largest x 2^s x (nodes + 1) < 2^60: the solver multiplies costs by the number of nodes.

    Two bits below int64's own limit: it adds a source and a sink, and node prices are sums of costs.
    """
    if largest == 0.0:
        return 0
    return 60 - math.frexp(largest)[1] - (nodes + 3).bit_length()
