"""Where a round ends: a selection over (score, index), not a sort (twin of kernels/select.cu)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

ALL_ROWS = (0, np.iinfo(np.int64).max)


@nb.njit(parallel=True, cache=True)
def _digit_histogram(key, picks, done, funds, prefix, above, shift, bits, threads):
    """counts[f, digit] of the waiting rows that pick f and share `prefix` in the bits from `above` up."""
    rows = key.shape[0]
    size = 1 << bits
    part = np.zeros((threads, funds, size), np.int32)
    low = np.uint64(size - 1)
    for t in nb.prange(threads):
        for u in range(rows * t // threads, rows * (t + 1) // threads):
            if done[u]:
                continue
            if above < 64 and (key[u] >> np.uint64(above)) != prefix:
                continue
            digit = np.int64((key[u] >> np.uint64(shift)) & low)
            for j in range(picks.shape[1]):
                f = picks[u, j]
                if f >= 0:
                    part[t, f, digit] += 1
    return part


@nb.njit(cache=True)
def _choose_digit(part, open_quota, base):
    """The highest digit at which some fund's count (with `base` above it) meets its quota, and the counts above it."""
    threads, funds, size = part.shape
    best = -1
    for f in range(funds):
        if open_quota[f] <= 0:
            continue
        count = base[f]
        for digit in range(size - 1, best, -1):
            for t in range(threads):
                count += part[t, f, digit]
            if count >= open_quota[f]:
                best = digit
                break
    if best >= 0:
        for f in range(funds):
            for digit in range(best + 1, size):
                for t in range(threads):
                    base[f] += part[t, f, digit]
    return best


@nb.njit(cache=True)
def _last_tie(key, picks, done, cut, open_quota, base):
    """Among the rows whose key is `cut`, the first index at which some fund's count meets its quota."""
    for u in range(key.shape[0]):
        if not done[u] and key[u] == cut:
            full = False
            for j in range(picks.shape[1]):
                f = picks[u, j]
                if f >= 0:
                    base[f] += 1
                    full |= base[f] >= open_quota[f]
            if full:
                return u
    return -1


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
    rows, funds = key.size, open_quota.size
    # wide digits need few passes, narrow ones small tables; the answer is the same
    bits = min(16 if funds <= 16 else 11 if funds <= 256 else 8, max(8, rows.bit_length() - 4))
    base = np.zeros(funds, np.int64)
    prefix, above = np.uint64(0), 64
    while above > 0:
        shift = max(0, above - bits)
        part = _digit_histogram(key, picks, done, funds, prefix, above, shift, above - shift, nb.get_num_threads())
        digit = _choose_digit(part, open_quota, base)
        if digit < 0:
            return ALL_ROWS
        prefix = np.uint64((int(prefix) << (above - shift)) | digit)
        above = shift
    return int(prefix), int(_last_tie(key, picks, done, prefix, open_quota, base))
