"""The path of a repair that loses least: what moves along the fund graph gain, and the best way from slot to quota."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.ops._rows import EMPTY

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.problem import AllocationProblem

#: Gains are read off about so many (slot, fund) pairs; more customers are sampled.
SAMPLE_PAIRS = 1 << 15
#: Paths of up to so many moves are compared by what they gain; longer ones are taken only where there is no other way.
MOVES_COMPARED = 6


class Sample:
    """Some customers, spread evenly, who stand for all where gains along arcs are estimated."""

    def __init__(self, problem: AllocationProblem, revenue: RevenueBlocks):
        rows = max(256, SAMPLE_PAIRS // (problem.k * problem.n_funds))
        self.stride = max(1, problem.n_customers // rows)
        #: (F, n) float64 and bool: a fund's values lie side by side
        self.value = np.ascontiguousarray(revenue.every(self.stride).T, dtype=np.float64)
        self.allowed = np.ascontiguousarray(may_see_rows(problem, slice(None, None, self.stride)).T)
        # as finite as it must be for sums along paths to be compared
        self.unseen = -4.0 * (problem.max_revenue + 1.0)

    def gains(self, chosen: np.ndarray, amount: int) -> np.ndarray:
        """What the last of the `amount` best customers gains by swapping fund a for fund b.

        Parameters
        ----------
        chosen : (U, K) int16
            The plan; EMPTY in open slots, CLOSED in those a customer does not have.
        amount : int
            How many customers are to move.

        Returns
        -------
        (F + 1, F) float64
            Currency; row F: taking b into an empty slot. Where the sample has too few customers, what the last of them
            gains; where it has none, less than any swap can lose.
        """
        n_funds = len(self.value)
        pick = chosen[:: self.stride]
        row, slot = np.nonzero(pick >= 0)
        held = pick[row, slot]
        take = np.where(self.allowed, self.value, -np.inf)
        take[held, row] = -np.inf
        rank = -(-amount // self.stride)
        out = np.full((n_funds + 1, n_funds), self.unseen)
        order = np.argsort(held, kind="stable")
        bounds = np.searchsorted(held[order], np.arange(n_funds + 1))
        for a in range(n_funds):
            of = row[order[bounds[a] : bounds[a + 1]]]
            _last_of_best(take[:, of] - self.value[a, of], rank, out[a])
        _last_of_best(take[:, (pick == EMPTY).any(1)], rank, out[n_funds])
        return out


def may_see_rows(problem: AllocationProblem, rows: Any) -> np.ndarray:
    """(n, F) bool, what the customers `rows` may see."""
    allowed = problem.tolerance[rows, None] >= problem.risk[None, :]
    if problem.mask is not None:
        fund = np.arange(problem.n_funds)
        word = problem.mask[rows][:, fund >> 6]
        allowed &= ((word >> (fund & 63).astype(np.uint64)) & np.uint64(1)).astype(bool)
    return allowed


def _last_of_best(gains: np.ndarray, rank: int, out: np.ndarray) -> None:
    """Write the rank-th largest number of each row, or the smallest where there are fewer, where there are any."""
    n = gains.shape[1]
    if n == 0:
        return
    at = max(0, n - rank)
    last = gains.max(1) if at == n - 1 else np.partition(gains, at, axis=1)[:, at]
    few = ~np.isfinite(last)
    if few.any():
        last[few] = np.where(np.isfinite(gains[few]), gains[few], np.inf).min(1)
    np.copyto(out, last, where=np.isfinite(last))


def best_path(gain: np.ndarray, has_spare: np.ndarray, is_open: np.ndarray) -> list[int] | None:
    """The path of most gain to a fund with open quota: from an empty slot (-1), or from a fund that can spare some.

    Parameters
    ----------
    gain : (F + 1, F)
        Of each arc, -inf where there is none; row F: from the empty slot.
    has_spare, is_open : (F,) bool

    Returns
    -------
    list of int or None
        Nodes, none twice. By Bellman and Ford over walks of up to `MOVES_COMPARED` moves, loops cut out; equal gains:
        fewer moves, then lower indices. Where all paths are longer, one of the fewest moves.
    """
    n_funds = gain.shape[1]
    worth = np.where(has_spare, 0.0, -np.inf)
    back: list[np.ndarray] = []
    best: tuple[float, list[int]] | None = None
    seen = np.zeros(n_funds, bool)
    for moves in range(1, n_funds + 1):  # walks of one more move each time; taking a fund into an empty slot is one too
        through = worth[:, None] + gain[:n_funds]
        before = through.argmax(0)
        reached = through[before, np.arange(n_funds)]
        if moves == 1:
            before = np.where(gain[n_funds] > reached, -1, before)
            reached = np.maximum(gain[n_funds], reached)
        back.append(before)
        worth = reached
        ends = np.where(is_open, worth, -np.inf)
        if np.isfinite(ends.max()):
            path = _without_loops(_walk(back, int(ends.argmax())))
            total = sum(float(gain[a, b]) for a, b in pairwise(path))
            if best is None or total > best[0]:
                best = total, path
        known, seen = seen, seen | np.isfinite(worth)
        if moves >= MOVES_COMPARED and (best is not None or (known == seen).all()):
            break
    return None if best is None else best[1]


def _walk(back: list[np.ndarray], end: int) -> list[int]:
    walk = [end]
    for before in reversed(back):
        walk.append(int(before[walk[-1]]))
        if walk[-1] < 0:
            break
    return walk[::-1]


def _without_loops(walk: list[int]) -> list[int]:
    path: list[int] = []
    for node in walk:
        if node in path:
            del path[path.index(node) + 1 :]
        else:
            path.append(node)
    return path
