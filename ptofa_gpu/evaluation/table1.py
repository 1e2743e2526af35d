"""Table 1 of the paper, on data that can be shown: every method, a grid of settings, several seeds.

Tang et al. (2025), arXiv 2503.03165, compare eight models on two private data sets. `model_table` makes the same table
from any `ExposureData`, and `against_paper` says where the paper's order does not hold.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._arguments import (
    function,
    instance,
    listed,
    mapping,
    one_of,
    progress_of,
    seed_of,
    text_of,
    whole,
)
from ptofa_gpu._text import shown
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import exposure_data, known_options
from ptofa_gpu.evaluation.model_runs import Judge, ModelRun, Training, train
from ptofa_gpu.evaluation.model_search import PAPER_GRID, Grid, Setting, points, search, tries
from ptofa_gpu.evaluation.model_store import Store, fingerprint
from ptofa_gpu.evaluation.model_table import ModelTable

if TYPE_CHECKING:
    from ptofa_gpu.datasets.base import ExposureData

_MOST_SEEDS = 10_000
Methods = Sequence[str] | Mapping[str, Mapping[str, Any]]
Progress = bool | Callable[[int, int, str], None] | None


@dataclass(frozen=True)
class Profile:
    """How much work a table is: the settings tried, how each run is trained, and how many seeds there are."""

    grid: Grid
    training: Training
    seeds: int


PROFILES = {
    # minutes on two cores; 0.002 lies outside the paper's grid and is better at batches of 512
    "quick": Profile({"lr": (0.002, 0.01), "dropout": (0.1,)}, Training(max_epochs=6, patience=2), 2),
    "paper": Profile(PAPER_GRID, Training(max_epochs=30, patience=4), 5),
}
# the variants beside each method's defaults that a table has by default: without debiasing PTOFA is the paper's own
_VARIANTS = {
    "shared_bottom": ("shared_bottom(label=log1p)",),
    "ptofa": (
        "ptofa(debias=none)",
        "ptofa(counterfactual=censored, debias=none)",
        "ptofa(debias=ipw)",
        "ptofa(debias=dr)",
    ),
}


def default_methods() -> list[str]:
    """Every method that can be trained, with its variants."""
    from ptofa_gpu.prediction import methods

    return [label for name in methods.available() for label in (name, *_VARIANTS.get(name, ()))]


def parse_method(label: str) -> dict[str, Any]:
    """What `RevenueModel` is given for a label such as ``"ptofa(debias=none)"``: the method's name and its options.

    Raises
    ------
    InputError
        If the label cannot be read, names no method, or an option that `RevenueModel` does not have.
    """
    from ptofa_gpu.prediction import methods
    from ptofa_gpu.prediction.model import RevenueModel

    found = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", text_of("method", label))
    if not found or found[1] not in methods.available():
        raise InputError(
            f"method {label!r} is not known. Write one of {', '.join(methods.available())}, with options in brackets "
            "if need be: ptofa(debias=none)."
        )
    known = set(inspect.signature(RevenueModel).parameters) - {"schema", "method", "seed"}
    options: dict[str, Any] = {"method": found[1]}
    for part in filter(None, (p.strip() for p in (found[2] or "").split(","))):
        name, equals, value = (x.strip() for x in part.partition("="))
        if not equals or name not in known:
            raise InputError(
                f"method {label!r}: {part!r} is no option of a model; there are {', '.join(sorted(known))}."
            )
        options[name] = _value(value)
    return options


def _value(text: str) -> Any:
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def model_table(
    data: Any,
    methods: Methods | None = None,
    seeds: int | Sequence[int] | None = None,
    *,
    grid: Grid | None = None,
    profile: str = "quick",
    trials: int | None = None,
    training: Training | None = None,
    directory: str | os.PathLike[str] | None = None,
    progress: Progress = True,
    on_run: Callable[[ModelRun, ExposureData, bool], None] | None = None,
) -> ModelTable:
    """Train methods with a grid of settings and several seeds, and put them side by side.

    Settings are tried with the first seed; the one of least validation loss is then trained with the other seeds.

    Parameters
    ----------
    data : ExposureData, or callable (seed) -> ExposureData
        With a callable each seed is a world, or a split, of its own, so that spreads hold the luck of the data too;
        methods are compared within each.
    methods : sequence of labels, or mapping of label to options of `RevenueModel`
        E.g. ``["esmm", "ptofa(debias=none)"]``. All that can be trained by default.
    seeds : int or sequence of int
        How many (0, 1, ...), or which. By default the profile's.
    grid : mapping of option to values
        By default the profile's: "paper" is the paper's.
    profile : {"quick", "paper"}
        "quick" takes minutes on two cores for some ten thousand rows.
    trials : int, optional
        Let Optuna choose that many settings within the grid's range, instead of trying its every point.
    training : Training, optional
        Epochs, patience, batch size and device; by default the profile's.
    directory : path, optional
        Each finished run is kept here, and not run again: an interrupted table goes on where it stopped.
    progress
        True for a bar on stderr, or a function of (runs done, runs in all, what is next).
    on_run
        Called after each run with it, its data, and whether it was trained just now.

    Returns
    -------
    ModelTable

    Raises
    ------
    InputError
        For an unknown method, option or profile, an empty grid, or no seed.
    MissingPackageError
        If `trials` is given and Optuna is not installed.
    """
    chosen_profile = PROFILES[one_of("profile", profile, tuple(PROFILES))]
    grid = chosen_profile.grid if grid is None else grid
    training = chosen_profile.training if training is None else instance("training", training, Training)
    progress, on_run = progress_of(progress), function("on_run", on_run)
    if not callable(data) or isinstance(data, type):
        exposure_data(data)
    which = _seeds(chosen_profile.seeds if seeds is None else seeds)
    wanted = _methods(methods)
    settings = tries(grid, trials)
    store = Store(directory)
    report, close = _reporter(progress, len(wanted) * (settings + len(which) - 1))
    runs: list[ModelRun] = []
    chosen: dict[str, Setting] = {}
    try:
        for position, seed in enumerate(which):
            world = data(seed) if callable(data) else data
            if position == 0:
                _refuse_untrainable(world, wanted, grid)
            judge, print_ = Judge(world), fingerprint(world)

            def run(
                label: str,
                setting: Setting,
                world: ExposureData = world,
                judge: Judge = judge,
                seed: int = seed,
                print_: str = print_,
            ) -> ModelRun:
                report(len(runs), f"{world.name} {label} {_words(setting)} seed {seed}")
                options = wanted[label]
                key = store.key(print_, options, setting, seed, training)
                kept = store.read(key)
                done = kept or train(world, judge, label, options, setting, seed, training)
                if kept is None:
                    store.write(key, done)
                else:  # it may have been run under another name, or with its defaults written out
                    done = replace(done, method=label, options=dict(options), setting=dict(setting))
                runs.append(done)
                if on_run is not None:
                    on_run(done, world, kept is None)
                return done

            for label in wanted:
                if position == 0:
                    chosen[label] = search(grid, partial(run, label), trials, which[0])[0].setting
                else:
                    run(label, chosen[label])
        report(len(runs), "done")
    finally:
        close()
    return ModelTable(runs, chosen, world.name, world.currency, profile)


def _refuse_untrainable(data: ExposureData, wanted: Mapping[str, Mapping[str, Any]], grid: Grid) -> None:
    """Name an option or a setting that a model does not take before the first of them is trained for hours."""
    from ptofa_gpu.prediction.model import RevenueModel

    exposure_data(data, "the data that `data` gave")
    for label, options in wanted.items():
        for setting in points(grid):
            known_options({**options, **setting}, label)
            try:
                RevenueModel(data.schema, **{**options, **setting})
            except InputError as e:
                raise InputError(f"{label}: {e}") from e


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, int | float | np.number) or seeds is None:
        return list(range(whole("seeds", seeds, 1, _MOST_SEEDS)))
    which = [seed_of(s, "seeds") for s in listed("seeds", seeds, "seeds, or their number")]
    if not which or len(set(which)) < len(which):
        raise InputError(f"seeds is {shown(seeds)}; at least one is needed, each once and not negative.")
    return which


def _methods(methods: Methods | None) -> dict[str, dict[str, Any]]:
    if isinstance(methods, str):
        methods = [methods]
    if methods is None:
        methods = default_methods()
    if isinstance(methods, Mapping):
        wanted = {label: mapping(f"methods[{label!r}]", own) for label, own in mapping("methods", methods).items()}
        for label, options in wanted.items():
            if "method" not in options:
                raise InputError(f"methods[{label!r}] lacks 'method', the name of the method to train.")
    else:
        methods = listed("methods", methods, "labels")
        wanted = {text_of("methods", label): parse_method(label) for label in methods}
        if len(wanted) < len(methods):
            raise InputError(f"methods names one twice: {', '.join(methods)}.")
    if not wanted:
        raise InputError("methods is empty: name at least one.")
    return wanted


def _words(setting: Setting) -> str:
    return " ".join(f"{k} {v:.3g}" for k, v in setting.items())


def _reporter(progress: Progress, total: int) -> tuple[Callable[[int, str], None], Callable[[], None]]:
    if not progress:
        return (lambda done, what: None), (lambda: None)
    if callable(progress):
        return (lambda done, what: progress(done, total, what)), (lambda: None)
    from tqdm import tqdm

    bar = tqdm(total=total, unit="run", desc="models", file=sys.stderr)

    def report(done: int, what: str) -> None:
        bar.set_postfix_str(what, refresh=False)
        bar.update(done - bar.n)

    return report, bar.close
