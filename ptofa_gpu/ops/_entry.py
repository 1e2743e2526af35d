"""Operations of the engine: each states its fields once, and from these come the struct and the call."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ptofa_gpu.errors import EngineError, InputError, OutOfMemoryError
from ptofa_gpu.ops._library import ABI, library

THREADS_VARIABLE = "PTOFA_NUM_THREADS"
#: Pairs of a customer and a fund for which another thread is worth waking.
PAIRS_A_THREAD = 200_000
#: Pairs looked at in one call of a pass that goes over each fund twice: less than 0.1 s, so that Ctrl-C is heard.
PAIRS_A_CALL = 1 << 24
_OUT_OF_MEMORY = 1
_NO_QUOTA = 1 << 20


class Entry:
    """An operation of the engine.

    Parameters
    ----------
    name : str
        As in kernels/cpu.
    fields : str
        ``"in_f32 revenue; i64 rows; ..."``: ``in_`` or ``out_`` and the type of an array's entries, or ``i64`` and
        ``f64`` for numbers; in the order of the struct, and compared with it before the first call.
    """

    def __init__(self, name: str, fields: str):
        self.name = name
        self._fields = [tuple(part.split()) for part in fields.split(";") if part.strip()]
        self._names = {name for _, name in self._fields}
        self._pack = struct.Struct("=" + "".join("d" if kind == "f64" else "q" for kind, _ in self._fields)).pack
        self._dtypes = {kind: _dtype(kind) for kind, _ in self._fields if "_" in kind}

    @cached_property
    def _function(self) -> Any:
        engine = library()
        try:
            there = engine.text(f"ptofa_{self.name}_fields")
        except KeyError:
            raise EngineError(f"{engine.path} has no {self.name}. Run 'make setup'.") from None
        here = "".join(f"{kind} {name};" for kind, name in self._fields)
        if there != here:
            raise EngineError(f"{self.name} in {engine.path} has the fields {there!r}, not {here!r}. Run 'make setup'.")
        return engine.entry(self.name)

    def __call__(self, **values: Any) -> None:
        """Run it; every field by name, None for an array that is not there.

        Raises
        ------
        OutOfMemoryError
        EngineError
        """
        if values.keys() != self._names:
            raise TypeError(f"{self.name}: wrong or missing fields: {', '.join(sorted(values.keys() ^ self._names))}")
        function = self._function
        # `values` holds the arrays until the call is over
        status = function(self._pack(*[self._slot(kind, name, values[name]) for kind, name in self._fields]))
        if status:
            said = library().text("ptofa_message")
            raise (OutOfMemoryError if status == _OUT_OF_MEMORY else EngineError)(f"{self.name}: {said}")

    def _slot(self, kind: str, name: str, value: Any) -> Any:
        dtype = self._dtypes.get(kind)
        if dtype is None:
            return value
        if value is None:
            return 0
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{self.name}: {name} must be an array of the host, not {type(value).__name__}")
        flags = value.flags
        if value.dtype != dtype or not flags.c_contiguous or not flags.aligned:
            raise TypeError(f"{self.name}: {name} is {value.dtype} and must be contiguous, aligned {dtype}")
        if not flags.writeable and kind.startswith("out_"):
            raise TypeError(f"{self.name}: {name} is read-only")
        return value.__array_interface__["data"][0]


def _dtype(kind: str) -> np.dtype[Any]:
    _, _, entry = kind.partition("_")
    return np.dtype(f"{entry[0]}{int(entry[1:]) // 8}")


def most_threads() -> int:
    """Threads that a pass may use: ``PTOFA_NUM_THREADS``, or what the process's affinity and its control group allow.

    Raises
    ------
    InputError
        The variable is not a whole number of at least 1.
    """
    asked = os.environ.get(THREADS_VARIABLE)
    if asked:
        if not asked.isdecimal() or len(asked) > 9 or int(asked) < 1:
            raise InputError(f"{THREADS_VARIABLE}={asked!r}; it needs a whole number of threads, at least 1.")
        return min(int(asked), 1024)
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(mine, _quota()))


@lru_cache(maxsize=4)
def _quota(root: Path = Path("/")) -> int:
    """What the control group of this process, and those that it is in, may use, in whole processors."""
    most = _NO_QUOTA
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return most
    for line in lines:
        _, _, about = line.partition(":")
        kinds, _, inside = about.partition(":")
        if kinds and "cpu" not in kinds.split(","):
            continue
        top = root / "sys/fs/cgroup" / kinds
        if kinds and not top.is_dir():
            top = root / "sys/fs/cgroup/cpu"
        group = top / inside.lstrip("/")
        for folder in [group, *group.parents]:
            most = min(most, _quota_of(folder, bool(kinds)))
            if folder == top:
                break
    return most


def _quota_of(folder: Path, first_version: bool) -> int:
    try:
        if first_version:
            quota = float((folder / "cpu.cfs_quota_us").read_text())
            period = float((folder / "cpu.cfs_period_us").read_text())
        else:
            quota, period = map(float, (folder / "cpu.max").read_text().split())
    except (OSError, ValueError):  # not there, or "max": no limit
        return _NO_QUOTA
    return max(1, int(-(-quota // period))) if quota > 0 and period > 0 else _NO_QUOTA


def engine_facts() -> dict[str, Any]:
    """What computes on this machine's CPU: the library's ``level``, ``library`` (its path) and ``abi``, ``threads``.

    Raises
    ------
    EngineError
        There is no library, or it belongs to other sources.
    InputError
        ``PTOFA_NUM_THREADS`` is no number of threads.
    """
    engine = library()
    return {"level": engine.level, "library": str(engine.path), "abi": ABI, "threads": most_threads()}


def threads_for(pairs: int) -> int:
    """Threads that are worth their while for so many pairs of a customer and a fund."""
    return max(1, min(most_threads(), pairs // PAIRS_A_THREAD)) if pairs >= 2 * PAIRS_A_THREAD else 1


def pieces(rows: int, funds: int, looks: int = 2) -> Iterator[tuple[int, int]]:
    """(lo, hi) of rows that one call takes, when each fund is looked at so many times."""
    each = max(1, 2 * PAIRS_A_CALL // (funds * max(looks, 1)))
    for lo in range(0, rows, each):
        yield lo, min(rows, lo + each)
