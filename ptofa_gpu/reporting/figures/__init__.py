"""Every figure of the notebooks and the report: functions from results to a `Chart`."""

from __future__ import annotations

from ptofa_gpu.reporting.figures.allocation import exposure_chart, method_chart, price_chart
from ptofa_gpu.reporting.figures.data import amount_chart, exposure_bias_chart
from ptofa_gpu.reporting.figures.policy import policy_chart
from ptofa_gpu.reporting.figures.prediction import calibration_chart, training_chart

__all__ = [
    "amount_chart",
    "calibration_chart",
    "exposure_bias_chart",
    "exposure_chart",
    "method_chart",
    "policy_chart",
    "price_chart",
    "training_chart",
]
