"""GPU-native, notebook-first predict-then-optimize fund allocation (PTOFA, arXiv 2503.03165).

Predict what each customer would invest in each fund, decide who sees which fund, and defend the result.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ptofa_gpu import datasets as datasets
    from ptofa_gpu import errors as errors
    from ptofa_gpu.allocation.api import allocate as allocate
    from ptofa_gpu.allocation.feasibility import Feasibility as Feasibility
    from ptofa_gpu.allocation.plan import AllocationPlan as AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem as AllocationProblem
    from ptofa_gpu.datasets import ExposureData as ExposureData
    from ptofa_gpu.prediction.model import RevenueModel as RevenueModel
    from ptofa_gpu.prediction.revenue import expected_revenue as expected_revenue
    from ptofa_gpu.prediction.schema import Schema as Schema
    from ptofa_gpu.prediction.training import fit as fit
    from ptofa_gpu.tables import read_table as read_table

# public name -> module; imported on first use, so that `import ptofa_gpu` stays well under a second
_EXPORTS = {
    "AllocationPlan": "ptofa_gpu.allocation.plan",
    "AllocationProblem": "ptofa_gpu.allocation.problem",
    "ExposureData": "ptofa_gpu.datasets",
    "Feasibility": "ptofa_gpu.allocation.feasibility",
    "RevenueModel": "ptofa_gpu.prediction.model",
    "Schema": "ptofa_gpu.prediction.schema",
    "allocate": "ptofa_gpu.allocation.api",
    "expected_revenue": "ptofa_gpu.prediction.revenue",
    "fit": "ptofa_gpu.prediction.training",
    "read_table": "ptofa_gpu.tables",
}
_MODULES = ("datasets", "errors", "evaluation", "reporting")
__all__ = [*_EXPORTS, *_MODULES, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"ptofa_gpu.{name}")
    raise AttributeError(f"module 'ptofa_gpu' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
