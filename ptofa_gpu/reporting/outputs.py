"""What a notebook leaves beside its page: figures, tables, the plan, and the summary for the report's front."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ptofa_gpu._arguments import flag, instance, path_of, refused
from ptofa_gpu._files import atomic_path
from ptofa_gpu._text import shown
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import allocation_plan
from ptofa_gpu.reporting.style import MISSING, short_number

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.reporting.chart import Chart

SUMMARY_FILE = "summary.json"
State = Literal["good", "warning", "bad"]
# what Python writes for a number that is none, with or without a unit behind it
_NO_NUMBER = re.compile(r"[+\-\u2212]?(?:nan|inf|infinity)(?:\s*%|\s.*)?", re.DOTALL)
_CHART_NAME = re.compile(r"[\w-]*")
_FILE_NAME = re.compile(r"[\w-][\w .-]{0,199}")


@dataclass(frozen=True)
class Figure:
    """One number of the summary, ready to be read; a bare number is written in four digits where it is recorded."""

    label: str
    value: str | float
    note: str = ""


@dataclass(frozen=True)
class Check:
    """Something that was checked, and how it came out."""

    text: str
    state: State = "good"


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

    def checked(self) -> Summary:
        """Return the summary as a page can show it: numbers as text, and a dash for those that are not finite.

        Raises
        ------
        InputError
            Something is of another type than the page needs; says which part.
        """
        figures = [
            Figure(
                _text(f.label, "the label of a figure"),
                _value(f.value, f"the value of figure {f.label!r}"),
                _text(f.note, f"the note of figure {f.label!r}"),
            )
            for f in _all(self.figures, Figure, "figures")
        ]
        checks = []
        for check in _all(self.checks, Check, "checks"):
            if check.state not in get_args(State):
                known = ", ".join(map(repr, get_args(State)))
                raise InputError(
                    f"summary: the state of check {check.text!r} must be one of {known}, {_got(check.state)}"
                )
            checks.append(Check(_text(check.text, "the text of a check"), check.state))
        chart = _text(self.chart, "chart")
        if not _CHART_NAME.fullmatch(chart):
            raise InputError(f"summary: chart must be the name of a chart that was kept, {_got(chart)}")
        return Summary(
            _text(self.title, "title"),
            _text(self.decision, "decision"),
            figures,
            checks,
            [_text(c, "a caveat") for c in _all(self.caveats, object, "caveats")],
            chart,
            flag("summary: lead", self.lead),
        )

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Read what `Outputs.summary` wrote.

        Raises
        ------
        InputError
            It is no such text.
        """
        try:
            raw = dict(json.loads(text))
            raw["figures"] = [Figure(**f) for f in raw.get("figures", ())]
            raw["checks"] = [Check(**c) for c in raw.get("checks", ())]
            return cls(**raw).checked()
        except (TypeError, ValueError, AttributeError, RecursionError) as e:
            if isinstance(e, InputError):
                raise
            raise InputError(f"it is no summary of ours: {e}") from e


def read_summary(folder: Path) -> Summary | None:
    """Return the summary that a notebook left in `folder`, or None where it left none.

    Raises
    ------
    InputError
        The file is there and cannot be read.
    """
    path = folder / SUMMARY_FILE
    try:
        return Summary.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError) as e:
        raise InputError(f"{folder.name}/{SUMMARY_FILE} cannot be read: {e}. Write it with Outputs.summary.") from e


class Outputs:
    """The folder a notebook writes into: charts as PNG and SVG, tables as CSV, plans as Parquet.

    Parameters
    ----------
    folder : path
        Made when first written to.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = path_of("folder", folder)

    def chart(self, chart: Chart) -> Chart:
        """Keep a chart, and its description for the report; returns it, so that a cell can end with this call."""
        _chart(chart).save(self.folder)
        with atomic_path(self.folder / f"{chart.name}.alt.txt") as partial:
            partial.write_text(chart.alt, encoding="utf-8")
        return chart

    def table(self, frame: Any, name: str) -> Any:
        """Keep a pandas data frame, or anything with ``to_frame()``, as ``name.csv``; returns what was given.

        A CSV keeps text as it is written. A name that starts with ``=``, ``+``, ``-`` or ``@`` is a formula to a
        spreadsheet that opens the file: import such columns as text there.
        """
        data = frame.to_frame() if hasattr(frame, "to_frame") and not isinstance(frame, type) else frame
        if not hasattr(data, "to_csv") or isinstance(data, type):
            raise InputError(f"table {name!r}: cannot write a {type(data).__name__} as CSV; give a pandas data frame")
        with atomic_path(self.folder / f"{_file_name(name)}.csv") as partial:
            data.to_csv(partial, index=False)
        return frame

    def plan(self, plan: AllocationPlan, name: str = "plan") -> AllocationPlan:
        """Keep a plan as ``name.parquet``; it is verified first, so that no broken plan leaves the notebook."""
        allocation_plan(plan).verify()
        plan.to_parquet(self.folder / f"{_file_name(name)}.parquet")
        return plan

    def summary(self, summary: Summary) -> None:
        """Keep the summary for the front of the report.

        Raises
        ------
        InputError
            A part of it is of another type than the page can show.
        """
        text = json.dumps(asdict(instance("summary", summary, Summary).checked()), indent=2, ensure_ascii=False)
        with atomic_path(self.folder / SUMMARY_FILE) as partial:
            partial.write_text(text, encoding="utf-8")


def _file_name(name: Any) -> str:
    """A name that becomes a file's, in the folder and nowhere else."""
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
        raise refused("name", name, "the name of a file without its ending: letters, digits, hyphens, dots")
    return name


def _chart(chart: Any) -> Chart:
    from ptofa_gpu.reporting.chart import Chart

    return instance("chart", chart, Chart)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"summary: {what} must be text, {_got(value)}")
    # half of a surrogate pair can stand in a Python string, and in no file
    return str(value).encode("utf-8", "backslashreplace").decode()


def _value(value: Any, what: str) -> str:
    if isinstance(value, Real) and not isinstance(value, bool):
        return short_number(float(value))
    text = _text(value, what)
    return MISSING if _NO_NUMBER.fullmatch(text.strip()) else text


def _all(values: Any, kind: type, what: str) -> Sequence[Any]:
    if not isinstance(values, list | tuple) or not all(isinstance(v, kind) for v in values):
        raise InputError(
            f"summary: {what} must be a list{'' if kind is object else f' of {kind.__name__}'}, {_got(values)}"
        )
    return values


def _got(value: Any) -> str:
    words = shown(value)
    return f"got {words}" if words.endswith(")") else f"got {words} ({type(value).__name__})"
