"""Does predicted revenue mean what it says? Equal-sized bins of predictions against what was earned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptofa_gpu._arguments import MOST_DRAWS, real_array, seed_of, share, whole
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._table import html_table, percent
from ptofa_gpu.evaluation.bootstrap import bootstrap_sums, percentile_interval


@dataclass(frozen=True)
class Calibration:
    """Mean predicted and mean actual outcome by bin of the prediction, lowest bin first."""

    predicted: NDArray[np.float64]
    actual: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    count: NDArray[np.int64]
    level: float
    #: sum of predictions / sum of outcomes over all rows, with its interval; 1 is right in total
    ratio: float
    ratio_low: float
    ratio_high: float

    @property
    def covered(self) -> int:
        """In how many bins the mean prediction lies inside the interval of the mean outcome."""
        return int(np.count_nonzero((self.low <= self.predicted) & (self.predicted <= self.high)))

    @property
    def misses(self) -> str:
        """On which side the bins that are not covered lie, in words; empty where all are covered."""
        side = np.sign(self.predicted - np.clip(self.predicted, self.low, self.high))
        middle = side.size // 2
        found = []
        for which, part in (("low", side[:middle]), ("high", side[middle:])):
            for words, wrong in (("too high", part > 0), ("too low", part < 0)):
                # a bin or two on the other side would only blur what the reader should know
                if wrong.sum() > (part != 0).sum() / 2:
                    found.append(f"{which} predictions are {words}")
            if (part > 0).sum() == (part < 0).sum() > 0:
                found.append(f"{which} predictions miss on both sides")
        return ", ".join(found)

    @property
    def is_tight(self) -> bool:
        """Whether conversions suffice to judge the total: the interval lies within 2/3 and 3/2 of the ratio."""
        return bool(self.ratio_low >= self.ratio / 1.5 and self.ratio_high <= self.ratio * 1.5)  # False for NaN

    @property
    def state(self) -> Literal["good", "warning"]:
        """``good`` where the total is right, its interval tight, and at least eight bins in ten are covered.

        At a level of 95 %, predictions that are right cover fewer than eight of ten bins once in a hundred times.
        """
        right = self.is_tight and self.ratio_low <= 1 <= self.ratio_high and self.covered >= 0.8 * self.count.size
        return "good" if right else "warning"

    @property
    def top_share(self) -> float:
        """Share of all earnings that fell in the highest bin (1/bins if predictions carried no information)."""
        total = float((self.actual * self.count).sum())
        return float(self.actual[-1] * self.count[-1] / total) if total > 0 else float("nan")

    def to_frame(self) -> Any:
        """Return one row a bin, as a pandas data frame."""
        import pandas as pd

        return pd.DataFrame(
            {
                "bin": np.arange(1, self.count.size + 1),
                "rows": self.count,
                "predicted": self.predicted,
                "actual": self.actual,
                "low": self.low,
                "high": self.high,
            }
        )

    def _repr_html_(self) -> str:
        return html_table(
            {
                "bin": [str(i + 1) for i in range(self.count.size)],
                "rows": [f"{c:,}" for c in self.count],
                "predicted a row": [f"{v:.4g}" for v in self.predicted],
                "actual a row": [f"{v:.4g}" for v in self.actual],
                f"{percent(self.level)} interval": [f"{a:.4g} to {b:.4g}" for a, b in zip(self.low, self.high)],
            }
        )


def calibrate(
    predicted: ArrayLike, actual: ArrayLike, *, bins: int = 10, draws: int = 500, level: float = 0.95, seed: int = 0
) -> Calibration:
    """Compare predictions with outcomes in `bins` bins of equal size, by rank of the prediction.

    Parameters
    ----------
    predicted, actual : (N,) float
        Prediction and outcome of the same rows, in one unit (currency per exposure, or probability and 0/1).
    bins : int
        Number of bins; at most N.
    draws, level, seed
        Bootstrap resamples of the outcome's intervals, their level, the seed.

    Raises
    ------
    InputError
        Arrays that disagree in shape, hold NaN or infinities, or have fewer rows than bins.
    """
    bins, draws, seed = whole("bins", bins, 1), whole("draws", draws, 1, MOST_DRAWS), seed_of(seed)
    level = share("level", level)
    p = real_array("predicted", predicted).astype(np.float64).ravel()
    y = real_array("actual", actual).astype(np.float64).ravel()
    if p.shape != y.shape:
        raise InputError(f"predicted has {p.size} rows, actual {y.size}; they must be the same rows")
    if p.size < bins:
        raise InputError(f"{bins} bins need at least {bins} rows, got {p.size}")
    if not (np.all(np.isfinite(p)) and np.all(np.isfinite(y))):
        raise InputError("predicted and actual must be finite")
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, bins)
    mean_p, mean_y, low, high = (np.empty(bins) for _ in range(4))
    total = np.zeros((draws, 2))
    for i, rows in enumerate(parts):
        mean_p[i], mean_y[i] = p[rows].mean(), y[rows].mean()
        # every bin has its own stream, so a bin's interval does not depend on how many bins lie below it
        sums = bootstrap_sums(np.column_stack([y[rows], p[rows], np.ones(rows.size)]), draws=draws, seed=seed + i)
        with np.errstate(invalid="ignore", divide="ignore"):
            low[i], high[i] = percentile_interval(sums[:, 0] / sums[:, 2], level)
        total += sums[:, :2]
    earned = y.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio_low, ratio_high = percentile_interval(total[:, 1] / total[:, 0], level)
    return Calibration(
        predicted=mean_p,
        actual=mean_y,
        low=low,
        high=high,
        count=np.array([rows.size for rows in parts], dtype=np.int64),
        level=level,
        ratio=float(p.sum() / earned) if earned > 0 else float("nan"),
        ratio_low=ratio_low,
        ratio_high=ratio_high,
    )
