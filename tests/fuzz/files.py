"""Files of the same kind that are damaged: cut, flipped, of other content, and each kind's own ways to be wrong."""

from __future__ import annotations

import io
import json
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.fuzz import damage


def file(path: Path, rng: random.Random, folder: Path) -> damage.Wrong:
    """A damaged copy of a file, or a path to something else."""
    if path.is_dir() or rng.random() < 0.12:
        return damage.anything(path, rng)
    own = {
        ".npy": _npy,
        ".parquet": _table,
        ".csv": _table,
        ".ckpt": _model,
        ".json": _json,
        ".ipynb": _json,
        ".yaml": _yaml,
    }
    target = folder / f"damaged{rng.randrange(10**9)}{path.suffix}"
    way = rng.choice(("own", "own", "bytes"))
    make = own.get(path.suffix) if way == "own" else None
    what = _bytes(path, target, rng) if make is None else make(path, target, rng)
    return (f"{path.name}, {what}", target)


def _bytes(path: Path, target: Path, rng: random.Random) -> str:
    whole = path.read_bytes()
    at = rng.randrange(max(1, len(whole)))
    flipped = bytearray(whole)
    for _ in range(rng.choice((1, 20))):
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    ways = {
        "cut short": whole[:at],
        "empty": b"",
        "flipped bits": bytes(flipped),
        "twice": whole + whole,
        "zeros": bytes(500),
        "text": b"hello, world\n" * 3,
        "nul bytes": whole[:at] + b"\0" * 9 + whole[at:],
        "latin-1": whole[:at] + b"\xe9\xff" + whole[at:],
        "a pickle": pickle.dumps({"a": 1}),
        "nested brackets": b"[" * 100_000,
        "only its head": whole[:12],
        "a zip": _zip(),
    }
    what = rng.choice(sorted(ways))
    target.write_bytes(ways[what])
    return what


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("a.txt", "hello")
    return out.getvalue()


def _npy(path: Path, target: Path, rng: random.Random) -> str:
    a = np.load(path)
    if rng.random() < 0.4:
        what, wrong = damage.array(a, rng)
        try:
            with target.open("wb") as f:
                np.save(f, np.asarray(wrong), allow_pickle=True)
            return what
        except Exception:  # ragged lists have no array
            pass
    n, m = a.shape
    headers = [
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({-n}, {m}), }}",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({-n}, {-m}), }}",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**15}, {m}), }}",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**30}, {m}), }}",
        f"{{'descr': '|O', 'fortran_order': False, 'shape': ({n}, {m}), }}",
        f"{{'descr': '<f4', 'fortran_order': True, 'shape': ({n}, {m}), }}",
        f"{{'descr': 'no', 'fortran_order': False, 'shape': ({n}, {m}), }}",
        f"{{'descr': '<f4', 'fortran_order': 3, 'shape': ({n}, {m}), }}",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n * m},), }}",
        f"{{'descr': '<f4', 'shape': ({n}, {m}), }}",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': (0, {m}), }}",
        f"{{'descr': '<M8[s]', 'fortran_order': False, 'shape': ({n // 2}, {m}), }}",
        "not a dict",
        "(" * 200,
    ]
    header = rng.choice(headers)
    text = header.ljust(118).encode() + b"\n"
    target.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + a.tobytes())
    return header


def _table(path: Path, target: Path, rng: random.Random) -> str:
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    what, wrong = damage.frame(table, rng)
    try:
        wrong = pd.DataFrame(wrong)
        if path.suffix == ".parquet":
            wrong.to_parquet(target)
        else:
            wrong.to_csv(target, index=rng.random() < 0.2)
        return what
    except Exception:  # no such file can be written
        return _bytes(path, target, rng)


def _json(path: Path, target: Path, rng: random.Random) -> str:
    what, wrong = damage.tree(json.loads(path.read_text()), rng)
    try:
        target.write_text(json.dumps(wrong, default=str), encoding="utf-8", errors="surrogatepass")
        return what
    except Exception:
        return _bytes(path, target, rng)


def _model(path: Path, target: Path, rng: random.Random) -> str:
    """A checkpoint with one node of what it holds replaced; tensors also by tensors of other shapes and types."""
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content.get("state_dict"), dict) and rng.random() < 0.4:
        name = rng.choice(sorted(content["state_dict"]))
        was = content["state_dict"][name]
        ways: dict[str, Callable[[], Any]] = {
            "nan": lambda: was.float() * float("nan"),
            "of another shape": lambda: torch.zeros(3, 5),
            "a number": lambda: 7,
            "complex": lambda: was.to(torch.complex64),
            "of int8": lambda: was.to(torch.int8),
            "empty": lambda: torch.zeros(0),
            "flat": lambda: was.flatten(),
            "sparse": lambda: was.to_sparse() if was.dim() else was,
            "huge": lambda: was.float() * 1e38 * 1e3,
            "a huge view": lambda: torch.zeros(1).expand(10**9, 10**3),
            "text": lambda: "text",
            "of bool": lambda: was.bool(),
        }
        how = rng.choice(sorted(ways))
        content["state_dict"][name] = ways[how]()
        what = f"weights {name} are {how}"
    elif rng.random() < 0.5 and "schema" in content.get("hyper_parameters", {}):
        hyper = content["hyper_parameters"]
        settings = dict(hyper)
        settings["schema"] = json.loads(hyper["schema"])
        what, wrong = damage.tree(settings, rng)
        if isinstance(wrong, dict) and isinstance(wrong.get("schema"), dict):
            wrong["schema"] = json.dumps(wrong["schema"], default=str)
        content["hyper_parameters"] = wrong
    elif rng.random() < 0.3:
        what, value = rng.choice(
            [
                ("another program's network", torch.nn.Linear(2, 2).state_dict()),
                ("a tensor", torch.zeros(2)),
                ("a list", [1, 2]),
                ("another network's whole object", torch.nn.Linear(2, 2)),
                (
                    "a width of 1e7",
                    {**content, "hyper_parameters": {**content["hyper_parameters"], "hidden": [10**7, 10**7]}},
                ),
                ("another format", {**content, "format": "ptofa-model-99"}),
                (
                    "an embedding of 1e9",
                    {**content, "hyper_parameters": {**content["hyper_parameters"], "embedding": 10**9}},
                ),
            ]
        )
        content = value
    else:
        what, content = damage.tree(content, rng)
    try:
        torch.save(content, target)
        return what
    except Exception:  # no such thing can be kept
        return _bytes(path, target, rng)


def _yaml(path: Path, target: Path, rng: random.Random) -> str:
    texts = (
        "device: 2024-13-45",
        "device: !!python/object:os.system x",
        "device: &a [*a]",
        "device: {a: b}",
        "? [1, 2]\n: 3",
        "- 1\n- 2",
        "5",
        "device:",
        "devise: cpu",
        "model: other.ckpt",
        "json: maybe",
        "device: [cpu]",
        "device: cpu\ndevice: no",
        "output: 3",
        "config: other.yaml",
        "1: 2",
        "device: 1e400",
        "device: .nan",
        "device: !!binary x",
        "\tdevice: cpu",
    )
    text = rng.choice(texts)
    target.write_text(text)
    return text
