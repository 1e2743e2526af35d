"""What the figures are computed from: rows kept from training, calibration, allocator table, off-policy values."""

from __future__ import annotations

from ptofa_gpu.evaluation.baselines import random_plan
from ptofa_gpu.evaluation.calibration import Calibration, calibrate
from ptofa_gpu.evaluation.comparison import Comparison, ComparisonRow, compare
from ptofa_gpu.evaluation.holdout import HeldOut, held_out
from ptofa_gpu.evaluation.offpolicy import PolicyTable, PolicyValue, value_policies, value_policy

__all__ = [
    "Calibration",
    "Comparison",
    "ComparisonRow",
    "HeldOut",
    "PolicyTable",
    "PolicyValue",
    "calibrate",
    "compare",
    "held_out",
    "random_plan",
    "value_policies",
    "value_policy",
]
