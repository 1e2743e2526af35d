"""The real kernels, executed on the CPU through the GPU's launchers, against their twins: the same bits.

Arrays end at protected pages here, blocks and threads run in three orders, shared memory is poisoned, undefined
behaviour and races end the launch: see tests/cuda_on_cpu.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ptofa_gpu.ops import commit, score, select, sums

SHIFT = 20


@dataclass
class Case:
    revenue: np.ndarray
    tolerance: np.ndarray
    risk: np.ndarray
    mask: np.ndarray | None
    done: np.ndarray
    alpha: np.ndarray
    is_open: np.ndarray
    quota: np.ndarray
    k: int

    @property
    def inputs(self):
        return self.revenue, self.tolerance, self.risk, self.mask

    def results(self):
        """Fresh outputs, filled with what no kernel writes, so that skipped rows are compared too."""
        rows = len(self.revenue)
        return np.full(rows, 7, np.uint64), np.full((rows, self.k), 9, np.int16)


def make_case(rows: int, funds: int, k: int, *, masked: bool, seed: int, ties: bool = False) -> Case:
    rng = np.random.default_rng(seed)
    revenue = rng.lognormal(0.0, 2.0, (rows, funds)).astype(np.float32)
    if ties:
        revenue = np.round(revenue)  # many equal values, and zeros of both signs
        revenue[revenue == 0] *= -1.0
        revenue[::5] = 0.0
    revenue[rng.random((rows, funds)) < 0.05] *= -1
    is_open = rng.random(funds) < 0.8
    words = -(-funds // 64)
    bits = rng.integers(0, 2**64, (rows, words), dtype=np.uint64, endpoint=False)
    return Case(
        revenue=np.ascontiguousarray(revenue),
        tolerance=rng.integers(1, 6, rows).astype(np.int8),
        risk=rng.integers(1, 6, funds).astype(np.int8),
        mask=bits if masked else None,
        done=(rng.random(rows) < 0.2).astype(np.uint8),
        alpha=rng.lognormal(0.0, 1.0, funds),
        is_open=is_open,
        quota=np.where(is_open, rng.integers(1, max(2, rows * k // funds), funds), 0).astype(np.int64),
        k=k,
    )


# every kernel of score.cu on both sides of its bounds, sizes that fill no warp and no block, one row, many slots
SHAPES = [
    (1, 1, 1, False),
    (130, 1, 1, True),
    (700, 8, 1, False),
    (513, 5, 3, True),
    (200, 9, 2, True),
    (300, 16, 2, True),
    (150, 17, 1, False),
    (130, 31, 16, True),
    (200, 32, 32, False),
    (90, 33, 4, True),
    (400, 60, 2, False),  # every loop over rows takes several turns; the threads are no multiple of the funds
    (90, 64, 1, True),
    (50, 65, 16, True),
    (40, 257, 3, True),
    (15, 1024, 16, True),
]


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("tail", list(score.TAILS))
@pytest.mark.parametrize(("rows", "funds", "k", "masked"), SHAPES)
def test_score_and_pick(device_ops, rows, funds, k, masked, tail, ties):
    case = make_case(rows, funds, k, masked=masked, seed=rows + funds, ties=ties)
    key, picks = case.results()
    score.score_and_pick(*case.inputs, case.done, case.alpha, case.is_open, tail, key, picks)
    kernel_key, kernel_picks = case.results()
    device_ops().score_and_pick(
        *case.inputs, case.done, case.alpha, case.is_open, score.TAILS[tail], kernel_key, kernel_picks
    )
    assert np.array_equal(kernel_picks, picks)
    assert np.array_equal(kernel_key, key)


@pytest.mark.parametrize(("rows", "funds", "k", "masked"), SHAPES)
def test_column_sums(device_ops, rows, funds, k, masked):
    case = make_case(rows, funds, k, masked=masked, seed=rows)
    assert np.array_equal(device_ops().column_sums(*case.inputs, SHIFT), sums.column_sums(*case.inputs, SHIFT))


@pytest.mark.parametrize("generous", [False, True], ids=["a fund runs out", "no fund runs out"])
@pytest.mark.parametrize(("rows", "funds", "k", "masked"), SHAPES)
def test_a_round(device_ops, rows, funds, k, masked, generous):
    """Score, cut and commit in a row: what the second and third read is what the kernels before them wrote."""
    case = make_case(rows, funds, k, masked=masked, seed=funds, ties=True)
    if generous:
        case.quota[:] = np.where(case.is_open, rows * k + 1, 0)

    def one_round(score_and_pick, find_cut, commit_round, tail):
        (key, picks), done = case.results(), case.done.copy()
        chosen = np.full((rows, k), -1, np.int16)
        score_and_pick(*case.inputs, done, case.alpha, case.is_open, tail, key, picks)
        cut = find_cut(key, picks, done, case.quota)
        counts, total, served = commit_round(*case.inputs, key, picks, done, cut, SHIFT, chosen)
        return done, chosen, counts, total, served

    ops = device_ops()
    expected = one_round(score.score_and_pick, select.find_cut, commit.commit, "zero")
    got = one_round(ops.score_and_pick, ops.find_cut, ops.commit, score.TAILS["zero"])
    for kernel, twin in zip(got, expected, strict=True):
        assert np.array_equal(kernel, twin)


@pytest.mark.parametrize("check", ["sanitize", "check_races"])
@pytest.mark.parametrize(
    ("rows", "funds", "k", "masked"), [(300, 7, 2, True), (70, 16, 1, False), (60, 31, 2, False), (200, 40, 3, True)]
)
def test_no_undefined_behaviour_and_no_race(device_ops, rows, funds, k, masked, check):
    case = make_case(rows, funds, k, masked=masked, seed=3, ties=True)
    ops, (key, picks) = device_ops(**{check: True}), case.results()
    chosen = np.full((rows, k), -1, np.int16)
    ops.column_sums(*case.inputs, SHIFT)
    ops.score_and_pick(*case.inputs, case.done, case.alpha, case.is_open, 0, key, picks)
    cut = ops.find_cut(key, picks, case.done, case.quota)
    waiting = int((case.done == 0).sum())
    counts, _, served = ops.commit(*case.inputs, key, picks, case.done, cut, SHIFT, chosen)
    assert 0 < served <= waiting
    assert counts.sum() == (chosen >= 0).sum()
