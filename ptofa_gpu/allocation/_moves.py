"""The loop of the exchange: shortest paths on the fund graph, and the moves of customers along them.

Nodes are the funds and the empty slot (node F). See `ptofa_gpu.allocation.exchange`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from ptofa_gpu.allocation._heaps import ENTRIES, NOWHERE, add, forget_empty, put_back, take_off, top, with_room
from ptofa_gpu.ops._rows import CLOSED, EMPTY, holds, may_see, units

FAR = np.int64(1) << np.int64(62)
LARGEST = 4096  # customers moved along a path before limits are looked at again
UNREACHED = FAR >> np.int64(1)  # farther than any path, nearer than where an arc of infinite cost leads
DONE, NEEDS_SWAPS, STOPPED, NEEDS_CUSTOMERS = 0, 1, 2, 3
# what `State.count` holds: paths and moves so far; of the search whose paths are being taken, how many nodes it found,
# the distance of the last that has too little, the paths before it, and the node that is next; of the path that waits
# for customers, its nodes, and how many were moved at a time
PATHS, MOVES, FOUND, REACH, BEFORE, NEXT, NODES, AT_ONCE = range(8)


class Customers(NamedTuple):
    """Those who can take part. Row `place[u]` of `revenue` is customer u's, or row u where `place` is empty.

    A customer whose place is -1 must be brought before they move; where the plan is not `known`, what they have in
    `chosen` is not theirs, and they have not moved.
    """

    revenue: Any
    tolerance: Any
    risk: Any
    mask: Any
    offset: Any
    scale: float
    chosen: Any
    place: Any
    known: bool


class Slack(NamedTuple):
    """What leaving an exposure of each fund unused costs; see `exchange.Supply`."""

    price: Any
    unused: Any
    free: Any
    low_bonus: int


class State(NamedTuple):
    """Where `run` is: it can be left and come back to."""

    imbalance: Any  # (F + 1,) exposures that each node has too many
    potential: Any  # (F + 1,)
    distance: Any
    parent: Any
    order: Any  # nodes by distance
    path: Any
    touched: Any  # nodes of the paths that this search has served
    count: Any


class Arcs(NamedTuple):
    """(F + 1, F + 1): what every arc costs, who swaps for that (-1: nobody at hand), what other swaps cost at least."""

    cost: Any
    top: Any
    bound: Any


@nb.njit(inline="always")
def _slack_cost(slack, a, b, funds):
    """Cost of the arc that moves no customer: a = F leaves one more of b unused, b = F uses one more of a."""
    price, unused, free = slack.price, slack.unused, slack.free
    if a == funds:
        return price[b] if unused[b] < free[b] else price[b] + slack.low_bonus
    if b == funds and unused[a] > 0:
        return -price[a] if unused[a] <= free[a] else -(price[a] + slack.low_bonus)
    return FAR


@nb.njit(inline="always")
def _slack_limit(slack, a, b, funds):
    """How often the arc that moves no customer can be taken at its cost."""
    unused, free = slack.unused, slack.free
    if a == funds:
        return free[b] - unused[b] if unused[b] < free[b] else FAR
    return unused[a] if unused[a] <= free[a] else unused[a] - free[a]


@nb.njit(inline="always")
def _cost(arcs, slack, a, b, funds):
    """What a -> b costs, whether a customer moves or not."""
    if a == funds or b == funds:
        return min(arcs.cost[a, b], _slack_cost(slack, a, b, funds))
    return arcs.cost[a, b]


@nb.njit(cache=True)
def _search(arcs, slack, state):
    """Dijkstra from every node with too much until every node with too little is reached; potentials follow.

    Notes how many nodes were found, and the distance of the last that has too little (-1: there is none).
    """
    imbalance, potential, distance, parent, order, _, touched, count = state
    size = arcs.cost.shape[0]
    funds = size - 1
    sinks = 0
    front = np.full(size, UNREACHED)  # distances of the nodes that are still to be visited
    for v in range(size):
        distance[v] = UNREACHED
        if imbalance[v] > 0:
            distance[v] = front[v] = 0
        parent[v] = -1
        sinks += imbalance[v] < 0
    n, reach, far = 0, np.int64(-1), np.int64(0)
    while sinks > 0:
        least = UNREACHED
        for v in range(size):
            least = min(least, front[v])
        if least == UNREACHED:
            break
        a = 0
        while front[a] != least:
            a += 1
        if n == size or least < far:
            raise RuntimeError("a swap gains at the prices of an exchange; this must not happen")
        far = least
        front[a] = UNREACHED
        order[n] = a
        n += 1
        if imbalance[a] < 0:
            sinks -= 1
            reach = least
        base, cost = least + potential[a], arcs.cost[a]
        # no reduced cost is negative, so no node that was visited comes nearer
        for b in range(funds):
            c = min(cost[b], _slack_cost(slack, a, b, funds)) if a == funds else cost[b]
            d = base + c - potential[b]
            if d < distance[b]:
                distance[b] = front[b] = d
                parent[b] = a
        if a != funds:
            d = base + _cost(arcs, slack, a, funds, funds) - potential[funds]
            if d < distance[funds]:
                distance[funds] = front[funds] = d
                parent[funds] = a
    if reach >= 0:
        # where some fund cannot be reached at all the prices of those that can are still right
        for v in range(size):
            potential[v] += min(distance[v], reach)
    touched[:] = False
    count[FOUND], count[REACH], count[BEFORE], count[NEXT] = n, reach, count[PATHS], 0


@nb.njit(inline="always")
def is_valid(customers, u, a, b, funds):
    """Whether customer u still holds a and could have b."""
    if not customers.known and customers.place[u] < 0:
        return True
    chosen = customers.chosen
    return holds(chosen, u, EMPTY if a == funds else a) and (b == funds or not holds(chosen, u, b))


@nb.njit(cache=True)
def clean(customers, heaps, arcs, a, b):
    """Drop swaps from the top of a -> b that have become impossible, and note what the arc costs at least."""
    funds = arcs.cost.shape[0] - 1
    where, key, u = top(heaps, a, b)
    while where != NOWHERE and not is_valid(customers, u, a, b, funds):
        take_off(heaps, a, b, where)
        where, key, u = top(heaps, a, b)
    forget_empty(heaps, a, b)
    if where != NOWHERE and key <= arcs.bound[a, b]:
        arcs.cost[a, b], arcs.top[a, b] = key, u
    else:
        arcs.cost[a, b], arcs.top[a, b] = arcs.bound[a, b], -1


@nb.njit(cache=True)
def clean_all(customers, heaps, arcs, these):
    """`clean` for the arcs a (F + 1) + b."""
    size = arcs.cost.shape[0]
    for i in these:
        clean(customers, heaps, arcs, i // size, i % size)


@nb.njit(inline="always")
def _is_real(arcs, slack, a, b, funds):
    """Whether the arc's cost is that of a swap at hand or of leaving quota unused, and not a mere bound."""
    if arcs.top[a, b] >= 0:
        return True
    return (a == funds or b == funds) and _slack_cost(slack, a, b, funds) <= arcs.cost[a, b]


