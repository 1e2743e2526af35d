"""Whether any plan can meet the constraints: an exact maximum flow over groups of like customers, put into words."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu.ops.max_flow import CAPACITY, NO_ARC, max_flow
from ptofa_gpu.ops.totals import count_values

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem


@dataclass(frozen=True)
class Feasibility:
    """What the best plan can deliver, whatever its revenue.

    Attributes
    ----------
    ok : bool
        Some plan meets every constraint: all quotas where they fit into the slots; otherwise all slots, and the low
        ends of all ranges.
    shortfall : array (F,) of int64
        Exposures that each fund must get (:attr:`AllocationProblem.quota_low`) and does not, in a plan with the most
        exposures and among those the fewest missing so.
    unserved : int
        Slots that stay empty in a plan with the most exposures.
    delivered : int
        Exposures in a plan with the most exposures.
    case : str
        ``exact``, ``under`` or ``over``: the sum of the quotas against the slots.
    """

    ok: bool
    shortfall: np.ndarray
    unserved: int
    delivered: int
    case: str
    _words: str = field(repr=False, default="")

    def explain(self) -> str:
        """Say in plain words, with numbers, whether it can be done and what stands in the way."""
        return self._words

    def __bool__(self) -> bool:
        return self.ok

    def _repr_html_(self) -> str:
        mark = "&#10003; feasible" if self.ok else "&#10007; infeasible"
        return f"<div class='ptofa-feasibility'><b>{mark}</b><p>{html.escape(self.explain())}</p></div>"


def group_customers(problem: AllocationProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group customers by what they may see and how many slots they have: eligibility patterns (G, F) bool, customers
    in each (G,) int64, and slots of each of them (G,) int64."""
    levels, inverse = np.unique(problem.risk, return_inverse=True)
    # tolerances between two risk levels are alike: only the number of risk levels reached counts
    reached = np.searchsorted(levels, np.arange(-128, 128), side="right").astype(np.int16)
    slots_of, mask = problem.slots_of, problem.mask
    if mask is None and slots_of is None:
        counts = np.bincount(reached, count_values(problem.tolerance, -128, 256)).astype(np.int64)
        level = np.flatnonzero(counts)
        return level[:, None] > inverse[None, :], counts[level], np.full(level.size, problem.k, np.int64)
    rank = reached[problem.tolerance.astype(np.int16) + 128]
    if mask is None:
        assert slots_of is not None
        width = problem.k + 1
        counts = np.bincount(rank.astype(np.int64) * width + slots_of).astype(np.int64)
        used = np.flatnonzero(counts)
        return (used // width)[:, None] > inverse[None, :], counts[used], (used % width).astype(np.int64)
    fund = np.arange(problem.n_funds)
    allowed = np.zeros((levels.size + 1, mask.shape[1]), np.uint64)
    for reaches in range(levels.size + 1):
        for f in fund[inverse < reaches]:
            allowed[reaches, f >> 6] |= np.uint64(1) << np.uint64(f & 63)
    words = mask & allowed[rank]
    if slots_of is not None:
        words = np.column_stack([words, slots_of.astype(np.uint64)])
    if words.shape[1] == 1:
        patterns, counts = np.unique(words[:, 0], return_counts=True)
        patterns = patterns[:, None]
    else:
        patterns, counts = np.unique(words, axis=0, return_counts=True)
    bits = (patterns[:, fund >> 6] >> (fund & 63).astype(np.uint64)) & np.uint64(1)
    slots = np.full(counts.size, problem.k) if slots_of is None else patterns[:, -1]
    return bits.astype(bool), counts.astype(np.int64), slots.astype(np.int64)


@dataclass(frozen=True)
class GroupFlow:
    """A maximum flow source -> group -> fund -> sink, and the source's side of its minimum cut."""

    delivered: np.ndarray  # (F,) exposures
    starved_groups: np.ndarray  # (G,) bool: customers with slots that no fund can fill (source side)
    starved_funds: np.ndarray  # (F,) bool: funds with demand that no customer can take (sink side)
    sent: np.ndarray | None = None  # (G, F) exposures of each fund for each group, where they are to be built upon


def group_flow(
    problem: AllocationProblem, demand: np.ndarray, start: GroupFlow | None = None, keep: bool = False
) -> GroupFlow:
    """Maximum flow source -> group (k n) -> fund (n where eligible) -> sink (`demand`).

    Inside a group a 0/1 matrix with the flow's margins always exists (Gale-Ryser: no entry exceeds the group's n, no
    row needs more than k), so the flow value is the most exposures that any plan can make.

    With `start`, a flow for smaller demands made with `keep`, no fund ends with less than that one gives it. Augmenting
    paths never take from the sink, so this is a maximum flow all the same: low ends and the number of exposures do not
    compete.
    """
    patterns, sizes = problem.groups
    sent = np.zeros(patterns.shape, np.int64) if start is None or start.sent is None else start.sent.copy()
    arcs = np.where(patterns, CAPACITY, NO_ARC)
    groups, funds = max_flow(arcs, sizes, problem.group_slots * sizes, demand, sent)
    return GroupFlow(sent.sum(0), groups, ~funds & (demand > 0), sent if keep else None)


def check_feasibility(problem: AllocationProblem) -> Feasibility:
    """Feasibility of `problem` by :func:`group_flow`, with the minimum cut as the explanation."""
    low, ranges = problem.quota_low, problem.has_ranges
    first = group_flow(problem, low, keep=True) if ranges else None
    flow = group_flow(problem, problem.quota, first)
    total = int(flow.delivered.sum())
    goal = min(int(problem.quota.sum()), problem.slots)
    shortfall = np.maximum(low - flow.delivered, 0)
    lines = []
    if first is not None and shortfall.any():
        lines += _explain_low_ends(problem, first)
    if total < goal:
        lines += _explain_slots(problem, goal, total, flow) if problem.case == "over" else _explain(problem, flow)
    ok = not lines
    if ok:
        words = f"Feasible: {problem._case_in_words()}."
    else:
        words = " ".join(line[0].upper() + line[1:] for line in lines)
    return Feasibility(ok, shortfall, problem.slots - total, total, problem.case, words)


def _explain(problem: AllocationProblem, flow: GroupFlow) -> list[str]:
    """The minimum cut in words: which funds want how many exposures, who may see them, how many are missing."""
    quota = problem.quota
    short = int(quota.sum() - flow.delivered.sum())
    lines = [f"Infeasible: {short:,} of {int(quota.sum()):,} exposures cannot be delivered."]
    funds, seats = _tight_funds(problem, quota, flow, short)
    missing = int(quota[funds].sum()) - seats
    lines.append(f"{_list(problem.names, funds)} bought {_demand(problem, quota, funds, seats)}")
    lines.append(
        f"Lower {'these quotas' if funds.size > 1 else 'this quota'} by {missing:,}, widen who may see "
        f"{'them' if funds.size > 1 else 'it'}, or call allocate(..., on_infeasible='relax')."
    )
    return lines + _few_funds(problem)


def _explain_low_ends(problem: AllocationProblem, flow: GroupFlow) -> list[str]:
    """Which low ends cannot be met."""
    low = problem.quota_low
    total, short = int(low.sum()), int(low.sum() - flow.delivered.sum())
    lines = [f"Infeasible: {short:,} of the {total:,} exposures that the low ends ask for cannot be delivered."]
    if total - problem.slots == short:
        lines.append(f"there are {problem.slots:,} slots in all: lower the low ends by {short:,}, or raise k.")
        return lines
    funds, seats = _tight_funds(problem, low, flow, short)
    missing = int(low[funds].sum()) - seats
    many = funds.size > 1
    lines.append(f"{_list(problem.names, funds)} must have at least {_demand(problem, low, funds, seats)}")
    lines.append(
        f"Lower {'these low ends' if many else 'this low end'} by {missing:,}, widen who may see "
        f"{'them' if many else 'it'}, or call allocate(..., on_infeasible='relax')."
    )
    return lines


def _explain_slots(problem: AllocationProblem, goal: int, total: int, flow: GroupFlow) -> list[str]:
    """Whose slots stay empty although the quotas sum to more."""
    patterns, sizes = problem.groups
    groups = flow.starved_groups
    funds = np.flatnonzero(patterns[groups].any(0))
    customers, slots = int(sizes[groups].sum()), int((sizes * problem.group_slots)[groups].sum())
    return [
        f"Infeasible: {goal - total:,} of {goal:,} exposures cannot be delivered.",
        f"{_count(customers, 'customer')} {'has' if customers == 1 else 'have'} {_count(slots, 'slot')}, but may see "
        f"only {_list(problem.names, funds) if funds.size else 'no fund at all'}, whose quotas and audiences leave "
        f"{goal - total:,} of these slots empty.",
        *_few_funds(problem),
        "Raise those quotas, widen who may see the other funds, lower k, or call allocate(..., on_infeasible='relax').",
    ]


def _demand(problem: AllocationProblem, demand: np.ndarray, funds: np.ndarray, seats: int) -> str:
    wanted = int(demand[funds].sum())
    each = f"{problem._k_in_words()} slot{'s' * (problem.k > 1)} a customer"
    return (
        f"{_count(wanted, 'exposure')}; {_who(problem, funds)}, who can take {seats:,} of them "
        f"({each}, no fund twice): {wanted - seats:,} short."
    )


def _tight_funds(problem: AllocationProblem, demand: np.ndarray, flow: GroupFlow, short: int) -> tuple[np.ndarray, int]:
    """A smallest set of funds that together miss `short` exposures, and the slots their audience can give them.

    On the sink's side of the minimum cut the funds ask for more than the customers who may see them can take: every
    group gives min(k, number of those funds it may see) slots a customer at most. They miss exactly `short`; those
    that can be left out without making the shortage smaller explain nothing.
    """
    patterns, sizes = problem.groups

    def seats(funds: np.ndarray) -> int:
        return int((np.minimum(patterns[:, funds].sum(1), problem.group_slots) * sizes).sum())

    funds = np.flatnonzero(flow.starved_funds)
    for f in funds[np.argsort(problem.risk[funds], kind="stable")]:
        fewer = funds[funds != f]
        if fewer.size and int(demand[fewer].sum()) - seats(fewer) >= short:
            funds = fewer
    return funds, seats(funds)


def _few_funds(problem: AllocationProblem) -> list[str]:
    patterns, sizes = problem.groups
    width = patterns.sum(1)
    few = width < problem.group_slots
    if not few.any():
        return []
    count, none = int(sizes[few].sum()), int(sizes[few & (width == 0)].sum())
    than = f"fewer than k={problem.k} funds" if problem.slots_of is None else "fewer funds than they have slots"
    return [f"{_count(count, 'customer')} may see {than}" + (f" ({none:,} may see none)." if none else ".")]


def _who(problem: AllocationProblem, funds: np.ndarray) -> str:
    patterns, sizes = problem.groups
    audience = patterns[:, funds].any(1)
    count = int(sizes[audience].sum())
    lowest = int(problem.risk[funds].min())
    if problem.mask is None and lowest > int(problem.tolerance.min()):
        return f"they need customers of tolerance >= {lowest}; there are {count:,}"
    return f"{_count(count, 'customer')} may see {'at least one of them' if funds.size > 1 else 'it'}"


def _count(n: int, what: str) -> str:
    """'1 customer', '2,000 customers'."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def _list(names: list[str], funds: np.ndarray) -> str:
    shown = [f"{names[f]!r}" for f in funds[:5]]
    more = f" and {funds.size - 5} more" if funds.size > 5 else ""
    head = ", ".join(shown[:-1]) + (" and " if len(shown) > 1 and not more else ", " if len(shown) > 1 else "")
    return f"{'funds' if funds.size > 1 else 'fund'} {head}{shown[-1]}{more}"
