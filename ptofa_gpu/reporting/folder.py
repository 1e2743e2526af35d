"""The folder of a report: it has its name once it is whole, and what an interrupted run finished is kept beside it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptofa_gpu._files import make_folder
from ptofa_gpu.errors import InputError, ReportError
from ptofa_gpu.reporting.run_file import read_run

try:
    import fcntl
except ImportError:  # Windows has another way to lock a file
    fcntl = None  # type: ignore[assignment]

#: in a folder that is not whole yet: what is known of each notebook that is done, one file each
DONE_SUFFIX = ".done.json"
_LOCK = ".lock"


def check_output(target: Path) -> Path:
    """Return `target` as an absolute path, if a report may lie there.

    Raises
    ------
    InputError
        It is a file or a link, or a folder that holds something other than a report.
    """
    target = target.absolute()
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} is not a folder; choose another --output")
    if target.is_dir() and any(target.iterdir()) and read_run(target) is None:
        raise InputError(
            f"{target} holds files that are no report of ours, and a report would replace them; choose another --output"
        )
    return target


def unfinished(target: Path) -> Path:
    """Return the folder that a report for `target` grows in."""
    return target.with_name(f".{target.name}.part")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield the folder that a report grows in; it takes the name of `target` when the block ends well.

    When the block ends by an error, or the process is killed, the folder stays if a notebook in it is done, for the
    next run to go on from; else it vanishes.

    Raises
    ------
    ReportError
        Another process is writing this report.
    """
    partial = unfinished(target)
    make_folder(partial)
    with _lock(partial / _LOCK) as free:
        if not free:
            raise ReportError(f"another run is writing {target}: wait for it, or choose another --output")
        try:
            yield partial
            for marker in partial.glob(f"*{DONE_SUFFIX}"):
                marker.unlink()
            (partial / _LOCK).unlink()
            if target.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
                target.rename(old / "report")
                partial.rename(target)
                shutil.rmtree(old, ignore_errors=True)
            else:
                partial.rename(target)
        finally:
            if partial.is_dir() and not any(partial.glob(f"*{DONE_SUFFIX}")):
                shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Hold `path` for this process; yields False where another process holds it. A dead process holds nothing."""
    with path.open("w") as handle:
        try:
            _take(handle.fileno())
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
