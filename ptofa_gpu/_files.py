"""Writing files so that a reader finds the whole file or none, and finding the files that travel with the package."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptofa_gpu._arguments import path_of
from ptofa_gpu.errors import InputError

#: What is the matter with the path itself; a full or broken disk is another thing, and stays an OSError.
_OF_THE_PATH = {
    errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EPERM,
    errno.EROFS,
}  # fmt: skip
_PACKAGE = Path(__file__).resolve().parent


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any error it is removed.

    A killed process or a full disk leaves an earlier file at `path` as it was. The data are flushed to the disk
    before the rename, so a crash of the machine cannot leave an empty file under the final name either.

    Raises
    ------
    InputError
        No file can have this path: it is a folder, a part of it is a file, or it may not be written.
    """
    target = path_of("path", path)
    if os.path.isdir(target):
        raise InputError(f"{target} is a folder; give the path of a file.")
    make_folder(target.parent)
    with _about(target):
        fd, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(fd)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb+") as f:
            os.fsync(f.fileno())
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)  # mkstemp makes files private; a plan is as readable as any other file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder, and those that it lies in; `InputError` where there can be none."""
    with _about(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """What the system says of an impossible path, as an error of ours."""
    try:
        yield
    except OSError as e:
        if e.errno not in _OF_THE_PATH:
            raise
        raise InputError(f"{path} cannot be written: {e.strerror}. Choose another path.") from e


def asset_dir(kind: str) -> Path:
    """The folder of `kind` ("kernels", "notebooks", "templates" or "results"): in the wheel, or in a checkout."""
    inside = _PACKAGE / "_assets" / kind
    if inside.is_dir():
        return inside
    return _PACKAGE.parent / {"templates": "reports/templates", "results": "benchmarks/results"}.get(kind, kind)
