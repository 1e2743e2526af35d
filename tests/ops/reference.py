"""What the ops compute, said plainly in NumPy and Python, one customer after another."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def eligible(tolerance, risk, mask):
    """(U, F) bool."""
    sees = tolerance[:, None].astype(int) >= risk[None, :].astype(int)
    if mask is not None:
        f = np.arange(risk.size)
        sees &= ((mask[:, f >> 6] >> (f & 63).astype(np.uint64)) & np.uint64(1)).astype(bool)
    return sees


def reduced(revenue, tolerance, risk, mask, offset, scale):
    """(U, F) values in units, -inf where a customer may not see a fund."""
    value = np.rint(revenue.astype(np.float64) * scale) + offset
    return np.where(eligible(tolerance, risk, mask), value, -np.inf)


def _best_first(row):
    """The funds a customer may see, best first, equal ones by lower index."""
    return [int(f) for f in np.argsort(-row, kind="stable") if row[f] > -np.inf]


def choices(data, offset, scale, k, slots, first, stride):
    """held, other, margin, value of every stride-th customer from the first on."""
    r = reduced(*data, offset, scale)
    funds, sample = r.shape[1], range(first, r.shape[0], stride)
    held, other = np.full((len(sample), k), funds, np.int16), np.full((len(sample), k), funds, np.int16)
    margin, total = np.full((len(sample), k), np.inf), 0
    for i, u in enumerate(sample):
        order, own = _best_first(r[u]), k if slots is None else int(slots[u])
        taken = [f for f in order[:own] if r[u, f] > 0]
        rest = order[len(taken) :]
        full = len(taken) == own
        for j, f in enumerate(taken):
            held[i, j], total = f, total + int(r[u, f])
            instead = full and bool(rest) and r[u, rest[0]] > 0
            other[i, j] = rest[0] if instead else funds
            margin[i, j] = r[u, f] - (r[u, rest[0]] if instead else 0.0)
        for j in range(len(taken), own):
            if j - len(taken) < len(rest):
                other[i, j], margin[i, j] = rest[j - len(taken)], -r[u, rest[j - len(taken)]]
    return held, other, margin, total


def price_pass(data, offset, scale, delta, k, slots, first, stride):
    """counts, swaps, value."""
    held, other, margin, value = choices(data, offset, scale, k, slots, first, stride)
    size = offset.size + 1
    counts, swaps = np.zeros(size, np.int64), np.zeros((size, size), np.int64)
    for i, u in enumerate(range(first, data[0].shape[0], stride)):
        empty_seen = False
        for j in range(k if slots is None else int(slots[u])):
            a, b = held[i, j], other[i, j]
            counts[a] += 1
            if a == size - 1 and empty_seen:
                continue  # of several empty slots only the first is likely to be filled soon
            empty_seen |= a == size - 1
            swaps[a, b] += margin[i, j] < delta[a, b]
    return counts, swaps, value


def take(data, offset, scale, k, slots):
    """chosen (U, K)."""
    held = choices(data, offset, scale, k, slots, 0, 1)[0].astype(np.int64)
    held[held == offset.size] = -1
    if slots is not None:
        held[np.arange(k)[None, :] >= slots[:, None].astype(int)] = -2
    return held.astype(np.int16)


def swaps(data, offset, scale, chosen):
    """Every swap (a, b, loss, customer), F standing for an empty slot, in order of the customers."""
    r = reduced(*data, offset, scale)
    funds, found = r.shape[1], []
    for u in range(r.shape[0]):
        row = [int(f) for f in chosen[u]]
        could = [f for f in range(funds) if r[u, f] > -np.inf and f not in row]
        for a in dict.fromkeys(f for f in row if f != -2):
            worth = 0.0 if a < 0 else r[u, a]
            found += [(a % (funds + 1), b, worth - r[u, b], u) for b in could]
            if a >= 0:
                found.append((a, funds, worth, u))
    return found


def margins(data, offset, scale, chosen):
    """What each customer's cheapest swap loses."""
    least = np.full(data[0].shape[0], np.inf)
    for _, _, loss, u in swaps(data, offset, scale, chosen):
        least[u] = min(least[u], loss)
    return least


def arcs(tolerance, risk, mask, chosen):
    """(F + 1, F) counts."""
    sees = eligible(tolerance, risk, mask)
    funds = risk.size
    counts = np.zeros((funds + 1, funds), np.int64)
    for u, row in enumerate(chosen.tolist()):
        for a in dict.fromkeys(f for f in row if f != -2):
            for b in range(funds):
                counts[a, b] += bool(sees[u, b]) and b not in row
    return counts


def arc_candidates(data, chosen, a, b, least=-np.inf):
    """The customers who could swap a for b and gain at least so much, and their gains."""
    sees = eligible(*data[1:])
    rows = [u for u, row in enumerate(chosen.tolist()) if a in row and b not in row and sees[u, b]]
    value = data[0].astype(np.float64)
    gains = [value[u, b] - (value[u, a] if a >= 0 else 0.0) for u in rows]
    return [u for u, g in zip(rows, gains) if g >= least], [g for g in gains if g >= least]


def count_funds(chosen, funds):
    """(F + 2,) how often -2, -1, 0, 1, ... occur."""
    return np.array([(chosen == f).sum() for f in range(-2, funds)])


def earned(revenue, chosen):
    """Revenue of all slots that hold a fund, and the sum of its sizes, in whole multiples of 2^-149."""
    held = [Fraction(float(revenue[u, f])) * 2**149 for u, row in enumerate(chosen.tolist()) for f in row if f >= 0]
    return sum(map(int, held)), sum(map(int, map(abs, held)))


