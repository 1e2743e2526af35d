"""`HostRawModule`: a .cu source on the CPU, with the call shape of cupy.RawModule.

    module = HostRawModule(path="kernels/score.cu")
    module.get_function("score_pick_8")((blocks,), (256,), (revenue, ..., np.int64(rows)))

Each CUDA thread runs as a fiber. What a GPU would let pass or answer with rubbish is an error here: see `KernelFault`.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import build, source
from .memory import GuardedCopy

ORDERS = ("forward", "reverse", "random")
STATIC_SHARED_LIMIT = 48 << 10  # bytes of dynamic shared memory a kernel gets without asking for more
_SCALAR = {"f": "float", "i": "int", "u": "unsigned int", "b": "bool", "V": "struct"}


class KernelFault(RuntimeError):
    """A kernel did something a GPU would not forgive, or would not notice; the message says what and where."""


class Address(int):
    """A raw address for a pointer parameter: passed as it is, neither copied nor guarded."""


class _Kernel(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("invoke", ctypes.c_void_p),
        ("function", ctypes.c_void_p),
        ("max_threads", ctypes.c_uint),
        ("parameters", ctypes.c_char_p),
    ]


class _Region(ctypes.Structure):
    _fields_ = [
        ("begin", ctypes.c_size_t),
        ("end", ctypes.c_size_t),
        ("argument", ctypes.c_int),
        ("writable", ctypes.c_int),
    ]


class _Launch(ctypes.Structure):
    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_size_t),
        ("order", ctypes.c_int),
        ("seed", ctypes.c_uint),
        ("seconds", ctypes.c_double),
        ("regions", ctypes.POINTER(_Region)),
        ("region_count", ctypes.c_size_t),
        ("check_races", ctypes.c_int),
    ]


_ABOUT_GPU_CODE = ("std=", "fmad=", "arch=", "gpu-architecture=", "lineinfo", "maxrregcount=")


def _host_options(options: Sequence[str]) -> tuple[str, ...]:
    """NVRTC's options that mean something to g++; those about the GPU's code are left out, unknown ones refused."""
    kept = []
    for option in options:
        if option.startswith(("-D", "-U", "-I")):
            kept.append(option)
        elif option.startswith(("--define-macro=", "--include-path=")):
            name, _, value = option.partition("=")
            kept.append(("-D" if "macro" in name else "-I") + value)
        elif not option.lstrip("-").startswith(_ABOUT_GPU_CODE):
            raise ValueError(f"option {option!r} has no meaning on the CPU")
    return tuple(kept)


class HostRawModule:
    """A CUDA source compiled for the CPU.

    Parameters
    ----------
    path, code : exactly one of them
        The source.
    options : sequence of str
        NVRTC's: ``-D`` and ``-I`` are used, ``--std``, ``--fmad=false`` and their like need nothing here.
    name_expressions : sequence of str
        Instances of kernel templates, for `get_function`, such as ``"scale<float, 4>"``.
    sanitize : bool
        Report undefined behaviour: an index outside an array of known length, signed overflow, shifts too far,
        misaligned access, a float outside the integer it is converted to.
    check_races : bool
        Report unordered accesses of two threads to one byte, and reads of shared memory nobody has written (slow).
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        code: str | None = None,
        options: Sequence[str] = (),
        name_expressions: Sequence[str] = (),
        sanitize: bool = False,
        check_races: bool = False,
    ):
        if (path is None) == (code is None):
            raise TypeError("give either path or code")
        text = code if code is not None else Path(path or "").read_text()
        name = Path(path).name if path else "kernel.cu"
        host_options = _host_options(options)
        if path:
            host_options = (*host_options, f"-I{Path(path).resolve().parent}")
        expanded = build.preprocess(text, host_options)
        entries = source.entry_points(expanded)
        unit = source.translation_unit(text, name, entries, tuple(name_expressions))
        self.path = build.kernel_library(unit, expanded, host_options, sanitize=sanitize, check_races=check_races)
        self._runtime = ctypes.CDLL(str(build.runtime()))
        self._runtime.cuda_on_cpu_launch.restype = ctypes.c_char_p
        self._library = ctypes.CDLL(str(self.path))
        table = self._library.cuda_on_cpu_table
        table.restype = ctypes.POINTER(_Kernel)
        self._base = _load_address(table)
        self._kernels: dict[str, Any] = {}
        for kernel in table():
            if kernel.name is None:
                break
            self._kernels[kernel.name.decode()] = kernel
        self._check_races = check_races
        self.config()

    def config(self, order: str = "forward", seed: int = 0, seconds: float = 60.0) -> HostRawModule:
        """Choose the schedule of the launches that follow.

        Parameters
        ----------
        order : {"forward", "reverse", "random"}
            In which blocks run and threads start and leave barriers.
        seed : int
            Of the random order.
        seconds : float
            Processor time after which a launch is stopped.
        """
        if order not in ORDERS:
            raise ValueError(f"order is one of {', '.join(ORDERS)}, not {order!r}")
        self._order, self._seed, self._seconds = ORDERS.index(order), seed, seconds
        return self

    @property
    def kernel_names(self) -> list[str]:
        """What `get_function` knows."""
        return list(self._kernels)

    def get_function(self, name: str) -> HostKernel:
        """The kernel `name`: ``extern "C"``, or one of the name expressions."""
        if name not in self._kernels:
            known = ", ".join(self._kernels) or "none"
            raise KeyError(f'no kernel {name!r} (extern "C" kernels and name expressions of this module: {known})')
        return HostKernel(self, self._kernels[name])

    def _run(self, kernel: Any, launch: _Launch, pointers: Any) -> None:
        launch.order, launch.seed, launch.seconds = self._order, self._seed, self._seconds
        launch.check_races = self._check_races
        error = self._runtime.cuda_on_cpu_launch(ctypes.byref(kernel), ctypes.byref(launch), pointers)
        if error:
            raise KernelFault(f"{kernel.name.decode()}: {self._with_lines(error.decode(errors='replace'))}")

    def _with_lines(self, message: str) -> str:
        def line(match: re.Match[str]) -> str:
            return build.source_line(self.path, int(match.group(1), 16) - self._base)

        return re.sub(r"@code:([0-9a-f]+)@", line, message)


