"""A plan for a randomised campaign, valued on customers that the model has not seen: the stand-in for an A/B test."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ptofa_gpu._arguments import one_of, real_array, seed_of
from ptofa_gpu.errors import DataNotFoundError, InputError
from ptofa_gpu.evaluation._kinds import exposure_data
from ptofa_gpu.evaluation.offpolicy import ESTIMATORS, Estimator, PolicyTable, value_policies

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.datasets.base import ExposureData

#: split number of the rows that were kept from training
_TEST = 2


def find_hillstrom(mode: Literal["auto", "yes", "no"] = "auto", *, seed: int = 0) -> ExposureData | None:
    """Return the Hillstrom campaign if `mode` and the machine allow.

    Parameters
    ----------
    mode : {"auto", "yes", "no"}
        ``auto`` takes it where a copy lies on this machine and never downloads; ``yes`` downloads if need be and
        raises if that fails; ``no`` leaves it out.
    seed : int
        Of the split by customer.

    Raises
    ------
    DataNotFoundError
        ``mode="yes"`` and the data are neither here nor reachable.
    InputError
        An unknown mode, or a damaged copy.
    """
    seed = seed_of(seed)
    if one_of("hillstrom", mode, ("auto", "yes", "no")) == "no":
        return None
    from ptofa_gpu.datasets import hillstrom
    from ptofa_gpu.datasets._fetch import OFFLINE_VARIABLE

    if mode == "yes":
        return hillstrom(seed=seed)
    before = os.environ.get(OFFLINE_VARIABLE)
    os.environ[OFFLINE_VARIABLE] = "1"
    try:
        return hillstrom(seed=seed)
    except DataNotFoundError:
        return None
    finally:
        if before is None:
            del os.environ[OFFLINE_VARIABLE]
        else:
            os.environ[OFFLINE_VARIABLE] = before


@dataclass(frozen=True)
class CampaignValue:
    """Policies for a randomised campaign, valued on its test customers."""

    table: PolicyTable
    plan: AllocationPlan
    #: names of the plan, of the same model without quotas, of the best single arm, of the random arms
    planned: str
    free: str
    best_arm: str
    random: str
    conversions: int


def value_campaign(
    data: ExposureData,
    revenue: Any,
    *,
    method: str = "heuristic",
    estimator: Estimator = "snips",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> CampaignValue:
    """Plan the test customers of a randomised campaign and value the plan off-policy.

    Four policies are compared on the same resamples: the plan, in which every arm has an equal share of the customers
    as its quota; each customer's best arm without quotas; everybody in the arm that earned most a head in the training
    rows (the baseline); and arms at random.

    Parameters
    ----------
    data : ExposureData
        With one row a customer and known propensities.
    revenue : (U, F) float
        Expected revenue of all customers and arms, from a model fitted on the training rows.
    method : str
        The allocator of the plan.
    estimator : {"snips", "ips", "dr"}
        See `ptofa_gpu.evaluation.offpolicy`; "dr" takes `revenue` as its model of the outcome.
    draws, level, seed
        Of the bootstrap intervals.

    Raises
    ------
    InputError
        The data have no propensities, or no test rows.
    """
    import ptofa_gpu as ptofa

    a = exposure_data(data).arrays
    one_of("estimator", estimator, ESTIMATORS)
    if a.propensity is None:
        raise InputError(f"{data.name or 'these data'} have no propensities: how likely was each arm to be shown?")
    test = np.flatnonzero(a.split == _TEST)
    train = np.flatnonzero(a.split == 0)
    if test.size == 0 or train.size == 0:
        raise InputError(
            f"{data.name or 'these data'} need both training and test rows, got {train.size} and {test.size}"
        )
    host = real_array("revenue", revenue, (data.n_customers, data.n_funds))
    mine = np.ascontiguousarray(host[a.customer[test]])
    arms = mine.shape[1]
    names = [str(row["name"]) for row in data.fund_table()]
    share = [test.size // arms + (i < test.size % arms) for i in range(arms)]
    problem = ptofa.AllocationProblem(mine, quota=share, names=names)
    plan = ptofa.allocate(problem, method=method, device="cpu").verify()

    best = int(np.argmax(_mean_reward(a.fund[train], a.amount[train], a.propensity[train], arms)))
    policies = {
        "plan, equal quotas": np.asarray(plan.host_funds()[:, 0], dtype=np.int64),
        "best arm each, no quotas": np.argmax(mine, axis=1),
        f"everyone {names[best]}": np.full(test.size, best),
        "random arms": np.full((test.size, arms), 1.0 / arms),
    }
    planned, free, best_arm, random = policies
    table = value_policies(
        policies,
        a.fund[test],
        a.propensity[test],
        a.amount[test],
        estimator=estimator,
        predicted=mine if estimator == "dr" else None,
        baseline=best_arm,
        draws=draws,
        level=level,
        seed=seed,
    )
    return CampaignValue(table, plan, planned, free, best_arm, random, int(a.converted[test].sum()))


def _mean_reward(arm: NDArray[Any], amount: NDArray[Any], propensity: NDArray[Any], arms: int) -> NDArray[np.float64]:
    w = 1.0 / propensity.astype(np.float64)
    total = np.bincount(arm, weights=w * amount, minlength=arms)
    return total / np.maximum(np.bincount(arm, weights=w, minlength=arms), 1e-300)
