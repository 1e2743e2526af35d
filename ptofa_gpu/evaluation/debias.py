"""What debiasing is worth, on worlds whose truth over all pairs is known."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.errors import InputError, PtofaWarning

if TYPE_CHECKING:
    from ptofa_gpu.datasets import ExposureData

VARIANTS = (None, "ipw", "dr", "adjust")


@dataclass(frozen=True)
class DebiasRow:
    """One model on one world.

    Attributes
    ----------
    seed, debias, clip
        Of world and model; how it was trained.
    ratio, ratio_eligible
        Sum E / sum E* over all pairs, and over those that risk limits allow to be shown.
    auc, auc_eligible
        Of P_c over the same pairs, with true probabilities for outcomes.
    decision_value
        (V - V_random) / (V_oracle - V_random), V the true revenue of the optimal plan made from E.
    effective_share
        Effective sample size over training rows; nan without weights.
    epochs, seconds
        Epochs trained, wall time.
    """

    seed: int
    debias: str | None
    clip: float
    ratio: float
    ratio_eligible: float
    auc: float
    auc_eligible: float
    decision_value: float
    effective_share: float
    epochs: int
    seconds: float


def compare_debias(
    worlds: Callable[[int], ExposureData],
    seeds: Iterable[int] = range(5),
    variants: Sequence[str | None] = VARIANTS,
    max_epochs: int = 12,
    patience: int = 3,
    progress: Callable[[DebiasRow], None] | None = None,
    **settings: Any,
) -> list[DebiasRow]:
    """Train the same model with each way of debiasing on worlds of several seeds.

    Parameters
    ----------
    worlds
        Makes the world of a seed, with truth: ``lambda seed: lct("A", 50_000, seed)``.
    seeds
        Of world and model.
    variants
        Values of the model's `debias`.
    max_epochs, patience
        As for `fit`.
    progress
        Called with each row as it is there.
    settings
        Further settings of `RevenueModel`: method, lr, clip, ...

    Raises
    ------
    InputError
        If a world does not know its truth.
    """
    import ptofa_gpu as ptofa

    rows = []
    for seed in seeds:
        data = worlds(seed)
        if data.truth is None:
            raise InputError("Debiasing is judged over all pairs, whose truth this data set does not know; use lct.")
        judge = _Judge(data)
        for debias in variants:
            started = time.perf_counter()
            model = ptofa.RevenueModel(data.schema, **{"method": "ptofa", **settings, "debias": debias, "seed": seed})
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore", PtofaWarning)  # missing overlap is in the numbers
                result = ptofa.fit(
                    model,
                    data.module(seed=seed),
                    max_epochs=max_epochs,
                    patience=patience,
                    directory=folder,
                    logger=None,
                    progress=None,
                )
            found = judge(model)
            share = float("nan") if model.exposure is None else model.exposure["effective_share"]
            seconds = time.perf_counter() - started
            rows.append(DebiasRow(seed, debias, model.clip, *found, share, len(result.history), seconds))
            if progress is not None:
                progress(rows[-1])
    return rows


def medians(rows: Sequence[DebiasRow]) -> dict[str | None, dict[str, float]]:
    """For each way of debiasing the median over seeds of every number."""
    names = [n for n in asdict(rows[0]) if n not in ("seed", "debias", "clip")]
    ways = dict.fromkeys(row.debias for row in rows)
    return {way: {n: median(getattr(row, n) for row in rows if row.debias == way) for n in names} for way in ways}


class _Judge:
    """Compares a model with the truth of one world."""

    def __init__(self, data: ExposureData):
        from ptofa_gpu._columns import eager
        from ptofa_gpu.allocation.api import allocate

        assert data.truth is not None
        self.data, self.truth, self.allocate = data, data.truth, allocate
        self.revenue = self.truth.revenue.astype(np.float64)
        tolerance = eager(data.customers, "customers")["tolerance"].to_numpy()
        self.eligible = tolerance[:, None] >= eager(data.funds, "funds")["risk"].to_numpy()
        noise = np.random.default_rng(0).random(self.revenue.shape, dtype=np.float32)
        self.oracle, self.random = self.value(self.truth.revenue), self.value(noise)

    def value(self, revenue: np.ndarray) -> float:
        """True revenue of the optimal plan made from `revenue`."""
        funds = self.allocate(self.data.problem(revenue), method="optimal", device="cpu").funds[:, 0]
        served = np.flatnonzero(funds >= 0)
        return float(self.revenue[served, funds[served]].sum())

    def __call__(self, model: Any) -> tuple[float, float, float, float, float]:
        """Ratio over all and over eligible pairs, AUC over both, decision value."""
        import torch

        from ptofa_gpu.prediction.metrics import WeightedAUROC
        from ptofa_gpu.prediction.revenue import predict_components

        parts = predict_components(model, self.data.encoded_customers, self.data.encoded_funds, device="cpu")
        revenue = (parts.conversion * np.exp(parts.mu + 0.5 * parts.sigma**2)).astype(np.float32)
        e = self.eligible
        areas = []
        for pairs in (np.ones_like(e), e):
            area = WeightedAUROC()
            area.update(torch.as_tensor(parts.conversion[pairs]), torch.as_tensor(self.truth.conversion[pairs]))
            areas.append(float(area.compute()))
        return (
            float(revenue.sum(dtype=np.float64) / self.revenue.sum()),
            float(revenue[e].sum(dtype=np.float64) / self.revenue[e].sum()),
            areas[0],
            areas[1],
            (self.value(revenue) - self.random) / (self.oracle - self.random),
        )
