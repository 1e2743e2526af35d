"""Devices: what is chosen, what is refused with which advice, and arrays that keep their memory."""

from __future__ import annotations

import sys
import types
import warnings

import numpy as np
import pytest
import torch

from ptofa_gpu import device
from ptofa_gpu.device import Gpu
from ptofa_gpu.errors import DeviceError, InputError, PtofaWarning

NO_GPU = Gpu(False, "there is none", "Get one.")
SOME_GPU = Gpu(True, name="Test GPU", memory=8 << 30, capability="9.0", driver=13000, count=1)


class ndarray(np.ndarray):
    """Stands in for cupy.ndarray: its type's module is 'cupy', its memory the host's."""

    __module__ = "cupy"

    def get(self) -> np.ndarray:
        return np.array(self)


def on_gpu(values: object) -> ndarray:
    return np.asarray(values).view(ndarray)


@pytest.fixture(autouse=True)
def forget():
    """Each test probes anew and may hear each warning."""
    device.probe_gpu.cache_clear()
    device.say_once.cache_clear()
    yield
    device.probe_gpu.cache_clear()
    device.say_once.cache_clear()


def fake_cupy(*, available: bool = True, total: int = 10, free: int = 1 << 30) -> types.ModuleType:
    """A module with the corner of CuPy that the probe and the memory questions touch."""
    cupy = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(
        getDeviceProperties=lambda _id: {"name": b"Test GPU\0\0", "totalGlobalMem": 8 << 30, "major": 9, "minor": 0},
        driverGetVersion=lambda: 13000,
        getDeviceCount=lambda: 1,
        memGetInfo=lambda: (free, 8 << 30),
    )
    cupy.__version__ = "14.2.0"
    cupy.cuda = types.SimpleNamespace(
        is_available=lambda: available, Device=lambda: types.SimpleNamespace(id=0), runtime=runtime
    )
    cupy.int64 = np.int64
    cupy.arange = lambda n, dtype: np.array([total], dtype)
    cupy.asarray = on_gpu
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_bytes=lambda: 0)
    return cupy


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "probe_gpu", lambda: NO_GPU)
    monkeypatch.setattr(device, "driver_present", lambda: False)


def test_the_probe_tries_an_operation(gpu: None) -> None:
    assert device.probe_gpu() == SOME_GPU


@pytest.mark.parametrize(
    ("cupy", "driver", "reason", "advice"),
    [
        (None, False, "no NVIDIA driver", "Install an NVIDIA driver"),
        (None, True, "driver is loaded, but CuPy cannot be imported", "pip install -e '.[gpu]'"),
        (fake_cupy(available=False), False, "finds no CUDA device", "Install an NVIDIA driver"),
        (fake_cupy(total=11), True, "wrongly", "nvidia-smi"),
    ],
)
def test_the_probe_says_why_not(monkeypatch: pytest.MonkeyPatch, cupy, driver, reason, advice) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(device, "driver_present", lambda: driver)
    found = device.probe_gpu()
    assert not found.usable
    assert reason in found.reason
    assert advice in found.advice


def test_an_operation_that_raises_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = fake_cupy()

    def broken(n: int, dtype: object) -> None:
        raise RuntimeError("libnvrtc.so.13: cannot open")

    cupy.arange = broken
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert "libnvrtc.so.13" in device.probe_gpu().reason


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:0", "", None, 0])
def test_unknown_names_are_refused(name) -> None:
    with pytest.raises(InputError, match="choose 'auto', 'cpu' or 'cuda'"):
        device.resolve_device(name)
    with pytest.raises(InputError, match="choose 'auto', 'cpu' or 'cuda'"):
        device.torch_device(name)


def test_explicit_cuda_without_a_gpu_is_an_error_with_advice(no_gpu: None) -> None:
    with pytest.raises(DeviceError, match=r"device='cuda' needs a usable NVIDIA GPU: there is none\. Get one\."):
        device.resolve_device("cuda", np.ones(3))
    with pytest.raises(DeviceError, match="sharing GPU memory needs a usable NVIDIA GPU"):
        device.share_memory_pool()


def test_auto_without_a_gpu_is_the_cpu_in_silence(no_gpu: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert device.resolve_device("auto", np.ones(3)) == "cpu"


def test_auto_says_once_that_a_gpu_lies_idle(no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "driver_present", lambda: True)
    with pytest.warns(PtofaWarning, match="works on the CPU although a GPU is there: there is none"):
        assert device.resolve_device() == "cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert device.resolve_device() == "cpu"


def test_auto_follows_the_data_and_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(free=1 << 20))
    assert device.resolve_device("auto", np.ones(10)) == "cuda"
    with pytest.warns(PtofaWarning, match="block_rows"):
        assert device.resolve_device("auto", np.broadcast_to(np.float32(1), (1 << 19, 8))) == "cpu"
    assert device.resolve_device("auto", on_gpu(np.zeros((1 << 19, 8), np.float32))) == "cuda"
    assert device.resolve_device("cpu", on_gpu([1])) == "cpu"


