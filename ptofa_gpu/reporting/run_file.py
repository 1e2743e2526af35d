"""`run.json` and the notes on finished notebooks, read strictly: what is damaged is as good as not there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ptofa_gpu.errors import InputError
from ptofa_gpu.reporting.seal import open_plain

RUN_FILE = "run.json"
#: endings that files of a report have: a notebook's folder is called as the notebook, and must not meet one of them
_ENDINGS = (".ipynb", ".html", ".json")
_LONGEST_NAME = 200


def notebook_name(name: str) -> str:
    """Return the name of a notebook, if its files can be called so in a report's folder and stay in it.

    Raises
    ------
    InputError
        It is empty, leads out of the folder, is hidden, or is the name of another file there.
    """
    advice = "rename it, as its files in the report are called so too"
    if not name.strip() or name.startswith("."):
        raise InputError(
            f"a notebook cannot be called {name!r}: the name must not be empty or start with a dot; {advice}"
        )
    if not name.isprintable() or any(sign in name for sign in "/\\:"):
        raise InputError(f"a notebook cannot be called {name!r}: it holds a slash, a colon or a control sign; {advice}")
    if name.lower().endswith(_ENDINGS) or name.lower() == "index" or len(name.encode()) > _LONGEST_NAME:
        raise InputError(
            f"a notebook cannot be called {name!r}: it is too long, or may be the name of another file of the report; "
            f"{advice}"
        )
    return name


class StoredNotebook(BaseModel):
    """One notebook of a report, as `run.json` and its own note have it; names that later versions add are let be."""

    model_config = ConfigDict(strict=True, extra="ignore")

    name: Annotated[str, AfterValidator(notebook_name)]
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
        with open_plain(path) as file:
            return StoredNotebook.model_validate_json(file.read())
    except (OSError, ValidationError):
        return None


def read_run(folder: Path) -> list[StoredNotebook] | None:
    """The notebooks of the report in `folder`, those that can be read; None where `folder` is no report of ours."""
    try:
        with open_plain(folder / RUN_FILE) as file:
            stored = _StoredReport.model_validate_json(file.read())
    except (OSError, ValidationError):
        return None
    found = []
    for entry in stored.notebooks:
        try:
            found.append(StoredNotebook.model_validate(entry))
        except ValidationError:  # of an earlier version, or damaged: that notebook runs again
            continue
    return found