class HostKernel:
    """One kernel; called as CuPy's: ``kernel(grid, block, args, shared_mem=0, stream=None)``."""

    def __init__(self, module: HostRawModule, kernel: Any):
        self._module, self._kernel = module, kernel
        self.name = kernel.name.decode()
        text = kernel.parameters.decode()
        self.parameters = text.split(",") if text else []
        #: As in CuPy: raised by those who need more dynamic shared memory than every device gives unasked.
        self.max_dynamic_shared_size_bytes = STATIC_SHARED_LIMIT

    def __call__(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0, stream: Any = None
    ) -> None:
        """Run the kernel to its end; arrays hold its results afterwards, and are untouched if it fails."""
        if len(args) != len(self.parameters):
            raise TypeError(f"{self.name} has {len(self.parameters)} parameters, {len(args)} arguments were given")
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise ValueError(
                f"{self.name}: {shared_mem} bytes of dynamic shared memory, "
                f"{self.max_dynamic_shared_size_bytes} allowed"
            )
        copies: dict[tuple[int, int], GuardedCopy] = {}
        try:
            values = self._values(args, copies)
            regions = (_Region * max(1, len(copies)))()
            for i, copy in enumerate(copies.values()):
                regions[i] = _Region(copy.begin, copy.end, copy.argument, copy.writable)
            launch = _Launch(_three(grid), _three(block), shared_mem)
            launch.regions, launch.region_count = regions, len(copies)
            pointers = (ctypes.c_void_p * max(1, len(values)))(*(v.ctypes.data for v in values))
            self._module._run(self._kernel, launch, pointers)
            for copy in copies.values():
                if problem := copy.finish():
                    raise KernelFault(f"{self.name}: argument {copy.argument} was {problem}")
        finally:
            for copy in copies.values():
                copy.close()

    def _values(self, args: Sequence[Any], copies: dict[tuple[int, int], GuardedCopy]) -> list[np.ndarray]:
        """Each argument's bytes, aligned; arrays are replaced by the addresses of guarded copies."""
        spans: dict[tuple[int, int], tuple[np.ndarray, int, bool]] = {}
        keys: list[tuple[int, int] | None] = []
        for i, (arg, word) in enumerate(zip(args, self.parameters, strict=True)):
            if not isinstance(arg, np.ndarray):
                keys.append(None)
                continue
            self._check_array(arg, word, i)
            span = (arg.ctypes.data, arg.nbytes)
            keys.append(span)
            first = spans.get(span, (arg, i, False))
            spans[span] = (first[0], first[1], first[2] or not word.startswith("*const "))
        for (a, n), (_, i, writes) in spans.items():
            for (b, m), (_, j, other_writes) in spans.items():
                if i < j and a < b + m and b < a + n and (writes or other_writes):
                    raise TypeError(f"{self.name}: arguments {i} and {j} overlap, and one may be written")
        for span, (array, i, writes) in spans.items():
            if writes and not array.flags.writeable:
                raise TypeError(f"{self.name}: argument {i} is a read-only array, its parameter may be written")
            copies[span] = GuardedCopy(array, writable=writes, argument=i)
        values = []
        for i, (arg, word, key) in enumerate(zip(args, self.parameters, keys, strict=True)):
            values.append(_packed(copies[key].begin if key else self._scalar(arg, word, i)))
        return values

    def _check_array(self, array: np.ndarray, word: str, i: int) -> None:
        if not word.startswith("*"):
            raise TypeError(f"{self.name}: argument {i} is an array, its parameter is a {_name(word)}")
        if not array.flags.c_contiguous:
            raise TypeError(f"{self.name}: argument {i} is not C-contiguous")
        pointee = word.removeprefix("*").removeprefix("const ")
        if pointee.startswith(("V", "*")):
            return  # a struct or void: any bytes will do
        given = f"{array.dtype.kind}{array.dtype.itemsize}"
        if given != pointee:
            raise TypeError(
                f"{self.name}: argument {i} is an array of {array.dtype}, its parameter points to {_name(pointee)}"
            )

    def _scalar(self, arg: Any, word: str, i: int) -> Any:
        if isinstance(arg, np.generic):
            value = arg
        elif isinstance(arg, (bool, int, float)):  # as CuPy passes Python's numbers
            kind = np.bool_ if isinstance(arg, bool) else np.float64 if isinstance(arg, float) else np.int64
            value = np.uintp(arg) if isinstance(arg, Address) else kind(arg)
        else:
            raise TypeError(f"{self.name}: argument {i} is a {type(arg).__name__}: neither an array nor a number")
        given = f"{value.dtype.kind}{value.dtype.itemsize}"
        if word.startswith("*"):
            fits = given in ("u8", "i8")  # a raw address
        elif word.startswith("V"):
            fits = value.dtype.kind == "V" and given == word
        else:
            fits = given == word
        if not fits:
            raise TypeError(f"{self.name}: argument {i} is {value.dtype}, its parameter is {_name(word)}")
        return value


