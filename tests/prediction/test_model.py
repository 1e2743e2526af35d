import pickle

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import ptofa_gpu as ptofa
from ptofa_gpu.errors import DegenerateModelError, InputError, PtofaWarning, SchemaError
from ptofa_gpu.prediction.schema import Schema


def quiet_trainer(**kwargs):
    return pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **kwargs,
    )  # fmt: skip


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_contracts_example(world):
    model = ptofa.RevenueModel(world.schema, method="ptofa", dropout=0.1, lr=0.01)
    quiet_trainer(max_epochs=1).fit(model, datamodule=world.module(batch_size=512, device="auto"))
    revenue = ptofa.expected_revenue(model, world.customers, world.funds)
    assert revenue.shape == (3_000, 4)
    assert model.statistics.rows == (world.log.split == 0).sum()


def test_it_learns(trained, world):
    from sklearn.metrics import roc_auc_score

    model, _ = trained
    rows = model.predict_rows(world.module(), "test")
    assert roc_auc_score(rows.converted, rows.logit) > 0.75
    known = rows.converted & (rows.amount > 0)
    assert np.corrcoef(rows.mu[known], np.log(rows.amount[known]))[0, 1] > 0.3


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_state_alone(world):
    torch.manual_seed(1)
    first = world.model(seed=5)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(weights(first), weights(world.model(seed=5)))
    assert not torch.equal(weights(first), weights(world.model(seed=6)))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_checkpoint_loads_safely_and_predicts_the_same(trained, world):
    model, result = trained
    loaded = ptofa.RevenueModel.load_from_checkpoint(result.best_path, weights_only=True)
    assert loaded.schema == world.schema
    assert loaded.statistics == model.statistics
    ours, theirs = (ptofa.expected_revenue(m, world.customers, world.funds) for m in (model, loaded))
    assert (ours == theirs).all()
    code = result.best_path.with_name("code.ckpt")
    torch.save({"state_dict": Schema}, code)
    with pytest.raises(pickle.UnpicklingError):  # the way it was loaded does refuse code
        ptofa.RevenueModel.load_from_checkpoint(code, weights_only=True)


def test_another_schema_is_refused_naming_the_columns(trained, world):
    model, _ = trained
    other = Schema.infer(world.customers.rename(columns={"region": "district"}), world.funds)
    with pytest.raises(SchemaError) as caught:
        model.check_schema(other)
    assert "region" in str(caught.value)
    assert "district" in str(caught.value)
    model.check_schema(Schema.from_json(world.schema.to_json()))
    module = world.module(schema=other)
    with pytest.raises(SchemaError, match="district"):
        quiet_trainer(max_epochs=1).fit(world.model(), datamodule=module)


def test_training_without_a_data_module_is_refused(world):
    with pytest.raises(InputError, match="ExposureModule"):
        quiet_trainer(max_epochs=1).fit(world.model(), world.module().train_dataloader())


def test_an_untrained_model_does_not_predict(world):
    with pytest.raises(InputError, match="has not been trained"):
        ptofa.expected_revenue(world.model(), world.customers, world.funds)


def test_logged_losses_are_means_over_rows(world):
    model, module = world.model(dropout=0.0, lr=1e-12, debias=None), world.module(batch_size=1000)
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, datamodule=module)
    for split, name in (("train", "train_loss"), ("validation", "val_loss")):
        batch = next(iter(module.batches(split, 10**6)))
        with torch.no_grad():
            loss = model.row_loss(model.labelled(batch)).mean()
        assert float(trainer.callback_metrics[name]) == pytest.approx(float(loss), rel=1e-4)


def test_a_degenerate_model_is_named_at_the_end_of_training(world):
    class Overconfident(ptofa.RevenueModel):
        def row_loss(self, batch, output=None):
            network = self.net.network
            customer = network.customer_part(batch["customer_categorical"], batch["customer_numeric"])
            fund = network.fund_part(batch["fund_categorical"], batch["fund_numeric"])
            return -self.net.outputs(network(customer, fund)).logit  # everybody converts

    model = Overconfident(world.schema, hidden=(16,), embedding=4, lr=0.1)
    with pytest.warns(PtofaWarning, match=r"times the conversions that happened"):
        quiet_trainer(max_epochs=2).fit(model, datamodule=world.module())


def test_weights_that_are_not_finite_are_refused(trained, world):
    model = world.model()
    model.net.start(trained[0].statistics)
    with torch.no_grad():
        model.net.conversion_head[0].weight[0, 0] = torch.nan
    with pytest.raises(DegenerateModelError, match="conversion_head"):
        ptofa.expected_revenue(model, world.customers, world.funds)


def test_conversions_without_an_amount_teach_conversion_only(world):
    model = world.model(dropout=0.0)
    model.net.start(world.module().label_statistics)
    batch = next(iter(world.module().batches("train", 64)))
    batch["converted"] = torch.ones(64, dtype=torch.bool)
    batch["amount"] = torch.zeros(64)
    model.net.row_loss(model(batch), model.net.labels(batch["converted"], batch["amount"])).sum().backward()
    assert not model.net.amount_head[2].weight.grad.any()
    assert model.net.conversion_head[2].weight.grad.any()


def test_its_face_escapes_names(world, trained):
    model, _ = trained
    face = model._repr_html_()
    assert "counterfactual density" in face
    assert "conversions" in face
    renamed = world.customers.rename(columns={"region": "<script>alert(1)</script>"})
    face = ptofa.RevenueModel(Schema.infer(renamed, world.funds))._repr_html_()
    assert "<script>" not in face
    assert "not yet" in face
