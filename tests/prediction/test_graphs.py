"""The recorded step, with a recorder for the CPU: it repeats the same function on the same memory, as a graph does."""

import warnings

import pytest
import torch

from ptofa_gpu.errors import PtofaWarning
from ptofa_gpu.prediction import steps
from ptofa_gpu.prediction._graphs import ReplayedStep
from ptofa_gpu.prediction.steps import BlockSteps
from ptofa_gpu.prediction.training import fit
from tests.prediction.test_model import weights


class Recorder:
    """Counts recordings and replays. Recording runs nothing, as recording a CUDA graph does."""

    def __init__(self, trouble=None):
        self.recorded = self.replayed = 0
        self.trouble = trouble

    def __call__(self, work, generators):
        if self.trouble:
            raise self.trouble
        self.recorded += 1

        def replay():
            self.replayed += 1
            work()

        return replay


def test_it_warms_up_records_once_and_steps_over_other_shapes():
    seen = []

    def step(batch):
        seen.append(batch[0].clone())
        return batch[0].sum()

    forgotten, recorder = [], Recorder()
    run = ReplayedStep(step, lambda: forgotten.append(1), lambda: [], recorder)
    batches = [(torch.full((4,), float(i)),) for i in range(8)]
    losses = [float(run(batch)) for batch in batches]
    small = (torch.ones(2),)
    assert float(run(small)) == 2.0
    assert losses == [4.0 * i for i in range(8)]
    assert [float(x[0]) for x in seen] == [*map(float, range(8)), 1.0]  # every batch once, in order
    assert (recorder.recorded, recorder.replayed, len(forgotten)) == (1, 5, 1)


def graphed(monkeypatch, recorder):
    """Let training on the CPU take the way it takes on a GPU."""
    real = BlockSteps.__init__

    def init(self, model):
        real(self, model)
        self.replayed = ReplayedStep(self._plain_step, self._forget_gradients, self._generators, recorder)

    monkeypatch.setattr(steps.BlockSteps, "__init__", init)


def test_training_with_a_recorded_step_gives_the_same_model(world, tmp_path, monkeypatch):
    settings = {"max_epochs": 2, "progress": None, "logger": None, "calibration": False}
    plain, recorded = world.model(dropout=0.3), world.model(dropout=0.3)
    fit(plain, world.module(batch_size=100), directory=tmp_path / "a", **settings)
    recorder = Recorder()
    graphed(monkeypatch, recorder)
    fit(recorded, world.module(batch_size=100), directory=tmp_path / "b", **settings)
    assert recorder.recorded == 1
    assert recorder.replayed > 50
    assert torch.equal(weights(plain), weights(recorded))


def test_a_step_that_cannot_be_recorded_is_run_as_it_is_and_that_is_said(world, tmp_path, monkeypatch):
    graphed(monkeypatch, Recorder(RuntimeError("operation not permitted when stream is capturing")))
    settings = {"max_epochs": 1, "progress": None, "logger": None, "calibration": False}
    model, plain = world.model(), world.model()
    with pytest.warns(PtofaWarning, match="could not be recorded"):
        fit(model, world.module(batch_size=100), directory=tmp_path / "a", **settings)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error", PtofaWarning)
        fit(plain, world.module(batch_size=100), directory=tmp_path / "b", **settings)
    assert torch.equal(weights(model), weights(plain))
