import csv
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from ptofa_gpu.errors import DegenerateModelError, InputError, PtofaWarning, SchemaError
from ptofa_gpu.prediction.training import fit
from tests.prediction.test_model import weights


def run(world, folder, epochs, **kwargs):
    model = world.model(dropout=0.3)
    settings = {"logger": None, "progress": None, "calibration": False, "patience": 50, **kwargs}
    return model, fit(model, world.module(), max_epochs=epochs, directory=folder, **settings)


def numbers(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_history_has_every_epoch_and_falling_loss(trained):
    _, result = trained
    assert [row["epoch"] for row in result.history] == [0, 1, 2, 3]
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    assert result.best["val_loss"] == min(row["val_loss"] for row in result.history)
    assert {"val_auc", "val_mse", "val_mae", "val_total_ratio_error", "val_conversion_ratio"} <= set(result.best)
    assert result.best["val_auc"] > 0.75
    assert result.device == "cpu"
    page = result._repr_html_()
    assert f"Epoch {result.best_epoch + 1} of {len(result.history)} is kept" in page
    assert "<th scope='row'>1</th>" in page
    assert "<th scope='row'>0</th>" not in page


def test_the_model_is_left_with_the_best_weights(trained):
    model, result = trained
    saved = torch.load(result.best_path, weights_only=True)
    assert saved["epoch"] == result.best_epoch
    assert all(torch.equal(saved["state_dict"][name], value) for name, value in model.state_dict().items())
    assert bool(saved["state_dict"]["calibration.fitted"])
    assert result.calibration.rows > 0


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(world, tmp_path):
    torch.manual_seed(1)
    first, one = run(world, tmp_path / "a", 2, seed=4)
    torch.manual_seed(2)
    second, two = run(world, tmp_path / "b", 2, seed=4)
    other, _ = run(world, tmp_path / "c", 2, seed=5)
    assert torch.equal(weights(first), weights(second))
    assert numbers(one.history) == numbers(two.history)
    assert not torch.equal(weights(first), weights(other))


def test_resuming_is_bit_for_bit(world, tmp_path):
    straight, one = run(world, tmp_path / "straight", 4)
    _, half = run(world, tmp_path / "resumed", 2)
    resumed, two = run(world, tmp_path / "resumed", 4, resume=half.last_path)
    assert numbers(one.history) == numbers(two.history)
    assert torch.equal(weights(straight), weights(resumed))
    ends = [torch.load(r.last_path, weights_only=True)["state_dict"] for r in (one, two)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def rising(model, epoch):
    """Let the validation loss of `model` be poor from `epoch` on, so that the epoch before it stays the best."""
    real = type(model)._measured

    class Rising(type(model)):
        def _measured(self):
            loss, metrics = real(self)
            return loss + (10.0 if self.current_epoch >= epoch else 0.0), metrics

    model.__class__ = Rising
    return model


def train(model, world, folder, epochs, **kwargs):
    settings = {"logger": None, "progress": None, "calibration": False, "patience": 50, **kwargs}
    return fit(model, world.module(), max_epochs=epochs, directory=folder, **settings)


def test_a_run_that_goes_on_elsewhere_keeps_the_best_epoch_so_far(world, tmp_path):
    straight = rising(world.model(debias=None), 2)
    whole = train(straight, world, tmp_path / "straight", 5)
    assert whole.best_epoch == 1
    half = train(rising(world.model(debias=None), 2), world, tmp_path / "half", 3)
    resumed = rising(world.model(debias=None), 2)
    result = train(resumed, world, tmp_path / "other", 5, resume=half.last_path)
    assert (result.best_epoch, result.best_path) == (1, tmp_path / "other" / "best.ckpt")
    assert torch.load(result.best_path, weights_only=True)["epoch"] == 1
    assert torch.equal(weights(straight), weights(resumed))
    assert half.best_path.exists()  # what the run came from is left alone
    assert torch.load(half.last_path, weights_only=True)["epoch"] == 2


def test_the_last_epoch_is_kept_though_it_is_not_the_best(world, tmp_path):
    result = train(rising(world.model(debias=None), 1), world, tmp_path, 3)
    saved = torch.load(result.last_path, weights_only=True)
    assert (result.best_epoch, saved["epoch"]) == (0, 2)
    assert [row["epoch"] for row in saved["callbacks"]["History"]["rows"]] == [0, 1, 2]


def test_going_on_without_the_best_weights_is_refused(world, tmp_path):
    half = train(rising(world.model(debias=None), 1), world, tmp_path / "half", 2)
    alone = tmp_path / "alone" / "last.ckpt"
    alone.parent.mkdir()
    alone.write_bytes(half.last_path.read_bytes())
    with pytest.raises(InputError, match=r"best epoch so far was 1.*there is no such file.*Put the best.ckpt"):
        train(world.model(debias=None), world, tmp_path / "new", 3, resume=alone)
    longer = train(world.model(debias=None), world, tmp_path / "longer", 2)
    assert longer.best_epoch == 1
    alone.with_name("best.ckpt").write_bytes(longer.best_path.read_bytes())
    with pytest.raises(InputError, match="it is of epoch 2"):
        train(world.model(debias=None), world, tmp_path / "new", 3, resume=alone)
    other = train(world.model(debias=None, seed=5), world, tmp_path / "seed", 1)
    alone.with_name("best.ckpt").write_bytes(other.best_path.read_bytes())
    with pytest.raises(InputError, match="of another run"):
        train(world.model(debias=None), world, tmp_path / "new", 3, resume=alone)
    # where the last epoch is the best, it is all that is needed
    alone.with_name("best.ckpt").unlink()
    alone.write_bytes(longer.last_path.read_bytes())
    result = train(rising(world.model(debias=None), 2), world, tmp_path / "new", 3, resume=alone)
    assert result.best_epoch == 1
    assert torch.load(result.best_path, weights_only=True)["epoch"] == 1


def test_what_is_no_checkpoint_is_not_gone_on_from(world, tmp_path, trained):
    with pytest.raises(InputError, match="no such file"):
        train(world.model(), world, tmp_path, 1, resume=tmp_path / "last.ckpt")
    (tmp_path / "notes.ckpt").write_text("words")
    saved = trained[0].save(tmp_path / "model.ckpt")
    for path in (tmp_path / "notes.ckpt", saved):
        with pytest.raises(InputError, match="is no checkpoint of fit"):
            train(world.model(), world, tmp_path, 1, resume=path)


def test_it_stops_when_the_validation_loss_stops_falling(world, tmp_path):
    model = world.model(lr=0.1, dropout=0.0)
    settings = {"patience": 1, "logger": None, "progress": None, "calibration": False}
    result = fit(model, world.module(), max_epochs=40, directory=tmp_path, **settings)
    assert len(result.history) < 40
    assert result.best_epoch == len(result.history) - 2


def test_loggers_write_and_nothing_is_printed(world, tmp_path, capfd):
    run(world, tmp_path, 2, logger=["csv", "tensorboard"])
    with next((tmp_path / "csv").rglob("metrics.csv")).open() as f:
        rows = list(csv.DictReader(f))
    assert {"train_loss", "val_loss", "val_auc"} <= set(rows[0])
    assert any(name.startswith("events.out") for _, _, files in os.walk(tmp_path / "tensorboard") for name in files)
    out, err = capfd.readouterr()
    assert out == ""
    assert "lightning" not in err.lower()


def test_progress_counts_epochs(world, tmp_path, capfd):
    seen = []
    run(world, tmp_path, 2, progress=lambda *x: seen.append(x))
    assert seen == [(1, 2), (2, 2)]
    run(world, tmp_path, 1, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "training" in err


def test_threads_are_put_back(world, tmp_path):
    torch.set_num_threads(2)
    run(world, tmp_path, 1)
    assert torch.get_num_threads() == 2


def test_without_validation_rows_the_training_loss_decides_and_that_is_said(world, tmp_path):
    module = world.module()
    module.log = replace(world.log, split=np.zeros_like(world.log.split))
    with pytest.warns(PtofaWarning, match="no validation rows"):
        result = fit(world.model(), module, max_epochs=2, directory=tmp_path, progress=None, logger=None)
    assert result.best["train_loss"] == min(row["train_loss"] for row in result.history)


def test_without_validation_rows_a_collapsed_model_is_still_called_that(world, tmp_path):
    module = world.module()
    module.log = replace(world.log, split=np.zeros_like(world.log.split))
    model = world.model(debias=None, lr=1e-12)
    real = model.net.start

    def dead(statistics):  # the same answer for everybody, whatever the features
        real(statistics)
        torch.nn.init.zeros_(model.net.conversion_head[2].weight)

    model.net.start = dead
    with pytest.warns(PtofaWarning) as caught:
        fit(model, module, max_epochs=1, directory=tmp_path, progress=None, logger=None)
    said = [str(w.message) for w in caught]
    assert any("same conversion probability for all training rows" in words for words in said)
    with pytest.warns(PtofaWarning) as caught:  # and a sound one is not
        fit(world.model(debias=None), module, max_epochs=2, directory=tmp_path, progress=None, logger=None)
    assert ["no validation rows" in str(w.message) for w in caught] == [True]


def test_without_a_conversion_nothing_is_written(world, tmp_path):
    module = world.module()
    module.log = replace(
        world.log, converted=np.zeros_like(world.log.converted), amount=np.zeros_like(world.log.amount)
    )
    with pytest.raises(DegenerateModelError, match="None of the"):
        fit(world.model(), module, max_epochs=1, directory=tmp_path / "run", progress=None)
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_at_once_says_so(world, tmp_path):
    with pytest.raises(DegenerateModelError, match="diverged"):
        fit(world.model(lr=1e30), world.module(), max_epochs=3, directory=tmp_path, progress=None, logger=None)


@pytest.mark.parametrize("kwargs", [{"max_epochs": 0}, {"patience": 0}, {"logger": "wandb"}])
def test_bad_settings(world, tmp_path, kwargs):
    with pytest.raises(InputError):
        fit(world.model(), world.module(), **{"max_epochs": 1, "directory": tmp_path, "progress": None, **kwargs})


def test_another_schemas_model_is_refused(world, tmp_path):
    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.schema import Schema

    model = RevenueModel(Schema.infer(world.customers.drop(columns="region"), world.funds))
    with pytest.raises(SchemaError, match="customers"):
        fit(model, world.module(), max_epochs=1, directory=tmp_path, progress=None, logger=None)
