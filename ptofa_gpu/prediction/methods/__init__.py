"""The methods `RevenueModel` can train: each a short file with its heads, bounds and loss.

A new method is a subclass of `base.RevenueMethod` and a line in `_METHODS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from ptofa_gpu.errors import InputError, NotAvailableError
from ptofa_gpu.prediction.methods.base import RevenueMethod
from ptofa_gpu.prediction.networks import PairNetwork

_METHODS = {"ptofa": ("ptofa", "Ptofa"), "ziln": ("ziln", "Ziln")}
# of the paper's Table 1, named in the interface and not built in this version
_LATER = ("dnn_c", "dnn_r", "esmm", "shared_bottom", "mmoe", "mtl_mse")


def available() -> Sequence[str]:
    """Names of the methods that can be trained."""
    return tuple(_METHODS)


def build(name: str, network: PairNetwork, **options: object) -> RevenueMethod:
    """Make the method `name` on `network`.

    Parameters
    ----------
    name
        One of `available()`.
    network
        The shared bottom.
    options
        What the method takes: ``counterfactual`` and ``eps`` for "ptofa".

    Raises
    ------
    NotAvailableError
        For a method of the paper's Table 1 that this version does not have.
    InputError
        For a name that means nothing here, or a bad option.
    """
    if name in _LATER:
        raise NotAvailableError(
            f"method={name!r} is not part of this version. Available: {', '.join(map(repr, available()))}."
        )
    if name not in _METHODS:
        raise InputError(f"Unknown method {name!r}. Available: {', '.join(map(repr, available()))}.")
    module, cls = _METHODS[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), cls)(network, **options)
