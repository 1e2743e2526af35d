"""The harness itself: what right kernels compute, and that wrong ones are caught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from . import build
from .host_module import ORDERS, Address, HostRawModule, KernelFault

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="g++ is not installed")

PROBES = Path(__file__).with_name("probes.cu")
EXPRESSIONS = ("shared_in_template<double, 16>", "shared_in_template<float, 8>", "stale_in_template<int>")


@pytest.fixture(scope="module")
def probes():
    return HostRawModule(path=PROBES, name_expressions=EXPRESSIONS)


@pytest.fixture(scope="module")
def sanitized():
    return HostRawModule(path=PROBES, sanitize=True)


@pytest.fixture(scope="module")
def race_checked():
    return HostRawModule(path=PROBES, check_races=True)


@pytest.fixture(params=ORDERS)
def scheduled(request, probes):
    yield probes.config(request.param, seed=3)
    probes.config()


def ints(n=64):
    return np.zeros(n, np.int32)


# -------------------- what right kernels do


def test_scan_with_shuffles_and_barrier(scheduled):
    n = 5 * 96 - 7
    x = np.random.default_rng(0).integers(0, 10, n).astype(np.float64)
    out = np.zeros(n)
    scheduled.get_function("block_scan")((5,), (96,), (x, out, np.int32(n)))
    padded = np.zeros(5 * 96)
    padded[:n] = x
    assert np.array_equal(out, padded.reshape(5, 96).cumsum(1).ravel()[:n])


def test_dynamic_shared_memory(scheduled):
    x, out = np.arange(50, dtype=np.float32), np.zeros(50, np.float32)
    scheduled.get_function("reverse_dynamic")((1,), (50,), (x, out), shared_mem=200)
    assert np.array_equal(out, x[::-1])


def test_threads_may_leave_early(scheduled):
    out = ints()
    scheduled.get_function("early_exit")((1,), (64,), (out, np.int32(10)))
    assert out.tolist() == [1] * 10 + [0] * 54


def test_indices_in_three_dimensions(scheduled):
    out = ints(24 * 24)
    scheduled.get_function("where_am_i")((2, 3, 4), (4, 3, 2), (out,))
    assert np.array_equal(out.reshape(24, 24), 1000 * np.arange(24)[:, None] + np.arange(24))


@pytest.mark.parametrize("kind", ["double, 16", "float, 8"])
def test_templates_have_shared_memory_of_their_own(scheduled, kind):
    dtype, n = (np.float64, 16) if kind.startswith("double") else (np.float32, 8)
    out = np.zeros(n, dtype)
    scheduled.get_function(f"shared_in_template<{kind}>")((3,), (n,), (out,))
    assert np.array_equal(out, (np.arange(n, dtype=dtype) / dtype(n))[::-1])


def test_arguments_by_value(probes):
    pair = np.array((2.5, -3), np.dtype([("first", "f8"), ("second", "i4")], align=True))[()]
    out = np.zeros(5)
    args = (pair, np.bool_(True), np.float32(0.1), np.int64(1 << 40), out)
    probes.get_function("by_value")((1,), (1,), args)
    assert out.tolist() == [2.5, -3, 1, float(np.float32(0.1)), float(1 << 40)]


def test_warp_primitives(scheduled):
    v = np.random.default_rng(1).integers(-5, 60, 32).astype(np.int32)
    out = np.zeros((32, 12), np.uint32)
    scheduled.get_function("warp_primitives")((1,), (32,), (v, out))
    lanes, u = np.arange(32), v.astype(np.uint32)

    def mask(bits):
        return int(sum(1 << i for i in np.flatnonzero(bits)))

    assert set(out[:, 0]) == {mask(v > 0)}
    assert set(out[:, 1]) == {int((v == 3).any()) * 2 + int((v < 100).all())}
    assert np.array_equal(out[:, 2], u[lanes // 8 * 8 + 5])
    assert np.array_equal(out[:, 3], u[np.where(lanes % 16 + 4 < 16, lanes + 4, lanes)])
    assert np.array_equal(out[:, 4], u[lanes ^ 1])
    assert set(out[:, 5]) == {np.uint32(v.sum() & 0xFFFFFFFF)}
    assert set(out[:, 6]) == {np.int32(v.min()).view(np.uint32)}
    assert set(out[:, 7]) == {u.max()}
    remainder = np.fmod(v, 3)
    assert out[:, 8].tolist() == [mask(remainder == remainder[i]) for i in range(32)]
    assert set(out[:, 9]) == {0}  # 0xffffffff + 1
    odd = mask(v & 1)
    assert out[:, 10].tolist() == [odd & 0xFF] * 8 + [odd & 0xFFFFFF00] * 24
    assert set(out[:, 11]) == {np.bitwise_xor.reduce(u)}


def test_activemask_takes_every_shape(probes):
    v = np.tile([1, 1, 0, 1], 16).astype(np.int32)
    groups = {}
    for order in ORDERS:
        total, group = ints(1), ints(1)
        probes.config(order, seed=5).get_function("aggregated")((1,), (64,), (v, total, group))
        assert total[0] == 48
        groups[order] = int(group[0])
    probes.config()
    assert groups["forward"] == 2  # one a warp
    assert groups["reverse"] == 48  # each lane alone
    assert 2 < groups["random"] < 48


def test_atomics(scheduled):
    u, d, f = np.zeros(1, np.uint64), np.zeros(1), np.zeros(1, np.float32)
    i, long = ints(5), np.zeros(2, np.int64)
    scheduled.get_function("atomics")((2,), (40,), (u, d, f, i, long))
    assert (u[0], d[0], f[0]) == (80 << 40, 40.0, 80.0)
    wrapped = np.int64(80 * 0x7FFFFFFF).astype(np.int32)
    assert i.tolist() == [-240, 7, -1, 5, int(wrapped)]
    assert long.tolist() == [39 << 33, -(39 << 33)]


def test_arithmetic_rounds_as_the_gpu_does(probes):
    # 0.1 * 10 - 1 separates one rounding (fma) from two
    d = np.array([2.5, 1e300, 0.1, 10.0, -1.0])
    f = np.array([-3.9, 0.1, 10.0, -1.0], np.float32)
    out = np.zeros(13, np.int64)
    probes.get_function("arithmetic")((1,), (1,), (d, f, out))
    assert out[0] == 2
    assert out[1] == np.iinfo(np.int64).max
    assert out[2] == -3
    assert out[3:4].view(np.float64)[0] == 0.0
    assert out[4:5].view(np.float64)[0] == 2.0**-54
    assert out[5] == 0
    assert out[6] == 23 * 1000 + 41 * 10 + 8
    assert out[7] == 1
    assert out[8] == 15
    assert out[9] == 1616 + 5
    assert out[10] == 5
    assert out[11] == 0x3F800000
    assert out[12] == -20 + 2


def test_kernels_are_found_as_the_gpu_finds_them(probes):
    assert "from_macro_32" in probes.kernel_names
    out = ints(32)
    probes.get_function("from_macro_32")((1,), (32,), (out,))
    assert set(out) == {32}
    for name in ("in_a_comment", "not_extern_c", "shared_in_template", "dig"):
        with pytest.raises(KeyError, match="no kernel"):
            probes.get_function(name)


def test_same_seed_same_schedule_and_a_fault_leaves_nothing_behind(probes):
    def blocks(seed):
        counter, out = ints(1), ints(40)
        probes.config("random", seed).get_function("order_of_blocks")((40,), (2,), (counter, out))
        return out.tolist()

    first = blocks(1)
    with pytest.raises(KernelFault):
        probes.get_function("divergent_barrier")((1,), (32,), (ints(),))
    assert blocks(1) == first
    assert blocks(2) != first
    probes.config()


def test_raw_addresses_and_null(probes):
    out = np.zeros(4, np.float32)
    for address in (Address(out.ctypes.data), np.uint64(out.ctypes.data)):
        out[:] = 0
        probes.get_function("write_at")((1,), (1,), (address, np.int64(2)))
        assert out.tolist() == [0, 0, 1, 0]
    with pytest.raises(KernelFault, match="access to 0x8, which belongs to no argument"):
        probes.get_function("write_at")((1,), (1,), (Address(0), np.int64(2)))


def test_definitions_choose_the_text():
    code = 'extern "C" __global__ void k(int* out) { out[0] = VALUE; }'
    for value in (3, 4):
        out = ints(1)
        options = (f"-DVALUE={value}", "--std=c++17", "--fmad=false")
        HostRawModule(code=code, options=options).get_function("k")((1,), (1,), (out,))
        assert out[0] == value
    with pytest.raises(build.CompileError, match="VALUE"):
        HostRawModule(code=code)
    with pytest.raises(ValueError, match="no meaning"):
        HostRawModule(code=code, options=("--use_fast_math",))


# -------------------- what wrong kernels run into


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("divergent_barrier", r"different barriers: threads 0-6 .*; threads 7-63"),
        ("barrier_and_shuffle", r"deadlock: threads 32-63 wait at __shfl_sync|deadlock: threads .*__syncthreads"),
        ("not_in_mask", r"lane \d+ is not in its mask 0xffff0000"),
        ("different_masks", r"different masks|is not in its mask"),
    ],
)
def test_divergence_is_caught(scheduled, kernel, message):
    with pytest.raises(KernelFault, match=message):
        scheduled.get_function(kernel)((1,), (64,), (ints(),))


def test_shuffle_from_a_lane_that_does_not_exist(scheduled):
    with pytest.raises(KernelFault, match="reads lane 16, which is not in the mask"):
        scheduled.get_function("reads_missing_lane")((1,), (16,), (ints(),))


def test_missing_barrier_shows_between_schedules(probes):
    results = []
    for order in ORDERS:
        out = ints()
        probes.config(order).get_function("missing_barrier")((1,), (64,), (out,))
        results.append(out.tolist())
    probes.config()
    assert results[0] != results[1]


def test_stale_shared_memory_is_poisoned(probes):
    out = ints(3)
    probes.get_function("stale_shared")((3,), (4,), (out,))
    rubbish = int(np.uint32(0xCDCDCDCD + 4).view(np.int32))
    assert out.tolist() == [4, rubbish, rubbish]
    probes.get_function("stale_in_template<int>")((3,), (4,), (out,))
    assert out.tolist() == [1, rubbish - 4, rubbish - 4]


def test_stack_overflow_is_caught_and_survived(scheduled):
    out = ints()
    kernel = scheduled.get_function("recursion")
    kernel((1,), (32,), (out, np.int32(20)))
    assert out[0] == sum(range(1, 21))
    with pytest.raises(KernelFault, match="stack overflow"):
        kernel((1,), (32,), (out, np.int32(100_000)))


@pytest.mark.parametrize("n", [1, 3, 1024, 5000])
def test_what_runs_over_an_array_is_caught(probes, n):
    x, out = np.ones(n, np.float32), np.zeros(1, np.float32)
    read, write = probes.get_function("read_at"), probes.get_function("write_at")
    read((1,), (1,), (x, out, np.int64(n - 1)))
    assert out[0] == 1
    with pytest.raises(KernelFault, match="past the end of argument 0"):
        read((1,), (1,), (x, out, np.int64(n + 3)))
    for index in (n, n + 3, -1, -2000):
        before = x.copy()
        with pytest.raises(KernelFault, match=r"argument 0|belongs to no argument"):
            write((1,), (1,), (x, np.int64(index)))
        assert np.array_equal(x, before)


def test_const_parameters_are_not_written(probes):
    x = np.zeros(4, np.float32)
    x.flags.writeable = False
    with pytest.raises(KernelFault, match="read-only"):
        probes.get_function("writes_const")((1,), (1,), (x,))
    with pytest.raises(TypeError, match="read-only array"):
        probes.get_function("write_at")((1,), (1,), (x, np.int64(0)))


def test_dynamic_shared_overrun(probes):
    out, kernel = np.zeros(1, np.float32), probes.get_function("dynamic_overrun")
    kernel((1,), (1,), (out, np.int32(7)), shared_mem=32)
    with pytest.raises(KernelFault, match="past the end of dynamic shared memory"):
        kernel((1,), (1,), (out, np.int32(8)), shared_mem=32)


def test_division_by_zero(probes):
    with pytest.raises(KernelFault, match="division by zero"):
        probes.get_function("divides")((1,), (1,), (ints(1), np.int32(0)))


def test_a_kernel_that_never_ends_is_stopped(probes):
    try:
        with pytest.raises(KernelFault, match=r"stopped after 0\.2 s"):
            probes.config(seconds=0.2).get_function("never_ends")((1,), (1,), (ints(1),))
    finally:
        probes.config()


def test_undefined_behaviour_has_a_place(sanitized):
    def fails(name, message, *args):
        with pytest.raises(KernelFault, match=rf"probes\.cu:\d+:\d+: .*{message}|{message}"):
            sanitized.get_function(name)((1,), (1,), args)

    fails("shared_overrun", r"index 8 is out of bounds for 'int \[8\]'", ints(), np.int32(8))
    fails("signed_overflow", "signed integer overflow: 2147483647 \\+ 1", np.full(1, 2**31 - 1, np.int32))
    fails("shifts", "1 of 'int' shifted by 40", ints(1), np.int32(40))
    fails("casts", "outside the range", np.full(1, 3e9, np.float32), ints(1))
    fails("misaligned", "needs an alignment of 8 bytes", np.zeros(4, np.float32), np.zeros(1, np.float32))
    fails("divides", "division", ints(1), np.int32(0))
    out = ints(8)
    sanitized.get_function("shared_overrun")((1,), (8,), (out, np.int32(7)))
    assert set(out) == {3}


@pytest.mark.parametrize("order", ORDERS)
def test_races_are_caught(race_checked, order):
    race_checked.config(order)

    def run(name, block, *args):
        race_checked.get_function(name)((2,), (block,), args)

    line = r"probes\.cu:\d+"
    with pytest.raises(KernelFault, match=rf"race on byte \d+ of shared memory: .*{line}|before any thread"):
        run("missing_barrier", 64, ints())
    with pytest.raises(KernelFault, match="race on byte 0 of argument 0"):
        run("global_race", 32, ints(1))
    with pytest.raises(KernelFault, match="before any thread of the block has written it"):
        run("stale_shared", 4, ints(2))
    with pytest.raises(KernelFault, match=r"shared memory"):
        race_checked.get_function("warp_exchange")((1,), (32,), (ints(32), np.int32(0)))
    # and right ones pass
    out = ints(32)
    race_checked.get_function("warp_exchange")((1,), (32,), (out, np.int32(1)))
    assert out.tolist() == [i ^ 1 for i in range(32)]
    total = ints(1)
    run("block_sum", 64, np.ones(64, np.int32), total)
    assert total[0] == 128
    race_checked.config()


# -------------------- what calls are refused


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((np.ones(2, np.float32), np.ones(2), np.int64(0)), "argument 1 is an array of float64"),
        ((np.ones(2, np.float32), np.ones(2, np.float32), np.int32(0)), "argument 2 is int32"),
        ((np.ones(2, np.float32), np.ones(2, np.float32), 0.0), "argument 2 is float64"),
        ((np.ones((2, 2), np.float32).T, np.ones(2, np.float32), 0), "not C-contiguous"),
        ((np.float32(1), np.ones(2, np.float32), 0), "a pointer to float of 4 bytes"),
        ((np.ones(2, np.float32), np.ones(2, np.float32), "x"), "neither an array nor a number"),
        ((np.ones(2, np.float32),), "has 3 parameters, 1 arguments"),
    ],
)
def test_arguments_that_do_not_fit_the_parameters(probes, args, message):
    with pytest.raises(TypeError, match=message):
        probes.get_function("read_at")((1,), (1,), args)


def test_overlapping_arguments(probes):
    x = np.arange(4, dtype=np.float32)
    with pytest.raises(TypeError, match="overlap"):
        probes.get_function("read_at")((1,), (1,), (x, x[:2], 0))
    probes.get_function("read_at")((1,), (1,), (x, x, 3))  # the same array, in place
    assert x.tolist() == [3, 1, 2, 3]


def test_limits_of_a_launch(probes):
    with pytest.raises(KernelFault, match="1 to 1024 threads"):
        probes.get_function("where_am_i")((1,), (1025,), (ints(),))
    with pytest.raises(KernelFault, match="a grid has"):
        probes.get_function("where_am_i")((0,), (1,), (ints(),))
    with pytest.raises(KernelFault, match="__launch_bounds__ of 64"):
        probes.get_function("bounded")((1,), (65,), (ints(65),))
    kernel = probes.get_function("reverse_dynamic")
    x = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="49152 allowed"):
        kernel((1,), (4,), (x, x.copy()), shared_mem=50_000)
    kernel.max_dynamic_shared_size_bytes = 60_000
    kernel((1,), (4,), (x, x.copy()), shared_mem=50_000)


def test_source_is_given_once():
    with pytest.raises(TypeError, match="either path or code"):
        HostRawModule()
