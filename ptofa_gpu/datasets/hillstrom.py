"""`hillstrom`: an e-mail campaign whose arms were assigned at random, so that a plan can be valued off-policy."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._arguments import seed_of
from ptofa_gpu.datasets._fetch import PublicFile, read_public
from ptofa_gpu.datasets.base import ExposureData
from ptofa_gpu.datasets.log import SPLITS, split_by_customer
from ptofa_gpu.errors import SchemaError
from ptofa_gpu.prediction.schema import Kind, Schema

if TYPE_CHECKING:
    import pyarrow as pa

FILE = PublicFile(
    name="hillstrom.csv",
    # the same table thrice: as published, without the last line break, and with numbers and line ends rewritten
    sha256=(
        "0e5893329d8b93cefecc571777672028290ab69865718020c78c7284f291aece",
        "ff9e59285e9dc3f5fa3e0975419e6631ea5bdccd65d818991473d2367e02979c",
        "00a6a868e05a9ffe7382da51629f6d6dce88c5acfc945e79d314ebc78fd3a2c0",
    ),
    urls=(
        "https://hillstorm1.s3.us-east-2.amazonaws.com/hillstorm_no_indices.csv.gz",
        "http://www.minethatdata.com/Kevin_Hillstrom_MineThatData_E-MailAnalytics_DataMiningChallenge_2008.03.20.csv",
    ),
)
#: Arm as the file calls it -> fund id; the order is the order of E's columns.
ARMS = {"Mens E-Mail": "mens", "Womens E-Mail": "womens", "No E-Mail": "none"}
_SHARES = (0.6, 0.1, 0.3)  # more to test on than usual: an off-policy value needs conversions (578 in all)
_FEATURES: dict[str, Kind] = {
    "recency": "numeric",
    "history": "numeric",
    "history_segment": "categorical",
    "mens": "categorical",
    "womens": "categorical",
    "zip_code": "categorical",
    "newbie": "categorical",
    "channel": "categorical",
}
_COLUMNS = (*_FEATURES, "segment", "visit", "conversion", "spend")
_NOTE = (
    "Kevin Hillstrom, MineThatData E-Mail Analytics and Data Mining Challenge, 2008; "
    "the arms were assigned at random, a third each."
)


def hillstrom(path: str | os.PathLike[str] | None = None, seed: int = 0, *, verify: bool = True) -> ExposureData:
    """The MineThatData e-mail campaign of 2008: 64,000 customers, three arms assigned at random.

    The arms (men's e-mail, women's e-mail, no e-mail) play the funds: each customer gets one, without risk limits
    (risk and tolerance are 0), and by default each has an equal third of the exposures as quota. ``converted`` says
    whether the customer bought within two weeks, ``amount`` how much, in US dollars. Because the arms were drawn at
    random, ``propensity`` is 1/3 everywhere and any plan can be valued off-policy.

    Parameters
    ----------
    path : path, optional
        The CSV file, plain or gzipped, or the folder that holds it. By default the folder named by ``PTOFA_DATA``,
        the user's cache, then a download (none where ``PTOFA_OFFLINE`` is set).
    seed : int
        Of the split by customer: 60 % train, 10 % validation, 30 % test.
    verify : bool
        Check that the file is the one that was published.

    Raises
    ------
    DataNotFoundError
        The file is neither here nor reachable; says where was looked and what to do.
    InputError
        The file is not the published one.
    SchemaError
        The file (not verified) lacks columns or holds unknown arms.
    """
    seed = seed_of(seed)
    table = _parse(read_public(FILE, path, verify=verify))
    arm = _arms(table)
    n = table.num_rows
    customer = np.arange(n, dtype=np.int64)
    customers = table.select(list(_FEATURES)).add_column(0, "customer", [customer])
    customers = customers.append_column("tolerance", [np.zeros(n, np.int8)]).to_pandas()
    funds = _funds(n)
    schema = Schema.infer(
        customers, funds, customer_features=_FEATURES, fund_features=[], currency="USD", name="hillstrom"
    )
    return ExposureData(
        _log(table, customer, arm, seed), customers, funds, schema, tolerance_range=(0, 0), seed=seed, note=_NOTE
    )


def _parse(data: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as csv

    kinds = {"segment": pa.string(), "visit": pa.int64(), "conversion": pa.int64(), "spend": pa.float64()}
    try:
        table = csv.read_csv(io.BytesIO(data), convert_options=csv.ConvertOptions(column_types=kinds))
        count = {c: table.column_names.count(c) for c in _COLUMNS}
    except (pa.ArrowException, ValueError) as e:  # a ValueError: a header that is not UTF-8
        raise SchemaError("The file cannot be read as CSV:", [str(e)]) from e
    wrong = [f"column {c!r} {'is there twice' if n else 'is missing'}" for c, n in count.items() if n != 1]
    if wrong:
        raise SchemaError("The file is not the e-mail campaign's table:", wrong)
    if table.num_rows == 0:
        raise SchemaError("The file is not the e-mail campaign's table:", ["it has no rows"])
    return table


def _arms(table: pa.Table) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    segment = table["segment"].combine_chunks()
    position = pc.index_in(segment, value_set=pa.array(list(ARMS), segment.type)).fill_null(-1).to_numpy()
    bad = np.flatnonzero(position < 0)
    if bad.size:
        raise SchemaError(
            "The file is not the e-mail campaign's table:",
            [
                f"segment must be one of {', '.join(ARMS)}: {bad.size:,} of {len(position):,} rows, the first is row "
                f"{bad[0]} ({segment[int(bad[0])].as_py()!r})"
            ],
        )
    return position


def _funds(n: int) -> Any:
    import pandas as pd

    third = [n // len(ARMS) + (i < n % len(ARMS)) for i in range(len(ARMS))]
    return pd.DataFrame({"fund": list(ARMS.values()), "name": list(ARMS), "risk": np.zeros(3, np.int8), "quota": third})


def _log(table: pa.Table, customer: np.ndarray, arm: np.ndarray, seed: int) -> Any:
    import pyarrow as pa

    def words(codes: np.ndarray, names: list[str]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(names))

    return pa.table(
        {
            "customer": customer,
            "fund": words(arm, list(ARMS.values())),
            "visit": table["visit"],
            "converted": table["conversion"],
            "amount": table["spend"].cast(pa.float64()),
            "split": words(split_by_customer(customer, seed, _SHARES), list(SPLITS)),
            "propensity": np.full(len(customer), 1 / len(ARMS)),
        }
    ).to_pandas()
