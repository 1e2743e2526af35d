"""What the figures are computed from: allocator table, calibration, off-policy values."""

from __future__ import annotations

from ptofa_gpu.evaluation.baselines import random_plan
from ptofa_gpu.evaluation.calibration import Calibration, calibrate
from ptofa_gpu.evaluation.comparison import Comparison, ComparisonRow, compare
from ptofa_gpu.evaluation.offpolicy import PolicyTable, PolicyValue, value_policies, value_policy

__all__ = [
    "Calibration",
    "Comparison",
    "ComparisonRow",
    "PolicyTable",
    "PolicyValue",
    "calibrate",
    "compare",
    "random_plan",
    "value_policies",
    "value_policy",
]
