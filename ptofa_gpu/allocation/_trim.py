"""Making room in the heaps of an exchange: of the swaps at hand only those stay that may be wanted soon.

What an exchange takes next is what is cheapest at the potentials, so the swaps that are dearest at them can go. The
bound of an arc then is what the cheapest costs that has gone; it can be fetched again.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from ptofa_gpu.allocation._heaps import GONE, Heaps, push
from ptofa_gpu.allocation._moves import FAR, Arcs, Customers, clean_all

#: One in so many customers stands for all where it is decided what stays.
SAMPLE = 16


@nb.njit(cache=True)
def _sampled(entry, used, potential):
    """How many swaps are at hand, and (cost at the potentials, row) of those that a sample of the customers offers."""
    size, left, n = potential.size, 0, 0
    sample = np.empty((used // SAMPLE + 1024, 2), np.int64)
    for e in range(used):
        if entry[e].child == GONE:
            continue
        left += 1
        if entry[e].row % SAMPLE == 0:
            if n == len(sample):
                sample = np.append(sample, np.empty_like(sample), 0)
            a, b = entry[e].arc // size, entry[e].arc % size
            sample[n, 0], sample[n, 1] = entry[e].key + potential[a] - potential[b], entry[e].row
            n += 1
    return left, sample[:n]


@nb.njit(cache=True)
def _keep(heaps, used, bound, last, potential, most, most_row):
    """Keep what comes no later than (`most`, `most_row`), in new heaps; how many entries are used.

    What comes first is what costs least at the potentials, and of that the first rows.
    """
    entry, size, n = heaps.entry, potential.size, 0
    dropped = np.full((size, size), FAR)
    heaps.head[:] = -1
    for e in range(used):
        if entry[e].child == GONE:
            continue
        key, row, a, b = entry[e].key, np.int64(entry[e].row), entry[e].arc // size, entry[e].arc % size
        cost = key + potential[a] - potential[b]
        if cost < most or (cost == most and row <= most_row):
            push(heaps, n, a, b, key, row)  # n <= e: nothing is written over that is still to be read
            n += 1
        else:
            dropped[a, b] = min(dropped[a, b], key)
    for a in range(size):
        for b in range(size):
            if dropped[a, b] == FAR:
                continue
            here = most_row if dropped[a, b] + potential[a] - potential[b] == most else -1
            # at the old bound not even all that come before it were at hand
            last[a, b] = min(here, last[a, b]) if dropped[a, b] == bound[a, b] else here
            bound[a, b] = dropped[a, b]
    return n


def trim(
    customers: Customers, heaps: Heaps, used: int, arcs: Arcs, last: np.ndarray, potential: np.ndarray, most: int
) -> int:
    """Keep about `most` of the swaps in the heaps; how many entries are used then.

    `last` is of the customers as `bound` is of the arcs: see `candidates.Found`. What stays does not depend on how the
    heaps were put together.
    """
    left, sample = _sampled(heaps.entry, used, potential)
    limit = FAR, 0
    if left > most and len(sample):
        order = np.lexsort(sample.T[::-1])
        limit = tuple(sample[order[len(sample) * most // left]].tolist())
    used = _keep(heaps, used, arcs.bound, last, potential, *limit)
    clean_all(customers, heaps, arcs, np.arange(arcs.cost.size))
    return int(used)
