"""The adjustment to all pairs, on logs whose policy, tolerances and truth are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit

import ptofa_gpu as ptofa
from ptofa_gpu.prediction.adjustment import _fit_amount, _fit_logit
from ptofa_gpu.prediction.exposure_model import TOLERANCE, ExposureModel, train_exposure_model
from ptofa_gpu.prediction.exposure_score import ExposureScore
from ptofa_gpu.prediction.methods.base import PairOutput
from ptofa_gpu.prediction.schema import Schema
from ptofa_gpu.prediction.training import fit
from tests.prediction.conftest import N_CUSTOMERS, N_FUNDS, UNIT, World

QUIET = {"progress": None, "logger": None}
SIDES = np.linspace(-1, 1, N_FUNDS)


class Matched(World):
    """Later funds suit the wealthy, and are shown to them; nobody is shown a fund above the tolerance."""

    def __init__(self, rows: int = 12_000, seed: int = 2):
        super().__init__(seed=seed, rows=rows)
        rng = np.random.default_rng(seed + 1)
        wealth = self.customers["wealth"].to_numpy()
        self.tolerance = (1 + np.digitize(0.7 * wealth + 0.7 * rng.normal(size=N_CUSTOMERS), [-1, -0.3, 0.3])).astype(
            int
        )
        self.customers["tolerance"] = self.tolerance.astype(str)
        self.schema = Schema.infer(self.customers, self.funds, currency="CNY")
        self.risk = self.funds["risk"].to_numpy()
        self.affinity = wealth[:, None] * SIDES
        self.allowed = self.tolerance[:, None] >= self.risk
        p = np.exp(1.5 * self.affinity) * self.allowed
        self.policy = p / p.sum(1, keepdims=True)
        fund = (rng.random((rows, 1)) > np.cumsum(self.policy[self.log.customer], axis=1)).sum(1).clip(max=N_FUNDS - 1)
        pair = self.log.customer, fund
        self.conversion = expit(-3.0 + 1.2 * self.affinity)
        converted = rng.random(rows) < self.conversion[pair]
        amount = np.where(converted, UNIT * np.exp(0.4 * self.affinity[pair] + 0.7 * rng.normal(size=rows)), 0.0)
        self.log = replace(self.log, fund=fund.astype(np.int64), converted=converted, amount=amount.astype(np.float32))
        self.revenue = self.conversion * UNIT * np.exp(0.4 * self.affinity + 0.5 * 0.7**2)

    def module(self, **kwargs):
        return super().module(tolerance=self.tolerance, risk=self.risk, **kwargs)


@pytest.fixture(scope="module")
def matched() -> Matched:
    return Matched()


@pytest.fixture(scope="module")
def fitted(matched, tmp_path_factory):
    module = matched.module()
    models = {}
    for debias in (None, "adjust"):
        models[debias] = matched.model(debias=debias, seed=1)
        fit(models[debias], module, max_epochs=2, directory=tmp_path_factory.mktemp("m"), **QUIET)
    return models


def test_the_exposure_model_does_not_read_what_it_is_told_not_to(matched):
    model = ExposureModel(matched.schema, N_FUNDS, without=(TOLERANCE,))
    encoded = matched.schema.encode_customers(matched.customers)
    categorical, numeric = torch.tensor(encoded.categorical), torch.tensor(encoded.numeric)
    column = [f.name for f in matched.schema.customer_features if f.kind == "categorical"].index(TOLERANCE)
    other = categorical.clone()
    other[:, column] = (other[:, column] + 1) % 4
    torch.testing.assert_close(model(categorical, numeric), model(other, numeric), rtol=0, atol=0)
    assert not torch.equal(*(ExposureModel(matched.schema, N_FUNDS)(c, numeric) for c in (categorical, other)))


def test_the_score_is_the_preference_behind_the_policy_for_forbidden_pairs_too(matched):
    module = matched.module()
    torch.manual_seed(0)
    score = ExposureScore(matched.schema)
    score.learn(module, seed=0)
    rows = module.rows()
    codes = rows.fund_categorical[:, 0].long()
    z = score(rows.customer_categorical, rows.customer_numeric)[:, codes].numpy()
    truth = matched.affinity - matched.affinity.mean(0)
    for pairs in (matched.allowed, ~matched.allowed):
        assert np.corrcoef(z[pairs], truth[pairs])[0, 1] > 0.9
    assert abs(z.mean(1)).mean() < 0.02  # 0 but for scores that are kept in range
    unknown = score(rows.customer_categorical, rows.customer_numeric)[:, 0]
    assert not unknown.any()  # a fund that the schema does not know


def test_choosing_among_all_funds_takes_the_rule_for_a_preference(matched):
    """What the mask is for: without it the model learns that the risky fund is hardly ever shown."""
    last = []
    for allowed_only in (True, False):
        torch.manual_seed(0)
        model, module = ExposureModel(matched.schema, N_FUNDS, without=(TOLERANCE,)), matched.module()
        train_exposure_model(model, module, seed=0, allowed_only=allowed_only)
        rows = module.rows()
        with torch.no_grad():
            p = model(rows.customer_categorical, rows.customer_numeric).exp().numpy()
        last.append(p[:, -1].mean())
    free = np.exp(1.5 * matched.affinity)
    wanted = (free / free.sum(1, keepdims=True))[:, -1].mean()
    assert last[0] == pytest.approx(wanted, abs=0.05)
    assert last[1] == pytest.approx(matched.policy[:, -1].mean(), abs=0.05)
    assert last[0] - last[1] > 0.05


def test_the_shift_of_log_odds_is_the_penalised_optimum():
    rng = np.random.default_rng(0)
    n, codes = 4_000, 4
    code, score = rng.integers(1, codes, n), rng.normal(size=n)
    logit, weight = rng.normal(-2, 1, n), rng.exponential(size=n)
    converted = rng.random(n) < expit(logit + 0.5 + np.array([0, 0.3, 0, -0.3])[code] + 0.4 * score)
    shift = _fit_logit(logit, converted, code, score, weight, codes)

    def loss(t):
        z = logit + t[0] + t[1:-1][code] + t[-1] * score
        return weight @ (np.logaddexp(0, z) - converted * z) + 0.5 * (t[1:] ** 2).sum() / 0.3**2

    best = minimize(loss, np.zeros(codes + 2), method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose([shift.level, *shift.fund, shift.slope], best.x, atol=1e-4)
    assert shift.slope == pytest.approx(0.4, abs=0.12)


def test_the_shift_of_log_amounts_is_the_penalised_least_squares():
    rng = np.random.default_rng(0)
    n, codes = 600, 4
    code, score = rng.integers(1, codes, n), rng.normal(size=n)
    mu, sigma, weight = rng.normal(size=n), rng.uniform(0.5, 1.5, n), rng.exponential(size=n)
    log_amount = mu - 0.7 + 0.2 * score + 1.4 * sigma * rng.normal(size=n)
    shift, spread = _fit_amount(mu, sigma, log_amount, code, score, weight, codes)
    x = np.c_[np.ones(n), np.eye(codes)[code], score]
    w = weight / sigma**2
    penalty = np.diag([1e-9] + [0.2**-2] * (codes + 1))
    exact = np.linalg.solve((x * w[:, None]).T @ x + penalty, x.T @ (w * (log_amount - mu)))
    np.testing.assert_allclose([shift.level, *shift.fund, shift.slope], exact, rtol=1e-8)
    assert spread == pytest.approx(1.4, rel=0.1)


def test_it_brings_all_pairs_nearer_to_the_truth(matched, fitted):
    """Totals of forbidden and of all pairs, which the log makes out too high."""
    plain, adjusted = (
        ptofa.expected_revenue(fitted[d], matched.customers, matched.funds).astype(np.float64) for d in (None, "adjust")
    )
    forbidden = ~matched.allowed

    def off(e, pairs):
        return abs(np.log(e[pairs].sum() / matched.revenue[pairs].sum()))

    assert off(adjusted, forbidden) < 0.5 * off(plain, forbidden)
    assert off(adjusted, forbidden | matched.allowed) < 0.5 * off(plain, forbidden | matched.allowed)


def test_the_network_is_that_of_the_paper(fitted):
    """Training does not see the adjustment: it lies on top."""
    plain, adjusted = (fitted[d].net.state_dict() for d in (None, "adjust"))
    assert all(torch.equal(plain[name], adjusted[name]) for name in plain)
    assert "log odds" in fitted["adjust"].describe()["adjustment"]


def test_pairs_without_overlap_are_counted_and_said(matched, fitted):
    exposure = fitted["adjust"].exposure
    share = (~matched.allowed).mean()
    assert exposure["forbidden_share"] == pytest.approx(share)
    assert f"{share:.0%} of all pairs are above the customer's risk tolerance" in exposure["text"]


def test_a_stored_model_answers_as_before(matched, fitted, tmp_path):
    model = fitted["adjust"]
    loaded = ptofa.RevenueModel.load(model.save(tmp_path / "model.ckpt"))
    ours, theirs = (ptofa.expected_revenue(m, matched.customers, matched.funds) for m in (model, loaded))
    assert (ours == theirs).all()
    rows = loaded.predict_rows(matched.module(), "test", calibrated=True)
    test = matched.log.split == 2
    e = expit(rows.logit) * np.exp(rows.mu + 0.5 * rows.sigma**2)
    np.testing.assert_allclose(e, ours[matched.log.customer[test], matched.log.fund[test]], rtol=1e-4)


def test_a_trainer_of_ones_own_adjusts_at_the_end(matched, tmp_path):
    import pytorch_lightning as pl

    model = matched.model()
    assert not bool(model.adjustment.fitted)
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, **off)
    trainer.fit(model, datamodule=matched.module())
    assert bool(model.adjustment.fitted)


@pytest.mark.parametrize("method", ["esmm", "shared_bottom", "dnn_r"])
def test_methods_without_a_log_normal_amount_are_adjusted_in_what_they_have(matched, tmp_path, method):
    model = matched.model(method=method, debias="adjust")
    fit(model, matched.module(), max_epochs=1, directory=tmp_path, **QUIET)
    a = model.adjustment
    assert bool(a.fitted)
    assert not a.amount_shift.any()
    assert bool(a.logit_shift.any()) == model.net.predicts_conversion
    output = PairOutput(torch.tensor([-2.0]), torch.tensor([0.5]), torch.tensor([0.0]))
    after = a.adjusted(output, torch.tensor([2]), torch.tensor([0.7]), direct=True)
    revenue = [torch.sigmoid(o.logit) * o.mu.exp() for o in (output, after)]
    torch.testing.assert_close(*revenue)  # revenue that is an output of its own stays
