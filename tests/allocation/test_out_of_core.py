"""Every allocator gives the same plan, bit for bit, however E is cut into blocks and wherever it lies; in bounded
memory, and clean when it is interrupted."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation import memory
from ptofa_gpu.allocation.reference import PAIR_BYTES
from ptofa_gpu.bench.instances import Instance, generate
from ptofa_gpu.errors import InputError, OutOfMemoryError
from tests.allocation.strategies import general_instances, instances

#: method and options; the optimum and the heuristic where some plan meets all constraints
METHODS = [
    ("optimal", {"on_infeasible": "relax"}),
    ("heuristic", {"on_infeasible": "relax"}),
    ("heuristic", {"repair": False, "tail": "inf"}),
    ("manual", {}),
    ("topk", {}),
]


def check_same_plan(one, other):
    np.testing.assert_array_equal(one.funds, other.funds)
    np.testing.assert_array_equal(one.exposures, other.exposures)
    assert one.objective == other.objective
    assert one.status == other.status
    assert one.bound == other.bound or (np.isnan(one.bound) and np.isnan(other.bound))
    if one.price is not None:
        np.testing.assert_array_equal(one.price, other.price)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(instances(), st.data())
def test_blocks_never_show_in_a_plan(tmp_path, instance, data):
    E = instance["revenue"]
    cuts = data.draw(st.lists(st.integers(0, len(E)), max_size=5))
    parts = [E[a:b] for a, b in pairwise(sorted([0, *cuts, len(E)]))]
    np.save(tmp_path / "E.npy", E.astype(np.float64, order=data.draw(st.sampled_from("CF"))))
    kept = np.load(tmp_path / "E.npy", mmap_mode="r")
    block_rows = data.draw(st.integers(1, len(E) + 1))
    method, options = data.draw(st.sampled_from(METHODS))
    whole = ptofa.AllocationProblem(**instance)
    wanted = ptofa.allocate(whole, method, device="cpu", **options)
    check_same_plan(wanted, ptofa.allocate(whole, method, device="cpu", block_rows=block_rows, **options))
    for revenue, rows in ((parts, None), (parts, block_rows), (kept, block_rows), (tmp_path / "E.npy", None)):
        problem = ptofa.AllocationProblem(**(instance | {"revenue": revenue}))
        plan = ptofa.allocate(problem, method, device="cpu", block_rows=rows, **options)
        check_same_plan(wanted, plan)
        for name, values in wanted.columns().items():
            np.testing.assert_array_equal(plan.columns()[name], values)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(instances(), general_instances()), st.data())
def test_blocks_never_show_at_any_stage_of_the_optimum(narrow, arguments, data):
    E = arguments["revenue"]
    cut = data.draw(st.integers(0, len(E)))
    options = {"method": "optimal", "device": "cpu", "on_infeasible": "relax"}
    wanted = ptofa.allocate(ptofa.AllocationProblem(**arguments), **options)
    parts = ptofa.AllocationProblem(**(arguments | {"revenue": [E[:cut], E[cut:]]}))
    check_same_plan(wanted, ptofa.allocate(parts, **options))


THREADS = """
import os, sys, zlib, numpy as np, ptofa_gpu as ptofa
rng = np.random.default_rng(3)
E = rng.lognormal(3, 1, (40_000, 6)).astype(np.float32).round(1)
t, r = rng.integers(1, 6, len(E)), np.array([1, 1, 2, 3, 4, 5])
for revenue, rows in ((E, None), ([E[:1], E[1:15_000], E[15_000:]], None), (E, 7001)):
    problem = ptofa.AllocationProblem(revenue, np.full(6, 5000), 1, t, r)
    for threads in [int(n) for n in sys.argv[1:]]:
        os.environ["PTOFA_NUM_THREADS"] = str(threads)
        for method in ("heuristic", "manual", "topk", "optimal"):
            plan = ptofa.allocate(problem, method, device="cpu", block_rows=rows)
            print(method, zlib.crc32(plan.funds.tobytes()), repr(plan.objective))
"""


def in_a_process(code: str, *arguments: str, threads: int = 4) -> str:
    env = os.environ | {"PTOFA_NUM_THREADS": str(threads), "PYTHONPATH": str(Path(ptofa.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_threads_and_blocks_never_show_in_a_plan():
    lines = in_a_process(THREADS, "1", "2", "4").split("\n")[:-1]
    assert len(lines) == 36
    assert len(set(lines)) == 4


MEMORY = """
import re, sys, numpy as np, ptofa_gpu as ptofa
path, customers, method, k = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
def status(name):
    return 1024 * int(re.search(name + r":\\s*(\\d+)", open("/proc/self/status").read())[1])
