"""A run that is interrupted, and columns that say nothing."""

import signal

import numpy as np
import pytest
import torch

import ptofa_gpu as ptofa
from ptofa_gpu.prediction.checkpoints import settle
from ptofa_gpu.prediction.schema import Schema
from ptofa_gpu.prediction.training import fit
from tests.prediction.test_model import weights

SETTINGS = {"progress": None, "logger": None, "calibration": False}


def ctrl_c():
    raise KeyboardInterrupt


def interrupting(model, epoch, how=ctrl_c):
    """Let `model` be interrupted in the middle of an epoch, as Ctrl-C does."""
    real = type(model).training_step

    class Interrupted(type(model)):
        def training_step(self, batch, batch_idx):
            real(self, batch, batch_idx)
            if self.current_epoch == epoch:
                how()

    model.__class__ = Interrupted
    return model


def test_an_interrupted_run_goes_on_from_its_last_epoch_bit_for_bit(world, tmp_path):
    straight = world.model(dropout=0.3)
    fit(straight, world.module(), max_epochs=3, directory=tmp_path / "straight", **SETTINGS)
    folder = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt, match=r"resume=.*last\.ckpt"):
        fit(interrupting(world.model(dropout=0.3), 1), world.module(), max_epochs=3, directory=folder, **SETTINGS)
    resumed = world.model(dropout=0.3)
    fit(resumed, world.module(), max_epochs=3, directory=folder, resume=folder / "last.ckpt", **SETTINGS)
    assert torch.equal(weights(straight), weights(resumed))


def test_sigterm_ends_a_run_as_ctrl_c_does(world, tmp_path):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("mine"))
    try:
        mine = signal.getsignal(signal.SIGTERM)
        straight = world.model(dropout=0.3)
        fit(straight, world.module(), max_epochs=3, directory=tmp_path / "straight", **SETTINGS)
        cut = interrupting(world.model(dropout=0.3), 1, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt, match=r"resume=.*last\.ckpt"):
            fit(cut, world.module(), max_epochs=3, directory=tmp_path / "cut", **SETTINGS)
        assert "mine" in seen  # a handler that was there is called, and is there again
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
    resumed = world.model(dropout=0.3)
    last = tmp_path / "cut" / "last.ckpt"
    fit(resumed, world.module(), max_epochs=3, directory=tmp_path / "on", resume=last, **SETTINGS)
    assert torch.equal(weights(straight), weights(resumed))


def test_what_an_earlier_run_left_is_not_gone_on_from(world, tmp_path):
    done = fit(world.model(), world.module(), max_epochs=1, directory=tmp_path, **SETTINGS)
    with pytest.raises(KeyboardInterrupt, match="nothing to go on from"):
        fit(interrupting(world.model(), 0), world.module(), max_epochs=2, directory=tmp_path, **SETTINGS)
    cut = interrupting(world.model(), 1)
    with pytest.raises(KeyboardInterrupt, match=f"resume='{done.last_path}'"):
        fit(cut, world.module(), max_epochs=2, directory=tmp_path / "new", resume=done.last_path, **SETTINGS)


def test_an_interruption_before_anything_was_kept_is_said(world, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="nothing to go on from"):
        fit(interrupting(world.model(), 0), world.module(), max_epochs=2, directory=tmp_path, **SETTINGS)
    assert signal.getsignal(signal.SIGINT) is before  # Ctrl-C goes on working


def test_constant_features_are_learned_around(world, tmp_path):
    from ptofa_gpu.prediction.data import ExposureModule

    people = world.customers.assign(same=7.0, word="x")
    schema = Schema.infer(people, world.funds)
    module = ExposureModule(
        world.log, schema.encode_customers(people), schema.encode_funds(world.funds), device="cpu", batch_size=256
    )
    model = ptofa.RevenueModel(schema, hidden=(16,), embedding=4, lr=0.01)
    result = fit(model, module, max_epochs=2, directory=tmp_path, **SETTINGS)
    assert result.best["val_auc"] > 0.7
    assert np.isfinite(ptofa.expected_revenue(model, people, world.funds)).all()


def test_a_run_that_was_cut_after_it_had_stopped_early_ends_where_it_did(world, tmp_path):
    given = {"max_epochs": 20, "patience": 1, "progress": None, "logger": None}
    straight = world.model(lr=0.03)
    done = fit(straight, world.module(), directory=tmp_path, **given)
    assert len(done.history) < 20
    # as after an interruption while it was being calibrated, and of what was calibrated already
    resumed = world.model(lr=0.03)
    again = fit(resumed, world.module(), directory=tmp_path, resume=done.last_path, **given)
    assert again.history == done.history
    assert again.calibration == done.calibration
    assert torch.equal(weights(straight), weights(resumed))


def test_what_is_settled_after_a_cut_is_the_best_epoch_whenever_it_was(world, tmp_path):
    result = fit(world.model(debias=None), world.module(), max_epochs=2, directory=tmp_path, **SETTINGS)
    best = result.best_path.read_bytes()
    assert settle(tmp_path) == (2, result.best_epoch + 1)
    assert result.best_epoch == 1  # so it is the last one, too, and may be cut off before it is written twice
    result.best_path.unlink()
    assert settle(tmp_path) == (2, 2)
    kept = ptofa.RevenueModel.load(result.best_path)
    result.best_path.write_bytes(best)
    assert torch.equal(weights(kept), weights(ptofa.RevenueModel.load(result.best_path)))
