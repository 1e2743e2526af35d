"""The public calls with valid arguments; what is damaged is one argument at a time (`damage`, `files`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.fuzz.kinds import Call, Text
from tests.fuzz.models import models
from tests.fuzz.numbers import numbers
from tests.fuzz.reports import reports
from tests.fuzz.world import World


def calls(w: World) -> list[Call]:
    """All of them."""
    found = [*_allocation(w), *_data(w), *models(w), *numbers(w), *_worlds(w), *reports(w), *_devices(w)]
    assert len({c.name for c in found}) == len(found)
    return found


def _allocation(w: World) -> Iterator[Call]:
    p, area = w.ptofa, "allocation"
    limits = {"tolerance": w.customers["tolerance"].to_numpy(), "risk": w.funds["risk"].to_numpy()}
    quota, ids = w.funds["quota"].to_numpy(), w.customers["customer"].to_numpy()
    eligible, pairs = w.revenue > 0, [[0, 1]]
    yield Call(
        "AllocationProblem",
        area,
        p.AllocationProblem,
        lambda: {
            "revenue": w.revenue,
            "quota": quota,
            "k": 1,
            **limits,
            "eligible": eligible,
            "names": list("abcd"),
            "customer_ids": ids,
            "fund_ids": list("abcd"),
            "excluded": pairs,
        },
    )
    yield Call(
        "AllocationProblem(path)", area, p.AllocationProblem, lambda: {"revenue": w.path("revenue.npy"), "quota": quota}
    )
    yield Call(
        "AllocationProblem.from_frames",
        area,
        p.AllocationProblem.from_frames,
        lambda: {
            "revenue": w.revenue,
            "customers": w.customers,
            "funds": w.funds,
            "k": 1,
            "eligible": eligible,
            "excluded": w.log[["customer", "fund"]].head(3),
            "missing": "error",
        },
    )
    long = w.log[["customer", "fund"]].assign(revenue=1.0).drop_duplicates(["customer", "fund"])
    yield Call(
        "AllocationProblem.from_frames(long)",
        area,
        p.AllocationProblem.from_frames,
        lambda: {"revenue": long, "customers": w.customers, "funds": w.funds, "missing": "exclude"},
    )
    options = {
        "optimal": {"time_limit": 9.0, "on_infeasible": "relax", "warm_start": w.plan.price},
        "heuristic": {"time_limit": 9.0, "tail": "drop", "repair": True},
        "manual": {"priority": [3, 2, 1, 0]},
        "topk": {},
        "reference": {"solver": "HIGHS", "integer": False, "time_limit": 9.0, "on_infeasible": "relax"},
    }
    for method, own in options.items():
        yield Call(
            f"allocate({method})",
            area,
            p.allocate,
            lambda method=method, own=own: {
                "problem": w.problem,
                "method": method,
                "device": "cpu",
                "seed": 0,
                "progress": None,
                "block_rows": 100,
                "max_memory": "2GiB",
                **own,
            },
        )
    yield Call(
        "plan.assign",
        area,
        w.plan.assign,
        lambda: {
            "revenue": w.revenue[:9],
            "tolerance": limits["tolerance"][:9],
            "eligible": eligible[:9],
            "k": 1,
            "excluded": pairs,
        },
    )
    yield Call("plan.to_frame", area, w.plan.to_frame, lambda: {"backend": "pandas"})
    yield Call("plan.to_parquet", area, w.plan.to_parquet, lambda: {"path": w.folder / "out.parquet"})


def _data(w: World) -> Iterator[Call]:
    p, schema, frames = w.ptofa, w.data.schema, {"log": w.log, "customers": w.customers, "funds": w.funds}
    sides = {"customers": w.customers, "funds": w.funds}
    yield Call(
        "ExposureData.from_frames",
        "datasets",
        p.ExposureData.from_frames,
        lambda: {
            **frames,
            "customer_features": {"balance": "numeric", "region": "categorical"},
            "fund_features": ["fee"],
            "currency": "EUR",
            "name": "mine",
            "tolerance_range": (1, 5),
            "seed": 0,
            "note": "none",
        },
    )
    yield Call(
        "ExposureData.from_frames(schema)", "datasets", p.ExposureData.from_frames, lambda: {**frames, "schema": schema}
    )
    yield Call(
        "ExposureData",
        "datasets",
        _checked(p.ExposureData),
        lambda: {
            **frames,
            "schema": schema,
            "name": "mine",
            "truth": w.data.truth,
            "tolerance_range": (1, 5),
            "seed": 0,
            "note": "",
        },
    )
    yield Call(
        "check_log",
        "datasets",
        p.datasets.check_log,
        lambda: {**frames, "schema": schema, "tolerance_range": (1, 5), "seed": 0},
    )
    yield Call("data.module", "prediction", w.data.module, lambda: {"batch_size": 64, "device": "cpu", "seed": 0})
    yield Call("data.problem", "allocation", w.data.problem, lambda: {"revenue": w.revenue, "k": 1})
    yield Call(
        "Schema.infer",
        "prediction",
        p.Schema.infer,
        lambda: {
            **sides,
            "customer_features": ["balance", "region"],
            "fund_features": {"fee": "numeric"},
            "currency": "EUR",
            "name": "mine",
            "max_categories": 1000,
        },
    )
    yield Call(
        "Schema",
        "prediction",
        p.Schema,
        lambda: {
            "customer_features": schema.customer_features,
            "fund_features": schema.fund_features,
            "currency": "EUR",
            "name": "mine",
        },
    )
    yield Call("Schema.from_json", "prediction", p.Schema.from_json, lambda: {"text": Text(schema.to_json())})
    yield Call("schema.encode_customers", "prediction", schema.encode_customers, lambda: {"frame": w.customers})
    yield Call("schema.encode_funds", "prediction", schema.encode_funds, lambda: {"frame": w.funds})
    yield Call("schema.differences", "prediction", schema.differences, lambda: {"other": schema})


def _checked(make: Callable[..., Any]) -> Callable[..., Any]:
    """The constructor checks its frames on first use."""
    return lambda **given: make(**given).summary()


def _worlds(w: World) -> Iterator[Call]:
    d, area = w.ptofa.datasets, "datasets"
    settings = {
        "kind": "A",
        "customers": 50,
        "seed": 0,
        "exposures": 1,
        "positive_rate": 0.1,
        "exposure_bias": 1.0,
        "overlap": 0.1,
        "drift": 0.1,
        "returning": 0.7,
    }
    yield Call("lct", area, d.lct, lambda: {**settings, "backend": "pandas"})
    yield Call("lct_stream", area, lambda **given: d.lct_stream(**given).quota, lambda: settings)
    stream = d.lct_stream("A", 50)
    yield Call("stream.blocks", area, lambda **given: list(stream.blocks(**given)), lambda: {"block_customers": 20})
    yield Call(
        "stream.write_parquet",
        area,
        stream.write_parquet,
        lambda: {"folder": w.folder / "world", "truth": True, "block_customers": 20, "progress": None},
    )
    yield Call("truth.rows", area, w.data.truth.rows, lambda: {"lo": 0, "hi": 9})
    yield Call(
        "hillstrom",
        area,
        lambda **given: d.hillstrom(**given).summary(),
        lambda: {"path": w.path("hillstrom.csv"), "seed": 0, "verify": False},
    )
    yield Call(
        "cdnow",
        area,
        lambda **given: d.cdnow(**given).summary(),
        lambda: {"path": w.path("cdnow_master.txt"), "seed": 0, "horizons": [91, 182], "verify": False},
    )


def _devices(w: World) -> Iterator[Call]:
    from ptofa_gpu import device as d

    yield Call("resolve_device", "device", d.resolve_device, lambda: {"device": "auto", "array": w.revenue})
    yield Call("as_array", "device", d.as_array, lambda: {"x": w.revenue})
    yield Call("as_tensor", "device", d.as_tensor, lambda: {"x": w.revenue})
    yield Call("to_device", "device", d.to_device, lambda: {"x": w.revenue, "device": "cpu"})
    yield Call("torch_device", "device", d.torch_device, lambda: {"device": "cpu"})
