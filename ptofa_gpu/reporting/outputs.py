"""What a notebook leaves beside its page: figures, tables, the plan, and the summary for the report's front."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ptofa_gpu._files import atomic_path
from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.reporting.chart import Chart

SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class Figure:
    """One number of the summary, ready to be read."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Check:
    """Something that was checked, and how it came out."""

    text: str
    state: Literal["good", "warning", "bad"] = "good"


@dataclass
class Summary:
    """What a manager reads first. Plain text throughout; it is escaped where it becomes HTML.

    Attributes
    ----------
    title : str
    decision : str
        What was decided, in a sentence.
    figures : list of Figure
    checks : list of Check
        Feasibility, the certificate, and the like.
    caveats : list of str
    chart : str
        Name of the chart that goes with it.
    lead : bool
        It is the decision that the report is about: it stands before the others.
    """

    title: str
    decision: str
    figures: list[Figure] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    caveats: list[str] = field(default_factory=list)
    chart: str = ""
    lead: bool = False

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Read what `Outputs.summary` wrote."""
        raw = json.loads(text)
        raw["figures"] = [Figure(**f) for f in raw["figures"]]
        raw["checks"] = [Check(**c) for c in raw["checks"]]
        return cls(**raw)


class Outputs:
    """The folder a notebook writes into: charts as PNG and SVG, tables as CSV, plans as Parquet.

    Parameters
    ----------
    folder : path
        Made when first written to.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)

    def chart(self, chart: Chart) -> Chart:
        """Keep a chart, and its description for the report; returns it, so that a cell can end with this call."""
        chart.save(self.folder)
        with atomic_path(self.folder / f"{chart.name}.alt.txt") as partial:
            partial.write_text(chart.alt, encoding="utf-8")
        return chart

    def table(self, frame: Any, name: str) -> Any:
        """Keep a pandas data frame, or anything with ``to_frame()``, as ``name.csv``; returns what was given."""
        data = frame.to_frame() if hasattr(frame, "to_frame") else frame
        if not hasattr(data, "to_csv"):
            raise InputError(f"table {name!r}: cannot write a {type(data).__name__} as CSV; give a pandas data frame")
        with atomic_path(self.folder / f"{name}.csv") as partial:
            data.to_csv(partial, index=False)
        return frame

    def plan(self, plan: AllocationPlan, name: str = "plan") -> AllocationPlan:
        """Keep a plan as ``name.parquet``; it is verified first, so that no broken plan leaves the notebook."""
        plan.verify()
        self.folder.mkdir(parents=True, exist_ok=True)
        plan.to_parquet(self.folder / f"{name}.parquet")
        return plan

    def summary(self, summary: Summary) -> None:
        """Keep the summary for the front of the report."""
        with atomic_path(self.folder / SUMMARY_FILE) as partial:
            partial.write_text(json.dumps(_plain(asdict(summary)), indent=2, ensure_ascii=False), encoding="utf-8")


def _plain(value: Any) -> Any:
    """JSON has no NaN: what is not a number becomes null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
