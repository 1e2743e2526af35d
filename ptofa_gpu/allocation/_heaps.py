"""Leftist heaps in arrays: for every pair of funds the swaps between them, the cheapest on top.

See Crane (1972) and Knuth, *The Art of Computer Programming* 3, section 5.2.3. Entries are ordered by (key, row), which
is total: what comes off the top never depends on how a heap was put together.
"""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(inline="always")
def less(key, row, x, y):
    """Whether entry x comes off before entry y."""
    return key[x] < key[y] or (key[x] == key[y] and row[x] < row[y])


@nb.njit(cache=True)
def merge(a, b, key, row, left, right, rank, stack):
    """The root of two heaps put together; -1 is the empty heap."""
    n = 0
    while a >= 0 and b >= 0:
        if less(key, row, b, a):
            a, b = b, a
        stack[n] = a
        n += 1
        a = right[a]
    rest = a if a >= 0 else b
    while n > 0:
        n -= 1
        p = stack[n]
        right[p] = rest
        left_rank = rank[left[p]] if left[p] >= 0 else 0
        rest_rank = rank[rest] if rest >= 0 else 0
        if left_rank < rest_rank:
            left[p], right[p] = right[p], left[p]
            left_rank, rest_rank = rest_rank, left_rank
        rank[p] = rest_rank + 1
        rest = p
    return rest


@nb.njit(cache=True)
def _sift(key, row, start, end, at):
    """Sink entry `at` of the binary heap that lies in start..end-1."""
    k, r = key[at], row[at]
    while True:
        child = start + 2 * (at - start) + 1
        if child >= end:
            break
        if child + 1 < end and less(key, row, child + 1, child):
            child += 1
        if not (key[child] < k or (key[child] == k and row[child] < r)):
            break
        key[at], row[at] = key[child], row[child]
        at = child
    key[at], row[at] = k, r


@nb.njit(cache=True)
def build(arc, cost, row, size, spare):
    """Group entries by arc and make each group a heap, in linear time.

    A binary heap laid out level by level is a leftist heap as it stands: its left half is never the shallower.

    Returns (head, key, row, left, right, rank) with room for `spare` more entries.
    """
    n = arc.size
    start = np.zeros(size * size + 1, np.int64)
    for e in range(n):
        start[arc[e] + 1] += 1
    for i in range(size * size):
        start[i + 1] += start[i]
    at = start[:-1].copy()
    keys, rows = np.empty(n + spare, np.int64), np.empty(n + spare, np.int64)
    for e in range(n):
        keys[at[arc[e]]], rows[at[arc[e]]] = cost[e], row[e]
        at[arc[e]] += 1
    head = np.full((size, size), -1, np.int64)
    left, right = np.full(n + spare, -1, np.int64), np.full(n + spare, -1, np.int64)
    rank = np.ones(n + spare, np.int64)
    for i in range(size * size):
        lo, hi = start[i], start[i + 1]
        if lo == hi:
            continue
        head[i // size, i % size] = lo
        for e in range(lo + (hi - lo) // 2 - 1, lo - 1, -1):
            _sift(keys, rows, lo, hi, e)
        for e in range(hi - 1, lo - 1, -1):
            child = lo + 2 * (e - lo) + 1
            if child < hi:
                left[e] = child
            if child + 1 < hi:
                right[e] = child + 1
                rank[e] = rank[child + 1] + 1
    return head, keys, rows, left, right, rank


@nb.njit(cache=True)
def grown(values, filled):
    """`values` with twice the room."""
    out = np.empty(2 * values.size + 1024, values.dtype)
    out[:filled] = values[:filled]
    return out
