"""Making room in the heaps of an exchange: of the swaps at hand only those stay that may be wanted soon.

What an exchange takes next is what is cheapest at the potentials, so the swaps that are dearest at them can go. The
bound of an arc then is what the cheapest costs that has gone; it can be fetched again.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from ptofa_gpu.allocation._heaps import LISTED, LISTS, Heaps, add_list, pack
from ptofa_gpu.allocation._lists import EACH_BYTES
from ptofa_gpu.allocation._moves import FAR, Arcs, Customers, clean_all

#: One in so many customers stands for all where it is decided what stays.
SAMPLE = 16


@nb.njit(cache=True)
def _sampled(heaps, potential):
    """How many swaps are at hand, and (cost at the potentials, row) of those that a sample of the customers offers."""
    size, n, there = potential.size, 0, 0
    sample = np.empty((heaps.used[LISTED] // SAMPLE + 1024, 2), np.int64)
    for s in range(heaps.used[LISTS]):
        of = heaps.lists[s]
        more = potential[of.arc // size] - potential[of.arc % size]
        there += of.end - of.begin
        for i in range(of.begin, of.end):
            if heaps.row[i] % SAMPLE == 0:
                if n == len(sample):
                    sample = np.append(sample, np.empty_like(sample), 0)
                sample[n, 0], sample[n, 1] = heaps.key[i] + more, heaps.row[i]
                n += 1
    return there, sample[:n]


@nb.njit(cache=True)
def _keep(heaps, bound, last, potential, most, most_row):
    """Keep what comes no later than (`most`, `most_row`).

    What comes first is what costs least at the potentials, and of that the first rows.
    """
    size, key, row, lists = potential.size, heaps.key, heaps.row, heaps.used[LISTS]
    dropped = np.full((size, size), FAR)
    heaps.first[:] = -1
    heaps.used[:] = 0
    for s in range(lists):  # one after the other in memory: nothing is written over that is still to be read
        a, b, begin = heaps.lists[s].arc // size, heaps.lists[s].arc % size, heaps.used[LISTED]
        more, at = potential[a] - potential[b], begin
        for i in range(heaps.lists[s].begin, heaps.lists[s].end):
            if key[i] + more < most or (key[i] + more == most and row[i] <= most_row):
                key[at], row[at] = key[i], row[i]
                at += 1
            else:
                dropped[a, b] = min(dropped[a, b], key[i])
        if at > begin:
            add_list(heaps, a, b, begin, at)
    for a in range(size):
        for b in range(size):
            if dropped[a, b] == FAR:
                continue
            here = most_row if dropped[a, b] + potential[a] - potential[b] == most else -1
            # at the old bound not even all that come before it were at hand
            last[a, b] = min(here, last[a, b]) if dropped[a, b] == bound[a, b] else here
            bound[a, b] = dropped[a, b]


def trim(customers: Customers, heaps: Heaps, arcs: Arcs, last: np.ndarray, potential: np.ndarray, most: int) -> Heaps:
    """Keep about `most` bytes of the swaps in the heaps; the heaps then.

    `last` is of the customers as `bound` is of the arcs: see `candidates.Found`. What stays does not depend on how the
    heaps were put together.
    """
    heaps = pack(heaps)
    there, sample = _sampled(heaps, potential)
    limit, share = (FAR, 0), most / max(1, there * EACH_BYTES)
    if share < 1 and len(sample):
        order = np.lexsort(sample.T[::-1])
        limit = tuple(sample[order[int(len(sample) * share)]].tolist())
    _keep(heaps, arcs.bound, last, potential, *limit)
    clean_all(customers, heaps, arcs, np.arange(arcs.cost.size))
    return heaps
