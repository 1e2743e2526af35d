"""`lct`: synthetic campaigns in the shape of the PTOFA paper's data sets LCT-A and LCT-B, with the truth known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptofa_gpu._arguments import number, one_of, seed_of, whole
from ptofa_gpu._lazy import require
from ptofa_gpu.datasets._world import AGES, BLOCK, CHANNELS, HELD, REGIONS, SPECS, Block, World
from ptofa_gpu.datasets.base import ExposureData
from ptofa_gpu.datasets.log import SPLITS
from ptofa_gpu.datasets.truth import Truth
from ptofa_gpu.prediction.schema import Kind, Schema

if TYPE_CHECKING:
    import pyarrow as pa

Backend = Literal["pandas", "polars", "pyarrow", "cudf"]
Columns = dict[str, np.ndarray]

#: Ids do not start at 0, so that an id taken for a row number shows.
FIRST_CUSTOMER = 10_000_001
#: Settings that give about the exposures of the paper's data: 4.75 M and 3.45 M a week later, 4.3 M and 0.69 M.
PAPER_SCALE: dict[str, dict[str, Any]] = {
    "A": {"customers": 4_750_000, "returning": 0.7263},
    "B": {"customers": 4_300_000, "returning": 0.1605},
}
NOTE = "Synthetic: made by a program in the shape of {}; no real customer, fund or amount."
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
    returning: float = 0.7,
    backend: Backend = "pandas",
) -> ExposureData:
    """A synthetic campaign with known truth, in the shape of LCT-A (8 funds) or LCT-B (4 fund types).

    The data of the paper (Tang et al., 2025, arXiv 2503.03165, Table 1) are private. These are made by a program: about
    1 % of exposures convert, amounts are log-normal with parameters that differ by customer and fund, popular funds are
    shown more, and funds are shown to customers likely to buy them. The first week (days 0..6) trains and validates
    (one customer in ten), the week after (days 7..13, about 70 % of customers, slightly changed funds) tests.
    :func:`lct_stream` makes the same world block by block, for more customers than fit in memory.

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
        How strongly the platform picks likely buyers, by features; 0 shows by popularity alone.
    overlap : float
        Share of exposures given out at random among the funds a customer may see, in [0, 1].
    drift : float
        Spread of each fund's change in log odds between the weeks (half of it in log amount).
    returning : float
        Share of customers who come in the week after, in (0, 1]. ``lct(kind, **PAPER_SCALE[kind])`` has about as many
        exposures in both weeks as the paper's data.
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
    one_of("backend", backend, ("pandas", "polars", "pyarrow", "cudf"))
    n, exposures = whole("customers", customers, 1), whole("exposures", exposures, 1)
    world = make_world(kind, seed, positive_rate, exposure_bias, overlap, drift, returning)
    _require_memory(n, exposures)
    people, log, quota = _simulate(world, n, exposures)
    customers_frame, funds_frame = customers_table(people), funds_table(kind, world, quota)
    schema = infer_schema(kind, customers_frame, funds_frame)
    return ExposureData(
        _frame(log_table(kind, log, len(world.risk)), backend),
        _frame(customers_frame, backend),
        _frame(funds_frame, backend),
        schema,
        truth=Truth(n, len(world.risk), world.truth),
        tolerance_range=(1, 5),
        note=NOTE.format(f"LCT-{kind}"),
    )


def make_world(
    kind: str,
    seed: Any,
    positive_rate: float,
    exposure_bias: float,
    overlap: float,
    drift: float,
    returning: float,
) -> World:
    """The world of checked settings; raises InputError for one that is unknown or out of range."""

    def within(name: str, value: float, low: float, high: float) -> float:
        return number(name, value, f"a number within {low:g}..{high:g}", least=low, most=high)

    return World(
        one_of("kind", kind, tuple(SPECS)),
        seed_of(seed),
        within("exposure_bias", exposure_bias, 0.0, 10.0),
        within("overlap", overlap, 0.0, 1.0),
        within("positive_rate", positive_rate, 1e-6, 0.5),
        within("drift", drift, 0.0, 3.0),
        within("returning", returning, 1e-3, 1.0),
    )


def _require_memory(customers: int, exposures: int) -> None:
    """Refuse a world that surely does not fit: its frames take more than these bytes, and making them more again."""
    from ptofa_gpu.allocation.memory import require_memory

    require_memory(
        customers * (100 + 30 * (exposures + 1)),
        f"A world of {customers:,} customers",
        "Use lct_stream, which makes it block by block, or fewer customers.",
    )


def infer_schema(kind: str, customers: Any, funds: Any) -> Schema:
    """The schema of a world's frames."""
    return Schema.infer(
        customers,
        funds,
        customer_features=_CUSTOMER_FEATURES,
        fund_features=_FUND_FEATURES,
        currency="CNY",
        name=f"lct-{kind.lower()}",
    )


def _simulate(world: World, n: int, exposures: int) -> tuple[Columns, Columns, np.ndarray]:
    """Columns of the customers, columns of the log (first week, then the later one), and the quotas."""
    people: list[Columns] = []
    weeks: list[list[Columns]] = [[] for _ in range(exposures + 1)]
    quota = np.zeros(len(world.risk), np.int64)
    for index in range((n + BLOCK - 1) // BLOCK):
        keep = min(n - index * BLOCK, BLOCK)
        c = world.block(index)
        people.append(people_of(c, keep))
        quota += np.bincount(world.bought(c, index)[:keep], minlength=len(quota))
        for week, rows in zip(weeks, exposures_of(world, c, index, keep, exposures)):
            week.append(rows)
    in_order = [part for week in (*weeks[1:], weeks[0]) for part in week]
    return stack(people), stack(in_order), quota


def people_of(c: Block, keep: int) -> Columns:
    """Columns of a block's first `keep` customers."""
    return {k: v[:keep] for k, v in {"tolerance": c.tolerance, **c.features}.items()}


def exposures_of(world: World, c: Block, index: int, keep: int, exposures: int) -> list[Columns]:
    """Log rows of a block's first `keep` customers: of the later week, then of each exposure of the first."""
    customer = index * BLOCK + np.arange(keep)
    out = []
    for time in range(exposures + 1):
        rows = {k: v[:keep] for k, v in world.shown(c, index, time).items()}
        came = rows.pop("came")
        split = np.full(keep, 2) if time == 0 else np.where(c.validation[:keep], 1, 0)
        rows |= {"customer": customer, "split": split}
        out.append({k: v[came] for k, v in rows.items()})
    return out


def stack(parts: list[Columns]) -> Columns:
    """The same columns, one part below the other."""
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


def customers_table(people: Columns, first: int = 0) -> pa.Table:
    """Customers `first`, `first` + 1, ... as a table."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        "customer": FIRST_CUSTOMER + first + np.arange(len(people["tolerance"]), dtype=np.int64),
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


def funds_table(kind: str, world: World, quota: np.ndarray) -> pa.Table:
    """The world's funds as a table."""
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


def log_table(kind: str, log: Columns, n_funds: int) -> pa.Table:
    """Columns of a log as a table."""
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