def _name(word: str) -> str:
    if word.startswith("*"):
        return "a pointer to " + _name(word[1:].removeprefix("const "))
    return f"{_SCALAR[word[0]]} of {word[1:]} bytes"


def _three(size: Sequence[int]) -> Any:
    if not 1 <= len(size) <= 3:
        raise ValueError(f"a grid and a block have 1 to 3 dimensions, not {len(size)}")
    if any(n < 0 or n >= 1 << 32 for n in size):
        raise ValueError(f"no grid or block can be {tuple(size)}")
    return (ctypes.c_uint * 3)(*size, *(1,) * (3 - len(size)))


def _packed(value: Any) -> np.ndarray:
    """The bytes of a value at an address that suits any type of the language."""
    raw = np.frombuffer(np.asarray(value, np.uintp if isinstance(value, int) else None).tobytes(), np.uint8)
    buffer = np.zeros(raw.size + 32, np.uint8)
    start = -buffer.ctypes.data % 16
    buffer[start : start + raw.size] = raw
    return buffer[start:]


def _load_address(function: Any) -> int:
    """Where the library that holds `function` begins in memory."""

    class Info(ctypes.Structure):
        _fields_ = [
            ("file", ctypes.c_char_p),
            ("base", ctypes.c_void_p),
            ("symbol", ctypes.c_char_p),
            ("at", ctypes.c_void_p),
        ]

    info = Info()
    ctypes.CDLL(None).dladdr(ctypes.cast(function, ctypes.c_void_p), ctypes.byref(info))
    return int(info.base or 0)
