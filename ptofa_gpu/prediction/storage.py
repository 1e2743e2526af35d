"""A trained model in one file: settings, schema, label scale, weights, calibration. Reading it runs no code from it."""

from __future__ import annotations

import io
import os
import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ptofa_gpu._arguments import instance, path_of
from ptofa_gpu._files import atomic_path
from ptofa_gpu._text import shown
from ptofa_gpu.errors import InputError
from ptofa_gpu.prediction.schema import Schema

if TYPE_CHECKING:
    from ptofa_gpu.prediction.model import RevenueModel

_FORMAT = "ptofa-model-1"
_LIGHTNING_HPARAMS = "hyper_parameters"
_AGAIN = "Write it again with RevenueModel.save, or take the best.ckpt that `fit` left."


@dataclass(frozen=True)
class ModelFile:
    """What a model or checkpoint file holds, checked."""

    settings: dict[str, Any]
    weights: dict[str, Tensor]
    exposure: dict[str, Any] | None


def save_model(model: RevenueModel, path: str | os.PathLike[str]) -> Path:
    """Write a model to `path`: tensors, and plain numbers and text; the file is there whole or not at all."""
    content = {
        "format": _FORMAT,
        _LIGHTNING_HPARAMS: dict(model.hparams),
        "state_dict": {name: value.detach().cpu() for name, value in model.state_dict().items()},
        "exposure": model.exposure,
    }
    write_tensors(content, path)
    return Path(path)


def write_tensors(content: Any, path: str | os.PathLike[str]) -> None:
    """Write what `read_tensors` reads; the file is there whole or not at all.

    It is put together in memory: torch's own writer says of a full disk only that it failed.
    """
    made = io.BytesIO()
    torch.save(content, made)
    with atomic_path(path) as partial:
        partial.write_bytes(made.getbuffer())


def read_model(path: str | os.PathLike[str], schema: Schema | None) -> ModelFile:
    """What a model or checkpoint file holds, in host memory, checked before any network is made of it.

    Raises
    ------
    InputError
        If the file is not there, is no model, is damaged, or holds anything but tensors and plain values.
    SchemaError
        If `schema` is not the model's; see `RevenueModel.check_schema`.
    """
    where = path_of("path", path)
    if schema is not None:
        instance("schema", schema, Schema, "that of the data")
    if not os.path.isfile(where):
        raise InputError(f"There is no model at {str(where)!r}.")
    found = checked_model(read_tensors(where), str(where))
    if schema is not None:
        from ptofa_gpu.prediction.training_hooks import refuse_other_schema

        refuse_other_schema(Schema.from_json(found.settings["schema"]), schema)
    return found


def read_tensors(path: Path) -> Any:
    """What torch reads from a file without running code from it, in host memory."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        raise InputError(
            f"{str(path)!r} holds more than numbers and text, or is damaged; it is not read, because reading it "
            "could run code. Models written by RevenueModel.save and checkpoints of `fit` can be read."
        ) from e
    except Exception as e:  # bytes that are no such file make the reader fail in any way
        first = (str(e).splitlines() or [""])[0]
        raise InputError(
            f"{str(path)!r} is not a model file, or is cut short ({type(e).__name__}: {first}). {_AGAIN}"
        ) from e


def checked_model(content: Any, where: str) -> ModelFile:
    """`content` of the file `where`, if a model can be made of it: settings in range, weights that fit them.

    The network that the settings describe is laid out without memory, and its sizes are compared with the weights that
    are there: a file cannot make this program take more memory than the file's own weights do.
    """
    from pydantic import ValidationError

    from ptofa_gpu.prediction.file_format import StoredModel, problems_of

    if not isinstance(content, dict) or not {_LIGHTNING_HPARAMS, "state_dict"} <= set(content):
        raise InputError(f"{where!r} is not a model written by RevenueModel.save or a checkpoint of `fit`.")
    ours = content.get("format")
    of_lightning = ours is None and "pytorch-lightning_version" in content
    if not of_lightning and not (isinstance(ours, str) and ours == _FORMAT):
        raise InputError(
            f"{where!r} has the format {shown(ours)}; this version reads {_FORMAT!r}. Use the version that wrote it, "
            "or train the model again."
        )
    try:
        stored = StoredModel.model_validate(content)
    except ValidationError as e:
        raise _damaged(where, problems_of(e)) from e
    settings = stored.settings.model_dump(by_alias=True)
    problems = _weights_problems(settings, stored.state_dict, where)
    if problems:
        raise _damaged(where, problems)
    return ModelFile(settings, stored.state_dict, None if stored.exposure is None else stored.exposure.model_dump())


def _damaged(where: str, problems: list[str]) -> InputError:
    listed = problems[:8] + [f"and {len(problems) - 8} more"] * (len(problems) > 8)
    return InputError(f"{where!r} is no whole model. {_AGAIN}" + "".join(f"\n  - {p}" for p in listed))


def _weights_problems(settings: dict[str, Any], weights: dict[str, Any], where: str) -> list[str]:
    from ptofa_gpu.prediction.model import RevenueModel

    try:
        with torch.device("meta"):
            model = RevenueModel(**settings)
    except InputError as e:
        raise _damaged(where, [f"settings: {e}"]) from e
    wanted = model.state_dict()
    problems = [f"the weights {name!r} are missing" for name in wanted if name not in weights]
    problems += [f"there are weights {name!r} that no such model has" for name in weights if name not in wanted]
    problems += [p for name, w in wanted.items() if name in weights for p in _tensor_problem(name, weights[name], w)]
    return problems or _statistics_problems(weights)


def _tensor_problem(name: str, found: Any, wanted: Tensor) -> list[str]:
    if not isinstance(found, Tensor) or found.layout != torch.strided or found.is_quantized or found.is_meta:
        return [f"the weights {name!r} are no dense tensor"]
    if found.shape != wanted.shape:
        return [f"the weights {name!r} have shape {tuple(found.shape)}, the settings ask for {tuple(wanted.shape)}"]
    if found.dtype != wanted.dtype and not (found.is_floating_point() and wanted.is_floating_point()):
        return [f"the weights {name!r} are of {found.dtype}, not {wanted.dtype}"]
    if not bool(torch.isfinite(found).all()):
        return [f"the weights {name!r} are not finite: training diverged, or the file is damaged"]
    return []


def _statistics_problems(weights: dict[str, Tensor]) -> list[str]:
    """Label statistics that no log has."""
    from ptofa_gpu.prediction.methods.base import LabelStatistics

    values = {f.name: float(weights[f"net.{f.name}"]) for f in fields(LabelStatistics)}
    if values["scale"] == 0.0:
        return []  # of a model that was never trained
    return [f"label statistics: {p}" for p in LabelStatistics(**values).problems()]  # type: ignore[arg-type]
