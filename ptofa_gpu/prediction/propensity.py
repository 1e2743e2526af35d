r"""Who was shown what: a model of the exposure policy, and weights that undo it.

A log holds the pairs that a platform chose to show, mostly those it took to be likely buyers; allocation decides about
all pairs. With :math:`p(f \mid u)` the probability that customer u was shown fund f, a logged row stands for
:math:`w = 1 / (F p)` pairs of a log in which every fund was equally likely (Horvitz & Thompson, 1952). Weights are
clipped, since a few pairs that were hardly ever shown would otherwise decide, and self-normalised to mean 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ptofa_gpu.prediction.exposure_model import ExposureModel, train_exposure_model

if TYPE_CHECKING:
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.schema import Schema

# A fund that fewer of its customers than this could have been shown says little about the others.
MIN_OVERLAP = 0.5
_NAMES_SHOWN = 6


@dataclass(frozen=True)
class Exposure:
    """Weights of a log's rows, and how far they can be trusted.

    Attributes
    ----------
    weight : (N,) float32
        What each log row counts: clipped, with mean 1 within each split.
    clip
        The largest weight before normalising.
    known
        Whether the log gave the probabilities; else a model of them was fitted on training rows.
    effective_share
        Effective sample size of the weighted training rows over their number, (sum w)^2 / (n sum w^2).
    clipped_share
        Share of training rows whose weight was clipped.
    exposed : (F,) int64
        Training rows of each fund.
    overlap : (F,) float64
        Of the customers who may see the fund, the share whose probability of being shown it is at least
        1 / (clip F): those whom the weights can speak for.
    names : tuple of str
        The funds.
    forbidden_share
        Share of all pairs that are above the customer's risk tolerance: never shown, so that nothing in the log speaks
        for them directly.
    log_loss, log_loss_popularity
        Mean -log p(shown fund) on held-out rows, by the model and by the funds' shares alone: what features tell about
        exposure. nan where the probabilities were known.
    """

    weight: np.ndarray
    clip: float
    known: bool
    effective_share: float
    clipped_share: float
    exposed: np.ndarray
    overlap: np.ndarray
    names: tuple[str, ...]
    forbidden_share: float = 0.0
    log_loss: float = float("nan")
    log_loss_popularity: float = float("nan")

    @property
    def missing(self) -> list[str]:
        """Funds without overlap: never shown in training, or hardly ever to most who may see them."""
        return [name for name, share in zip(self.names, self.overlap, strict=True) if share < MIN_OVERLAP]

    def problem(self) -> str | None:
        """What to tell the user where overlap is missing, naming the funds; None where it is not."""
        if not self.missing:
            return None
        listed = [
            f"{name!r} ({'never shown' if n == 0 else f'{share:.0%} of customers'})"
            for name, share, n in zip(self.names, self.overlap, self.exposed, strict=True)
            if share < MIN_OVERLAP
        ]
        more = f" and {len(listed) - _NAMES_SHOWN} more" if len(listed) > _NAMES_SHOWN else ""
        return (
            f"Overlap is missing for {', '.join(listed[:_NAMES_SHOWN])}{more}: of the customers who may see the fund, "
            f"only so many could have been shown it with probability {1 / (self.clip * len(self.names)):.3g} or more. "
            "For the others its expected revenue is an extrapolation that no weight can mend; show the fund to some of "
            "them at random."
        )

    def explain(self) -> str:
        """Effective sample, clipping and overlap in a sentence."""
        least = int(np.argmin(self.overlap))
        return (
            f"exposure {'given by the log' if self.known else 'modelled'}; effective sample "
            f"{self.effective_share:.0%} of the training rows, {self.clipped_share:.1%} of weights clipped at "
            f"{self.clip:g}; least overlap {self.overlap[least]:.0%} ({self.names[least]})"
            + (
                f"; {self.forbidden_share:.0%} of all pairs are above the customer's risk tolerance and were never "
                "shown: their revenue is extrapolated"
                if self.forbidden_share
                else ""
            )
        )


def weigh_exposures(
    module: ExposureModule, schema: Schema, clip: float, seed: int = 0, without: Sequence[str] = ()
) -> Exposure:
    """Weights of a log's rows from its exposure probabilities: the log's own where it has them, else modelled.

    Parameters
    ----------
    module
        The log and its features.
    schema
        What the features are.
    clip
        Largest weight; at least 1.
    seed
        Of the exposure model.
    without
        Customer features that exposure is not conditioned on.
    """
    from ptofa_gpu.prediction.data import SPLITS

    log, n_funds = module.log, len(module.funds)
    train = log.split == SPLITS["train"]
    exposed = np.bincount(log.fund[train], minlength=n_funds)
    losses = float("nan"), float("nan")
    if log.propensity is not None or n_funds == 1:
        logged = np.ones(len(log)) if log.propensity is None else log.propensity.astype(np.float64)
        overlap = _overlap_of_groups(log.fund[train], 1.0 / logged[train], exposed, clip)
    else:
        model, losses = _fit(module, schema, seed, without)
        logged, overlap = _apply(model, module, clip)
    overlap[exposed == 0] = 0.0
    raw = 1.0 / (n_funds * np.maximum(logged, 1e-12))
    weight = np.minimum(raw, clip)
    t = weight[train]
    for split in SPLITS.values():
        rows = log.split == split
        if rows.any():
            weight[rows] /= weight[rows].mean()
    return Exposure(
        weight=weight.astype(np.float32),
        clip=clip,
        known=log.propensity is not None or n_funds == 1,
        effective_share=float(t.sum() ** 2 / (len(t) * (t**2).sum())),
        clipped_share=float((raw[train] > clip).mean()),
        exposed=exposed,
        overlap=overlap,
        forbidden_share=_forbidden_share(module),
        names=tuple(module.fund_name(schema, f) for f in range(n_funds)),
        log_loss=losses[0],
        log_loss_popularity=losses[1],
    )


def _forbidden_share(module: ExposureModule) -> float:
    n = len(module.customers)
    allowed = sum(int(module.eligible(slice(lo, min(lo + (1 << 16), n))).sum()) for lo in range(0, n, 1 << 16))
    return 1.0 - allowed / (n * len(module.funds))


def _overlap_of_groups(fund: np.ndarray, stands_for: np.ndarray, exposed: np.ndarray, clip: float) -> np.ndarray:
    """Where only the shown fund's probability is known: the share of pairs for which rows below the clip stand."""
    n_funds = len(exposed)
    low = np.bincount(fund, weights=stands_for * (stands_for <= clip * n_funds), minlength=n_funds)
    return low / np.maximum(np.bincount(fund, weights=stands_for, minlength=n_funds), 1e-12)


