import numpy as np
import pytest
import torch

import ptofa_gpu as ptofa
from ptofa_gpu.errors import DeviceError, InputError, OutOfMemoryError, PtofaWarning, SchemaError
from ptofa_gpu.prediction import revenue as module_under_test
from ptofa_gpu.prediction.data import DeviceRows
from ptofa_gpu.prediction.revenue import expected_revenue, predict_components
from ptofa_gpu.prediction.schema import Encoded


def naive(model, world):
    """E from the plain forward pass over every pair, in float64 after the network."""
    n, f = len(world.customers), len(world.funds)
    pairs = DeviceRows(
        world.log,
        world.schema.encode_customers(world.customers),
        world.schema.encode_funds(world.funds),
        torch.device("cpu"),
    )
    customer, fund = torch.arange(n).repeat_interleave(f), torch.arange(f).repeat(n)
    batch = {
        "customer_categorical": pairs.customer_categorical[customer],
        "customer_numeric": pairs.customer_numeric[customer],
        "fund_categorical": pairs.fund_categorical[fund],
        "fund_numeric": pairs.fund_numeric[fund],
    }
    model.eval()
    with torch.no_grad():
        logit, mu, sigma = (x.double() for x in model(batch))
        if model.adjustment is not None:
            a, code = model.adjustment, batch["fund_categorical"][:, 0].long()
            scores = a.score(batch["customer_categorical"], batch["customer_numeric"])
            score = scores[torch.arange(n * f), code].double()
            logit = logit + a.logit_shift[code] + a.slopes[0] * score
            mu = mu + a.amount_shift[code] + a.slopes[1] * score
            sigma = (sigma * a.spread).clamp(max=2.0)
    c = model.calibration
    p = torch.sigmoid(c.slope * logit + c.intercept)
    return (c.revenue_ratio * p * torch.exp(mu + sigma**2 / 2) * model.statistics.scale).reshape(n, f).numpy()


def test_it_is_the_forward_pass_over_all_pairs_calibrated_in_currency(trained, world):
    model, _ = trained
    ours = expected_revenue(model, world.customers, world.funds)
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    assert bool(model.calibration.fitted)
    np.testing.assert_allclose(ours, naive(model, world), rtol=2e-5)
    assert np.isfinite(ours).all()
    assert (ours >= 0).all()


def test_blocks_and_threads_do_not_matter(trained, world):
    model, _ = trained
    whole = expected_revenue(model, world.customers, world.funds, block_rows=10**6)
    for rows in (1_000, 7):
        np.testing.assert_allclose(
            expected_revenue(model, world.customers, world.funds, block_rows=rows), whole, rtol=1e-5
        )
    alone = expected_revenue(model, world.customers, world.funds, block_rows=500)
    torch.set_num_threads(3)
    together = expected_revenue(model, world.customers, world.funds, block_rows=500)
    assert torch.get_num_threads() == 3
    assert (alone == together).all()


def test_components_make_revenue(trained, world):
    model, _ = trained
    conversion, mu, sigma = predict_components(model, world.customers, world.funds)
    assert ((conversion > 0) & (conversion < 1)).all()
    whole = expected_revenue(model, world.customers, world.funds)
    np.testing.assert_allclose(conversion * np.exp(mu + sigma**2 / 2), whole, rtol=1e-4)


def test_frames_of_any_kind_and_encoded_features_give_the_same(trained, world):
    pl = pytest.importorskip("polars")
    import pyarrow as pa

    model, _ = trained
    whole = expected_revenue(model, world.customers, world.funds)
    encoded = world.schema.encode_customers(world.customers), world.schema.encode_funds(world.funds)
    assert (expected_revenue(model, *encoded) == whole).all()
    for make in (pl.from_pandas, pa.Table.from_pandas):
        assert (expected_revenue(model, make(world.customers), make(world.funds)) == whole).all()


def test_rows_and_columns_follow_the_frames(trained, world):
    model, _ = trained
    whole = expected_revenue(model, world.customers, world.funds)
    turned = expected_revenue(model, world.customers[::-1], world.funds[::-1])
    np.testing.assert_allclose(turned[::-1, ::-1], whole, rtol=1e-5)


def test_a_fund_never_seen_is_predicted_as_an_average_one(trained, world):
    model, _ = trained
    new = world.funds.assign(fund=["new"] * 4)
    assert world.schema.encode_funds(new).unseen == {"fund": 4}
    with pytest.warns(PtofaWarning, match="4 of 4 funds have no known 'fund'"):
        revenue = expected_revenue(model, world.customers, new)
    assert np.isfinite(revenue).all()


@pytest.mark.parametrize("entry", [expected_revenue, predict_components])
def test_unseen_categories_are_counted_feature_by_feature(trained, world, entry):
    model, _ = trained
    strangers = world.customers.head(50).copy()
    strangers.loc[:6, "region"] = "Atlantis"
    strangers.loc[7:9, "region"] = None
    with pytest.warns(PtofaWarning, match="10 of 50 customers have no known 'region'") as caught:
        entry(model, strangers, world.funds)
    assert "fund" not in str(caught[0].message).replace("funds", "")
    assert caught[0].filename == __file__  # it points at the caller
    encoded = world.schema.encode_customers(strangers)
    with pytest.warns(PtofaWarning, match="10 of 50 customers have no known 'region'"):
        entry(model, encoded, world.funds)


