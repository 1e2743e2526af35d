"""Frames without a fault, and what can be wrong with them: for tests that what is wrong is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

N = 8
World = dict[str, Any]


def world() -> World:
    """Frames and arguments without a fault; the log holds customers and funds that no fault touches."""
    customers = pd.DataFrame(
        {"customer": [f"u{i}" for i in range(N)], "tolerance": [3] * N, "age": np.arange(N) + 20.0}
    ).astype({"customer": object})
    funds = pd.DataFrame(
        {"fund": list("abcd"), "risk": [1] * 4, "quota": [2] * 4, "name": list("ABCD"), "fee": [0.1, 0.2, 0.3, 0.4]}
    ).astype({"fund": object, "name": object})
    pairs = [(u, f) for u in customers["customer"] for f in funds["fund"]]
    revenue = pd.DataFrame(pairs, columns=["customer", "fund"]).astype(object)
    revenue["revenue"] = np.arange(len(pairs)) + 1.0
    log = pd.DataFrame(
        {"customer": ["u6", "u7"] * 3, "fund": list("dddddd"), "converted": [0, 1] * 3, "amount": [0.0, 5.0] * 3}
    ).assign(split="train")
    return {
        "customers": customers,
        "funds": funds,
        "revenue": revenue,
        "log": log,
        "excluded": pd.DataFrame({"customer": ["u7"], "fund": ["a"]}),
        "k": None,
        "eligible": None,
        "missing": "error",
    }


@dataclass(frozen=True)
class Fault:
    """Something wrong in one `field`, and the words that tell it."""

    name: str
    field: str
    words: str
    spoil: Callable[[World], None]
    cannot_be_with: tuple[str, ...] = ()


def cell(table: str, row: int, column: str, value: Any) -> Callable[[World], None]:
    def spoil(w: World) -> None:
        values = w[table][column].tolist()
        values[row] = value
        w[table][column] = pd.Series(values, dtype=object).infer_objects()

    return spoil


def column(table: str, name: str, values: Any) -> Callable[[World], None]:
    def spoil(w: World) -> None:
        w[table][name] = values

    return spoil


def drop(table: str, *names: str) -> Callable[[World], None]:
    def spoil(w: World) -> None:
        w[table] = w[table].drop(columns=list(names))

    return spoil


def argument(name: str, value: Any) -> Callable[[World], None]:
    def spoil(w: World) -> None:
        w[name] = value

    return spoil


def no_rows(*rows: int) -> Callable[[World], None]:
    def spoil(w: World) -> None:
        w["revenue"] = w["revenue"].drop(index=list(rows))

    return spoil


def twice(w: World) -> None:
    w["revenue"] = pd.concat([w["revenue"], w["revenue"].iloc[[20, 22]]], ignore_index=True)


def ranges(low: list[Any], high: list[Any]) -> Callable[[World], None]:
    def spoil(w: World) -> None:
        w["funds"] = w["funds"].drop(columns="quota").assign(quota_low=low, quota_high=high)

    return spoil


BY_CUSTOMER = ("revenue.customer", "revenue.pairs", "revenue.rows", "excluded.customer")
BY_FUND = ("revenue.fund", "revenue.pairs", "revenue.rows", "excluded.fund")
FRAMES = [
    Fault(
        "no customers.customer",
        "customer",
        "customers: column 'customer' is missing",
        drop("customers", "customer"),
        BY_CUSTOMER,
    ),
    Fault(
        "a customer without id",
        "customer",
        "customers: customer is missing: 1 of 8 rows, the first is row 1",
        cell("customers", 1, "customer", None),
    ),
    Fault(
        "a customer twice",
        "customer",
        "customers: customer must be unique; 2 of 8 rows share 1 id, for example 'u0'",
        cell("customers", 1, "customer", "u0"),
    ),
    Fault(
        "ids of two types",
        "customer",
        "customers: column 'customer' mixes values of different types",
        cell("customers", 1, "customer", 7),
        BY_CUSTOMER,
    ),
    Fault(
        "tolerance with a fraction",
        "tolerance",
        "customers: tolerance must be whole: 1 of 8 rows, the first is row 2",
        cell("customers", 2, "tolerance", 1.5),
    ),
    Fault(
        "tolerance out of range",
        "tolerance",
        "customers: tolerance must be within -128..127: 1 of 8 rows",
        cell("customers", 2, "tolerance", 128),
    ),
    Fault(
        "tolerance missing",
        "tolerance",
        "customers: tolerance is missing: 1 of 8 rows, the first is row 2",
        cell("customers", 2, "tolerance", None),
    ),
    Fault(
        "tolerance is a boolean",
        "tolerance",
        "customers: column 'tolerance' holds true and false",
        column("customers", "tolerance", True),
    ),
    Fault(
        "tolerance is text",
        "tolerance",
        "customers: column 'tolerance' has type",
        column("customers", "tolerance", "3"),
    ),
    Fault(
        "no tolerance",
        "tolerance",
        "funds.risk is there without customers.tolerance",
        drop("customers", "tolerance"),
        ("risk",),
    ),
    Fault(
        "k out of range",
        "k",
        "customers: k must be within 0..4: 1 of 8 rows, the first is row 0",
        column("customers", "k", [5] + [1] * 7),
    ),
    Fault(
        "k below 0", "k", "customers: k must be within 0..4: 2 of 8 rows", column("customers", "k", [-1, -1] + [1] * 6)
    ),
    Fault(
        "k with a fraction", "k", "customers: k must be whole: 1 of 8 rows", column("customers", "k", [1.5] + [1] * 7)
    ),
    Fault("k missing", "k", "customers: k is missing: 1 of 8 rows", column("customers", "k", [None] + [1] * 7)),
    Fault("k is a boolean", "k", "customers: column 'k' holds true and false", column("customers", "k", True)),
    Fault("k is 0", "k", "customers: k is 0 for every customer", column("customers", "k", 0)),
    Fault("no funds.fund", "fund", "funds: column 'fund' is missing", drop("funds", "fund"), BY_FUND),
    Fault(
        "a fund without id",
        "fund",
        "funds: fund is missing: 1 of 4 rows, the first is row 1",
        cell("funds", 1, "fund", None),
    ),
    Fault(
        "a fund twice",
        "fund",
        "funds: fund must be unique; 2 of 4 rows share 1 id, for example 'a'",
        cell("funds", 1, "fund", "a"),
    ),
    Fault(
        "quota with a fraction",
        "quota",
        "funds: quota must be whole: 1 of 4 rows, the first is row 2",
        cell("funds", 2, "quota", 2.5),
    ),
    Fault(
        "quota below 0",
        "quota",
        "funds: quota must be not negative: 1 of 4 rows, the first is row 2",
        cell("funds", 2, "quota", -2),
    ),
    Fault(
        "quota missing",
        "quota",
        "funds: quota is missing: 1 of 4 rows, the first is row 2",
        cell("funds", 2, "quota", None),
    ),
    Fault(
        "quota infinite",
        "quota",
        "funds: quota must be whole: 1 of 4 rows, the first is row 2",
        cell("funds", 2, "quota", np.inf),
    ),
    Fault(
        "quota beyond all customers",
        "quota",
        "funds: quota is more than any number of customers can be: 1 of 4",
        cell("funds", 2, "quota", 1e30),
    ),
    Fault("quota is a boolean", "quota", "funds: column 'quota' holds true and false", column("funds", "quota", True)),
    Fault(
        "quotas too large",
        "quota",
        "funds: the quotas sum to 9,223,372,036,854,775,812",
        column("funds", "quota", 2**61 + 1),
    ),
    Fault(
        "quota and quota_low",
        "quota",
        "it needs quota alone, or quota_low and quota_high",
        column("funds", "quota_low", 1),
    ),
    Fault(
        "a range upside down",
        "quota",
        "funds: quota_low is above quota_high: 1 of 4 rows, the first is row 2",
        ranges([0, 0, 3, 0], [2, 2, 2, None]),
    ),
    Fault(
        "a range with a fraction",
        "quota",
        "funds: quota_high must be whole: 1 of 4 rows",
        ranges([0, 0, 1, 0], [2, 2.5, 2, None]),
    ),
    Fault(
        "a range below 0", "quota", "funds: quota_low must be not negative", ranges([None, -1, 1, 0], [2, 2, 2, np.inf])
    ),
    Fault(
        "risk missing",
        "risk",
        "funds: risk is missing: 1 of 4 rows, the first is row 2",
        cell("funds", 2, "risk", None),
    ),
    Fault(
        "risk out of range", "risk", "funds: risk must be within -128..127: 1 of 4 rows", cell("funds", 2, "risk", -129)
    ),
    Fault("risk with a fraction", "risk", "funds: risk must be whole: 1 of 4 rows", cell("funds", 2, "risk", 0.5)),
    Fault("no risk", "risk", "customers.tolerance is there without funds.risk", drop("funds", "risk"), ("tolerance",)),
    Fault(
        "names twice",
        "name",
        "funds: name must be unique; 2 of 4 rows share 1 name, for example 'C'",
        cell("funds", 3, "name", "C"),
    ),
    Fault(
        "a name that is another's id",
        "name",
        "funds: name must be unique; 2 of 4 rows share 1 name, for example 'd'",
        column("funds", "name", ["A", "B", "d", None]),
        ("fund",),
    ),
]
OTHERS = [
    Fault(
        "a customer unknown",
        "revenue.customer",
        "revenue: customer is not in customers",
        cell("revenue", 9, "customer", "who"),
    ),
    Fault(
        "revenue without customer",
        "revenue.customer",
        "revenue: column 'customer' is missing",
        drop("revenue", "customer"),
        ("revenue.pairs", "revenue.rows"),
    ),
    Fault("a fund unknown", "revenue.fund", "revenue: fund is not in funds", cell("revenue", 9, "fund", "zzz")),
    Fault("pairs twice", "revenue.pairs", "revenue: the (customer, fund) pair was there before: 2 of", twice),
    Fault(
        "pairs missing",
        "revenue.rows",
        "(customer, fund) pairs are missing",
        no_rows(*range(4, 8), *range(12, 20), *range(24, 28)),
    ),
    Fault(
        "revenue is NaN", "revenue.revenue", "revenue: revenue is missing: 1 of", cell("revenue", 30, "revenue", np.nan)
    ),
    Fault(
        "revenue is infinite",
        "revenue.revenue",
        "revenue: revenue is infinite or beyond float32: 1 of",
        cell("revenue", 30, "revenue", 1e39),
    ),
    Fault(
        "revenue is text", "revenue.revenue", "revenue: column 'revenue' has type", column("revenue", "revenue", "1")
    ),
    Fault(
        "excluded: a customer unknown",
        "excluded.customer",
        "excluded: customer is not in customers",
        cell("excluded", 0, "customer", "who"),
    ),
    Fault(
        "excluded: a fund unknown",
        "excluded.fund",
        "excluded: fund is not in funds",
        cell("excluded", 0, "fund", "zzz"),
    ),
    Fault("excluded: no fund", "excluded.fund", "excluded: column 'fund' is missing", drop("excluded", "fund")),
    Fault(
        "missing=",
        "missing",
        "missing is 'exlude'; choose 'error' or 'exclude'; did you mean 'exclude'?",
        argument("missing", "exlude"),
        ("revenue.rows",),
    ),
    Fault("k=", "k", "k is 9; with 4 funds it must lie between 1 and 4", argument("k", 9)),
    Fault("eligible=", "eligible", "eligible has shape (3, 3)", argument("eligible", np.ones((3, 3), bool))),
]
LOG = [
    Fault(
        "log: a customer unknown",
        "log.customer",
        "log: customer is not in customers",
        cell("log", 0, "customer", "who"),
        ("customer",),
    ),
    Fault("log: a fund unknown", "log.fund", "log: fund is not in funds", cell("log", 0, "fund", "zzz"), ("fund",)),
    Fault("log: an amount below 0", "log.amount", "log: amount is negative", cell("log", 1, "amount", -1.0)),
]


def together(first: Fault, second: Fault) -> bool:
    """Whether both can exist at once."""
    return (
        first.field != second.field
        and second.field not in first.cannot_be_with
        and first.field not in second.cannot_be_with
    )


def spoiled(*faults: Fault) -> World:
    """A world with these faults."""
    w = world()
    for fault in sorted(faults, key=lambda f: "rows" in f.field):  # rows are dropped last: others count them
        fault.spoil(w)
    return w


def told(fault: Fault, problems: list[str]) -> bool:
    """Whether one of the problems is this fault."""
    return any(fault.words in p for p in problems)
