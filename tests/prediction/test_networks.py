import copy

import numpy as np
import pytest
import torch

from ptofa_gpu.errors import InputError
from ptofa_gpu.prediction.networks import FeatureEncoder, PairNetwork, SeededDropout
from ptofa_gpu.prediction.schema import Feature, Schema

FEATURES = (
    Feature("a", "categorical", categories=("x", "y")),
    Feature("n", "numeric"),
    Feature("b", "categorical", categories=("p", "q", "r")),
)


def test_encoder_gives_each_feature_its_own_rows_then_the_numbers():
    encoder = FeatureEncoder(FEATURES, embedding=5)
    assert encoder.width == 11
    out = encoder(torch.tensor([[1, 3], [2, 3]], dtype=torch.int32), torch.tensor([[0.25], [-2.0]]))
    table = encoder.table.weight
    assert torch.equal(out[:, 5:10], table[[3 + 3, 3 + 3]])  # feature b starts after a's three rows
    assert torch.equal(out[:, :5], table[[1, 2]])
    assert torch.equal(out[:, 10], torch.tensor([0.25, -2.0]))


def test_unseen_categories_start_as_the_average():
    encoder = FeatureEncoder(FEATURES, embedding=5)
    assert not encoder.table.weight[[0, 3]].any()
    assert encoder.table.weight[[1, 2, 4, 5, 6]].abs().min() > 0


def test_parts_of_the_first_layer_add_up_to_a_plain_layer():
    schema = Schema(FEATURES, (Feature("fund", "categorical", categories=("F", "G")), Feature("fee", "numeric")))
    network = PairNetwork(schema, embedding=3, hidden=(16, 8), dropout=0.5).eval()
    rng = np.random.default_rng(0)
    cat, num = torch.tensor(rng.integers(0, 3, (10, 2)), dtype=torch.int32), torch.randn(10, 1)
    fund_cat, fund_num = torch.tensor([[1], [2]], dtype=torch.int32), torch.randn(2, 1)
    c, f = network.customer_part(cat, num), network.fund_part(fund_cat, fund_num)
    pairs = network(c[:, None], f[None])
    x = torch.cat(
        [
            network.customer_encoder(cat, num).repeat_interleave(2, 0),
            network.fund_encoder(fund_cat, fund_num).repeat(10, 1),
        ],
        1,
    )
    weight = torch.cat([network.customer_layer.weight, network.fund_layer.weight], 1)
    plain = network.body(x @ weight.T + network.customer_layer.bias)
    torch.testing.assert_close(pairs.reshape(20, 8), plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kinds", ["cnc", "c", "ccn", "n", "nnc"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_s_answers_to_categories_can_be_computed_once(kinds, bias):
    features = [
        Feature(f"x{i}", "categorical", categories=tuple("pqrst"[: i + 2]))
        if kind == "c"
        else Feature(f"x{i}", "numeric")
        for i, kind in enumerate(kinds)
    ]
    encoder = FeatureEncoder(features, embedding=4)
    layer = torch.nn.Linear(encoder.width, 7, bias=bias)
    rng = np.random.default_rng(1)
    codes = [rng.integers(0, len(f.categories) + 1, 50) for f in features if f.kind == "categorical"]  # 0 is unseen
    categorical = torch.tensor(np.array(codes).reshape(len(codes), 50).T.copy(), dtype=torch.int32)
    numeric = torch.randn(50, kinds.count("n"), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        answer = encoder.followed_by(layer)(categorical, numeric)
        torch.testing.assert_close(answer, layer(encoder(categorical, numeric)), rtol=1e-5, atol=1e-6)


def test_few_customers_go_through_the_layer_itself():
    categories = tuple(f"city {i}" for i in range(100))
    funds = (Feature("fund", "categorical", categories=("F", "G")),)
    network = PairNetwork(Schema((Feature("city", "categorical", categories=categories),), funds), 3, (8,), 0.0).eval()
    assert network.customer_parts(100) == network.customer_part
    assert network.customer_parts(101) != network.customer_part


def test_a_schema_without_customer_features_is_refused():
    schema = Schema((), (Feature("fund", "categorical", categories=("F",)),))
    with pytest.raises(InputError, match="no customer features"):
        PairNetwork(schema, embedding=3, hidden=(4,), dropout=0.0)


def test_dropout_repeats_from_its_seed_and_leaves_the_global_state_alone():
    layer, x = SeededDropout(0.4), torch.ones(50_000)
    layer.reseed(7)
    state = torch.get_rng_state()
    first, second = layer(x), layer(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, second)
    layer.reseed(7)
    assert torch.equal(layer(x), first)
    assert float((first == 0).float().mean()) == pytest.approx(0.4, abs=0.01)
    assert float(first.mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(layer.eval()(x), x)
    copy.deepcopy(layer)
