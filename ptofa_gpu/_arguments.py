"""Arguments of calls, checked where they come in: each function returns the value as what it should be, or raises an
`InputError` that names the argument, the value and what is allowed.
"""

from __future__ import annotations

import numbers
import operator
import os
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ptofa_gpu._text import nearest, shown
from ptofa_gpu.errors import InputError

T = TypeVar("T")

#: Beyond this a number of customers, rows or epochs is a mistake.
MOST = 10**12
#: Resamples: more change nothing that could be read off an interval.
MOST_DRAWS = 10**6
_MOST_SEED = 2**64 - 1


def refused(name: str, value: Any, needed: str) -> InputError:
    """The error that says what an argument is and what it must be."""
    return InputError(f"{name} is {shown(value)}; it must be {needed}.")


def whole(name: str, value: Any, least: int, most: int = MOST) -> int:
    """A whole number from `least` to `most`; 8.0 is one, True and "8" are none."""
    span = f"of at least {least:,}" if most == MOST else f"within {least:,}..{most:,}"
    try:
        found = operator.index(int(value) if isinstance(value, float | np.floating) and value == int(value) else value)
    except (TypeError, ValueError, OverflowError):
        raise refused(name, value, f"a whole number {span}") from None
    if isinstance(value, bool | np.bool_ | np.ndarray) or not least <= found <= most:
        raise refused(name, value, f"a whole number {span}")
    return found


def seed_of(value: Any, name: str = "seed") -> int:
    """What decides random numbers: a whole number that is not negative."""
    return whole(name, value, 0, _MOST_SEED)


def number(
    name: str,
    value: Any,
    needed: str,
    *,
    least: float = -np.inf,
    most: float = np.inf,
    above: float = -np.inf,
    below: float = np.inf,
) -> float:
    """A finite number with ``least <= x <= most`` and ``above < x < below``; `needed` puts that in words."""
    if isinstance(value, numbers.Real | np.number) and not isinstance(value, bool | np.complexfloating):
        try:
            found = float(value)
        except OverflowError:
            found = np.nan
        if np.isfinite(found) and least <= found <= most and above < found < below:
            return found
    raise refused(name, value, needed)


def share(name: str, value: Any) -> float:
    """A number between 0 and 1, neither of them: the level of an interval."""
    return number(name, value, "a number between 0 and 1", above=0.0, below=1.0)


def one_of(name: str, value: T, known: Sequence[str | None]) -> T:
    """One of the words `known`, which may hold None."""
    if (value is None and None in known) or (isinstance(value, str) and value in known):
        return value
    words = [repr(k) for k in known]
    choices = " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    close = nearest(value.lower(), [k for k in known if k]) if isinstance(value, str) else "."
    raise InputError(f"{name} is {shown(value)}; choose {choices}{close}")


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise refused(name, value, "True or False")
    return bool(value)


def text_of(name: str, value: Any) -> str:
    """Text that a file can hold."""
    if not isinstance(value, str):
        raise refused(name, value, "text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refused(name, value, "text without half a character (a lone surrogate)") from None
    return value


def path_of(name: str, value: Any) -> Path:
    """The path of a file or folder, whether or not it is there."""
    if not isinstance(value, str | os.PathLike) or "\0" in str(value) or not str(value):
        raise refused(name, value, "a path")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise refused(name, value, "a path that a file can have") from None
    return Path(value)


def instance(name: str, value: Any, kind: type[T], how: str = "") -> T:
    """An object of the class `kind`; `how` says where to get one."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise refused(name, value, f"{article} {kind.__name__}{f' ({how})' if how else ''}")
    return value


def mapping(name: str, value: Any) -> dict[str, Any]:
    """A mapping from names, as a dict of its own; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
        raise refused(name, value, "a mapping from names")
    return dict(value)


def listed(name: str, value: Any, of: str) -> list[Any]:
    """A list, tuple, array or what else can be gone through in order, as a list; text, sets and mappings are none."""
    if isinstance(value, str | bytes | Mapping | Set):
        raise refused(name, value, f"a list of {of}")
    try:
        return list(value)
    except TypeError:
        raise refused(name, value, f"a list of {of}") from None


def function(name: str, value: Any) -> Callable[..., Any] | None:
    """A function of the caller's, or None."""
    if value is not None and (not callable(value) or isinstance(value, type)):
        raise refused(name, value, "a function, or None")
    return value


def progress_of(value: Any) -> bool | Callable[..., Any] | None:
    """What a call tells of its progress: nothing, a bar, or a function of one's own."""
    if value is None or isinstance(value, bool | np.bool_):
        return None if value is None else bool(value)
    if not callable(value) or isinstance(value, type):
        raise refused("progress", value, "True, False, None or a function")
    return value


def real_array(name: str, value: Any, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Numbers in host memory, whatever library holds them; of `shape` where it is given, None for any length."""
    from ptofa_gpu.device import to_device

    try:
        found = np.asarray(to_device(value, "cpu"))
    except InputError as e:
        raise InputError(f"{name}: {e}") from e
    fits = shape is None or (
        len(shape) == found.ndim and all(want in (None, n) for want, n in zip(shape, found.shape, strict=True))
    )
    if found.dtype.kind not in "biuf" or not fits:
        wanted = "" if shape is None else f" of shape ({', '.join('any' if n is None else f'{n:,}' for n in shape)})"
        raise InputError(
            f"{name} is an array of {found.dtype} of shape {found.shape}; it must be an array of real numbers{wanted}."
        )
    return found


def is_masked(values: Any) -> bool:
    """Whether `values` is a masked array; these are not imported where nobody has one."""
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(values, masked.MaskedArray)
