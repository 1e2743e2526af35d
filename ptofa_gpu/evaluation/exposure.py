"""How unequal exposure is, and what single customers invest: the facts behind the paper's Fig. 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptofa_gpu._arguments import real_array, whole
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import exposure_data

if TYPE_CHECKING:
    from ptofa_gpu.datasets.base import ExposureData


@dataclass(frozen=True)
class Lorenz:
    """Shares held by the smallest: ``held[i]`` of the total belongs to the smallest ``share[i]`` of the funds."""

    share: NDArray[np.float64]
    held: NDArray[np.float64]
    #: 0: all alike; 1 - 1/n: one holds everything
    gini: float


def lorenz(values: ArrayLike) -> Lorenz:
    """Return the Lorenz curve of non-negative values and its Gini coefficient.

    Parameters
    ----------
    values : (n,) float
        One amount a fund (exposures, conversions, revenue).

    Raises
    ------
    InputError
        No value, negative values, or nothing to share.
    """
    v = np.sort(real_array("values", values).astype(np.float64).ravel())
    if v.size == 0 or v[0] < 0 or not v.sum() > 0 or not np.isfinite(v).all():
        raise InputError("a Lorenz curve needs finite values that are not negative and not all 0")
    held = np.concatenate([[0.0], np.cumsum(v) / v.sum()])
    share = np.linspace(0.0, 1.0, v.size + 1)
    area = float(np.sum((held[1:] + held[:-1]) / 2) / v.size)
    return Lorenz(share, held, 1.0 - 2.0 * area)


@dataclass(frozen=True)
class CustomerAmounts:
    """The amounts of one customer, in currency, and the log-normal fitted to them."""

    customer: str
    amount: NDArray[np.float64]

    @property
    def mu(self) -> float:
        """Mean of log amount."""
        return float(np.log(self.amount).mean())

    @property
    def sigma(self) -> float:
        """Standard deviation of log amount (with n - 1: single customers have few conversions)."""
        return float(np.log(self.amount).std(ddof=1)) if self.amount.size > 1 else float("nan")

    @property
    def departure(self) -> float:
        """Largest distance between the observed and fitted distribution functions, in [0, 1] (Kolmogorov-Smirnov)."""
        from scipy.special import ndtr

        z = np.sort((np.log(self.amount) - self.mu) / max(self.sigma, 1e-12))
        n, fitted = z.size, ndtr(z)
        return float(max((np.arange(1, n + 1) / n - fitted).max(), (fitted - np.arange(n) / n).max()))


def amounts_frame(customers: Sequence[CustomerAmounts]) -> Any:
    """Return one row a customer: conversions, the fitted mu and sigma, and ``ks``, how far the fit is off (0: not)."""
    import pandas as pd

    return pd.DataFrame(
        {
            "customer": [c.customer for c in customers],
            "conversions": [c.amount.size for c in customers],
            "mu": [c.mu for c in customers],
            "sigma": [c.sigma for c in customers],
            "ks": [c.departure for c in customers],
        }
    )


def customer_amounts(data: ExposureData, most: int = 6) -> list[CustomerAmounts]:
    """Return the amounts of the `most` customers with the most conversions, most first; ties by order.

    Raises
    ------
    InputError
        Nobody converted twice: a distribution of one amount is none.
    """
    a, most = exposure_data(data).arrays, whole("most", most, 1)
    rows = np.flatnonzero(a.amount > 0)
    count = np.bincount(a.customer[rows], minlength=data.n_customers)
    order = np.argsort(-count, kind="stable")[:most]
    order = order[count[order] >= 2]
    if order.size == 0:
        raise InputError("nobody converted twice, so there is no distribution of a single customer's amounts")
    import narwhals as nw

    ids = nw.from_native(data.customers)["customer"].to_list()
    return [CustomerAmounts(str(ids[int(c)]), a.amount[rows[a.customer[rows] == c]].astype(np.float64)) for c in order]
