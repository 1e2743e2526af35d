"""How much of the money the highest predictions catch: cumulative gains with their interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptofa_gpu._arguments import MOST_DRAWS, number, real_array, seed_of, whole
from ptofa_gpu._arguments import share as share_of
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._table import html_table, percent
from ptofa_gpu.evaluation.bootstrap import bootstrap_sums


@dataclass(frozen=True)
class LiftCurve:
    """Of all that was earned, ``caught[i]`` fell in the ``share[i]`` of rows with the highest predictions."""

    share: NDArray[np.float64]
    caught: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    #: caught by the same share if rows were ranked by what they earned
    best: NDArray[np.float64]
    level: float

    def at(self, share: float) -> float:
        """Lift at a share of the rows: caught over what chance would catch, e.g. 4.0 at 0.1."""
        share = number("share", share, "a share of the rows, above 0 and at most 1", above=0.0, most=1.0)
        return float(np.interp(share, self.share, self.caught)) / share

    def to_frame(self) -> Any:
        """Return one row a share, as a pandas data frame."""
        import pandas as pd

        return pd.DataFrame({k: getattr(self, k) for k in ("share", "caught", "low", "high", "best")})

    def _repr_html_(self) -> str:
        rows = slice(1, None)
        return html_table(
            {
                "highest predictions": [percent(s) for s in self.share[rows]],
                "of the money": [percent(c, 1) for c in self.caught[rows]],
                f"{percent(self.level)} interval": [
                    f"{percent(a, 1)} to {percent(b, 1)}" for a, b in zip(self.low[rows], self.high[rows])
                ],
                "lift": [f"{c / s:.2f}" for c, s in zip(self.caught[rows], self.share[rows])],
            }
        )


def lift_curve(
    predicted: ArrayLike, actual: ArrayLike, *, steps: int = 20, draws: int = 500, level: float = 0.95, seed: int = 0
) -> LiftCurve:
    """Rank rows by prediction and count what was earned from the top down.

    Parameters
    ----------
    predicted, actual : (N,) float
        Prediction and outcome (currency, or 0/1) of the same rows; outcomes are not negative.
    steps : int
        Points of the curve.
    draws, level, seed
        Of the bootstrap interval, which holds the ranking fixed.

    Raises
    ------
    InputError
        Shapes that disagree, values that are not finite, or nothing earned.
    """
    steps, level = whole("steps", steps, 1), share_of("level", level)
    draws, seed = whole("draws", draws, 1, MOST_DRAWS), seed_of(seed)
    p = real_array("predicted", predicted).astype(np.float64).ravel()
    y = real_array("actual", actual).astype(np.float64).ravel()
    if p.shape != y.shape or p.size < steps:
        raise InputError(f"predicted has {p.size} rows, actual {y.size}; they must agree and be at least {steps}")
    if not (np.isfinite(p).all() and np.isfinite(y).all()) or (y < 0).any() or not y.sum() > 0:
        raise InputError("a lift curve needs finite values, outcomes of at least 0, and something earned")
    order = np.argsort(-p, kind="stable")
    cuts = np.round(np.linspace(0, p.size, steps + 1)).astype(np.int64)
    part = np.repeat(np.arange(steps), np.diff(cuts))
    earned = y[order]
    rows = np.flatnonzero(earned)  # what earned nothing adds nothing to any sum
    columns = np.zeros((rows.size, steps))
    columns[np.arange(rows.size), part[rows]] = earned[rows]
    draws_of = np.cumsum(bootstrap_sums(columns, draws=draws, seed=seed), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = draws_of / draws_of[:, -1:]
    low, high = np.nanquantile(shares, [(1 - level) / 2, (1 + level) / 2], axis=0)
    caught = np.concatenate([[0.0], np.cumsum(columns.sum(axis=0)) / y.sum()])
    best = np.concatenate([[0.0], np.cumsum(np.sort(y)[::-1])[cuts[1:] - 1] / y.sum()])
    zero = np.zeros(1)
    return LiftCurve(cuts / p.size, caught, np.concatenate([zero, low]), np.concatenate([zero, high]), best, level)
