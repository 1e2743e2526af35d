"""The swaps at hand between every pair of funds, the cheapest on top.

Those that come many at a time are lists, each a binary heap (`_lists`): most are never taken off again, and there they
take the least memory. Those that come one at a time, which may be of any pair, are in pairing heaps (Fredman,
Sedgewick, Sleator and Tarjan, "The pairing heap", 1986): to add one costs one comparison. The top is the least of both
by (key, row), which is total: what comes off never depends on how a heap was put together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from ptofa_gpu.allocation import _lists
from ptofa_gpu.allocation._lists import LIST
from ptofa_gpu.allocation.room import fresh

#: What an entry of a pairing heap holds. `arc` is a (F + 1) + b; its children are no smaller: the first is `child`, and
#: the next to each is its `sibling`. -1 is none, and GONE stands for `child` where the entry is in no heap.
ENTRY = np.dtype([("key", "i8"), ("row", "i4"), ("arc", "i4"), ("child", "i4"), ("sibling", "i4")])
GONE = -2
_entry = nb.from_dtype(ENTRY)
#: What `top` names as the place of a swap: a list's number, a pairing heap, nowhere.
ALONE, NOWHERE = -1, -2
#: What `Heaps.used` counts: entries, swaps of lists, and lists.
ENTRIES, LISTED, LISTS = range(3)


class Heaps(NamedTuple):
    """Between `size` nodes; there is room for more than is used."""

    used: Any  # (3,) int64
    head: Any  # (size, size) int64: the top of the pairing heap, -1: empty
    entry: Any  # (n,) ENTRY
    first: Any  # (size, size) int64: one of the lists, -1: there is none
    lists: Any  # (n,) LIST
    key: Any  # (n,) int64: of all lists
    row: Any  # (n,) int32


@nb.njit(inline="always")
def _merge(entry, x, y):
    """The top of two heaps put together; neither may be empty."""
    if entry[y].key < entry[x].key or (entry[y].key == entry[x].key and entry[y].row < entry[x].row):
        x, y = y, x
    entry[y].sibling = entry[x].child
    entry[x].child = y
    return x


@nb.njit(inline="always")
def _push(heaps, e, a, b, key, row):
    """Make entry `e`, which is free, a swap a -> b."""
    entry, top = heaps.entry, heaps.head[a, b]
    entry[e].key, entry[e].row, entry[e].arc = key, row, a * heaps.head.shape[0] + b
    entry[e].child, entry[e].sibling = -1, -1
    heaps.head[a, b] = e if top < 0 else _merge(entry, top, e)


@nb.njit(cache=True)
def _pop(heaps, a, b):
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


@nb.njit(inline="always")
def top(heaps, a, b):
    """The cheapest swap a -> b: (where it is, key, row)."""
    where, key, row, e = np.int64(NOWHERE), np.int64(0), np.int64(0), heaps.head[a, b]
    if e >= 0:
        where, key, row = np.int64(ALONE), heaps.entry[e].key, np.int64(heaps.entry[e].row)
    s = heaps.first[a, b]
    while s >= 0:
        i = heaps.lists[s].begin
        if i < heaps.lists[s].end:
            k, r = heaps.key[i], np.int64(heaps.row[i])
            if where == NOWHERE or k < key or (k == key and r < row):
                where, key, row = s, k, r
        s = np.int64(heaps.lists[s].next)
    return where, key, row


@nb.njit(inline="always")
def forget_empty(heaps, a, b):
    """Forget the first lists of a -> b if nothing is in them any more; nothing can be put back into them then."""
    s = heaps.first[a, b]
    while s >= 0 and heaps.lists[s].begin == heaps.lists[s].end:
        s = np.int64(heaps.lists[s].next)
    heaps.first[a, b] = s


@nb.njit(inline="always")
def take_off(heaps, a, b, where):
    """Take the top off, which is there; what `put_back` wants to know."""
    if where == ALONE:
        e = heaps.head[a, b]
        _pop(heaps, a, b)
        return e
    of = heaps.lists[where]
    _lists.take_off(heaps.key, heaps.row, of.begin, of.end)
    heaps.lists[where].end = of.end - 1
    return -1 - where


@nb.njit(inline="always")
def put_back(heaps, a, b, taken, key, row):
    """Put back what was taken off; nothing may have been added meanwhile."""
    if taken >= 0:
        _push(heaps, taken, a, b, key, row)
    else:
        of = heaps.lists[-1 - taken]
        _lists.put_in(heaps.key, heaps.row, of.begin, of.end, key, row)
        heaps.lists[-1 - taken].end = of.end + 1


@nb.njit(inline="always")
def add(heaps, a, b, key, row):
    """Add one swap a -> b; there must be room."""
    _push(heaps, heaps.used[ENTRIES], a, b, key, row)
    heaps.used[ENTRIES] += 1


@nb.njit(cache=True)
def with_room(heaps, more):
    """The heaps with room for so many more entries than are used."""
    used = heaps.used[ENTRIES]
    if used + more <= len(heaps.entry):
        return heaps
    entry = np.empty(used + max(used, more) + 1024, _entry)
    entry[:used] = heaps.entry[:used]
    return Heaps(heaps.used, heaps.head, entry, heaps.first, heaps.lists, heaps.key, heaps.row)


@nb.njit(inline="always")
def add_list(heaps, a, b, begin, end):
    """Make what is in key[begin:end] and row[begin:end], after all that is listed, a list of swaps a -> b."""
    s = heaps.used[LISTS]
    heaps.lists[s].begin, heaps.lists[s].end, heaps.lists[s].arc = begin, end, a * heaps.head.shape[0] + b
    heaps.lists[s].next = -1
    last = heaps.first[a, b]
    if last < 0:
        heaps.first[a, b] = s
    else:
        while heaps.lists[last].next >= 0:
            last = np.int64(heaps.lists[last].next)
        heaps.lists[last].next = s
    heaps.used[LISTS], heaps.used[LISTED] = s + 1, end
    _lists.order(heaps.key, heaps.row, begin, end)


@nb.njit(inline="always")
def _place(heaps, place, arc, key, row):
    """Write a swap to where the next of its arc is to be."""
    at = place[arc]
    heaps.key[at], heaps.row[at] = key, row
    place[arc] = at + 1


@nb.njit(cache=True)
def _places(heaps, counts):
    """Where the swaps of each arc are to begin, of whom there are `counts`."""
    place, end = np.empty(counts.size, np.int64), heaps.used[LISTED]
    for i in range(counts.size):
        place[i] = end
        end += counts[i]
    return place


@nb.njit(cache=True)
def _add_placed(heaps, place, counts):
    """Make lists of what was placed."""
    size = heaps.head.shape[0]
    for i in range(counts.size):
        if counts[i]:
            add_list(heaps, i // size, i % size, place[i] - counts[i], place[i])


@nb.njit(cache=True)
def _add_lists(heaps, arc, key, row, counts):
    place = _places(heaps, counts)
    for i in range(arc.size):
        _place(heaps, place, arc[i], key[i], row[i])
    _add_placed(heaps, place, counts)


@nb.njit(cache=True)
def _pack(heaps, counts):
    place, entry = _places(heaps, counts), heaps.entry
    for e in range(heaps.used[ENTRIES]):
        if entry[e].child != GONE:
            _place(heaps, place, entry[e].arc, entry[e].key, entry[e].row)
    heaps.head[:] = -1
    heaps.used[ENTRIES] = 0
    _add_placed(heaps, place, counts)


def add_all(heaps: Heaps, arc: np.ndarray, key: np.ndarray, row: np.ndarray) -> Heaps:
    """Add swaps, arc = a (F + 1) + b, as lists."""
    counts = np.bincount(arc, minlength=heaps.head.size)
    heaps = _with_room_for_lists(heaps, counts)
    _add_lists(heaps, arc, key, row, counts)
    return heaps


def pack(heaps: Heaps) -> Heaps:
    """Make lists of the swaps that came one at a time."""
    entry = heaps.entry[: heaps.used[ENTRIES]]
    counts = np.bincount(entry["arc"][entry["child"] != GONE], minlength=heaps.head.size)
    heaps = _with_room_for_lists(heaps, counts)
    _pack(heaps, counts)
    return heaps


def _with_room_for_lists(heaps: Heaps, counts: np.ndarray) -> Heaps:
    """The heaps with room for one more list of each arc, with so many swaps."""
    listed, more = int(heaps.used[LISTED]), int(counts.sum())
    return heaps._replace(
        lists=_larger(heaps.lists, int(heaps.used[LISTS]), int(np.count_nonzero(counts))),
        key=_larger(heaps.key, listed, more),
        row=_larger(heaps.row, listed, more),
    )


def _larger(array: np.ndarray, used: int, more: int) -> np.ndarray:
    """The array, or a copy of what is used of it, with room for so much more."""
    if used + more <= len(array):
        return array
    larger = fresh(used + max(used, more), array.dtype)
    larger[:used] = array[:used]
    return larger


def empty(size: int, entries: int, listed: int) -> Heaps:
    """Heaps between `size` nodes without a swap. Room that is never used takes no memory."""
    head, first = np.full((2, size, size), -1, np.int64)
    key, row = fresh(listed, np.int64), fresh(listed, np.int32)
    return Heaps(np.zeros(3, np.int64), head, fresh(entries, ENTRY), first, fresh(size**2, LIST), key, row)
