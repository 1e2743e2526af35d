from dataclasses import replace

import numpy as np
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InputError, PtofaWarning
from ptofa_gpu.prediction.propensity import weigh_exposures
from ptofa_gpu.prediction.training import fit
from tests.prediction.conftest import N_CUSTOMERS, N_FUNDS, World

QUIET = {"max_epochs": 1, "progress": None, "logger": None, "calibration": False}


class Biased(World):
    """As `World`, but the wealthy are shown the later funds; `p` is the probability of each pair."""

    def __init__(self, rows: int = 12_000, strength: float = 1.0):
        super().__init__(rows=rows)
        wealth = self.customers["wealth"].to_numpy()
        score = strength * wealth[:, None] * np.linspace(-1, 1, N_FUNDS)
        self.p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
        rng = np.random.default_rng(1)
        u = rng.random((rows, 1))
        fund = (u > np.cumsum(self.p[self.log.customer], axis=1)).sum(1).clip(max=N_FUNDS - 1)
        self.log = replace(self.log, fund=fund.astype(np.int64))
        self.logged = self.p[self.log.customer, fund]


@pytest.fixture(scope="module")
def biased() -> Biased:
    return Biased()


def test_the_policy_is_learned_and_undone(biased):
    exposure = weigh_exposures(biased.module(), biased.schema, clip=10.0)
    raw = np.minimum(1 / (N_FUNDS * biased.logged), 10.0)
    train = biased.log.split == 0
    assert np.corrcoef(exposure.weight[train], raw[train])[0, 1] > 0.9
    assert exposure.weight[train].mean() == pytest.approx(1.0, abs=1e-5)
    assert exposure.weight[biased.log.split == 1].mean() == pytest.approx(1.0, abs=1e-5)
    assert exposure.log_loss < exposure.log_loss_popularity - 0.05
    # the mean wealth of those who were shown a fund: far apart in the log, alike with weights
    wealth = biased.customers["wealth"].to_numpy()[biased.log.customer]
    last = train & (biased.log.fund == N_FUNDS - 1)
    assert wealth[last].mean() > 0.4
    assert abs(np.average(wealth[last], weights=exposure.weight[last])) < 0.2


def test_effective_sample_and_clipping_are_those_of_the_weights(biased):
    wide = weigh_exposures(biased.module(), biased.schema, clip=50.0)
    narrow = weigh_exposures(biased.module(), biased.schema, clip=1.5)
    train = biased.log.split == 0
    for exposure in (wide, narrow):
        w = exposure.weight[train].astype(float)
        assert exposure.effective_share == pytest.approx(w.sum() ** 2 / (len(w) * (w**2).sum()), rel=1e-4)
    assert narrow.effective_share > wide.effective_share
    assert narrow.clipped_share > wide.clipped_share
    assert "effective sample" in narrow.explain()


def test_it_repeats_from_its_seed(biased):
    first, second = (weigh_exposures(biased.module(), biased.schema, 10.0, seed=3).weight for _ in range(2))
    assert (first == second).all()


def test_probabilities_in_the_log_are_taken_as_they_are(biased):
    module = biased.module()
    module.log = replace(biased.log, propensity=biased.logged.astype(np.float32))
    exposure = weigh_exposures(module, biased.schema, clip=10.0)
    assert exposure.known
    train = biased.log.split == 0
    raw = np.minimum(1 / (N_FUNDS * biased.logged[train]), 10.0)
    np.testing.assert_allclose(exposure.weight[train], raw / raw.mean(), rtol=1e-4)
    assert exposure.problem() is None


def test_missing_overlap_names_the_funds_unless_risk_limits_explain_it(tmp_path):
    world = Biased(strength=6.0)
    exposure = weigh_exposures(world.module(), world.schema, clip=3.0)
    assert exposure.missing == ["F1", "F2"]  # the rich see F3 and the poor F0
    assert "Overlap is missing for 'F1'" in exposure.problem()
    with pytest.warns(PtofaWarning, match="Overlap is missing for 'F1'"):
        fit(world.model(debias="ipw", clip=3.0), world.module(), directory=tmp_path, **QUIET)
    # were the poor not allowed to see the last fund, nobody would miss them there
    wealth = world.customers["wealth"].to_numpy()
    limited = world.module(tolerance=np.where(wealth > 0.6, 5, 1), risk=np.array([1, 1, 1, 5]))
    assert exposure.overlap[3] < 0.6
    assert weigh_exposures(limited, world.schema, clip=3.0).overlap[3] > 0.95


