"""Which setting a method is trained with: every point of a grid, or Optuna's search within it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from ptofa_gpu._arguments import listed, mapping, number, whole
from ptofa_gpu._lazy import require
from ptofa_gpu._text import shown
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation.model_runs import ModelRun

Grid = Mapping[str, Sequence[float]]
Setting = dict[str, float]

_MOST_TRIALS = 100_000
#: Tang et al. (2025), section 4.1.
PAPER_GRID: Grid = {"lr": (0.01, 0.02, 0.04, 0.06), "dropout": (0.1, 0.3, 0.5)}


def points(grid: Grid) -> list[Setting]:
    """Every combination, the first value of each first.

    Raises
    ------
    InputError
        For a grid without a value somewhere, or with one that is no number.
    """
    checked = {}
    for name, values in mapping("grid", grid).items():
        known = listed(f"grid[{name!r}]", values, "at least one value")
        if not known:
            raise InputError(f"grid[{name!r}] is {shown(values)}; it must be a sequence of at least one value.")
        checked[name] = [number(f"grid[{name!r}]", v, "of values that are finite numbers") for v in known]
    return [dict(zip(checked, values, strict=True)) for values in itertools.product(*checked.values())]


def tries(grid: Grid, trials: int | None) -> int:
    """How many settings are tried: every point of the grid, or as many as Optuna may choose."""
    return len(points(grid)) if trials is None else whole("trials", trials, 1, _MOST_TRIALS)


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
    n = tries(grid, trials)
    runs = [run(setting) for setting in points(grid)] if trials is None else _with_optuna(grid, run, n, seed)
    # a run without a finite loss comes last; equal losses keep the order of the grid
    return sorted(runs, key=lambda r: r.val_loss if r.status == "ok" and math.isfinite(r.val_loss) else math.inf)


def _with_optuna(grid: Grid, run: Callable[[Setting], ModelRun], trials: int, seed: int) -> list[ModelRun]:
    optuna = require("optuna", "searching settings (trials=)")
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
