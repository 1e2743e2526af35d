"""Pairing heaps in arrays: for every pair of funds the swaps between them, the cheapest on top.

See Fredman, Sedgewick, Sleator and Tarjan, "The pairing heap" (1986). Adding a swap costs one comparison, and most are
never taken off again. Entries are ordered by (key, row), which is total: what comes off the top never depends on how a
heap was put together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

#: What an entry holds, side by side in memory. Its children are no smaller; the first is CHILD, and the next to each is
#: its SIBLING.
KEY, ROW, CHILD, SIBLING = 0, 1, 2, 3


class Heaps(NamedTuple):
    """The heap of each pair a -> b has its top in ``head[a, b]`` (-1: empty); there is room for more entries."""

    head: Any  # (F + 1, F + 1) int64
    entry: Any  # (n, 4) int64


@nb.njit(inline="always")
def _merge(entry, x, y):
    """The top of two heaps put together; neither may be empty."""
    if entry[y, KEY] < entry[x, KEY] or (entry[y, KEY] == entry[x, KEY] and entry[y, ROW] < entry[x, ROW]):
        x, y = y, x
    entry[y, SIBLING] = entry[x, CHILD]
    entry[x, CHILD] = y
    return x


@nb.njit(inline="always")
def push(heaps, e, a, b, key, row):
    """Make entry `e`, which is free, a swap a -> b."""
    entry, top = heaps.entry, heaps.head[a, b]
    entry[e, KEY], entry[e, ROW], entry[e, CHILD], entry[e, SIBLING] = key, row, -1, -1
    heaps.head[a, b] = e if top < 0 else _merge(entry, top, e)


@nb.njit(cache=True)
def pop(heaps, a, b):
    """Take the top off: its children are put together two by two, and then the pairs from the last to the first."""
    entry = heaps.entry
    e, pairs = entry[heaps.head[a, b], CHILD], -1
    while e >= 0:
        other, rest = entry[e, SIBLING], -1
        if other >= 0:
            rest = entry[other, SIBLING]
            e = _merge(entry, e, other)
        entry[e, SIBLING] = pairs
        pairs, e = e, rest
    top = pairs
    if top >= 0:
        e = entry[top, SIBLING]
        while e >= 0:
            rest = entry[e, SIBLING]
            top = _merge(entry, top, e)
            e = rest
        entry[top, SIBLING] = -1
    heaps.head[a, b] = top


@nb.njit(cache=True)
def with_room(heaps, used, more):
    """The heaps with room for so many more entries than are used."""
    if used + more <= len(heaps.entry):
        return heaps
    entry = np.empty((used + max(used, more) + 1024, 4), np.int64)
    entry[:used] = heaps.entry[:used]
    return Heaps(heaps.head, entry)


@nb.njit(cache=True)
def empty(size, room):
    """Heaps between `size` nodes without an entry."""
    return Heaps(np.full((size, size), -1, np.int64), np.empty((room, 4), np.int64))


@nb.njit(cache=True)
def push_all(heaps, used, arc, key, row):
    """Add swaps, arc = a (F + 1) + b; the heaps, and how many entries are used."""
    heaps = with_room(heaps, used, arc.size)
    size = heaps.head.shape[0]
    for i in range(arc.size):
        push(heaps, used + i, arc[i] // size, arc[i] % size, key[i], row[i])
    return heaps, used + arc.size
