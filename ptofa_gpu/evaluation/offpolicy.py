"""What a plan would have earned, from data in which actions were drawn at random: IPS, self-normalised, doubly robust.

A logged row has the action shown, the probability with which it was shown (the propensity) and the reward. A
policy is valued by the rows on which it agrees with the log, weighted by 1/propensity:

* ``ips``    (1/n) sum w r                      unbiased (Horvitz and Thompson, 1952)
* ``snips``  sum w r / sum w                    self-normalised, far less noisy (Swaminathan and Joachims, 2015)
* ``dr``     (1/n) sum [q(x, pi) + w (r - q)]   doubly robust (Dudik, Langford and Li, 2011)

with w = pi(a|x)/p. Intervals are percentile bootstrap intervals; all policies of one call share their resamples, so
the interval of a difference is a paired one and much narrower than the two intervals suggest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptofa_gpu._arguments import MOST_DRAWS, mapping, one_of, real_array, seed_of, share, whole
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._table import html_table, percent, unbroken
from ptofa_gpu.evaluation.bootstrap import bootstrap_sums, percentile_interval

Estimator = Literal["ips", "snips", "dr"]
ESTIMATORS = ("ips", "snips", "dr")


@dataclass(frozen=True)
class PolicyValue:
    """The estimated value of one policy, in reward per row, with its interval."""

    name: str
    value: float
    low: float
    high: float
    level: float
    estimator: str
    rows: int
    #: rows on which the policy gives the logged action a positive probability
    matched: int
    #: (sum w)^2 / sum w^2: how many equally weighted rows the estimate is worth
    effective: float
    #: value minus the baseline's, with its paired interval; 0 for the baseline itself, NaN without one
    lift: float = float("nan")
    lift_low: float = float("nan")
    lift_high: float = float("nan")

    @property
    def beats_baseline(self) -> bool:
        """True when the whole paired interval of the lift lies above zero."""
        return self.lift_low > 0.0


@dataclass(frozen=True)
class PolicyTable:
    """Several policies valued on the same log with shared resamples."""

    policies: tuple[PolicyValue, ...]
    baseline: str | None

    def __getitem__(self, name: str) -> PolicyValue:
        found = {p.name: p for p in self.policies}
        return found[one_of("policy", name, tuple(found))]

    def to_frame(self) -> Any:
        """Return one row a policy, as a pandas data frame."""
        import pandas as pd

        return pd.DataFrame([vars(p) for p in self.policies])

    def verdict(self, name: str) -> str:
        """Say in words whether the policy `name` differs from the baseline, and never more than the interval allows."""
        p, level = self[name], self.policies[0].level
        if self.baseline is None or name == self.baseline:
            return f"“{name}” earns {p.value:.3g} a head ({percent(level)} interval {p.low:.3g} to {p.high:.3g})."
        base = self[self.baseline]
        if p.lift == p.lift_low == p.lift_high == 0 and p.value == base.value:
            return f"“{name}” earns exactly what “{self.baseline}” earns on these data."
        interval = f"{percent(level)} interval {p.lift_low:+.3g} to {p.lift_high:+.3g}"
        text = f"{p.lift:+.3g} a head against “{self.baseline}” ({interval})"
        if p.lift_low > 0:
            return f"“{name}” is better: {text}."
        if p.lift_high < 0:
            return f"“{name}” is worse: {text}."
        return f"“{name}” cannot be told from “{self.baseline}”: {p.lift:+.3g} a head ({interval}, which holds zero)."

    def _repr_html_(self) -> str:
        columns = {
            "policy": [p.name for p in self.policies],
            "value a head": [f"{p.value:.4g}" for p in self.policies],
            f"{percent(self.policies[0].level)} interval": [
                unbroken(f"{p.low:.4g} to {p.high:.4g}") for p in self.policies
            ],
        }
        if self.baseline is not None:
            columns[f"against {self.baseline}"] = [
                "—" if p.name == self.baseline else f"{p.lift:+.3g} ({p.lift_low:+.3g} to {p.lift_high:+.3g})"
                for p in self.policies
            ]
        columns["matched rows"] = [f"{p.matched:,}" for p in self.policies]
        columns["effective rows"] = [f"{p.effective:,.0f}" for p in self.policies]
        return html_table(columns, text=("policy",))


def _agreement(policy: ArrayLike, action: NDArray[np.int64], name: str) -> NDArray[np.float64]:
    """Return pi(logged action | x) for each row."""
    given = real_array(f"policy {name!r}", policy)
    if given.ndim == 1 and given.shape == action.shape:
        if not np.issubdtype(given.dtype, np.integer):
            raise InputError(
                f"policy {name!r}: a policy with one entry a row must hold whole action numbers, not {given.dtype}"
            )
        return (given == action).astype(np.float64)
    if given.ndim == 2 and given.shape[0] == action.shape[0]:
        chance = given.astype(np.float64)
        if action.max() >= chance.shape[1]:
            raise InputError(f"policy {name!r} has {chance.shape[1]} actions, the log uses action {action.max()}")
        if not (np.all(chance >= 0) and np.all(chance.sum(axis=1) <= 1 + 1e-6)):
            raise InputError(f"policy {name!r}: the probabilities of a row must be >= 0 and sum to at most 1")
        return chance[np.arange(action.shape[0]), action]
    raise InputError(
        f"policy {name!r} has shape {given.shape}; give ({action.size},) actions or ({action.size}, A) probabilities"
    )


def _logged(
    action: ArrayLike, propensity: ArrayLike, reward: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    a = real_array("action", action)
    if a.ndim != 1 or a.size == 0 or not np.issubdtype(a.dtype, np.integer):
        raise InputError(f"action must be a filled (n,) integer array, got shape {a.shape} of {a.dtype}")
    p, r = (real_array(n, v).astype(np.float64) for n, v in (("propensity", propensity), ("reward", reward)))
    for name, given in (("propensity", p), ("reward", r)):
        if given.shape != a.shape and (name == "reward" or given.ndim):
            raise InputError(f"{name} has shape {given.shape}, action {a.shape}; they must agree")
    p = np.broadcast_to(p, a.shape)
    if a.min() < 0:
        raise InputError("action holds negative numbers; number the logged actions from 0")
    wrong = int(np.count_nonzero(~((p > 0) & (p <= 1))))
    if wrong:
        raise InputError(f"propensity must lie in (0, 1]; {wrong} of {a.size} rows do not")
    wrong = int(np.count_nonzero(~np.isfinite(r)))
    if wrong:
        raise InputError(f"reward must be finite; {wrong} of {a.size} rows are not")
    return a.astype(np.int64), p, r


def _direct(
    policy: ArrayLike, predicted: NDArray[np.float64], action: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return q(x, pi) and q(x, logged action) for each row."""
    rows = np.arange(action.shape[0])
    given = real_array("policy", policy)
    if given.ndim == 2 and given.shape[1] != predicted.shape[1]:
        raise InputError(f"a policy has {given.shape[1]} actions, predicted has {predicted.shape[1]}")
    if given.ndim == 2:
        under_policy = np.einsum("na,na->n", given.astype(np.float64), predicted)
    else:
        if given.max() >= predicted.shape[1]:
            raise InputError(f"a policy takes action {given.max()}, predicted has {predicted.shape[1]} actions")
        under_policy = np.where(given >= 0, predicted[rows, np.maximum(given, 0)], 0.0)
    return under_policy, predicted[rows, action]


