"""What debiasing is worth, on worlds whose truth over all pairs is known."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from ptofa_gpu._arguments import function, listed, one_of, refused, seed_of
from ptofa_gpu._files import scratch_folder
from ptofa_gpu.errors import InputError, PtofaWarning
from ptofa_gpu.evaluation._kinds import exposure_data, known_options
from ptofa_gpu.evaluation.model_judge import Judge

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

    if function("worlds", worlds) is None:
        raise refused("worlds", worlds, "a function from a seed to its world")
    tell, rows = function("progress", progress), []
    variants = [one_of("variants", v, (*VARIANTS, "auto")) for v in listed("variants", variants, "ways of debiasing")]
    for seed in [seed_of(s, "seeds") for s in listed("seeds", seeds, "seeds")]:
        data = exposure_data(worlds(seed), "the data that `worlds` gave")
        if data.truth is None:
            raise InputError("Debiasing is judged over all pairs, whose truth this data set does not know; use lct.")
        judge = Judge(data)
        for debias in variants:
            started = time.perf_counter()
            given = {"method": "ptofa", **settings, "debias": debias, "seed": seed}
            known_options(given, "compare_debias")
            model = ptofa.RevenueModel(data.schema, **given)
            with scratch_folder() as folder, warnings.catch_warnings():
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
            marks = judge(model)
            share = float("nan") if model.exposure is None else model.exposure["effective_share"]
            seconds = time.perf_counter() - started
            of_pairs = (marks.ratio, marks.ratio_eligible, marks.auc, marks.auc_eligible, marks.decision_value)
            rows.append(DebiasRow(seed, debias, model.clip, *of_pairs, share, len(result.history), seconds))
            if tell is not None:
                tell(rows[-1])
    return rows


def medians(rows: Sequence[DebiasRow]) -> dict[str | None, dict[str, float]]:
    """For each way of debiasing the median over seeds of every number."""
    names = [n for n in asdict(rows[0]) if n not in ("seed", "debias", "clip")]
    ways = dict.fromkeys(row.debias for row in rows)
    return {way: {n: median(getattr(row, n) for row in rows if row.debias == way) for n in names} for way in ways}
