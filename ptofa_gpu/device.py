"""Which device to work on, and arrays that pass between NumPy, CuPy and torch without a copy.

Importing this module imports neither CuPy nor torch. `import cupy` succeeds on a machine without a driver, so a GPU
counts as usable only after one operation on it gave the right answer.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptofa_gpu._arguments import one_of
from ptofa_gpu._lazy import require
from ptofa_gpu.errors import DeviceError, InputError, PtofaWarning

if TYPE_CHECKING:
    import torch

DeviceName = Literal["cpu", "cuda"]
DEVICES = ("auto", "cpu", "cuda")
INSTALL_GPU = "pip install -e '.[gpu]' -c constraints.txt"
# bytes that a byte of input may come to need on the GPU: itself, and as much again for what is made from it
_ROOM = 2
_shared_allocator: Any = None  # kept alive here: CuPy holds only its bound method


@dataclass(frozen=True)
class Gpu:
    """What was found when one CuPy operation was tried: ``usable``, and if not, the ``reason`` and the ``advice``."""

    usable: bool
    reason: str = ""
    advice: str = ""
    name: str = ""
    memory: int = 0  # bytes
    capability: str = ""
    driver: int = 0  # the CUDA version the driver speaks, 13000 for 13.0
    count: int = 0


def driver_present() -> bool:
    """Whether an NVIDIA kernel driver is loaded, whatever Python packages there are."""
    return os.path.exists("/proc/driver/nvidia/version") or os.path.exists("/dev/nvidiactl")


@lru_cache(maxsize=1)
def probe_gpu() -> Gpu:
    """Try one CuPy operation on the current GPU. The answer is kept for the life of the process."""
    no_driver = "Install an NVIDIA driver (580 or later for CUDA 13), or work with device='cpu'."
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as e:
        if driver_present():
            return Gpu(False, f"an NVIDIA driver is loaded, but CuPy cannot be imported ({e})", f"Run: {INSTALL_GPU}")
        return Gpu(False, "there is no NVIDIA driver, and CuPy is not installed", no_driver)
    except Exception as e:  # a CuPy that is built for other libraries fails in many ways
        return Gpu(False, f"CuPy is installed but broken ({type(e).__name__}: {e})", f"Run: {INSTALL_GPU}")
    try:
        if not cupy.cuda.is_available():
            return Gpu(False, f"CuPy {cupy.__version__} finds no CUDA device", no_driver)
        if int(cupy.arange(5, dtype=cupy.int64).sum()) != 10:
            return Gpu(False, "the GPU computed 0+1+2+3+4 wrongly", "Check the hardware: nvidia-smi -q")
        props = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        return Gpu(
            usable=True,
            name=bytes(props["name"]).split(b"\0")[0].decode(errors="replace"),
            memory=int(props["totalGlobalMem"]),
            capability=f"{props['major']}.{props['minor']}",
            driver=int(cupy.cuda.runtime.driverGetVersion()),
            count=int(cupy.cuda.runtime.getDeviceCount()),
        )
    except Exception as e:
        advice = f"Check `nvidia-smi` and `ptofa doctor`; CuPy and its libraries come with: {INSTALL_GPU}"
        return Gpu(False, f"a CuPy operation failed ({type(e).__name__}: {e})", advice)


def require_gpu(what: str = "device='cuda'") -> Gpu:
    """The usable GPU, or `DeviceError` naming `what` asked for it, why there is none and what to do."""
    gpu = probe_gpu()
    if not gpu.usable:
        raise DeviceError(f"{what} needs a usable NVIDIA GPU: {gpu.reason}. {gpu.advice}")
    return gpu


def resolve_device(device: str = "auto", array: Any = None) -> DeviceName:
    """The device to work on: "cpu" or "cuda".

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" works where `array` lives: data on a GPU stays there; data in host memory goes to a usable GPU if it
        fits beside what is made from it, else stays on the CPU. An explicit name is obeyed or refused, never replaced.
    array : array, optional
        The largest array of the job: NumPy, CuPy or a torch tensor.

    Raises
    ------
    InputError
        For any other name.
    DeviceError
        For "cuda", or data on a GPU, where no GPU is usable; the message says what to install.

    Warns
    -----
    PtofaWarning
        Once a process, when "auto" leaves a GPU that is there unused.
    """
    if one_of("device", device, DEVICES) == "cpu":
        return "cpu"
    if device == "cuda":
        require_gpu()
        return "cuda"
    if array is not None and is_cuda_array(array):
        require_gpu("data on a GPU")
        return "cuda"
    gpu = probe_gpu()
    if not gpu.usable:
        if driver_present():
            say_once(f"device='auto' works on the CPU although a GPU is there: {gpu.reason}. {gpu.advice}")
        return "cpu"
    needed = _ROOM * int(getattr(array, "nbytes", 0))
    free = free_memory()
    if needed > free:
        say_once(
            f"device='auto' works on the CPU: {needed / 2**30:.1f} GiB are needed and {free / 2**30:.1f} GiB of GPU "
            "memory are free. Pass device='cuda' with block_rows=... to work on the GPU in blocks."
        )
        return "cpu"
    return "cuda"


@lru_cache(maxsize=64)
def say_once(message: str) -> None:
    """Warn of a choice that "auto" made, once a process for each message."""
    warnings.warn(message, PtofaWarning, stacklevel=3)


def free_memory() -> int:
    """Bytes of GPU memory that can be had: free on the device, and held unused by CuPy's pool or torch's cache."""
    cupy = require("cupy", "GPU memory")
    free = int(cupy.cuda.runtime.memGetInfo()[0]) + int(cupy.get_default_memory_pool().free_bytes())
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        free += int(torch.cuda.memory_reserved()) - int(torch.cuda.memory_allocated())
    return free


def _kind(x: Any) -> str:
    """The package an array comes from: "numpy", "cupy", "torch" or another one's name."""
    return type(x).__module__.partition(".")[0]