def test_a_fund_never_shown_is_named_and_counts_as_an_average_one(world, tmp_path):
    keep = world.log.fund != 2
    log = replace(
        world.log,
        **{name: getattr(world.log, name)[keep] for name in ("customer", "fund", "converted", "amount", "split")},
    )
    for debias, words in (("ipw", r"'F2' \(never shown\)"), (None, "Never shown in a training row: 'F2'")):
        module, model = world.module(), world.model(debias=debias)
        module.log = log
        with pytest.warns(PtofaWarning, match=words):
            fit(model, module, directory=tmp_path, **QUIET)
        index = world.schema.fund_features[0].categories.index("F2") + 1
        assert not model.net.network.fund_encoder.table.weight[index].any()
        assert np.isfinite(ptofa.expected_revenue(model, world.customers, world.funds)).all()


def test_one_fund_has_nothing_to_weigh(world, tmp_path):
    keep = world.log.fund == 1
    log = replace(
        world.log,
        **{name: getattr(world.log, name)[keep] for name in ("customer", "converted", "amount", "split")},
        fund=np.zeros(keep.sum(), np.int64),
    )
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.schema import Schema

    funds = world.funds.iloc[1:2]
    schema = Schema.infer(world.customers, funds)
    module = ExposureModule(log, schema.encode_customers(world.customers), schema.encode_funds(funds), device="cpu")
    model = ptofa.RevenueModel(schema, hidden=(16,), embedding=4)
    fit(model, module, directory=tmp_path, **QUIET)
    assert model.exposure["effective_share"] == pytest.approx(1.0)
    assert ptofa.expected_revenue(model, world.customers, funds).shape == (N_CUSTOMERS, 1)


def test_training_uses_the_weights_and_the_model_remembers_what_they_were(biased, tmp_path):
    plain, weighted = biased.model(debias=None), biased.model(debias="ipw")
    assert biased.model().debias == "adjust"  # the default of "ptofa"
    assert biased.model(method="ziln").debias is None
    module = biased.module()
    fit(weighted, module, directory=tmp_path / "a", **QUIET)
    assert module.weight is not None
    assert "effective sample" in weighted.describe()["debiasing"]
    loaded = ptofa.RevenueModel.load_from_checkpoint(tmp_path / "a" / "best.ckpt", weights_only=True)
    assert loaded.exposure == weighted.exposure
    assert loaded.debias == "ipw"
    fit(plain, module, directory=tmp_path / "b", **QUIET)
    assert module.weight is None  # the next model's choice replaces it
    assert plain.describe()["debiasing"] == "none"
    ours, theirs = (ptofa.expected_revenue(m, biased.customers, biased.funds) for m in (plain, weighted))
    assert not np.allclose(ours, theirs)


def test_the_weighted_loss_is_the_weighted_mean(biased):
    model, module = biased.model(dropout=0.0), biased.module()
    model.net.start(module.label_statistics)
    batch = next(iter(module.batches("train", 500)))
    plain = model.row_loss(model.labelled(batch)).detach().numpy()
    weight = np.linspace(0, 2, len(module.log)).astype(np.float32)
    module.weigh(weight)
    batch = next(iter(module.batches("train", 500)))
    rows = np.flatnonzero(module.log.split == 0)[:500]
    np.testing.assert_allclose(model.row_loss(model.labelled(batch)).detach(), plain * weight[rows], rtol=1e-5)
    with pytest.raises(InputError, match="weight has shape"):
        module.weigh(weight[:5])


def test_a_doubly_robust_model_trains_and_repeats(biased, tmp_path):
    answers = []
    for name in ("a", "b"):
        model = biased.model(debias="dr")
        fit(model, biased.module(), directory=tmp_path / name, **QUIET)
        answers.append(ptofa.expected_revenue(model, biased.customers, biased.funds))
    assert (answers[0] == answers[1]).all()
    assert np.isfinite(answers[0]).all()


def test_a_doubly_robust_target_is_the_belief_where_the_log_agrees_with_it(biased):
    """With the loss of an outcome equal to its mean under the belief, only the imputed loss of random pairs is left."""
    import torch

    from ptofa_gpu.prediction.doubly_robust import Belief

    model, module = biased.model(dropout=0.0, debias="dr"), biased.module()
    model.net.start(module.label_statistics)
    module.weigh(np.ones(len(module.log), np.float32))
    batch = next(iter(module.batches("train", 300)))
    rows = module.rows()
    never = torch.zeros(N_CUSTOMERS, N_FUNDS, 3)
    never[..., 0], never[..., 2] = -60.0, 1.0  # nobody converts, and in this batch nobody did
    batch["converted"], batch["amount"] = torch.zeros(300, dtype=torch.bool), torch.zeros(300)
    model._belief = Belief(never, rows.fund_categorical, rows.fund_numeric)
    model._draw_others(0)
    labelled = model.labelled(batch)
    loss = model.row_loss(labelled)
    other = batch | {"fund_categorical": labelled["other_categorical"], "fund_numeric": labelled["other_numeric"]}
    torch.testing.assert_close(loss, -model.net.log_negative(model(other)), rtol=1e-4, atol=1e-6)
