"""`ptofa doctor`: what this machine has, which parts of the package work on it, and what to install for the rest."""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ptofa_gpu import __version__
from ptofa_gpu.device import INSTALL_GPU, driver_present, probe_gpu
from ptofa_gpu.errors import EngineError, InputError

#: distributions whose versions a bug report needs
PACKAGES = (
    "numpy", "scipy", "narwhals", "pandas", "polars", "pyarrow", "torch", "pytorch-lightning", "torchmetrics",
    "cupy-cuda13x", "cudf-cu13", "cvxpy", "highspy", "ortools", "jupyterlab", "papermill", "nbconvert", "matplotlib",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One thing the package can do, and whether it can do it here."""

    name: str
    does: str
    usable: bool
    detail: str = ""
    install: str = ""
    core: bool = False


@dataclass(frozen=True)
class Report:
    """All that doctor found."""

    version: str
    python: str
    executable: str
    system: str
    cores: int
    memory: int  # bytes this process may use
    free_disk: int  # bytes, in the current folder
    driver: str  # NVIDIA driver, "" if none
    gpus: list[dict[str, Any]]
    gpu: dict[str, Any]
    packages: dict[str, str | None]
    parts: list[Part] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the core works: reading data and allocating on a CPU."""
        return all(p.usable for p in self.parts if p.core)

    def to_json(self) -> str:
        """The whole report as JSON, for bug reports and run records."""
        return json.dumps({**asdict(self), "ok": self.ok}, indent=2)


def examine() -> Report:
    """Look at the machine and try every part; imports what it tries, so it takes a few seconds."""
    driver, gpus = _nvidia_smi()
    return Report(
        version=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=_memory(),
        free_disk=shutil.disk_usage(Path.cwd()).free,
        driver=driver,
        gpus=gpus,
        gpu=asdict(probe_gpu()),
        packages={name: _version(name) for name in PACKAGES},
        parts=_parts(),
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _memory() -> int:
    """Bytes this process may use: the machine's memory, or its container's limit where that is lower."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(path).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total


def _nvidia_smi() -> tuple[str, list[dict[str, Any]]]:
    """The driver's version and every GPU's name and memory, whether or not a Python package can use them."""
    query = ["nvidia-smi", "--query-gpu=driver_version,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ("present, but nvidia-smi does not answer" if driver_present() else ""), []
    rows = [[cell.strip() for cell in line.split(",")] for line in out.splitlines() if line.count(",") == 2]
    gpus = [{"name": r[1], "memory": int(r[2]) << 20 if r[2].isdigit() else None} for r in rows]
    return (rows[0][0] if rows else ""), gpus


def _broken(*modules: str) -> tuple[str, str]:
    """What stops the first module that cannot be imported ("" if all can), and its distribution."""
    from ptofa_gpu._lazy import _DISTRIBUTION

    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as e:  # a package built for other libraries fails in many ways; say which
            return f"{module}: {type(e).__name__}: {e}", _DISTRIBUTION.get(module, module.partition(".")[0])
    return "", ""


def _try(name: str, does: str, *modules: str, detail: Callable[[], str] = str, core: bool = False) -> Part:
    problem, distribution = _broken(*modules)
    if problem:
        return Part(name, does, False, problem, f"pip install {distribution} -c constraints.txt", core)
    return Part(name, does, True, detail(), core=core)


def _parts() -> list[Part]:
    return [
        _try("data", "read exposure logs and tables", "numpy", "narwhals", "pandas", "pyarrow", core=True),
        _engine(),
        _try("allocate (CPU)", "plans and their verification", "scipy", "ptofa_gpu.allocation.api", core=True),
        _allocate_gpu(),
        _try("predict (CPU)", "train models, expected revenue", "torch", "pytorch_lightning", "torchmetrics"),
        _predict_gpu(),
        _try(
            "reference solvers", "the exact optimum, as a judge",
            "cvxpy", "highspy", "ortools.graph.python.min_cost_flow", detail=_solvers,
        ),
        _try("notebooks", "JupyterLab and parameterized runs", "jupyterlab", "papermill", "ipykernel", "nbclient"),
        _try("reports", "figures, tables, HTML", "matplotlib", "great_tables", "jinja2", "nbconvert", "latex2mathml",
             "nh3", "tinycss2"),
        _cudf(),
        _try("Polars", "Polars frames in and out (optional)", "polars"),
    ]  # fmt: skip


def _engine() -> Part:
    name, does, install = "engine", "allocation's passes on a CPU, compiled ahead", "make setup"
    problem, _ = _broken("ptofa_gpu.ops._entry")
    if problem:
        return Part(name, does, False, problem, install, core=True)
    from ptofa_gpu.ops._entry import engine_facts

    try:
        facts = engine_facts()
    except EngineError as e:
        return Part(name, does, False, str(e), install, core=True)
    except InputError as e:  # the variable that says how many threads
        return Part(name, does, False, str(e), "unset PTOFA_NUM_THREADS", core=True)
    detail = f"{facts['level']}, threads: {facts['threads']}, ABI {facts['abi']}, {facts['library']}"
    return Part(name, does, True, detail, core=True)


def _solvers() -> str:
    return "cvxpy with " + ", ".join(importlib.import_module("cvxpy").installed_solvers()) + "; OR-Tools"


def _allocate_gpu() -> Part:
    name, does = "allocate (GPU)", "the same plans on an NVIDIA GPU"
    gpu = probe_gpu()
    if not gpu.usable:
        return Part(name, does, False, gpu.reason, gpu.advice)
    return Part(name, does, True, f"{gpu.name}, compute capability {gpu.capability}, {gpu.memory / 2**30:.0f} GiB")


def _predict_gpu() -> Part:
    name, does = "predict (GPU)", "train and predict on an NVIDIA GPU"
    problem, _ = _broken("torch")
    if problem:
        return Part(name, does, False, problem, "pip install torch==2.13.0")
    import torch

    if torch.cuda.is_available():
        return Part(name, does, True, f"torch {torch.__version__} on {torch.cuda.get_device_name()}")
    if torch.version.cuda is None:
        return Part(name, does, False, f"torch {torch.__version__} is a CPU build",
                    "pip install --force-reinstall torch==2.13.0 -c constraints.txt")  # fmt: skip
    return Part(name, does, False, f"torch {torch.__version__} finds no GPU", "an NVIDIA driver, 580 or later")


def _cudf() -> Part:
    name, does = "cuDF", "data frames that stay on the GPU (optional)"
    if not probe_gpu().usable:
        return Part(name, does, False, "needs a usable GPU", INSTALL_GPU)
    return _try(name, does, "cudf")


def show(report: Report) -> None:
    """Print the report as tables for a person at a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for label, value in _facts(report):
        facts.add_row(f"[bold]{label}[/]", escape(value))
    console.print(facts)
    parts = Table(title="What works here", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("", "part", "for", "detail, or what to do"):
        parts.add_column(heading, overflow="fold")
    for p in report.parts:
        mark = "[green]yes[/]" if p.usable else ("[bold red]NO[/]" if p.core else "[yellow]no[/]")
        todo = escape(p.detail) + (f"\n[bold]{escape(p.install)}[/]" if p.install else "")
        parts.add_row(mark, p.name, p.does, todo)
    console.print()
    console.print(parts)
    if not report.ok:
        console.print("\n[bold red]The core does not work here.[/] Mend the lines marked NO first.")


def _facts(report: Report) -> list[tuple[str, str]]:
    gpus = ", ".join(f"{g['name']}" + (f" ({g['memory'] / 2**30:.0f} GiB)" if g["memory"] else "") for g in report.gpus)
    found = [f"{name} {version}" for name, version in report.packages.items() if version]
    return [
        ("ptofa-gpu", report.version),
        ("Python", f"{report.python}  {report.executable}"),
        ("system", report.system),
        (
            "cores, memory",
            f"{report.cores}, {report.memory / 2**30:.1f} GiB; {report.free_disk / 2**30:.0f} GiB disk free",
        ),
        ("NVIDIA driver", report.driver or "none"),
        ("GPUs", gpus or "none"),
        ("packages", ", ".join(found)),
        ("not installed", ", ".join(n for n, v in report.packages.items() if not v) or "-"),
    ]
