"""A trained model in one file: settings, schema, label scale, weights, calibration. Reading it runs no code from it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ptofa_gpu._files import atomic_path
from ptofa_gpu.errors import InputError
from ptofa_gpu.prediction.schema import Schema

if TYPE_CHECKING:
    from ptofa_gpu.prediction.model import RevenueModel

_FORMAT = "ptofa-model-1"
_LIGHTNING_HPARAMS = "hyper_parameters"


def save_model(model: RevenueModel, path: str | os.PathLike[str]) -> Path:
    """Write a model to `path`: tensors, and plain numbers and text; the file is there whole or not at all."""
    content = {
        "format": _FORMAT,
        _LIGHTNING_HPARAMS: dict(model.hparams),
        "state_dict": {name: value.detach().cpu() for name, value in model.state_dict().items()},
        "exposure": model.exposure,
    }
    with atomic_path(path) as partial:
        torch.save(content, partial)
    return Path(path)


def read_model(path: str | os.PathLike[str], schema: Schema | None, device: str | torch.device) -> dict[str, Any]:
    """What a model or checkpoint file holds, checked: settings, weights, what was said of exposure.

    Raises
    ------
    InputError
        If the file is not there, is no model, or holds anything but tensors and plain values.
    SchemaError
        If `schema` is not the model's; see `RevenueModel.check_schema`.
    """
    if not Path(path).is_file():
        raise InputError(f"There is no model at {os.fspath(path)!r}.")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as e:
        raise InputError(
            f"{os.fspath(path)!r} holds more than numbers and text, or is damaged; it is not read, because reading it "
            "could run code. Models written by RevenueModel.save and checkpoints of `fit` can be read."
        ) from e
    except (RuntimeError, EOFError, ValueError, OSError) as e:
        raise InputError(f"{os.fspath(path)!r} is not a model file, or is cut short: {e}") from e
    if not isinstance(content, dict) or not {_LIGHTNING_HPARAMS, "state_dict"} <= set(content):
        raise InputError(f"{os.fspath(path)!r} is not a model written by RevenueModel.save or a checkpoint of `fit`.")
    settings = content[_LIGHTNING_HPARAMS]
    if schema is not None:
        from ptofa_gpu.prediction.training_hooks import refuse_other_schema

        refuse_other_schema(Schema.from_json(settings["schema"]), schema)
    return {"settings": settings, "weights": content["state_dict"], "exposure": content.get("exposure")}