def value_policies(
    policies: Mapping[str, ArrayLike],
    action: ArrayLike,
    propensity: ArrayLike,
    reward: ArrayLike,
    *,
    estimator: Estimator = "snips",
    predicted: ArrayLike | None = None,
    baseline: str | None = None,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PolicyTable:
    """Value policies off-policy on one randomised log.

    Parameters
    ----------
    policies : mapping of str to array
        Name to (n,) chosen actions (-1: none, which agrees with no row) or (n, A) action probabilities.
    action : (n,) int
        The action that was shown.
    propensity : (n,) float or float
        The probability with which it was shown, in (0, 1].
    reward : (n,) float
        What was earned, in currency.
    estimator : {"snips", "ips", "dr"}
        See the module's docstring. "dr" needs `predicted`.
    predicted : (n, A) float, optional
        A model's expected reward of every action, fitted on other rows.
    baseline : str, optional
        The policy that the others' lift is measured against, pairwise on the same resamples.
    draws, level, seed
        Bootstrap resamples, the interval's level, the seed.

    Raises
    ------
    InputError
        Shapes that disagree, propensities outside (0, 1], a policy that agrees with no logged row, an unknown
        baseline or estimator.
    """
    one_of("estimator", estimator, ESTIMATORS)
    policies = mapping("policies", policies)
    draws, level, seed = whole("draws", draws, 1, MOST_DRAWS), share("level", level), seed_of(seed)
    if not policies:
        raise InputError("no policy to value: give at least one")
    if baseline is not None:
        one_of("baseline", baseline, tuple(policies))
    a, p, r = _logged(action, propensity, reward)
    n = a.size
    q: NDArray[np.float64] | None = None
    if estimator == "dr":
        if predicted is None:
            raise InputError("estimator 'dr' needs predicted=(n, A), a model's expected reward of every action")
        q = real_array("predicted", predicted).astype(np.float64)
        if q.ndim != 2 or q.shape[0] != n or q.shape[1] <= a.max() or not np.all(np.isfinite(q)):
            raise InputError(f"predicted must be finite and ({n}, A) with A > {a.max()}, got shape {q.shape}")

    names = list(policies)
    top = np.empty((n, len(names)))
    bottom = np.ones((n, len(names)))
    matched, effective = [], []
    for j, name in enumerate(names):
        w = _agreement(policies[name], a, name) / p
        if not w.any():
            raise InputError(f"policy {name!r} agrees with no logged row, so these data say nothing about its value")
        matched.append(int(np.count_nonzero(w)))
        effective.append(float(w.sum() ** 2 / (w * w).sum()))
        if q is not None:
            under_policy, shown = _direct(policies[name], q, a)
            top[:, j] = under_policy + w * (r - shown)
        else:
            top[:, j] = w * r
            if estimator == "snips":
                bottom[:, j] = w
    value = top.sum(axis=0) / bottom.sum(axis=0)
    sums = bootstrap_sums(np.hstack([top, bottom]), draws=draws, seed=seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = sums[:, : len(names)] / sums[:, len(names) :]

    base = names.index(baseline) if baseline is not None else None
    found = []
    for j, name in enumerate(names):
        low, high = percentile_interval(samples[:, j], level)
        lift = (float("nan"),) * 3
        if base is not None:
            lift = (float(value[j] - value[base]), *percentile_interval(samples[:, j] - samples[:, base], level))
        found.append(
            PolicyValue(name, float(value[j]), low, high, level, estimator, n, matched[j], effective[j], *lift)
        )
    return PolicyTable(tuple(found), baseline)


def value_policy(
    policy: ArrayLike, action: ArrayLike, propensity: ArrayLike, reward: ArrayLike, **options: Any
) -> PolicyValue:
    """Value one policy; the options are those of `value_policies`."""
    return value_policies({"policy": policy}, action, propensity, reward, **options).policies[0]
