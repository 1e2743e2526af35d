"""Benchmark results as tables for a page: what was measured now, how close to the memory's speed, and what is kept."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptofa_gpu._files import asset_dir
from ptofa_gpu.evaluation._table import html_table, percent
from ptofa_gpu.reporting.style import method_label, short_number

if TYPE_CHECKING:
    from ptofa_gpu.bench.allocation import Cell


@dataclass(frozen=True)
class SpeedTable:
    """Rows of `ptofa_gpu.bench.allocation.run`, and what was left out.

    Attributes
    ----------
    rows : sequence of mapping
        With the columns of `ptofa_gpu.bench.record.COLUMNS`.
    skipped : sequence of (instance, method, reason)
    """

    rows: Sequence[Mapping[str, Any]]
    skipped: Sequence[tuple[str, str, str]] = ()

    @classmethod
    def from_cells(cls, cells: Iterable[Cell]) -> SpeedTable:
        """Take what `ptofa_gpu.bench.allocation.run` returned."""
        cells = list(cells)
        return cls(
            [c.row for c in cells if c.row], [(str(c.instance), c.method, c.skipped) for c in cells if c.skipped]
        )

    @property
    def largest(self) -> list[Mapping[str, Any]]:
        """Rows of the instance with the most customers."""
        most = max((int(r["customers"]) for r in self.rows), default=0)
        return [r for r in self.rows if int(r["customers"]) == most]

    def to_frame(self) -> Any:
        """Return the rows as a pandas data frame."""
        import pandas as pd

        return pd.DataFrame(list(self.rows))

    def reads(self, row: Mapping[str, Any]) -> float | None:
        """Return the seconds of `row` in units of the quickest pass over E that any row's process saw.

        Each process measures that pass, and what else the machine did at the time only ever made it look slower.
        """
        key = ("customers", "funds", "device")
        same = [r for r in self.rows if all(str(r[k]) == str(row[k]) for k in key)]
        passes = [float(r["read_seconds"]) for r in same if r.get("read_seconds") not in (None, "")]
        return None if not passes or row["seconds"] in (None, "") else float(row["seconds"]) / min(passes)

    def roofline(self) -> RoofTable:
        """Return the share of the memory's speed that each row of the largest instance reaches."""
        return RoofTable(self.largest)

    def _repr_html_(self) -> str:
        r = self.rows
        text = html_table(
            {
                "customers x funds": [f"{int(x['customers']):,} x {x['funds']}" for x in r],
                "method": [method_label(str(x["method"])) for x in r],
                "seconds": [_number(x["seconds"]) for x in r],
                "reads of E": [_number(self.reads(x)) for x in r],
                "share of optimum": [_share(x) for x in r],
                "empty slots": [_number(x["unfilled"]) for x in r],
                "peak MiB": [_number(x["peak_MiB"]) for x in r],
                "status": [str(x["status"]) for x in r],
            },
            caption=f"Medians of repeated solves on {r[0]['device']}, {r[0]['cores']} cores." if r else "",
            text=("method", "status"),
        )
        if not self.skipped:
            return text
        where, what, why = zip(*self.skipped)
        return text + html_table(
            {"left out": list(where), "method": list(what), "because": list(why)},
            text=("left out", "method", "because"),
        )


@dataclass(frozen=True)
class RoofTable:
    """How far rows are from reading E and writing the plan once at the memory's speed."""

    rows: Sequence[Mapping[str, Any]]

    def _repr_html_(self) -> str:
        r = [x for x in self.rows if x.get("roofline") not in (None, "")]
        if not r:
            return "<p>The speed of the memory was not measured for these rows.</p>"
        # each process measured the memory; what else the machine did at the time only ever made it look slower
        speed = {d: max(float(x["memory_GBps"]) for x in r if x["device"] == d) for d in {x["device"] for x in r}}
        share = [float(x["roofline"]) * float(x["memory_GBps"]) / speed[x["device"]] for x in r]
        memory = ", ".join(f"{_number(v)} GB/s on {d}" for d, v in sorted(speed.items()))
        return html_table(
            {
                "method": [method_label(str(x["method"])) for x in r],
                "device": [str(x["device"]) for x in r],
                "seconds": [_number(x["seconds"]) for x in r],
                "share of the roof": [percent(s, 2) for s in share],
            },
            caption=f"100 %: one pass over the data at the speed of the memory ({memory}).",
            text=("method", "device"),
        )


@dataclass(frozen=True)
class KeptResults:
    """Results that travel with the project."""

    rows: Sequence[Mapping[str, str]]

    def to_frame(self) -> Any:
        """Return the rows as a pandas data frame."""
        import pandas as pd

        return pd.DataFrame(list(self.rows))

    def _repr_html_(self) -> str:
        r = self.rows
        return html_table(
            {
                "date": [x["date"][:10] for x in r],
                "device": [x["device"] for x in r],
                "customers x funds": [f"{int(x['customers']):,} x {x['funds']}" for x in r],
                "k": [x["k"] for x in r],
                "method": [method_label(x["method"]) for x in r],
                "seconds": [_number(x["seconds"]) for x in r],
                "reads of E": [_number(x.get("reads_of_E")) for x in r],
            },
            text=("date", "device", "method"),
        )


def kept_results() -> KeptResults | None:
    """Return the allocators' results kept in ``benchmarks/results``; None where there are none.

    Of each machine, instance and method the latest; instances with tied revenue are left out.
    """
    latest: dict[tuple[str, ...], Mapping[str, str]] = {}
    for path in sorted(asset_dir("results").glob("allocation-*.csv")):
        with path.open(newline="", encoding="utf-8") as f:
            for row in csv.DictReader(f):
                if row.get("seconds") and row["ties"] == "none":
                    latest[path.name, *(row[k] for k in ("customers", "funds", "k", "seed", "method"))] = row
    rows = sorted(latest.values(), key=lambda r: (r["device"], int(r["funds"]), int(r["k"]), int(r["customers"])))
    return KeptResults(rows) if rows else None


def _number(value: Any) -> str:
    return "—" if value in (None, "") else short_number(float(value))


def _share(row: Mapping[str, Any]) -> str:
    if row["share"] in (None, ""):
        return "—"
    broken = row["over_quota"] not in (None, "") and int(float(row["over_quota"])) > 0
    return "— (breaks quotas)" if broken else percent(float(row["share"]), 4)
