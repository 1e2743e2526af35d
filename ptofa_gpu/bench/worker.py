"""One cell of the allocation benchmark, in a process of its own: ``python -m ptofa_gpu.bench.worker SPEC``.

A process of its own makes the peak of its memory the method's own, and can be ended by whoever started it. SPEC is
JSON: the method, the folder of the instance, device, repeats, time limit, and the file descriptor that events are
written to, one JSON document a line (solvers write what they like to stdout). The events: ``ready`` when all that is
not timed is done, ``start`` and ``run`` before and after each timed solve, ``worth`` with what the first plan is worth;
``failed`` in their place.
"""

from __future__ import annotations

import copy
import json
import math
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptofa_gpu.bench.instances import Instance, generate, load, small
from ptofa_gpu.bench.machine import bandwidth, read_seconds
from ptofa_gpu.bench.peers import METHODS
from ptofa_gpu.device import to_device
from ptofa_gpu.errors import PtofaError
from ptofa_gpu.ops._entry import most_threads

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan


def main() -> None:
    """Do what the first argument says."""
    spec = json.loads(sys.argv[1])
    with os.fdopen(spec["events"], "w", buffering=1) as out:

        def tell(event: str, **facts: Any) -> None:
            out.write(json.dumps({"event": event, **facts}) + "\n")

        try:
            measure(spec, tell)
        except PtofaError as e:
            tell("failed", note=str(e))
        except MemoryError:
            tell("failed", note="out of memory")


def measure(spec: dict[str, Any], tell: Any) -> None:
    """Load, warm up, solve as often as asked or as the time allows, and look at the plan."""
    method, device, limit = METHODS[spec["method"]], spec["device"], spec["time_limit"]
    instance = Instance(**spec["instance"])
    arrays = load(Path(spec["folder"]))
    # what is imported at the first call, and compiled for a GPU, is not the method's time
    few = generate(small(instance, 2_000 if method.ours else 50))
    method.solve(few.problem(to_device(few.revenue, device)), device, None)
    revenue = to_device(arrays.revenue, device)
    read = read_seconds(revenue)
    speed = bandwidth(revenue, read)
    tell("ready", threads=most_threads(), read=read, bandwidth=speed, before=_memory("VmRSS"))
    total, runs, peak = 0.0, 0, 0
    while runs < spec["repeats"] and (not runs or total < limit):
        problem = arrays.problem(revenue)  # afresh: a problem remembers what it has looked at
        _forget_peak()
        tell("start")
        _finish(device)
        start = time.perf_counter()
        plan = method.solve(problem, device, limit)
        _finish(device)
        seconds = time.perf_counter() - start
        total += seconds
        peak = max(peak, _memory("VmHWM"))
        tell("run", seconds=seconds, peak=peak)
        runs += 1
        if runs == 1:  # told at once: the next repeat may be cut short
            tell("worth", **_worth(plan), gpu_peak=_gpu_memory(device))


def _worth(plan: AllocationPlan) -> dict[str, Any]:
    """What the plan is worth, once it has been checked."""
    over, under = int(plan.excess.sum()), int(plan.shortfall.sum())
    nothing = plan.status == "time_limit" and plan.unfilled == plan.problem.slots
    if not nothing:
        _verify(plan)
    return {
        "objective": None if nothing else plan.objective,
        "bound": None if math.isnan(plan.bound) else plan.bound,
        "status": plan.status,
        "unfilled": plan.unfilled,
        "over_quota": over,
        "under_quota": under,
    }


def _verify(plan: AllocationPlan) -> None:
    """Check everything but the quotas of methods that do not promise them."""
    checked = copy.copy(plan)
    if plan.excess.any() or plan.shortfall.any() or plan.unfilled:
        checked.problem = copy.copy(plan.problem)
        checked.problem.quota = plan.exposures  # measured by quotas that are what it gives
        checked.bound, checked.price = math.nan, None
        checked.status = "feasible"
    checked.verify()


def _finish(device: str) -> None:
    if device == "cuda":
        import cupy

        cupy.cuda.get_current_stream().synchronize()


def _gpu_memory(device: str) -> int:
    """Bytes that CuPy's pool holds at the end: it keeps what it once had."""
    if device != "cuda":
        return 0
    import cupy

    return int(cupy.get_default_memory_pool().total_bytes())


def _forget_peak() -> None:
    """Let VmHWM count from here; where the kernel does not allow it, it stays the peak of the whole process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(field: str) -> int:
    """Bytes, from /proc/self/status."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
