"""The instances that allocators are measured on: log-normal revenue, risk limits, quotas that a plan can meet.

Drawn block by block with a seed of its own for each block, so that an instance of ten million customers needs no more
memory than one block, and is the same whatever machine draws it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem

#: How the revenue is made to tie: not at all; rounded to 1 or 2 significant digits, as bucketed models give it; 100
#: distinct rows, as segments give it; one value everywhere; zero everywhere.
TIES = ("none", "1digit", "2digit", "rows100", "constant", "zero")
_LEVELS = np.arange(1, 6)
_TOLERANCE = [0.1, 0.2, 0.35, 0.25, 0.1]
_RISK = [0.3, 0.25, 0.25, 0.1, 0.1]
_CELLS = 1 << 21  # pairs drawn at a time
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


@dataclass(frozen=True)
class Instance:
    """Which instance: everything that its numbers follow from.

    Attributes
    ----------
    customers, funds, k : int
        U, F and the slots of a customer.
    ties : str
        One of :data:`TIES`.
    seed : int
    """

    customers: int
    funds: int
    k: int = 1
    ties: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.customers, self.funds, self.k) < 1 or self.k > self.funds or self.seed < 0:
            raise InputError(
                f"an instance of {self.customers} customers x {self.funds} funds, k={self.k}, seed={self.seed}: sizes "
                "start at 1, the seed at 0, and k is at most the number of funds"
            )
        if self.ties not in TIES:
            raise InputError(f"ties={self.ties!r} is not known; choose one of {', '.join(TIES)}")

    def __str__(self) -> str:
        tied = "" if self.ties == "none" else f" {self.ties}"
        return f"{self.customers:,} x {self.funds} k={self.k}{tied}"

    @property
    def revenue_bytes(self) -> int:
        """Bytes of E as float32."""
        return 4 * self.customers * self.funds


@dataclass(frozen=True)
class Arrays:
    """An instance's numbers: `revenue` (U, F) float32, `quota` (F,), `tolerance` (U,), `risk` (F,), `k`."""

    revenue: np.ndarray
    quota: np.ndarray
    tolerance: np.ndarray
    risk: np.ndarray
    k: int

    def problem(self, revenue: Any = None) -> AllocationProblem:
        """A problem that has looked at nothing yet; `revenue` may be a copy of E on another device."""
        from ptofa_gpu.allocation.problem import AllocationProblem

        e = self.revenue if revenue is None else revenue
        return AllocationProblem(e, self.quota, self.k, self.tolerance, self.risk)


def parse_size(text: str) -> tuple[int, int]:
    """(customers, funds) from ``20000x8``, ``200kx64`` or ``10Mx8``."""
    found = re.fullmatch(r"([\d_,]*\d)([km]?)x(\d+)", text.strip().lower())
    if not found:
        raise InputError(
            f"size {text!r}: write it as customers x funds without blanks, such as 20000x8, 200kx64, 10Mx8"
        )
    customers = int(re.sub("[_,]", "", found[1])) * _UNITS[found[2]]
    if customers < 1 or int(found[3]) < 1:
        raise InputError(f"size {text!r}: one customer and one fund are the least")
    return customers, int(found[3])


@dataclass(frozen=True)
class _Market:
    """What all blocks of one instance share."""

    appeal: np.ndarray  # (F, 4)
    conversion: np.ndarray  # (F,) logit
    amount: np.ndarray  # (F,) log currency
    risk: np.ndarray  # (F,) int8
    leaning: np.ndarray  # (F,) how a careless planner favours funds: it makes the quotas uneven


def _market(instance: Instance) -> _Market:
    rng, funds = np.random.default_rng([instance.seed, instance.funds, instance.k]), instance.funds
    risk = np.sort(rng.choice(_LEVELS, funds, p=_RISK)).astype(np.int8)
    risk[: max(instance.k, 2)] = 1  # so that the most cautious customer, too, can be shown k funds
    return _Market(
        rng.normal(size=(funds, 4)), rng.normal(-4.5, 0.8, funds), rng.normal(0, 0.3, funds), risk,
        rng.normal(0, 0.7, funds).astype(np.float32),
    )  # fmt: skip


