"""Exposure data: a log, its customers and its funds, checked together."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptofa_gpu._arguments import instance, seed_of, text_of
from ptofa_gpu._columns import eager
from ptofa_gpu._frames import LEVEL_RANGE, Customers, Funds, read_customers, read_funds
from ptofa_gpu.datasets.log import SPLITS, LogArrays, Split, check_log, level_range
from ptofa_gpu.datasets.truth import Truth
from ptofa_gpu.errors import DegenerateModelError, InputError, SchemaError
from ptofa_gpu.prediction.schema import Encoded, FeatureChoice, Schema

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.prediction.data import ExposureModule

_FUNDS_SHOWN = 12


class ExposureData:
    """What the main job starts from: who was shown which fund, and what came of it.

    Make one with :meth:`from_frames`, or with a reader of this package.

    Parameters
    ----------
    log, customers, funds : data frames
        Any narwhals knows; see :func:`check_log` for their columns.
    schema : Schema
        Which columns are features.
    name : str
        What the data are called, for titles.
    truth : Truth, optional
        The true conversion and amounts of all pairs: known in synthetic worlds only.
    tolerance_range : (int, int)
        Smallest and largest sensible tolerance and risk level.
    seed : int
        Of the split by customer.
    split : {"customer", "day"}, optional
        How the log is split; by default by its column ``split``, and by customer where it has none.
    note : str
        A sentence on where the data come from, shown with them.

    Attributes
    ----------
    log, customers, funds : native data frames
        As given; lazy frames collected, and names of columns that are numbers made text. Their order of rows is the
        order of the rows and columns of E.
    """

    def __init__(
        self,
        log: Any,
        customers: Any,
        funds: Any,
        schema: Schema,
        *,
        name: str = "",
        truth: Truth | None = None,
        tolerance_range: tuple[int, int] = LEVEL_RANGE,
        seed: int = 0,
        split: Split | None = None,
        note: str = "",
    ):
        self.log = eager(log, "log").to_native()
        self.customers = eager(customers, "customers").to_native()
        self.funds = eager(funds, "funds").to_native()
        self.schema = instance("schema", schema, Schema, "from Schema.infer")
        self.name, self.note = text_of("name", name) or schema.name, text_of("note", note)
        self.truth = None if truth is None else instance("truth", truth, Truth)
        self._tolerance_range, self._seed, self._split = level_range(tolerance_range), seed_of(seed), split

    @classmethod
    def from_frames(
        cls,
        log: Any,
        customers: Any,
        funds: Any,
        *,
        schema: Schema | None = None,
        customer_features: FeatureChoice = None,
        fund_features: FeatureChoice = None,
        exclude: Sequence[str] = (),
        categorical: Sequence[str] = (),
        currency: str = "",
        name: str = "",
        tolerance_range: tuple[int, int] = LEVEL_RANGE,
        seed: int = 0,
        split: Split | None = None,
        note: str = "",
    ) -> ExposureData:
        """Take your own data; everything is checked here and now.

        Parameters
        ----------
        log, customers, funds : data frames
            Any narwhals knows; see :func:`check_log` for their columns.
        schema : Schema, optional
            By default read from the frames, see :meth:`Schema.infer`; then `customer_features`, `fund_features`,
            `exclude`, `categorical`, `currency` and `name` say what to read.
        tolerance_range, seed, split, note
            As in :class:`ExposureData`.

        Raises
        ------
        SchemaError
            One error that lists everything wrong with the three frames.
        DegenerateModelError
            When nothing is wrong but nothing converted.
        """
        chosen: dict[str, Any] = {
            "customer_features": customer_features,
            "fund_features": fund_features,
            "exclude": exclude,
            "categorical": categorical,
        }
        if schema is not None and any(given is not None and given != () and given != [] for given in chosen.values()):
            raise InputError(
                f"schema says which columns are features already; give either it or any of {', '.join(chosen)}"
            )
        frames = eager(log, "log"), eager(customers, "customers"), eager(funds, "funds")
        problems: list[str] = []
        if schema is None:
            try:
                schema = Schema.infer(
                    *frames[1:],
                    **chosen,
                    currency=currency,
                    name=name,
                )
            except SchemaError as e:
                problems = e.problems
        try:
            arrays = check_log(*frames, schema, tolerance_range=tolerance_range, seed=seed, split=split)
        except SchemaError as e:
            known = set(e.problems)  # a missing key column is found twice
            others = [p for p in problems if p not in known and "column 'fund' is missing" not in p]
            raise SchemaError("The exposure data cannot be used:", e.problems + others) from e
        except DegenerateModelError:
            if not problems:
                raise
            raise SchemaError("The exposure data cannot be used:", problems) from None
        if schema is None:
            raise SchemaError("The exposure data cannot be used:", problems)
        data = cls(*frames, schema, name=name, tolerance_range=tolerance_range, seed=seed, split=split, note=note)
        data.__dict__["arrays"] = arrays  # checked already
        return data

    # -- what others compute with --------------------------------------------------------------------------------
    @cached_property
    def arrays(self) -> LogArrays:
        """The log as arrays of row numbers and outcomes; checked on first use.

        Raises
        ------
        SchemaError, DegenerateModelError
            See :func:`check_log`.
        """
        return check_log(
            self.log,
            self.customers,
            self.funds,
            self.schema,
            tolerance_range=self._tolerance_range,
            seed=self._seed,
            split=self._split,
        )

    @cached_property
    def encoded_customers(self) -> Encoded:
        """Customers encoded by the schema."""
        return self.schema.encode_customers(self.customers)

    @cached_property
    def encoded_funds(self) -> Encoded:
        """Funds encoded by the schema."""
        return self.schema.encode_funds(self.funds)

    @property
    def currency(self) -> str:
        """Unit of amounts and of E."""
        return self.schema.currency

    @property
    def propensity(self) -> np.ndarray | None:
        """(N,) float32, the known probability with which the logged fund was shown; None where it is not known."""
        return self.arrays.propensity

    @property
    def n_customers(self) -> int:
        """U."""
        return len(eager(self.customers, "customers"))

    @property
    def n_funds(self) -> int:
        """F."""
        return len(eager(self.funds, "funds"))

    def module(self, batch_size: int = 512, device: str = "auto", seed: int = 0) -> ExposureModule:
        """The log as a LightningDataModule whose rows live on `device` ("auto", "cpu" or "cuda")."""
        from ptofa_gpu.prediction.data import ExposureModule

        return ExposureModule(
            self.arrays,
            self.encoded_customers,
            self.encoded_funds,
            batch_size=batch_size,
            device=device,
            seed=seed,
            schema=self.schema,
            tolerance=self._sides[0].tolerance,
            risk=self._sides[1].risk,
        )

    def problem(
        self,
        revenue: Any,
        k: Any = None,
        *,
        eligible: Any = None,
        excluded: Any = None,
        missing: Literal["error", "exclude"] = "error",
    ) -> AllocationProblem:
        """The allocation problem of these customers and funds.

        Parameters
        ----------
        revenue : array (U, F), or data frame
            Expected revenue, rows and columns in the order of ``customers`` and ``funds``; or a frame, as in
            :meth:`AllocationProblem.from_frames`.
        k : int, optional
            Slots per customer: 1 unless given here or in the column ``k`` of ``customers``.
        eligible, excluded, missing
            As in :meth:`AllocationProblem.from_frames`.

        Raises
        ------
        SchemaError
            One error that lists everything wrong.
        """
        from ptofa_gpu.allocation.problem import AllocationProblem

        return AllocationProblem.from_frames(
            revenue, self.customers, self.funds, k, eligible=eligible, excluded=excluded, missing=missing
        )

    @cached_property
    def _sides(self) -> tuple[Customers, Funds]:
        """Both frames, read as the check of the log and an allocation read them."""
        problems: list[str] = []
        customers, funds = eager(self.customers, "customers"), eager(self.funds, "funds")
        sides = read_customers(customers, len(funds), problems), read_funds(funds, problems)
        if problems:
            raise SchemaError("The exposure data cannot be used:", problems)
        return sides

    # -- faces ---------------------------------------------------------------------------------------------------
    def fund_table(self) -> list[dict[str, Any]]:
        """One dict a fund, in order: name (its id where it has none), risk, quota, exposures, conversions, amount
        (currency) of the log. The quota of a fund with a range is its high end, None where that is open."""
        a, n = self.arrays, self.n_funds
        funds, names = self._sides[1], self._fund_names
        shown = np.bincount(a.fund, minlength=n)
        converted = np.bincount(a.fund, weights=a.converted, minlength=n)
        amount = np.bincount(a.fund, weights=a.amount.astype(np.float64), minlength=n)
        quota = funds.quota if funds.quota is None or funds.quota.ndim == 1 else funds.quota[:, 1]
        return [
            {
                "name": names[f],
                "risk": None if funds.risk is None else int(funds.risk[f]),
                "quota": None if quota is None or np.isnan(quota[f]) else int(quota[f]),
                "exposures": int(shown[f]),
                "conversions": int(converted[f]),
                "amount": float(amount[f]),
            }
            for f in range(n)
        ]

    def summary(self) -> dict[str, Any]:
        """The data in numbers: rows, customers, funds, conversions and their share, amount, rows a split; and, for each
        feature with such rows, how many have no value or one that the schema does not know. ``never_shown`` names funds
        without an exposure, ``constant`` features that are the same for all customers."""
        a = self.arrays
        return {
            "name": self.name,
            "rows": len(a),
            "customers": self.n_customers,
            "funds": self.n_funds,
            "conversions": a.positives,
            "conversion_rate": a.positives / len(a),
            "amount": float(a.amount.sum(dtype=np.float64)),
            "currency": self.currency,
            "conversions_without_amount": a.zero_amount_conversions,
            "split": {s: int((a.split == i).sum()) for i, s in enumerate(SPLITS)},
            "without_value": self._without_value(),
            "never_shown": self._never_shown(),
            "constant": self._constant(),
            "truth_known": self.truth is not None,
            "propensity_known": a.propensity is not None,
        }

    @property
    def _fund_names(self) -> list[str]:
        names = self._sides[1].names
        assert names is not None  # where they cannot be read, there was an error
        return names

    def _without_value(self) -> dict[str, int]:
        sides = {"customers": self.encoded_customers, "funds": self.encoded_funds}
        return {f"{side}.{name}": n for side, encoded in sides.items() for name, n in encoded.unseen.items()}

    def _never_shown(self) -> list[str]:
        """Names of funds without a log row: a model can only guess them from funds of the same features."""
        shown = np.bincount(self.arrays.fund, minlength=self.n_funds)
        return [self._fund_names[f] for f in np.flatnonzero(shown == 0)]

    def _constant(self) -> list[str]:
        """Customer features that tell no customer from another."""
        encoded, places = self.encoded_customers, {"categorical": 0, "numeric": 0}
        found = []
        for feature in self.schema.customer_features:
            column = getattr(encoded, feature.kind)[:, places[feature.kind]]
            places[feature.kind] += 1
            if len(column) > 1 and (column == column[0]).all():
                found.append(feature.name)
        return found

    def __repr__(self) -> str:
        if "arrays" not in self.__dict__:  # a repr does not start a check of millions of rows
            rows = len(eager(self.log, "log"))
            return f"ExposureData({self.name!r}: {rows:,} rows, {self.n_customers:,} customers, {self.n_funds} funds)"
        s = self.summary()
        lost = s["conversions_without_amount"]
        return (
            f"ExposureData({self.name!r}: {s['rows']:,} rows, {s['customers']:,} customers, {s['funds']} funds, "
            f"{s['conversions']:,} conversions ({s['conversion_rate']:.2%}), "
            f"{s['amount']:,.0f} {self.currency or 'in all'}"
            + (f", {lost:,} conversion{'s' * (lost > 1)} without an amount" if lost else "")
            + "".join(f", {n:,} without a known {what}" for what, n in s["without_value"].items())
            + (f", never shown: {', '.join(s['never_shown'][:_FUNDS_SHOWN])}" if s["never_shown"] else "")
            + ")"
        )

    def _repr_html_(self) -> str:
        s, table = self.summary(), self.fund_table()
        # names of ours are words in small letters, for files; a heading is for readers
        title = self.name.replace("-", " ").upper() if self.name in ("lct-a", "lct-b") else self.name
        unit = html.escape(self.currency)
        facts = {
            "exposures": f"{s['rows']:,}",
            "customers": f"{s['customers']:,}",
            "funds": f"{s['funds']:,}",
            "conversions": f"{s['conversions']:,} ({s['conversion_rate']:.2%})",
            "amount": f"{s['amount']:,.0f} {unit}",
            "split": ", ".join(f"{name} {n:,}" for name, n in s["split"].items()),
        }
        if s["conversions_without_amount"]:
            facts["conversions without an amount"] = f"{s['conversions_without_amount']:,}"
        if s["without_value"]:
            facts["without a known value"] = ", ".join(
                f"{html.escape(what)} {n:,}" for what, n in s["without_value"].items()
            )
        for key, words in (("never_shown", "funds never shown"), ("constant", "features without differences")):
            if s[key]:
                facts[words] = html.escape(", ".join(s[key][:_FUNDS_SHOWN]))
        if s["truth_known"]:
            facts["truth"] = "known for all pairs (synthetic)"
        if s["propensity_known"]:
            facts["propensity"] = "known"
        head = "".join(f"<tr><th scope='row'>{k}</th><td>{v}</td></tr>" for k, v in facts.items())
        body = "".join(
            f"<tr><th scope='row'>{html.escape(f['name'])}</th><td>{_number(f['risk'])}</td>"
            f"<td>{_number(f['quota'])}</td><td>{f['exposures']:,}</td><td>{f['conversions']:,}</td>"
            f"<td>{f['amount']:,.0f}</td></tr>"
            for f in table[:_FUNDS_SHOWN]
        )
        titles = ("fund", "risk", "quota", "exposures", "conversions", f"amount ({unit})" if unit else "amount")
        columns = "".join(f"<th scope='col'>{title}</th>" for title in titles)
        more = f"<p>... and {len(table) - _FUNDS_SHOWN} more funds</p>" if len(table) > _FUNDS_SHOWN else ""
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return (
            f"<div class='ptofa-data'><p><b>Exposure data: {html.escape(title)}</b></p>{note}<table>{head}</table>"
            f"<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>{more}</div>"
        )


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
