import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from ptofa_gpu.errors import DegenerateModelError, InputError, PtofaWarning
from ptofa_gpu.prediction.methods import available
from ptofa_gpu.prediction.methods.base import Labels, LabelStatistics, PairOutput
from ptofa_gpu.prediction.networks import Head


def statistics(sd=1.0, n=4_000, unit=3_000.0, seed=0):
    rng = np.random.default_rng(seed)
    converted = np.arange(n) % 10 == 0
    return LabelStatistics.of(converted, np.where(converted, unit * np.exp(sd * rng.normal(size=n)), 0.0))


def test_statistics_are_those_of_the_amounts():
    amount = np.array([0.0, 10.0, 20.0, 80.0, 0.0, 0.0])
    ours = LabelStatistics.of(np.array([0, 1, 1, 1, 1, 0], bool), amount)
    logs = np.log([0.5, 1.0, 4.0])
    assert (ours.rows, ours.positives, ours.without_amount, ours.scale) == (6, 4, 1, 20.0)
    assert ours.base_rate == pytest.approx(4 / 6)
    assert ours.log_mean == pytest.approx(logs.mean())
    assert ours.log_sd == pytest.approx(logs.std())
    assert (ours.log_low, ours.log_high) == pytest.approx(tuple(np.quantile(logs, [0.05, 0.95])))


LOG_NORMAL = ("ptofa", "ziln")


@pytest.mark.parametrize("method", available())
def test_an_untrained_model_starts_near_the_base_rate_and_the_mean_amount(world, method):
    model, module = world.model(method=method, dropout=0.0), world.module()
    s = module.label_statistics
    model.net.start(s)
    with torch.no_grad():
        out = model(next(iter(module.batches("validation"))))
    if model.net.predicts_conversion:
        assert float(torch.sigmoid(out.logit).mean()) == pytest.approx(s.base_rate, abs=0.05)
    if method in LOG_NORMAL:
        assert float(out.mu.mean()) == pytest.approx(s.log_mean, abs=0.25)
        assert float(out.sigma.mean()) == pytest.approx(s.log_sd, abs=0.25)
    else:
        revenue = torch.sigmoid(out.logit) * torch.exp(out.mu)
        assert float(revenue.mean()) == pytest.approx(s.base_rate * s.mean_amount, rel=0.35)
        assert not out.sigma.any()
    assert model.net.statistics == s


@pytest.mark.parametrize("method", available())
def test_bounds_hold_whatever_the_network_says(world, method):
    model = world.model(method=method)
    s = statistics()
    model.net.start(s)
    network = model.net.network
    shape = (500, 2, network.width) if method == "mmoe" else (500, network.width)
    with torch.no_grad():
        out = model.net.outputs(1e4 * torch.randn(shape))
    if method in LOG_NORMAL:
        assert float(out.mu.min()) >= np.float32(s.log_low)
        assert float(out.mu.max()) <= np.float32(s.log_high)
        assert float(out.sigma.min()) >= np.float32(0.1)
        assert float(out.sigma.max()) <= 2.0
    revenue = torch.exp(torch.nn.functional.logsigmoid(out.logit) + out.mu + out.sigma**2 / 2)
    assert torch.isfinite(revenue).all()
    assert (revenue >= 0).all()


