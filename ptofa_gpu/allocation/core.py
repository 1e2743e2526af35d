"""The problem without what cannot change its best plan: what allocators that look for that plan work on."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation._checks import pack
from ptofa_gpu.allocation._exact import exact_fraction
from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem


@dataclass(frozen=True)
class Core:
    """A problem whose best plans are those of another one, and earn as much but for constants.

    Attributes
    ----------
    problem : AllocationProblem
        Without the constants of customers' rows (`ptofa_gpu.allocation.centring`) where all slots can be filled, and
        without pairs that cannot be chosen where their revenue is larger than all others': it would set the unit of
        prices. The problem itself where there is neither.
    constants : (U,) float64, or None
        What each exposure of a customer earns on top of the problem's revenue.
    stands_for : AllocationProblem
        The problem that it is made from.
    """

    problem: AllocationProblem
    constants: np.ndarray | None
    stands_for: AllocationProblem

    def on_top(self, filled: Any) -> Fraction:
        """What so many exposures of each customer, (U,) or one number, earn by the constants; exact."""
        if self.constants is None:
            return Fraction(0)
        # products of a float64 and a small whole number are not exact: one sum for each number of slots is
        counts = np.broadcast_to(np.asarray(filled), self.constants.shape)
        parts = (int(n) * exact_fraction(self.constants[counts == n]) for n in np.unique(counts))
        return sum(parts, Fraction(0))

    @property
    def when_full(self) -> Fraction:
        """`on_top` where every slot is filled."""
        slots = self.problem.slots_of
        return self.on_top(self.problem.k if slots is None else slots)

    @property
    def left_out(self) -> np.ndarray:
        """(F,) bool: funds without quota whose pairs are excluded here and not in the problem itself."""
        outer = self.stands_for
        return (outer.quota == 0) & (self.problem.mask is not outer.mask)


def make_core(problem: AllocationProblem) -> Core:
    """The core of a problem; see `Core`."""
    centred = problem._centred
    if centred is not None and (problem.case == "under" or not problem.feasibility().ok):
        centred = None
    inner = problem
    if centred is not None:
        inner = _copy(problem)
        inner._rows = centred.rows
        inner.measure()
    if inner._max_seen > inner.max_revenue:
        inner = _copy(inner)
        words = pack(np.broadcast_to(problem.quota > 0, (1, problem.n_funds)), 1, problem.n_funds)
        inner.mask = np.tile(words, (problem.n_customers, 1)) if problem.mask is None else problem.mask & words
        if problem.slots_of is not None:
            inner.mask[problem.slots_of == 0] = 0
        inner.measure()
    return Core(inner, None if centred is None else centred.constants, problem)


def _copy(problem: AllocationProblem) -> AllocationProblem:
    """A copy that shares everything but what is derived."""
    out = copy.copy(problem)
    out._limits, out._core, out._centred = {}, None, None
    out.__dict__.pop("_grouped", None)
    return out


def find_largest(problem: AllocationProblem) -> tuple[int, int, float]:
    """Customer row, fund and value of the largest |E| that can be chosen; the first of equal ones."""
    for lo, hi, block in problem._rows.on("cpu").iterate(max(1, (1 << 20) // problem.n_funds)):
        size = np.where(problem._may_be_chosen(lo, hi), np.abs(block), -1)
        if size.max() == np.float32(problem.max_revenue):
            u, f = np.unravel_index(int(size.argmax()), size.shape)
            return lo + int(u), int(f), float(block[u, f])
    raise InputError("revenue changed while it was looked at; allocate again.")
