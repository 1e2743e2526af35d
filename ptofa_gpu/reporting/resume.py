"""What a finished notebook was made from, so that a later run knows whether it has to be run again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import ptofa_gpu
from ptofa_gpu._files import atomic_path
from ptofa_gpu.reporting.folder import DONE_SUFFIX, LOCK
from ptofa_gpu.reporting.run_file import RUN_FILE, StoredNotebook, read_note, read_run
from ptofa_gpu.reporting.seal import listed_files, seal, unchanged, write_manifest

_SOURCES = (".py", ".cu", ".cuh", ".j2", ".css")
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Done:
    """One notebook of a report that ran, well or not."""

    name: str
    title: str
    parameters: dict[str, Any]
    seconds: float
    sha256: str
    #: of everything the notebook was made from; a run with the same one need not be repeated
    fingerprint: str
    status: Literal["ok", "failed"] = "ok"
    #: of a failed notebook: what went wrong, and the last lines of its traceback
    error: str = ""
    traceback: list[str] = field(default_factory=list)
    #: taken over from an earlier run
    kept: bool = False


def fingerprint(source: Path, parameters: Mapping[str, Any], inputs: Iterable[Path | None], versions: Any) -> str:
    """Hash what decides a notebook's result.

    That is its text, its parameters, the files it reads, the package's own code, kernels and templates, and the
    versions and the device below it. What a notebook reads in other ways, such as a path in its code, is not seen.

    Parameters
    ----------
    source : Path
        The notebook.
    parameters : mapping
        Its parameters' values.
    inputs : iterable of Path or None
        Files and folders that it reads, in an order that stays; their contents count, not where they lie. None stands
        for a file that is not on this machine.
    versions : JSON-like
        Versions and device that results depend on.
    """
    digest = hashlib.sha256()
    facts = [ptofa_gpu.__version__, _package(), dict(parameters), versions]
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    for path in (source, *inputs):
        digest.update(b"\0" + (b"none" if path is None else _contents(path)))
    # sealed: parameters may be secret, and a plain hash of everything else and a password could be searched for it
    return seal("fingerprint", digest.hexdigest())


def files_read_by(code: str) -> list[Path | None]:
    """Return the files that the package reads for a notebook with this `code`, beside those its parameters name.

    Those are the public data sets, None for one that is not on this machine, and the benchmark results that travel
    with the project.
    """
    from ptofa_gpu._files import asset_dir
    from ptofa_gpu.datasets._fetch import local_copy
    from ptofa_gpu.datasets.cdnow import FILE as CDNOW
    from ptofa_gpu.datasets.hillstrom import FILE as HILLSTROM

    found = [local_copy(file) for name, file in (("hillstrom", HILLSTROM), ("cdnow", CDNOW)) if name in code]
    if "kept_results" in code:
        found.append(asset_dir("results"))
    return found


def _contents(path: Path) -> bytes:
    """Hash a file, or all files of a folder with their names in it."""
    if not path.is_dir():
        return _content(path, path.stat().st_size, path.stat().st_mtime_ns).encode()
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return b"".join(p.relative_to(path).as_posix().encode() + b"\0" + _contents(p) for p in files)


@cache
def _content(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@cache
def _package() -> str:
    """Hash the package's own code: between two releases the version stands still and the code does not."""
    from ptofa_gpu._files import asset_dir

    digest = hashlib.sha256()
    for folder in (Path(ptofa_gpu.__file__).parent, asset_dir("kernels"), asset_dir("templates")):
        for path in sorted(p for p in folder.rglob("*") if p.suffix in _SOURCES):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def mark_done(folder: Path, done: Done) -> None:
    """Write down in an unfinished folder that a notebook's files there are whole."""
    with atomic_path(folder / f"{done.name}{DONE_SUFFIX}") as partial:
        partial.write_text(json.dumps(asdict(done), ensure_ascii=False), encoding="utf-8")
    write_manifest(folder, but=(LOCK,))


def take_over(partial: Path, target: Path, prints: Mapping[str, str]) -> dict[str, Done]:
    """Keep in `partial` the notebooks that need no new run, from an interrupted run there or the report in `target`.

    Only files count that this account wrote and nobody changed since.

    Parameters
    ----------
    partial : Path
        The folder a report grows in; all else in it is removed.
    target : Path
        An earlier report, or nothing.
    prints : mapping of str to str
        Name to fingerprint of the notebooks wanted now.

    Returns
    -------
    dict of str to Done
        The notebooks whose files now lie in `partial`.
    """
    kept: dict[str, Done] = {}
    listed = listed_files(partial, by_this_account=True) or {}
    for marker in partial.glob(f"*{DONE_SUFFIX}"):
        done = _done(read_note(marker))
        if done is not None and marker.name in listed and _wanted(done, prints) and _whole(partial, done.name, listed):
            kept[done.name] = done
    files = {f"{name}{ending}" for name in kept for ending in ("", ".ipynb", DONE_SUFFIX)}
    for path in partial.iterdir():
        if path.name not in files and path.name != LOCK:
            _remove(path)
    listed = listed_files(target, by_this_account=True) or {}
    for entry in read_run(target) or []:
        done = _done(entry)
        if done is None or done.name in kept or not _wanted(done, prints) or RUN_FILE not in listed:
            continue
        if not unchanged(target, RUN_FILE, listed[RUN_FILE]) or not _whole(target, done.name, listed):
            continue
        for name in _of(done.name, listed):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target / name, partial / name, follow_symlinks=False)
        if not _whole(partial, done.name, listed):  # somebody changed them meanwhile
            for name in _of(done.name, listed):
                _remove(partial / name)
            continue
        mark_done(partial, done)
        kept[done.name] = done
    return {name: Done(**{**asdict(done), "kept": True}) for name, done in kept.items()}


def _done(note: StoredNotebook | None) -> Done | None:
    return None if note is None else Done(**note.model_dump())


def _wanted(done: Done, prints: Mapping[str, str]) -> bool:
    return done.status == "ok" and prints.get(done.name) == done.fingerprint


def _of(name: str, listed: Mapping[str, str]) -> list[str]:
    """The files that the notebook `name` left: itself as executed, and its folder."""
    return [path for path in listed if path == f"{name}.ipynb" or path.startswith(f"{name}/")]


def _whole(folder: Path, name: str, listed: Mapping[str, str]) -> bool:
    """Whether all files that the notebook `name` left in `folder` are there as they are listed."""
    return f"{name}.ipynb" in listed and all(unchanged(folder, path, listed[path]) for path in _of(name, listed))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
