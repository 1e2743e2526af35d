"""The path of a repair that loses least: what moves along the fund graph gain, and the best way from slot to quota."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.device import to_device
from ptofa_gpu.ops._entry import Entry

if TYPE_CHECKING:
    from ptofa_gpu.allocation.blocks import RevenueBlocks
    from ptofa_gpu.allocation.problem import AllocationProblem

#: Gains are read off about so many (slot, fund) pairs; more customers are sampled.
SAMPLE_PAIRS = 1 << 15
#: Paths of up to so many moves are compared by what they gain; longer ones are taken only where there is no other way.
MOVES_COMPARED = 6


_GAINS = Entry(
    "swap_gains",
    "in_f32 value; in_u8 allowed; in_i16 pick; i64 rows; i64 funds; i64 k; i64 rank; i64 more; f64 unseen; "
    "out_f64 last; out_f64 least",
)


class Sample:
    """Some customers, spread evenly, who stand for all where gains along arcs are estimated; on the host."""

    def __init__(self, problem: AllocationProblem, revenue: RevenueBlocks):
        rows = max(256, SAMPLE_PAIRS // (problem.k * problem.n_funds))
        self.stride = max(1, problem.n_customers // rows)
        self.value = to_device(revenue.every(self.stride), "cpu")
        self.allowed = may_see_rows(problem, slice(None, None, self.stride))
        # as finite as it must be for sums along paths to be compared
        self.unseen = -4.0 * (problem.max_revenue or 1.0)

    def gains(self, chosen: Any, amount: int) -> tuple[np.ndarray, np.ndarray]:
        """What the last of the `amount` best customers gains by swapping fund a for fund b.

        Parameters
        ----------
        chosen : (U, K) int16
            The plan; EMPTY in open slots, CLOSED in those a customer does not have.
        amount : int
            How many customers are to move.

        Returns
        -------
        last : (F + 1, F) float64
            Currency; row F: taking b into an empty slot. Where the sample has too few customers, what the last of them
            gains; where it has none, less than any swap can lose.
        least : (F + 1, F) float64
            A gain that rather more customers reach, -inf where the sample has too few to tell.
        """
        pick = np.ascontiguousarray(to_device(chosen[:: self.stride], "cpu"))
        rank = -(-amount // self.stride)
        rows, funds = self.value.shape
        last, least = np.empty((funds + 1, funds)), np.empty((funds + 1, funds))
        _GAINS(
            value=self.value, allowed=self.allowed.view(np.uint8), pick=pick, rows=rows, funds=funds, k=pick.shape[1],
            rank=rank, more=rank + rank // 2 + 4, unseen=self.unseen, last=last, least=least,
        )  # fmt: skip
        return last, least


def may_see_rows(problem: AllocationProblem, rows: Any) -> np.ndarray:
    """(n, F) bool, what the customers `rows` may see."""
    allowed = problem.tolerance[rows, None] >= problem.risk[None, :]
    if problem.mask is not None:
        fund = np.arange(problem.n_funds)
        word = problem.mask[rows][:, fund >> 6]
        allowed &= ((word >> (fund & 63).astype(np.uint64)) & np.uint64(1)).astype(bool)
    return allowed


def best_path(
    gain: np.ndarray, has_spare: np.ndarray, is_open: np.ndarray, compared: int = MOVES_COMPARED
) -> list[int] | None:
    """The path of most gain to a fund with open quota: from an empty slot (-1), or from a fund that can spare some.

    Parameters
    ----------
    gain : (F + 1, F)
        Of each arc, -inf where there is none; row F: from the empty slot.
    has_spare, is_open : (F,) bool
    compared : int
        Moves of the longest paths that are compared by what they gain.

    Returns
    -------
    list of int or None
        Nodes, none twice. By Bellman and Ford over walks of up to `compared` moves, loops cut out; equal gains:
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
        if moves >= compared and (best is not None or (known == seen).all()):
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
