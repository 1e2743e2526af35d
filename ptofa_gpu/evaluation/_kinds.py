"""The objects that functions here are given, checked; their classes are imported when they are asked for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ptofa_gpu._arguments import instance
from ptofa_gpu._text import nearest
from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.datasets.base import ExposureData
    from ptofa_gpu.datasets.truth import Truth


def exposure_data(value: Any, name: str = "data") -> ExposureData:
    """Exposure data."""
    from ptofa_gpu.datasets.base import ExposureData

    return instance(name, value, ExposureData, "from ExposureData.from_frames, or a reader of datasets")


def allocation_problem(value: Any, name: str = "problem") -> AllocationProblem:
    """A problem."""
    from ptofa_gpu.allocation.problem import AllocationProblem

    return instance(name, value, AllocationProblem)


def allocation_plan(value: Any, name: str = "plan") -> AllocationPlan:
    """A plan."""
    from ptofa_gpu.allocation.plan import AllocationPlan

    return instance(name, value, AllocationPlan, "from allocate")


def known_truth(value: Any, name: str = "truth") -> Truth:
    """The truth of a synthetic world."""
    from ptofa_gpu.datasets.truth import Truth

    return instance(name, value, Truth, "the truth of datasets.lct")


def known_options(options: Mapping[str, Any], where: str) -> None:
    """Refuse options, of `where`, that `RevenueModel` does not take."""
    from ptofa_gpu.prediction.model import RevenueModel

    known = set(inspect.signature(RevenueModel).parameters) - {"schema"}
    for name in options:
        if name not in known:
            raise InputError(f"{where}: a model has no option {name!r}{nearest(name, known)}")
