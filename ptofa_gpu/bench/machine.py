"""What a measurement was made on: the device's name, how many threads, which versions, and how fast memory is read."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import ptofa_gpu
from ptofa_gpu.device import probe_gpu
from ptofa_gpu.ops._entry import most_threads

#: A read of E on a CPU: the maximum of each of so many parts, by no more than so many threads.
READ_PARTS, READ_THREADS = 16, 2


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """Processes that wanted a core in the last minute, on average."""
    return os.getloadavg()[0]


def device_name(device: str) -> str:
    """The GPU's name for ``"cuda"``, else the CPU's model."""
    if device == "cuda":
        return probe_gpu().name
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit of the package's checkout, with a + where files differ from it; empty where it is none."""
    folder = Path(ptofa_gpu.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return ""
    git = ["git", "-C", str(folder)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=20)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "--", "ptofa_gpu", "kernels"],
            capture_output=True, text=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    if head.returncode:
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def version(distribution: str) -> str:
    """The installed version of a distribution; empty where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def free_memory() -> int:
    """Bytes that new processes can have: what the kernel says is available, within the container's limit."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        free = min(free, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        pass
    return max(0, free)


def read_seconds(revenue: Any, repeat: int = 15) -> float:
    """Least seconds of a read of E, the measure of everything else: one pass that takes the maximum of all of E.

    On a CPU NumPy takes it, of 16 parts on two threads (on one where the process may have no more); on a GPU one
    reduction does, of |E|. Nothing of the engine takes part. The least of some passes is what the memory can do; others
    share the machine's memory, and a median shows them.
    """
    if isinstance(revenue, np.ndarray):
        with ThreadPoolExecutor(min(READ_THREADS, most_threads())) as pool:
            return _least(lambda: read(revenue, pool), repeat)
    import cupy

    largest = cupy.ReductionKernel("T x", "T y", "abs(x)", "max(a, b)", "y = a", "0", "ptofa_bench_abs_max")
    return _least_on_gpu(cupy, lambda: largest(revenue), repeat)


def read(revenue: np.ndarray, pool: ThreadPoolExecutor) -> np.float32:
    """The maximum of E by the threads of `pool`; NaN where one is NaN."""
    parts = np.array_split(revenue.reshape(-1), min(READ_PARTS, revenue.size))
    return np.float32(np.max([*pool.map(np.max, parts)]))


def bandwidth(revenue: Any, seconds: float) -> float:
    """Bytes a second of memory: on a GPU of a copy (bytes read and written), on a CPU of the read of E."""
    if isinstance(revenue, np.ndarray):
        return revenue.nbytes / seconds
    import cupy

    source = cupy.empty(1 << 28, cupy.uint8)
    target = cupy.empty_like(source)
    return 2 * source.nbytes / _least_on_gpu(cupy, lambda: cupy.copyto(target, source), 15)


def _least(work: Callable[[], Any], repeat: int) -> float:
    work()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _least_on_gpu(cupy: Any, work: Callable[[], Any], repeat: int) -> float:
    """Times between events on the stream: launching costs the host more than a small pass costs the GPU."""
    work()
    times = []
    for _ in range(repeat):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end) / 1e3)
    return min(times)
