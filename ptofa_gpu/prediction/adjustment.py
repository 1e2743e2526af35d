r"""Taking a trained model from the pairs that were shown to all pairs: the default debiasing.

The network learns from the log as it is, which is where its few conversions say most. Left to itself it takes a fund's
level from the customers it was shown to, and is too high for the others. So after training a handful of numbers are
fitted on top of it, by maximum likelihood on the training and validation rows weighted by inverse exposure probability:

.. math::
    \mathrm{logit}\,P' = \mathrm{logit}\,P + \alpha + \alpha_f + \beta z_{uf}, \qquad
    \mu' = \mu + \gamma + \gamma_f + \delta z_{uf}, \qquad \sigma' = \kappa\sigma

with z the `ExposureScore`. Funds and slopes have normal priors around 0, so what a fund's few conversions cannot tell
is left as it was. Like Platt scaling this leaves the network alone; unlike it, it mends the order between the funds of
a customer, which is what allocation decides by. The weights come from a policy model that does not look at the risk
tolerance, so that rows of bolder but otherwise equal customers speak for the pairs that a limit forbids. Weighting the
likelihood of a model fitted without weights makes the total right if the policy model is, even where the network is not
(Robins, Rotnitzky & Zhao, 1994).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ptofa_gpu.errors import PtofaWarning
from ptofa_gpu.prediction.data import SPLITS, mix_seed
from ptofa_gpu.prediction.exposure_score import ExposureScore
from ptofa_gpu.prediction.heads import SIGMA_RANGE
from ptofa_gpu.prediction.methods.base import PairOutput

if TYPE_CHECKING:
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.propensity import Exposure
    from ptofa_gpu.prediction.schema import Schema

# Standard deviations of the priors: what a fund's log odds and log amounts, and the slopes, are taken to be off by.
_SD_LOGIT, _SD_AMOUNT = 0.3, 0.2
# With fewer conversions there is nothing to fit them to.
MIN_CONVERSIONS = 30


class Shift(NamedTuple):
    """What is added to a pair: `level`, `fund` (codes,) for its fund, and `slope` times its exposure score."""

    level: float
    fund: np.ndarray
    slope: float


class Adjustment(nn.Module):
    """The fitted numbers, stored with the model.

    Parameters
    ----------
    schema
        The model's; a fund is known by its id.
    """

    logit_shift: Tensor
    amount_shift: Tensor
    slopes: Tensor
    spread: Tensor
    fitted: Tensor

    def __init__(self, schema: Schema):
        super().__init__()
        n = schema.fund_features[0].cardinality
        self.score = ExposureScore(schema)
        self.register_buffer("logit_shift", torch.zeros(n))
        self.register_buffer("amount_shift", torch.zeros(n))
        self.register_buffer("slopes", torch.zeros(2))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("fitted", torch.tensor(False))

    def store(self, logit: Shift, amount: Shift, spread: float) -> None:
        """Set the numbers and mark them as fitted."""
        self.logit_shift.copy_(torch.as_tensor(logit.level + logit.fund))
        self.amount_shift.copy_(torch.as_tensor(amount.level + amount.fund))
        self.slopes.copy_(torch.tensor([logit.slope, amount.slope]))
        self.spread.fill_(spread)
        self.fitted.fill_(True)

    def adjusted(self, output: PairOutput, code: Tensor, score: Tensor, direct: bool) -> PairOutput:
        """The model's answer for all pairs from its answer for shown ones; shapes broadcast against each other.

        Where revenue is an output of its own (`direct`) only P changes: mu makes up for it.
        """
        logit = output.logit + self.logit_shift[code] + self.slopes[0] * score
        if direct:
            mu = output.mu + logsigmoid(output.logit) - logsigmoid(logit)
            return PairOutput(logit, mu, output.sigma)
        mu = output.mu + self.amount_shift[code] + self.slopes[1] * score
        sigma = (output.sigma * self.spread).clamp(max=SIGMA_RANGE[1])
        return PairOutput(logit, mu, sigma)

    def explain(self) -> str:
        """The slopes in words; empty before the fit."""
        if not bool(self.fitted):
            return ""
        return f"per unit of exposure score log odds {self.slopes[0]:+.2f}, log amount {self.slopes[1]:+.2f}"


def fit_adjustment(model: RevenueModel, module: ExposureModule, exposure: Exposure) -> int:
    """Fit the adjustment of a trained model on training and validation rows and store it in the model.

    Parameters
    ----------
    model
        A trained model with ``debias="adjust"``.
    module
        The log.
    exposure
        The weights of its rows.

    Returns
    -------
    int
        The conversions it was fitted on. 0, with a `PtofaWarning`, where there are fewer than `MIN_CONVERSIONS` with
        an amount; the model is then left as it was trained.
    """
    adjustment = model.adjustment
    assert adjustment is not None
    log = module.log
    splits = [split for split in ("train", "validation") if module.n_rows(split)]
    which = np.concatenate([np.flatnonzero(log.split == SPLITS[split]) for split in splits])
    converted, amount = log.converted[which], log.amount[which].astype(np.float64)
    known = converted & (amount > 0)
    if int(known.sum()) < MIN_CONVERSIONS or bool(converted.all()):
        warnings.warn(
            f"Not adjusted to all pairs: the log holds {int(known.sum())} conversions with an amount for training and "
            f"validation, and at least {MIN_CONVERSIONS} (and one row without conversion) are needed. Expected revenue "
            "is that of pairs such as the log shows. Use a longer log.",
            PtofaWarning,
            stacklevel=3,
        )
        return 0
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix_seed(model.seed, 5))
        adjustment.score = ExposureScore(model.schema)
    adjustment.score.learn(module, model.seed)
    adjustment.to(model.device)
    parts = [model.predict_rows(module, split) for split in splits]
    logit, mu, sigma = (np.concatenate([getattr(p, name) for p in parts]) for name in ("logit", "mu", "sigma"))
    code, score = _scores(adjustment.score, module, which)
    weight = exposure.weight[which].astype(np.float64)

    n_codes = len(adjustment.score.shown)
    nothing = Shift(0.0, np.zeros(n_codes), 0.0)
    of_logit = nothing
    if model.net.predicts_conversion:
        of_logit = _fit_logit(logit, converted, code, score, weight, n_codes)
    of_amount, spread = nothing, 1.0
    if not model.net.direct and model.net.predicts_amount and bool((sigma[known] > 0).all()):
        log_amount = np.log(amount[known])
        rows = (mu[known], sigma[known], log_amount, code[known], score[known], weight[known])
        of_amount, spread = _fit_amount(*rows, n_codes)
    adjustment.store(of_logit, of_amount, spread)
    return int(converted.sum())


@torch.no_grad()
def _scores(score: ExposureScore, module: ExposureModule, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fund code and exposure score of log rows, (N,) each."""
    rows, out = module.rows(), []
    score.to(rows.device)
    codes = rows.fund_categorical[:, 0].long()
    for index in torch.as_tensor(which).to(rows.device).split(1 << 16):
        customer = rows.customer[index]
        table = score(rows.customer_categorical[customer], rows.customer_numeric[customer])
        out.append(table.gather(1, codes[rows.fund[index], None]).squeeze(1))
    return codes.cpu().numpy()[module.log.fund[which]], torch.cat(out).cpu().numpy().astype(np.float64)