@nb.njit(cache=True)
def _trace(arcs, slack, state, sink):
    """Write the path to `sink`, last node first; its length, or 0 where it may not be taken."""
    funds = arcs.cost.shape[0] - 1
    parent, touched, path = state.parent, state.touched, state.path
    n, v = 0, sink
    while v >= 0:
        if touched[v]:
            return 0
        path[n] = v
        n += 1
        v = parent[v]
    for s in range(n - 1):
        if not _is_real(arcs, slack, path[s + 1], path[s], funds):
            return 0
    for s in range(n):
        touched[path[s]] = True
    return n


@nb.njit(cache=True)
def _mark(arcs, slack, parent, sink, blocked):
    """Note which arcs of the path to `sink` are mere bounds."""
    funds = arcs.cost.shape[0] - 1
    v = sink
    while parent[v] >= 0:
        a = parent[v]
        if not _is_real(arcs, slack, a, v, funds):
            blocked[a, v] = True
        v = a


@nb.njit(cache=True)
def _take_off(customers, heaps, arcs, slack, state, n, amount, batch, begin):
    """Take off the heaps as many tied customers for each arc of a path as may move, at most `amount`.

    Returns (batch, how many may move): ``batch[:, begin[s]:begin[s + 1]]`` are the customers of the path's arc s, and
    what `put_back` wants to know of each.
    """
    funds = arcs.cost.shape[0] - 1
    potential, path = state.potential, state.path
    taken = 0
    for s in range(n - 1):
        a, b = path[s + 1], path[s]
        begin[s] = taken
        if (a == funds or b == funds) and (_slack_cost(slack, a, b, funds) + potential[a] == potential[b]):
            amount = min(amount, _slack_limit(slack, a, b, funds))
            continue
        before = np.int64(-1)
        where, key, u = top(heaps, a, b)
        while taken - begin[s] < amount and where != NOWHERE and key == arcs.cost[a, b]:
            back = take_off(heaps, a, b, where)
            # who has moved may be there twice, one after the other
            if u != before and is_valid(customers, u, a, b, funds):
                before = u
                if taken == batch.shape[1]:
                    larger = np.empty((2, 2 * taken), np.int64)
                    larger[:, :taken] = batch
                    batch = larger
                batch[0, taken], batch[1, taken] = u, back
                taken += 1
            where, key, u = top(heaps, a, b)
        amount = min(amount, taken - begin[s])
    begin[n - 1] = taken
    return batch, amount


