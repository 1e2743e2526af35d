"""The quick way through all pairs on a CPU against the network's own forward pass."""

import threading

import numpy as np
import pytest
import torch

from ptofa_gpu.prediction import all_pairs as module_under_test
from ptofa_gpu.prediction._between import mix, sum_relu, tower_ends
from ptofa_gpu.prediction.all_pairs import all_pairs
from ptofa_gpu.prediction.networks import Head
from ptofa_gpu.prediction.revenue import expected_revenue

METHODS = ["ptofa", "ziln", "esmm", "mmoe", "shared_bottom", "mtl_mse", "dnn_c", "dnn_r"]


@pytest.fixture
def network_of(world):
    """A method's model with weights that training could have left: no bias and no embedding is zero throughout."""

    def make(method="ptofa", **settings):
        model = world.model(method=method, debias=None, **settings)
        model.net.start(world.module().label_statistics)
        with torch.no_grad():
            for weights in model.net.parameters():
                draws = torch.Generator().manual_seed(weights.numel())
                weights.add_(0.05 * torch.randn(weights.shape, generator=draws))
        return model.eval()

    return make


def parts(model, world, customers):
    encoded = world.schema.encode_customers(world.customers.head(customers)), world.schema.encode_funds(world.funds)
    sides = [(torch.as_tensor(e.categorical), torch.as_tensor(e.numeric)) for e in encoded]
    network = model.net.network
    return network.customer_part(*sides[0]), network.fund_part(*sides[1])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("hidden", [(32, 16), (24,), (20, 12, 9)])
@pytest.mark.parametrize("slice_bytes", [1, 40_000, 10**9])
def test_answers_are_those_of_the_forward_pass(network_of, world, monkeypatch, method, hidden, slice_bytes):
    """Slices of one customer, of some and a rest, and of the whole; two calls use the same memory."""
    monkeypatch.setattr(module_under_test, "_SLICE_BYTES", slice_bytes)
    model = network_of(method, hidden=hidden)
    with torch.no_grad():
        customers, funds = parts(model, world, 203)
        answers = all_pairs(model.net, funds)
        for some in (customers, customers[50:57]):
            plain = model.net.outputs(model.net.network(some[:, None], funds))
            for quick, slow in zip(answers(some), plain, strict=True):
                assert quick.shape == slow.shape == (len(some), 4)
                torch.testing.assert_close(quick, slow, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("method", ["ptofa", "esmm", "mmoe", "shared_bottom"])
def test_threads_do_not_share_memory(network_of, world, method):
    model = network_of(method)
    once = expected_revenue(model, world.customers, world.funds, block_rows=20, device="cpu")
    torch.set_num_threads(3)
    for _ in range(3):
        assert (expected_revenue(model, world.customers, world.funds, block_rows=20, device="cpu") == once).all()
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("method", ["ptofa", "mmoe"])
@pytest.mark.parametrize("rows", [None, 50, 10**6])
def test_the_same_bits_for_any_number_of_threads(network_of, world, method, rows):
    """Also of one block, and of what is computed before the blocks."""
    model, found = network_of(method), []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        found.append(expected_revenue(model, world.customers, world.funds, block_rows=rows, device="cpu"))
    assert (found[1] == found[0]).all()
    assert (found[2] == found[0]).all()


def test_each_thread_has_activations_of_its_own(network_of, world):
    model = network_of()
    with torch.no_grad():
        answers = all_pairs(model.net, parts(model, world, 3)[1])
    found = [answers._activations()]
    worker = threading.Thread(target=lambda: found.append(answers._activations()))
    worker.start()
    worker.join()
    assert answers._activations()[0].data_ptr() == found[0][0].data_ptr()
    assert not {x.data_ptr() for x in found[0]} & {x.data_ptr() for x in found[1]}


def test_the_model_itself_stays_as_it_was(network_of, world):
    model = network_of()
    before = dict(model.net.named_modules())
    with torch.no_grad():
        customers, funds = parts(model, world, 5)
        all_pairs(model.net, funds)(customers)
    assert dict(model.net.named_modules()) == before
    assert model.net.conversion_head.columns is None


@pytest.mark.parametrize("method", ["ptofa", "mmoe"])
def test_weights_that_are_not_finite_show(network_of, world, method):
    model = network_of(method)
    with torch.no_grad():
        customers, funds = parts(model, world, 6)
        customers[1, 0] = float("nan")
        model.net.conversion_head[0].bias[0] = float("nan")
        for quick, slow in zip(
            all_pairs(model.net, funds)(customers),
            model.net.outputs(model.net.network(customers[:, None], funds)),
            strict=True,
        ):
            assert torch.equal(quick.isnan(), slow.isnan())
        assert all_pairs(model.net, funds)(customers).logit.isnan().all()


def normal(rng, *shape, scale=1.0):
    return torch.as_tensor(rng.normal(0, scale, shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "f", "width"), [(1, 1, 1), (3, 2, 5), (2, 7, 32), (5, 1, 33)])
@pytest.mark.parametrize("experts", [1, 3])
def test_sums_of_two_sides(dtype, n, f, width, experts):
    rng = np.random.default_rng(0)
    a, b = normal(rng, experts, n, width).to(dtype), normal(rng, experts, f, width).to(dtype)
    a[0, 0, 0] = np.nan
    out = torch.full((experts, n * f, width), 7, dtype=dtype)
    sum_relu(a, b, out)
    expected = np.maximum(a.numpy()[:, :, None] + b.numpy()[:, None], 0).reshape(experts, n * f, width)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 7, 32, 40])
