"""Writing files so that a reader finds the whole file or none, and finding the files that travel with the package.

What is being written has a temporary name, ``.ptofa-<random>.part``, and its process holds a lock on it. A process
that is killed leaves it there without one: who writes in the same folder next removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ptofa_gpu._arguments import path_of
from ptofa_gpu.errors import InputError, OutputError, PtofaError

#: What is the matter with the path itself.
_OF_THE_PATH = {
    errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EPERM,
    errno.EROFS,
}  # fmt: skip
#: What is the matter with the disk.
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_TEMPORARY = re.compile(r"\.ptofa-[0-9a-f]{12}\.part")
_PACKAGE = Path(__file__).resolve().parent


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any error it is removed.

    A killed process or a full disk leaves an earlier file at `path` as it was. The data are flushed to the disk
    before the rename, so a crash of the machine cannot leave an empty file under the final name either. A link is
    followed, and an earlier file's mode (and owner, where the system allows it) is kept.

    Raises
    ------
    InputError
        No file can have this path: it is a folder or a device, a part of it is a file, or it may not be written.
    OutputError
        The disk is full or broken.
    """
    target, earlier = _target(path)
    make_folder(target.parent)
    sweep(target.parent)
    partial, lock = target.parent / _temporary_name(), -1
    try:
        with _about(path):
            lock = _create(partial, earlier)
        with _about(path, writing=True):
            yield partial
            with partial.open("rb+") as f:
                os.fsync(f.fileno())
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
        if lock >= 0:
            os.close(lock)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder for what is needed only meanwhile; it is removed in the end, or after a kill by the next call."""
    place = Path(tempfile.gettempdir())
    sweep(place)
    folder, lock = place / _temporary_name(), -1
    try:
        with _about(folder):
            folder.mkdir(mode=0o700)
            lock = os.open(folder, os.O_RDONLY)
        hold(lock)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def check_output(path: str | os.PathLike[str], inputs: Sequence[Path] = ()) -> None:
    """Raise, before any work is done, what would keep its result from being written to `path`.

    Raises
    ------
    InputError
        As `atomic_path`; or `path` is one of the `inputs`, through whatever links, or lies in a folder among them.
    OutputError
        There is no space left.
    """
    target, earlier = _target(path)
    for source in inputs:
        if _reads(source, target, earlier):
            raise InputError(f"{path} would be written over what is read from {source}. Choose another output.")
    folder = _nearest(target.parent)
    with _about(path):
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is no folder")
        longest = os.pathconf(folder, "PC_NAME_MAX")
        if any(len(os.fsencode(part)) > longest for part in target.relative_to(folder).parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if folder == target.parent:  # asked for, the system says more than the folder's mode does
            sweep(folder)
            trial = folder / _temporary_name()
            try:
                os.close(_create(trial, None))
            finally:
                trial.unlink(missing_ok=True)
    require_space(path, 1)


def require_space(path: str | os.PathLike[str], size: int) -> None:
    """Raise `OutputError` where fewer than `size` bytes are free for `path`."""
    system = os.statvfs(_nearest(Path(os.path.realpath(path))))
    free = system.f_bavail * system.f_frsize
    if system.f_blocks and free < size:
        why = f"it takes at least {size:,} bytes, and {free:,} are free there" if free else "no space is left there"
        raise OutputError(f"{path} cannot be written: {why}. Free some space, or choose another place.")


def make_folder(path: Path) -> None:
    """Make a folder, and those that it lies in; `InputError` where there can be none."""
    with _about(path):
        path.mkdir(parents=True, exist_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes of this user left in `folder` under temporary names; never through a link."""
    with suppress(OSError):  # a folder may be one to write in and not to read
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(here) as entries:
                names = [entry.name for entry in entries if _TEMPORARY.fullmatch(entry.name)]
            for name in names:
                _remove_unowned(name, here)
        finally:
            os.close(here)


def hold(file: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed, or its process ends; False where that cannot be had."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _remove_unowned(name: str, here: int) -> None:
    with suppress(OSError):
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
        try:
            found = os.fstat(file)
            if found.st_uid != os.geteuid() or not hold(file):
                return
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(name, dir_fd=here)
            elif stat.S_ISREG(found.st_mode):
                os.unlink(name, dir_fd=here)
        finally:
            os.close(file)


def _temporary_name() -> str:
    return f".ptofa-{os.urandom(6).hex()}.part"


def _create(partial: Path, earlier: os.stat_result | None) -> int:
    """Make an empty file and lock it. It has the mode of the `earlier` file, or the one that new files have here."""
    while True:
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666 if earlier is None else 0o600)
        try:
            if earlier is not None:
                with suppress(OSError):
                    os.fchown(file, earlier.st_uid, earlier.st_gid)
                os.fchmod(file, stat.S_IMODE(earlier.st_mode))
            hold(file, wait=True)
            if os.fstat(file).st_nlink:  # else somebody swept it away before it was locked
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _target(path: str | os.PathLike[str]) -> tuple[Path, os.stat_result | None]:
    """The file that `path` stands for, through links, and what is there now; `InputError` if it cannot be one."""
    asked = path_of("path", path)
    with _about(asked):
        target = Path(os.path.realpath(asked))
        try:
            found = target.stat()
        except (FileNotFoundError, NotADirectoryError):
            return target, None
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{asked} is a folder; give the path of a file.")
    if not stat.S_ISREG(found.st_mode) or any(_is_open(stream, found) for stream in (1, 2)):
        raise InputError(
            f"{asked} is a device, a pipe or this program's own output, which cannot be replaced as a whole; give the "
            "path of a file."
        )
    if not os.access(target, os.W_OK):
        raise InputError(f"{asked} is write-protected. Choose another path, or allow writing.")
    return target, found


def _is_open(stream: int, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(stream), found)
    except OSError:
        return False


def _reads(source: Path, target: Path, earlier: os.stat_result | None) -> bool:
    """Whether who reads the file or folder `source` reads `target`, too."""
    try:
        found = source.stat()
        if not stat.S_ISDIR(found.st_mode):
            return earlier is not None and os.path.samestat(found, earlier)
        if target.is_relative_to(os.path.realpath(source)):
            return True
        return earlier is not None and any(os.path.samestat(f.stat(), earlier) for f in source.rglob("*") if f.exists())
    except OSError:
        return False  # it cannot be read: its reader says so


def _nearest(path: Path) -> Path:
    """`path`, or the nearest of the folders above it that is there."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


@contextmanager
def _about(path: str | os.PathLike[str], *, writing: bool = False) -> Iterator[None]:
    """What the system says of an impossible path or, also while `writing`, of a full disk, as an error of ours."""
    try:
        yield
    except PtofaError:
        raise
    except OSError as e:
        why = os.strerror(e.errno) if e.errno else str(e)
        if e.errno in _OF_THE_PATH and not writing:
            raise InputError(f"{path} cannot be written: {why}. Choose another path.") from e
        if e.errno not in _OF_THE_DISK and not (writing and type(e) is OSError and e.errno is None):
            raise
        raise OutputError(
            f"{path} could not be written: {why}. What was there before is kept. Free some space, or choose another "
            "place."
        ) from e


def asset_dir(kind: str) -> Path:
    """The folder of `kind` ("kernels", "notebooks", "templates" or "results"): in the wheel, or in a checkout."""
    inside = _PACKAGE / "_assets" / kind
    if inside.is_dir():
        return inside
    return _PACKAGE.parent / {"templates": "reports/templates", "results": "benchmarks/results"}.get(kind, kind)