@nb.njit(cache=True)
def _put_back(heaps, arcs, state, n, first, batch, begin):
    """Put back those who were taken off for an arc after the first so many."""
    for s in range(n - 1):
        a, b = state.path[s + 1], state.path[s]
        for i in range(begin[s] + first, begin[s + 1]):
            put_back(heaps, a, b, batch[1, i], arcs.cost[a, b], batch[0, i])


@nb.njit(cache=True)
def _not_here(customers, n, amount, batch, begin):
    """Those of the first `amount` for each arc who are not here."""
    out, found = np.empty(begin[n - 1] if customers.place.size else 0, np.int64), 0
    if customers.place.size:
        for s in range(n - 1):
            for i in range(begin[s], min(begin[s] + amount, begin[s + 1])):
                if customers.place[batch[0, i]] < 0:
                    out[found] = batch[0, i]
                    found += 1
    return out[:found]


@nb.njit(cache=True)
def _move(customers, heaps, arcs, u, a, b):
    """Give customer u fund b in place of a, and add what the customer could do now."""
    chosen, at = customers.chosen, customers.place[u] if customers.place.size else u
    funds = arcs.cost.shape[0] - 1
    for j in range(chosen.shape[1]):
        if chosen[u, j] == (EMPTY if a == funds else a):
            chosen[u, j] = EMPTY if b == funds else b
            break
    # the heads that this makes impossible are the customer's own: giving up a once more, or getting b
    for c in range(funds + 1):
        if arcs.top[a, c] == u and c != a:
            clean(customers, heaps, arcs, a, c)
    for j in range(chosen.shape[1]):
        held = np.int64(chosen[u, j])
        if held != CLOSED and held != b and arcs.top[held if held >= 0 else funds, b] == u:
            clean(customers, heaps, arcs, held if held >= 0 else funds, b)
    revenue, scale, offset = customers.revenue, customers.scale, customers.offset
    # swap b for something; another fund, or an empty slot, for a
    r_a = 0.0 if a == funds else units(revenue[at, a], scale) + offset[a]
    r_b = 0.0 if b == funds else units(revenue[at, b], scale) + offset[b]
    refill = a != funds and b != funds and holds(chosen, u, EMPTY)
    for c in range(funds + 1 + refill):
        x, y = b, c
        if c > funds:
            loss, x, y = -r_a, funds, a
        elif c == funds:
            if b == funds:
                continue
            loss = r_b
        elif not may_see(customers.tolerance, customers.risk, customers.mask, u, c):
            continue
        elif holds(chosen, u, c):
            if c == b or a == funds:
                continue
            loss, x, y = units(revenue[at, c], scale) + offset[c] - r_a, c, a
        else:
            loss = r_b - (units(revenue[at, c], scale) + offset[c])
        if loss <= arcs.bound[x, y]:  # of those that cost as much as the bound some may be at hand, and some may not
            key = np.int64(loss)
            add(heaps, x, y, key, u)
            least = arcs.cost[x, y]
            if arcs.top[x, y] < 0 or key < least or (key == least and u < arcs.top[x, y]):
                arcs.cost[x, y], arcs.top[x, y] = key, u