class _Columns:
    """The design matrix with columns 1, one a fund, score, without making it: a fund's column is a count away."""

    def __init__(self, code: np.ndarray, score: np.ndarray, n_codes: int, sd: float):
        self.code, self.score, self.n_codes = code, score, n_codes
        self.precision = np.r_[1e-9, np.full(n_codes + 1, sd**-2)]  # of the coefficients' priors

    def times(self, theta: np.ndarray) -> np.ndarray:
        """X theta, (N,)."""
        return theta[0] + theta[1:-1][self.code] + theta[-1] * self.score

    def transposed_times(self, values: np.ndarray) -> np.ndarray:
        """X' values, (codes + 2,)."""
        of_funds = np.bincount(self.code, weights=values, minlength=self.n_codes)
        return np.r_[of_funds.sum(), of_funds, values @ self.score]

    def gram(self, weight: np.ndarray) -> np.ndarray:
        """X' diag(weight) X with the priors' precision, (codes + 2, codes + 2)."""
        of_funds = np.bincount(self.code, weights=weight, minlength=self.n_codes)
        with_score = np.bincount(self.code, weights=weight * self.score, minlength=self.n_codes)
        out = np.diag(np.r_[of_funds.sum(), of_funds, (weight * self.score) @ self.score] + self.precision)
        out[0, 1:-1] = out[1:-1, 0] = of_funds
        out[-1, 1:-1] = out[1:-1, -1] = with_score
        out[0, -1] = out[-1, 0] = with_score.sum()
        return out


def _fit_logit(
    logit: np.ndarray, converted: np.ndarray, code: np.ndarray, score: np.ndarray, weight: np.ndarray, n_codes: int
) -> Shift:
    """The most likely shift of the log odds, by damped Newton steps on a concave function."""
    x = _Columns(code, score, n_codes, _SD_LOGIT)

    def loss(theta: np.ndarray) -> float:
        z = logit + x.times(theta)
        return float(weight @ (np.logaddexp(0.0, z) - converted * z) + 0.5 * x.precision @ theta**2)

    theta = np.zeros(n_codes + 2)
    value = loss(theta)
    for _ in range(50):
        p = expit(logit + x.times(theta))
        gradient = x.transposed_times(weight * (p - converted)) + x.precision * theta
        step = np.linalg.solve(x.gram(weight * p * (1.0 - p)), gradient)
        slope = float(gradient @ step)
        if slope < 1e-10:
            break
        size = 1.0
        while size > 1e-10 and (trial := loss(theta - size * step)) > value - 1e-4 * size * slope:
            size *= 0.5
        if size <= 1e-10:
            break
        theta, value = theta - size * step, trial
    return Shift(float(theta[0]), theta[1:-1], float(theta[-1]))


def _fit_amount(
    mu: np.ndarray,
    sigma: np.ndarray,
    log_amount: np.ndarray,
    code: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray,
    n_codes: int,
) -> tuple[Shift, float]:
    """The most likely shift of mu, and the factor of sigma that the residuals then ask for."""
    x = _Columns(code, score, n_codes, _SD_AMOUNT)
    w = weight / sigma**2
    theta = np.linalg.solve(x.gram(w), x.transposed_times(w * (log_amount - mu)))
    residual = (log_amount - mu - x.times(theta)) / sigma
    spread = float(np.sqrt((weight * residual**2).sum() / weight.sum()))
    return Shift(float(theta[0]), theta[1:-1], float(theta[-1])), max(spread, 1e-3)