def is_cuda_array(x: Any) -> bool:
    """Whether `x` lives in GPU memory: CuPy, a CUDA tensor, cuDF, anything with the CUDA array interface, and blocks of
    rows that are met there."""
    kind = _kind(x)
    if kind == "torch":
        return bool(getattr(x, "is_cuda", False))
    if kind in ("cupy", "cudf") or hasattr(type(x), "__cuda_array_interface__"):
        return True
    return kind == "ptofa_gpu" and getattr(x, "device", None) == "cuda"


def array_namespace(x: Any) -> ModuleType:
    """The module whose functions work on `x`: ``cupy`` for data on a GPU, else ``numpy``."""
    return require("cupy", "an array on a GPU") if is_cuda_array(x) else np


def as_array(x: Any) -> Any:
    """`x` as a NumPy or CuPy array on the device where it already is.

    Arrays come back as they are; a torch tensor is shared through DLPack, without a copy and without its gradient.
    Whatever else `numpy.asarray` (or, on a GPU, `cupy.asarray`) takes is converted.

    Raises
    ------
    InputError
        If `x` is no array of a kind that NumPy knows (bfloat16 tensors, sparse tensors, ragged lists).
    """
    kind = _kind(x)
    if kind == "torch" and hasattr(x, "detach"):
        tensor = x.detach().resolve_conj().resolve_neg()
        try:
            return require("cupy", "a tensor on a GPU").from_dlpack(tensor) if x.is_cuda else tensor.numpy()
        except (TypeError, BufferError, RuntimeError, ValueError) as e:
            raise InputError(
                f"a torch tensor of {x.dtype}, layout {x.layout} on {x.device}, has no array form: {e}"
            ) from e
    if isinstance(x, np.ndarray) or (kind == "cupy" and type(x).__name__ == "ndarray"):
        return x
    try:
        return array_namespace(x).asarray(x.values if kind == "cudf" else x)
    except (TypeError, ValueError) as e:
        raise InputError(f"{type(x).__name__} cannot be made an array: {e}") from e


def as_tensor(x: Any) -> torch.Tensor:
    """`x` as a torch tensor on the device where it already is, sharing its memory.

    A NumPy array that is read-only or runs backwards is copied, because torch has neither.
    """
    torch = require("torch", "a torch tensor")
    if isinstance(x, torch.Tensor):
        return x
    a = as_array(x)
    if is_cuda_array(a):
        return torch.from_dlpack(a)
    a = a if a.flags.writeable and all(s >= 0 for s in a.strides) else a.copy()
    try:
        return torch.from_numpy(a)
    except (TypeError, ValueError) as e:
        raise InputError(f"an array of {a.dtype} has no tensor form: {e}") from e


def to_device(x: Any, device: DeviceName) -> Any:
    """`x` as a NumPy array ("cpu") or CuPy array ("cuda"), copied only if it lives on the other device."""
    one_of("device", device, DEVICES[1:])
    a = as_array(x)
    if is_cuda_array(a) == (device == "cuda"):
        return a
    if device == "cuda":
        require_gpu()
        return require("cupy", "device='cuda'").asarray(a)
    return a.get()


def torch_device(device: str = "auto") -> torch.device:
    """The torch device of that name; "auto" is CUDA where torch can use it.

    Raises
    ------
    DeviceError
        For "cuda" where torch cannot use a GPU; the message tells a CPU build from a missing driver.
    """
    torch = require("torch", "a torch device")
    if one_of("device", device, DEVICES) == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if device == "cuda":
        if torch.version.cuda is None:
            why = f"torch {torch.__version__} is a CPU build. Run: pip install --force-reinstall torch==2.13.0"
        else:
            why = "torch finds no CUDA device. Check `nvidia-smi`; CUDA 13 needs driver 580 or later"
        raise DeviceError(f"device='cuda' needs a GPU that torch can use: {why}. Or work with device='cpu'.")
    return torch.device("cpu")


def share_memory_pool() -> None:
    """Let CuPy take its memory from torch's caching allocator, so that the two do not starve each other.

    Memory comes from the pool of the stream that is CuPy's current one, so torch hands it out again only on that
    stream. Calling it twice is harmless. Arrays made before stay where they are.
    """
    require_gpu("sharing GPU memory")
    cupy, torch = require("cupy", "sharing GPU memory"), require("torch", "sharing GPU memory")
    global _shared_allocator
    if _shared_allocator is not None:
        return
    torch.cuda.init()

    def allocate(size: int, device_id: int) -> int:
        return torch.cuda.caching_allocator_alloc(size, device_id, int(cupy.cuda.get_current_stream().ptr))

    def free(pointer: int, device_id: int) -> None:
        torch.cuda.caching_allocator_delete(pointer)

    allocator = cupy.cuda.memory.PythonFunctionAllocator(allocate, free)
    cupy.get_default_memory_pool().free_all_blocks()
    cupy.cuda.set_allocator(allocator.malloc)
    _shared_allocator = allocator


@contextmanager
def one_stream(tensor_or_device: Any = None) -> Iterator[Any]:
    """Within it CuPy works on torch's current stream, so neither waits for, nor overtakes, the other."""
    require_gpu("a stream")
    cupy, torch = require("cupy", "a stream"), require("torch", "a stream")
    stream = torch.cuda.current_stream(getattr(tensor_or_device, "device", tensor_or_device))
    with cupy.cuda.Stream.from_external(stream) as current:
        yield current
