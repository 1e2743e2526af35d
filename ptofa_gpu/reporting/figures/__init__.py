"""Every figure of the notebooks and the report: functions from results to a `Chart`."""

from __future__ import annotations

from ptofa_gpu.reporting.figures.allocation import exposure_chart, method_chart, price_chart
from ptofa_gpu.reporting.figures.benchmark import benchmark_chart
from ptofa_gpu.reporting.figures.campaign import ab_chart
from ptofa_gpu.reporting.figures.data import (
    amount_chart,
    concentration_chart,
    customer_amount_chart,
    exposure_bias_chart,
)
from ptofa_gpu.reporting.figures.models import model_chart
from ptofa_gpu.reporting.figures.policy import estimator_chart, policy_chart
from ptofa_gpu.reporting.figures.prediction import calibration_chart, lift_chart, training_chart
from ptofa_gpu.reporting.figures.quota import loss_chart
from ptofa_gpu.reporting.figures.scaling import scale_objective_chart, scale_time_chart

__all__ = [
    "ab_chart",
    "amount_chart",
    "benchmark_chart",
    "calibration_chart",
    "concentration_chart",
    "customer_amount_chart",
    "estimator_chart",
    "exposure_bias_chart",
    "exposure_chart",
    "lift_chart",
    "loss_chart",
    "method_chart",
    "model_chart",
    "policy_chart",
    "price_chart",
    "scale_objective_chart",
    "scale_time_chart",
    "training_chart",
]
