"""NVRTC through ctypes: CUDA C++ to machine code without a GPU, a driver or CuPy, and what ptxas reports of it."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


class NvrtcError(Exception):
    """NVRTC rejects a source or an option; the message is its log."""


@dataclass(frozen=True)
class KernelUse:
    """What one kernel needs of a multiprocessor."""

    registers: int  # a thread
    shared_bytes: int  # static, a block
    stack_bytes: int  # local memory a thread; arrays with computed indices end up here
    spill_bytes: int  # stores and loads of registers that did not fit, a thread


@dataclass(frozen=True)
class Compiled:
    """Machine code, PTX, NVRTC's log, and each kernel's needs by its (mangled) name."""

    cubin: bytes
    ptx: str
    log: str
    kernels: dict[str, KernelUse]


def find_library() -> Path | None:
    """libnvrtc of the nvidia-cuda-nvrtc wheel, or None."""
    spec = importlib.util.find_spec("nvidia")
    for base in spec.submodule_search_locations or () if spec else ():
        found = sorted(Path(base).glob("cu1*/lib/libnvrtc.so.*")) + sorted(
            Path(base).glob("cuda_nvrtc/lib/libnvrtc.so.*")
        )
        if found:
            return found[0]
    return None


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    path = find_library()
    if path is None:
        raise NvrtcError("NVRTC is not installed. Run: pip install nvidia-cuda-nvrtc")
    # NVRTC opens its second library by name alone, and is content with one that is loaded already.
    for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(path))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def header_options() -> tuple[str, ...]:
    """Where the wheels put CUDA's own headers and those of cuda::std."""
    path = find_library()
    include = path.parent.parent / "include" if path else Path("/nonexistent")
    return tuple(f"-I{p}" for p in (include / "cccl", include) if p.is_dir())


def version() -> tuple[int, int]:
    """NVRTC's version."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


def compile_source(
    text: str, name: str, arch: str, options: Sequence[str] = (), name_expressions: Sequence[str] = ()
) -> Compiled:
    """Compile for the real architecture `arch` ("sm_90"); raises `NvrtcError` with the log.

    Parameters
    ----------
    text, name : str
        The source, and what messages call it.
    arch : str
    options : sequence of str
        NVRTC's.
    name_expressions : sequence of str
        Instances of kernel templates to compile.
    """
    library, program = _library(), ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None))
    try:
        for expression in name_expressions:
            _check(library.nvrtcAddNameExpression(program, expression.encode()))
        words = [f"--gpu-architecture={arch}", "--ptxas-options=-v", *options, *header_options()]
        array = (ctypes.c_char_p * len(words))(*(w.encode() for w in words))
        result = library.nvrtcCompileProgram(program, len(words), array)
        log = _text(program, "ProgramLog").rstrip(b"\0\n ").decode(errors="replace")
        if result:
            raise NvrtcError(f"{name} for {arch}:\n{log or library.nvrtcGetErrorString(result).decode()}")
        ptx = _text(program, "PTX").rstrip(b"\0").decode()
        return Compiled(_text(program, "CUBIN"), ptx, log, read_log(log))
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def read_log(log: str) -> dict[str, KernelUse]:
    """What ``--ptxas-options=-v`` says about each kernel."""
    found = {}
    for part in re.split(r"Compiling entry function ", log)[1:]:
        name = re.match(r"'([^']+)'", part)
        frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        registers = re.search(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+)(?:\+\d+)? bytes smem", part)
        if not (name and frame and registers):
            raise NvrtcError(f"this log of ptxas has another form than the one known:\n{part}")
        found[name.group(1)] = KernelUse(
            registers=int(registers.group(1)),
            shared_bytes=int(shared.group(1)) if shared else 0,
            stack_bytes=int(frame.group(1)),
            spill_bytes=int(frame.group(2)) + int(frame.group(3)),
        )
    return found


def _text(program: ctypes.c_void_p, what: str) -> bytes:
    library, size = _library(), ctypes.c_size_t()
    _check(getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(library, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _check(result: int) -> None:
    if result:
        raise NvrtcError(_library().nvrtcGetErrorString(result).decode())
