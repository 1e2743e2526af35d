"""Score and pick (Eq. 7): who goes first, and the K funds they would take (kernels/cpu/score.cpp,
kernels/cuda/score.cu)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ptofa_gpu.ops._customers import LIMITS, limits
from ptofa_gpu.ops._entry import Entry, pieces

Tail = Literal["zero", "drop", "inf"]
#: How the score reads a customer's list of eligible, open funds where it ends (see `score_and_pick`).
TAILS: dict[str, int] = {"zero": 0, "drop": 1, "inf": 2}

_SCORE_AND_PICK = Entry(
    "score_and_pick",
    LIMITS + "in_u8 done; in_f64 alpha; in_u8 is_open; i64 k; i64 tail; out_u64 key; out_i16 picks",
)


def score_and_pick(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    done: Any,
    alpha: np.ndarray,
    is_open: np.ndarray,
    tail: Tail,
    key: Any,
    picks: Any,
) -> None:
    """Write each waiting customer's score and the K best funds that are eligible and open.

    With a customer's eligible, open funds f_1 .. f_n in order of falling revenue, the score is Eq. 7 of PTOFA (arXiv
    2503.03165): h = sum over j < n of alpha[f_j] (E[f_j] - E[f_(j+1)]), and for the last fund, by `tail`: ``"zero"``
    adds alpha[f_n] E[f_n] (the loss against no exposure at all), ``"drop"`` adds nothing, ``"inf"`` reads the paper's
    -inf literally: a customer for whom some fund is closed scores +inf.

    Parameters
    ----------
    revenue : (U, F) float32
    tolerance, risk : (U,) and (F,) int8
    mask : (U, W) uint64 or None
    done : (U,) uint8
        Rows that are 1 are left as they are.
    alpha : (F,) float64
        Consumption speeds.
    is_open : (F,) bool
        Funds with quota left.
    key : (U,) uint64, written
        The score as an unsigned integer that sorts as the scores do.
    picks : (U, K) int16, written
        The K best funds, best first, equal revenue by lower index; -1 where there are fewer.
    """
    if isinstance(revenue, np.ndarray):
        k, flags = picks.shape[1], is_open.view(np.uint8)
        for lo, hi in pieces(len(revenue), revenue.shape[1], 8):
            part = limits(revenue[lo:hi], tolerance[lo:hi], risk, None if mask is None else mask[lo:hi])
            out = {"key": key[lo:hi], "picks": picks[lo:hi]}
            _SCORE_AND_PICK(**part, done=done[lo:hi], alpha=alpha, is_open=flags, k=k, tail=TAILS[tail], **out)
        return
    from ptofa_gpu.ops import _kernels

    _kernels.device_module().score_and_pick(
        revenue, tolerance, risk, mask, done, alpha, is_open, TAILS[tail], key, picks
    )


def key_to_score(key: np.ndarray) -> np.ndarray:
    """The float64 scores that uint64 keys stand for."""
    key = np.asarray(key, np.uint64)
    negative = key < np.uint64(1 << 63)
    return np.where(negative, ~key, key ^ np.uint64(1 << 63)).view(np.float64)