@pytest.mark.parametrize("method", available())
def test_losses_and_gradients_are_finite_at_every_extreme(world, method):
    """Logits of +-100 and beyond, sigma at its bounds, amounts over 12 orders of magnitude."""
    model = world.model(method=method)
    model.net.start(statistics(sd=3.0) if method not in LOG_NORMAL else statistics())
    heads = [m for m in model.net.children() if isinstance(m, Head)]
    for size in (1e-3, 1.0, 1e2, 1e4):
        hidden = torch.linspace(-size, size, 96).reshape(2, 48).T.repeat(1, model.net.network.width // 2)
        hidden = hidden[:, : model.net.network.width].clone()
        if method == "mmoe":
            hidden = hidden[:, None].expand(-1, 2, -1).clone()
        hidden.requires_grad_()
        out = model.net.outputs(hidden)
        for amount in (1e-3, 1.0, 1e3, 1e6, 1e9):
            for converted in (True, False):
                c = torch.full((48,), converted)
                labels = model.net.labels(c, torch.where(c, amount, 0.0))
                loss = model.net.row_loss(out, labels)
                assert torch.isfinite(loss).all(), (size, amount, converted)
                for gradient in torch.autograd.grad(loss.sum(), [hidden, heads[0][0].weight], retain_graph=True):
                    assert torch.isfinite(gradient).all(), (size, amount, converted)


def formula(method, label, out, converted, amount, scale, net):
    """Each method's row loss written out in float64."""
    p = special.expit(out.logit)
    revenue = amount / scale
    entropy = -np.where(converted, np.log(p), np.log1p(-p))
    if method in ("dnn_c", "esmm"):
        return entropy
    if method == "dnn_r":
        return (np.exp(out.mu) - revenue) ** 2
    if method in ("shared_bottom", "mmoe"):
        predicted = p * np.exp(out.mu)
        if label == "log1p":
            return entropy + (np.log1p(predicted) - np.log1p(revenue)) ** 2
        return entropy + (predicted - revenue) ** 2
    if method == "mtl_mse":
        return entropy + np.where(converted, (np.exp(out.mu) - revenue) ** 2, 0.0)
    density = stats.lognorm.pdf(np.where(converted, revenue, 1.0), out.sigma, scale=np.exp(out.mu))
    nothing = 1 - p
    if method == "ptofa":
        nothing = nothing + p * stats.lognorm.pdf(1e-6, out.sigma, scale=np.exp(out.mu))
    return -np.log(np.where(converted, p * density, nothing))


@pytest.mark.parametrize("label", [None, "log1p"])
@pytest.mark.parametrize("method", available())
def test_row_losses_are_their_formulas_in_float64(world, method, label):
    if label and method not in ("shared_bottom", "mmoe"):
        with pytest.raises(InputError, match=f"method='{method}' has no option label"):
            world.model(method=method, label=label)
        return
    model = world.model(method=method, label=label).double()
    s = statistics()
    model.net.start(s)
    module = world.module()
    batch = next(iter(module.batches("train", 400)))
    batch = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
    with torch.no_grad():
        out = model(batch)
        ours = model.net.row_loss(out, model.net.labels(batch["converted"], batch["amount"]))
    written = formula(
        method, label, PairOutput(*(x.numpy() for x in out)), batch["converted"].numpy(), batch["amount"].numpy(),
        s.scale, model.net,
    )  # fmt: skip
    np.testing.assert_allclose(ours, written, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("method", ["ptofa", "ziln", "dnn_c", "esmm"])
def test_the_expected_loss_is_the_mean_over_what_the_belief_draws(world, method):
    model = world.model(method=method).double()
    model.net.start(statistics())
    rng = np.random.default_rng(0)
    n = 400_000
    output = PairOutput(*(torch.full((n,), v, dtype=torch.float64) for v in (-0.5, 0.2, 0.9)))
    belief = PairOutput(*(torch.full((n,), v, dtype=torch.float64) for v in (0.3, -0.4, 0.6)))
    converted = torch.tensor(rng.random(n) < special.expit(0.3))
    labels = Labels(converted, converted, torch.tensor(rng.normal(-0.4, 0.6, n)))
    drawn = model.net.row_loss(output, labels)
    expected = model.net.expected_loss(output, belief)
    assert float(expected[0]) == pytest.approx(float(drawn.mean()), abs=5 * float(drawn.std()) / n**0.5)


@pytest.mark.parametrize("method", ["dnn_r", "shared_bottom", "mmoe", "mtl_mse"])
def test_methods_without_a_likelihood_refuse_a_doubly_robust_target(world, method):
    output = PairOutput(*torch.zeros(3, 5))
    with pytest.raises(InputError, match="'ptofa', 'ziln'"):
        world.model(method=method).net.expected_loss(output, output)


def test_conversion_only_orders_pairs_as_its_probability_does(world):
    model = world.model(method="esmm")
    model.net.start(statistics())
    out = model(next(iter(world.module().batches("train", 100))))
    revenue = torch.sigmoid(out.logit) * torch.exp(out.mu)
    assert torch.equal(revenue.argsort(), out.logit.argsort())
    assert float(revenue.sum() / torch.sigmoid(out.logit).sum()) == pytest.approx(model.net.statistics.mean_amount)


def test_labels_divide_by_the_median_and_know_which_amounts_are_known(world):
    model = world.model()
    model.net.start(statistics())
    scale = model.statistics.scale
    labels = model.net.labels(torch.tensor([True, True, False]), torch.tensor([2 * scale, 0.0, 0.0]))
    assert labels.has_amount.tolist() == [True, False, False]
    assert float(labels.log_amount[0]) == pytest.approx(math.log(2), abs=1e-5)
    assert torch.isfinite(labels.log_amount).all()


def test_methods_differ_only_where_nothing_was_bought(world):
    losses = {}
    settings = {
        "ziln": {"method": "ziln"},
        "density": {"counterfactual": "density", "eps": 1e-5},
        "censored": {"counterfactual": "censored", "eps": 0.1},
    }
    for name, kwargs in settings.items():
        model = world.model(**kwargs)
        model.net.start(statistics(sd=0.4))
        # sigma at its cap, mu at its floor: where a counterfactual amount of eps is likeliest
        out = model.net.outputs(torch.zeros(2, model.net.network.width))
        out = out._replace(mu=out.mu * 0 + model.net.log_low.float(), sigma=out.sigma * 0 + 2.0)
        labels = model.net.labels(torch.tensor([True, False]), torch.tensor([3000.0, 0.0]))
        losses[name] = model.net.row_loss(out, labels).detach()
    ziln, density, censored = losses.values()
    assert ziln[0] == density[0] == censored[0]
    assert censored[1] < density[1] < ziln[1]  # the likelier the counterfactual, the smaller the loss


def worst_log_density(net, s):
    """The largest log density of the counterfactual amount over a grid of what the bounds allow, by scipy."""
    mu, sigma = np.meshgrid(np.linspace(s.log_low, s.log_high, 301), np.linspace(0.1, 2.0, 301))
    return float((stats.norm.logpdf(net.log_eps, mu, sigma) - net.log_eps).max())


@pytest.mark.parametrize("sd", [1.5, 4.0])
def test_a_density_that_can_come_near_one_is_refused_with_the_way_out(world, sd):
    wide = statistics(sd=sd)
    given = world.model(eps=1e-6)
    assert worst_log_density(given.net, wide) > -4.7
    with pytest.raises(
        DegenerateModelError, match=r"density, not a probability.*may not exceed exp\(-4\.7\)"
    ) as caught:
        given.net.start(wide)
    enough = float(str(caught.value).rsplit("eps=", 1)[1].rstrip("."))
    world.model(eps=enough).net.start(wide)
    with pytest.raises(DegenerateModelError):
        world.model(eps=enough * 10).net.start(wide)
    world.model(method="ziln").net.start(wide)
    with pytest.warns(PtofaWarning, match="smaller eps"):
        world.model(counterfactual="censored", eps=0.3).net.start(wide)


def test_at_the_largest_density_allowed_predicted_conversions_are_a_hundredth_too_many():
    """What the bound is for: with density f a constant model says base rate / (1 - f)."""
    from ptofa_gpu.prediction.methods.ptofa import _MAX_LOG_DENSITY

    assert _MAX_LOG_DENSITY == -4.7
    rate, f, p = 0.012, math.exp(_MAX_LOG_DENSITY), np.linspace(0.0119, 0.0125, 60_001)
    best = p[np.argmax(rate * np.log(p) + (1 - rate) * np.log1p(-p * (1 - f)))]
    assert best / rate == pytest.approx(1 / (1 - f), abs=1e-3)
    assert best / rate == pytest.approx(1.009, abs=1e-3)


@pytest.mark.parametrize("sd", [0.0, 0.5, 1.0, 1.5, 2.0, 4.0])
def test_the_default_eps_is_harmless_for_all_amounts_and_no_smaller_than_needed(world, sd):
    s = statistics(sd=sd)
    net = world.model().net
    net.start(s)
    assert worst_log_density(net, s) <= -4.7
    decade = round(net.log_eps / math.log(10))
    assert net.log_eps == pytest.approx(decade * math.log(10))
    assert decade <= -6
    net.log_eps += math.log(10)
    assert decade == -6 or worst_log_density(net, s) > -4.7


def test_a_default_eps_is_the_same_after_loading(world):
    first, second = world.model(), world.model()
    first.net.start(statistics(sd=3.0))
    assert first.net.log_eps < math.log(1e-7)
    second.load_state_dict(first.state_dict())
    assert second.net.log_eps == first.net.log_eps
    given = world.model(eps=1e-9)
    given.load_state_dict(first.state_dict())
    assert given.net.log_eps == math.log(1e-9)


@pytest.mark.parametrize(
    ("kwargs", "word"),
    [
        ({"method": "magic"}, "Unknown method"),
        ({"counterfactual": "magic"}, "Unknown counterfactual"),
        ({"method": "ziln", "counterfactual": "density"}, "no option counterfactual: it takes none"),
        ({"method": "ptofa", "label": "raw"}, "no option label: it takes counterfactual and eps"),
        ({"method": "mmoe", "label": "sqrt"}, "Unknown label"),
        ({"debias": "magic"}, "debias"),
        ({"clip": 0.5}, "clip"),
        ({"eps": 0.0}, "eps"),
        ({"dropout": 1.0}, "dropout"),
        ({"lr": 0.0}, "lr"),
        ({"embedding": 0}, "embedding"),
        ({"hidden": ()}, "hidden"),
        ({"hidden": (8, 0)}, "hidden"),
    ],
)
def test_settings_out_of_range(world, kwargs, word):
    with pytest.raises(InputError, match=word):
        world.model(**kwargs)
