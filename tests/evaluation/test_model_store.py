"""Stored runs: other data, settings, defaults or code make another run, and other words for one model do not."""

from __future__ import annotations

from typing import Any

import pytest

from ptofa_gpu.datasets import ExposureData, lct
from ptofa_gpu.evaluation import model_store
from ptofa_gpu.evaluation.model_runs import Training
from ptofa_gpu.evaluation.model_store import Store, fingerprint, resolved

QUICK = Training(max_epochs=1, patience=1, batch_size=256, device="cpu")


def world(seed: int) -> ExposureData:
    return lct("B", 1_200, seed=seed, exposures=2, positive_rate=0.2)


def key(**options: Any) -> str:
    return Store.key("data", {"method": "ptofa", **options}, {"lr": 0.002}, 0, QUICK)


def test_other_data_settings_and_seeds_are_other_runs() -> None:
    data = world(0)
    prints = {fingerprint(d) for d in (data, world(1), world(0))}
    assert len(prints) == 2
    base = {"print_": "x", "options": {"method": "ziln"}, "setting": {"lr": 0.1}, "seed": 0, "training": QUICK}
    changed = [
        {"print_": "y"}, {"options": {"method": "ptofa"}}, {"setting": {"lr": 0.2}}, {"seed": 1},
        {"training": Training()},
    ]  # fmt: skip
    keys = {Store.key(**{**base, **c}) for c in ({}, *changed)}  # type: ignore[arg-type]
    assert len(keys) == 6


def test_the_same_model_in_other_words_is_the_same_run() -> None:
    assert key() == key(debias="auto") == key(debias="adjust") == key(counterfactual="density", eps=None)
    assert key() == key(dropout=0.1, hidden=(128, 64), label=None)
    assert len({key(), key(debias=None), key(debias="ipw"), key(eps=1e-7), key(method="ziln")}) == 5
    assert key(method="ziln") == key(method="ziln", debias=None)
    label = {"method": "shared_bottom"}
    assert key(**label) == key(**label, label="raw") != key(**label, label="log1p")


def test_a_default_that_changes_makes_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stored run was asked for in defaults must not be read for what the same words mean later."""
    from ptofa_gpu.prediction import model as model_module
    from ptofa_gpu.prediction import settings as settings_module
    from ptofa_gpu.prediction.methods.ptofa import Ptofa

    before, spelled = key(), key(debias="adjust")
    assert before == spelled
    real = model_module.RevenueModel.__init__
    assert real.__defaults__ is not None
    lr = real.__defaults__.index(0.002)
    monkeypatch.setattr(real, "__defaults__", (*real.__defaults__[:lr], 0.7, *real.__defaults__[lr + 1 :]))
    assert resolved({"method": "ptofa"})["lr"] == 0.7
    monkeypatch.undo()
    position = real.__defaults__.index((128, 64))
    changed = (*real.__defaults__[:position], (256, 64), *real.__defaults__[position + 1 :])
    monkeypatch.setattr(real, "__defaults__", changed)
    assert key() != before
    assert key(hidden=(128, 64)) == before
    monkeypatch.undo()
    monkeypatch.setattr(settings_module, "_DEFAULT_DEBIAS", {"ptofa": "ipw"})
    assert key() != before
    assert key(debias="adjust") == spelled
    monkeypatch.undo()
    monkeypatch.setattr(Ptofa.__init__, "__defaults__", ("censored", None))
    assert key() != before
    assert key(counterfactual="density") == before


def test_other_code_makes_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    real = model_store._meaning
    monkeypatch.setattr(model_store, "_meaning", lambda source: real(source.replace("SIGMA_RANGE = (0.1, 2.0)", "")))
    model_store.code_fingerprint.cache_clear()
    changed = key()
    monkeypatch.undo()
    model_store.code_fingerprint.cache_clear()
    assert changed != before == key()


def test_comments_docstrings_and_layout_are_not_code() -> None:
    one = 'def f(x):\n    """Says one thing."""\n    return x + 1  # why\n'
    two = '"""A module."""\n\n\ndef f(\n    x,\n):\n    """Says another."""\n    return x + 1\n'
    assert model_store._meaning(one) == model_store._meaning(two)
    assert model_store._meaning(one) != model_store._meaning(two.replace("+ 1", "+ 2"))
    assert model_store._meaning('class A:\n    """Only words."""\n') == model_store._meaning("class A: pass\n")
