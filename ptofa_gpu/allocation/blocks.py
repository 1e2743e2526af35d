"""E by blocks of rows: one array, a list of arrays or files, in host memory, on a GPU or on disk, all met the same way.

Everything an allocator does to customers is *map over blocks of rows, then add*. What comes back from a block is small,
and what is added is integers, so the plan does not depend on where the blocks end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ptofa_gpu._npy import open_npy
from ptofa_gpu.allocation._file_rows import FileRows
from ptofa_gpu.device import DeviceName, array_namespace, as_array, is_cuda_array, require_gpu, to_device
from ptofa_gpu.errors import InputError

#: Bytes of E read from a disk, or copied to a GPU, at a time where nothing else is asked for.
BLOCK_BYTES = 32 << 20
#: Blocks are whole multiples of this many rows where they are that large: what the CPU's threads take at a time.
ROUND_ROWS = 8192
#: Rows of a block for passes that make temporaries of each row.
SMALL_ROWS = 1 << 17


class ArrayRows:
    """Rows that lie in memory, on the host or on a GPU."""

    resident = True

    def __init__(self, array: Any):
        self.array, self.shape = array, (int(array.shape[0]), int(array.shape[1]))
        self.device: DeviceName = "cuda" if is_cuda_array(array) else "cpu"

    def read(self, lo: int, hi: int, out: Any) -> None:
        """Copy the rows lo..hi-1 into `out`."""
        out[...] = self.array[lo:hi]

    def gather(self, ids: Any, out: Any) -> None:
        """Copy the rows `ids` into `out`."""
        out[...] = self.array[array_namespace(self.array).asarray(ids)]


class RestoredRows:
    """Rows of float32 with a constant each that was taken off: what they were, rounded to float32."""

    resident = False

    def __init__(self, part: ArrayRows, constants: np.ndarray):
        self.part, self.shape, self.device = part, part.shape, part.device
        self.constants = array_namespace(part.array).asarray(constants)

    def read(self, lo: int, hi: int, out: Any) -> None:
        """Write the rows lo..hi-1 into `out`."""
        out[...] = self.part.array[lo:hi] + self.constants[lo:hi, None]

    def gather(self, ids: Any, out: Any) -> None:
        """Write the rows `ids` into `out`."""
        at = array_namespace(self.part.array).asarray(ids)
        out[...] = self.part.array[at] + self.constants[at, None]


Part = ArrayRows | FileRows | RestoredRows


class RevenueBlocks:
    """A (U, F) float32 matrix that is walked through by blocks of rows.

    Parameters
    ----------
    parts : list of ArrayRows or FileRows
        In the order of the customers, all with F columns, arrays in float32 and C-contiguous; on one device.
    device : {"cpu", "cuda"}, optional
        Where blocks are wanted; by default where the parts are. Elsewhere each block is copied as it is met.
    block_rows : int, optional
        Rows in a block. By default blocks are the parts themselves where they lie in memory, and about 32 MiB where
        they must be read or copied.

    Attributes
    ----------
    shape : (U, F)
    dtype : float32
    device : {"cpu", "cuda"}
        Where blocks are.
    resident : bool
        Every part lies in memory on `device`.
    whole : array or None
        The one array that it all is, where that is so.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, parts: list[Part], *, device: DeviceName | None = None, block_rows: int | None = None):
        self.parts = parts
        self.source: DeviceName = parts[0].device  # type: ignore[assignment]
        self.device: DeviceName = device or self.source
        self.shape = (sum(p.shape[0] for p in parts), parts[0].shape[1])
        self.block_rows = block_rows
        self._starts = np.cumsum([0, *(p.shape[0] for p in parts)])
        self._buffers: dict[str, Any] = {}

    # -- what it is ----------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of E as float32, wherever it lies."""
        return 4 * self.shape[0] * self.shape[1]

    @property
    def is_one_array(self) -> bool:
        """Whether `whole` is there."""
        return self.whole is not None

    @property
    def resident(self) -> bool:
        """Blocks are views: nothing is read or copied."""
        return self.device == self.source and all(p.resident for p in self.parts)

    @property
    def whole(self) -> Any:
        """The array, where there is just one and it lies on `device`; else None."""
        first = self.parts[0]
        return first.array if len(self.parts) == 1 and self.resident and isinstance(first, ArrayRows) else None

    @property
    def default_rows(self) -> int:
        """Rows of a block that is read or copied, when nothing else is asked for."""
        rows = BLOCK_BYTES // (4 * self.shape[1])
        return max(1, rows // ROUND_ROWS * ROUND_ROWS or rows)

    def on(self, device: DeviceName, block_rows: int | None = None) -> RevenueBlocks:
        """The same rows, met on `device` in blocks of `block_rows`."""
        return RevenueBlocks(self.parts, device=device, block_rows=block_rows)

    # -- ways through it -----------------------------------------------------------------------------------------
    def iterate(self, block_rows: int | None = None) -> Iterator[tuple[int, int, Any]]:
        """All rows in order, block by block.

        Parameters
        ----------
        block_rows : int, optional
            Every block but the last has as many rows; by default as the object was made.

        Yields
        ------
        lo, hi : int
            The block holds the rows lo..hi-1.
        block : (hi - lo, F) float32, C-contiguous, on `device`
            A view where the rows lie in memory, not to be written to. Else a buffer that the next block overwrites.
        """
        # a walk inside another walk must not share its buffers
        buffers, self._buffers = self._buffers, {}
        try:
            for lo, hi in self._spans(block_rows or self.block_rows):
                yield lo, hi, self._block(lo, hi, buffers)
        finally:
            self._buffers = buffers

    def iterate_small(self, share: int = 4) -> Iterator[tuple[int, int, Any]]:
        """As `iterate`, with blocks a quarter as large (or 1 / `share`) where they are read or copied, so that others
        have room."""
        if self._by_parts(self.block_rows):
            return self.iterate()
        rows = max(1, (self.block_rows or self.default_rows) // share)
        if any(len(buffer) > rows for buffer in self._buffers.values()):
            self.release()
        return self.iterate(rows)

    def release(self) -> None:
        """Free the memory that blocks were read or copied to; the next walk takes it anew."""
        self._buffers = {}

    def every(self, stride: int) -> Any:
        """Every stride-th row from the first, as one contiguous array on `device`; E itself for stride 1 if it can."""
        only = self.parts[0] if len(self.parts) == 1 else None
        if stride == 1 and self.device == "cpu" and isinstance(only, FileRows) and only.as_wanted:
            return only.map()
        if self.whole is not None:
            array = self.whole
            out = array_namespace(array).ascontiguousarray(array[::stride])
            return out
        return self.rows(np.arange(0, self.shape[0], stride))

    def rows(self, ids: Any) -> Any:
        """The rows `ids` as one contiguous array on `device`.

        Parameters
        ----------
        ids : (n,) int64
            Row numbers, rising.
        """
        if self.whole is not None:
            return self.whole[ids]
        wanted = to_device(ids, "cpu")
        out = self._empty(self.source, wanted.size)
        edges = np.searchsorted(wanted, self._starts)
        for part, start, a, b in zip(self.parts, self._starts, edges[:-1], edges[1:], strict=False):
            if b > a:
                part.gather(wanted[a:b] - start, out[a:b])
        return to_device(out, self.device)

    def column(self, fund: int, ids: Any) -> Any:
        """E of one fund for the customers `ids` (rising, on `device`): (n,) float32 on `device`."""
        if self.whole is not None:
            return self.whole[ids, fund]
        xp = np if self.device == "cpu" else array_namespace(ids)
        out = xp.empty(ids.size, np.float32)
        if ids.size:
            for lo, hi, block in self.iterate():
                a, b = (int(i) for i in xp.searchsorted(ids, xp.asarray([lo, hi])))
                out[a:b] = block[ids[a:b] - lo, fund]
        return out

    def assemble(self) -> Any:
        """All of E as one array on `device`: itself, or a copy."""
        if self.whole is not None:
            return self.whole
        out = self._empty(self.device, self.shape[0])
        for lo, hi, block in self.iterate():
            out[lo:hi] = block
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        out = self.on("cpu", self.block_rows).assemble()
        return np.array(out, dtype=dtype, copy=True) if copy else np.asarray(out, dtype=dtype)

    def __repr__(self) -> str:
        where = "in files" if not all(p.resident for p in self.parts) else f"on {self.source}"
        parts = f"{len(self.parts):,} part{'s' * (len(self.parts) > 1)}"
        return f"RevenueBlocks({self.shape[0]:,} x {self.shape[1]}, {parts} {where})"

    # -- inside --------------------------------------------------------------------------------------------------
    def _by_parts(self, block_rows: int | None) -> bool:
        """Whether blocks are the parts themselves: many small arrays would cost more in calls than in copies."""
        few = len(self.parts) <= 64 or self.shape[0] >= 1024 * len(self.parts)
        return block_rows is None and self.resident and few

    def _spans(self, block_rows: int | None) -> Iterator[tuple[int, int]]:
        rows = self.shape[0]
        if self._by_parts(block_rows):
            yield from zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True)
            return
        step = block_rows or self.default_rows
        for lo in range(0, rows, step):
            yield lo, min(rows, lo + step)

    def _block(self, lo: int, hi: int, buffers: dict[str, Any]) -> Any:
        at = int(np.searchsorted(self._starts, lo, side="right")) - 1
        part, start = self.parts[at], int(self._starts[at])
        if isinstance(part, ArrayRows) and hi <= start + part.shape[0]:
            block = part.array[lo - start : hi - start]
        else:
            block = self._buffer(buffers, self.source, hi - lo)
            done = lo
            while done < hi:
                part, start = self.parts[at], int(self._starts[at])
                until = min(hi, start + part.shape[0])
                part.read(done - start, until - start, block[done - lo : until - lo])
                done, at = until, at + 1
        if self.device == self.source:
            return block
        moved = self._buffer(buffers, self.device, hi - lo)
        if self.device == "cuda":
            moved.set(block)  # returns when `block` may be overwritten: it is not page-locked
        else:
            block.get(out=moved)
        return moved

    def _buffer(self, buffers: dict[str, Any], device: DeviceName, rows: int) -> Any:
        if device not in buffers or len(buffers[device]) < rows:
            buffers.pop(device, None)  # freed before the larger one is made
            buffers[device] = self._empty(device, rows)
        return buffers[device][:rows]

    def _empty(self, device: DeviceName, rows: int) -> Any:
        if device == "cpu":
            return np.empty((rows, self.shape[1]), np.float32)
        require_gpu("revenue on a GPU")
        import cupy

        return cupy.empty((rows, self.shape[1]), cupy.float32)


# -- from what callers give ------------------------------------------------------------------------------------------
def is_file(x: Any) -> bool:
    """Whether `x` names a .npy file."""
    return isinstance(x, (str, os.PathLike))


def are_blocks(x: Any) -> bool:
    """Whether `x` is a list of row blocks, and not a matrix written as a list of rows."""
    if not isinstance(x, (list, tuple)):
        return False
    return not x or any(is_file(b) or getattr(b, "ndim", 0) == 2 for b in x)


def read_blocks(revenue: Any) -> RevenueBlocks:
    """E as blocks: from an array (NumPy, CuPy, torch), a `numpy.memmap`, the path of a .npy file, or a list of these.

    Arrays are converted to contiguous float32 where they are not that already; what lies in a file stays there.

    Raises
    ------
    InputError
        For anything that is no real matrix; for blocks with different numbers of columns or on different devices.
    """
    return revenue if isinstance(revenue, RevenueBlocks) else read_given(revenue)[1]


def read_given(revenue: Any) -> tuple[list[Any], RevenueBlocks]:
    """The arrays that `revenue` is made of, as they were given, and E as blocks of them; see `read_blocks`."""
    if not are_blocks(revenue):
        array = as_given(revenue, "revenue")
        return [array], RevenueBlocks([_part(array, "revenue")])
    if not revenue:
        raise InputError("revenue is an empty list; it needs at least one block of rows.")
    given = [as_given(b, f"revenue[{i}]") for i, b in enumerate(revenue)]
    for i, b in enumerate(given):
        if b.ndim != 2:
            raise InputError(f"revenue[{i}] has shape {b.shape}; each block of rows needs (customers, funds).")
        if b.shape[1] != given[0].shape[1]:
            raise InputError(
                f"revenue[{i}] has {b.shape[1]} columns and revenue[0] has {given[0].shape[1]}; all blocks of rows "
                "need the same funds."
            )
        if is_cuda_array(b) != is_cuda_array(given[0]):
            here, there = ("on a GPU", "in host memory")[:: 1 if is_cuda_array(b) else -1]
            raise InputError(f"revenue[{i}] is {here} and revenue[0] {there}; all blocks need to be on one device.")
    if not any(b.shape[0] for b in given):
        raise InputError("revenue is a list of blocks without a row: at least one customer is needed.")
    parts = [_part(b, f"revenue[{i}]") for i, b in enumerate(given) if b.shape[0]]
    return [b for b in given if b.shape[0]], RevenueBlocks(parts)


def as_given(x: Any, what: str) -> Any:
    """`x` as an array where it is: a file as a memory map, the rest as `as_array` makes it."""
    if not is_file(x):
        try:
            return as_array(x)
        except (TypeError, ValueError) as e:
            raise InputError(f"{what} cannot be read as an array of numbers: {e}") from e
    path = Path(x)
    if path.suffix != ".npy":
        raise InputError(f"{what} is the path {str(path)!r}; a file of expected revenue ends in .npy.")
    try:
        return open_npy(path)
    except InputError as e:
        raise InputError(f"{what}: {e}") from e


def _part(array: Any, what: str) -> Part:
    if array.ndim != 2:
        raise InputError(f"{what} has shape {array.shape}; it needs two dimensions, (customers, funds).")
    if 0 in array.shape:
        raise InputError(f"{what} has shape {array.shape}: at least one customer and one fund are needed.")
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} has dtype {array.dtype}; it needs real numbers.")
    if isinstance(array, np.memmap):
        part = FileRows.from_memmap(array)
        if part is not None:
            return part
        array = np.asarray(array)
    xp = array_namespace(array)
    with np.errstate(over="ignore"):
        if xp is np:  # a view into bytes may lie anywhere
            return ArrayRows(np.require(array, np.float32, ["C", "ALIGNED"]))
        return ArrayRows(xp.ascontiguousarray(array, dtype=xp.float32))
