"""The synthetic world behind `lct`: who customers are, what funds are, and how likely and how much they invest.

Random numbers are drawn per block of `BLOCK` customers from a counter-based generator whose key names the seed, the
world, the purpose and the block, and always for whole blocks: customer i is the same person however many are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ptofa_gpu.datasets.truth import TruthRows

#: Customers a block; part of what a seed means, so never change it.
BLOCK = 1 << 14
#: Standard normal quantiles that cut tolerances 1..5 into shares .10, .20, .35, .25, .10.
_TOLERANCE_CUTS = np.array([-1.2816, -0.5244, 0.3853, 1.2816])
_AGE_CUTS = np.array([-0.9, -0.1, 0.6, 1.3])
AGES = ("18-25", "26-35", "36-45", "46-55", "56+")
REGIONS = ("east", "south", "north", "centre", "south-west", "north-west", "north-east")
_REGION_SHARE = np.array([0.27, 0.22, 0.16, 0.14, 0.11, 0.05, 0.05])
_REGION_WEALTH = np.array([0.35, 0.25, 0.10, -0.10, -0.25, -0.35, -0.20])
CHANNELS = ("home page", "wealth tab", "search", "push message", "mini program")
_CHANNEL_SHARE = np.array([0.34, 0.24, 0.12, 0.18, 0.12])
# mean of log(1 + theme views), which is their standard deviation too
_VIEWS_MEAN = 0.552
_CHANNEL_EFFECT = np.array([-0.15, 0.35, 0.55, -0.45, -0.10])
HELD = ("none", "money market", "bond", "mixed", "equity")

# purposes of random streams; the numbers are part of what a seed means
_FUNDS, _CUSTOMERS, _PILOT, _QUOTA, _LATER, _SHOWN = range(6)


@dataclass(frozen=True)
class FundSpec:
    """One fund: readable name, type, risk level, yearly fee and past return in per cent, offset of mean log amount."""

    name: str
    type: str
    risk: int
    fee: float
    past_return: float
    log_amount: float


@dataclass(frozen=True)
class WorldSpec:
    """What distinguishes the worlds: funds, and how strongly taste, activity and wealth decide on a conversion."""

    number: int
    funds: tuple[FundSpec, ...]
    taste: float
    activity: float
    wealth: float
    log_amount: float


SPECS = {
    "A": WorldSpec(
        1,
        (
            FundSpec("Money Market A", "money market", 1, 0.30, 2.1, -0.30),
            FundSpec("Money Market B", "money market", 1, 0.25, 1.9, -0.45),
            FundSpec("Short Bond A", "bond", 2, 0.40, 3.0, 0.20),
            FundSpec("Bond A", "bond", 2, 0.60, 3.8, 0.35),
            FundSpec("Balanced A", "mixed", 3, 1.00, 5.5, 0.10),
            FundSpec("Index A", "equity", 4, 0.50, 7.5, -0.15),
            FundSpec("Equity A", "equity", 4, 1.50, 9.0, 0.25),
            FundSpec("Sector Equity A", "equity", 5, 1.50, 13.0, 0.55),
        ),
        taste=0.75,
        activity=0.80,
        wealth=0.30,
        log_amount=6.5,
    ),
    "B": WorldSpec(
        2,
        (
            FundSpec("Money Market", "money market", 1, 0.30, 2.0, -0.30),
            FundSpec("Bond", "bond", 2, 0.55, 3.6, 0.30),
            FundSpec("Mixed", "mixed", 3, 1.10, 5.8, 0.15),
            FundSpec("Equity", "equity", 4, 1.40, 8.8, 0.25),
        ),
        taste=1.10,
        activity=1.05,
        wealth=0.55,
        log_amount=7.5,
    ),
}
# where a fund type lies in the space of tastes: appetite for risk, need of liquidity, love of novelty
_TYPE_TASTE = {
    "money market": (-0.9, 1.0, -0.3),
    "bond": (-0.4, -0.2, -0.5),
    "mixed": (0.3, -0.4, 0.1),
    "equity": (0.9, -0.3, 0.7),
}


@dataclass(frozen=True)
class Block:
    """One block of customers: hidden traits, the signals of them that the platform sees, and the visible features."""

    wealth: np.ndarray
    activity: np.ndarray
    taste: np.ndarray  # (BLOCK, 3)
    seen: np.ndarray  # (BLOCK, 3): tastes as far as the features show them; the platform goes by these
    pull: np.ndarray  # effect of the preferred channel on the log odds
    tolerance: np.ndarray
    validation: np.ndarray  # bool: this customer's rows of the first week validate
    features: dict[str, np.ndarray]


class World:
    """One world: kind, seed and settings decide everything, the number of customers decides nothing.

    Parameters
    ----------
    kind : {"A", "B"}
    seed : int
    exposure_bias : float
        How strongly the platform shows funds to the customers it takes to be likely buyers; 0 is not at all.
    overlap : float
        Share of exposures that are given out at random, in [0, 1].
    positive_rate : float
        Share of logged exposures of the first week that convert, on average.
    drift : float
        Spread of the change in log odds and log amount of each fund from the first week to the next.
    returning : float
        Share of customers who come in the later week, in (0, 1].
    """

    def __init__(
        self,
        kind: str,
        seed: int,
        exposure_bias: float,
        overlap: float,
        positive_rate: float,
        drift: float,
        returning: float = 0.7,
    ):
        self.spec, self.seed, self.returning = SPECS[kind], seed, returning
        self.exposure_bias, self.overlap, self.positive_rate = exposure_bias, overlap, positive_rate
        spec, f = self.spec, len(self.spec.funds)
        rng = self._rng(_FUNDS, 0)
        self.risk = np.array([s.risk for s in spec.funds])
        self.fund_taste = np.array([_TYPE_TASTE[s.type] for s in spec.funds]) + rng.normal(0, 0.25, (f, 3))
        # the Matthew effect: popularity by rank, and who is popular is shown more and bought more
        rank = 1 + rng.permutation(f)
        self.popularity = -0.7 * np.log(rank)
        self.popularity -= self.popularity.mean()
        self.fund_mu = spec.log_amount + np.array([s.log_amount for s in spec.funds]) + rng.normal(0, 0.15, f)
        self.fund_sigma = rng.uniform(0.65, 0.95, f)
        self.demand = rng.normal(0, 0.6, f)
        self.logit_drift, self.mu_drift = drift * rng.normal(0, 1.0, f), 0.5 * drift * rng.normal(0, 1.0, f)

    def _rng(self, purpose: int, block: int) -> np.random.Generator:
        key = np.random.SeedSequence([self.seed, self.spec.number, purpose, block])
        return np.random.Generator(np.random.Philox(key))

    # -- customers -----------------------------------------------------------------------------------------------
    def block(self, index: int, purpose: int = _CUSTOMERS) -> Block:
        """Customers index * BLOCK .. (index + 1) * BLOCK - 1."""
        rng = self._rng(purpose, index)
        n = BLOCK
        region = _draw(rng, _REGION_SHARE, n)
        channel = _draw(rng, _CHANNEL_SHARE, n)
        wealth = 0.9 * rng.standard_normal(n) + _REGION_WEALTH[region]
        activity = rng.standard_normal(n)
        taste = rng.standard_normal((n, 3))
        signal = (taste + 0.6 * rng.standard_normal((n, 3))) / np.sqrt(1 + 0.6**2)
        age = 0.5 * wealth - 0.3 * taste[:, 2] + 0.8 * rng.standard_normal(n)
        near = signal @ np.array([_TYPE_TASTE[t] for t in HELD[1:]]).T + 0.8 * rng.gumbel(size=(n, len(HELD) - 1))
        holds = rng.random(n) < _logistic(0.6 + 0.7 * wealth + 0.4 * activity)
        risk_score = np.round(50 + 15 * signal[:, 0])
        cash_share = np.round(_logistic(signal[:, 1] - 0.3), 4)
        tolerance = 1 + np.searchsorted(_TOLERANCE_CUTS, 0.75 * signal[:, 0] + 0.66 * rng.standard_normal(n))
        validation = rng.random(n) < 0.1
        columns = {
            "age_band": np.searchsorted(_AGE_CUTS, age),
            "region": region,
            "channel": channel,
            "held_type": np.where(holds, 1 + near.argmax(1), 0),
            "balance": np.round(np.exp(8.5 + 1.1 * (wealth + 0.5 * rng.standard_normal(n))), 2),
            "holdings": np.where(holds, 1 + rng.poisson(np.exp(0.3 + 0.4 * wealth)), 0),
            "logins_30d": rng.poisson(np.exp(1.6 + 0.6 * activity)),
            "fund_views_30d": rng.poisson(np.exp(0.8 + 0.8 * activity)),
            "risk_score": risk_score,
            "cash_share": cash_share,
            "theme_views_30d": rng.poisson(np.exp(0.7 * signal[:, 2] - 0.2)),
            "tenure_months": np.floor(rng.gamma(2.0, 18.0, n)),
        }
        views = (np.log1p(columns["theme_views_30d"]) - _VIEWS_MEAN) / _VIEWS_MEAN
        cash = np.clip(cash_share, 1e-4, 1 - 1e-4)
        return Block(
            wealth=wealth,
            activity=activity,
            taste=taste,
            seen=np.stack([(risk_score - 50) / 15, np.log(cash / (1 - cash)) + 0.3, views], axis=1),
            pull=_CHANNEL_EFFECT[channel],
            tolerance=tolerance,
            validation=validation,
            features=columns,
        )

    # -- what is true of a pair ----------------------------------------------------------------------------------
    def log_odds(self, c: Block, later: bool) -> np.ndarray:
        """(BLOCK, F): log odds of a conversion when shown, in the first week or `later`."""
        s = self.spec
        personal = s.activity * c.activity + s.wealth * c.wealth + c.pull
        odds = self.intercept + personal[:, None] + s.taste * (c.taste @ self.fund_taste.T) + 0.5 * self.popularity
        return odds + self.logit_drift if later else odds

    def amounts(self, c: Block, later: bool) -> tuple[np.ndarray, np.ndarray]:
        """mu and sigma (BLOCK, F) of the log amount given a conversion."""
        appeal = c.taste[:, [1, 2, 0]] @ self.fund_taste.T  # what makes a customer buy is not what makes the sum large
        mu = self.fund_mu + 0.8 * c.wealth[:, None] - 0.1 * c.activity[:, None] + 0.3 * appeal
        sigma = np.clip(self.fund_sigma + 0.08 * c.wealth[:, None] + 0.05 * c.taste[:, [2]], 0.4, 1.4)
        return (mu + self.mu_drift if later else mu), sigma

    def exposure(self, c: Block) -> np.ndarray:
        """(BLOCK, F): which fund the platform shows, as probabilities; never one above the customer's tolerance.

        It depends on tolerance and features alone, not on hidden traits: a model of who is shown what can learn it, and
        what weights by such a model cannot mend is not in this world (but may be in yours).
        """
        eligible = c.tolerance[:, None] >= self.risk
        score = self.popularity + self.exposure_bias * (c.seen @ self.fund_taste.T)
        weight = np.where(eligible, np.exp(score - score.max(1, keepdims=True)), 0.0)
        shown = weight / weight.sum(1, keepdims=True)
        return (1 - self.overlap) * shown + self.overlap * eligible / eligible.sum(1, keepdims=True)

    @cached_property
    def intercept(self) -> float:
        """The constant of the log odds at which `positive_rate` of the first week's exposures convert."""
        c = self.block(0, _PILOT)
        self.__dict__["intercept"] = 0.0  # log_odds of the pilot are wanted without it
        odds, shown = self.log_odds(c, later=False), self.exposure(c)
        low, high = -30.0, 30.0
        for _ in range(60):
            middle = (low + high) / 2
            rate = float((shown * _logistic(odds + middle)).sum(1).mean())
            low, high = (middle, high) if rate < self.positive_rate else (low, middle)
        return (low + high) / 2

    # -- what happened -------------------------------------------------------------------------------------------
    def shown(self, c: Block, index: int, time: int) -> dict[str, np.ndarray]:
        """One exposure a customer: fund, outcome, amount, and whether the customer came at all.

        `time` 0 is the later week, 1, 2, ... are the exposures of the first.
        """
        later = time == 0
        rng = self._rng(_LATER if later else _SHOWN + time, index)
        cumulative = np.cumsum(self.exposure(c), axis=1)
        last = cumulative[:, -1:]
        u = np.minimum(rng.random((BLOCK, 1)) * last, np.nextafter(last, 0))  # never past the last eligible fund
        fund = (u >= cumulative).sum(1)
        rows = np.arange(BLOCK)
        mu, sigma = self.amounts(c, later)
        converted = rng.random(BLOCK) < _logistic(self.log_odds(c, later)[rows, fund])
        amount = np.exp(mu[rows, fund] + sigma[rows, fund] * rng.standard_normal(BLOCK))
        return {
            "fund": fund,
            "converted": converted,
            "amount": np.where(converted, np.maximum(np.round(amount, 2), 0.01), 0.0),
            "day": rng.integers(7, size=BLOCK) + (7 if later else 0),
            "came": rng.random(BLOCK) < self.returning if later else np.ones(BLOCK, bool),
        }

    def bought(self, c: Block, index: int) -> np.ndarray:
        """The fund that a random plan shows each customer; the funds' quotas are its counts, so they can be met."""
        wish = self.demand + self._rng(_QUOTA, index).gumbel(size=(BLOCK, len(self.risk)))
        return np.where(c.tolerance[:, None] >= self.risk, wish, -np.inf).argmax(1)

    def truth_of(self, c: Block) -> TruthRows:
        """The truth of the later week for a block."""
        arrays = (_logistic(self.log_odds(c, later=True)), *self.amounts(c, later=True), self.exposure(c))
        return TruthRows(*(a.astype(np.float32) for a in arrays))

    def truth(self, lo: int, hi: int) -> TruthRows:
        """The truth of the later week for customers lo..hi-1."""
        parts = []
        for index in range(lo // BLOCK, (max(hi, lo + 1) - 1) // BLOCK + 1):
            rows = self.truth_of(self.block(index))
            parts.append(rows.cut(max(lo - index * BLOCK, 0), hi - index * BLOCK))
        return TruthRows.join(parts)


def _draw(rng: np.random.Generator, share: np.ndarray, n: int) -> np.ndarray:
    return np.minimum(np.searchsorted(np.cumsum(share), rng.random(n), side="right"), len(share) - 1)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))
