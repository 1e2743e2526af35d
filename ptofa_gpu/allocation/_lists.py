"""Binary heaps side by side in two arrays: many swaps of one pair of funds that came together.

A swap takes twelve bytes here, for no entry has to be found by another (see `_heaps` for those that come one at a
time). Ordered by (key, row), which is total: what comes off the top never depends on how a heap was put together.
"""

from __future__ import annotations

import numba as nb
import numpy as np

#: A heap is key[begin:end] and row[begin:end], of the swaps of an arc a (F + 1) + b; `next` is another of that arc
#: (-1: none).
LIST = np.dtype([("begin", "i8"), ("end", "i8"), ("arc", "i4"), ("next", "i4")])
#: Bytes of a swap.
EACH_BYTES = 12


@nb.njit(inline="always")
def _sift_down(key, row, begin, end, hole, k, r):
    """Put (k, r) into the hole or below it."""
    while True:
        child = 2 * hole - begin + 1
        if child >= end:
            break
        other = child + 1
        if other < end and (key[other] < key[child] or (key[other] == key[child] and row[other] < row[child])):
            child = other
        if k < key[child] or (k == key[child] and r <= row[child]):
            break
        key[hole], row[hole] = key[child], row[child]
        hole = child
    key[hole], row[hole] = k, r


@nb.njit(cache=True)
def order(key, row, begin, end):
    """Make a heap of key[begin:end] and row[begin:end]."""
    for i in range(begin + (end - begin) // 2 - 1, begin - 1, -1):
        _sift_down(key, row, begin, end, i, key[i], row[i])


@nb.njit(cache=True)
def take_off(key, row, begin, end):
    """Take the top off the heap, which is key[begin:end - 1] then."""
    _sift_down(key, row, begin, end - 1, begin, key[end - 1], row[end - 1])


@nb.njit(cache=True)
def put_in(key, row, begin, end, k, r):
    """Put (k, r) into the heap, which is key[begin:end + 1] then: there must be room."""
    hole = end
    while hole > begin:
        above = begin + (hole - begin - 1) // 2
        if key[above] < k or (key[above] == k and row[above] <= r):
            break
        key[hole], row[hole] = key[above], row[above]
        hole = above
    key[hole], row[hole] = k, r
