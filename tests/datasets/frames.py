"""Small frames in every library, for the tests of this folder and of the schema."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest


def _pandas(columns: dict[str, list[Any]]) -> Any:
    return importlib.import_module("pandas").DataFrame(columns)


def _polars(columns: dict[str, list[Any]]) -> Any:
    return importlib.import_module("polars").DataFrame(columns, strict=False)


def _polars_lazy(columns: dict[str, list[Any]]) -> Any:
    return _polars(columns).lazy()


def _pyarrow(columns: dict[str, list[Any]]) -> Any:
    return importlib.import_module("pyarrow").table(columns)


def _cudf(columns: dict[str, list[Any]]) -> Any:
    return importlib.import_module("cudf").DataFrame(columns)


Maker = Callable[[dict[str, list[Any]]], Any]
MAKERS = [
    pytest.param(_pandas, id="pandas"),
    pytest.param(_polars, id="polars"),
    pytest.param(_polars_lazy, id="polars-lazy"),
    pytest.param(_pyarrow, id="pyarrow"),
    pytest.param(_cudf, id="cudf", marks=pytest.mark.gpu),
]


def customers() -> dict[str, list[Any]]:
    return {
        "customer": [11, 12, 13, 14, 15, 16],
        "tolerance": [1, 2, 3, 4, 5, 5],
        "region": ["east", "west", "east", None, "north", "west"],
        "vip": [True, False, False, True, False, False],
        "balance": [10.0, 20.0, 5.0, 0.0, 12.5, 8.0],
    }


def funds() -> dict[str, list[Any]]:
    return {
        "fund": ["a", "b", "c"],
        "name": ["Fund A", "Fund <b>", "Fund C"],
        "risk": [1, 3, 5],
        "quota": [2, 2, 2],
        "fee": [0.1, 0.2, 0.3],
    }


def log() -> dict[str, list[Any]]:
    return {
        "customer": [11, 12, 13, 14, 15, 16, 13, 16],
        "fund": ["a", "a", "b", "b", "c", "a", "a", "c"],
        "converted": [0, 1, 0, 1, 0, 0, 0, 1],
        "amount": [0.0, 120.5, 0.0, 0.0, 0.0, 0.0, 0.0, 33.0],
        "split": ["train", "train", "train", "validation", "train", "test", "train", "test"],
    }
