"""`run.json` and the notes on finished notebooks, read strictly: what is damaged is as good as not there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

RUN_FILE = "run.json"


class StoredNotebook(BaseModel):
    """One notebook of a report, as `run.json` and its own note have it; names that later versions add are let be."""

    model_config = ConfigDict(strict=True, extra="ignore")

    name: Annotated[str, Field(pattern=r"^[^/\\\x00]+$", max_length=200)]
    title: str
    parameters: dict[str, Any]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    sha256: str
    fingerprint: str
    status: Literal["ok", "failed"] = "ok"
    error: str = ""
    traceback: list[str] = []
    kept: bool = False


class _StoredReport(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    ptofa_gpu: str
    notebooks: list[Any] = []


def read_note(path: Path) -> StoredNotebook | None:
    """The note on a finished notebook, or None where there is none that can be read."""
    try:
        return StoredNotebook.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def read_run(folder: Path) -> list[StoredNotebook] | None:
    """The notebooks of the report in `folder`, those that can be read; None where `folder` is no report of ours."""
    try:
        stored = _StoredReport.model_validate_json((folder / RUN_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    found = []
    for entry in stored.notebooks:
        try:
            found.append(StoredNotebook.model_validate(entry))
        except ValidationError:  # of an earlier version, or damaged: that notebook runs again
            continue
    return found
