"""Commit a round: the customers before the cut get their picks and leave the sums (kernels/cpu/rounds.cpp,
kernels/cuda/commit.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._customers import LIMITS, limits
from ptofa_gpu.ops._entry import Entry, pieces

_COMMIT = Entry(
    "commit",
    LIMITS + "in_u64 key; in_i16 picks; out_u8 done; i64 k; in_u64 cut_key; i64 cut_row; f64 scale; out_i16 chosen; "
    "out_i64 counts; out_i64 sums; out_i64 served",
)


def commit(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    key: Any,
    picks: Any,
    done: Any,
    cut: Any,
    shift: int,
    chosen: Any,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Commit the waiting rows at or before `cut` in the order (key falling, row rising).

    Parameters
    ----------
    revenue, tolerance, risk, mask, key, picks
        As in `score_and_pick`.
    done : (U,) uint8, updated
    cut : from `find_cut`
    shift : int
        Fixed-point shift of the sums.
    chosen : (U, K) int16, written
        The allocation.

    Returns
    -------
    (F,) int64 exposures given, (F,) int64 fixed-point sums of E over the committed, eligible customers, and how many
    customers were committed.
    """
    if isinstance(revenue, np.ndarray):
        funds, k = revenue.shape[1], picks.shape[1]
        counts, sums, served = np.zeros(funds, np.int64), np.zeros(funds, np.int64), np.zeros(1, np.int64)
        cut_key = np.array([cut[0]], np.uint64)
        for lo, hi in pieces(*revenue.shape):
            part = limits(revenue[lo:hi], tolerance[lo:hi], risk, None if mask is None else mask[lo:hi])
            some = {"key": key[lo:hi], "picks": picks[lo:hi], "done": done[lo:hi], "chosen": chosen[lo:hi]}
            last = min(max(int(cut[1]) - lo, -1), hi - lo)
            found = {"counts": counts, "sums": sums, "served": served}
            _COMMIT(**part, **some, k=k, cut_key=cut_key, cut_row=last, scale=2.0**shift, **found)
        return counts, sums, int(served[0])
    from ptofa_gpu.ops import _kernels

    return _kernels.device_module().commit(revenue, tolerance, risk, mask, key, picks, done, cut, shift, chosen)
