"""A small world whose conversions and amounts depend on the features, for models that train in a second."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from ptofa_gpu.datasets.log import LogArrays
from ptofa_gpu.prediction.data import ExposureModule
from ptofa_gpu.prediction.model import RevenueModel
from ptofa_gpu.prediction.schema import Schema

N_CUSTOMERS, N_FUNDS, UNIT = 3_000, 4, 5_000.0


class World:
    """Frames, log and schema; amounts are log-normal around `UNIT`."""

    def __init__(self, seed: int = 0, rows: int = 6_000, rate: float = 0.15):
        rng = np.random.default_rng(seed)
        wealth = rng.normal(size=N_CUSTOMERS)
        self.customers = pd.DataFrame(
            {
                "customer": np.arange(N_CUSTOMERS),
                "tolerance": rng.integers(1, 6, N_CUSTOMERS),
                "region": rng.choice(["north", "south", "west"], N_CUSTOMERS),
                "wealth": wealth,
                "activity": rng.exponential(size=N_CUSTOMERS),
            }
        )
        self.funds = pd.DataFrame(
            {
                "fund": [f"F{i}" for i in range(N_FUNDS)],
                "risk": [1, 2, 3, 4],
                "quota": [750] * N_FUNDS,
                "fee": [0.1, 0.4, 0.9, 1.2],
            }
        )
        self.schema = Schema.infer(self.customers, self.funds, currency="CNY", name="small world")
        customer, fund = rng.integers(0, N_CUSTOMERS, rows), rng.integers(0, N_FUNDS, rows)
        logit = np.log(rate / (1 - rate)) + 1.5 * wealth[customer] + 0.5 * (fund == 1) - 0.5 * (fund == 3)
        converted = rng.random(rows) < 1 / (1 + np.exp(-logit))
        amount = np.where(converted, UNIT * np.exp(0.5 * wealth[customer] + 0.8 * rng.normal(size=rows)), 0.0)
        self.log = LogArrays(
            customer=customer.astype(np.int64),
            fund=fund.astype(np.int64),
            converted=converted,
            amount=amount.astype(np.float32),
            split=rng.choice([0, 1, 2], rows, p=[0.7, 0.2, 0.1]).astype(np.int8),
        )

    def module(self, **kwargs) -> ExposureModule:
        encoded = self.schema.encode_customers(self.customers), self.schema.encode_funds(self.funds)
        return ExposureModule(self.log, *encoded, **{"device": "cpu", "batch_size": 256, **kwargs})

    def model(self, **kwargs) -> RevenueModel:
        return RevenueModel(self.schema, **{"hidden": (32, 16), "embedding": 4, "lr": 0.01, **kwargs})


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def trained(world, tmp_path_factory):
    """A model trained for a few epochs, with its result; tests must not change it."""
    from ptofa_gpu.prediction.training import fit

    model = world.model()
    result = fit(model, world.module(), max_epochs=4, directory=tmp_path_factory.mktemp("trained"), progress=None)
    return model, result
