"""Parameters that are secret by their names: a notebook gets them, and nothing that a report leaves holds them."""

from __future__ import annotations

import ast
import html
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ptofa_gpu._files import atomic_path

MASK = "***"
_SECRET = re.compile(r"token|password|passwd|secret|key|credential", re.IGNORECASE)
#: shorter values stand in too many words; they are masked where they are assigned, and left alone elsewhere
_SHORTEST, _FEWEST_DIGITS = 4, 6
_ASSIGNING = {"parameters", "injected-parameters"}


def is_secret(name: str) -> bool:
    """Whether a parameter is secret by its name: it holds ``token``, ``password``, ``secret``, ``key`` or the like.

    Examples
    --------
    >>> is_secret("API_TOKEN"), is_secret("customers")
    (True, False)
    """
    return _SECRET.search(name) is not None


def masked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with a mask for the value of each secret one that has a value.

    Examples
    --------
    >>> masked({"n": 3, "api_key": "abc", "password": ""})
    {'n': 3, 'api_key': '***', 'password': ''}
    """
    return {name: MASK if is_secret(name) and _is_value(value) else value for name, value in values.items()}


def secret_values(*sources: Mapping[str, Any]) -> list[Any]:
    """Return the values of the secret parameters among the mappings of names to values in `sources`."""
    return [value for values in sources for name, value in values.items() if is_secret(name) and _is_value(value)]


def hider(values: Iterable[Any]) -> Callable[[str], str]:
    """Return what replaces each of the secret `values` in a text by a mask, also as code, JSON or HTML writes it."""
    forms = {form for value in values for text in _texts(value) for form in _written(text)}
    if not forms:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, sorted(forms, key=lambda f: (-len(f), f)))))
    return lambda text: pattern.sub(MASK, text)


def hide_in_notebook(node: Any, hide: Callable[[str], str]) -> None:
    """Mask secrets in an executed notebook: where they are assigned, in its metadata, and in all of its texts."""
    for cell in node.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and isinstance(tags, list) and _ASSIGNING & {t for t in tags if isinstance(t, str)}:
            cell.source = _without_values(cell.source)
    runs = node.metadata.get("papermill", {})
    if isinstance(runs, Mapping) and isinstance(runs.get("parameters"), Mapping):
        node.metadata["papermill"]["parameters"] = masked(runs["parameters"])
    ours = node.metadata.get("ptofa", {})
    profiles = ours.get("profiles") if isinstance(ours, Mapping) else None
    if isinstance(profiles, Mapping):
        for name, values in profiles.items():
            if isinstance(values, Mapping):
                node.metadata["ptofa"]["profiles"][name] = masked(values)
    _hide_below(node, hide)


def hide_in_files(folder: Path, names: Iterable[str], hide: Callable[[str], str]) -> None:
    """Mask secrets in those of the files `names` below `folder` that are text."""
    for name in names:
        path = folder / name
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
        hidden = hide(text)
        if hidden != text:
            with atomic_path(path) as partial:
                partial.write_bytes(hidden.encode("utf-8"))


def _is_value(value: Any) -> bool:
    return value is not None and value != "" and not isinstance(value, bool)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, bytes):
        yield from _texts(value.decode("utf-8", "backslashreplace"))
    elif isinstance(value, str) and len(value) >= _SHORTEST:
        yield value
    elif isinstance(value, int | float) and len(str(value)) >= _FEWEST_DIGITS:
        yield str(value)


def _written(text: str) -> Iterator[str]:
    yield text
    yield from (repr(text)[1:-1], ascii(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    yield from (html.escape(text), html.escape(text, quote=False), quote(text), quote(text, safe=""))
    if os.path.sep in text:
        yield os.path.abspath(os.path.expanduser(text))


def _without_values(source: str) -> str:
    """Return a cell of assignments with a mask for each secret value."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    lines = source.encode().splitlines(keepends=True)
    for node in reversed(tree.body):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        if value is None or not any(isinstance(t, ast.Name) and is_secret(t.id) for t in targets):
            continue
        if isinstance(value, ast.Constant) and not _is_value(value.value):
            continue
        first, last = value.lineno - 1, value.end_lineno - 1
        kept = lines[first][: value.col_offset] + repr(MASK).encode() + lines[last][value.end_col_offset :]
        lines[first : last + 1] = [kept]
    return b"".join(lines).decode()


def _hide_below(node: Any, hide: Callable[[str], str]) -> None:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        if isinstance(value, str):
            node[key] = hide(value)
        elif isinstance(value, dict | list):
            _hide_below(value, hide)
