"""What a synthetic world knows and a real one does not: the conversion and amount of every pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ptofa_gpu._arguments import whole
from ptofa_gpu.errors import InputError


@dataclass(frozen=True)
class TruthRows:
    """The truth for a range of customers; every array is (rows, F) float32.

    Attributes
    ----------
    conversion : P(convert | shown)
    mu, sigma : parameters of log amount given conversion, log currency
    exposure : probability that the platform showed the fund, given that it showed one
    """

    conversion: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    exposure: np.ndarray

    @property
    def revenue(self) -> np.ndarray:
        """E = P exp(mu + sigma^2 / 2), currency per exposure (the mean of the log-normal)."""
        return self.conversion * np.exp(self.mu + 0.5 * self.sigma**2)

    def cut(self, lo: int, hi: int) -> TruthRows:
        """Rows lo..hi-1 of these."""
        return TruthRows(self.conversion[lo:hi], self.mu[lo:hi], self.sigma[lo:hi], self.exposure[lo:hi])

    @classmethod
    def join(cls, parts: Sequence[TruthRows]) -> TruthRows:
        """Several ranges as one, in the order given."""
        names = ("conversion", "mu", "sigma", "exposure")
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


class Truth:
    """The true P, mu, sigma and E of all (customer, fund) pairs, computed in blocks when asked for.

    Parameters
    ----------
    n_customers, n_funds : int
    compute : callable (lo, hi) -> TruthRows
        The truth for customers lo..hi-1; the same values however the range is cut.
    """

    def __init__(self, n_customers: int, n_funds: int, compute: Callable[[int, int], TruthRows]):
        self.n_customers, self.n_funds = n_customers, n_funds
        self._compute = compute

    def rows(self, lo: int, hi: int) -> TruthRows:
        """The truth for customers lo..hi-1, without making the rest.

        Raises
        ------
        InputError
            When the range reaches beyond the customers.
        """
        lo, hi = whole("lo", lo, 0), whole("hi", hi, 0)
        if not lo <= hi <= self.n_customers:
            raise InputError(f"rows {lo}..{hi} are not within the {self.n_customers:,} customers.")
        return self._compute(lo, hi)

    @cached_property
    def _all(self) -> TruthRows:
        return self._compute(0, self.n_customers)

    @property
    def conversion(self) -> np.ndarray:
        """(U, F) float32: P(convert | shown)."""
        return self._all.conversion

    @property
    def mu(self) -> np.ndarray:
        """(U, F) float32: mean of log amount given conversion."""
        return self._all.mu

    @property
    def sigma(self) -> np.ndarray:
        """(U, F) float32: standard deviation of log amount given conversion."""
        return self._all.sigma

    @property
    def exposure(self) -> np.ndarray:
        """(U, F) float32: probability with which the platform showed each fund."""
        return self._all.exposure

    @cached_property
    def revenue(self) -> np.ndarray:
        """(U, F) float32: true expected revenue E* of showing the fund, currency per exposure."""
        return self._all.revenue

    def __repr__(self) -> str:
        return f"Truth({self.n_customers:,} customers x {self.n_funds} funds)"
