"""The allocation benchmark: every method on the same instances, one process a cell, results appended as CSV."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ptofa_gpu._files import scratch_folder
from ptofa_gpu.bench import instances, machine, results
from ptofa_gpu.bench.instances import Instance
from ptofa_gpu.bench.peers import METHODS, check_methods, memory_needed, require_package
from ptofa_gpu.bench.process import Observed, observe
from ptofa_gpu.bench.record import COLUMNS, LIMITED, cell_row, provenance
from ptofa_gpu.device import resolve_device
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops._entry import THREADS_VARIABLE

#: What a method that stops by itself may take on top of the time limit to hand over its plan: seconds, share of it.
_GRACE = (10.0, 0.2)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Settings:
    """What to measure, and within which limits.

    Attributes
    ----------
    sizes : sequence of (customers, funds)
    ks : sequence of int
        Slots per customer.
    ties : sequence of str
        Kinds of instance, of :data:`ptofa_gpu.bench.instances.TIES`.
    methods : sequence of str
        Names of :data:`ptofa_gpu.bench.peers.METHODS`.
    time_limit : float
        Seconds for one solve; a method that does not keep it is killed.
    repeats : int
        Timed solves a cell, as long as they take less than `time_limit` together.
    max_memory : int or None
        Bytes a cell's process may hold; None: four fifths of what is free.
    seed : int
    threads : int or None
        Threads of each process; None: as many as it takes by itself.
    device : {"auto", "cpu", "cuda"}
        Where our own methods work. The other solvers have a CPU form only.
    """

    sizes: Sequence[tuple[int, int]] = ((20_000, 8),)
    ks: Sequence[int] = (1,)
    ties: Sequence[str] = ("none",)
    methods: Sequence[str] = tuple(METHODS)
    time_limit: float = 60.0
    repeats: int = 5
    max_memory: int | None = None
    seed: int = 0
    threads: int | None = None
    device: str = "cpu"


_TO_1M = ((20_000, 8), (50_000, 8), (200_000, 8), (500_000, 8), (1_000_000, 8))
#: profile -> settings; what a caller names takes their place
PROFILES: dict[str, Settings] = {
    "quick": Settings(methods=[m for m in METHODS if m not in ("highs-mip", "scip", "cbc")], time_limit=20, repeats=3),
    "standard": Settings(_TO_1M, time_limit=120),
    "full": Settings(
        (*_TO_1M, (3_000_000, 8), (10_000_000, 8), (20_000, 64), (200_000, 64), (1_000_000, 64), (20_000, 512),
         (100_000, 512)),
        ks=(1, 3), time_limit=600,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One method on one instance: the `row` that was appended to the results, or why it was `skipped`."""

    instance: Instance
    method: str
    row: dict[str, Any] = field(default_factory=dict)
    skipped: str = ""


def run(settings: Settings, output: Path, progress: Progress | None = None) -> list[Cell]:
    """Measure all cells; each row is on the disk before the next cell starts.

    Parameters
    ----------
    settings : Settings
    output : Path
        A CSV file, made or added to.
    progress : callable(done, total, text), optional
        Told before each cell how many are behind it, and after the last.

    Returns
    -------
    list of Cell
        In the order in which they came.

    Raises
    ------
    InputError
        Unknown methods or kinds of ties, sizes or limits without sense; a results file of other columns.
    MissingPackageError
        The package of a method is not installed.
    DeviceError
        ``device="cuda"`` without a usable GPU.
    """
    with scratch_folder() as folder:
        return list(_Run(settings, output, folder, progress or (lambda done, total, text: None)).cells())