def _fit(
    module: ExposureModule, schema: Schema, seed: int, without: Sequence[str]
) -> tuple[ExposureModel, tuple[float, float]]:
    from ptofa_gpu.prediction.data import mix_seed

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix_seed(seed, 2))
        model = ExposureModel(schema, len(module.funds), without=without).to(module.rows().device)
    return model, train_exposure_model(model, module, seed)


@torch.no_grad()
def _apply(model: ExposureModel, module: ExposureModule, clip: float) -> tuple[np.ndarray, np.ndarray]:
    """The probability of each logged row, (N,), and each fund's overlap over the customers, (F,)."""
    rows, n_funds = module.rows(), len(module.funds)
    logged = np.empty(len(module.log))
    for start in range(0, len(logged), 1 << 16):
        part = slice(start, start + (1 << 16))
        customer = rows.customer[part]
        p = model(rows.customer_categorical[customer], rows.customer_numeric[customer]).exp()
        logged[part] = p.gather(1, rows.fund[part, None]).squeeze(1).cpu().numpy()
    reached, may = np.zeros(n_funds), np.zeros(n_funds)
    for start in range(0, len(module.customers), 1 << 16):
        part = slice(start, start + (1 << 16))
        p = model(rows.customer_categorical[part], rows.customer_numeric[part]).exp().cpu().numpy()
        eligible = module.eligible(part)
        reached += ((p >= 1.0 / (clip * n_funds)) & eligible).sum(axis=0)
        may += np.broadcast_to(eligible, p.shape).sum(axis=0)
    return logged, reached / np.maximum(may, 1)


def describe_funds(names: Sequence[str]) -> str:
    """Some names, quoted, for a message."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(repr, names[:_NAMES_SHOWN])) + more
