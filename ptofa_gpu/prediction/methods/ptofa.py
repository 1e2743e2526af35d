"""PTOFA: the joint loss over the entire space, with a counterfactual amount for rows that did not convert (Eq. 6)."""

from __future__ import annotations

import math
import warnings

from torch import Tensor

from ptofa_gpu.errors import DegenerateModelError, InputError, PtofaWarning
from ptofa_gpu.prediction.losses import counterfactual_censored, counterfactual_density, max_log_density
from ptofa_gpu.prediction.methods.base import LabelStatistics, PairOutput
from ptofa_gpu.prediction.methods.ziln import SIGMA_RANGE, Ziln
from ptofa_gpu.prediction.networks import PairNetwork

COUNTERFACTUALS = ("density", "censored")
# Where the density of eps is f, a constant model's best P is base rate / (1 - f): exp(-4.7) makes it 0.9 % too high,
# exp(-1) would make it 58 %, and at f = 1 it is 1. Usual amounts stay below this with eps = 1e-6: it holds where the
# 5 % quantile of the amounts is at least a ninth of the median. Wider amounts need a smaller eps.
_MAX_LOG_DENSITY = -4.7
_USUAL_EPS = 1e-6


class Ptofa(Ziln):
    """The paper's model: as `Ziln`, but a row that did not convert may be a conversion for next to nothing.

    Parameters
    ----------
    network
        The shared bottom.
    counterfactual
        "density": the paper's term LN(eps), with mu and sigma bounded so that it stays below 1. "censored": the
        probability that an amount falls below eps, which is bounded by itself.
    eps
        The amount that stands for "nothing", in units of the median amount. By default 1e-6 or, for the density, the
        largest smaller power of ten at which the density is harmless for the log's amounts.

    Attributes
    ----------
    log_eps
        Its logarithm.

    Notes
    -----
    Bounded like this the density term is small: with sigma below 1 and eps = 1e-6 it is less than 1e-20 of P, and the
    model then is what `Ziln` gives. It speaks only where sigma is near its cap. Unbounded it would speak loudly and
    wrongly: see `_refuse_unbounded`.
    """

    def __init__(self, network: PairNetwork, counterfactual: str = "density", eps: float | None = None):
        super().__init__(network)
        if counterfactual not in COUNTERFACTUALS:
            raise InputError(f"Unknown counterfactual {counterfactual!r}: choose 'density' or 'censored'.")
        self.counterfactual, self.chosen = counterfactual, eps is not None
        self.log_eps = math.log(_USUAL_EPS if eps is None else eps)
        self.register_load_state_dict_post_hook(_settle)

    def start_heads(self, statistics: LabelStatistics) -> None:
        """Check that the counterfactual term cannot take over on these labels, then start as ZILN does.

        Raises
        ------
        DegenerateModelError
            If the density at an `eps` that was given can exceed exp(-4.7) within the bounds of mu and sigma.
        """
        super().start_heads(statistics)
        if self.counterfactual == "density":
            self.settle_eps(statistics)
            self._refuse_unbounded(statistics)
        elif self.log_eps >= statistics.log_min:
            warnings.warn(
                f"eps = {math.exp(self.log_eps):.3g} (in units of the median amount {statistics.scale:,.4g}) is not "
                f"below the smallest amount, {math.exp(statistics.log_min):.3g}: the censored term then calls real "
                "amounts 'nothing'. Pass a smaller eps.",
                PtofaWarning,
                stacklevel=2,
            )

    def settle_eps(self, statistics: LabelStatistics) -> None:
        """Choose eps for a log's amounts, unless it was given."""
        if self.counterfactual == "density" and not self.chosen:
            usual = math.log(_USUAL_EPS)
            harmless = self._worst(usual, statistics) <= _MAX_LOG_DENSITY
            self.log_eps = usual if harmless else self._decade(usual, statistics) * math.log(10.0)

    @staticmethod
    def _worst(log_eps: float, statistics: LabelStatistics) -> float:
        """The largest log density at eps that the bounds allow."""
        return max_log_density(log_eps, (statistics.log_low, statistics.log_high), SIGMA_RANGE)

    def _decade(self, log_eps: float, statistics: LabelStatistics) -> int:
        """The largest power of ten below eps that is harmless; there is one, as the density falls as log^2 eps."""
        decade = math.ceil(round(log_eps / math.log(10.0), 9)) - 1
        while self._worst(decade * math.log(10.0), statistics) > _MAX_LOG_DENSITY:
            decade -= 1
        return decade

    def _refuse_unbounded(self, statistics: LabelStatistics) -> None:
        worst = self._worst(self.log_eps, statistics)
        if worst <= _MAX_LOG_DENSITY:
            return
        decade = self._decade(self.log_eps, statistics)
        raise DegenerateModelError(
            f"The counterfactual term LN(eps; mu, sigma) is a density, not a probability: with eps = "
            f"{math.exp(self.log_eps):.3g} of the median amount it can reach exp({worst:.2f}) for the amounts of this "
            f"log (5 % to 95 % quantiles of log(amount / median): {statistics.log_low:.2f} to "
            f"{statistics.log_high:.2f}), and may not exceed exp({_MAX_LOG_DENSITY:.1f}): beyond it predicted "
            "conversions are too many by more than a hundredth, and near 1 the model learns that everybody converts. "
            f"Leave eps out, or use counterfactual='censored', method='ziln', or eps=1e{decade}."
        )

    def log_negative(self, output: PairOutput) -> Tensor:
        """Log-likelihood of rows that did not convert, (N,)."""
        term = counterfactual_density if self.counterfactual == "density" else counterfactual_censored
        return term(*output, self.log_eps)


def _settle(method: Ptofa, _: object) -> None:
    """After weights were loaded: eps as it was in training, which follows from the statistics among them."""
    if method.statistics is not None:
        method.settle_eps(method.statistics)