class _Run:
    """One run: what was asked for, what the machine allows, and what was found too slow so far."""

    def __init__(self, settings: Settings, output: Path, folder: Path, progress: Progress):
        self.settings, self.output, self.folder, self.progress = settings, output, folder, progress
        if not (settings.time_limit > 0 and settings.repeats > 0 and (settings.threads or 1) > 0):
            raise InputError(
                f"time_limit={settings.time_limit}, repeats={settings.repeats}, threads={settings.threads}: each must "
                "be positive"
            )
        self.methods = check_methods(settings.methods)
        for method in self.methods:
            require_package(method)
        self.instances = _instances(settings)
        self.device = resolve_device(settings.device)
        if output.exists() and output.stat().st_size:
            results.read_rows(output, COLUMNS)  # refused now, not after the first cell
        self.memory = settings.max_memory or int(0.8 * machine.free_memory())
        self.common = provenance(self.methods)
        self.limited: dict[str, list[Instance]] = {m: [] for m in METHODS}
        # as the command line does: threads that wait give their core away instead of spinning on it
        self.environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
        if settings.threads:
            for name in (THREADS_VARIABLE, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
                self.environment[name] = str(settings.threads)

    def cells(self) -> Iterator[Cell]:
        """Measure, write and yield."""
        total, done = len(self.instances) * len(self.methods), 0
        for instance in self.instances:
            reasons = {m: self._obstacle(m, instance) for m in self.methods}
            if not all(reasons.values()):
                self.progress(done, total, f"{instance}: drawing the instance")
                instances.store(instance, self.folder)
            optimum = math.nan
            if "optimal" not in self.methods and not all(reasons.values()):
                self.progress(done, total, f"{instance}: the optimum, to compare with")
                optimum = _bound(self._observe("optimal", replace(self.settings, repeats=1), instance))
            for method in self.methods:
                reason = reasons[method]
                self.progress(done, total, f"{instance}: {method}{': left out, ' + reason if reason else ''}")
                done += 1
                if reason:
                    yield Cell(instance, method, skipped=reason)
                    continue
                seen = self._observe(method, self.settings, instance)
                if method == "optimal":
                    optimum = _bound(seen)
                row = cell_row(instance, method, self._where(method), seen, optimum, self.settings.time_limit)
                row = {c: (self.common | row).get(c) for c in COLUMNS}
                results.append_row(self.output, COLUMNS, row)
                if row["status"] in (*LIMITED, "memory"):
                    self.limited[method].append(instance)
                yield Cell(instance, method, row)
        self.progress(done, total, "done")

    def _where(self, method: str) -> str:
        return self.device if METHODS[method].ours else "cpu"

    def _obstacle(self, method: str, instance: Instance) -> str:
        """Why this cell is not to be tried; empty where nothing stands in its way."""
        if METHODS[method].one_slot and instance.k > 1:
            return "it knows one slot a customer only"
        needed = memory_needed(method, instance.customers, instance.funds)
        if needed > self.memory:
            return f"it needs about {_gib(needed)} of memory and may hold {_gib(self.memory)}"
        disk = shutil.disk_usage(self.folder).free + sum(f.stat().st_size for f in self.folder.iterdir())
        if 1.1 * instance.revenue_bytes > disk:
            return (
                f"E takes {instance.revenue_bytes / 2**30:.1f} GiB in {self.folder.parent}, {disk / 2**30:.1f} are free"
            )
        for earlier in self.limited[method]:
            if (
                earlier.customers <= instance.customers
                and earlier.funds <= instance.funds
                and (earlier.k, earlier.ties) == (instance.k, instance.ties)
            ):
                return f"it met its limit at {earlier} already"
        return ""

    def _observe(self, method: str, settings: Settings, instance: Instance) -> Observed:
        spec = {
            "method": method,
            "folder": str(self.folder),
            "instance": asdict(instance),
            "device": self._where(method),
            "repeats": settings.repeats,
            "time_limit": settings.time_limit,
        }
        return observe(
            spec,
            patience=settings.time_limit,
            grace=max(_GRACE[0], _GRACE[1] * settings.time_limit) if METHODS[method].stops else 0.0,
            max_memory=self.memory,
            environment=self.environment,
        )


def _bound(seen: Observed) -> float:
    """What no plan can pass, as the plan's certificate says; NaN where it has none."""
    found = seen.worth.get("bound")
    return math.nan if found is None else float(found)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _instances(settings: Settings) -> list[Instance]:
    """Funds by funds, small ones first: what is too slow for one size is left out of the greater."""
    for name in ("sizes", "ks", "ties"):
        if not getattr(settings, name):
            raise InputError(f"{name} is empty; name at least one")
    return [
        Instance(customers, funds, k, ties, settings.seed)
        for ties in dict.fromkeys(settings.ties)
        for k in dict.fromkeys(settings.ks)
        for customers, funds in sorted(set(settings.sizes), key=lambda size: (size[1], size[0]))
    ]
