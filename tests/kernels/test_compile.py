"""Every kernel compiles for every supported GPU, with the options the package uses, and fits into its registers."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

from ptofa_gpu.ops import _kernels
from tests.cuda_on_cpu import build
from tests.kernels import nvrtc
from tests.kernels.conftest import KERNELS, load_on_host

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")
needs_nvrtc = pytest.mark.skipif(nvrtc.find_library() is None, reason="nvidia-cuda-nvrtc is not installed")


@cache
def compiled(kernel: str, arch: str) -> nvrtc.Compiled:
    path = _kernels.kernel_path(kernel)
    return nvrtc.compile_source(path.read_text(), path.name, arch, _kernels.compile_options())


def test_there_are_kernels():
    assert "score" in KERNELS


def test_contraction_is_off():
    assert "--fmad=false" in _kernels.compile_options()


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_compiles_without_a_warning(kernel, arch):
    result = compiled(kernel, arch)
    assert result.cubin[:4] == b"\x7fELF"
    assert set(result.kernels) == set(_kernels.kernel_names(_kernels.kernel_path(kernel)))
    assert "warning" not in result.log, result.log


@needs_nvrtc
@pytest.mark.parametrize("kernel", KERNELS)
def test_nothing_spills(kernel):
    for name, use in compiled(kernel, "sm_90").kernels.items():
        assert use.spill_bytes == 0, f"{name} spills: {use}"
        assert use.shared_bytes <= 48 << 10


ROWS_IN_REGISTERS = [
    ("score", "score_pick", (8, 16)),
    ("price", "price_one", (8, 16, 32)),
    ("price", "price_many", (8, 16, 32)),
    ("choices", "choices", (8, 16, 32)),
    ("choices", "take", (8, 16, 32)),
    ("swaps", "swap_margins", (8, 16, 32)),
    ("swaps", "near", (8, 16, 32)),
]


@needs_nvrtc
@pytest.mark.parametrize(("source", "name", "sizes"), ROWS_IN_REGISTERS, ids=lambda x: x if isinstance(x, str) else "")
def test_a_short_row_stays_in_registers(source, name, sizes):
    """Every index into the row is a constant, so it needs no local memory, and occupancy stays high."""
    for funds in sizes:
        use = compiled(source, "sm_90").kernels[f"{name}_{funds}"]
        assert use.stack_bytes == 0, f"{name}_{funds}"
        assert use.registers <= 32 + 4 * funds, f"{name}_{funds}"


class Recorder(_kernels.DeviceOps):
    """Notes the dynamic shared memory of each launch instead of making it."""

    def __init__(self):
        super().__init__(np, lambda name: None, multiprocessors=2)
        self.launches: list[tuple[str, str, int]] = []

    def _launch(self, module, name, grid, block, args, shared=0):
        self.launches.append((module, name, shared))


@needs_nvrtc
def test_shared_memory_of_both_kinds_fits_together():
    """For every number of funds: a launch fails where a block's own variables and its rows together pass 48 KiB."""
    ops = Recorder()
    for funds in range(1, 1025):
        E, levels = np.zeros((1, funds), np.float32), (np.zeros(1, np.int8), np.zeros(funds, np.int8), None)
        offset, chosen = np.zeros(funds), np.zeros((1, 1), np.int16)
        ops.choices(E, *levels, offset, 1.0, 1)
        ops.take(E, *levels, offset, 1.0, chosen)
        if funds <= 120 or funds % 101 == 0 or funds == 1024:
            ops.price_pass(E, *levels, offset, 1.0, np.zeros((funds + 1, funds + 1)), 1)
            ops.count_arcs(*levels, chosen)
    assert {name for _, name, _ in ops.launches} >= {"price_one_32", "price_wide", "price_wider", "choices_wide"}
    for module, name, dynamic in ops.launches:
        static = compiled(module, "sm_90").kernels[name].shared_bytes
        assert static + dynamic <= 48 << 10, f"{name}: {static} + {dynamic}"


@needs_nvrtc
def test_no_fused_multiply_add_is_left():
    """The score is compared with its CPU twin to the bit; an FMA rounds once where the twin rounds twice."""
    with_fma = nvrtc.compile_source(FMA, "fma.cu", "sm_90", ("--fmad=true",))
    without = nvrtc.compile_source(FMA, "fma.cu", "sm_90", _kernels.OPTIONS)
    assert with_fma.cubin != without.cubin


@needs_nvrtc
@pytest.mark.parametrize("kernel", KERNELS)
def test_subnormal_numbers_are_kept_and_every_operation_rounds(kernel):
    """What the run on the CPU cannot show."""
    ptx = compiled(kernel, "sm_90").ptx
    assert ".entry" in ptx
    assert ".ftz" not in ptx
    assert "fma.r" not in ptx
    assert not re.search(r"\.approx|\.full", ptx), "a division or a root that is not the nearest number"


@needs_nvrtc
def test_flushing_and_fusing_would_be_seen():
    ptx = nvrtc.compile_source(FMA.replace("double", "float"), "fma.cu", "sm_90", ("--fmad=true", "--ftz=true")).ptx
    assert "fma.rn.ftz" in ptx


FMA = 'extern "C" __global__ void axpy(const double* x, double* y, double a) { y[threadIdx.x] += a * x[threadIdx.x]; }'


@needs_nvrtc
def test_errors_carry_the_log():
    with pytest.raises(nvrtc.NvrtcError, match=r"broken\.cu\(1\): error"):
        nvrtc.compile_source("__global__ void k( {", "broken.cu", "sm_90")


@needs_nvrtc
def test_a_spill_is_seen():
    """The log is read right: a kernel that cannot keep 128 sums in 32 registers spills."""
    body = "".join(f"float a{i} = x[{i}] * x[0];" for i in range(128)) + "__syncthreads();"
    body += "float s = 0;" + "".join(f"s = s * a{i} + a{127 - i};" for i in range(128)) + "x[threadIdx.x] = s;"
    shared = "__shared__ float t[64]; t[threadIdx.x] = x[threadIdx.x];"
    text = f'extern "C" __global__ void k(float* x) {{ {shared} {body} x[1] = t[3]; }}'
    use = nvrtc.compile_source(text, "k.cu", "sm_90", ("--maxrregcount=32",)).kernels["k"]
    assert use.spill_bytes > 0
    assert use.registers <= 32
    assert use.shared_bytes == 256


@pytest.mark.skipif(build.compiler() is None, reason="g++ is not installed")
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_cpu_finds_the_same_kernels(kernel):
    assert set(load_on_host(kernel).kernel_names) == set(_kernels.kernel_names(_kernels.kernel_path(kernel)))