@nb.njit(cache=True)
def _along(customers, heaps, arcs, slack, state, n, amount, batch, begin):
    """Move `amount` customers along every arc of a path, the first of those who were taken off for it."""
    funds = arcs.cost.shape[0] - 1
    path = state.path
    for s in range(n - 1):
        a, b = path[s + 1], path[s]
        if begin[s + 1] == begin[s]:
            slack.unused[b if a == funds else a] += amount if a == funds else -amount
            continue
        for i in range(begin[s], begin[s] + amount):
            heaps = with_room(heaps, 2 * (funds + 1))
            _move(customers, heaps, arcs, batch[0, i], a, b)
        state.count[MOVES] += amount
    state.imbalance[path[n - 1]] -= amount
    state.imbalance[path[0]] += amount
    for s in range(n - 1):
        clean(customers, heaps, arcs, path[s + 1], path[s])
    return heaps


@nb.njit(cache=True)
def _is_tied(arcs, slack, state, n):
    """Whether the path can be taken again at the same cost."""
    funds = arcs.cost.shape[0] - 1
    path, potential = state.path, state.potential
    if state.imbalance[path[n - 1]] <= 0 or state.imbalance[path[0]] >= 0:
        return False
    for s in range(n - 1):
        a, b = path[s + 1], path[s]
        c = _cost(arcs, slack, a, b, funds)
        if c >= FAR or c + potential[a] - potential[b] != 0 or not _is_real(arcs, slack, a, b, funds):
            return False
    return True


@nb.njit(cache=True)
def run(customers, heaps, arcs, slack, state, blocked, max_paths, max_moves, max_entries):
    """Move customers until every fund is right, or every path left rests on a bound, or a limit is reached.

    Updates chosen, arcs, slack, state, and in `blocked` the bounds that are in the way.

    Returns (status, heaps, missing): the customers who must be here before it can go on.
    """
    imbalance, count = state.imbalance, state.count
    none = np.empty(0, np.int64)
    batch, begin = np.empty((2, 64), np.int64), np.empty(arcs.cost.shape[0] + 1, np.int64)
    last_path, last_move = count[PATHS] + max_paths, count[MOVES] + max_moves
    while (imbalance != 0).any():
        if count[FOUND] == 0:
            _search(arcs, slack, state)
        for i in range(count[NEXT], count[FOUND]):
            sink, n, most = state.order[i], count[NODES], count[AT_ONCE]
            count[NODES] = 0
            if n == 0:
                if imbalance[sink] < 0 and state.distance[sink] <= count[REACH]:
                    n = _trace(arcs, slack, state, sink)
                if n == 0:
                    continue
                count[PATHS] += 1
                most = 1
            again = True
            while again:  # as often as customers are tied along the whole path
                # ever more at a time: those who are taken off for one arc are put back where another has fewer
                most = min(4 * most, LARGEST)
                amount = min(most, imbalance[state.path[n - 1]], -imbalance[sink])
                batch, amount = _take_off(customers, heaps, arcs, slack, state, n, amount, batch, begin)
                missing = _not_here(customers, n, amount, batch, begin)
                _put_back(heaps, arcs, state, n, 0 if missing.size else amount, batch, begin)
                if missing.size:
                    count[NEXT], count[NODES], count[AT_ONCE] = i, n, -(-most // 4)
                    return NEEDS_CUSTOMERS, heaps, missing
                heaps = _along(customers, heaps, arcs, slack, state, n, amount, batch, begin)
                again = _is_tied(arcs, slack, state, n)
                if count[PATHS] >= last_path or count[MOVES] >= last_move or heaps.used[ENTRIES] >= max_entries:
                    count[NEXT], count[NODES], count[AT_ONCE] = i + 1 - again, n * again, most
                    return STOPPED, heaps, none
        if count[PATHS] == count[BEFORE]:
            for i in range(count[FOUND]):
                if imbalance[state.order[i]] < 0 and state.distance[state.order[i]] <= count[REACH]:
                    _mark(arcs, slack, state.parent, state.order[i], blocked)
            count[FOUND] = 0
            return NEEDS_SWAPS, heaps, none
        count[FOUND] = 0
    return DONE, heaps, none
