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
# The density must stay well below 1 (log 0): a constant model's best P is base rate / (1 - density).
_MAX_LOG_DENSITY = -1.0


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
        The amount that stands for "nothing", in units of the median amount.

    Notes
    -----
    Bounded like this the density term is small: with sigma below 1 and eps = 1e-6 it is less than 1e-20 of P, and the
    model then is what `Ziln` gives. It speaks only where sigma is near its cap. Unbounded it would speak loudly and
    wrongly: see `_refuse_unbounded`.
    """

    def __init__(self, network: PairNetwork, counterfactual: str = "density", eps: float = 1e-6):
        super().__init__(network)
        if counterfactual not in COUNTERFACTUALS:
            raise InputError(f"Unknown counterfactual {counterfactual!r}: choose 'density' or 'censored'.")
        if not 0.0 < eps < 1.0:
            raise InputError(f"eps={eps!r}: it is an amount near zero in units of the median amount, so 0 < eps < 1.")
        self.counterfactual, self.log_eps = counterfactual, math.log(eps)

    def start_heads(self, statistics: LabelStatistics) -> None:
        """Check that the counterfactual term cannot take over on these labels, then start as ZILN does.

        Raises
        ------
        DegenerateModelError
            If the density at eps can come near 1 or pass it within the bounds of mu and sigma.
        """
        super().start_heads(statistics)
        if self.counterfactual == "density":
            self._refuse_unbounded(statistics)
        elif self.log_eps >= statistics.log_min:
            warnings.warn(
                f"eps = {math.exp(self.log_eps):.3g} (in units of the median amount {statistics.scale:,.4g}) is not "
                f"below the smallest amount, {math.exp(statistics.log_min):.3g}: the censored term then calls real "
                "amounts 'nothing'. Pass a smaller eps.",
                PtofaWarning,
                stacklevel=2,
            )

    def _refuse_unbounded(self, statistics: LabelStatistics) -> None:
        mu_range = (statistics.log_low, statistics.log_high)
        worst = max_log_density(self.log_eps, mu_range, SIGMA_RANGE)
        if worst <= _MAX_LOG_DENSITY:
            return
        decade = math.ceil(self.log_eps / math.log(10.0)) - 1
        while max_log_density(decade * math.log(10.0), mu_range, SIGMA_RANGE) > _MAX_LOG_DENSITY:
            decade -= 1
        raise DegenerateModelError(
            f"The counterfactual term LN(eps; mu, sigma) is a density, not a probability: with eps = "
            f"{math.exp(self.log_eps):.3g} of the median amount it can reach exp({worst:.2f}) for the amounts of this "
            f"log (5 % to 95 % quantiles of log(amount / median): {mu_range[0]:.2f} to {mu_range[1]:.2f}), and must "
            f"stay below exp({_MAX_LOG_DENSITY:.0f}). Trained like this the model would learn that everybody converts. "
            f"Use counterfactual='censored', method='ziln', or eps=1e{decade}."
        )

    def log_negative(self, output: PairOutput) -> Tensor:
        """Log-likelihood of rows that did not convert, (N,)."""
        term = counterfactual_density if self.counterfactual == "density" else counterfactual_censored
        return term(*output, self.log_eps)
