import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit, log_expit

from ptofa_gpu.prediction.losses import (
    conversion_nll,
    converted_loglik,
    counterfactual_censored,
    counterfactual_density,
    log1p_squared_error,
    lognormal_cross_entropy,
    lognormal_logpdf,
    max_log_density,
    product_logit,
    squared_error,
    zero_inflated,
)

LOG_EPS = math.log(1e-3)
rng = np.random.default_rng(0)
LOGIT, MU, SIGMA = rng.normal(0, 3, 50), rng.normal(0, 1.5, 50), rng.uniform(0.1, 2.0, 50)
AMOUNT = rng.lognormal(0, 2, 50)


def tensors(*arrays, dtype=torch.float64):
    return [torch.tensor(a, dtype=dtype) for a in arrays]


def test_lognormal_density_is_scipys():
    ours = lognormal_logpdf(*tensors(np.log(AMOUNT), MU, SIGMA))
    np.testing.assert_allclose(ours, stats.lognorm.logpdf(AMOUNT, SIGMA, scale=np.exp(MU)), rtol=1e-12)


def test_converted_rows_say_log_p_plus_log_density():
    known = rng.random(50) < 0.5
    ours = converted_loglik(*tensors(LOGIT, MU, SIGMA, np.log(AMOUNT)), torch.tensor(known))
    density = stats.lognorm.logpdf(AMOUNT, SIGMA, scale=np.exp(MU))
    np.testing.assert_allclose(ours, log_expit(LOGIT) + np.where(known, density, 0.0), rtol=1e-12)


