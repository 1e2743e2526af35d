"""Finished training runs kept as files: each under a name that holds everything the run depends on."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ptofa_gpu
from ptofa_gpu._arguments import path_of
from ptofa_gpu._files import atomic_path
from ptofa_gpu.evaluation.model_runs import ModelRun, Training
from ptofa_gpu.evaluation.model_search import Setting

if TYPE_CHECKING:
    from ptofa_gpu.datasets.base import ExposureData

# raised when a stored run no longer means what it says
_FORMAT = 2
#: What a run's numbers come from, besides its settings and its data: training, and how it is measured.
_CODE = ("prediction", "evaluation/model_runs.py", "evaluation/model_judge.py")


def resolved(options: Mapping[str, Any], setting: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Every setting of `RevenueModel` that options and a setting lead to, defaults filled in.

    "auto" is replaced by what it means, and options that are the method's own by the method's defaults, so that two
    ways to ask for one model are one, and a default that changes makes another model of the same words.
    """
    from ptofa_gpu.prediction import methods
    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.settings import resolve_debias

    parameters = inspect.signature(RevenueModel).parameters.values()
    full = {p.name: p.default for p in parameters if p.name not in ("schema", "seed")}
    full |= {**options, **(setting or {})}
    full |= {name: value for name, value in methods.defaults(full["method"]).items() if full[name] is None}
    full["hidden"] = list(full["hidden"])
    full["debias"] = resolve_debias(full["method"], full["debias"])
    return full


@cache
def code_fingerprint() -> str:
    """A checksum of the code that trains and measures; comments, docstrings and layout do not count.

    Most of what decides a result is no option: bounds, priors, the exposure model's own training. A run of other code
    is another run. Where the package is installed without its source, the version in the key has to do.
    """
    digest = hashlib.sha256()
    root = Path(ptofa_gpu.__file__).parent
    for name in _CODE:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.relative_to(root).as_posix()}\n{_meaning(file.read_text('utf-8'))}\n".encode())
    return digest.hexdigest()


def _meaning(source: str) -> str:
    """The syntax tree of a module as text, without what does not run."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def fingerprint(data: ExposureData) -> str:
    """A checksum of log, features and schema: stored runs of other data are never taken for these."""
    digest = hashlib.sha256(data.schema.to_json().encode())
    log = data.arrays
    features = (data.encoded_customers, data.encoded_funds)
    for array in (log.customer, log.fund, log.converted, log.amount, log.split):
        digest.update(array.tobytes())
    for encoded in features:
        digest.update(encoded.categorical.tobytes())
        digest.update(encoded.numeric.tobytes())
    return digest.hexdigest()


class Store:
    """Finished runs as JSON files, one each, named by what was run; without a directory nothing is kept."""

    def __init__(self, directory: str | os.PathLike[str] | None):
        self.folder = None if directory is None else path_of("directory", directory)

    @staticmethod
    def key(print_: str, options: Mapping[str, Any], setting: Setting, seed: int, training: Training) -> str:
        """What a run depends on, as a name: data, every setting of model and training, seed, and the code."""
        what = {
            "format": _FORMAT,
            "version": ptofa_gpu.__version__,
            "data": print_,
            "code": code_fingerprint(),
            "model": resolved(options, setting),
            "seed": seed,
            "training": asdict(training),
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]

    def read(self, key: str) -> ModelRun | None:
        """The stored run, or None; a file that cannot be read is as good as none."""
        if self.folder is None:
            return None
        try:
            return ModelRun.from_json(json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, key: str, run: ModelRun) -> None:
        """Keep a run; the file is whole or not there."""
        if self.folder is None:
            return
        with atomic_path(self.folder / f"{key}.json") as partial:
            partial.write_text(json.dumps(run.to_json(), indent=1), encoding="utf-8")
