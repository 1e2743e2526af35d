"""The folder that a training lies in while it is under way, and stays in when it ends early, to be gone on with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ptofa_gpu._files import atomic_path, hold, make_folder, sweep
from ptofa_gpu.errors import DegenerateModelError, InputError

_FACTS = "run.json"
#: The names `fit` gives its checkpoints, without importing torch for them.
BEST, LAST = "best.ckpt", "last.ckpt"


def facts_of(options: Mapping[str, Any], inputs: Mapping[str, Path]) -> dict[str, str]:
    """What decides every bit of a training: the version, the options, and what is in the files."""
    from ptofa_gpu import __version__

    digests = {f"the content of {name}": _digest(path) for name, path in inputs.items()}
    return {"ptofa-gpu": __version__, **{name: str(value) for name, value in options.items()}, **digests}


def check_run(folder: Path, facts: Mapping[str, str], *, resume: bool, fresh: bool) -> None:
    """Raise `InputError` where a run cannot begin in `folder`, or cannot be gone on with.

    An unfinished run there may be hours of work: it is gone on with or replaced as it is said, never by a guess.
    """
    if not (folder / LAST).is_file():
        if resume:
            raise InputError(f"there is no run to go on with in {folder}: train without --resume.")
        return
    if not resume:
        if fresh:
            return
        raise InputError(f"{folder} holds an unfinished run. Go on with it by --resume, or replace it by --fresh.")
    try:
        begun = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise InputError(f"{folder / _FACTS} cannot be read ({e}): train anew with --fresh.") from e
    if not isinstance(begun, dict):
        raise InputError(f"{folder / _FACTS} does not say how the run was begun: train anew with --fresh.")
    if begun != facts:
        other = [name for name in {**facts, **begun} if begun.get(name) != facts.get(name)]
        said = [n if n.startswith("the content") else f"{n} (it was {begun.get(n)})" for n in other]
        raise InputError(
            f"the run in {folder} was begun with something else: {', '.join(said)}. Go on as it was begun, or train "
            "anew with --fresh."
        )


@contextmanager
def run_folder(folder: Path, facts: Mapping[str, str], *, resume: bool) -> Iterator[Path]:
    """Yield `folder`, which no other process has meanwhile; it is removed unless there is something to go on from.

    Raises
    ------
    InputError
        Another process trains there.
    """
    make_folder(folder)
    lock = os.open(folder, os.O_RDONLY)
    try:
        if not hold(lock):
            raise InputError(f"another run trains in {folder}: wait for it, or choose another --run-dir.")
        sweep(folder)
        if not resume:
            _clear(folder)
        with atomic_path(folder / _FACTS) as partial:
            partial.write_text(json.dumps(facts, indent=2), encoding="utf-8")
        keep = False
        try:
            yield folder
        except (InputError, DegenerateModelError):  # it would end so again
            raise
        except BaseException:
            keep = (folder / LAST).is_file()
            raise
        finally:
            if not keep:
                _clear(folder)
                with suppress(OSError):  # somebody else's files are in it, too
                    folder.rmdir()
    finally:
        os.close(lock)


def _clear(folder: Path) -> None:
    for name in (LAST, BEST, _FACTS):
        (folder / name).unlink(missing_ok=True)


def _digest(path: Path) -> str:
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
    digests = []
    for file in files:
        with file.open("rb") as f:
            digests.append(f"{file.relative_to(path)} {hashlib.file_digest(f, 'blake2b').hexdigest()}")
    return hashlib.blake2b("\n".join(digests).encode(errors="surrogateescape"), digest_size=16).hexdigest()
