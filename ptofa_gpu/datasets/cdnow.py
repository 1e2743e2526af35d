"""`cdnow`: what customers of a record shop spend over a horizon, from what they bought before."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._arguments import listed, refused, seed_of, whole
from ptofa_gpu.datasets._fetch import PublicFile, read_public
from ptofa_gpu.datasets.base import ExposureData
from ptofa_gpu.datasets.log import SPLITS, split_by_customer
from ptofa_gpu.errors import InputError, SchemaError
from ptofa_gpu.prediction.schema import Kind, Schema

if TYPE_CHECKING:
    import pandas as pd

FILE = PublicFile(
    name="cdnow_master.txt",
    sha256=("eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef",),
    urls=("https://raw.githubusercontent.com/CamDavidsonPilon/lifetimes/master/lifetimes/datasets/CDNOW_master.txt",),
)
#: 13 and 26 weeks.
HORIZONS = (91, 182)
_COLUMNS = ("customer", "date", "cds", "dollars")
_FEATURES: dict[str, Kind] = {
    "first_month": "categorical",
    "idle_share": "numeric",
    "purchases": "numeric",
    "spend": "numeric",
    "mean_amount": "numeric",
    "largest_amount": "numeric",
    "last_amount": "numeric",
    "cds": "numeric",
    "purchases_90d": "numeric",
    "spend_90d": "numeric",
}
_RECENT = 90  # days
#: A snapshot's number is put in front of the customer's id: 100000042 is customer 42 at the earlier date.
_SNAPSHOT = 100_000_000
_NOTE = (
    "CDNOW, Fader and Hardie: customers who first bought in the first quarter of 1997. Each counts twice, on {} (to "
    "learn from) and on {} (to test on)."
)


def cdnow(
    path: str | os.PathLike[str] | None = None,
    seed: int = 0,
    *,
    horizons: Sequence[int] = HORIZONS,
    verify: bool = True,
) -> ExposureData:
    """Purchases at CDNOW, 1997-01 to 1998-06: customer value over a horizon, with a split in time.

    Customers are looked at on two days. Everything bought before the day makes the features; what is bought from that
    day on, within a horizon, is the outcome: ``converted`` says whether anything was, ``amount`` how much in all, in US
    dollars. Each horizon plays a fund, and each customer has a row for each. The later day is the longest horizon
    before the data end, and tests; the earlier is as long before the later, and trains and validates: no outcome to
    learn from lies behind a day whose outcome is asked for. There is no quota: a horizon is not something to allocate.

    Parameters
    ----------
    path : path, optional
        The text file, plain or gzipped, or the folder that holds it. By default the folder named by ``PTOFA_DATA``,
        the user's cache, then a download (none where ``PTOFA_OFFLINE`` is set).
    seed : int
        Of the customers of the earlier day that validate: one in ten.
    horizons : sequence of int
        Days, each at least 1 and different.
    verify : bool
        Check that the file is the one that was published.

    Returns
    -------
    ExposureData
        Customers are (customer, day) pairs: their ids are 100,000,000 or 200,000,000 and the shop's id. Rows of
        customers who had bought nothing by then do not exist.

    Raises
    ------
    DataNotFoundError
        The file is neither here nor reachable; says where was looked and what to do.
    InputError
        The file is not the published one, or a horizon is not a number of days that the data allow.
    SchemaError
        The file (not verified) has other columns, dates or amounts that cannot be read.
    """
    seed, days = seed_of(seed), _horizons(horizons)
    bought = _parse(read_public(FILE, path, verify=verify))
    test_day, train_day = _days(bought, days)
    snapshots = [_snapshot(bought, day, number) for number, day in ((1, train_day), (2, test_day))]
    return _assemble(bought, days, snapshots, (train_day, test_day), seed)


def _horizons(horizons: Sequence[int]) -> list[int]:
    days = [whole("horizons", h, 1) for h in listed("horizons", horizons, "whole numbers of days")]
    if not days or len(set(days)) < len(days):
        raise refused("horizons", horizons, "different numbers of days, each at least 1")
    return sorted(days)


def _parse(data: bytes) -> pd.DataFrame:
    """One row a purchase: customer, date, cds, dollars; in order of customer and date."""
    import pandas as pd

    problems: list[str] = []
    try:
        table = pd.read_csv(io.BytesIO(data), sep=r"\s+", header=None, dtype=str, names=range(4), index_col=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as e:
        raise SchemaError("The file is not the table of CDNOW's purchases:", [str(e)]) from e
    if len(table) and str(table.iloc[0, 0]).startswith("customer"):  # Hardie's own file has no header
        table = table.iloc[1:]
    table.columns = list(_COLUMNS)
    if not len(table):
        problems.append("it has no rows")
    out = pd.DataFrame(index=table.index)
    for name in ("customer", "cds", "dollars"):
        out[name] = pd.to_numeric(table[name], errors="coerce")
    out["date"] = pd.to_datetime(table["date"], format="%Y%m%d", errors="coerce")
    ranges = {"customer": (1, _SNAPSHOT - 1), "cds": (0, 1e9), "dollars": (0, 1e9)}
    for name in _COLUMNS:
        bad = np.flatnonzero(out[name].isna().to_numpy())
        if name in ranges:
            values, (low, high) = out[name].to_numpy(np.float64), ranges[name]
            right = (values >= low) & (values <= high) & ((name == "dollars") | (values == np.floor(values)))
            bad = np.flatnonzero(~right)
        if bad.size:
            problems.append(
                f"{name}: {bad.size:,} of {len(out):,} rows cannot be read, the first is row {bad[0]} "
                f"({table[name].iloc[int(bad[0])]!r})"
            )
    if problems:
        raise SchemaError("The file is not the table of CDNOW's purchases:", problems)
    out["customer"] = out["customer"].astype(np.int64)
    return out.sort_values(["customer", "date"], kind="stable", ignore_index=True)


def _days(bought: pd.DataFrame, horizons: list[int]) -> tuple[Any, Any]:
    """The day to test on and the day to learn from."""
    import pandas as pd

    end = bought["date"].max() + pd.Timedelta(days=1)
    allowed = ((end - bought["date"].min()).days - 1) // 2
    if horizons[-1] > allowed:
        raise InputError(
            f"horizons has {horizons[-1]} days. Twice the longest must lie within the data, after a first purchase: "
            f"give at most {max(allowed, 0)}."
        )
    longest = pd.Timedelta(days=horizons[-1])
    return end - longest, end - 2 * longest


def _snapshot(bought: pd.DataFrame, day: Any, number: int) -> pd.DataFrame:
    """Customers who had bought before `day`, with what was known of them then."""
    import pandas as pd

    before = bought[bought["date"] < day]
    groups = before.groupby("customer", sort=True)
    first, last = groups["date"].min(), groups["date"].max()
    recent = before[before["date"] >= day - pd.Timedelta(days=_RECENT)].groupby("customer")
    # several orders of a day are one visit
    visits = before.groupby(["customer", "date"], sort=True)["dollars"].sum().groupby("customer")
    return pd.DataFrame(
        {
            "customer": number * _SNAPSHOT + first.index.to_numpy(),
            "first_month": first.dt.strftime("%Y-%m").to_numpy(),
            # a share of the time since the first purchase: in days, all customers of the later date would lie outside
            # what a model saw at the earlier one, because all came in the same quarter
            "idle_share": ((day - last) / (day - first)).to_numpy(),
            "purchases": visits.size().to_numpy(),
            "spend": groups["dollars"].sum().to_numpy(),
            "mean_amount": visits.mean().to_numpy(),
            "largest_amount": visits.max().to_numpy(),
            "last_amount": visits.last().to_numpy(),
            "cds": groups["cds"].sum().to_numpy(),
            "purchases_90d": recent["date"].nunique().reindex(first.index, fill_value=0).to_numpy(),
            "spend_90d": recent["dollars"].sum().reindex(first.index, fill_value=0.0).to_numpy(),
        }
    )


def _assemble(
    bought: pd.DataFrame, horizons: list[int], snapshots: list[pd.DataFrame], days: tuple[Any, Any], seed: int
) -> ExposureData:
    import pandas as pd

    ids = [f"{h}d" for h in horizons]
    logs = []
    for number, (day, people) in enumerate(zip(days, snapshots, strict=True), start=1):
        shop_id = people["customer"].to_numpy() - number * _SNAPSHOT
        split = np.full(len(people), SPLITS.index("test"), np.int8)
        if number == 1:
            split = split_by_customer(shop_id, seed, (0.9, 0.1, 0.0))
        for fund, horizon in zip(ids, horizons, strict=True):
            within = bought[(bought["date"] >= day) & (bought["date"] < day + pd.Timedelta(days=horizon))]
            spent = within.groupby("customer")["dollars"].sum()
            logs.append(
                pd.DataFrame(
                    {
                        "customer": people["customer"],
                        "fund": fund,
                        "day": day,
                        "converted": np.isin(shop_id, spent.index.to_numpy()),
                        "amount": spent.reindex(shop_id, fill_value=0.0).to_numpy().round(2),
                        "split": np.array(SPLITS)[split],
                    }
                )
            )
    customers = pd.concat(snapshots, ignore_index=True)
    funds = pd.DataFrame({"fund": ids, "name": [f"next {h} days" for h in horizons], "days": horizons})
    schema = Schema.infer(
        customers[: len(snapshots[0])],  # as it was on the earlier day; nothing of the later one is known then
        funds,
        customer_features=_FEATURES,
        fund_features=[],
        currency="USD",
        name="cdnow",
    )
    note = _NOTE.format(*(day.strftime("%Y-%m-%d") for day in days))
    return ExposureData(pd.concat(logs, ignore_index=True), customers, funds, schema, seed=seed, note=note)
