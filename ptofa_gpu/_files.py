"""Writing files so that a reader finds the whole file or none, and finding the files that travel with the package."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any error it is removed.

    A killed process or a full disk leaves an earlier file at `path` as it was. The data are flushed to the disk
    before the rename, so a crash of the machine cannot leave an empty file under the final name either.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
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


def asset_dir(kind: str) -> Path:
    """The folder of `kind` ("kernels", "notebooks", "templates" or "results"): in the wheel, or in a checkout."""
    inside = _PACKAGE / "_assets" / kind
    if inside.is_dir():
        return inside
    return _PACKAGE.parent / {"templates": "reports/templates", "results": "benchmarks/results"}.get(kind, kind)
