"""Simulated A/B tests with randomisation by customer: CPME, RPME, lifts, intervals, and what could have been seen.

In a synthetic world the truth is known, so a campaign can be run: every customer is given to one arm by lot, each arm
plans its own customers with its share of the quotas, and what they do is drawn from the true conversion probabilities
and log-normal amounts. The paper's Table 2 compares arms by

* ``cpme``  conversions per 1,000 exposures
* ``rpme``  revenue per 1,000 exposures, in currency
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptofa_gpu._arguments import MOST_DRAWS, instance, mapping, one_of, seed_of, share, text_of, whole
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import allocation_problem, known_truth
from ptofa_gpu.evaluation._share import subproblem
from ptofa_gpu.evaluation._table import html_table, percent, unbroken
from ptofa_gpu.evaluation.bootstrap import percentile_interval

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.datasets.truth import Truth

METRICS = ("cpme", "rpme")


@dataclass(frozen=True)
class Arm:
    """One way of working: predictions, and the allocator that uses them."""

    #: (U, F) expected revenue
    revenue: Any
    method: str = "heuristic"
    options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        from ptofa_gpu.allocation.api import METHODS

        one_of("method", self.method, METHODS)
        mapping("options", self.options)


@dataclass(frozen=True)
class ArmResult:
    """What happened in one arm."""

    name: str
    customers: int
    exposures: int
    conversions: int
    #: currency
    revenue: float
    cpme: float
    cpme_low: float
    cpme_high: float
    rpme: float
    rpme_low: float
    rpme_high: float
    #: what the arm's plan earns on average over all that could have happened; a real test never shows it
    true_cpme: float
    true_rpme: float


@dataclass(frozen=True)
class Lift:
    """One metric of one arm against the baseline; lifts are relative, 0.1 for 10 % more."""

    arm: str
    metric: str
    lift: float
    low: float
    high: float
    #: the relative lift that a test of this size finds in four of five cases (power 80 %, two-sided level 5 %)
    detectable: float
    #: the lift of the plans' means, which the test estimates
    true: float

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``open``: the interval decides."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "open"

    @property
    def times_larger(self) -> float:
        """How many times larger the test would have to be to find the true lift in four of five cases; 1 if it does."""
        return max(1.0, (self.detectable / abs(self.true)) ** 2) if self.true else math.inf

    @property
    def power_words(self) -> str:
        """What this test could have shown, beside what it showed, in a sentence.

        The truth is known here, so what chance did can be told from what the test was too small for.
        """
        found = f"This test finds a lift of {percent(self.detectable, 1)} in four of five cases; the true one"
        found += f" is {percent(self.true, 1, sign=True)}" if abs(self.true) >= _NONE else " is as good as none"
        if self.verdict != "open":
            wrong = self.true <= 0 if self.verdict == "better" else self.true >= 0
            return found + (", so chance made this one." if wrong else ".")
        if abs(self.true) < _NONE:
            return f"{found}, so there is next to nothing to find."
        if abs(self.true) >= self.detectable:
            return f"{found}, which it finds more often than that: here chance hid it."
        return f"{found}, and finding that in four of five cases takes {_times(self.times_larger)} as many customers."


#: a lift smaller than this would be written as 0.0 %
_NONE = 0.0005


def _times(factor: float) -> str:
    """Rounded up: with this many, it is found."""
    return f"{math.ceil(factor):,} times" if factor > 9.9 else f"{math.ceil(factor * 10) / 10:.1f} times"


@dataclass(frozen=True)
class ABTest:
    """A finished campaign."""

    name: str
    arms: tuple[ArmResult, ...]
    baseline: str
    lifts: tuple[Lift, ...]
    level: float
    plans: Mapping[str, AllocationPlan]

    def __getitem__(self, arm: str) -> ArmResult:
        arms = {a.name: a for a in self.arms}
        return arms[one_of("arm", arm, tuple(arms))]

    def lift(self, arm: str, metric: str) -> Lift:
        """The lift of `arm` over the baseline in ``cpme`` or ``rpme``."""
        lifts = {(found.arm, found.metric): found for found in self.lifts}
        one_of("arm", arm, tuple(name for name, _ in lifts))
        return lifts[arm, one_of("metric", metric, METRICS)]

    def to_frame(self) -> Any:
        """Return one row an arm, its lifts beside it, as a pandas data frame."""
        import pandas as pd

        rows = []
        for a in self.arms:
            facts = vars(a)
            row: dict[str, Any] = {"campaign": self.name, "arm": a.name, **{k: facts[k] for k in facts if k != "name"}}
            for found in (x for x in self.lifts if x.arm == a.name):
                row |= {f"{found.metric}_lift{s}": getattr(found, k) for s, k in _COLUMNS.items()}
            rows.append(row)
        return pd.DataFrame(rows)

    def words(self) -> list[str]:
        """Say for every lift what the test shows, and what it could have shown."""
        out = []
        for x in self.lifts:
            what = f"{self.name}, {x.metric.upper()}: {x.arm}"
            if math.isnan(x.lift):
                out.append(f"{what} has no lift: nobody converted in {self.baseline}, or nobody could have.")
                continue
            interval = f"{percent(x.low, 1, sign=True)} to {percent(x.high, 1, sign=True)}"
            what += (
                f" {percent(x.lift, 1, sign=True)} against {self.baseline} ({percent(self.level)} interval {interval})"
            )
            what += f": {'cannot be told from 0' if x.verdict == 'open' else x.verdict}. {x.power_words}"
            out.append(what)
        return out

    def _repr_html_(self) -> str:
        a = self.arms

        def lifts(metric: str) -> list[str]:
            cells = []
            for arm in a:
                if arm.name == self.baseline:
                    cells.append("baseline")
                    continue
                x = self.lift(arm.name, metric)
                interval = f"{percent(x.low, 1, sign=True)} to {percent(x.high, 1, sign=True)}"
                cells.append(f"{unbroken(percent(x.lift, 1, sign=True))} ({unbroken(interval)})")
            return cells

        return html_table(
            {
                "arm": [x.name for x in a],
                "customers": [f"{x.customers:,}" for x in a],
                "exposures": [f"{x.exposures:,}" for x in a],
                "conversions": [f"{x.conversions:,}" for x in a],
                "CPME": [f"{x.cpme:.2f}" for x in a],
                "CPME lift": lifts("cpme"),
                "RPME": [f"{x.rpme:,.0f}" for x in a],
                "RPME lift": lifts("rpme"),
            },
            caption=f"{self.name}: conversions and revenue per 1,000 exposures, {percent(self.level)} intervals.",
            text=("arm",),
        )


_COLUMNS = {"": "lift", "_low": "low", "_high": "high", "_detectable": "detectable", "_true": "true"}


def ab_test(
    problem: AllocationProblem,
    truth: Truth,
    arms: Mapping[str, Arm],
    *,
    name: str = "campaign",
    baseline: str | None = None,
    draws: int = 1000,
    level: float = 0.95,
    device: str = "auto",
    seed: int = 0,
) -> ABTest:
    """Run one simulated campaign.

    Parameters
    ----------
    problem : AllocationProblem
        All customers and quotas; an arm has its customers' share of every quota.
    truth : Truth
        What customers really do, of the same customers and funds.
    arms : mapping of str to Arm
        At least two.
    name : str
        What the campaign is called.
    baseline : str, optional
        The arm that lifts are measured against; the first by default.
    draws, level
        Of the bootstrap by customer, and of its intervals.
    seed : int
        Of the lot, of what customers do, and of the bootstrap.

    Raises
    ------
    InputError
        Fewer than two arms, fewer customers than arms, an unknown baseline, a truth of another shape.
    """
    from ptofa_gpu.allocation.api import allocate

    allocation_problem(problem), known_truth(truth)
    arms = {label: instance(f"arms[{label!r}]", arm, Arm) for label, arm in mapping("arms", arms).items()}
    name, level, seed = text_of("name", name), share("level", level), seed_of(seed)
    draws = whole("draws", draws, 1, MOST_DRAWS)
    if len(arms) < 2 or problem.n_customers < len(arms):
        raise InputError(f"a test needs at least two arms and a customer each, got {len(arms)} arms")
    base = next(iter(arms)) if baseline is None else one_of("baseline", baseline, tuple(arms))
    if (truth.n_customers, truth.n_funds) != (problem.n_customers, problem.n_funds):
        raise InputError(
            f"the truth is of {truth.n_customers:,} x {truth.n_funds} pairs, the problem of {problem.n_customers:,} x "
            f"{problem.n_funds}"
        )
    rng = np.random.default_rng([seed, 0xAB])
    lot = np.array_split(rng.permutation(problem.n_customers), len(arms))
    conversion, mu, sigma, worth = truth.conversion, truth.mu, truth.sigma, truth.revenue
    results: list[ArmResult] = []
    plans, samples = {}, {}
    for (arm, how), drawn in zip(arms.items(), lot):
        rows = np.sort(drawn)
        part = subproblem(problem, rows, how.revenue)
        more = {"on_infeasible": "relax"} if how.method in ("optimal", "heuristic", "reference") else {}
        plan = allocate(part, method=how.method, device=device, **{**more, **(how.options or {})})
        plans[arm] = plan
        funds = np.asarray(plan.host_funds(), dtype=np.int64)
        slot_row, slot = np.nonzero(funds >= 0)
        customer, fund = rows[slot_row], funds[slot_row, slot]
        bought = rng.random(customer.size) < conversion[customer, fund]
        amount = np.exp(mu[customer, fund] + sigma[customer, fund] * rng.standard_normal(customer.size))
        earned = np.where(bought, amount, 0.0)
        per = np.column_stack(
            [
                np.bincount(slot_row, weights=w, minlength=rows.size)
                for w in (bought.astype(np.float64), earned, np.ones(customer.size))
            ]
        ).astype(np.float64)
        sums = _resampled(per, draws, np.random.default_rng([seed, len(results)]))
        if per[:, 2].sum() == 0:
            raise InputError(f"{name}: the plan of {arm!r} shows nobody anything")
        cpme, rpme = (1000.0 * per[:, i].sum() / per[:, 2].sum() for i in (0, 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            samples[arm] = {m: 1000.0 * sums[:, i] / sums[:, 2] for i, m in enumerate(METRICS)}
        shown = customer.size
        results.append(
            ArmResult(
                arm,
                rows.size,
                shown,
                int(per[:, 0].sum()),
                float(per[:, 1].sum()),
                cpme,
                *percentile_interval(samples[arm]["cpme"], level),
                rpme,
                *percentile_interval(samples[arm]["rpme"], level),
                1000.0 * float(conversion[customer, fund].sum(dtype=np.float64)) / shown,
                1000.0 * float(worth[customer, fund].sum(dtype=np.float64)) / shown,
            )
        )
    first = next(r for r in results if r.name == base)
    lifts = [
        _lift(r, first, metric, samples[r.name][metric], samples[base][metric], level)
        for r in results
        if r.name != base
        for metric in METRICS
    ]
    return ABTest(name, tuple(results), base, tuple(lifts), level, plans)


def _lift(
    arm: ArmResult, base: ArmResult, metric: str, mine: NDArray[np.float64], theirs: NDArray[np.float64], level: float
) -> Lift:
    from scipy.stats import norm

    a, b = getattr(arm, metric), getattr(base, metric)
    truth = getattr(base, f"true_{metric}")
    true = getattr(arm, f"true_{metric}") / truth - 1.0 if truth > 0 else math.nan
    if b <= 0 or truth <= 0:
        return Lift(arm.name, metric, math.nan, math.nan, math.nan, math.nan, true)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = mine / theirs - 1.0
    # both-sided level 5 %, power 80 %: the true lift whose test statistic passes 1.96 in four of five tests
    error = math.sqrt(float(np.var(mine)) + float(np.var(theirs))) / b
    detectable = float(norm.ppf(0.975) + norm.ppf(0.8)) * error
    return Lift(arm.name, metric, a / b - 1.0, *percentile_interval(ratio, level), detectable, true)


def _resampled(per: NDArray[np.float64], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sums of conversions, revenue and exposures over customers drawn again, each Poisson(1) times.

    Customers without a conversion differ in their exposures only, so all with one number of them are drawn at once: the
    sum of m such counts is Poisson(m).
    """
    active = np.flatnonzero(per[:, 0] > 0)
    sums = rng.poisson(1.0, (draws, active.size)).astype(np.float64) @ per[active]
    quiet = per[per[:, 0] == 0, 2].astype(np.int64)
    for exposures, customers in zip(*np.unique(quiet, return_counts=True)):
        sums[:, 2] += rng.poisson(float(customers), draws) * float(exposures)
    return sums