def _draw(market: _Market, rows: int, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Revenue, tolerance and the funds' counts in a random eligible plan of `rows` customers."""
    wealth, taste = rng.normal(size=(rows, 1)), rng.normal(size=(rows, 4))
    logit = market.conversion + 0.35 * taste @ market.appeal.T + 0.3 * wealth
    mu = 7 + wealth + 0.25 * taste[:, ::-1] @ market.appeal.T + market.amount
    sigma = 0.8
    revenue = (np.exp(mu + sigma**2 / 2) / (1 + np.exp(-logit))).astype(np.float32)
    tolerance = rng.choice(_LEVELS, rows, p=_TOLERANCE).astype(np.int8)
    # quotas that a plan meets: those of a plan that picks k eligible funds at random
    noise = rng.gumbel(size=revenue.shape).astype(np.float32) + market.leaning
    noise[tolerance[:, None] < market.risk] = -np.inf
    picks = np.argpartition(-noise, k - 1, axis=1)[:, :k]
    return revenue, tolerance, np.bincount(picks.ravel(), minlength=market.risk.size)


def _rounded(revenue: np.ndarray, digits: int) -> np.ndarray:
    unit = 10.0 ** (np.floor(np.log10(revenue.astype(np.float64))) - digits + 1)
    return (np.rint(revenue / unit) * unit).astype(np.float32)


def _tied(revenue: np.ndarray, ties: str, patterns: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    if ties == "rows100":
        assert patterns is not None
        return patterns[rng.integers(0, len(patterns), len(revenue))]
    if ties in ("1digit", "2digit"):
        return _rounded(revenue, int(ties[0]))
    return np.full_like(revenue, {"constant": 1.0, "zero": 0.0}[ties])


def _blocks(instance: Instance) -> Iterator[tuple[int, int, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    market = _market(instance)
    rows = max(1, _CELLS // instance.funds)
    key = [instance.seed, instance.funds, instance.k]
    patterns = None
    if instance.ties == "rows100":
        patterns = _draw(market, 100, instance.k, np.random.default_rng([*key, 0]))[0]
    for number, lo in enumerate(range(0, instance.customers, rows), start=1):
        hi = min(instance.customers, lo + rows)
        revenue, tolerance, counts = _draw(market, hi - lo, instance.k, np.random.default_rng([*key, number]))
        if instance.ties != "none":
            revenue = _tied(revenue, instance.ties, patterns, np.random.default_rng([*key, number, 1]))
        yield lo, hi, (revenue, tolerance, counts)


def _fill(instance: Instance, revenue: np.ndarray) -> Arrays:
    tolerance, quota = np.empty(instance.customers, np.int8), np.zeros(instance.funds, np.int64)
    for lo, hi, (part, tolerance[lo:hi], counts) in _blocks(instance):
        revenue[lo:hi] = part
        quota += counts
    return Arrays(revenue, quota, tolerance, _market(instance).risk, instance.k)


def generate(instance: Instance) -> Arrays:
    """The instance's numbers, in memory."""
    return _fill(instance, np.empty((instance.customers, instance.funds), np.float32))


def store(instance: Instance, folder: Path) -> None:
    """Write the instance into `folder` (``E.npy``, ``rest.npz``) without holding all of it in memory."""
    shape = (instance.customers, instance.funds)
    revenue = np.lib.format.open_memmap(folder / "E.npy", mode="w+", dtype=np.float32, shape=shape)
    made = _fill(instance, revenue)
    revenue.flush()
    np.savez(folder / "rest.npz", quota=made.quota, tolerance=made.tolerance, risk=made.risk, k=made.k)


def load(folder: Path) -> Arrays:
    """Read what :func:`store` wrote."""
    with np.load(folder / "rest.npz") as rest:
        return Arrays(np.load(folder / "E.npy"), rest["quota"], rest["tolerance"], rest["risk"], int(rest["k"]))


def small(instance: Instance, customers: int) -> Instance:
    """The same kind of instance with at most so many customers: what a method is warmed up on."""
    return replace(instance, customers=min(customers, instance.customers))