@pytest.mark.parametrize("entry", [expected_revenue, predict_components])
def test_missing_numbers_are_counted_feature_by_feature(trained, world, entry):
    model, _ = trained
    people = world.customers.head(50).copy()
    people.loc[:4, "wealth"] = np.nan
    people.loc[5:6, "activity"] = np.nan
    funds = world.funds.assign(fee=[0.1, np.nan, 0.9, 1.2])
    with pytest.warns(PtofaWarning, match="5 of 50 customers have no 'wealth'") as caught:
        entry(model, people, funds)
    assert len(caught) == 1
    said = str(caught[0].message)
    assert "2 of 50 customers have no 'activity'" in said
    assert "1 of 4 funds have no 'fee'" in said
    assert "tolerance" not in said
    with pytest.warns(PtofaWarning, match="5 of 50 customers have no 'wealth'"):
        entry(model, world.schema.encode_customers(people), world.funds)
    average = people.fillna({"wealth": model.schema.customer_features[2].mean})
    assert model.schema.customer_features[2].name == "wealth"
    with pytest.warns(PtofaWarning) as caught:
        revenue = [expected_revenue(model, frame, world.funds) for frame in (people, average)]
    np.testing.assert_allclose(*revenue, rtol=1e-6)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_numbers_are_refused_as_in_training(trained, world, value):
    people = world.customers.head(50).copy()
    people.loc[3:4, "wealth"] = value
    with pytest.raises(SchemaError, match=r"'wealth' is infinite in 2 of 50 rows, the first is row 3"):
        expected_revenue(trained[0], people, world.funds)
    encoded = world.schema.encode_customers(world.customers)
    encoded.numeric[7, 0] = value
    with pytest.raises(SchemaError, match="not finite"):
        expected_revenue(trained[0], encoded, world.funds)


def test_the_model_stays_in_the_mode_it_was_in(trained, world):
    model, _ = trained
    model.train()
    first = expected_revenue(model, world.customers, world.funds)
    assert model.training
    model.eval()
    assert (expected_revenue(model, world.customers, world.funds) == first).all()
    assert not model.training


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_counts_customers(trained, world, threads):
    torch.set_num_threads(threads)
    seen = []
    expected_revenue(trained[0], world.customers, world.funds, block_rows=1_250, progress=lambda *x: seen.append(x))
    assert seen == [(1_250, 3_000), (2_500, 3_000), (3_000, 3_000)]


def test_a_bar_goes_to_stderr(trained, world, capfd):
    expected_revenue(trained[0], world.customers, world.funds, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "expected revenue" in err


def test_memory_that_runs_out_halves_the_block_and_says_so(trained, world, monkeypatch):
    whole = expected_revenue(trained[0], world.customers, world.funds, block_rows=400)
    real = module_under_test._Pairs.components

    def small_gpu(self, lo, hi):
        if hi - lo > 400:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, lo, hi)

    monkeypatch.setattr(module_under_test._Pairs, "components", small_gpu)
    with pytest.warns(PtofaWarning, match="blocks of 375"):
        halved = expected_revenue(trained[0], world.customers, world.funds, block_rows=3_000)
    np.testing.assert_allclose(halved, whole, rtol=1e-5)


def test_a_block_of_one_that_does_not_fit_is_an_error(trained, world, monkeypatch):
    def no_gpu(self, lo, hi):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module_under_test._Pairs, "components", no_gpu)
    with pytest.raises(OutOfMemoryError, match="one customer"):
        expected_revenue(trained[0], world.customers, world.funds)


def test_bad_input(trained, world):
    model, _ = trained
    with pytest.raises(SchemaError, match="wealth"):
        expected_revenue(model, world.customers.drop(columns="wealth"), world.funds)
    with pytest.raises(InputError, match="block_rows"):
        expected_revenue(model, world.customers, world.funds, block_rows=0)
    with pytest.raises(InputError, match="empty"):
        expected_revenue(model, world.customers[:0], world.funds)
    with pytest.raises(SchemaError, match="another schema"):
        expected_revenue(model, world.customers, Encoded(np.zeros((2, 3), np.int32), np.zeros((2, 1), np.float32)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused(trained, world):
    with pytest.raises(DeviceError, match="cuda"):
        expected_revenue(trained[0], world.customers, world.funds, device="cuda")


@pytest.mark.gpu
def test_on_a_gpu_it_is_cupys_without_a_copy(world, tmp_path, monkeypatch):
    import cupy

    from ptofa_gpu.prediction.training import fit

    model = world.model()
    fit(model, world.module(device="cuda"), max_epochs=1, directory=tmp_path, progress=None, logger=None)
    made = []
    real = module_under_test._allocate
    monkeypatch.setattr(module_under_test, "_allocate", lambda *a: made.extend(real(*a)) or tuple(made))
    on_gpu = ptofa.expected_revenue(model, world.customers, world.funds)
    assert isinstance(on_gpu, cupy.ndarray)
    assert on_gpu.data.ptr == made[0].data_ptr()
    monkeypatch.undo()
    on_cpu = ptofa.expected_revenue(model, world.customers, world.funds, device="cpu")
    np.testing.assert_allclose(on_gpu.get(), on_cpu, rtol=1e-3)
