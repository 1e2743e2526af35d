"""Model files that are damaged in every way we know: each is refused with the file's name, and none takes memory."""

from __future__ import annotations

import json
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InputError

Content = dict[str, Any]


@pytest.fixture
def content(trained, tmp_path: Path) -> Content:
    return torch.load(trained[0].save(tmp_path / "whole.ckpt"), weights_only=True)


def weights(name: str, value: Any) -> Callable[[Content], None]:
    return lambda c: c["state_dict"].__setitem__(name, value(c["state_dict"][name]) if callable(value) else value)


def setting(name: str, value: Any) -> Callable[[Content], None]:
    return lambda c: c["hyper_parameters"].__setitem__(name, value)


def schema_part(change: Callable[[Any], None]) -> Callable[[Content], None]:
    def apply(c: Content) -> None:
        raw = json.loads(c["hyper_parameters"]["schema"])
        change(raw)
        c["hyper_parameters"]["schema"] = json.dumps(raw)

    return apply


BIAS = "net.network.customer_layer.bias"
DAMAGES: dict[str, tuple[Callable[[Content], Any], str]] = {
    "another format": (lambda c: c.update(format="ptofa-model-9"), "has the format 'ptofa-model-9'"),
    "a format that is no text": (lambda c: c.update(format=[1]), "has the format"),
    "no format": (lambda c: c.pop("format"), "has the format None"),
    "no settings": (lambda c: c.pop("hyper_parameters"), "is not a model"),
    "no weights": (lambda c: c.pop("state_dict"), "is not a model"),
    "weights that are a list": (lambda c: c.update(state_dict=[1]), "state_dict"),
    "a setting less": (lambda c: c["hyper_parameters"].pop("lr"), "hyper_parameters.lr"),
    "a setting more": (setting("depth", 3), "hyper_parameters.depth"),
    "text for a number": (setting("lr", "0.01"), "hyper_parameters.lr"),
    "a rate that is nan": (setting("lr", float("nan")), "hyper_parameters.lr"),
    "an unknown method": (setting("method", "magic"), "Unknown method 'magic'"),
    "another method": (setting("method", "mmoe"), "are missing"),
    "a width of 1e7": (setting("hidden", [10**7, 10**7]), r"hidden\[0\] is 10000000"),
    "wider layers": (setting("hidden", [16_384, 16_384]), "have shape"),
    "an embedding of 1e9": (setting("embedding", 10**9), "embedding is 1000000000"),
    "no schema": (setting("schema", "{}"), "schema"),
    "a schema of another version": (schema_part(lambda s: s.update(format="ptofa-schema-7")), "ptofa-schema-1"),
    "a vocabulary of more": (schema_part(lambda s: s["fund_features"][0]["categories"].append("z")), "have shape"),
    "a kind of feature that is none": (schema_part(lambda s: s["fund_features"][0].update(kind="word")), "kind 'word'"),
    "a weight less": (lambda c: c["state_dict"].pop(BIAS), f"'{BIAS}' are missing"),
    "a weight more": (lambda c: c["state_dict"].update(extra=torch.zeros(2)), "'extra' that no such model has"),
    "nan weights": (weights(BIAS, lambda w: w * torch.nan), "are not finite"),
    "complex weights": (weights(BIAS, lambda w: w.to(torch.complex64)), "are of torch.complex64"),
    "weights of int8": (weights(BIAS, lambda w: w.to(torch.int8)), "are of torch.int8"),
    "sparse weights": (weights(BIAS, lambda w: w.to_sparse()), "no dense tensor"),
    "weights that are text": (weights(BIAS, "text"), "no dense tensor"),
    "another shape": (weights(BIAS, torch.zeros(3, 5)), r"have shape \(3, 5\)"),
    "a view of terabytes": (weights(BIAS, torch.zeros(1).expand(10**9, 10**3)), "have shape"),
    "a negative scale": (weights("net.scale", lambda w: -w), "label statistics: scale"),
    "more conversions than rows": (weights("net.positives", lambda w: w * 1e9), "label statistics: rows"),
    "exposure without words": (lambda c: c.update(exposure={"text": 3}), "exposure.text"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_model_is_refused_and_named(content: Content, tmp_path: Path, name: str) -> None:
    damage, words = DAMAGES[name]
    damage(content)
    path = tmp_path / "damaged.ckpt"
    torch.save(content, path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=words) as caught:
        ptofa.RevenueModel.load(path)
    assert "damaged.ckpt" in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.parametrize(
    "make",
    [
        lambda whole: b"",
        lambda whole: b"hello\n",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[100:],
        lambda whole: b"PK\x03\x04" + bytes(1000),
        lambda whole: pickle.dumps({"a": 1}),
        lambda whole: pickle.dumps(os.getcwd),
        lambda whole: b"\x80\x02" + b"(" * 5000,
    ],
)
def test_bytes_that_are_no_model_are_refused_and_named(trained, tmp_path: Path, make: Any) -> None:
    path = tmp_path / "damaged.ckpt"
    path.write_bytes(make(trained[0].save(tmp_path / "whole.ckpt").read_bytes()))
    with pytest.raises(InputError, match=r"damaged\.ckpt"):
        ptofa.RevenueModel.load(path)


def test_what_another_program_kept_is_refused(tmp_path: Path) -> None:
    for number, content in enumerate((torch.nn.Linear(2, 2).state_dict(), torch.zeros(2), torch.nn.Linear(2, 2), [1])):
        torch.save(content, tmp_path / f"{number}.pt")
        with pytest.raises(InputError, match=f"{number}.pt"):
            ptofa.RevenueModel.load(tmp_path / f"{number}.pt")


def test_a_model_in_double_precision_is_read(content: Content, tmp_path: Path) -> None:
    content["state_dict"] = {k: v.double() if v.is_floating_point() else v for k, v in content["state_dict"].items()}
    torch.save(content, tmp_path / "double.ckpt")
    assert ptofa.RevenueModel.load(tmp_path / "double.ckpt").statistics is not None


def test_an_untrained_model_is_read(world, tmp_path: Path) -> None:
    assert ptofa.RevenueModel.load(world.model().save(tmp_path / "new.ckpt")).statistics is None


def test_a_damaged_checkpoint_is_not_gone_on_from(trained, world, tmp_path: Path) -> None:
    result = trained[1]
    for name, damage in {
        "state_dict": lambda c: c["state_dict"].pop("net.scale"),
        "optimizer_states": lambda c: c.update(optimizer_states="none"),
        "epoch": lambda c: c.update(epoch=-3),
        "History": lambda c: c["callbacks"].update(History={"rows": [{"epoch": "one"}]}),
    }.items():
        content = torch.load(result.last_path, weights_only=True)
        damage(content)
        path = tmp_path / f"{name}.ckpt"
        torch.save(content, path)
        with pytest.raises(InputError, match=f"{name}.ckpt"):
            ptofa.fit(world.model(), world.module(), resume=path, directory=tmp_path / "run", progress=None)
    other = world.model(hidden=(8,))
    with pytest.raises(InputError, match="of another model"):
        ptofa.fit(other, world.module(), resume=result.last_path, directory=tmp_path / "run", progress=None)
