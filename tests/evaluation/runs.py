"""Made-up runs for tests of tables of models."""

from __future__ import annotations

from typing import Any

from ptofa_gpu.evaluation.model_runs import ModelRun
from ptofa_gpu.evaluation.model_table import ModelTable


def run(method: str, seed: int, setting: dict[str, float] | None = None, **metrics: float) -> ModelRun:
    return ModelRun(
        data="made up",
        method=method,
        options={"method": "ziln"},
        setting=setting or {"lr": 0.002},
        seed=seed,
        status="ok",
        val_loss=0.1,
        metrics=metrics,
        epochs=3,
        seconds_per_epoch=0.5 + seed,
        seconds=3.0,
        device="cpu",
    )


def table(values: dict[str, dict[str, list[float]]], **more: Any) -> ModelTable:
    """From method -> metric -> value by seed."""
    runs = []
    for method, metrics in values.items():
        for seed in range(len(next(iter(metrics.values())))):
            runs.append(run(method, seed, **{name: v[seed] for name, v in metrics.items()}))
    return ModelTable(runs, {m: {"lr": 0.002} for m in values}, "made up", "CNY", **more)
