"""The methods `RevenueModel` can train: each a short file with its heads, bounds and loss.

A new method is a subclass of `base.RevenueMethod` and a line in `_METHODS`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ptofa_gpu._text import nearest, shown
from ptofa_gpu.errors import InputError
from ptofa_gpu.prediction.methods.base import RevenueMethod
from ptofa_gpu.prediction.networks import PairNetwork

# name -> module, class, the options it takes
_METHODS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ptofa": ("ptofa", "Ptofa", ("counterfactual", "eps")),
    "ziln": ("ziln", "Ziln", ()),
    "dnn_c": ("dnn_c", "DnnC", ()),
    "dnn_r": ("dnn_r", "DnnR", ()),
    "esmm": ("esmm", "Esmm", ()),
    "shared_bottom": ("shared_bottom", "SharedBottom", ("label",)),
    "mmoe": ("mmoe", "Mmoe", ("label",)),
    "mtl_mse": ("mtl_mse", "MtlMse", ()),
}


def available() -> Sequence[str]:
    """Names of the methods that can be trained."""
    return tuple(_METHODS)


def build(name: str, make_network: Callable[[type[PairNetwork]], PairNetwork], **options: object) -> RevenueMethod:
    """Make the method `name` on a network of the kind it needs.

    Parameters
    ----------
    name
        One of `available()`.
    make_network
        Gives a network of the class it is called with.
    options
        What the method takes: ``counterfactual`` and ``eps`` for "ptofa", ``label`` for "shared_bottom" and "mmoe".

    Raises
    ------
    InputError
        For a name that means nothing here, a bad option, or one that the method does not have.
    """
    its_own = _entry(name)[2]
    strange = [option for option in options if option not in its_own]
    if strange:
        takes = f"it takes {' and '.join(its_own)}" if its_own else "it takes none"
        raise InputError(f"method={name!r} has no option {' and no option '.join(strange)}: {takes}.")
    method = _class(name)
    return method(make_network(method.network_class), **options)


def defaults(name: str) -> dict[str, Any]:
    """What the options of the method `name` are where they are not given; `InputError` for an unknown name."""
    parameters = inspect.signature(_class(name)).parameters
    return {option: parameters[option].default for option in _entry(name)[2]}


def known(name: str) -> str:
    """`name`, if it is that of a method; `InputError` for any other."""
    if isinstance(name, str) and name in _METHODS:
        return name
    close = nearest(name, _METHODS) if isinstance(name, str) else "."
    raise InputError(f"Unknown method {shown(name)}{close} Available: {', '.join(map(repr, available()))}.")


def _entry(name: str) -> tuple[str, str, tuple[str, ...]]:
    return _METHODS[known(name)]


def _class(name: str) -> type[RevenueMethod]:
    module, class_name, _ = _entry(name)
    return getattr(importlib.import_module(f"{__name__}.{module}"), class_name)
