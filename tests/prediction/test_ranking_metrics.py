"""Metrics of order and of bins against scikit-learn and SciPy, with ties, weights, groups and several processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk
from torchmetrics import Metric

from ptofa_gpu.errors import InputError
from ptofa_gpu.prediction.metrics import (
    BinnedCalibration,
    DecisionValue,
    EffectiveSampleSize,
    EqualMassCalibrationError,
    GroupedAUROC,
    NormalizedGini,
    RankCorrelation,
    RevenueMetrics,
    TopLift,
    WeightedAUROC,
)

N = 1_500


def rows(seed: int, ties: bool) -> dict[str, np.ndarray]:
    """Scores that know something, outcomes mostly zero; with `ties`, scores of few values."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=N)
    if ties:
        score = np.round(score)
    converted = rng.random(N) < 1 / (1 + np.exp(2.0 - score))
    return {
        "score": score.astype(np.float32),
        "converted": converted,
        "amount": np.where(converted, rng.lognormal(3, 1.2, N), 0.0).astype(np.float32),
        "weight": rng.exponential(size=N).astype(np.float32),
        "group": rng.integers(0, 5, N) * 7,
        "chance": rng.random(N).astype(np.float32),
    }


CASES = [pytest.param(seed, ties, id=f"{seed}-{'ties' if ties else 'distinct'}") for seed in (0, 1) for ties in (0, 1)]


def value(metric: Metric, *columns: np.ndarray, parts: int = 3) -> float:
    for part in np.array_split(np.arange(len(columns[0])), parts):
        metric.update(*(torch.as_tensor(c[part]) for c in columns))
    return float(metric.compute())


@pytest.mark.parametrize(("seed", "ties"), CASES)
def test_the_weighted_auc_is_that_of_scikit_learn(seed: int, ties: bool) -> None:
    d = rows(seed, ties)
    plain = sk.roc_auc_score(d["converted"], d["score"])
    weighted = sk.roc_auc_score(d["converted"], d["score"], sample_weight=d["weight"])
    assert value(WeightedAUROC(), d["score"], d["converted"]) == pytest.approx(plain, abs=1e-9)
    assert value(WeightedAUROC(), d["score"], d["converted"], d["weight"]) == pytest.approx(weighted, abs=1e-7)
    assert abs(plain - weighted) > 1e-5


