"""Score and pick (Eq. 7): who goes first, and the K funds they would take (twin of kernels/score.cu)."""

from __future__ import annotations

from typing import Any, Literal

import numba as nb
import numpy as np

from ptofa_gpu.ops._rows import CHUNK, mask_words, may_see, n_chunks

Tail = Literal["zero", "drop", "inf"]
#: How the score reads a customer's list of eligible, open funds where it ends (see `score_and_pick`).
TAILS: dict[str, int] = {"zero": 0, "drop": 1, "inf": 2}


#: Up to so many funds are sorted by insertion.
INSERTION = 48


@nb.njit
def _insert(value, fund, n):
    for i in range(1, n):
        x, f = value[i], fund[i]
        j = i
        while j > 0 and value[j - 1] < x:
            value[j], fund[j] = value[j - 1], fund[j - 1]
            j -= 1
        value[j], fund[j] = x, f


@nb.njit
def _sort(value, fund, n, packed):
    """Sort by whole numbers in the order wanted: the value's bits, turned to rise as it falls, then the fund."""
    bits = value.view(np.int32)
    for i in range(n):
        b = np.int64(bits[i])
        b = np.int64(0) if value[i] == 0 else b if b >= 0 else np.int64(-0x80000000) - b  # -0 is 0
        packed[i] = (-b << 32) + fund[i]
    packed[:n].sort()
    for i in range(n):
        b = -(packed[i] >> 32)
        bits[i] = np.int32(b if b >= 0 else np.int64(-0x80000000) - b)
        fund[i] = packed[i] & 0xFFFFFFFF


@nb.njit(parallel=True, cache=True)
def _score_and_pick(revenue, tolerance, risk, mask, done, alpha, is_open, tail, key, picks):
    rows, funds = revenue.shape
    k = picks.shape[1]
    bits = key.view(np.int64)
    for c in nb.prange(n_chunks(rows)):
        value = np.empty(funds, np.float32)
        fund = np.empty(funds, np.int64)
        packed = np.empty(funds if funds > INSERTION else 0, np.int64)
        word = np.empty(1, np.float64)
        for u in range(c * CHUNK, min(rows, (c + 1) * CHUNK)):
            if done[u]:
                continue
            n = 0  # the eligible, open funds, best first; equal revenue: lower index first
            for f in range(funds):
                if is_open[f] and may_see(tolerance, risk, mask, u, f):
                    value[n], fund[n] = revenue[u, f], f
                    n += 1
            if n <= INSERTION:
                _insert(value, fund, n)
            else:
                _sort(value, fund, n, packed)
            # One fixed order of additions, no contraction: the kernel does the same, to the bit.
            score = 0.0
            for j in range(n - 1):
                score += alpha[fund[j]] * (np.float64(value[j]) - np.float64(value[j + 1]))
            if n > 0:
                if tail == 0:
                    score += alpha[fund[n - 1]] * np.float64(value[n - 1])
                elif tail == 2 and n < funds:
                    score = np.inf
            word[0] = score
            b = word.view(np.int64)[0]
            # flip so that unsigned order is the order of the numbers
            bits[u] = ~b if b < 0 else b ^ np.int64(-0x8000000000000000)
            for j in range(k):
                picks[u, j] = fund[j] if j < n else -1


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
        _score_and_pick(revenue, tolerance, risk, mask_words(mask), done, alpha, is_open, TAILS[tail], key, picks)
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
