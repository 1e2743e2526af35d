"""Papermill runs, figures, the report; what notebooks import."""

from __future__ import annotations

from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.outputs import Check, Figure, Outputs, Summary
from ptofa_gpu.reporting.runner import run_report
from ptofa_gpu.reporting.tables import Table, TrainingTable

__all__ = ["Chart", "Check", "Figure", "Outputs", "Summary", "Table", "TrainingTable", "run_report"]
