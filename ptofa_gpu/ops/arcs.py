"""The fund graph of a plan: who could go from fund a to fund b, and what that changes (kernels/cpu/arcs.cpp,
kernels/cuda/arcs.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._entry import Entry, pieces, threads_for

_LIMITS = "in_i8 tolerance; in_i8 risk; in_u64 mask; i64 words; i64 funds; in_i16 chosen; i64 k; i64 rows; i64 threads;"
_COUNT_ARCS = Entry("count_arcs", _LIMITS + "out_i64 arcs")
_MARK_CANDIDATES = Entry("mark_candidates", "in_f32 revenue;" + _LIMITS + "i64 a; i64 b; f64 least; out_u8 marks")

#: Counts of all threads together: 128 MB.
MOST_COUNTS = 1 << 24


def count_arcs(tolerance: Any, risk: Any, mask: Any, chosen: Any) -> np.ndarray:
    """How many customers could swap fund a for fund b; row F counts customers with an empty slot that could take b.

    Parameters
    ----------
    tolerance, risk, mask
        As in `score_and_pick`.
    chosen : (U, K) int16
        The allocation; -1 in an empty slot, -2 in a slot that the customer does not have.

    Returns
    -------
    (F + 1, F) int64.
    """
    if not isinstance(chosen, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().count_arcs(tolerance, risk, mask, chosen)
    (rows, k), funds = chosen.shape, risk.size
    pairs, size = rows * funds, (funds + 1) * funds
    threads = max(1, min(threads_for(pairs), min(pairs, MOST_COUNTS) // size))
    arcs = np.zeros((threads, funds + 1, funds), np.int64)
    for lo, hi in pieces(rows, funds, k):
        _COUNT_ARCS(**_limits(tolerance, risk, mask, chosen, lo, hi), threads=threads, arcs=arcs)
    return arcs.sum(0)


def _limits(tolerance: np.ndarray, risk: np.ndarray, mask: Any, chosen: np.ndarray, lo: int, hi: int) -> dict[str, Any]:
    """The fields of both passes for the customers lo to hi - 1, but for the threads."""
    limits = {"risk": risk, "funds": risk.size, "k": chosen.shape[1], "rows": hi - lo, "chosen": chosen[lo:hi]}
    words = {"mask": None, "words": 0} if mask is None else {"mask": mask[lo:hi], "words": mask.shape[1]}
    return {**limits, **words, "tolerance": tolerance[lo:hi]}


def arc_candidates(
    revenue: Any,
    tolerance: Any,
    risk: Any,
    mask: Any,
    chosen: Any,
    a: int,
    b: int,
    count: int,
    least: float = -np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """The customers who could swap a for b (a = -1: an empty slot for b), and their gain E_b - E_a.

    Parameters
    ----------
    revenue, tolerance, risk, mask, chosen
        As in `count_arcs`; revenue (U, F) float32.
    a, b : int
    count : int
        How many to return at most, the first; `count_arcs` says how many there are.
    least : float
        Leave out who gains less.

    Returns
    -------
    (n,) int64 rows in order, and (n,) float64 gains; NumPy arrays.
    """
    if not isinstance(chosen, np.ndarray):
        from ptofa_gpu.ops import _kernels

        return _kernels.device_module().arc_candidates(revenue, tolerance, risk, mask, chosen, a, b, count, least)
    (rows, k), marked = chosen.shape, np.empty(chosen.shape[0], np.bool_)
    for lo, hi in pieces(rows, k + 1):
        _MARK_CANDIDATES(
            revenue=revenue[lo:hi], **_limits(tolerance, risk, mask, chosen, lo, hi), a=a, b=b, least=least,
            threads=threads_for((hi - lo) * (k + 1)), marks=marked[lo:hi].view(np.uint8),
        )  # fmt: skip
    found = np.flatnonzero(marked)[:count]
    gain = revenue[found, b].astype(np.float64)
    if a >= 0:
        gain -= revenue[found, a]
    return found, gain
