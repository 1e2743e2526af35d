"""What proves a plan: shadow prices, an upper bound on any plan's revenue, or a cycle of swaps that earns more.

A plan is a flow from customers to funds, and all its improvements show up on a graph of F + 2 nodes: the funds, the
*empty slot* (node F) and the *open quota* (node F + 1). The arc a -> b costs what is lost when the customer who minds
least gives up a for b:

===================  ===================================================================  =========================
arc                  who can take it                                                      cost
===================  ===================================================================  =========================
fund a -> fund b     a customer who has a, may see b and does not have it                 E[u,a] - E[u,b]
fund a -> empty      a customer who has a                                                 E[u,a]
empty -> fund b      a customer with an empty slot who may see b and does not have it     -E[u,b]
fund b -> open       b has fewer exposures than its quota                                 0
open -> fund a       every fund: it may always deliver fewer, as far as quotas go         0
===================  ===================================================================  =========================

With quota ranges whose low ends matter the open quota is two nodes: exposures between the low and the high end (node
F + 1), of which only funds above their low end may give one up, and exposures up to the low end (node F + 2), for
funds below it, of which every fund may give one up.

A closed walk on this graph is a change of the plan that keeps the number of exposures; a plan earns the most among
those with as many exposures exactly when no cycle has a negative cost (Ahuja, Magnanti and Orlin, *Network Flows*,
1993, Theorem 9.1), and it has the most exposures exactly when no path leads from the empty slot to the open quota
(Theorem 6.4). Without negative cycles shortest distances exist, and their negatives are the shadow prices: the
solution of the linear programme's dual.

**The dual in the three cases** (lambda_f: price of a fund, d: quotas, and v_u(j) the j-th largest E[u,f] - lambda_f
over the funds that customer u may see):

- *exact* (quotas fill the slots): lambda free, g = sum_f d_f lambda_f + sum_u sum_{j<=K} v_u(j). Adding a constant to
  every price leaves g as it is.
- *under* (slots stay empty): lambda free, customers take only what is worth taking,
  g = sum_f d_f lambda_f + sum_u sum_{j<=K} max(v_u(j), 0). An empty slot has price 0.
- *over* (quotas are upper bounds): lambda >= 0, and 0 for a fund whose quota is not used up; g as in *exact*. With
  ranges [low, high] lambda is free for low = high, <= 0 for a fund at its low end, >= 0 at its high end, 0 between.
  :func:`dual_bound` takes any prices: its first term is the most that as many exposures can cost at these prices,
  within the ranges, which is sum_f d_f lambda_f wherever prices are as said.

**Which of many prices.** Dual prices are rarely unique. The ones returned are the distances *from* the empty slot
(*under*) or from the open quota (*exact* and *over*): lambda_f is then exactly what **one more exposure** of fund f
would earn, taken from an empty slot, or from whichever fund can spare one for least. So prices are >= 0 and the lowest
is 0 in the cases *exact* and *over* (with ranges a fund held at its low end has a price <= 0). Where one more exposure
of a fund is impossible (*under*, all who may see it are full), its price is the least that an exposure taken from it
would cost: the revenue lost by giving it to another fund or to nobody, plus that fund's price. That is at most what one
exposure less would lose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation import _residual
from ptofa_gpu.allocation._checks import numbers
from ptofa_gpu.allocation._exact import exact_fraction, exact_sum, relative_gap, rounded_up
from ptofa_gpu.allocation.core import Core
from ptofa_gpu.device import to_device
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops._rows import CLOSED, EMPTY

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem

#: Gains below this share of max |E| for each arc of a cycle count as rounding, not as an improvement. Solvers that
#: round E to integers (OR-Tools) are exact to about 2^-40 of max |E|; float64 sums along a path to far less.
RELATIVE_TOLERANCE = 2.0**-36


@dataclass(frozen=True)
class Certificate:
    """A proof about a plan.

    Attributes
    ----------
    price : array (F,) of float64
        Shadow price of each fund's quota, currency per exposure. For a plan that is not optimal: prices of the least
        perturbed graph without a negative cycle; they prove `bound`, and say nothing about one more exposure.
    bound : float
        No plan earns more. For a plan that has the most exposures possible on an infeasible instance: no plan with as
        many exposures earns more.
    gap : float
        (bound - objective) / sum of |E| over what was chosen, 0 when both are equal.
    optimal : bool
        No plan has more exposures (as far as quotas and slots go), and none with as many earns more.
    cycle : list of int or None
        Where the plan can be improved: nodes of a negative cycle, each giving up an exposure for the next, the last
        for the first; or a path from the empty slot (F) to the open quota (F + 1, F + 2) along which one more exposure
        fits; or one from F + 1 to F + 2 that helps a fund towards its low end.
    objective : float
        Revenue of the plan.
    """

    price: np.ndarray
    bound: float
    gap: float
    optimal: bool
    cycle: list[int] | None
    objective: float


def residual_arcs(problem: AllocationProblem, funds: Any) -> np.ndarray:
    """Cheapest change of the plan along every arc of the residual graph.

    Parameters
    ----------
    problem : AllocationProblem
    funds : array (U, K) of int
        The plan: fund indices, -1 for an empty slot. Every fund within its quota, no fund twice for a customer and
        none that they may not see (:meth:`AllocationPlan.verify` checks that).

    Returns
    -------
    array (F + 2, F + 2) of float64, with ranges (F + 3, F + 3)
        Cost of each arc in currency (see the module's table), inf where there is none. Row and column F are the empty
        slot, F + 1 the open quota, F + 2 that below low ends. Differences of float32 revenues taken in float64, and
        minima: the same bits for any number of threads.
    """
    return _arcs(problem, _plan_array(problem, funds))


def _arcs(problem: AllocationProblem, plan: np.ndarray) -> np.ndarray:
    n = problem.n_funds
    ranges = problem.has_ranges
    arcs = np.full((n + 2 + ranges, n + 2 + ranges), np.inf)
    exposures = np.zeros(n, np.int64)
    for lo, hi, revenue in problem.host_blocks():
        block = plan[lo:hi]
        _residual.cheapest_swaps(revenue, problem.eligible_rows(lo, hi), block, arcs)
        exposures += np.bincount(block[block >= 0], minlength=n)
    low = _low_ends(problem)
    # Below its low end a fund counts as able to take exposures above it too: where no low end can be helped no cycle
    # runs through such a fund, and its price may not exceed theirs all the same.
    arcs[:n, n + 1] = np.where(np.maximum(exposures, low) < problem.quota, 0.0, np.inf)
    arcs[n + 1, :n] = 0.0
    if ranges:
        arcs[n + 1, :n] = np.where(exposures > low, 0.0, np.inf)
        arcs[:n, n + 2] = np.where(exposures < low, 0.0, np.inf)
        arcs[n + 2, :n] = np.where(np.minimum(exposures, low) > 0, 0.0, np.inf)
    return arcs


def shadow_prices(problem: AllocationProblem, funds: Any) -> Certificate:
    """Prove a plan optimal, or find where it is not.

    Parameters
    ----------
    problem : AllocationProblem
    funds : array (U, K) of int
        A plan that keeps the limits, as for :func:`residual_arcs`; it may leave quotas and slots open.

    Returns
    -------
    Certificate
        `optimal` is decided with a tolerance of :data:`RELATIVE_TOLERANCE` x max |E| for each arc of a cycle.

    Raises
    ------
    InputError
        For a plan of the wrong shape, or one that gives a fund more than its quota.

    Notes
    -----
    One pass over E, then O(F^3) on the graph.
    """
    plan = _plan_array(problem, funds)
    core = _core(problem, plan)
    problem = core.problem
    arcs = _arcs(problem, plan)
    n = problem.n_funds
    empty, open_ = n, n + 1
    exposures = np.bincount(plan[plan >= 0], minlength=n)
    over = np.flatnonzero(exposures > problem.quota)
    if over.size:
        f = int(over[0])
        raise InputError(
            f"the plan gives {problem.names[f]!r} {int(exposures[f]):,} exposures of {int(problem.quota[f]):,}: prices "
            "are those of plans within quota. For an upper bound from given prices, call dual_bound."
        )
    filled = int(exposures.sum())
    whole = min(int(problem.quota.sum()), problem.slots)
    low = _low_ends(problem)
    met, asked = int(np.minimum(exposures, low).sum()), int(low.sum())
    path = _residual.shortest_hops(arcs, empty, open_) if filled < whole else None
    helped = None
    if met < asked:  # only with ranges
        path = path or (_residual.shortest_hops(arcs, empty, open_ + 1) if filled < whole else None)
        helped = _residual.shortest_hops(arcs, open_, open_ + 1)
    tolerance = RELATIVE_TOLERANCE * problem.max_revenue
    cycle, mean = _residual.worst_cycle(arcs)
    improvable = cycle is not None and mean < -tolerance
    # every arc dearer by the worst cycle's mean: no negative cycle is left, so distances exist. For an optimal plan
    # this is 0, or a rounding error's worth
    relaxed = arcs if mean >= 0.0 else arcs - mean
    # adding 0.0 turns -0.0 into 0.0
    price = -_residual.potentials(relaxed, empty if filled < problem.slots else open_)[:n] + 0.0
    reach = whole if path is not None else filled
    towards = min(asked, reach) if path is not None or helped is not None else met
    bound = rounded_up(_dual(problem, price, reach, towards) + core.when_full)
    price = with_left_out(core, price, filled < problem.slots)
    objective, magnitude = _earned(core, plan)
    found = path or helped or (cycle if improvable else None)
    if filled == whole and met == asked:
        bound = max(bound, objective)  # which is rounded, too
    return Certificate(price, bound, relative_gap(bound, objective, magnitude), found is None, found, objective)


def with_left_out(core: Core, price: np.ndarray, under: bool) -> np.ndarray:
    """`price`, with what one exposure of each fund that was left out would earn: the lowest price at which nobody who
    may see it prefers it to the worst of what they take. `under`: slots may stay empty, which is worth 0; else no price
    is negative."""
    funds = np.flatnonzero(core.left_out)
    if not funds.size:
        return price
    outer, inner = core.stands_for, core.problem
    most = np.full(funds.size, -np.inf if under else 0.0)
    for lo, hi, revenue in inner.host_blocks():
        reduced = np.where(inner.eligible_rows(lo, hi), revenue.astype(np.float64) - price, -np.inf)
        own = np.full(hi - lo, inner.k) if inner.slots_of is None else inner.slots_of[lo:hi].astype(int)
        best = np.sort(reduced, axis=1)[:, ::-1]
        worst = best[np.arange(hi - lo), np.maximum(own - 1, 0)]
        worst = np.maximum(worst, 0.0) if under else np.where(np.isfinite(worst), worst, 0.0)
        sees = outer.eligible_rows(lo, hi)[:, funds] & (own > 0)[:, None]
        gain = np.where(sees, revenue[:, funds].astype(np.float64) - worst[:, None], -np.inf)
        most = np.maximum(most, gain.max(0))
    out = price.copy()
    out[funds] = np.where(np.isfinite(most), most, 0.0)
    return out


def _core(problem: AllocationProblem, plan: np.ndarray) -> Core:
    """What the plan is judged on: without constants of rows where it fills every slot."""
    return _for_exposures(problem, int((plan >= 0).sum()))


def _for_exposures(problem: AllocationProblem, filled: int) -> Core:
    core = problem.core()
    return core if core.constants is None or filled == problem.slots else Core(problem, None, problem)


def _earned(core: Core, plan: np.ndarray) -> tuple[float, float]:
    """Revenue of a plan, and the sum of its sizes."""
    total, sizes = _sums(core.problem, plan, core.constants)
    return float(total + core.on_top((plan >= 0).sum(1))), sizes


def _sums(problem: AllocationProblem, plan: np.ndarray, constants: np.ndarray | None = None) -> tuple[Fraction, float]:
    """Revenue of a plan, exact, and the sum of the sizes of revenue and constants."""
    total, sizes = Fraction(0), []
    for lo, hi, revenue in problem.host_blocks():
        row, slot = np.nonzero(plan[lo:hi] >= 0)
        value = revenue[row, plan[lo:hi][row, slot]].astype(np.float64)
        total += exact_fraction(value)
        sizes.append(exact_sum(np.abs(value if constants is None else value + constants[lo:hi][row])))
    return total, math.fsum(sizes)


def dual_bound(
    problem: AllocationProblem, price: Any, *, exposures: int | None = None, towards_low: int | None = None
) -> float:
    """Upper bound on the revenue of every plan, from any prices (weak duality; section *The dual* of this module).

    Parameters
    ----------
    problem : AllocationProblem
    price : array (F,)
        Finite prices of the funds' quotas, currency per exposure. Bad prices give a high bound, never a wrong one.
    exposures : int, optional
        Bound only plans with this many exposures; by default as many as quotas and slots allow. For infeasible
        instances.
    towards_low : int, optional
        Bound only plans in which this many of them count towards low ends of ranges; by default all that these ask
        for.

    Returns
    -------
    float
        The bound in currency, rounded up: never below the exact one, and above it by no more than a few 2^-53 of what
        is added (by nothing where revenue and prices are whole multiples of one unit). The same bits for any number of
        threads: each customer's share is computed on its own and the shares are added exactly.

    Raises
    ------
    InputError
        For prices of the wrong shape, NaN or infinite.
    """
    prices = check_prices(problem, price, "price")
    total = int(problem.quota.sum())
    filled = min(total, problem.slots) if exposures is None else int(exposures)
    if not 0 <= filled <= min(total, problem.slots):
        raise InputError(
            f"exposures={filled:,}, but quotas and slots allow 0 to {min(total, problem.slots):,} exposures."
        )
    low = _low_ends(problem)
    asked = min(int(low.sum()), filled)
    towards = asked if towards_low is None else int(towards_low)
    if not 0 <= towards <= asked:
        raise InputError(f"towards_low={towards:,}, but low ends and exposures allow 0 to {asked:,}.")
    core = _for_exposures(problem, filled)
    return rounded_up(_dual(core.problem, prices, filled, towards) + core.when_full)


def _dual(problem: AllocationProblem, prices: np.ndarray, filled: int, towards: int) -> Fraction:
    """g(prices) for plans with `filled` exposures, `towards` of them towards low ends: at least the exact value, and
    that itself where no difference of revenue and price is rounded."""
    low, full = _low_ends(problem), filled == problem.slots
    total = _dearest(prices, low, towards) + _dearest(prices, problem.quota - low, filled - towards)
    for lo, hi, revenue in problem.host_blocks():
        slots = None if problem.slots_of is None else problem.slots_of[lo:hi]
        total += exact_fraction(
            _residual.best_reduced(revenue, problem.eligible_rows(lo, hi), prices, problem.k, slots, full)
        )
    return total


def _dearest(prices: np.ndarray, capacity: np.ndarray, amount: int) -> Fraction:
    """The most that `amount` exposures cost, at most `capacity` of each fund. Where there is less room than that, no
    plan exists, and any number is a bound."""
    total = Fraction(0)
    for f in np.argsort(-prices, kind="stable").tolist():
        count = min(amount, int(capacity[f]))
        total += count * Fraction(float(prices[f]))
        amount -= count
    return total


def excess(problem: AllocationProblem, funds: Any, price: np.ndarray) -> tuple[Fraction, float]:
    """How much more than a plan that keeps the constraints any plan can earn, as its prices prove: exact; and the sum
    of |E| over what was chosen, both without the constants of rows where all slots are filled."""
    plan = _plan_array(problem, funds)
    core = _core(problem, plan)
    filled = min(int(problem.quota.sum()), problem.slots)
    towards = min(int(_low_ends(problem).sum()), filled)
    total, sizes = _sums(core.problem, plan)
    return _dual(core.problem, price, filled, towards) - total, sizes


def check_prices(problem: AllocationProblem, price: Any, what: str) -> np.ndarray:
    """(F,) finite float64 prices, in the order of the funds where they are labelled.

    Raises
    ------
    InputError
    """
    given = problem.axes[1].in_order(price, what, ("price",))
    raw = numbers(given, what)
    if raw.dtype.kind not in "iuf":
        raise InputError(f"{what} has dtype {raw.dtype}; it needs numbers.")
    prices = raw.astype(np.float64)
    if prices.shape != (problem.n_funds,):
        raise InputError(
            f"{what} has shape {prices.shape}; it needs one finite price for each of the {problem.n_funds} funds, such "
            "as an earlier plan's price."
        )
    if not np.isfinite(prices).all():
        where = int(np.flatnonzero(~np.isfinite(prices))[0])
        raise InputError(
            f"{what}[{where}] is {prices[where]}; it needs one finite price for each of the {problem.n_funds} funds."
        )
    return prices


def _low_ends(problem: AllocationProblem) -> np.ndarray:
    """(F,) low ends where they matter beside the number of exposures, else 0."""
    return problem.quota_low if problem.has_ranges else np.zeros_like(problem.quota)


def complementary_slackness(
    problem: AllocationProblem, funds: Any, price: Any, tolerance: float | None = None
) -> list[str]:
    """Check a plan against prices, condition by condition, without the residual graph.

    Plan and prices are both optimal when (1) no customer has a fund while a better one, at these prices, is to be had;
    (2) where slots stay empty, no customer with an empty slot passes by a fund worth more than its price, and none has
    a fund worth less; (3) a fund with open quota costs no more than any fund that could give up an exposure (with
    ranges: one above its low end); (4) as many exposures are delivered as quotas and slots allow, and all that low ends
    ask for.

    Parameters
    ----------
    problem : AllocationProblem
    funds : array (U, K) of int
    price : array (F,)
        Currency per exposure.
    tolerance : float, optional
        Currency by which a condition may be missed; by default 1e-9 x the largest |E| or |price|.

    Returns
    -------
    list of str
        One sentence for each condition that fails, with counts and the first offender; empty when all hold.
    """
    plan = _plan_array(problem, funds)
    prices = check_prices(problem, price, "price")
    problem = _core(problem, plan).problem
    scale = max(problem.max_revenue, float(np.abs(prices).max()))
    tol = 1e-9 * scale if tolerance is None else float(tolerance)
    names = problem.names
    exposures = np.bincount(plan[plan >= 0], minlength=problem.n_funds)
    filled = int(exposures.sum())
    empty_allowed = filled < problem.slots
    found: dict[str, tuple[int, str]] = {}
    for lo, hi, revenue in problem.host_blocks():
        worst, best, spare, held, free = _residual.slackness(
            revenue, problem.eligible_rows(lo, hi), plan[lo:hi], prices
        )
        checks = [("swap", best - worst, worst, best, held, free)]
        if empty_allowed:
            zero = np.zeros(hi - lo)
            checks.append(("take", np.where(spare, best, -np.inf), zero, best, held, free))
            checks.append(("drop", -worst, worst, zero, held, free))
        for kind, excess, less, more, has, other in checks:
            bad = np.flatnonzero(excess > tol)
            if bad.size:
                i = int(bad[0])
                before, first = found.get(kind, (0, ""))
                first = first or _offender(kind, lo + i, names, int(has[i]), int(other[i]), less[i], more[i])
                found[kind] = (before + int(bad.size), first)
    out = [f"{count:,} customers {_CONDITION[kind]}; the first is {first}" for kind, (count, first) in found.items()]
    low = _low_ends(problem)
    above, below = exposures > low, exposures < low
    for takes, gives in ((~below & (exposures < problem.quota), above), (below, ~above & (exposures > 0))):
        lowest = float(prices[gives].min(initial=np.inf))
        dear = takes & (prices > lowest + tol)
        for f in np.flatnonzero(dear)[:1]:
            out.append(
                f"{int(dear.sum()):,} funds have open quota and a price above that of a fund which could give up an "
                f"exposure; the first is {names[f]!r}: {int(exposures[f]):,} of {int(problem.quota[f]):,} exposures, "
                f"price {prices[f]:.6g} against {lowest:.6g}"
            )
    whole = min(int(problem.quota.sum()), problem.slots)
    if filled < whole:
        out.append(f"{filled:,} of {whole:,} exposures are delivered")
    missing = int(np.maximum(low - exposures, 0).sum())
    if missing:
        out.append(f"{missing:,} of the {int(low.sum()):,} exposures that low ends ask for are not delivered")
    return out


_CONDITION = {
    "swap": "have a fund while a better one, at these prices, is to be had",
    "take": "have an empty slot although a fund is worth more than its price",
    "drop": "have a fund worth less than its price while slots may stay empty",
}


def _offender(kind: str, u: int, names: list[str], has: int, other: int, less: float, more: float) -> str:
    if kind == "take":
        return f"customer {u}: {names[other]!r} is worth {more:.6g} above its price"
    if kind == "drop":
        return f"customer {u}: {names[has]!r} is worth {-less:.6g} below its price"
    return f"customer {u}: has {names[has]!r} at {less:.6g}, could have {names[other]!r} at {more:.6g}"


def _plan_array(problem: AllocationProblem, funds: Any) -> np.ndarray:
    plan = np.ascontiguousarray(to_device(funds, "cpu"))
    if plan.shape != (problem.n_customers, problem.k):
        raise InputError(
            f"the plan has shape {plan.shape}; {problem.n_customers} customers with {problem.k} slots need "
            f"({problem.n_customers}, {problem.k})."
        )
    if plan.dtype.kind not in "iu":
        raise InputError(f"the plan holds {plan.dtype}, not fund indices.")
    if plan.size and (int(plan.min()) < -1 or int(plan.max()) >= problem.n_funds):
        raise InputError(f"the plan names funds outside 0..{problem.n_funds - 1} (-1 is an empty slot).")
    plan = plan.astype(np.int32, copy=False)
    return plan if problem.slots_of is None else _close_slots(plan, problem.slots_of)


def _close_slots(plan: np.ndarray, slots_of: np.ndarray) -> np.ndarray:
    """The plan with CLOSED in as many of each row's last empty places as the customer lacks slots."""
    empty = plan < 0
    lacking = plan.shape[1] - slots_of.astype(np.int64)
    short = np.flatnonzero(empty.sum(1) < lacking)
    if short.size:
        u = int(short[0])
        raise InputError(
            f"the plan gives customer row {u} {int((~empty[u]).sum())} funds; they have {slots_of[u]} "
            f"slot{'' if slots_of[u] == 1 else 's'}."
        )
    from_the_end = np.cumsum(empty[:, ::-1], axis=1)[:, ::-1]
    return np.where(empty, np.where(from_the_end <= lacking[:, None], np.int32(CLOSED), np.int32(EMPTY)), plan)
