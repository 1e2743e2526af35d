"""The table of models end to end on a tiny world: settings tried once, seeds paired, interrupted and gone on."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from ptofa_gpu.datasets import ExposureData, lct
from ptofa_gpu.errors import DegenerateModelError, InputError, MissingPackageError
from ptofa_gpu.evaluation.model_runs import Judge, ModelRun, Training, measure, train
from ptofa_gpu.evaluation.model_search import PAPER_GRID, points, search
from ptofa_gpu.evaluation.table1 import default_methods, model_table, parse_method
from ptofa_gpu.prediction import methods
from tests.evaluation.runs import run

QUICK = Training(max_epochs=1, patience=1, batch_size=256, device="cpu")
SMALL = {"hidden": (8,), "embedding": 2}


def world(seed: int) -> ExposureData:
    return lct("B", 1_200, seed=seed, exposures=2, positive_rate=0.2)


WANTED = {"z": {"method": "ziln", **SMALL}, "c": {"method": "dnn_c", **SMALL}}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def table(directory: Path | None = None, methods: Sequence[str] = ("z", "c"), **options: Any) -> Any:
    given = {"grid": {"lr": (0.01, 0.001)}, "training": QUICK, "progress": None, **options}
    return model_table(world, {m: WANTED[m] for m in methods}, 2, directory=directory, **given)


def test_from_worlds_to_a_table_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    seen: list[tuple[str, float, int, bool]] = []

    def on_run(one: ModelRun, data: ExposureData, fresh: bool) -> None:
        seen.append((one.method, one.setting["lr"], one.seed, fresh))
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table(tmp_path, on_run=on_run, progress=lambda done, total, what: calls.append((done, total)))
    # both settings with the first seed, then the better one with the second
    assert seen == [("z", 0.01, 0, True), ("z", 0.001, 0, True), ("c", 0.01, 0, True), ("c", 0.001, 0, True)]
    assert calls == [(0, 6), (1, 6), (2, 6), (3, 6)]
    assert len(list(tmp_path.glob("*.json"))) == 4
    (broken := next(tmp_path.glob("*.json"))).write_text("{")  # as a full disk might leave it
    fresh: list[bool] = []
    found = table(tmp_path, on_run=lambda one, data, new: fresh.append(new))
    assert sorted(fresh) == [False] * 3 + [True] * 3
    assert json.loads(broken.read_text())["status"] == "ok"
    for method in found.methods:
        tried = {r.setting["lr"]: r.val_loss for r in found.runs if r.method == method and r.seed == 0}
        assert found.chosen[method] == {"lr": min(tried, key=lambda lr: tried[lr])}
        assert [r.seed for r in found.final(method)] == [0, 1]
        assert 0.5 < found.cell(method, "auc").mean < 1
        assert 0 < found.seconds_per_epoch(method) < 60
    # the same again without training at all, and bit for bit what one run without a stop gives
    monkeypatch.setattr("ptofa_gpu.evaluation.table1.train", None)
    again = table(tmp_path)
    monkeypatch.undo()
    whole = table(methods=["c"])
    assert whole.cell("c", "mse").values == found.cell("c", "mse").values
    for method in found.methods:
        assert again.cell(method, "mse").values == found.cell(method, "mse").values


def test_a_run_asked_for_in_other_words_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"seeds": 1, "training": QUICK, "directory": tmp_path, "progress": None}
    first = model_table(world, {"p": {"method": "ptofa", **SMALL, "debias": "auto"}}, grid={"lr": (0.002,)}, **given)
    monkeypatch.setattr("ptofa_gpu.evaluation.table1.train", None)
    spelled = {"method": "ptofa", **SMALL, "debias": "adjust", "counterfactual": "density", "lr": 0.002}
    again = model_table(world, {"q": spelled}, grid={"dropout": (0.1,)}, **given)
    assert again.cell("q", "mse").values == first.cell("p", "mse").values
    assert (again.runs[0].options, again.runs[0].setting) == (spelled, {"dropout": 0.1})


def test_what_is_measured_is_what_scikit_learn_measures(tmp_path: Path) -> None:
    from scipy.special import expit

    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.revenue import expected_revenue, predict_components
    from ptofa_gpu.prediction.training import fit

    data = world(0)
    assert data.truth is not None
    model, module = RevenueModel(data.schema, method="ziln", **SMALL), data.module(device="cpu")
    fit(model, module, max_epochs=2, logger=None, progress=None, directory=tmp_path)
    assert bool(model.calibration.fitted)
    found = measure(model, module, data, judge := Judge(data))
    log = data.arrays
    test = log.split == 2
    revenue = expected_revenue(model, data.customers, data.funds, device="cpu")
    e, c, r = revenue[log.customer, log.fund][test], log.converted[test], log.amount[test]
    assert found["mse"] == pytest.approx(sk.mean_squared_error(r, e), rel=1e-4)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(r, e), rel=1e-4)
    assert found["total_ratio"] == pytest.approx(e.sum() / r.sum(), rel=1e-4)
    assert found["mae_zero"] == pytest.approx(r.mean(), rel=1e-4)
    rows = model.predict_rows(module, "test")
    p = expit(float(model.calibration.slope) * rows.logit + float(model.calibration.intercept))
    assert found["log_loss"] == pytest.approx(sk.log_loss(c, p), rel=1e-4)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(c, p), abs=1e-5)
    eligible = data.problem(revenue).eligible
    assert eligible is not None
    assert 0 < eligible.mean() < 1
    true = data.truth.revenue
    assert found["pairs_ratio"] == pytest.approx(revenue[eligible].sum() / true[eligible].sum(), rel=1e-4)
    assert found["ratio_all_pairs"] == pytest.approx(revenue.sum() / true.sum(), rel=1e-4)
    assert abs(found["pairs_ratio"] / found["ratio_all_pairs"] - 1) > 1e-3
    chance = predict_components(model, data.customers, data.funds, device="cpu").conversion
    for name, pairs in (("auc_all_pairs", np.ones_like(eligible)), ("auc_pairs", eligible)):
        t, score = data.truth.conversion[pairs].astype(float), np.tile(chance[pairs], 2)
        outcome = np.r_[np.ones(t.size), np.zeros(t.size)]  # each pair once as a conversion, once as none, weighted
        weighted = sk.roc_auc_score(outcome, score, sample_weight=np.r_[t, 1 - t])
        assert found[name] == pytest.approx(weighted, abs=1e-4)
    random, oracle = judge.worth
    assert 0 < random < oracle
    assert found["decision_value"] == pytest.approx((judge.planned(revenue) - random) / (oracle - random), rel=1e-6)
    assert judge.planned(true) == oracle
    assert judge.planned(-true) < random


def test_a_method_without_conversion_has_no_metric_of_it() -> None:
    data = world(0)
    one = train(data, Judge(data), "r", {"method": "dnn_r", **SMALL}, {"lr": 0.01}, 0, QUICK)
    assert one.status == "ok"
    assert all(
        math.isnan(one.metrics[m])
        for m in ("auc", "log_loss", "auc_within", "ece_deciles", "auc_pairs", "auc_all_pairs")
    )
    assert all(
        math.isfinite(one.metrics[m]) for m in ("mse", "gini", "pairs_ratio", "ratio_all_pairs", "decision_value")
    )


def test_known_propensities_give_a_policys_value() -> None:
    base = world(0)
    log = base.log.assign(propensity=np.float32(0.25))
    data = ExposureData.from_frames(log, base.customers, base.funds, schema=base.schema)
    one = train(data, Judge(data), "z", WANTED["z"], {"lr": 0.01}, 0, QUICK)
    assert "pairs_ratio" not in one.metrics  # no truth
    assert 0 < one.metrics["policy_value"] < 50 * one.metrics["mae_zero"]


def test_a_degenerate_run_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*args: Any, **kwargs: Any) -> None:
        raise DegenerateModelError("diverged at once")

    monkeypatch.setattr("ptofa_gpu.prediction.training.fit", diverge)
    data = world(0)
    one = train(data, Judge(data), "z", WANTED["z"], {"lr": 0.01}, 0, QUICK)
    assert (one.status, one.metrics, one.notes) == ("degenerate", {}, ["diverged at once"])
    assert ModelRun.from_json(one.to_json()).status == "degenerate"


def test_labels_of_methods() -> None:
    assert parse_method("esmm") == {"method": "esmm"}
    assert parse_method(" ptofa( debias=none, clip=3 ) ") == {"method": "ptofa", "debias": None, "clip": 3.0}
    assert parse_method("shared_bottom(label=log1p)") == {"method": "shared_bottom", "label": "log1p"}
    for wrong, message in (("gpt", "is not known"), ("ptofa(x=1)", "'x=1' is no option"), ("ptofa(", "is not known")):
        with pytest.raises(InputError, match=message):
            parse_method(wrong)
    labels = default_methods()
    assert set(methods.available()) <= set(labels)
    for label in labels:
        parse_method(label)


def test_the_papers_grid() -> None:
    assert len(points(PAPER_GRID)) == 12
    assert points({}) == [{}]


@pytest.mark.parametrize("seeds", [0, [], [1, 1], [-1]])
def test_seeds_that_are_none(seeds: Any) -> None:
    with pytest.raises(InputError, match="seeds is"):
        model_table(world, ["ziln"], seeds)


def test_other_settings_out_of_range_are_named() -> None:
    for options, message in (
        ({"profile": "huge"}, "profile is 'huge'"),
        ({"grid": {"lr": ()}}, "at least one value"),
        ({"grid": {"lr": 0.1}}, "at least one value"),
        ({"grid": {"lr": (math.nan,)}}, "finite"),
        ({"methods": []}, "methods is empty"),
        ({"methods": ["ziln", "ziln"]}, "twice"),
        ({"methods": {"x": {}}}, "lacks 'method'"),
    ):
        given: dict[str, Any] = {"methods": ["ziln"], "seeds": 1, **options}
        with pytest.raises(InputError, match=message):
            model_table(world, **given)


# -- the search ----------------------------------------------------------------------------------------------------
def _tried(losses: dict[float, float]) -> Any:
    def one(setting: dict[str, float]) -> ModelRun:
        made = run("a", 0, setting)
        return ModelRun(**{**vars(made), "val_loss": losses.get(setting["lr"], setting["lr"])})

    return one


def test_the_setting_of_least_validation_loss_comes_first() -> None:
    found = search({"lr": (1.0, 2.0, 3.0)}, _tried({1.0: math.nan, 2.0: 0.5, 3.0: 0.4}), None, 0)
    assert [r.setting["lr"] for r in found] == [3.0, 2.0, 1.0]


def test_optuna_stays_within_the_grid_and_repeats() -> None:
    pytest.importorskip("optuna")
    grid = {"lr": (0.001, 0.1), "dropout": (0.1, 0.5)}
    one, two, other = (search(grid, _tried({}), 8, seed) for seed in (0, 0, 1))
    settings = [[r.setting for r in found] for found in (one, two, other)]
    assert len(one) == 8
    assert settings[0] == settings[1] != settings[2]
    assert all(0.001 <= s["lr"] <= 0.1 and 0.1 <= s["dropout"] <= 0.5 for s in settings[0])
    assert one[0].val_loss == min(r.val_loss for r in one)
    with pytest.raises(InputError, match="trials is 0"):
        search(grid, _tried({}), 0, 0)


def test_without_optuna_the_search_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPackageError, match="pip install optuna"):
        search({"lr": (0.1,)}, _tried({}), 2, 0)
    assert len(search({"lr": (0.1,)}, _tried({}), None, 0)) == 1