def test_rows_without_conversion_match_the_formulas():
    p = 1 / (1 + np.exp(-LOGIT))
    np.testing.assert_allclose(zero_inflated(torch.tensor(LOGIT)), np.log1p(-p), rtol=1e-9)
    density = stats.lognorm.pdf(1e-3, SIGMA, scale=np.exp(MU))
    ours = counterfactual_density(*tensors(LOGIT, MU, SIGMA), LOG_EPS)
    np.testing.assert_allclose(ours, np.log(1 - p + p * density), rtol=1e-9, atol=1e-12)
    below = stats.lognorm.cdf(1e-3, SIGMA, scale=np.exp(MU))
    ours = counterfactual_censored(*tensors(LOGIT, MU, SIGMA), LOG_EPS)
    np.testing.assert_allclose(ours, np.log(1 - p + p * below), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("term", [counterfactual_density, counterfactual_censored])
def test_gradients_of_the_counterfactual_terms(term):
    inputs = [x.requires_grad_() for x in tensors(LOGIT[:8], MU[:8], SIGMA[:8])]
    assert torch.autograd.gradcheck(lambda *x: term(*x, LOG_EPS), inputs)


def test_gradients_of_the_converted_term():
    inputs = [x.requires_grad_() for x in tensors(LOGIT[:8], MU[:8], SIGMA[:8])]
    log_amount, known = torch.log(torch.tensor(AMOUNT[:8])), torch.arange(8) % 2 == 0
    assert torch.autograd.gradcheck(lambda *x: converted_loglik(*x, log_amount, known), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_at_every_extreme(dtype):
    grid = np.array(
        [
            (z, mu, sigma, log_amount)
            for z in (-100.0, -40.0, 0.0, 40.0, 100.0)
            for mu in (-14.0, 0.0, 14.0)
            for sigma in (0.1, 2.0)
            for log_amount in np.log([1e-6, 1.0, 1e6])  # amounts over 12 orders of magnitude
        ]
    )
    logit, mu, sigma, log_amount = (x.requires_grad_() for x in tensors(*grid.T, dtype=dtype))
    values = [
        converted_loglik(logit, mu, sigma, log_amount, torch.ones_like(logit, dtype=torch.bool)),
        zero_inflated(logit),
        *(term(logit, mu, sigma, math.log(1e-6)) for term in (counterfactual_density, counterfactual_censored)),
    ]
    for value in values:
        assert torch.isfinite(value).all()
        for gradient in torch.autograd.grad(value.sum(), (logit, mu, sigma), allow_unused=True, retain_graph=True):
            assert gradient is None or torch.isfinite(gradient).all()


def test_censored_term_lies_between_zero_inflated_and_certainty():
    censored = counterfactual_censored(*tensors(LOGIT, MU, SIGMA), LOG_EPS)
    assert (censored >= zero_inflated(torch.tensor(LOGIT))).all()
    assert (censored <= 0).all()


@pytest.mark.parametrize("mu_range", [(-1.6, 1.6), (-5.0, 2.0), (-9.0, -4.0), (3.0, 4.0)])
@pytest.mark.parametrize("log_eps", [math.log(1e-6), math.log(1e-2)])
def test_max_log_density_bounds_a_grid_and_is_reached(mu_range, log_eps):
    mu, sigma = np.meshgrid(np.linspace(*mu_range, 401), np.linspace(0.1, 2.0, 401))
    grid = stats.norm.logpdf(log_eps, mu, sigma) - log_eps
    bound = max_log_density(log_eps, mu_range, (0.1, 2.0))
    assert grid.max() <= bound + 1e-9
    assert grid.max() == pytest.approx(bound, abs=0.02)


def test_a_product_of_steps_has_the_logit_of_its_probability():
    first, second = rng.normal(0, 3, 50), rng.normal(0, 3, 50)
    p = expit(first) * expit(second)
    np.testing.assert_allclose(product_logit(*tensors(first, second)), np.log(p) - np.log1p(-p), rtol=1e-9, atol=1e-9)


def test_errors_of_amounts_match_the_formulas():
    log_prediction, label = rng.normal(0, 4, 50), AMOUNT
    np.testing.assert_allclose(squared_error(*tensors(log_prediction, label)), (np.exp(log_prediction) - label) ** 2)
    written = (np.log1p(np.exp(log_prediction)) - np.log1p(label)) ** 2
    np.testing.assert_allclose(log1p_squared_error(*tensors(log_prediction, label)), written, rtol=1e-9, atol=1e-15)
    hit = rng.random(50) < 0.5
    np.testing.assert_allclose(
        conversion_nll(*tensors(LOGIT), torch.tensor(hit)), -np.where(hit, log_expit(LOGIT), log_expit(-LOGIT))
    )


def test_the_cross_entropy_of_log_normals_is_the_integral():
    x = np.linspace(-12, 12, 20_001)
    m, s, mu, sigma = -0.4, 0.6, 0.5, 0.9
    log_density = stats.norm.logpdf(x, mu, sigma) - x
    written = -np.trapezoid(stats.norm.pdf(x, m, s) * log_density, x)
    ours = lognormal_cross_entropy(*tensors(mu, sigma, m, s))
    assert float(ours) == pytest.approx(written, rel=1e-9)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: product_logit(a, b),
        lambda a, b: squared_error(a, b.exp()),
        lambda a, b: log1p_squared_error(a, b.exp()),
        lambda a, b: conversion_nll(a, torch.arange(8) % 2 == 0) + 0 * b,
        lambda a, b: lognormal_cross_entropy(a, b.exp(), b, a.exp()),
    ],
)
def test_gradients_of_the_other_losses(loss):
    inputs = [x.requires_grad_() for x in tensors(LOGIT[:8] / 3, MU[:8])]
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_and_errors_are_finite_at_every_extreme(dtype):
    logits = torch.tensor([-100.0, -30.0, 0.0, 30.0, 100.0], dtype=dtype)
    a, b = (x.flatten().requires_grad_() for x in torch.meshgrid(logits, logits, indexing="ij"))
    for value in (product_logit(a, b), conversion_nll(product_logit(a, b), torch.arange(25) % 2 == 0)):
        assert torch.isfinite(value).all()
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(value.sum(), (a, b), retain_graph=True))
