"""The calls that make, train, keep and use a `RevenueModel`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.fuzz.kinds import Call, Text
from tests.fuzz.world import World


def models(w: World) -> Iterator[Call]:
    from ptofa_gpu.prediction.calibration import calibrate
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.metrics import BinnedCalibration, TopLift
    from ptofa_gpu.prediction.revenue import predict_components
    from ptofa_gpu.prediction.schema import Encoded, Feature

    p, model, area = w.ptofa, w.trained, "prediction"
    settings = {"dropout": 0.1, "lr": 0.01, "embedding": 2, "hidden": [8, 4], "debias": "ipw", "clip": 5.0, "seed": 0}
    yield Call(
        "RevenueModel(ptofa)",
        area,
        p.RevenueModel,
        lambda: {"schema": w.data.schema, "method": "ptofa", "counterfactual": "density", "eps": 1e-6, **settings},
    )
    yield Call(
        "RevenueModel(mmoe)",
        area,
        p.RevenueModel,
        lambda: {"schema": Text(w.data.schema.to_json()), "method": "mmoe", "label": "raw", **settings},
    )
    yield Call(
        "RevenueModel.load",
        area,
        _loaded(w),
        lambda: {"path": w.path("model.ckpt"), "schema": w.data.schema, "device": "cpu"},
    )
    for i in range(4):  # the ways in which a file of weights can be damaged are many
        yield Call(f"RevenueModel.load({i})", area, _loaded(w), lambda: {"path": w.path("model.ckpt")})
    yield Call("RevenueModel.load(checkpoint)", area, _loaded(w), lambda: {"path": w.path("last.ckpt")})
    yield Call(
        "Encoded",
        area,
        lambda **given: p.expected_revenue(model, Encoded(**given), w.funds),
        lambda: {"categorical": w.data.encoded_customers.categorical, "numeric": w.data.encoded_customers.numeric},
    )
    yield Call(
        "ExposureModule",
        area,
        lambda **given: ExposureModule(**given).label_statistics,
        lambda: {
            "log": w.data.arrays,
            "customers": w.data.encoded_customers,
            "funds": w.data.encoded_funds,
            "batch_size": 64,
            "device": "cpu",
            "seed": 0,
        },
    )
    yield Call(
        "Feature",
        area,
        lambda **given: p.Schema((Feature(**given),), w.data.schema.fund_features).encode_customers(w.customers),
        lambda: {"name": "balance", "kind": "numeric", "categories": ["a"], "mean": 0.0, "std": 1.0, "log1p": False},
    )
    yield Call("BinnedCalibration", area, BinnedCalibration, lambda: {"bins": 10})
    yield Call("TopLift", area, TopLift, lambda: {"share": 0.1})
    yield Call("model.save", area, model.save, lambda: {"path": w.folder / "again.ckpt"})
    yield Call(
        "model.predict_rows",
        area,
        model.predict_rows,
        lambda: {"module": w.data.module(device="cpu"), "split": "train", "calibrated": True},
    )
    yield Call("model.check_schema", area, model.check_schema, lambda: {"other": w.data.schema})
    pairs = {
        "model": model,
        "customers": w.customers,
        "funds": w.funds,
        "block_rows": 50,
        "device": "cpu",
        "progress": None,
    }
    yield Call("expected_revenue", area, p.expected_revenue, lambda: pairs)
    yield Call("predict_components", area, predict_components, lambda: pairs)
    sides = {"customers": w.data.encoded_customers, "funds": w.data.encoded_funds}
    yield Call("expected_revenue(encoded)", area, p.expected_revenue, lambda: {**pairs, **sides})
    yield Call(
        "fit",
        area,
        p.fit,
        lambda: {
            "model": w.untrained(),
            "module": w.data.module(device="cpu"),
            "max_epochs": 1,
            "patience": 1,
            "logger": "csv",
            "directory": w.folder / "run",
            "progress": False,
            "seed": 1,
            "calibration": True,
            "devices": 1,
        },
    )
    yield Call(
        "fit(resume)",
        area,
        p.fit,
        lambda: {
            "model": p.RevenueModel(w.data.schema, hidden=(8,), embedding=2, lr=0.01),
            "module": w.data.module(device="cpu"),
            "max_epochs": 2,
            "directory": w.folder / "run2",
            "progress": False,
            "resume": w.path("last.ckpt"),
            "logger": None,
        },
    )
    yield Call(
        "calibrate(model)",
        area,
        calibrate,
        lambda: {"model": copy.deepcopy(model), "module": w.data.module(device="cpu")},
    )


def _loaded(w: World) -> Callable[..., Any]:
    """A model that is read is one to predict with."""

    def load(**given: Any) -> Any:
        return w.ptofa.expected_revenue(w.ptofa.RevenueModel.load(**given), w.customers, w.funds, device="cpu")

    return load
