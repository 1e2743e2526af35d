"""A matrix inside a file, read by rows: through file reads, so that memory holds what was asked for and no more.

A memory map would do the same with less code, but the pages it touches count as this process's memory until the system
wants them back, and a file that was cut short meanwhile kills the process instead of raising an error. An auction,
which needs all rows in any order for a second or two, has such a map all the same: the alternative is a copy.
"""

from __future__ import annotations

import copy
import mmap
import os
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from ptofa_gpu.errors import InputError

#: Bytes read at a time where rows are picked, or do not lie in the file as they are wanted (other types, slices).
SCRATCH = 1 << 18
#: Rows that lie this near each other in the file (bytes) are read in one go.
_NEAR = 32 << 10


class FileRows:
    """Rows of float32 out of a (U, F) matrix of any real type and layout that lies in a file.

    Parameters
    ----------
    path : path
    dtype : dtype of the file
    shape : (U, F)
    position : int
        Byte of the file where entry (0, 0) lies.
    strides : (int, int)
        Bytes from one row, and from one column, to the next; may be negative.

    Attributes
    ----------
    as_wanted : bool
        The file holds the rows as float32, one after the other, where a map of it is aligned.
    """

    resident = False
    device = "cpu"

    def __init__(
        self, path: str | os.PathLike[str], dtype: Any, shape: tuple[int, int], position: int, strides: tuple[int, int]
    ):
        self.path, self.dtype, self.shape = Path(path), np.dtype(dtype), shape
        self.position, self.strides = position, strides
        self.constants: np.ndarray | None = None
        whole = self.dtype == np.float32 and self.dtype.isnative and strides == (4 * shape[1], 4)
        self.as_wanted = whole and position % 4 == 0
        with self.path.open("rb") as file:
            self._version = _version(file)

    @classmethod
    def from_memmap(cls, array: np.ndarray) -> FileRows | None:
        """Where the rows of a `numpy.memmap` (or of a slice of one) lie; None when they are not those of its file.

        That is so for copy-on-write maps, which may have been changed, and for files that are gone or replaced.
        """
        buffer, path = getattr(array, "_mmap", None), getattr(array, "filename", None)
        if buffer is None or path is None or getattr(array, "mode", None) == "c" or not os.path.isfile(path):
            return None
        origin = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
        offset = int(array.offset)  # type: ignore[attr-defined]
        # NumPy maps from the start of the page that `offset` lies in
        position = offset - offset % mmap.ALLOCATIONGRANULARITY + array.__array_interface__["data"][0] - origin
        shape = (int(array.shape[0]), int(array.shape[1]))
        rows = cls(path, array.dtype, shape, int(position), (int(array.strides[0]), int(array.strides[1])))
        ends = np.array([0, shape[0] - 1])
        found = np.empty((2, shape[1]), np.float32)
        try:
            rows.gather(ends, found)
        except InputError:  # shorter than the map: another file by the same name
            return None
        with np.errstate(over="ignore"):
            mapped = np.asarray(array[ends]).astype(np.float32)
        return rows if np.array_equal(found, mapped, equal_nan=True) else None

    def less(self, constants: np.ndarray) -> FileRows:
        """The same rows less a constant each, (U,) float64, taken off before they are rounded to float32."""
        out = copy.copy(self)
        out.constants, out.as_wanted = constants, False
        return out

    def raw(self, lo: int, hi: int) -> np.ndarray:
        """The rows lo..hi-1 as they are in the file."""
        with self._open() as file:
            return self._span(file, lo, hi, slice(0, self.shape[1]))

    def read(self, lo: int, hi: int, out: np.ndarray) -> None:
        """Read the rows lo..hi-1 into `out`, (hi - lo, F) float32 and contiguous.

        The file is open only while this runs.

        Raises
        ------
        InputError
            When the file was changed, cut short or removed since it was first looked at.
        """
        if hi > lo:
            with self._open() as file:
                self._read(file, lo, hi, out)

    def gather(self, ids: np.ndarray, out: np.ndarray) -> None:
        """Read the rows `ids`, which rise, into `out`; neighbours in the file are read together."""
        if not ids.size:
            return
        width = abs(self.strides[0])
        far = np.flatnonzero(np.diff(ids) * width > _NEAR) + 1
        scratch = np.empty((0, self.shape[1]), np.float32)
        at_once = max(1, SCRATCH // (4 * self.shape[1]))
        with self._open() as file:
            for group in np.split(np.arange(ids.size), far):
                first, last = int(group[0]), int(group[-1]) + 1
                while first < last:
                    lo = int(ids[first])
                    until = first + int(np.searchsorted(ids[first:last], lo + at_once))
                    hi = int(ids[until - 1]) + 1
                    if len(scratch) < hi - lo:
                        scratch = np.empty((hi - lo, self.shape[1]), np.float32)
                    self._read(file, lo, hi, scratch[: hi - lo])
                    out[first:until] = scratch[ids[first:until] - lo]
                    first = until

    def map(self) -> np.ndarray:
        """All rows as a map of the file, for what needs them in any order; only where they are `as_wanted`.

        Its pages are the system's to take back.
        """
        self._open().close()
        return np.asarray(np.memmap(self.path, np.float32, "r", self.position, self.shape))

    def _open(self) -> FileIO:
        try:
            file = self.path.open("rb", buffering=0)
        except OSError as e:
            raise InputError(f"revenue: {self.path} can no longer be read ({e.strerror}).") from e
        if _version(file) != self._version:
            file.close()
            raise InputError(f"revenue: {self.path} was changed since the problem was made; make the problem anew.")
        return file

    def _read(self, file: FileIO, lo: int, hi: int, out: np.ndarray) -> None:
        down, across = self.strides
        if self.as_wanted:
            self._fill(file, self.position + lo * down, out)
            return
        step = max(1, SCRATCH // max(1, abs(down)))
        with np.errstate(over="ignore"):  # beyond float32 is infinite, which the problem's checks report
            if abs(down) >= abs(across):
                for a in range(lo, hi, step):
                    b = min(hi, a + step)
                    out[a - lo : b - lo] = self._less(self._span(file, a, b, slice(0, self.shape[1])), a, b)
                return
            for f in range(self.shape[1]):
                for a in range(lo, hi, step):
                    b = min(hi, a + step)
                    out[a - lo : b - lo, f] = self._less(self._span(file, a, b, slice(f, f + 1)), a, b)[:, 0]

    def _less(self, rows: np.ndarray, lo: int, hi: int) -> np.ndarray:
        return rows if self.constants is None else rows - self.constants[lo:hi, None]

    def _span(self, file: FileIO, lo: int, hi: int, columns: slice) -> np.ndarray:
        """Rows lo..hi-1 of some columns as they lie in the file, whatever lies between them read along."""
        shape = (hi - lo, columns.stop - columns.start)
        start = self.position + lo * self.strides[0] + columns.start * self.strides[1]
        reach = [(n - 1) * s for n, s in zip(shape, self.strides, strict=True)]
        first = start + sum(min(0, r) for r in reach)
        raw = np.empty(start + sum(max(0, r) for r in reach) + self.dtype.itemsize - first, np.uint8)
        self._fill(file, first, raw)
        return np.ndarray(shape, self.dtype, raw, start - first, self.strides)

    def _fill(self, file: FileIO, position: int, out: np.ndarray) -> None:
        view = out.data.cast("B")
        file.seek(position)
        done = 0
        while done < len(view):  # a single read gives at most 2 GiB
            n = file.readinto(view[done:])
            if not n:
                raise InputError(f"revenue: {self.path} ends before its {self.shape[0]:,} rows do; it was cut short.")
            done += n


def _version(file: Any) -> tuple[int, ...]:
    """What changes when another file takes the name, or this one is written to."""
    about = os.fstat(file.fileno())
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
