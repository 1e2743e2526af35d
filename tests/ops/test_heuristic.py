"""A round of the heuristic on the CPU against a plain reference; the same bits for every number of threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ptofa_gpu.ops import commit, score, select, sums
from tests.ops import reference

SHIFT = 20


@dataclass(frozen=True)
class Shape:
    rows: int
    funds: int
    k: int
    masked: bool = False
    ties: bool = False

    def __str__(self) -> str:
        return f"{self.rows}x{self.funds}-K{self.k}" + "-masked" * self.masked + "-ties" * self.ties


#: sizes that fill no register, every width of the sorting network, rows sorted one by one
SHAPES = [
    Shape(1, 1, 1),
    Shape(130, 1, 1, masked=True),
    Shape(700, 8, 1, ties=True),
    Shape(513, 5, 3, masked=True, ties=True),
    Shape(200, 9, 2, masked=True),
    Shape(300, 16, 16, ties=True),
    Shape(150, 17, 1),
    Shape(130, 31, 4, masked=True, ties=True),
    Shape(90, 32, 32),
    Shape(90, 33, 4, masked=True, ties=True),
    Shape(40, 130, 16, masked=True),
]


class Case:
    def __init__(self, shape: Shape, seed: int):
        rng = np.random.default_rng([seed, shape.rows, shape.funds])
        rows, funds = shape.rows, shape.funds
        revenue = rng.lognormal(0, 1, (rows, funds)) * rng.choice([1, 1, 1, -1], (rows, funds))
        if shape.ties:
            revenue = np.round(revenue)  # with both zeros
        words = rng.integers(0, 2**64, (rows, -(-funds // 64)), dtype=np.uint64) if shape.masked else None
        tolerance, risk = rng.integers(-2, 5, rows).astype(np.int8), rng.integers(-2, 4, funds).astype(np.int8)
        self.data = revenue.astype(np.float32), tolerance, risk, words
        self.done = (rng.random(rows) < 0.3).astype(np.uint8)
        self.alpha, self.is_open = rng.lognormal(0, 1, funds), rng.random(funds) < 0.8
        self.quota = np.where(self.is_open, rng.integers(1, max(2, rows * shape.k // funds), funds), 0).astype(np.int64)
        self.k, self.rows = shape.k, rows

    def scored(self, tail: str) -> tuple[np.ndarray, np.ndarray]:
        key, picks = np.full(self.rows, 7, np.uint64), np.full((self.rows, self.k), 99, np.int16)
        score.score_and_pick(*self.data, self.done, self.alpha, self.is_open, tail, key, picks)
        return key, picks


@pytest.mark.parametrize("tail", list(score.TAILS))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scores_and_picks(shape: Shape, tail: str) -> None:
    case = Case(shape, 1)
    key, picks = case.scored(tail)
    wanted, wanted_picks = reference.score_and_pick(case.data, case.done, case.alpha, case.is_open, case.k, tail)
    waiting = case.done == 0
    np.testing.assert_array_equal(score.key_to_score(key[waiting]), wanted[waiting])
    np.testing.assert_array_equal(picks[waiting], wanted_picks[waiting])
    # what is done stays as it was
    assert (key[~waiting] == 7).all()
    assert (picks[~waiting] == 99).all()


@pytest.mark.parametrize("generous", [False, True], ids=["a fund runs out", "no fund runs out"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_round_serves_one_after_the_other(shape: Shape, generous: bool) -> None:
    case = Case(shape, 2)
    if generous:
        case.quota[case.is_open] = shape.rows * shape.k + 1
    key, picks = case.scored("zero")
    key[::3] = key[0]  # ties of scores, too
    done, chosen = case.done.copy(), np.full((shape.rows, shape.k), -5, np.int16)
    cut = select.find_cut(key, picks, done, case.quota)
    counts, total, served = commit.commit(*case.data, key, picks, done, cut, SHIFT, chosen)
    wanted, wanted_counts, wanted_sums = reference.one_round(case.data, key, picks, case.done, case.quota, SHIFT)
    np.testing.assert_array_equal(done.astype(bool), wanted | (case.done == 1))
    np.testing.assert_array_equal(counts, wanted_counts)
    np.testing.assert_array_equal(total, wanted_sums)
    assert served == wanted.sum()
    np.testing.assert_array_equal(chosen[wanted], picks[wanted])
    assert (chosen[~wanted] == -5).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_column_sums(shape: Shape) -> None:
    case = Case(shape, 3)
    np.testing.assert_array_equal(sums.column_sums(*case.data, SHIFT), reference.column_sums(case.data, SHIFT))


@pytest.mark.parametrize("shape", [Shape(90_000, 7, 2, masked=True, ties=True), Shape(20_000, 40, 3)], ids=str)
def test_threads_share_the_customers_out(shape: Shape, monkeypatch) -> None:
    said = []
    for threads in ("1", "2", "3", "7"):
        monkeypatch.setenv("PTOFA_NUM_THREADS", threads)
        case = Case(shape, 4)
        key, picks = case.scored("zero")
        chosen = np.full((shape.rows, shape.k), -5, np.int16)
        cut = select.find_cut(key, picks, case.done, case.quota)
        total = sums.column_sums(*case.data, SHIFT)
        said.append(
            (cut, total, key, picks, *commit.commit(*case.data, key, picks, case.done, cut, SHIFT, chosen), chosen)
        )
    for other in said[1:]:
        for a, b in zip(said[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
