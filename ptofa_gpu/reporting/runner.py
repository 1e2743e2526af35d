"""`run_report`: execute notebooks and put the report together; it is complete or absent."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ptofa_gpu._files import asset_dir
from ptofa_gpu._lazy import require
from ptofa_gpu._text import nearest
from ptofa_gpu.errors import InputError, ReportError
from ptofa_gpu.reporting.html import notebook_title, write_notebook_page
from ptofa_gpu.reporting.index import RUN_FILE, Done, write_index
from ptofa_gpu.reporting.kernel import run_notebook
from ptofa_gpu.reporting.parameters import resolve

#: told of (notebook, cells done, cells in all, heading of the running section)
Progress = Callable[[str, int, int, str], None]
#: the parameter that says where a notebook leaves its figures; the report sets it
OUTPUT_PARAMETER = "output_dir"


def run_report(
    notebooks: Sequence[str | os.PathLike[str]] = (),
    *,
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    output: str | os.PathLike[str] = "reports/latest",
    progress: Progress | None = None,
) -> Path:
    """Run notebooks and write the report.

    Parameters
    ----------
    notebooks : sequence of str or path
        Names of the package's notebooks, or paths of your own; by default all of the package's.
    profile : str
        ``quick`` (minutes on two cores) or another that the notebooks know, such as ``paper``.
    parameters : mapping, optional
        Name to value (text is read as the parameter's type); each goes to all notebooks that have it.
    output : path
        The report's folder. An earlier report there is replaced once the new one is whole.
    progress : callable, optional
        Told of every cell.

    Returns
    -------
    Path
        ``index.html`` of the report.

    Raises
    ------
    InputError
        An unknown notebook, parameter or profile, a value of the wrong type, an output folder that holds something
        else. Raised before anything runs.
    ReportError
        A notebook failed. No report is left; ``path`` is the notebook as far as it came, in ``<output>.failed``.
    """
    nbformat = require("nbformat", "ptofa report")
    sources = find_notebooks(notebooks)
    nodes = {name: _read(nbformat, path) for name, path in sources.items()}
    values = resolve(nodes, dict(parameters or {}), profile, reserved=(OUTPUT_PARAMETER,))
    target = _check_output(Path(output))
    failed = target.with_name(f"{target.name}.failed")
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    with _whole_folder(target) as partial:
        done = []
        for name, source in sources.items():
            begun = time.perf_counter()
            given = dict(values[name])
            if OUTPUT_PARAMETER in source_parameters(nodes[name], name):
                given[OUTPUT_PARAMETER] = name  # relative: it stays true when the folder gets its final name
            try:
                node = run_notebook(
                    source,
                    partial / f"{name}.ipynb",
                    given,
                    cwd=partial,
                    on_cell=None if progress is None else lambda i, n, h, name=name: progress(name, i, n, h),  # type: ignore[misc]
                )
            except ReportError as e:
                kept = _keep_failed(partial / f"{name}.ipynb", failed)
                raise ReportError(
                    f"{e}\nno report was written; the notebook as far as it came: {kept}", str(kept)
                ) from e
            write_notebook_page(node, partial / f"{name}.html", name=name)
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            done.append(Done(name, notebook_title(node, name), values[name], time.perf_counter() - begun, digest))
        write_index(partial, done, profile=profile, started=started, seconds=time.perf_counter() - clock)
    shutil.rmtree(failed, ignore_errors=True)  # what failed before works now
    return target / "index.html"


def find_notebooks(wanted: Sequence[str | os.PathLike[str]] = ()) -> dict[str, Path]:
    """Return name to path of the notebooks `wanted`; all of the package's if none is named."""
    own = {p.stem: p for p in sorted(asset_dir("notebooks").glob("*.ipynb"))}
    if not wanted:
        if not own:
            raise InputError(f"there are no notebooks in {asset_dir('notebooks')}")
        return own
    found: dict[str, Path] = {}
    for item in wanted:
        path = Path(item)
        if str(item) in own:
            name, path = str(item), own[str(item)]
        elif path.suffix == ".ipynb" and path.is_file():
            name = path.stem
        else:
            raise InputError(
                f"no notebook {str(item)!r}{nearest(str(item), own)} Give a path ending in .ipynb, or one of: "
                + (", ".join(own) or "none")
            )
        if name in found:
            raise InputError(f"notebook {name!r} is named twice")
        if name == "index":
            raise InputError("a notebook called 'index' would overwrite the report's index.html; rename it")
        found[name] = path.resolve()
    return found


def source_parameters(node: Any, name: str) -> set[str]:
    """Return the names of a notebook's parameters."""
    from ptofa_gpu.reporting.parameters import read_parameters

    return set(read_parameters(node, name))


def _read(nbformat: Any, path: Path) -> Any:
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, nbformat.ValidationError, nbformat.reader.NotJSONError) as e:
        raise InputError(f"{path} is not a notebook: {e}") from e


def _check_output(target: Path) -> Path:
    target = target.absolute()
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} is not a folder; choose another --output")
    if target.is_dir() and any(target.iterdir()):
        try:
            ours = "ptofa_gpu" in json.loads((target / RUN_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            ours = False
        if not ours:
            raise InputError(
                f"{target} holds files that are no report of ours, and a report would replace them; "
                "choose another --output"
            )
    return target


@contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` that takes its name when the block ends well, and vanishes when it does not.

    A killed process cannot tidy up; its folder is recognised by its lock being free, and removed by the next run.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}.part-"
    for stale in target.parent.glob(f"{prefix}*"):
        with _lock(stale / ".lock") as free:
            if free:
                shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        with _lock(partial / ".lock"):
            yield partial
            (partial / ".lock").unlink()
            umask = os.umask(0)
            os.umask(umask)
            partial.chmod(0o777 & ~umask)  # mkdtemp makes folders private
            if target.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
                target.rename(old / "report")
                partial.rename(target)
                shutil.rmtree(old, ignore_errors=True)
            else:
                partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Hold `path` for this process; yields False where another process holds it, True otherwise."""
    try:
        handle = path.open("w")
    except OSError:
        yield False
        return
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def _keep_failed(notebook: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / notebook.name
    if notebook.is_file():
        shutil.copyfile(notebook, kept)
    return kept
