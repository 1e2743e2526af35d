"""`run_report`: execute notebooks and put the report together; it is complete or absent."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ptofa_gpu._arguments import flag, function, listed, mapping, path_of, text_of
from ptofa_gpu._files import asset_dir
from ptofa_gpu._lazy import require
from ptofa_gpu._text import nearest
from ptofa_gpu.errors import InputError, MissingPackageError, PtofaError, ReportError
from ptofa_gpu.reporting.folder import check_output, whole_folder
from ptofa_gpu.reporting.html import notebook_title, write_failure_page, write_notebook_page
from ptofa_gpu.reporting.index import section, versions, write_index
from ptofa_gpu.reporting.kernel import run_notebook
from ptofa_gpu.reporting.masking import hide_in_files, hider, masked, secret_values
from ptofa_gpu.reporting.parameters import Parameter, read_parameters, resolve
from ptofa_gpu.reporting.resume import Done, files_read_by, fingerprint, mark_done, take_over
from ptofa_gpu.reporting.run_file import notebook_name
from ptofa_gpu.reporting.seal import plain_files


class Step(NamedTuple):
    """Where a report is: the `cell`-th of `cells` cells (from 1) of the `number`-th of `notebooks` notebooks."""

    notebook: str
    number: int
    notebooks: int
    cell: int
    cells: int
    heading: str


Progress = Callable[[Step], None]
#: the parameter that says where a notebook leaves its figures; the report sets it
OUTPUT_PARAMETER = "output_dir"
#: the parameter that names the profile inside a notebook; the report sets it from --profile
PROFILE_PARAMETER = "profile"


def run_report(
    notebooks: Sequence[str | os.PathLike[str]] = (),
    *,
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    output: str | os.PathLike[str] = "reports/latest",
    progress: Progress | None = None,
    fresh: bool = False,
) -> Path:
    """Run notebooks and write the report.

    Parameters
    ----------
    notebooks : sequence of str or path
        Names of the package's notebooks, or paths of your own; by default all of the package's.
    profile : str
        ``quick`` (minutes on two cores) or another that the notebooks know, such as ``paper``.
    parameters : mapping, optional
        Name to value (text is read as the parameter's type); each goes to all notebooks that have it. Values of
        those with token, password, secret, key or credential in their names are masked in all that the report leaves.
    output : path
        The report's folder. An earlier report there is replaced once the new one is whole; files of your own in it
        stay, and a file of the report that you changed is kept beside the new one as ``NAME.earlier``.
    progress : callable, optional
        Told a :class:`Step` at every code cell.
    fresh : bool
        Run every notebook. By default a notebook is taken over from the report in `output`, or from a run for it that
        was interrupted, if this account made it and nobody changed it since, and if the notebook, its parameters, the
        files it reads, the package, the versions of what it stands on and the device are the same.

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
        At least one notebook failed. The others ran and the report was written (``index`` is its front, which marks
        those that failed); ``path`` is the first failed notebook as far as it came.
    """
    profile, output, fresh = text_of("profile", profile), path_of("output", output), flag("fresh", fresh)
    given, tell_step = mapping("parameters", parameters), function("progress", progress)
    nbformat = require("nbformat", "ptofa report")
    sources = find_notebooks(notebooks)
    nodes = {name: _read(nbformat, path) for name, path in sources.items()}
    known = {name: read_parameters(node, name) for name, node in nodes.items()}
    values = resolve(nodes, given, profile, reserved=(OUTPUT_PARAMETER, PROFILE_PARAMETER))
    full = {name: _with_whole_paths(values[name], known[name], name) for name in sources}
    target = check_output(output)
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    stand = versions()
    prints = {
        name: fingerprint(
            source,
            {**full[name], PROFILE_PARAMETER: profile},
            [*_inputs(full[name], known[name]), *files_read_by(_code(nodes[name]))],
            stand,
        )
        for name, source in sources.items()
    }
    with whole_folder(target) as partial:
        kept = take_over(partial, target, {} if fresh else prints)
        done, sections = [], []
        for number, (name, source) in enumerate(sources.items(), 1):

            def tell(cell: int, cells: int, heading: str, name: str = name, number: int = number) -> None:
                if tell_step is not None:
                    tell_step(Step(name, number, len(sources), cell, cells, heading))

            if name in kept:
                try:
                    found = _show(partial, kept[name])
                except InputError:
                    pass  # what was kept is damaged: the notebook runs again
                else:
                    tell(0, 0, "as in the earlier run")
                    done.append(kept[name])
                    sections.append(found)
                    continue
            its_own = dict(full[name])
            its_own |= {p: v for p, v in ((OUTPUT_PARAMETER, name), (PROFILE_PARAMETER, profile)) if p in known[name]}
            title = notebook_title(nodes[name], name)
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            begun = Done(name, title, masked(values[name]), 0.0, digest, prints[name])
            hide = hider(_secrets(nodes[name], known[name], values[name], full[name]))
            result, found = _run_one(source, partial, its_own, begun, tell, hide)
            done.append(result)
            sections.append(found)
            if result.status == "ok":
                mark_done(partial, result)
        write_index(partial, done, sections, profile=profile, started=started, seconds=time.perf_counter() - clock)
    index = target / "index.html"
    bad = [d for d in done if d.status == "failed"]
    if bad:
        lines = [f"{len(bad)} of {len(done)} notebooks failed; the report marks them."]
        for d in bad:
            lines += [d.error, f"the notebook as far as it came: {target / d.name}.ipynb"]
        raise ReportError("\n".join(lines), str(target / f"{bad[0].name}.ipynb"), str(index))
    return index


def _run_one(
    source: Path,
    partial: Path,
    given: dict[str, Any],
    done: Done,
    tell: Callable[..., None],
    hide: Callable[[str], str],
) -> tuple[Done, dict[str, Any]]:
    """Run one notebook and write its page, also where it fails: the other notebooks go on.

    Returns
    -------
    Done, dict
        How it went, and its section of the report's front.
    """
    begun, name = time.perf_counter(), done.name
    executed = partial / f"{name}.ipynb"
    facts = vars(done)
    before = set(plain_files(partial))
    try:
        try:
            run_notebook(source, executed, given, cwd=partial, on_cell=tell, hide=hide)
        finally:
            hide_in_files(partial, set(plain_files(partial)) - before, hide)
        result = Done(**{**facts, "seconds": time.perf_counter() - begun})
        return result, _show(partial, result)
    except MissingPackageError:
        raise  # no notebook can run
    except Exception as e:  # whatever one notebook does to itself or its outputs, the others go on
        if not executed.is_file():  # it failed before its first cell
            executed.write_text(hide(source.read_text(encoding="utf-8", errors="replace")), encoding="utf-8")
        words = hide(str(e) if isinstance(e, PtofaError) else f"{name}: {type(e).__name__}: {e}")
        trace = [hide(line) for line in getattr(e, "traceback", [])]
        failed = Done(
            **{
                **facts,
                "seconds": time.perf_counter() - begun,
                "status": "failed",
                "error": words,
                "traceback": trace or words.splitlines(),
            }
        )
        try:
            node = _read(require("nbformat", "ptofa report"), executed)
        except InputError:  # the notebook wrote over itself
            node = None
        write_failure_page(node, partial / f"{name}.html", failed)
        return failed, section(partial, failed)


def _secrets(node: Any, known: Mapping[str, Parameter], *values: Mapping[str, Any]) -> list[Any]:
    """The values that secret parameters have here, by default, or in any profile."""
    profiles = node.metadata.get("ptofa", {}).get("profiles", {}).values()
    return secret_values(*values, {p.name: p.default for p in known.values()}, *profiles)


def _show(partial: Path, done: Done) -> dict[str, Any]:
    """Write the page of a notebook that ran, and return its section of the front.

    Raises
    ------
    InputError
        Its outputs cannot be read or shown.
    """
    node = _read(require("nbformat", "ptofa report"), partial / f"{done.name}.ipynb")
    found = section(partial, done)
    write_notebook_page(node, partial / f"{done.name}.html", name=done.name)
    return found


def _with_whole_paths(values: Mapping[str, Any], known: Mapping[str, Parameter], notebook: str) -> dict[str, Any]:
    """Return the values with paths from the root: the kernel works in the report's folder.

    Raises
    ------
    InputError
        There is no such file or folder.
    """
    out = dict(values)
    for key, value in values.items():
        if known[key].is_path and value:
            path = Path(os.path.expanduser(path_of(f"parameter {key} of {notebook}", value))).absolute()
            if not os.path.exists(path):
                raise InputError(f"parameter {key} of {notebook}: there is no file {masked({key: value})[key]}")
            out[key] = str(path)
    return out


def _code(node: Any) -> str:
    return "\n".join(cell.source for cell in node.cells if cell.cell_type == "code")


def _inputs(values: Mapping[str, Any], known: Mapping[str, Parameter]) -> list[Path]:
    paths = [Path(value) for key, value in values.items() if known[key].is_path and value]
    return [f for p in paths for f in (sorted(x for x in p.rglob("*") if x.is_file()) if p.is_dir() else [p])]


def find_notebooks(wanted: Sequence[str | os.PathLike[str]] = ()) -> dict[str, Path]:
    """Return name to path of the notebooks `wanted`; all of the package's if none is named."""
    own = {p.stem: p for p in sorted(asset_dir("notebooks").glob("*.ipynb"))}
    wanted = [wanted] if isinstance(wanted, str | os.PathLike) else listed("notebooks", wanted, "names or paths")
    if not wanted:
        if not own:
            raise InputError(f"there are no notebooks in {asset_dir('notebooks')}")
        return own
    found: dict[str, Path] = {}
    for item in wanted:
        path = path_of("notebooks", item)
        if str(item) in own:
            name, path = str(item), own[str(item)]
        elif path.name.endswith(".ipynb") and os.path.isfile(path):
            name = notebook_name(path.name.removesuffix(".ipynb"))
        else:
            raise InputError(
                f"no notebook {str(item)!r}{nearest(str(item), own)} Give a path ending in .ipynb, or one of: "
                + (", ".join(own) or "none")
            )
        if name in found:
            raise InputError(f"notebook {name!r} is named twice")
        found[name] = path.resolve()
    return found


def _read(nbformat: Any, path: Path) -> Any:
    try:
        node = nbformat.read(path, as_version=4)
        nbformat.validate(node, relax_add_props=True)
    except Exception as e:  # what is no notebook makes the reader fail in any way
        raise InputError(f"{path} is not a notebook: {type(e).__name__}: {e}") from e
    return node
