"""Which setting a method is trained with: every point of a grid, or Optuna's search within it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from ptofa_gpu._lazy import require
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation.model_runs import ModelRun

Grid = Mapping[str, Sequence[float]]
Setting = dict[str, float]

#: Tang et al. (2025), section 4.1.
PAPER_GRID: Grid = {"lr": (0.01, 0.02, 0.04, 0.06), "dropout": (0.1, 0.3, 0.5)}


def points(grid: Grid) -> list[Setting]:
    """Every combination, the first value of each first.

    Raises
    ------
    InputError
        For a grid without a value somewhere, or with one that is no number.
    """
    for name, values in grid.items():
        if isinstance(values, (str, float, int)) or not len(values):
            raise InputError(f"grid[{name!r}] is {values!r}; it must be a sequence of at least one value.")
        if any(isinstance(v, str) or not math.isfinite(v) for v in values):
            raise InputError(f"grid[{name!r}] is {values!r}; its values must be finite numbers.")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def search(grid: Grid, run: Callable[[Setting], ModelRun], trials: int | None, seed: int) -> list[ModelRun]:
    """Train with settings of the grid, and return all runs, the one of least validation loss first.

    Parameters
    ----------
    grid
        Values to try of each hyperparameter.
    run
        Trains with a setting.
    trials
        None tries every point of the grid. A number lets Optuna choose as many settings between the least and the
        largest value of each (learning rates on a log scale), which needs the package optuna.
    seed
        Of Optuna's sampler.
    """
    settings = points(grid)
    if trials is None:
        runs = [run(setting) for setting in settings]
    else:
        runs = _with_optuna(grid, run, trials, seed)
    # a run without a finite loss comes last; equal losses keep the order of the grid
    return sorted(runs, key=lambda r: r.val_loss if r.status == "ok" and math.isfinite(r.val_loss) else math.inf)


def _with_optuna(grid: Grid, run: Callable[[Setting], ModelRun], trials: int, seed: int) -> list[ModelRun]:
    optuna = require("optuna", "searching settings (trials=)")
    if trials < 1:
        raise InputError(f"trials is {trials}; at least one is needed.")
    runs: list[ModelRun] = []

    def objective(trial) -> float:  # type: ignore[no-untyped-def]
        setting = {
            name: trial.suggest_float(name, min(values), max(values), log=name == "lr" and min(values) > 0)
            for name, values in grid.items()
        }
        runs.append(run(setting))
        loss = runs[-1].val_loss
        return loss if math.isfinite(loss) else 1e30  # worse than any; Optuna would drop a trial without a value

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=seed))
        study.optimize(objective, n_trials=trials)
    finally:
        optuna.logging.set_verbosity(before)
    return runs