def forget():
    open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
rng = np.random.default_rng(0)
small = np.ones((1000, 8), np.float32)
risk = np.array([1, 1, 2, 2, 3, 3, 4, 5], np.int8)
tolerance = rng.integers(1, 6, customers).astype(np.int8)
for rows in (None, 100):  # what is compiled, or loaded, is not what is measured
    ptofa.allocate(ptofa.AllocationProblem(small, [100] * 8, k, tolerance[:1000], risk), method, device="cpu",
                   block_rows=rows)
forget()
before = status("VmRSS")
problem = ptofa.AllocationProblem(path, [customers // 10] * 8, k, tolerance, risk)
print(status("VmHWM") - before)
forget()
before = status("VmRSS")
plan = ptofa.allocate(problem, method, device="cpu", max_memory=(40 + 8 * k) * customers + 32 * 100_000)
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's record of peak memory")
@pytest.mark.parametrize(
    ("method", "k"), [("optimal", 1), ("heuristic", 1), ("heuristic", 3), ("manual", 1), ("topk", 1)]
)
def test_memory_is_48_bytes_a_customer_and_a_block(tmp_path, method, k):
    customers = 2_000_000
    rng = np.random.default_rng(1)
    E = np.lib.format.open_memmap(tmp_path / "E.npy", "w+", np.float32, (customers, 8))
    E[...] = rng.lognormal(3, 1, (customers // 8, 8)).astype(np.float32).repeat(8, axis=0)
    E[:, 3] += np.arange(customers) % 97
    E.flush()
    del E
    made, used = map(int, in_a_process(MEMORY, str(tmp_path / "E.npy"), str(customers), method, str(k)).split())
    slack = 4 << 20  # the interpreter's and the allocator's own
    assert made <= (32 << 20) + slack  # a block of the default size
    assert used <= (40 + 8 * k) * customers + 32 * 100_000 + slack


EXCHANGE = """
import re, sys, numpy as np, ptofa_gpu as ptofa
folder, k, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def status(name):
    return 1024 * int(re.search(name + r":\\s*(\\d+)", open("/proc/self/status").read())[1])
def allocate(name):
    about = np.load(f"{folder}/{name}.npz")
    problem = ptofa.AllocationProblem(f"{folder}/{name}.npy", about["quota"], k, about["tolerance"], about["risk"])
    open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
    before = status("VmRSS")
    assert ptofa.allocate(problem, device="cpu", block_rows=rows or None).status == "optimal"
    return status("VmHWM") - before
allocate("small")  # what is compiled, or loaded, is not what is measured
print(allocate("large"))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's record of peak memory")
@pytest.mark.parametrize(
    ("customers", "funds", "k", "ties"),
    [
        (400_000, 64, 1, "1digit"),
        (400_000, 64, 3, "1digit"),
        (400_000, 64, 3, "none"),
        (400_000, 32, 8, "1digit"),
        (1_000_000, 8, 3, "1digit"),
    ],
)
def test_an_exchange_has_no_more_memory(tmp_path, customers, funds, k, ties):
    """Ties and dozens of funds make it largest; blocks of the default size, and small ones."""
    for name, rows in (("small", 20_000), ("large", customers)):
        problem = generate(Instance(rows, funds, k, ties)).problem()
        np.save(tmp_path / f"{name}.npy", problem.revenue)
        limits = {"quota": problem.quota, "tolerance": problem.tolerance, "risk": problem.risk}
        np.savez(tmp_path / f"{name}.npz", **limits)
    for block_rows in (0, 8192):
        # the second process finds everything compiled, also what the small problem has no use for
        used = min(int(in_a_process(EXCHANGE, str(tmp_path), str(k), str(block_rows))) for _ in range(2))
        block = 4 * funds * block_rows or (32 << 20)
        assert used <= (56 + 8 * k) * customers + block + (256 << 20)


PAIRS = """
import re, sys, numpy as np, ptofa_gpu as ptofa
def status(name):
    return 1024 * int(re.search(name + r":\\s*(\\d+)", open("/proc/self/status").read())[1])
def allocate(customers, funds, method):
    revenue = np.random.default_rng(0).random((customers, funds), np.float32)
    problem = ptofa.AllocationProblem(revenue, [customers * 97 // 100 // funds] * funds)
    open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
    before = status("VmRSS")
    ptofa.allocate(problem, method, device="cpu").verify()
    return status("VmHWM") - before
allocate(2000, 300, sys.argv[3])  # what is compiled, or loaded, is not what is measured
print(allocate(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's record of peak memory")
@pytest.mark.parametrize(
    ("customers", "funds", "method"), [(2000, 512, "optimal"), (5000, 512, "optimal"), (20_000, 32, "reference")]
)
def test_the_estimate_is_what_pairs_take_at_most(customers, funds, method):
    used = int(in_a_process(PAIRS, str(customers), str(funds), method))
    estimate = (
        memory.exchange_bytes(customers, funds) if method == "optimal" else PAIR_BYTES["ORTOOLS"] * customers * funds
    )
    assert used <= estimate + memory.UNCOUNTED + 48 * customers + (4 << 20)
    assert used >= estimate / 3


# -- refusals --------------------------------------------------------------------------------------------------------
E = np.random.default_rng(5).lognormal(3, 1, (5000, 8)).astype(np.float32)


def on_disk(folder: Path) -> ptofa.AllocationProblem:
    np.save(folder / "E.npy", E)
    return ptofa.AllocationProblem(folder / "E.npy", [400] * 8)


@pytest.mark.parametrize("method", ["optimal", "heuristic", "manual", "topk"])
def test_what_does_not_fit_is_refused_with_the_block_that_would(tmp_path, method):
    problem = on_disk(tmp_path)
    limit = 48 * 5000 + 32 * 100
    with pytest.raises(OutOfMemoryError, match=r"needs 272,000 bytes.*240,000 for the customers and 32,000 for") as e:
        ptofa.allocate(problem, method, device="cpu", block_rows=1000, max_memory=limit)
    assert "243,200 bytes (237.5 KiB) are allowed by max_memory. Pass block_rows=100 or fewer." in str(e.value)
    with pytest.raises(OutOfMemoryError, match=r"No block_rows would fit: the customers alone need 48 bytes each"):
        ptofa.allocate(problem, method, device="cpu", max_memory="200 kB")
    for options in ({"block_rows": 100}, {}):
        plan = ptofa.allocate(problem, method, device="cpu", max_memory=limit, **options)
        assert np.array_equal(plan.funds, ptofa.allocate(ptofa.AllocationProblem(E, [400] * 8), method).funds)


def test_the_machine_s_memory_is_a_limit_too(tmp_path, monkeypatch):
    problem = on_disk(tmp_path)
    monkeypatch.setattr(memory, "available_memory", lambda device="cpu": 48 * 5000 + 3200)
    assert problem.revenue_blocks().block_rows == 100
    with pytest.raises(OutOfMemoryError, match=r"243,200 bytes \(237.5 KiB\) of memory can be had"):
        ptofa.allocate(problem, "topk", device="cpu", block_rows=101)
    monkeypatch.setattr(memory, "available_memory", lambda device="cpu": 100_000)
    with pytest.raises(OutOfMemoryError, match="No block_rows would fit"):
        ptofa.allocate(ptofa.AllocationProblem(E, [400] * 8), "heuristic", device="cpu")
    with pytest.raises(OutOfMemoryError, match=r"a float32 copy of revenue needs 160,000 bytes"):
        ptofa.AllocationProblem(E.astype(float), [400] * 8)
    with pytest.raises(OutOfMemoryError, match=r"a copy of revenue in host memory needs 160,000 bytes"):
        problem.host_revenue()


def test_the_reference_refuses_what_does_not_fit(tmp_path):
    problem = on_disk(tmp_path)
    with pytest.raises(OutOfMemoryError, match=r"solver='ortools' holds every pair .* needs 5,600,000 bytes"):
        ptofa.allocate(problem, "reference", max_memory=100_000)
    with pytest.raises(OutOfMemoryError, match=r"solver='highs' holds every pair .* needs 88,000,000 bytes"):
        ptofa.allocate(problem, "reference", solver="highs", integer=True, max_memory="50 MB")
    plan = ptofa.allocate(problem, "reference", max_memory="1 GiB").verify()
    assert plan.objective == pytest.approx(ptofa.allocate(problem, "optimal", device="cpu").objective, rel=1e-9)


@pytest.mark.parametrize(("funds", "allowed"), [(2_000, "100 MB"), (16_384, None)])
def test_too_many_pairs_of_funds_are_refused_before_the_work(funds, allowed, monkeypatch):
    monkeypatch.setattr(ptofa.AllocationProblem, "feasibility", lambda self: pytest.fail("the work has begun"))
    problem = ptofa.AllocationProblem(np.ones((50, funds), np.float32), [1] * 40 + [0] * (funds - 40))
    if allowed is None:
        monkeypatch.setattr(memory, "available_memory", lambda device="cpu": 8 << 30)
    with pytest.raises(OutOfMemoryError, match=rf"{funds:,} funds looks at swaps between all pairs of them.*needs"):
        ptofa.allocate(problem, device="cpu", max_memory=allowed)


def test_memory_that_runs_out_on_the_way_is_said(monkeypatch):
    def greedy(*_):
        return np.empty((1 << 45,), np.int8)  # no machine has so much

    monkeypatch.setattr("ptofa_gpu.allocation.optimal.optimal", greedy)
    problem = ptofa.AllocationProblem(E, [400] * 8)
    with pytest.raises(OutOfMemoryError, match=r"ran out in method='optimal' with 5,000 customers x 8 funds: .*32"):
        ptofa.allocate(problem, device="cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_rows": 0}, "block_rows is 0"),
        ({"block_rows": 2.5}, "block_rows is 2.5"),
        ({"max_memory": "much"}, "max_memory is 'much'; it needs a whole number of bytes, or text such as '2 GiB'"),
        ({"max_memory": -1}, "max_memory is -1; it needs more than 0 bytes"),
        ({"max_memory": None, "block_rows": "7"}, "block_rows is '7'"),
    ],
)
def test_bad_limits(options, message):
    with pytest.raises(InputError, match=message):
        ptofa.allocate(ptofa.AllocationProblem(E, [400] * 8), "topk", device="cpu", **options)


def test_sizes_in_words():
    read = {"2 GiB": 2 << 30, "2GB": 2 * 10**9, "1.5 MiB": 3 << 19, "300": 300, "1e6": 10**6, "7 kb": 7000, "8 B": 8}
    assert {text: memory.parse_bytes(text) for text in read} == read
    assert memory.in_words(1000) == "1,000 bytes"
    assert memory.in_words(3 << 29) == "1,610,612,736 bytes (1.5 GiB)"


def test_memory_is_the_least_of_machine_group_and_process(monkeypatch):
    assert 1 << 20 < memory.available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name, size in (("_machine", 50), ("_control_groups", 40), ("_own_limit", 60)):
        monkeypatch.setattr(memory, name, lambda size=size: size)
    assert memory.available_memory() == 40


# -- interruption ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("method", "options"), [METHODS[1], METHODS[2], ("optimal", {"on_infeasible": "relax"})])
def test_an_interrupt_leaves_everything_as_it_was(tmp_path, method, options):
    customers = 200_000
    rng = np.random.default_rng(2)
    np.save(tmp_path / "E.npy", rng.lognormal(3, 1, (customers, 4)).astype(np.float32))
    problem = ptofa.AllocationProblem(tmp_path / "E.npy", [45_000] * 4)
    wanted = ptofa.allocate(problem, method, device="cpu", block_rows=30_000, **options)
    before = dict(vars(problem))
    gc.collect()  # what earlier tests left open
    files, handles = sorted(os.listdir(tmp_path)), len(os.listdir("/proc/self/fd"))

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            ptofa.allocate(problem, method, device="cpu", block_rows=30_000, progress=stop, **options)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert caught.value.__traceback__ is not None
    assert kept < customers  # not one byte a customer, although the exception is still there
    assert sorted(os.listdir(tmp_path)) == files
    assert len(os.listdir("/proc/self/fd")) == handles
    derived = ("max_revenue", "_max_seen", "_core")  # looked at anew by every call
    assert [vars(problem)[name] for name in derived[:2]] == [before[name] for name in derived[:2]]
    assert {n: id(v) for n, v in vars(problem).items() if n not in derived} == {
        n: id(v) for n, v in before.items() if n not in derived
    }
    check_same_plan(wanted, ptofa.allocate(problem, method, device="cpu", block_rows=30_000, **options))


def test_an_interrupt_while_a_file_is_read_closes_it(tmp_path, monkeypatch):
    from ptofa_gpu.allocation import _file_rows

    problem = on_disk(tmp_path)
    wanted = ptofa.allocate(problem, "topk", device="cpu", block_rows=100)
    handles = len(os.listdir("/proc/self/fd"))
    read, calls = _file_rows.FileRows._fill, []

    def stop(self, file, position, out):
        calls.append(position)
        if len(calls) == 20:
            raise KeyboardInterrupt
        read(self, file, position, out)

    with monkeypatch.context() as patch:
        patch.setattr(_file_rows.FileRows, "_fill", stop)
        with pytest.raises(KeyboardInterrupt):
            ptofa.allocate(problem, "topk", device="cpu", block_rows=100)
    assert len(os.listdir("/proc/self/fd")) == handles
    check_same_plan(wanted, ptofa.allocate(problem, "topk", device="cpu", block_rows=100))