def largest(revenue, tolerance, risk, mask, slots, wanted):
    """The largest |E| of the pairs that can be chosen, and of all that customers may see."""
    size = np.where(eligible(tolerance, risk, mask), np.abs(revenue), 0)
    choosable = wanted[None, :] & (True if slots is None else slots[:, None] > 0)
    return np.max(np.where(choosable, size, 0)), np.max(size)


def order(revenue, chosen):
    """Each row's funds by falling revenue, equal revenue by lower fund, then what is no fund."""
    out = chosen.copy()
    for u, row in enumerate(chosen.tolist()):
        funds = sorted((f for f in row if f >= 0), key=lambda f: (-float(revenue[u, f]), f))
        out[u] = funds + [f for f in row if f < 0]
    return out


def score_and_pick(data, done, alpha, is_open, k, tail):
    """Scores and picks of each customer (nan and -1 where they are done), by the words of Eq. 7."""
    revenue, sees = data[0], eligible(*data[1:])
    score, picks = np.full(len(revenue), np.nan), np.full((len(revenue), k), -1, np.int16)
    for u in np.flatnonzero(done == 0):
        funds = sorted((f for f in range(len(is_open)) if is_open[f] and sees[u, f]), key=lambda f: (-revenue[u, f], f))
        value = [float(revenue[u, f]) for f in funds]
        h = 0.0
        for j in range(len(funds) - 1):
            h += alpha[funds[j]] * (value[j] - value[j + 1])
        if funds and tail == "zero":
            h += alpha[funds[-1]] * value[-1]
        if tail == "inf" and 0 < len(funds) < len(is_open):
            h = np.inf
        score[u], picks[u, : len(funds[:k])] = h, funds[:k]
    return score, picks


def one_round(data, key, picks, done, quota, shift):
    """Customers served one after the other, the highest key first, until a fund runs out: who, and what they leave."""
    left = quota.copy()
    served = np.zeros(len(key), bool)
    for u in sorted(np.flatnonzero(done == 0), key=lambda u: (-int(key[u]), u)):
        served[u] = True
        held = picks[u][picks[u] >= 0]
        left[held] -= 1
        if (left[held] <= 0).any():
            break
    counts = [int((picks[served] == f).sum()) for f in range(quota.size)]
    return (
        served,
        np.array(counts),
        column_sums([a if i == 2 or a is None else a[served] for i, a in enumerate(data)], shift),
    )


def column_sums(data, shift):
    """(F,) sums of whole multiples of 2^-shift over those who may see each fund."""
    units = np.rint(data[0].astype(np.float64) * 2.0**shift)
    return np.where(eligible(*data[1:]), units, 0.0).astype(np.int64).sum(0)


def auction_phase(data, slots, k, scale, quota, eps, price, bids):
    """Prices after one phase, and whether everybody found a place; no more than `bids` bids for each who waits."""
    funds, own = quota.size, [k] * len(data[0]) if slots is None else slots.tolist()
    spare = sum(own) - int(quota.sum())
    places = [*quota.tolist(), spare] if spare > 0 else quota.tolist()
    worth = reduced(*data, 0.0, scale)
    if spare > 0:
        worth = np.column_stack([worth, np.zeros(len(worth))])
    every = np.ones(funds, bool)
    captive = 2 * round(float(largest(*data, slots, every)[1]) * scale) + 1
    waiting = [None] * max(0, -spare) + [u for u in reversed(range(len(own))) for _ in range(own[u])]
    price, prices = price.copy(), price.tolist()
    kept, held, everybody = [[] for _ in places], [set() for _ in own], True
    for _ in range(bids * len(waiting)):
        if not waiting:
            break
        who = waiting.pop()
        if who is None:
            likes = [(-prices[f], -f) for f, n in enumerate(places) if n > 0]
        else:
            could = (f for f in range(len(places)) if worth[who, f] > -np.inf and f not in held[who])
            likes = [(int(worth[who, f]) - prices[f], -f) for f in could]
        likes.sort(reverse=True)
        if not likes:
            everybody = False
            continue
        f = -likes[0][1]
        amount = prices[f] + eps + (likes[0][0] - likes[1][0] if len(likes) > 1 else captive)
        if amount > captive * (len(places) + 2):
            everybody = False
        elif places[f] == 0:
            prices[f] = amount
            waiting.append(who)
        else:
            if who is not None and f < funds:
                held[who].add(f)
            if len(kept[f]) < places[f]:
                _push(kept[f], (amount, who))
            else:
                _, out = kept[f][0]
                if out is not None:
                    held[out].discard(f)
                _replace_lowest(kept[f], (amount, who))
                waiting.append(out)
            if len(kept[f]) == places[f]:
                prices[f] = max(prices[f], kept[f][0][0])
    price[: len(places)] = prices[: len(places)]
    return price, everybody and not waiting


# Of equal bids it shows in the prices which one is thrown out: so the heap itself belongs to what is computed.
def _push(heap, bid):
    heap.append(bid)
    i = len(heap) - 1
    while i > 0 and heap[(i - 1) // 2][0] > heap[i][0]:
        heap[i], heap[(i - 1) // 2] = heap[(i - 1) // 2], heap[i]
        i = (i - 1) // 2


def _replace_lowest(heap, bid):
    heap[0], i = bid, 0
    while children := [c for c in (2 * i + 1, 2 * i + 2) if c < len(heap)]:
        child = min(children, key=lambda c: heap[c][0])
        if heap[child][0] >= bid[0]:
            break
        heap[i], heap[child] = heap[child], heap[i]
        i = child
