"""A notebook's parameters: read from its tagged cell, and checked before a kernel is started.

The cell tagged ``parameters`` holds plain assignments of literals. The default's type is the parameter's type; a
comment beside it that starts with literals joined by ``|`` lists the values allowed::

    world = "A"  # "A" | "B": which synthetic world
    customers = 20_000  # customers in it
    log_file = ""  # path: a file of yours; empty for none

Profiles are notebook metadata: ``{"ptofa": {"profiles": {"paper": {"customers": 200000}}}}``; the defaults in the cell
are the profile ``quick``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ptofa_gpu._text import nearest
from ptofa_gpu.errors import InputError
from ptofa_gpu.reporting.masking import MASK, is_secret, masked

TAG = "parameters"
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class Parameter:
    """One assignment of the parameters cell."""

    name: str
    default: Any
    choices: tuple[Any, ...] = ()
    help: str = ""

    @property
    def is_path(self) -> bool:
        """Whether it names a file or folder: its comment starts with ``path:``."""
        return isinstance(self.default, str) and self.help.startswith("path:")

    def convert(self, value: Any, notebook: str) -> Any:
        """Return `value` (text from a command line, or a Python value) as this parameter's type.

        Raises
        ------
        InputError
            The value is of another type or not among the choices.
        """
        out = self._typed(value)
        told = MASK if is_secret(self.name) else repr(value)
        if out is _WRONG:
            kind = _KINDS.get(type(self.default), f"a {type(self.default).__name__}")
            raise InputError(
                f"parameter {self.name} of {notebook} must be {kind} "
                f"(default {masked({self.name: self.default})[self.name]!r}), got {told}"
            )
        if self.choices and out not in self.choices:
            known = ", ".join(map(repr, self.choices))
            raise InputError(
                f"parameter {self.name} of {notebook} must be one of {known}, got {told}"
                + (nearest(str(out), map(str, self.choices)) if told != MASK else ".")
            )
        return out

    def _typed(self, value: Any) -> Any:
        kind = type(self.default)
        if self.default is None:
            return value
        if isinstance(value, str) and kind is not str:
            text = value.strip()
            if kind is bool:
                return True if text.lower() in _TRUE else False if text.lower() in _FALSE else _WRONG
            try:
                value = ast.literal_eval(text)
            except (ValueError, SyntaxError):
                return _WRONG
        if kind is float and type(value) is int:
            return float(value)
        return value if type(value) is kind else _WRONG


_WRONG = object()
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def read_parameters(notebook: Any, name: str) -> dict[str, Parameter]:
    """Read the parameters of a notebook node, in the order of its cell.

    Raises
    ------
    InputError
        More than one cell is tagged, or the cell holds something other than assignments of literals.
    """
    cells = [c for c in notebook.cells if c.cell_type == "code" and TAG in _tags(c)]
    if not cells:
        return {}
    if len(cells) > 1:
        raise InputError(f"{name} has {len(cells)} cells tagged {TAG!r}; one is allowed")
    source = cells[0].source
    try:
        tree = ast.parse(source)
    except SyntaxError as e:
        raise InputError(f"the parameters cell of {name} is not Python: {e}") from e
    lines = source.splitlines()
    found: dict[str, Parameter] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, value = node.target, node.value
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a bare string that explains the cell
        else:
            raise InputError(
                f"the parameters cell of {name} may hold assignments only, line {node.lineno} is something else"
            )
        try:
            default = ast.literal_eval(value)
        except ValueError as e:
            raise InputError(f"the parameters cell of {name}, line {node.lineno}: the default must be a literal") from e
        if not isinstance(target, ast.Name):
            raise InputError(f"the parameters cell of {name}, line {node.lineno}: assign to one plain name")
        # the comment starts after the value, so a '#' inside a string is no comment
        end = (node.end_lineno or node.lineno) - 1
        rest = lines[end].encode()[node.end_col_offset or 0 :].decode().strip()
        comment = rest[1:].strip() if rest.startswith("#") else ""
        found[target.id] = Parameter(target.id, default, _choices(comment), comment)
    return found


def _tags(cell: Any) -> list[Any]:
    tags = cell.metadata.get("tags", [])
    return tags if isinstance(tags, list) else []


def _choices(comment: str) -> tuple[Any, ...]:
    head = comment.partition(":")[0]
    if "|" not in head:
        return ()
    try:
        return tuple(ast.literal_eval(part.strip()) for part in head.split("|"))
    except (ValueError, SyntaxError):
        return ()  # a comment in words that happens to hold a bar


def profile_values(notebook: Any, name: str, profile: str, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values that `profile` sets in this notebook; ``quick`` is the cell as it stands.

    Raises
    ------
    InputError
        The notebook has no such profile, or the profile sets what is no parameter.
    """
    ours = notebook.metadata.get("ptofa", {})
    profiles = ours.get("profiles", {}) if isinstance(ours, Mapping) else None
    if not isinstance(profiles, Mapping) or not all(isinstance(values, Mapping) for values in profiles.values()):
        raise InputError(f"{name}: its metadata ptofa.profiles must map names of profiles to parameters and values")
    if profile not in profiles:
        if profile == "quick":
            return {}
        raise InputError(f"{name} has no profile {profile!r}; it has {', '.join(['quick', *profiles])}")
    values = {}
    for key, value in profiles[profile].items():
        if key not in known:
            raise InputError(f"profile {profile!r} of {name} sets {key!r}, which is not among its parameters")
        values[key] = known[key].convert(value, name)
    return values


def resolve(
    notebooks: Mapping[str, Any], given: Mapping[str, Any], profile: str, reserved: Iterable[str] = ()
) -> dict[str, dict[str, Any]]:
    """Work out every notebook's parameters: its profile's, then those given.

    Parameters
    ----------
    notebooks : mapping of str to notebook node
    given : mapping of str to value
        Text or Python values; each must be a parameter of at least one notebook, and goes to all that have it.
    profile : str
    reserved : iterable of str
        Parameters that the caller sets itself.

    Raises
    ------
    InputError
        An unknown name (with the nearest known one), a wrong type, a value outside the choices.
    """
    known = {name: read_parameters(nb, name) for name, nb in notebooks.items()}
    every = {p for parameters in known.values() for p in parameters} - set(reserved)
    for key in given:
        if key in reserved:
            option = "--profile" if key == "profile" else "--output, which says where the report goes"
            raise InputError(f"parameter {key} is set by the report itself; use {option}")
        if key not in every:
            names = ", ".join(sorted(every)) or "none"
            raise InputError(
                f"no notebook of this report has a parameter {key!r}{nearest(key, every)} Parameters: {names}"
            )
    out = {}
    for name, nb in notebooks.items():
        values = profile_values(nb, name, profile, known[name])
        values |= {k: known[name][k].convert(v, name) for k, v in given.items() if k in known[name]}
        out[name] = {k: values.get(k, p.default) for k, p in known[name].items() if k not in set(reserved)}
    return out
