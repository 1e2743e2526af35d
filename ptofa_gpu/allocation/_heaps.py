"""Pairing heaps in arrays: for every pair of funds the swaps between them, the cheapest on top.

See Fredman, Sedgewick, Sleator and Tarjan, "The pairing heap" (1986). Adding a swap costs one comparison, and most are
never taken off again. Entries are ordered by (key, row), which is total: what comes off the top never depends on how a
heap was put together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

#: What an entry holds. `arc` is a (F + 1) + b; its children are no smaller: the first is `child`, and the next to each
#: is its `sibling`. -1 is none, and GONE stands for `child` where the entry is in no heap.
ENTRY = np.dtype([("key", "i8"), ("row", "i4"), ("arc", "i4"), ("child", "i4"), ("sibling", "i4")])
GONE = -2
_entry = nb.from_dtype(ENTRY)


class Heaps(NamedTuple):
    """The heap of each pair a -> b has its top in ``head[a, b]`` (-1: empty); there is room for more entries."""

    head: Any  # (F + 1, F + 1) int64
    entry: Any  # (n,) ENTRY


@nb.njit(inline="always")
def _merge(entry, x, y):
    """The top of two heaps put together; neither may be empty."""
    if entry[y].key < entry[x].key or (entry[y].key == entry[x].key and entry[y].row < entry[x].row):
        x, y = y, x
    entry[y].sibling = entry[x].child
    entry[x].child = y
    return x


@nb.njit(inline="always")
def push(heaps, e, a, b, key, row):
    """Make entry `e`, which is free, a swap a -> b."""
    entry, top = heaps.entry, heaps.head[a, b]
    entry[e].key, entry[e].row, entry[e].arc = key, row, a * heaps.head.shape[0] + b
    entry[e].child, entry[e].sibling = -1, -1
    heaps.head[a, b] = e if top < 0 else _merge(entry, top, e)


@nb.njit(cache=True)
def pop(heaps, a, b):
    """Take the top off: its children are put together two by two, and then the pairs from the last to the first."""
    entry, gone = heaps.entry, heaps.head[a, b]
    e, pairs = np.int64(entry[gone].child), np.int64(-1)
    entry[gone].child = GONE
    while e >= 0:
        other, rest = np.int64(entry[e].sibling), np.int64(-1)
        if other >= 0:
            rest = np.int64(entry[other].sibling)
            e = _merge(entry, e, other)
        entry[e].sibling = pairs
        pairs, e = e, rest
    top = pairs
    if top >= 0:
        e = np.int64(entry[top].sibling)
        while e >= 0:
            rest = np.int64(entry[e].sibling)
            top = _merge(entry, top, e)
            e = rest
        entry[top].sibling = -1
    heaps.head[a, b] = top


@nb.njit(cache=True)
def with_room(heaps, used, more):
    """The heaps with room for so many more entries than are used."""
    if used + more <= len(heaps.entry):
        return heaps
    entry = np.empty(used + max(used, more) + 1024, _entry)
    entry[:used] = heaps.entry[:used]
    return Heaps(heaps.head, entry)


def empty(size: int, room: int) -> Heaps:
    """Heaps between `size` nodes without an entry. Room that is never used takes no memory."""
    return Heaps(np.full((size, size), -1, np.int64), np.empty(room, ENTRY))


@nb.njit(cache=True)
def push_all(heaps, used, arc, key, row):
    """Add swaps, arc = a (F + 1) + b; the heaps, and how many entries are used."""
    heaps = with_room(heaps, used, arc.size)
    size = heaps.head.shape[0]
    for i in range(arc.size):
        push(heaps, used + i, arc[i] // size, arc[i] % size, key[i], row[i])
    return heaps, used + arc.size
