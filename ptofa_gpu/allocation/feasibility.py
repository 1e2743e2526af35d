"""Whether any plan can meet the constraints: an exact maximum flow over groups of like customers, put into words."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem

_SOURCE, _SINK = 0, 1


@dataclass(frozen=True)
class Feasibility:
    """What the best plan can deliver, whatever its revenue.

    Attributes
    ----------
    ok : bool
        Some plan meets every constraint: all quotas where they fit into the slots, all slots otherwise.
    shortfall : array (F,) of int64
        Exposures of each fund that a plan with the most exposures leaves undelivered (where the quotas sum to more
        than the slots this is no fault: they are upper bounds).
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
    rank = reached[problem.tolerance.astype(np.int16) + 128]
    slots_of = problem.slots_of
    if problem.mask is None:
        width = problem.k + 1
        code = rank if slots_of is None else rank.astype(np.int64) * width + slots_of
        counts = np.bincount(code, minlength=1).astype(np.int64)
        used = np.flatnonzero(counts)
        level, slots = (used, np.full(used.size, problem.k)) if slots_of is None else (used // width, used % width)
        return level[:, None] > inverse[None, :], counts[used], slots.astype(np.int64)
    fund = np.arange(problem.n_funds)
    allowed = np.zeros((levels.size + 1, problem.mask.shape[1]), np.uint64)
    for reaches in range(levels.size + 1):
        for f in fund[inverse < reaches]:
            allowed[reaches, f >> 6] |= np.uint64(1) << np.uint64(f & 63)
    words = problem.mask & allowed[rank]
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
    patterns: np.ndarray  # (G, F) bool, what the customers of a group may see
    sizes: np.ndarray  # (G,) customers in a group
    starved_groups: np.ndarray  # (G,) bool: customers with slots that no fund can fill (source side)
    starved_funds: np.ndarray  # (F,) bool: funds with quota that no customer can take (sink side)


def group_flow(problem: AllocationProblem) -> GroupFlow:
    """Maximum flow source -> group (K n) -> fund (n where eligible) -> sink (d).

    Inside a group a 0/1 matrix with the flow's margins always exists (Gale-Ryser: no entry exceeds the group's n, no
    row needs more than K), so the flow value is the most exposures that any plan can make.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    patterns, sizes = problem.groups
    n_groups, n_funds = patterns.shape
    supply = problem.k * sizes
    # more than all slots is as good as any more; one above them keeps such a fund unsaturated, so that the cut shows it
    demand = np.minimum(problem.quota, problem.slots + 1)
    if problem.slots + 1 >= 2**31:
        raise InputError(f"{problem.slots:,} slots are more than the feasibility check can count (2,147,483,647).")
    g, f = np.nonzero(patterns)
    group, fund = 2 + np.arange(n_groups), 2 + n_groups + np.arange(n_funds)
    tail = np.concatenate([np.full(n_groups, _SOURCE), group[g], fund])
    head = np.concatenate([group, fund[f], np.full(n_funds, _SINK)])
    capacity = np.concatenate([supply, sizes[g], demand]).astype(np.int32)
    n = 2 + n_groups + n_funds
    graph = csr_array((capacity, (tail, head)), shape=(n, n))
    flow = maximum_flow(graph, _SOURCE, _SINK).flow
    delivered = np.asarray(flow[fund, :][:, [_SINK]].todense()).ravel().astype(np.int64)
    residual = csr_array(graph - flow)
    residual.data = (residual.data > 0).astype(np.int32)
    residual.eliminate_zeros()
    reached = np.zeros(n, bool)
    reached[breadth_first_order(residual, _SOURCE, return_predecessors=False)] = True
    return GroupFlow(delivered, patterns, sizes, reached[group], ~reached[fund] & (problem.quota > 0))


def check_feasibility(problem: AllocationProblem) -> Feasibility:
    """Feasibility of `problem` by :func:`group_flow`, with the minimum cut as the explanation."""
    flow = group_flow(problem)
    total = int(flow.delivered.sum())
    goal = min(int(problem.quota.sum()), problem.slots)
    ok = total == goal
    shortfall = problem.quota - flow.delivered
    if ok:
        words = f"Feasible: {problem._case_in_words()}."
    else:
        words = _explain(problem, goal - total, flow)
    return Feasibility(ok, shortfall, problem.slots - total, total, problem.case, words)


def _explain(problem: AllocationProblem, short: int, flow: GroupFlow) -> str:
    """The minimum cut in words: which funds want how many exposures, who may see them, how many are missing."""
    k, quota, names, patterns, sizes = problem.k, problem.quota, problem.names, flow.patterns, flow.sizes
    lines = [f"Infeasible: {short:,} of {min(int(quota.sum()), problem.slots):,} exposures cannot be delivered."]
    if problem.case != "over":
        # On the sink's side of the cut the funds ask for more than the customers who may see them can take:
        # every group gives min(K, number of those funds it may see) slots a customer at most.
        funds, seats = _tight_funds(problem, flow, short)
        wanted = int(quota[funds].sum())
        who = _who(problem, patterns, sizes, funds)
        lines.append(
            f"{_list(names, funds)} bought {wanted:,} exposures; {who}, who can take {seats:,} of them "
            f"({k} slot{'s' * (k > 1)} a customer, no fund twice): {wanted - seats:,} short."
        )
        lines.append(
            f"Lower {'these quotas' if funds.size > 1 else 'this quota'} by {wanted - seats:,}, widen who may see "
            f"{'them' if funds.size > 1 else 'it'}, or call allocate(..., on_infeasible='relax')."
        )
        few = _few_funds(patterns, sizes, k)
        if few:
            lines.append(few)
    else:
        groups = flow.starved_groups
        funds = np.flatnonzero(patterns[groups].any(0))
        customers = int(sizes[groups].sum())
        few = _few_funds(patterns, sizes, k)
        lines.append(
            f"{customers:,} customers have {k * customers:,} slots, but may see only "
            f"{_list(names, funds) if funds.size else 'no fund at all'}, whose quotas and audiences leave "
            f"{short:,} of these slots empty."
        )
        if few:
            lines.append(few)
        lines.append(
            "Raise those quotas, widen who may see the other funds, lower k, or call allocate(..., "
            "on_infeasible='relax')."
        )
    return " ".join(line[0].upper() + line[1:] for line in lines)


def _tight_funds(problem: AllocationProblem, flow: GroupFlow, short: int) -> tuple[np.ndarray, int]:
    """A smallest set of funds that together miss `short` exposures, and the slots their audience can give them.

    The funds on the sink's side of the minimum cut miss exactly `short`; those that can be left out without making
    the shortage smaller explain nothing.
    """

    def seats(funds: np.ndarray) -> int:
        return int((np.minimum(flow.patterns[:, funds].sum(1), problem.k) * flow.sizes).sum())

    funds = np.flatnonzero(flow.starved_funds)
    for f in funds[np.argsort(problem.risk[funds], kind="stable")]:
        fewer = funds[funds != f]
        if fewer.size and int(problem.quota[fewer].sum()) - seats(fewer) >= short:
            funds = fewer
    return funds, seats(funds)


def _few_funds(patterns: np.ndarray, sizes: np.ndarray, k: int) -> str:
    width = patterns.sum(1)
    few = width < k
    if not few.any():
        return ""
    none = int(sizes[width == 0].sum())
    text = f"{int(sizes[few].sum()):,} customers may see fewer than k={k} funds"
    return text + (f" ({none:,} may see none)." if none else ".")


def _who(problem: AllocationProblem, patterns: np.ndarray, sizes: np.ndarray, funds: np.ndarray) -> str:
    audience = patterns[:, funds].any(1)
    count = int(sizes[audience].sum())
    lowest = int(problem.risk[funds].min())
    if problem.mask is None and lowest > int(problem.tolerance.min()):
        return f"they need customers of tolerance >= {lowest}; there are {count:,}"
    return f"{count:,} customers may see at least one of them"


def _list(names: list[str], funds: np.ndarray) -> str:
    shown = [f"{names[f]!r}" for f in funds[:5]]
    more = f" and {funds.size - 5} more" if funds.size > 5 else ""
    head = ", ".join(shown[:-1]) + (" and " if len(shown) > 1 and not more else ", " if len(shown) > 1 else "")
    return f"{'funds' if funds.size > 1 else 'fund'} {head}{shown[-1]}{more}"
