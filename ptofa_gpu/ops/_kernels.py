"""The CUDA side of the ops: finds kernels/cuda/*.cu and compiles them, once a process; _launch_*.py launch them.

`DeviceOps` takes its arrays' namespace and its loader as arguments, so that the tests run these very launchers, and the
kernels behind them, on the CPU.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from ptofa_gpu._files import asset_dir
from ptofa_gpu._lazy import require
from ptofa_gpu.ops._launch_arcs import ArcOps
from ptofa_gpu.ops._launch_heuristic import HeuristicOps
from ptofa_gpu.ops._launch_plan import PlanOps
from ptofa_gpu.ops._launch_price import PriceOps
from ptofa_gpu.ops._launch_swaps import SwapOps

#: No contraction: a fused multiply-add rounds once where the CPU twin rounds twice.
OPTIONS: tuple[str, ...] = ("--std=c++17", "--fmad=false")
_ENTRY = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(')
_MACRO_ENTRY = re.compile(r"^([A-Z][A-Z_]*)\((\d+), ", re.MULTILINE)  # NAME(8, ...) makes name_8


def kernel_path(name: str) -> Path:
    """The source kernels/cuda/`name`.cu."""
    return asset_dir("kernels") / "cuda" / f"{name}.cu"


def kernel_names(path: Path) -> list[str]:
    """The entry points of a kernel source."""
    text = path.read_text()
    return _ENTRY.findall(text) + [f"{name.lower()}_{n}" for name, n in _MACRO_ENTRY.findall(text)]


def compile_options() -> tuple[str, ...]:
    """Options for NVRTC, the folders of the headers included."""
    return (*OPTIONS, *(f"-I{asset_dir('kernels') / part}" for part in ("cuda", "rows")))


def _raw_module(name: str) -> Any:
    cupy = require("cupy", "device='cuda'")
    path = kernel_path(name)
    return cupy.RawModule(code=path.read_text(), options=compile_options(), backend="nvrtc")


class DeviceOps(HeuristicOps, PriceOps, SwapOps, ArcOps, PlanOps):
    """Launchers with the signatures of the CPU twins in `ptofa_gpu.ops`; see `ptofa_gpu.ops._launch.Launcher`."""


@lru_cache(maxsize=8)
def _device_ops(device_id: int) -> DeviceOps:
    cupy = require("cupy", "device='cuda'")
    count = cupy.cuda.Device(device_id).attributes["MultiProcessorCount"]
    return DeviceOps(cupy, _raw_module, int(count))


def device_module() -> DeviceOps:
    """The launchers for CuPy's current device."""
    cupy = require("cupy", "device='cuda'")
    return _device_ops(int(cupy.cuda.Device().id))
