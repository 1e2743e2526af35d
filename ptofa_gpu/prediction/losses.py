r"""Log-likelihoods of an amount that is zero or log-normal, in log space throughout; and squared errors of amounts.

With conversion logit :math:`a`, so :math:`P_c = 1/(1+e^{-a})`, and amount :math:`R \mid \text{convert} \sim
\mathrm{LN}(\mu, \sigma)`, a converted row has likelihood :math:`P_c\,\mathrm{LN}(R; \mu, \sigma)` in every method; they
differ in what they say about a row that did not convert:

* `zero_inflated`: :math:`1 - P_c` (ZILN; Wang, Liu & Miao, 2019, arXiv 1912.07753);
* `counterfactual_density`: :math:`(1-P_c) + P_c\,\mathrm{LN}(\varepsilon; \mu, \sigma)` (PTOFA, arXiv 2503.03165,
  Eq. 6): a customer who was not interested would have bought for an amount :math:`\varepsilon` near zero;
* `counterfactual_censored`: :math:`(1-P_c) + P_c\,\Phi((\log\varepsilon-\mu)/\sigma)`: the same thought as a
  probability, bounded in [0, 1] and free of units.

The other methods of Table 1 need `conversion_nll`, squared errors of amounts (`squared_error`, `log1p_squared_error`)
and, for ESMM, the logit of a product of two probabilities (`product_logit`).

The density term is not bounded: `max_log_density` says how large it can get under bounds on mu and sigma. Where it
reaches 1, predicting that everybody converts becomes the best answer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
# log_ndtr's float32 gradient is wrong far out in the tail; no honest z comes near this
_MIN_Z = -300.0


def lognormal_logpdf(log_amount: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """Log density of LN(mu, sigma) at exp(log_amount), elementwise."""
    z = (log_amount - mu) / sigma
    return -log_amount - sigma.log() - _HALF_LOG_2PI - 0.5 * z * z


def converted_loglik(logit: Tensor, mu: Tensor, sigma: Tensor, log_amount: Tensor, has_amount: Tensor) -> Tensor:
    """log P_c + log LN(R; mu, sigma) of converted rows; log P_c alone where the amount is not known.

    Parameters
    ----------
    logit, mu, sigma
        The model's answer, (N,).
    log_amount
        log R, (N,); any finite value where `has_amount` is false.
    has_amount
        Whether the conversion's amount is known, (N,) bool.
    """
    amount_term = torch.where(has_amount, lognormal_logpdf(log_amount, mu, sigma), torch.zeros_like(mu))
    return logsigmoid(logit) + amount_term


def zero_inflated(logit: Tensor) -> Tensor:
    """log(1 - P_c) of rows that did not convert."""
    return logsigmoid(-logit)


def counterfactual_density(logit: Tensor, mu: Tensor, sigma: Tensor, log_eps: float) -> Tensor:
    """log((1 - P_c) + P_c LN(eps; mu, sigma)) of rows that did not convert."""
    at_eps = lognormal_logpdf(torch.full_like(mu, log_eps), mu, sigma)
    return torch.logaddexp(logsigmoid(-logit), logsigmoid(logit) + at_eps)


def counterfactual_censored(logit: Tensor, mu: Tensor, sigma: Tensor, log_eps: float) -> Tensor:
    """log((1 - P_c) + P_c Phi((log eps - mu) / sigma)) of rows that did not convert."""
    z = ((log_eps - mu) / sigma).clamp(min=_MIN_Z)
    below_eps = torch.special.log_ndtr(z)
    return torch.logaddexp(logsigmoid(-logit), logsigmoid(logit) + below_eps)


def conversion_nll(logit: Tensor, converted: Tensor) -> Tensor:
    """Cross-entropy of conversion, -log P(what happened), (N,)."""
    return softplus(torch.where(converted, -logit, logit))


def product_logit(first: Tensor, second: Tensor) -> Tensor:
    """Logit of sigmoid(first) sigmoid(second), without forming either probability."""
    both = logsigmoid(first) + logsigmoid(second)
    not_both = torch.logaddexp(logsigmoid(-first), logsigmoid(first) + logsigmoid(-second))
    return both - not_both


def squared_error(log_prediction: Tensor, label: Tensor) -> Tensor:
    """(prediction - label)^2 of amounts, from the prediction's logarithm."""
    return (log_prediction.exp() - label).square()


def log1p_squared_error(log_prediction: Tensor, label: Tensor) -> Tensor:
    """(log(1 + prediction) - log(1 + label))^2 of amounts, from the prediction's logarithm."""
    return (softplus(log_prediction) - label.log1p()).square()


def lognormal_cross_entropy(mu: Tensor, sigma: Tensor, belief_mu: Tensor, belief_sigma: Tensor) -> Tensor:
    r"""Mean of -log LN(R; mu, sigma) over amounts R drawn from LN(belief_mu, belief_sigma).

    With m, s the belief's parameters: :math:`m + \log\sigma + \tfrac12\log 2\pi + (s^2 + (m-\mu)^2) / (2\sigma^2)`.
    """
    spread = belief_sigma.square() + (belief_mu - mu).square()
    return belief_mu + sigma.log() + _HALF_LOG_2PI + 0.5 * spread / sigma.square()


def max_log_density(log_eps: float, mu_range: tuple[float, float], sigma_range: tuple[float, float]) -> float:
    """The largest log LN(eps; mu, sigma) for mu and sigma in their ranges.

    The density at a fixed point grows as mu comes nearer, and for a given distance d it is greatest at sigma = d
    (where the derivative d^2/sigma^3 - 1/sigma vanishes), so the maximum lies at the ranges' clamped values.
    """
    distance = log_eps - min(max(log_eps, mu_range[0]), mu_range[1])
    sigma = min(max(abs(distance), sigma_range[0]), sigma_range[1])
    return -log_eps - math.log(sigma) - _HALF_LOG_2PI - 0.5 * (distance / sigma) ** 2
