"""`allocate`: what it refuses before it starts."""

from __future__ import annotations

import numpy as np
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.errors import DeviceError, InputError


@pytest.fixture
def problem():
    return ptofa.AllocationProblem(np.ones((4, 2)), [2, 2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "best"}, "method is 'best'; choose 'optimal', 'heuristic'"),
        ({"method": "heuristic", "device": "tpu"}, "'tpu'"),
        ({"method": "heuristic", "tail": "long"}, "tail is 'long'"),
        (
            {"method": "heuristic", "solver": "highs"},
            "no option solver. Its options: block_rows, max_memory, on_infeasible, repair",
        ),
        ({"method": "topk", "repair": True}, "Its options: block_rows, max_memory"),
        ({"method": "heuristic", "on_infeasible": "ignore"}, "choose 'raise' or 'relax'"),
        ({"method": "heuristic", "time_limit": -1}, "time_limit is -1"),
        ({"method": "heuristic", "time_limit": "1"}, "time_limit is '1'"),
        ({"method": "heuristic", "time_limit": float("nan")}, "time_limit is nan"),
        ({"method": "heuristic", "repair": "no"}, "repair is 'no'; it must be True or False"),
        ({"method": "heuristic", "tial": "zero"}, "no option tial; did you mean 'tail'"),
        ({"method": "reference", "integer": 1}, "integer is 1"),
        ({"method": "reference", "solver": 7}, "solver is 7"),
        ({"method": ["optimal"]}, "method is .'optimal'."),
        ({"seed": "x"}, "seed is 'x'"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"progress": "yes"}, "progress is 'yes'"),
        ({"block_rows": 0}, "block_rows is 0"),
        ({"max_memory": "lots"}, "max_memory is 'lots'"),
    ],
)
def test_bad_arguments(problem, arguments, words):
    with pytest.raises(InputError, match=words):
        ptofa.allocate(problem, **arguments)


def test_an_explicit_gpu_is_never_replaced(problem, monkeypatch):
    from ptofa_gpu import device

    monkeypatch.setattr(device, "probe_gpu", lambda: device.Gpu(False, "there is none", "Install one."))
    with pytest.raises(DeviceError, match=r"there is none. Install one."):
        ptofa.allocate(problem, "heuristic", device="cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["optimal", "heuristic", "manual", "topk"])
def test_gpu_equals_cpu(method):
    import cupy

    rng = np.random.default_rng(0)
    E = np.round(rng.lognormal(0, 1, (50_000, 12)), 1).astype(np.float32)
    tolerance, risk = rng.integers(1, 6, 50_000), [1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5]
    quota = [9000, 9000, 9000, 8000, 4000, 3000, 2000, 2000, 1000, 1000, 1000, 1000]
    host = ptofa.AllocationProblem(E, quota, 1, tolerance, risk)
    device = ptofa.AllocationProblem(cupy.asarray(E), quota, 1, tolerance, risk)
    on_cpu = ptofa.allocate(host, method, device="cpu")
    on_gpu = ptofa.allocate(device, method)
    assert on_gpu.device == "cuda"
    np.testing.assert_array_equal(on_gpu.host_funds(), on_cpu.funds)
    assert on_gpu.objective == on_cpu.objective
