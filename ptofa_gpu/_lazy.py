"""Optional packages are imported where they are used, and named when they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from ptofa_gpu.errors import MissingPackageError

# import name -> what to pip install
_DISTRIBUTION = {
    "cupy": "cupy-cuda13x",
    "cudf": "cudf-cu13",
    "pytorch_lightning": "pytorch-lightning",
    "great_tables": "great-tables",
    "sklearn": "scikit-learn",
    "ot": "pot",
    "ortools.graph.python.min_cost_flow": "ortools",
}


def require(module: str, purpose: str) -> ModuleType:
    """Import `module`, or raise `MissingPackageError` saying what needed it and how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as e:
        missing = e.name or module
        if missing.partition(".")[0] != module.partition(".")[0]:
            raise  # the package is there, one of its own imports is broken: show that error as it is
        dist = _DISTRIBUTION.get(module, module.partition(".")[0])
        raise MissingPackageError(
            f"{purpose} needs the package {dist}, which is not installed. Run: pip install {dist}", name=module
        ) from e
