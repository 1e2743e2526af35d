"""The front of a report: the summaries of its notebooks, links to everything in it, and `run.json`."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ptofa_gpu
from ptofa_gpu.errors import InputError, PtofaError
from ptofa_gpu.reporting.html import environment
from ptofa_gpu.reporting.markup import slug, svg_address, without_turns
from ptofa_gpu.reporting.outputs import SUMMARY_FILE, read_summary
from ptofa_gpu.reporting.resume import Done
from ptofa_gpu.reporting.run_file import RUN_FILE

_PACKAGES = (
    "numpy", "scipy", "pandas", "pyarrow", "torch", "pytorch-lightning", "torchmetrics", "cvxpy", "highspy",
    "ortools", "papermill", "nbconvert", "nh3", "matplotlib", "cupy-cuda13x", "cudf-cu13",
)  # fmt: skip


def write_index(
    folder: Path,
    notebooks: Sequence[Done],
    sections: Sequence[dict[str, Any]],
    *,
    profile: str,
    started: str,
    seconds: float,
) -> None:
    """Write ``index.html`` and ``run.json`` for the notebooks that lie executed in `folder`.

    `sections` holds what `section` returned for each.
    """
    run = describe_run(notebooks, profile=profile, started=started, seconds=seconds)
    (folder / RUN_FILE).write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    ids: list[str] = []
    for notebook in notebooks:
        ids.append(slug(notebook.name, ids))
    device = run["device"]
    machine = device["gpu"] or f"{device['processor']}, {device['cores']} cores, no GPU"
    text = (
        environment()
        .get_template("index.html.j2")
        .render(
            pages=sorted(({**s, "id": i} for s, i in zip(sections, ids, strict=True)), key=_place),
            made=started.replace("T", " ")[:16] + " UTC",
            version=ptofa_gpu.__version__,
            profile=profile,
            machine=machine,
        )
    )
    (folder / "index.html").write_text(without_turns(text), encoding="utf-8", errors="backslashreplace")


def describe_run(notebooks: Sequence[Done], *, profile: str, started: str, seconds: float) -> dict[str, Any]:
    """Return what somebody needs to make the same report again: parameters, seeds, versions, device, times."""
    return {
        "ptofa_gpu": ptofa_gpu.__version__,
        "profile": profile,
        "started": started,
        "seconds": round(seconds, 2),
        "notebooks": [
            {**asdict(n), "seconds": round(n.seconds, 2), "seed": n.parameters.get("seed")} for n in notebooks
        ],
        **versions(),
    }


def versions() -> dict[str, Any]:
    """Return what results stand on: Python, packages, device."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {p: v for p in _PACKAGES if (v := _version(p)) is not None},
        "engine": _engine(),
        "device": _device(),
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _engine() -> dict[str, Any]:
    from ptofa_gpu.ops._entry import engine_facts

    try:
        facts = engine_facts()
    except PtofaError as e:
        return {"unusable_because": str(e)}
    return {**facts, "library": Path(facts["library"]).name}  # a report may be handed on


def _device() -> dict[str, Any]:
    from ptofa_gpu.bench.machine import device_name
    from ptofa_gpu.device import probe_gpu

    gpu = probe_gpu()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "gpu": gpu.name if gpu.usable else None,
        "gpu_unusable_because": None if gpu.usable else gpu.reason,
        "cores": cores,
        "processor": device_name("cpu"),
        "platform": sys.platform,
    }


def _place(page: dict[str, Any]) -> int:
    """The decision first, then notebooks with a summary, in their order; a summary of a failed one is no decision."""
    summary = page["summary"]
    return 0 if summary is not None and summary.lead else 1


def section(folder: Path, notebook: Done) -> dict[str, Any]:
    """Read what the front says of one notebook from what it left in `folder`.

    Raises
    ------
    InputError
        Its summary or its chart cannot be read. Of a notebook that failed neither is looked at.
    """
    out, chart = folder / notebook.name, None
    summary = read_summary(out) if notebook.status == "ok" else None
    if summary is not None and summary.chart:
        picture, words = out / f"{summary.chart}.svg", out / f"{summary.chart}.alt.txt"
        try:
            if picture.is_file():
                chart = {
                    "data": svg_address(picture.read_text(encoding="utf-8")),
                    "alt": words.read_text(encoding="utf-8") if words.is_file() else summary.chart,
                }
        except (OSError, ValueError) as e:
            raise InputError(f"the chart {summary.chart!r} in {out.name} cannot be read: {e}") from e
    kept = sorted(out.iterdir()) if out.is_dir() else []
    kept = [p for p in kept if p.is_file() and p.name != SUMMARY_FILE and not p.name.endswith(".alt.txt")]
    files = [folder / f"{notebook.name}.ipynb", *kept]
    return {
        "name": notebook.name,
        "title": notebook.title,
        "seconds": f"{notebook.seconds:.0f}",
        "summary": summary,
        "chart": chart,
        "parameters": notebook.parameters,
        "status": notebook.status,
        "error": notebook.error,
        "traceback": notebook.traceback,
        "kept": notebook.kept,
        "files": [
            {"href": quote(p.relative_to(folder).as_posix()), "name": p.name, "size": _size(p.stat().st_size)}
            for p in files
        ],
    }


def _size(n: int) -> str:
    return f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{max(n / 1e3, 0.1):.1f} kB"