def test_probabilities_for_outcomes_are_rows_that_happened_in_part() -> None:
    d = rows(2, True)
    twice, outcome = np.tile(d["score"], 2), np.repeat([True, False], N)
    weight = np.concatenate([d["chance"], 1 - d["chance"]])
    expected = sk.roc_auc_score(outcome, twice, sample_weight=weight)
    assert value(WeightedAUROC(), d["score"], d["chance"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("seed", "ties"), CASES)
def test_the_auc_within_groups_is_the_mean_of_theirs(seed: int, ties: bool) -> None:
    d = rows(seed, ties)
    d["converted"][d["group"] == 7] = False  # a group without conversions says nothing
    areas, hits = [], []
    for g in np.unique(d["group"][d["converted"]]):
        mine = d["group"] == g
        areas.append(sk.roc_auc_score(d["converted"][mine], d["score"][mine]))
        hits.append(d["converted"][mine].sum())
    assert len(areas) == 4
    assert value(GroupedAUROC(), d["score"], d["converted"], d["group"]) == pytest.approx(
        np.average(areas, weights=hits), abs=1e-9
    )


def test_popularity_alone_is_worth_nothing_within_groups() -> None:
    d = rows(3, False)
    by_group = (d["group"] % 3).astype(np.float32)
    assert value(GroupedAUROC(), by_group, d["converted"], d["group"]) == pytest.approx(0.5)


@pytest.mark.parametrize(("seed", "ties"), CASES)
def test_the_rank_correlation_is_that_of_scipy(seed: int, ties: bool) -> None:
    d = rows(seed, ties)
    expected = stats.spearmanr(d["score"], d["amount"]).statistic
    assert value(RankCorrelation(), d["score"], d["amount"]) == pytest.approx(expected, abs=1e-9)


def test_the_rank_correlation_stands_many_zeros() -> None:
    n = 150_000  # the ranks of its zeros add up to more than 2^31
    rng = np.random.default_rng(0)
    amount = np.where(rng.random(n) < 0.01, rng.lognormal(size=n), 0.0).astype(np.float32)
    score = (rng.normal(size=n) + 2 * (amount > 0)).astype(np.float32)
    expected = stats.spearmanr(score, amount).statistic
    assert value(RankCorrelation(), score, amount) == pytest.approx(expected, abs=1e-9)


def lorenz_gini(score: np.ndarray, amount: np.ndarray) -> float:
    """Twice the area between the diagonal and the Lorenz curve of amounts in order of score."""
    curve = np.concatenate([[0.0], np.cumsum(amount[np.argsort(score, kind="stable")], dtype=float)])
    return 1 - 2 * np.trapezoid(curve / curve[-1], dx=1 / len(amount))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_gini_is_an_area_under_the_lorenz_curve(seed: int) -> None:
    d = rows(seed, False)
    expected = lorenz_gini(d["score"], d["amount"]) / lorenz_gini(d["amount"], d["amount"])
    assert value(NormalizedGini(), d["score"], d["amount"]) == pytest.approx(expected, abs=1e-6)


def test_the_gini_of_ties_is_the_mean_over_their_orders() -> None:
    d, rng = rows(4, True), np.random.default_rng(0)
    best = lorenz_gini(d["amount"], d["amount"])
    drawn = []
    for _ in range(400):
        p = rng.permutation(N)
        drawn.append(lorenz_gini(d["score"][p], d["amount"][p]) / best)
    spread = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(value(NormalizedGini(), d["score"], d["amount"]) - np.mean(drawn)) < 4 * spread
    assert value(NormalizedGini(), d["amount"], d["amount"]) == pytest.approx(1.0)


def test_the_lift_counts_the_top_and_a_part_of_ties() -> None:
    d = rows(5, False)
    top = np.argsort(-d["score"])[: N // 10]
    expected = d["amount"][top].sum(dtype=float) / d["amount"].sum(dtype=float) / 0.1
    assert value(TopLift(0.1), d["score"], d["amount"]) == pytest.approx(expected, rel=1e-6)
    assert expected > 1.2
    assert value(TopLift(0.1), np.zeros(N, np.float32), d["amount"]) == pytest.approx(1.0)
    # two rows of four share the top place, and 0.75 of a row is asked for
    few = np.array([1.0, 2.0, 2.0, 0.0], np.float32), np.array([0.0, 4.0, 0.0, 4.0], np.float32)
    assert value(TopLift(0.1875), *few, parts=1) == pytest.approx(0.75 * 2.0 / (0.1875 * 8.0))


def test_bins_are_those_of_scikit_learn() -> None:
    d = rows(6, False)
    p = (1 / (1 + np.exp(-d["score"]))).astype(np.float32)
    metric = BinnedCalibration(10)
    value_of = torch.as_tensor
    for part in np.array_split(np.arange(N), 4):
        metric.update(value_of(p[part]), value_of(d["converted"][part]))
    count, mean_p, mean_c = metric.compute().numpy().T
    observed, predicted = sk_bins(d["converted"], p)
    np.testing.assert_allclose(mean_p, predicted, rtol=1e-6)
    np.testing.assert_allclose(mean_c, observed, rtol=1e-6)
    np.testing.assert_array_equal(count, np.full(10, N / 10))
    expected = np.abs(predicted - observed).mean()
    assert value(EqualMassCalibrationError(), p, d["converted"]) == pytest.approx(expected, rel=1e-6)
    relative = expected / d["converted"].mean()
    assert value(EqualMassCalibrationError(relative=True), p, d["converted"]) == pytest.approx(relative, rel=1e-6)


def sk_bins(outcome: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.calibration import calibration_curve

    return calibration_curve(outcome, p, n_bins=10, strategy="quantile")


METRICS: list[tuple[Callable[[], Metric], tuple[str, ...]]] = [
    (WeightedAUROC, ("score", "converted", "weight")),
    (GroupedAUROC, ("score", "converted", "group")),
    (NormalizedGini, ("score", "amount")),
    (RankCorrelation, ("score", "amount")),
    (TopLift, ("score", "amount")),
    (EqualMassCalibrationError, ("score", "amount")),
    (EffectiveSampleSize, ("weight",)),
    (DecisionValue, ("score", "chance", "amount")),
]


@pytest.mark.parametrize(("make", "columns"), METRICS, ids=[m.__name__ for m, _ in METRICS])
def test_order_batches_and_merged_states_do_not_matter(make: Callable[[], Metric], columns: tuple[str, ...]) -> None:
    d = rows(7, True)
    given = [d[c] for c in columns]
    whole = value(make(), *given, parts=1)
    assert math.isfinite(whole)
    p = np.random.default_rng(1).permutation(N)
    assert value(make(), *(c[p] for c in given), parts=11) == pytest.approx(whole, rel=1e-9)
    halves = [make(), make()]
    for metric, part in zip(halves, (slice(0, 400), slice(400, None)), strict=True):
        metric.update(*(torch.as_tensor(c[part]) for c in given))
    halves[0].merge_state(halves[1])
    assert float(halves[0].compute()) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize(("make", "columns"), METRICS, ids=[m.__name__ for m, _ in METRICS])
def test_rows_that_tell_nothing_give_nan(make: Callable[[], Metric], columns: tuple[str, ...]) -> None:
    nothing = {"score": np.ones(5, np.float32), "group": np.zeros(5, int)}
    # outcomes that are all zero; a calibration error of 1 is then right: predicted 1, got 0
    metric = make() if make is not EqualMassCalibrationError else EqualMassCalibrationError(relative=True)
    for name in columns:
        nothing.setdefault(name, np.zeros(5, bool if name == "converted" else np.float32))
    assert math.isnan(value(metric, *(nothing[c] for c in columns), parts=1))


def test_the_effective_sample() -> None:
    assert value(EffectiveSampleSize(), np.full(50, 3.0)) == pytest.approx(1.0)
    assert value(EffectiveSampleSize(), np.eye(1, 50)[0]) == pytest.approx(1 / 50)


def test_the_decision_value() -> None:
    assert value(DecisionValue(), np.full(4, 2.5), np.full(4, 1.0), np.full(4, 3.0)) == pytest.approx(0.75)


def test_settings_and_shapes_out_of_range_are_named() -> None:
    with pytest.raises(InputError, match="share is 0"):
        TopLift(0.0)
    with pytest.raises(InputError, match="bins is 0"):
        BinnedCalibration(0)
    with pytest.raises(InputError, match=r"predicted \(3,\), observed \(2,\)"):
        NormalizedGini().update(torch.zeros(3), torch.zeros(2))


FULL = ("auc", "average_precision", "ece", "ece_deciles", "auc_within", "gini", "spearman", "lift", "calibration")


def everything(parts: list[np.ndarray], d: dict[str, np.ndarray]) -> RevenueMetrics:
    metrics = RevenueMetrics(full=True)
    for part in parts:
        columns = (d["score"], np.exp(d["score"]), d["converted"], d["amount"], d["group"])
        metrics.update(*(torch.as_tensor(c[part]) for c in columns))
    return metrics


def test_all_of_them_together_agree_with_scikit_learn() -> None:
    d = rows(8, False)
    ours = everything(np.array_split(np.arange(N), 4), d).compute()
    p = 1 / (1 + np.exp(-d["score"].astype(float)))
    assert ours["average_precision"] == pytest.approx(sk.average_precision_score(d["converted"], p), abs=1e-5)
    assert ours["spearman"] == pytest.approx(stats.spearmanr(d["score"], d["amount"]).statistic, abs=1e-6)
    bins = np.minimum((p * 15).astype(int), 14)
    gaps = [abs(p[bins == b].sum() - d["converted"][bins == b].sum()) for b in range(15)]
    assert ours["ece"] == pytest.approx(sum(gaps) / N, abs=1e-5)
    assert all(math.isfinite(ours[name]) for name in FULL)


def _one_of_two(rank: int, folder: str) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    d = rows(9, True)
    # unequal shares, and all conversions with the first process: the second alone would see one outcome only
    first = d["converted"] | (np.arange(N) % 3 == 0)
    mine = np.flatnonzero(first if rank == 0 else ~first)
    found = everything(np.array_split(mine, 3 if rank == 0 else 1), d).compute()
    torch.save(found, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path),), nprocs=2)
    one = everything([np.arange(N)], rows(9, True)).compute()
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found == pytest.approx(one, rel=1e-5)
    assert all(math.isfinite(one[name]) for name in FULL)
