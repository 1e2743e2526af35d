from dataclasses import replace

import numpy as np
import pytest
import torch

from ptofa_gpu.errors import DegenerateModelError, DeviceError, InputError, SchemaError
from ptofa_gpu.prediction.data import mix_seed
from ptofa_gpu.prediction.schema import Schema


class FakeTrainer:
    world_size = 1
    global_rank = 0

    def __init__(self, epoch=0, device="cpu"):
        self.current_epoch = epoch
        self.strategy = type("Strategy", (), {"root_device": torch.device(device)})


def amounts(module, split, epoch=0, shuffle=True):
    module.trainer = FakeTrainer(epoch)
    try:
        return torch.cat([b["amount"] for b in module.batches(split, 256, shuffle)]).numpy()
    finally:
        module.trainer = None


def test_batches_hold_what_the_frames_hold(world):
    module = world.module()
    batch = next(iter(module.batches("validation", 100)))
    rows = np.flatnonzero(world.log.split == 1)[:100]
    wealth = world.customers["wealth"].to_numpy()[world.log.customer[rows]]
    column = [f.name for f in world.schema.customer_features if f.kind == "numeric"].index("wealth")
    feature = next(f for f in world.schema.customer_features if f.name == "wealth")
    np.testing.assert_allclose(
        batch["customer_numeric"][:, column], (wealth - feature.mean) / feature.std, rtol=1e-5, atol=1e-6
    )
    fund = np.array(world.schema.fund_features[0].categories)[batch["fund_categorical"][:, 0].numpy() - 1]
    assert (fund == world.funds["fund"].to_numpy()[world.log.fund[rows]]).all()
    assert (batch["converted"].numpy() == world.log.converted[rows]).all()


def test_every_row_once_an_epoch_in_another_order_each_time(world):
    module, expected = world.module(), np.sort(world.log.amount[world.log.split == 0])
    first, again, later = amounts(module, "train", 0), amounts(module, "train", 0), amounts(module, "train", 1)
    assert (np.sort(first) == expected).all()
    assert (first == again).all()
    assert (first != later).any()
    assert (np.sort(later) == expected).all()
    assert (amounts(world.module(seed=1), "train") != first).any()


def test_length_counts_the_last_smaller_batch(world):
    module = world.module(batch_size=1000)
    n = module.n_rows("train")
    batches = list(module.batches("train", 1000))
    assert len(module.batches("train", 1000)) == len(batches) == -(-n // 1000)
    assert len(batches[-1]["amount"]) == n % 1000


def test_training_gets_blocks_of_whole_batches(world):
    module = world.module(batch_size=20_000)
    assert module.steps_a_block() == 1
    module = world.module(batch_size=300)
    blocks = list(module.train_dataloader())
    assert module.steps_a_block() == 54
    assert sum(len(b["amount"]) for b in blocks) == module.n_rows("train")
    assert all(len(b["amount"]) == 54 * 300 for b in blocks[:-1])


@pytest.mark.parametrize("n_processes", [2, 3])
def test_processes_share_every_batch(world, n_processes):
    module = world.module(batch_size=60)
    module.trainer = FakeTrainer()
    try:
        whole = torch.cat([b["amount"] for b in module.train_dataloader()])
        parts = []
        for rank in range(n_processes):
            module.trainer.world_size, module.trainer.global_rank = n_processes, rank
            parts.append(list(module.train_dataloader()))
            module.trainer = FakeTrainer()
    finally:
        module.trainer = None
    assert all(int(b["rows"]) == sum(len(p[i]["amount"]) for p in parts) for i, b in enumerate(parts[0]))
    # batch by batch the processes hold what one process alone would see
    size = 60 // n_processes
    together = torch.cat([b["amount"][:size] for b in (p[0] for p in parts)])
    assert torch.equal(together.sort().values, whole[:60].sort().values)


def test_rows_are_moved_once(world):
    module = world.module()
    assert module.rows() is module.rows()


def test_seeds_of_different_streams_differ():
    assert len({mix_seed(a, b) for a in range(20) for b in range(20)}) == 400


@pytest.mark.parametrize("batch_size", [0, -5, 2.5, "512"])
def test_bad_batch_size(world, batch_size):
    with pytest.raises(InputError, match="batch_size"):
        world.module(batch_size=batch_size)


def test_features_that_are_not_finite_are_named(world):
    from ptofa_gpu.prediction.data import ExposureModule

    customers, funds = world.schema.encode_customers(world.customers), world.schema.encode_funds(world.funds)
    customers.numeric[[3, 4], 1] = np.nan
    with pytest.raises(SchemaError, match="numeric feature 1: 2 of 3,000 rows"):
        ExposureModule(world.log, customers, funds)


def test_a_missing_feature_value_counts_as_average(world):
    customers = world.customers.copy()
    customers.loc[:9, "wealth"] = np.nan
    encoded = world.schema.encode_customers(customers)
    assert encoded.unseen["wealth"] == 10
    assert np.isfinite(encoded.numeric).all()


def test_another_schemas_rows_are_refused(world):
    other = Schema.infer(world.customers.drop(columns="region"), world.funds)
    with pytest.raises(SchemaError, match="customers: the model's schema has 0 categorical"):
        world.module().check_fits(other)
    fewer = Schema.infer(world.customers, world.funds.iloc[:2])
    with pytest.raises(SchemaError, match="funds: category indices outside"):
        world.module().check_fits(fewer)


def test_nothing_to_learn_from_is_said(world):
    module = world.module()
    module.log = replace(
        world.log, converted=np.zeros_like(world.log.converted), amount=np.zeros_like(world.log.amount)
    )
    with pytest.raises(DegenerateModelError, match="None of the"):
        _ = module.label_statistics
    module.log = replace(world.log, amount=np.zeros_like(world.log.amount))
    with pytest.raises(DegenerateModelError, match="have the amount 0"):
        _ = module.label_statistics
    module.log = replace(world.log, split=np.full_like(world.log.split, 2))
    with pytest.raises(DegenerateModelError, match="no training row"):
        _ = module.label_statistics


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused(world):
    with pytest.raises(DeviceError, match="cuda"):
        world.module(device="cuda").rows()


def test_rows_on_another_device_than_the_trainer_are_refused(world):
    module = world.module(device="cpu")
    module.trainer = FakeTrainer(device="meta")
    with pytest.raises(DeviceError, match="every step would"):
        module.rows()
