"""`--config FILE.yaml`: a command's arguments and options from a file, by the names they have on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ptofa_gpu._lazy import require
from ptofa_gpu._text import nearest
from ptofa_gpu.errors import InputError


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's entries the defaults of the command that is being called.

    Raises
    ------
    InputError
        A file that cannot be read or is no mapping; a name that is no argument or option of the command.
    """
    if path is None or context.resilient_parsing:
        return path
    known = {
        name: parameter
        for parameter in context.command.params
        for name in _names(parameter)
        if parameter.name not in ("config", "help")
    }
    defaults: dict[str, Any] = {}
    for key, value in _load(path).items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise InputError(
                f"{path}: {context.info_name} has no argument or option {key!r}{nearest(name, known)} "
                f"It has: {', '.join(sorted({_names(p)[0].replace('_', '-') for p in known.values()}))}"
            )
        parameter = known[name]
        if value is not None and parameter.name is not None:
            defaults[parameter.name] = _as_typed(value, path, key, multiple=getattr(parameter, "multiple", False))
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def _names(parameter: Any) -> list[str]:
    """What a file may call a parameter: its options without dashes, the longest first; arguments by their name."""
    options = sorted((o for o in parameter.opts if o.startswith("-")), key=len, reverse=True)
    return [o.lstrip("-").replace("-", "_") for o in options] or [parameter.name]


def _load(path: Path) -> dict[Any, Any]:
    yaml = require("yaml", "--config")
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, OverflowError, RecursionError, yaml.YAMLError) as e:  # a date may be none
        raise InputError(f"{path} cannot be read as YAML: {e}") from e
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise InputError(f"{path} must hold lines like 'method: optimal', found a {type(read).__name__}")
    return read


def _as_typed(value: Any, path: Path, key: Any, *, multiple: bool) -> Any:
    """Return the value as somebody would have typed it; the command's own types read it from there."""
    if isinstance(value, dict):
        if not multiple:
            raise InputError(f"{path}: {key} is one value, found a mapping")
        return [f"{name}={_plain(inner)}" for name, inner in value.items()]
    if isinstance(value, list):
        if not multiple:
            raise InputError(f"{path}: {key} is one value, found a list")
        return [_plain(inner) for inner in value]
    if multiple:
        return [_plain(value)]
    return value if isinstance(value, bool) else _plain(value)


def _plain(value: Any) -> str:
    return str(value)
