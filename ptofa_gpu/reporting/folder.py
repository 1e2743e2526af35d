"""The folder of a report: it has its name once it is whole, and what an interrupted run finished is kept beside it.

It may lie where others write too. Until it is whole it has a name that nobody can guess and is closed to others; no
link is followed; and of an earlier report only those files go that its manifest lists, as it lists them.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ptofa_gpu._files import make_folder
from ptofa_gpu.errors import InputError, ReportError
from ptofa_gpu.reporting.run_file import read_run
from ptofa_gpu.reporting.seal import MANIFEST, listed_files, ours, seal, sealed, unchanged, write_manifest

try:
    import fcntl
except ImportError:  # Windows has another way to lock a file
    fcntl = None  # type: ignore[assignment]

#: in a folder that is not whole yet: what is known of each notebook that is done, one file each
DONE_SUFFIX = ".done.json"
LOCK = ".lock"
_OTHER = "another run is writing {}: wait for it, or choose another --output"


def check_output(target: Path) -> Path:
    """Return `target` as an absolute path, if a report may lie there.

    Raises
    ------
    InputError
        It is a file, a link, another account's folder, or a folder that holds something and no report of ours.
    """
    target = target.absolute()
    if not target.name:
        raise InputError(f"{target} cannot be a report's folder; choose another --output")
    if not os.path.lexists(target):
        return target
    facts = os.lstat(target)
    if not stat.S_ISDIR(facts.st_mode):
        raise InputError(f"{target} is not a folder; choose another --output")
    if not ours(facts):
        raise InputError(f"{target} belongs to another account; choose another --output")
    if any(target.iterdir()) and (read_run(target) is None or listed_files(target) is None):
        raise InputError(
            f"{target} holds files that are no report of ours, and a report would replace them; choose another --output"
        )
    return target


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield the folder that a report grows in; it takes the name of `target` when the block ends well.

    When the block ends by an error, or the process is killed, the folder stays if a notebook in it is done, for the
    next run to go on from; else it vanishes. Files of the user's own in an earlier report are moved into the new one.

    Raises
    ------
    ReportError
        Another process is writing this report.
    """
    make_folder(target.parent)
    with ExitStack() as locks:
        partial = _interrupted(target, locks) or _begin(target, locks)
        try:
            yield partial
            _publish(partial, target)
        finally:
            if partial.is_dir() and not any(partial.glob(f"*{DONE_SUFFIX}")):
                shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, target: Path) -> None:
    check_output(target)  # notebooks took their time, and others may write beside the report
    for marker in partial.glob(f"*{DONE_SUFFIX}"):
        marker.unlink()
    _drop_links(partial)
    write_manifest(partial, but=(LOCK,))
    (partial / LOCK).unlink()
    umask = os.umask(0)
    os.umask(umask)
    partial.chmod(0o777 & ~umask)  # mkdtemp makes folders private; a report is as readable as any other folder
    if not os.path.lexists(target):
        partial.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    target.rename(old / "report")
    partial.rename(target)
    _move_own_files(old / "report", target)
    old.rmdir()


def _move_own_files(old: Path, new: Path) -> None:
    """Take away what the manifest of `old` lists; move everything else into `new`, and nothing over something."""
    listed = listed_files(old) or {}
    for name, digest in listed.items():
        if _inside(old, name) and unchanged(old, name, digest):
            (old / name).unlink()
    (old / MANIFEST).unlink(missing_ok=True)
    for place, folders, files in os.walk(old, topdown=False):  # follows no link
        here = Path(place)
        for name in [*files, *(f for f in folders if (here / f).is_symlink())]:
            (here / name).rename(_free(_folder(new, here.relative_to(old)) / name))
        here.rmdir()


def _folder(new: Path, way: Path) -> Path:
    """Make the folder `way` below `new`; where a file of the new report has a part's name, under another name."""
    found = new
    for part in way.parts:
        wanted, found = found / part, found / part
        while os.path.lexists(found) and (found.is_symlink() or not found.is_dir()):
            found = _next(wanted, found)
        found.mkdir(exist_ok=True)
    return found


def _inside(folder: Path, name: str) -> bool:
    """Whether `name` leads to something below `folder` without going up or through a link."""
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        return False
    return not any((folder / Path(*parts[:i])).is_symlink() for i in range(1, len(parts)))


def _free(path: Path) -> Path:
    """Return `path`, or, where the new report has a file of this name, the same with ``.earlier`` in its name."""
    found = path
    while os.path.lexists(found):
        found = _next(path, found)
    return found


def _next(path: Path, tried: Path) -> Path:
    number = int(tried.stem.rpartition(".earlier")[2] or 1) + 1 if tried != path else 1
    return path.with_name(f"{path.stem}.earlier{'' if number == 1 else number}{path.suffix}")


def _drop_links(folder: Path) -> None:
    """A report is passed on: a link in it would lead elsewhere there."""
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if os.path.islink(os.path.join(place, name)):
                os.unlink(os.path.join(place, name))


def _begin(target: Path, locks: ExitStack) -> Path:
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        if not locks.enter_context(_lock(partial / LOCK, os.O_CREAT | os.O_EXCL)):
            raise ReportError(_OTHER.format(target))
        (partial / LOCK).write_text(_proof(partial, target), encoding="utf-8")
        if any(not _ended(other) for other in _beside(target) if other != partial):
            raise ReportError(_OTHER.format(target))  # it began in the same moment
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return partial


def _interrupted(target: Path, locks: ExitStack) -> Path | None:
    """The folder of a run of this account for `target` that ended before its time, locked; None if there is none.

    Raises
    ------
    ReportError
        The run has not ended.
    """
    for folder in _beside(target):
        if not locks.enter_context(_lock(folder / LOCK)):
            raise ReportError(_OTHER.format(target))
        return folder
    return None


def _beside(target: Path) -> Iterator[Path]:
    """Folders that this account made for a report in `target`, proved by what only it can have written into them."""
    for folder in sorted(target.parent.iterdir()):
        if not (folder.name.startswith(f".{target.name}.") and folder.name.endswith(".part")):
            continue
        try:
            facts = os.lstat(folder)
            if stat.S_ISDIR(facts.st_mode) and ours(facts) and not facts.st_mode & 0o077:
                lock = folder / LOCK
                if not lock.is_symlink() and sealed(lock.read_text(encoding="utf-8"), *_facts(folder, target)):
                    yield folder
        except (OSError, ValueError):
            continue  # it vanished, or is not for us to read


def _facts(folder: Path, target: Path) -> list[object]:
    """What makes a folder this one: its place on the disk, which no copy has, and the report it is for."""
    facts = os.lstat(folder)
    return ["unfinished", facts.st_dev, facts.st_ino, target.name]


def _proof(folder: Path, target: Path) -> str:
    return seal(*_facts(folder, target))


def _ended(folder: Path) -> bool:
    with _lock(folder / LOCK) as free:
        return free


@contextmanager
def _lock(path: Path, how: int = 0) -> Iterator[bool]:
    """Hold `path` for this process; yields False where another process holds it. A dead process holds nothing."""
    try:
        file = os.open(path, os.O_RDWR | how | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except FileNotFoundError:
        yield False  # its run is just taking it away
        return
    with os.fdopen(file, "rb+"):
        try:
            _take(file)
        except OSError:
            yield False
            return
        yield True


def _take(file: int) -> None:
    """Lock an open file until it is closed; OSError where another process has it."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
