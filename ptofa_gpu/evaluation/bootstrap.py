"""Percentile intervals of ratios of sums by the Poisson bootstrap: one matrix product a block of draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptofa_gpu._arguments import MOST_DRAWS, seed_of, share, whole

_BLOCK_BYTES = 64 << 20


def bootstrap_sums(columns: NDArray[np.float64], *, draws: int, seed: int) -> NDArray[np.float64]:
    """Sums of `columns` over resampled rows.

    Every draw weighs each row by an independent Poisson(1) count (Chamandy et al., "Estimating uncertainty for
    massive data streams", 2012): for ratios of sums this agrees with resampling rows with replacement, and
    the columns of one draw share their weights, so that differences between columns are paired.

    Parameters
    ----------
    columns : (N, C) float64
        What is summed.
    draws : int
        How many resamples.
    seed : int
        Same seed, same draws.

    Returns
    -------
    (draws, C) float64
    """
    draws = whole("draws", draws, 1, MOST_DRAWS)
    rng = np.random.default_rng(seed_of(seed))
    rows = columns.shape[0]
    block = max(1, _BLOCK_BYTES // (16 * max(rows, 1)))
    sums = np.empty((draws, columns.shape[1]))
    for start in range(0, draws, block):
        stop = min(start + block, draws)
        sums[start:stop] = rng.poisson(1.0, size=(stop - start, rows)).astype(np.float64) @ columns
    return sums


def percentile_interval(samples: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Return the central `level` interval of `samples`; draws that are not numbers (an empty resample) do not count."""
    level = share("level", level)
    finite = samples[np.isfinite(samples)]
    if finite.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
