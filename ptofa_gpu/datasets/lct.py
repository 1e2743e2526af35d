"""`lct`: synthetic campaigns in the shape of the PTOFA paper's data sets LCT-A and LCT-B, with the truth known."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptofa_gpu._lazy import require
from ptofa_gpu.datasets._world import AGES, BLOCK, CHANNELS, HELD, REGIONS, SPECS, World
from ptofa_gpu.datasets.base import ExposureData
from ptofa_gpu.datasets.log import SPLITS
from ptofa_gpu.datasets.truth import Truth
from ptofa_gpu.errors import InputError
from ptofa_gpu.prediction.schema import Kind, Schema

if TYPE_CHECKING:
    import pyarrow as pa

Backend = Literal["pandas", "polars", "pyarrow", "cudf"]

#: Ids do not start at 0, so that an id taken for a row number shows.
FIRST_CUSTOMER = 10_000_001
_NOTE = "Synthetic: made by a program in the shape of {}; no real customer, fund or amount."
_VOCABULARY = {"age_band": AGES, "region": REGIONS, "channel": CHANNELS, "held_type": HELD}
_CUSTOMER_FEATURES: dict[str, Kind] = {
    "tolerance": "categorical",
    "age_band": "categorical",
    "region": "categorical",
    "channel": "categorical",
    "held_type": "categorical",
    "balance": "numeric",
    "holdings": "numeric",
    "logins_30d": "numeric",
    "fund_views_30d": "numeric",
    "risk_score": "numeric",
    "cash_share": "numeric",
    "theme_views_30d": "numeric",
    "tenure_months": "numeric",
}
_FUND_FEATURES: dict[str, Kind] = {
    "type": "categorical",
    "risk": "numeric",
    "fee": "numeric",
    "past_return": "numeric",
}


def lct(
    kind: Literal["A", "B"] = "A",
    customers: int = 200_000,
    seed: int = 0,
    *,
    exposures: int = 1,
    positive_rate: float = 0.01,
    exposure_bias: float = 1.0,
    overlap: float = 0.1,
    drift: float = 0.1,
    backend: Backend = "pandas",
) -> ExposureData:
    """A synthetic campaign with known truth, in the shape of LCT-A (8 funds) or LCT-B (4 fund types).

    The data of the paper (Tang et al., 2025, arXiv 2503.03165, Table 1) are private. These are made by a program: about
    1 % of exposures convert, amounts are log-normal with parameters that differ by customer and fund, popular funds are
    shown more, and funds are shown to customers likely to buy them. The first week (days 0..6) trains and validates
    (one customer in ten), the week after (days 7..13, about 70 % of customers, slightly changed funds) tests.

    Parameters
    ----------
    kind : {"A", "B"}
        "A": 8 funds, risk 1..5; "B": 4 fund types, risk 1..4, features that tell more, larger amounts.
    customers : int
        U. Customer i is the same whatever U is.
    seed : int
        Decides everything else; same seed, same data.
    exposures : int
        Exposures per customer in the first week.
    positive_rate : float
        Share of the first week's exposures that convert, on average.
    exposure_bias : float
        How strongly the platform picks likely buyers; 0 shows by popularity alone.
    overlap : float
        Share of exposures given out at random among the funds a customer may see, in [0, 1].
    drift : float
        Spread of each fund's change in log odds between the weeks (half of it in log amount).
    backend : {"pandas", "polars", "pyarrow", "cudf"}
        Which data frames to make.

    Returns
    -------
    ExposureData
        ``truth`` holds P, mu, sigma and E of all pairs in the later week, the one a plan is made for. Quotas sum to U,
        can be met (K = 1), and differ from what customers would choose. Amounts are in CNY.

    Raises
    ------
    InputError
        For an unknown kind or a setting out of range.
    """
    _check(kind, positive_rate, exposure_bias, overlap, drift, backend)
    n, seed, exposures = _whole("customers", customers, 1), _whole("seed", seed, 0), _whole("exposures", exposures, 1)
    world = World(kind, seed, float(exposure_bias), float(overlap), float(positive_rate), float(drift))
    people, log, quota = _simulate(world, n, exposures)
    customers_frame, funds_frame = _customers(people), _funds(kind, world, quota)
    schema = Schema.infer(
        customers_frame,
        funds_frame,
        customer_features=_CUSTOMER_FEATURES,
        fund_features=_FUND_FEATURES,
        currency="CNY",
        name=f"lct-{kind.lower()}",
    )
    return ExposureData(
        _frame(_log(kind, log, len(world.risk)), backend),
        _frame(customers_frame, backend),
        _frame(funds_frame, backend),
        schema,
        truth=Truth(n, len(world.risk), world.truth),
        tolerance_range=(1, 5),
        note=_NOTE.format(f"LCT-{kind}"),
    )


def _check(kind: str, positive_rate: float, exposure_bias: float, overlap: float, drift: float, backend: str) -> None:
    if kind not in tuple(SPECS):
        raise InputError(f"kind is {kind!r}; there are {', '.join(map(repr, SPECS))}.")
    if backend not in ("pandas", "polars", "pyarrow", "cudf"):
        raise InputError(f"backend is {backend!r}; there are 'pandas', 'polars', 'pyarrow' and 'cudf'.")
    for name, value, low, high in (
        ("positive_rate", positive_rate, 1e-6, 0.5),
        ("exposure_bias", exposure_bias, 0.0, 10.0),
        ("overlap", overlap, 0.0, 1.0),
        ("drift", drift, 0.0, 3.0),
    ):
        if not (isinstance(value, (int, float, np.number)) and low <= float(value) <= high):
            raise InputError(f"{name} is {value!r}; it must be a number within {low:g}..{high:g}.")


def _whole(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} is {value!r}; it must be a whole number.") from None
    if number < least:
        raise InputError(f"{name} is {number}; it must be at least {least}.")
    return number


def _simulate(world: World, n: int, exposures: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Columns of the customers, columns of the log (first week, then the later one), and the quotas."""
    people: list[dict[str, np.ndarray]] = []
    weeks: list[list[dict[str, np.ndarray]]] = [[] for _ in range(exposures + 1)]
    quota = np.zeros(len(world.risk), np.int64)
    for index in range((n + BLOCK - 1) // BLOCK):
        keep = min(n - index * BLOCK, BLOCK)
        c = world.block(index)
        people.append({k: v[:keep] for k, v in {"tolerance": c.tolerance, **c.features}.items()})
        quota += np.bincount(world.bought(c, index)[:keep], minlength=len(quota))
        customer = index * BLOCK + np.arange(keep)
        for time in range(exposures + 1):
            rows = {k: v[:keep] for k, v in world.shown(c, index, time).items()}
            came = rows.pop("came")
            split = np.full(keep, 2) if time == 0 else np.where(c.validation[:keep], 1, 0)
            rows |= {"customer": customer, "split": split}
            weeks[time].append({k: v[came] for k, v in rows.items()})
    in_order = [part for week in (*weeks[1:], weeks[0]) for part in week]
    return _stack(people), _stack(in_order), quota


def _stack(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


def _customers(people: dict[str, np.ndarray]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, Any] = {
        "customer": FIRST_CUSTOMER + np.arange(len(people["tolerance"]), dtype=np.int64),
        "tolerance": people["tolerance"].astype(np.int8),
    }
    for name, values in people.items():
        if name in _VOCABULARY:
            columns[name] = _words(values, _VOCABULARY[name])
        elif name != "tolerance":
            whole = name in ("holdings", "logins_30d", "fund_views_30d", "theme_views_30d", "tenure_months")
            columns[name] = values.astype(np.int32 if whole else np.float64)
    return pa.table(columns)


def _fund_ids(kind: str, n: int) -> list[str]:
    return [f"{kind}{f + 1:02d}" for f in range(n)]


def _funds(kind: str, world: World, quota: np.ndarray) -> pa.Table:
    import pyarrow as pa

    specs = world.spec.funds
    return pa.table(
        {
            "fund": _fund_ids(kind, len(specs)),
            "name": [s.name for s in specs],
            "type": [s.type for s in specs],
            "risk": np.array([s.risk for s in specs], np.int8),
            "quota": quota,
            "fee": [s.fee for s in specs],
            "past_return": [s.past_return for s in specs],
        }
    )


def _log(kind: str, log: dict[str, np.ndarray], n_funds: int) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "customer": FIRST_CUSTOMER + log["customer"].astype(np.int64),
            "fund": _words(log["fund"], _fund_ids(kind, n_funds)),
            "day": log["day"].astype(np.int16),
            "converted": log["converted"],
            "amount": log["amount"],
            "split": _words(log["split"], SPLITS),
        }
    )


def _words(codes: np.ndarray, words: Any) -> pa.DictionaryArray:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(list(words)))


def _frame(table: pa.Table, backend: str) -> Any:
    if backend == "pyarrow":
        return table
    library = require(backend, f"data frames of {backend}")
    if backend == "pandas":
        return table.to_pandas()
    return library.from_arrow(table) if backend == "polars" else library.DataFrame.from_arrow(table)
