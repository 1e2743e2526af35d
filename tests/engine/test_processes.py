"""The pool of threads in all sorts of processes: forks, workers of data loaders, many callers, limits, Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from ptofa_gpu.ops import _entry
from tests.engine import passes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="written for Linux")


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch):
    """Also on one core; and forking a process of several threads is what these tests are about."""
    monkeypatch.setenv("PTOFA_NUM_THREADS", "2")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


# -- fork --------------------------------------------------------------------------------------------------------------


def test_workers_that_are_forked_after_a_pass(expected):
    """The pool's threads are not in the child: one that waited for them would wait for ever."""
    fork = multiprocessing.get_context("fork")
    with fork.Pool(2) as pool:
        assert set(pool.map_async(digest_of, range(4)).get(timeout=60)) == {expected}
    with ProcessPoolExecutor(2, mp_context=fork) as pool:
        assert set(pool.map(digest_of, range(4), timeout=60)) == {expected}
    assert passes.digest() == expected


def digest_of(_: int) -> str:
    """The work of such a worker."""
    return passes.digest()


def test_a_fork_of_a_fork(expected):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        assert pool.submit(digest_of_a_child).result(timeout=60) == [expected] * 2


def digest_of_a_child() -> list[str]:
    """This process's, and that of a child of it."""
    mine = passes.digest()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return [mine, pool.submit(digest_of, 0).result(timeout=60)]


def test_forks_while_other_threads_are_in_the_engine(expected):
    """Whatever the pool was doing at that moment, and whichever lock was held."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            passes.digest(rows=60_000)

    with ThreadPoolExecutor(2) as threads:
        busy = [threads.submit(work) for _ in range(2)]
        try:
            for _ in range(10):
                child = os.fork()
                if child == 0:
                    os._exit(0 if passes.digest() == expected else 1)
                assert wait_for(child, 60) == 0
        finally:
            stop.set()
        for b in busy:
            b.result(timeout=60)


def wait_for(child: int, seconds: float) -> int:
    """Its status; a child that hangs is killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def test_spawned_workers(expected):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(passes.digest).result(timeout=60) == expected


def test_workers_of_a_data_loader(expected):
    data = pytest.importorskip("torch.utils.data")
    loader = data.DataLoader(passes.Items(), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60)
    found = list(loader)
    assert len({pid for pid, _ in found}) == 2
    assert {digest for _, digest in found} == {expected}


# -- callers -----------------------------------------------------------------------------------------------------------


def test_several_callers_at_once(expected):
    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(digest_of, range(12))) == {expected}


QUIET = """
import os, time, passes
passes.digest()
time.sleep(0.3)  # the last of them may still be on its way
folder = "/proc/self/task"
states = sorted(open(f"{folder}/{t}/stat").read().rpartition(")")[2].split()[0] for t in os.listdir(folder))
used = time.process_time()
time.sleep(0.5)
print("".join(states), time.process_time() - used)
"""


def test_threads_that_wait_sleep(shared_tree):
    done = shared_tree.python(QUIET, PTOFA_NUM_THREADS="4", OPENBLAS_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    states, used = done.stdout.split()
    assert states == "RSSS", "but for the one that asks"
    assert float(used) < 0.05


def test_more_threads_than_the_system_gives(shared_tree, expected):
    """Those that are there do the work."""
    code = "import resource as r; r.setrlimit(r.RLIMIT_AS, (1 << 30,) * 2); import passes; print(passes.digest())"
    done = shared_tree.python(code, PTOFA_NUM_THREADS="1000", OPENBLAS_NUM_THREADS="1")
    assert done.stdout.strip() == expected, done.stderr


CTRL_C = """
import os, signal, threading, time
import numpy as np
import passes
from ptofa_gpu.ops import price
data = passes.customers(1_000_000, 8)
arguments = (*data, np.zeros(8), passes.SCALE, np.zeros((9, 9)), {k})
price.price_pass(*(x if x is None or len(x) == 8 else x[:50_000] for x in data), *arguments[4:])
at = []
def interrupt():
    time.sleep(0.05)
    at.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    while True:
        price.price_pass(*arguments)
except KeyboardInterrupt:
    print(time.perf_counter() - at[0])
"""


@pytest.mark.parametrize("k", [1, 4, 7])
def test_ctrl_c_is_heard_soon(shared_tree, k):
    """Calls are short; a second is for machines that do much else."""
    done = shared_tree.python(CTRL_C.format(k=k), PTOFA_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.0


# -- surroundings ------------------------------------------------------------------------------------------------------


def test_a_read_only_package_without_a_home(tree, expected):
    for folder, _, files in os.walk(tree.root):
        for name in files:
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o555)
    listed = sorted(str(p) for p in tree.root.rglob("*"))
    bare = {"PYTHONPATH": tree.environment()["PYTHONPATH"], "PATH": "/nowhere"}
    code = "import sys; sys.path.append(sys.argv[1]); import passes; print(passes.digest())"
    command = [sys.executable, "-c", code, os.path.dirname(passes.__file__)]
    if os.getuid() == 0 and os.path.exists("/usr/bin/setpriv"):  # root may write anywhere
        command = ["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    try:
        done = subprocess.run(command, cwd="/", env=bare, capture_output=True, text=True, check=False)
    finally:
        for folder, _, _ in os.walk(tree.root):
            os.chmod(folder, 0o755)
    assert done.stdout.strip() == expected, done.stderr
    assert sorted(str(p) for p in tree.root.rglob("*")) == listed


def test_affinity_and_quota_say_how_many_threads(monkeypatch):
    monkeypatch.delenv("PTOFA_NUM_THREADS")
    mine = os.sched_getaffinity(0)
    assert 1 <= _entry.most_threads() <= len(mine)
    os.sched_setaffinity(0, {min(mine)})
    try:
        assert _entry.most_threads() == 1
        assert _entry.threads_for(1 << 40) == 1
    finally:
        os.sched_setaffinity(0, mine)


def test_few_rows_wake_nobody(monkeypatch):
    monkeypatch.setenv("PTOFA_NUM_THREADS", "8")
    each = _entry.PAIRS_A_THREAD
    assert [_entry.threads_for(n) for n in (0, 1, 2 * each - 1, 2 * each, 5 * each, 99 * each)] == [1, 1, 1, 2, 5, 8]


#: files of a made-up system, and the processors that they allow
GROUPS = {
    "none": ({}, None),
    "no limit": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
    "a container": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3),
    "part of a processor": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    "two and a half": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3),
    "a group in a group": (
        {
            "proc/self/cgroup": "0::/jobs/mine\n",
            "sys/fs/cgroup/cpu.max": "max 100000\n",
            "sys/fs/cgroup/jobs/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/jobs/mine/cpu.max": "400000 100000\n",
        },
        2,
    ),
    "outside the namespace": ({"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
    "first version": (
        {
            "proc/self/cgroup": "12:memory:/x\n4:cpu,cpuacct:/docker/0a\n1:name=systemd:/\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        4,
    ),
    "first version by another name": (
        {
            "proc/self/cgroup": "4:cpuacct,cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n",
        },
        3,
    ),
    "first version without a limit": (
        {
            "proc/self/cgroup": "4:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "nonsense": ({"proc/self/cgroup": "0\n:\n0::/\n", "sys/fs/cgroup/cpu.max": "1 0 2\n"}, None),
    "a period of nothing": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100 0\n"}, None),
}


@pytest.mark.parametrize("case", GROUPS)
def test_the_quota_of_a_control_group(tmp_path, case):
    files, expected = GROUPS[case]
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert _entry._quota(tmp_path) == (_entry._NO_QUOTA if expected is None else expected)