def test_data_on_a_gpu_that_cannot_be_used_is_an_error(no_gpu: None) -> None:
    with pytest.raises(DeviceError, match="data on a GPU needs a usable NVIDIA GPU"):
        device.resolve_device("auto", on_gpu([1.0]))


def test_namespace_and_place(gpu: None) -> None:
    assert device.array_namespace(np.ones(1)) is np
    assert device.array_namespace(torch.ones(1)) is np
    assert device.array_namespace(on_gpu([1])) is sys.modules["cupy"]
    assert not any(map(device.is_cuda_array, [np.ones(1), torch.ones(1), [1, 2], None]))
    assert device.is_cuda_array(on_gpu([1]))


def test_arrays_and_tensors_share_memory() -> None:
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert device.as_array(a) is a
    t = device.as_tensor(a)
    t[0, 0] = 42
    assert a[0, 0] == 42
    assert device.as_tensor(t) is t
    grown = torch.ones(3, requires_grad=True)
    device.as_array(grown)[1] = 7
    assert grown[1].item() == 7


def test_what_torch_cannot_hold_is_copied() -> None:
    frozen = np.arange(4.0)
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of undefined behaviour when handed read-only memory
        device.as_tensor(frozen)[0] = 9
    assert frozen[0] == 0
    assert device.as_tensor(np.arange(4)[::-1]).tolist() == [3, 2, 1, 0]


def test_anything_array_like_is_converted() -> None:
    import pandas as pd

    assert device.as_array([[1, 2], [3, 4]]).shape == (2, 2)
    assert device.as_array(pd.Series([1.5, 2.5])).tolist() == [1.5, 2.5]
    assert device.as_array(np.float64(3)).shape == ()


@pytest.mark.parametrize(
    "bad",
    [[[1], [1, 2]], torch.ones(2, dtype=torch.bfloat16), torch.ones(2, 2).to_sparse()],
    ids=["ragged", "bf16", "sparse"],
)
def test_what_is_no_array_is_refused(bad) -> None:
    with pytest.raises(InputError):
        device.as_array(bad)


def test_a_dtype_without_tensor_is_refused() -> None:
    with pytest.raises(InputError, match="no tensor form"):
        device.as_tensor(np.array(["a", "b"]))


def test_to_device_copies_only_across(gpu: None) -> None:
    a = np.ones(3)
    assert device.to_device(a, "cpu") is a
    there = device.to_device(a, "cuda")
    assert device.is_cuda_array(there)
    assert device.to_device(there, "cuda") is there
    assert type(device.to_device(there, "cpu")) is np.ndarray


def test_torch_device_tells_a_cpu_build_from_a_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.torch_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(DeviceError, match="CPU build"):
        device.torch_device("cuda")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(DeviceError, match="driver 580"):
        device.torch_device("cuda")


def test_cupy_allocates_from_torch_on_its_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = fake_cupy()
    calls: list[tuple] = []

    class PythonFunctionAllocator:
        def __init__(self, malloc, free):
            self._malloc, self._free = malloc, free

        def malloc(self, size: int) -> int:
            return self._malloc(size, 0)

    cupy.cuda.memory = types.SimpleNamespace(PythonFunctionAllocator=PythonFunctionAllocator)
    cupy.cuda.get_current_stream = lambda: types.SimpleNamespace(ptr=77)
    cupy.cuda.set_allocator = lambda malloc: calls.append(("set", malloc))
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_all_blocks=lambda: calls.append(("freed",)))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(device, "_shared_allocator", None)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "caching_allocator_alloc", lambda size, dev, stream: (size, dev, stream))
    device.share_memory_pool()
    device.share_memory_pool()
    assert [c[0] for c in calls] == ["freed", "set"]
    assert calls[1][1](1024) == (1024, 0, 77)


@pytest.mark.gpu
def test_gpu_round_trip_shares_memory_pool_and_stream() -> None:
    import cupy

    device.share_memory_pool()
    before = torch.cuda.memory_allocated()
    block = cupy.zeros(1 << 20, dtype=cupy.float32)
    assert torch.cuda.memory_allocated() - before >= block.nbytes
    side = torch.cuda.Stream()
    with torch.cuda.stream(side), device.one_stream() as stream:
        assert stream.ptr == side.cuda_stream
        tensor = device.as_tensor(block)
        tensor += 1
        assert tensor.data_ptr() == block.data.ptr
        assert float(device.as_array(tensor).sum()) == 1 << 20
    assert device.resolve_device("auto", block) == "cuda"
    assert device.resolve_device("auto", tensor) == "cuda"
    assert device.to_device(block, "cpu").sum() == 1 << 20
