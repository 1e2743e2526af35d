"""The kernels on the CPU: each test that asks for `host_module` or `device_ops` runs in three schedules."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from ptofa_gpu.ops import _kernels
from tests.cuda_on_cpu import build
from tests.cuda_on_cpu.host_module import ORDERS, HostRawModule

KERNELS = sorted(p.stem for p in _kernels.kernel_path("score").parent.glob("*.cu"))


@cache
def load_on_host(name: str, sanitize: bool = False, check_races: bool = False) -> HostRawModule:
    """kernels/`name`.cu compiled for the CPU, once a session."""
    path, options = _kernels.kernel_path(name), _kernels.compile_options()
    return HostRawModule(path=path, options=options, sanitize=sanitize, check_races=check_races)


@pytest.fixture(params=ORDERS)
def schedule(request) -> str:
    if build.compiler() is None:
        pytest.skip("g++ is not installed")
    return request.param


@pytest.fixture
def host_module(schedule) -> Callable[..., HostRawModule]:
    """``host_module(name, sanitize=False, check_races=False)``: kernels/name.cu compiled, in the test's schedule."""

    def load(name: str, **checks: bool) -> HostRawModule:
        return load_on_host(name, **checks).config(schedule, seed=1)

    return load


@pytest.fixture
def device_ops(host_module) -> Callable[..., _kernels.DeviceOps]:
    """``device_ops(**checks)``: the GPU's launchers on NumPy arrays and the CPU; 16 blocks fill this "device"."""

    def make(**checks: bool) -> _kernels.DeviceOps:
        return _kernels.DeviceOps(np, lambda name: host_module(name, **checks), multiprocessors=2)

    return make
