import math

import numpy as np
import pytest
import torch

from ptofa_gpu.errors import DegenerateModelError, InputError, NotAvailableError, PtofaWarning
from ptofa_gpu.prediction.methods import available
from ptofa_gpu.prediction.methods.base import LabelStatistics


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


@pytest.mark.parametrize("method", available())
def test_an_untrained_model_starts_near_the_base_rate_and_the_mean_amount(world, method):
    model, module = world.model(method=method, dropout=0.0), world.module()
    s = module.label_statistics
    model.net.start(s)
    with torch.no_grad():
        out = model(next(iter(module.batches("validation"))))
    assert float(torch.sigmoid(out.logit).mean()) == pytest.approx(s.base_rate, abs=0.05)
    assert float(out.mu.mean()) == pytest.approx(s.log_mean, abs=0.25)
    assert float(out.sigma.mean()) == pytest.approx(s.log_sd, abs=0.25)
    assert model.net.statistics == s


@pytest.mark.parametrize("method", available())
def test_bounds_hold_whatever_the_network_says(world, method):
    model = world.model(method=method)
    s = statistics()
    model.net.start(s)
    with torch.no_grad():
        out = model.net.outputs(1e4 * torch.randn(500, model.net.network.width))
    assert float(out.mu.min()) >= np.float32(s.log_low)
    assert float(out.mu.max()) <= np.float32(s.log_high)
    assert float(out.sigma.min()) >= np.float32(0.1)
    assert float(out.sigma.max()) <= 2.0


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


def test_a_density_that_can_pass_one_is_refused_with_the_way_out(world):
    wide = statistics(sd=4.0)
    with pytest.raises(DegenerateModelError, match="density, not a probability") as caught:
        world.model().net.start(wide)
    enough = float(str(caught.value).rsplit("eps=", 1)[1].rstrip("."))
    world.model(eps=enough).net.start(wide)
    with pytest.raises(DegenerateModelError):
        world.model(eps=enough * 1000).net.start(wide)
    world.model(method="ziln").net.start(wide)
    with pytest.warns(PtofaWarning, match="smaller eps"):
        world.model(counterfactual="censored", eps=1e-3).net.start(wide)


def test_the_default_eps_is_safe_for_usual_amounts(world):
    for sd in (0.0, 0.5, 1.0, 1.5, 2.0):
        world.model().net.start(statistics(sd=sd))


@pytest.mark.parametrize("method", ["dnn_c", "dnn_r", "esmm", "shared_bottom", "mmoe", "mtl_mse"])
def test_methods_to_come_say_so(world, method):
    with pytest.raises(NotAvailableError, match="'ptofa', 'ziln'"):
        world.model(method=method)


@pytest.mark.parametrize(
    ("kwargs", "word"),
    [
        ({"method": "magic"}, "Unknown method"),
        ({"counterfactual": "magic"}, "Unknown counterfactual"),
        ({"method": "ziln", "counterfactual": "density"}, "no counterfactual term"),
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
