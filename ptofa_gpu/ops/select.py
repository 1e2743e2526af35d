"""Where a round ends: a selection over (score, index), not a sort (kernels/cpu/rounds.cpp,
kernels/cuda/select.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._entry import Entry, pieces, threads_for

ALL_ROWS = (0, np.iinfo(np.int64).max)


_DIGIT_HISTOGRAM = Entry(
    "digit_histogram",
    "in_u64 key; in_i16 picks; in_u8 done; i64 rows; i64 k; i64 funds; in_u64 prefix; i64 above; i64 shift; i64 bits; "
    "i64 threads; out_i64 counts",
)
_CHOOSE_DIGIT = Entry(
    "choose_digit", "in_i64 counts; i64 funds; i64 bits; in_i64 open_quota; out_i64 base; out_i64 digit"
)
_LAST_TIE = Entry(
    "last_tie",
    "in_u64 key; in_i16 picks; in_u8 done; i64 rows; i64 k; in_u64 cut; in_i64 open_quota; out_i64 base; out_i64 row",
)


def find_cut(key: Any, picks: Any, done: Any, open_quota: np.ndarray) -> Any:
    """The last (key, row) that a round commits: the first place in the order (key falling, then row rising) at which
    some fund has been picked as often as its open quota.

    Parameters
    ----------
    key : (U,) uint64
    picks : (U, K) int16
    done : (U,) uint8
        Rows that take no part.
    open_quota : (F,) int64
        0 for closed funds, which nobody picks.

    Returns
    -------
    (key, row), or :data:`ALL_ROWS` when no fund runs out; on a GPU an array that stays there, for `commit`.
    """
    if not isinstance(key, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().find_cut(key, picks, done, open_quota)
    (rows, k), funds = picks.shape, open_quota.size
    # wide digits need few passes, narrow ones small tables; the answer is the same
    bits = min(16 if funds <= 16 else 11 if funds <= 256 else 8, max(8, rows.bit_length() - 4))
    base, found, prefix, above = np.zeros(funds, np.int64), np.zeros(1, np.int64), np.zeros(1, np.uint64), 64
    while above > 0:
        shift = max(0, above - bits)
        digit = above - shift
        counts = np.zeros((funds, 1 << digit), np.int64)
        for lo, hi in pieces(rows, k):
            _DIGIT_HISTOGRAM(
                key=key[lo:hi], picks=picks[lo:hi], done=done[lo:hi], rows=hi - lo, k=k, funds=funds, prefix=prefix,
                above=above, shift=shift, bits=digit, threads=threads_for((hi - lo) * k), counts=counts,
            )  # fmt: skip
        _CHOOSE_DIGIT(counts=counts, funds=funds, bits=digit, open_quota=open_quota, base=base, digit=found)
        if found[0] < 0:
            return ALL_ROWS
        prefix[0] = (int(prefix[0]) << digit) | int(found[0])
        above = shift
    for lo, hi in pieces(rows, k):
        some = {"key": key[lo:hi], "picks": picks[lo:hi], "done": done[lo:hi]}
        _LAST_TIE(**some, rows=hi - lo, k=k, cut=prefix, open_quota=open_quota, base=base, row=found)
        if found[0] >= 0:
            return int(prefix[0]), lo + int(found[0])
    raise RuntimeError("no row fills the fund that runs out; this must not happen")