def test_ends_of_towers(dtype, width):
    """Two towers with one and two outputs, in the columns of each; what is not finite stays in its tower."""
    rng = np.random.default_rng(width)
    x = normal(rng, 11, 2 * width).to(dtype).relu()
    weight, last = normal(rng, 3, width).to(dtype), normal(rng, 3).to(dtype)
    x[3, 0], x[4, 0] = np.nan, np.inf
    starts, room = [0, width, width], torch.zeros(3, 20, dtype=dtype)
    tower_ends(x, starts, weight, last, room[:, 5:16])
    expected = torch.stack([x[:, s : s + width].double() @ w + b for s, w, b in zip(starts, weight.double(), last)])
    rtol = 1e-5 if dtype == torch.float32 else 1e-12
    np.testing.assert_allclose(room[:, 5:16], expected, rtol=rtol, atol=1e-5)
    assert not room[:, :5].any()
    assert not room[:, 16:].any()
    assert room[1:, 5:16].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "f", "tasks", "experts", "width"), [(1, 1, 1, 1, 1), (3, 2, 2, 4, 33), (2, 5, 3, 2, 8)])
def test_mixtures_of_experts(dtype, n, f, tasks, experts, width):
    """Gates far apart and not finite too; what is written over does not matter."""
    rng = np.random.default_rng(1)
    x = normal(rng, experts, n * f, width).to(dtype).relu()
    customers, funds = (normal(rng, experts, tasks, m, scale=9).to(dtype) for m in (n, f))
    customers[:, 0, 0], x[-1, -1, -1] = normal(rng, experts, scale=400), np.nan
    customers[0, -1, -1] = np.nan if n > 1 else 0
    out = torch.full((tasks, n * f, width), np.nan, dtype=dtype)
    mix(x, customers, funds, out)
    gates = torch.softmax(customers.double()[..., None] + funds[:, :, None], 0).flatten(2)
    expected = np.einsum("eti,eiw->tiw", gates, x.double())
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(out, expected, **close)
    assert np.isnan(expected).any()


@pytest.mark.parametrize("method", ["ptofa", "mmoe"])
def test_a_network_of_ones_own_goes_by_its_own_forward_pass(network_of, world, monkeypatch, method):
    """Nobody knows what a subclass does there; in one slice and in several."""
    model = network_of(method)
    network = model.net.network

    class Halved(type(network)):
        def forward(self, customer_part, fund_part):
            return 0.5 * super().forward(customer_part, fund_part)

    network.__class__ = Halved
    with torch.no_grad():
        customers, funds = parts(model, world, 9)
        plain = model.net.outputs(network(customers[:, None], funds))
        for slice_bytes in (1, 10**9):
            monkeypatch.setattr(module_under_test, "_SLICE_BYTES", slice_bytes)
            for quick, slow in zip(all_pairs(model.net, funds)(customers), plain, strict=True):
                torch.testing.assert_close(quick, slow, rtol=2e-5, atol=2e-6)


def swapped(mmoe):
    """Each tower reads the mixture of the other's task."""

    class Swapped(type(mmoe)):
        def towers(self, hidden):
            return super().towers(hidden.flip(-2))

    return Swapped


def with_a_head_more(method):
    class Third(type(method)):
        def outputs(self, hidden):
            return super().outputs(hidden)._replace(logit=self.third(hidden)[..., 0])

    method.third = Head(method.network.width, 1)
    return Third


def squashed(method):
    class Squashed(type(method)):
        def outputs(self, hidden):
            return super().outputs(hidden.tanh())

    return Squashed


def residual(method):
    class Residual(type(method)):
        def outputs(self, hidden):
            return super().outputs(hidden + self.more(hidden))

    method.more = torch.nn.Linear(method.network.width, method.network.width)
    return Residual


@pytest.mark.parametrize(
    ("method", "made"),
    [("mmoe", swapped), ("mmoe", squashed), ("ptofa", with_a_head_more), ("ptofa", squashed), ("ptofa", residual)],
)
def test_a_method_of_ones_own_is_answered_as_it_is_wired(network_of, world, method, made):
    model = network_of(method)
    model.net.__class__ = made(model.net)
    with torch.no_grad():
        customers, funds = parts(model, world, 9)
        plain = model.net.outputs(model.net.network(customers[:, None], funds))
        for quick, slow in zip(all_pairs(model.net, funds)(customers), plain, strict=True):
            torch.testing.assert_close(quick, slow, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_methods_that_there_are_go_the_quick_way(network_of, world, method):
    model = network_of(method)
    with torch.no_grad():
        assert type(all_pairs(model.net, parts(model, world, 3)[1])) is module_under_test._Fused
