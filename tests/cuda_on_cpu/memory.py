"""Arrays for a launch, as copies that end at pages nobody may touch: what runs over the end is caught."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

_PAGE = mmap.PAGESIZE
_GUARD = 256 * _PAGE  # on both sides: address space only, and wide enough for an index that is far off
_ALIGN = 16  # of an array's start: the widest load of the language (on a GPU arrays start at multiples of 256)
_FILL = 0xCB
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_NONE, _READ = 0, mmap.PROT_READ


class GuardedCopy:
    """A copy of `array` between two protected stretches, its end within 15 bytes of the second.

    Parameters
    ----------
    array : numpy.ndarray
        C-contiguous.
    writable : bool
        Whether the kernel may write to it: else its pages are read-only.
    argument : int
        Its position among the kernel's, for messages.
    """

    def __init__(self, array: np.ndarray, *, writable: bool, argument: int):
        self.array, self.writable, self.argument = array, writable, argument
        pages = -(-array.nbytes // _PAGE)
        self._map = mmap.mmap(-1, 2 * _GUARD + pages * _PAGE)
        self._view = np.frombuffer(self._map, np.uint8)
        base = self._view.ctypes.data
        self._inside = slice(_GUARD, _GUARD + pages * _PAGE)
        start = _GUARD + pages * _PAGE - -(-array.nbytes // _ALIGN) * _ALIGN
        self._bytes = slice(start, start + array.nbytes)
        self._view[self._inside] = _FILL
        self._view[self._bytes] = array.reshape(-1).view(np.uint8)
        self.begin, self.end = base + start, base + start + array.nbytes
        self._guards = (base, base + _GUARD + pages * _PAGE)
        self._content = (base + _GUARD, pages * _PAGE)
        for guard in self._guards:
            _protect(guard, _GUARD, _NONE)
        if not writable and pages:
            _protect(*self._content, _READ)

    def finish(self) -> str | None:
        """Copy what the kernel wrote back to the array; returns what is wrong if it wrote around it."""
        if not self.writable:
            return None
        around = np.concatenate(
            [self._view[self._inside.start : self._bytes.start], self._view[self._bytes.stop : self._inside.stop]]
        )
        if np.any(around != _FILL):
            first = int(np.flatnonzero(around != _FILL)[0])
            lead = self._bytes.start - self._inside.start
            where = f"{lead - first} bytes before its start" if first < lead else f"{first - lead} bytes past its end"
            return f"written {where}"
        self.array.reshape(-1).view(np.uint8)[:] = self._view[self._bytes]
        return None

    def close(self) -> None:
        """Give the memory back."""
        del self._view
        self._map.close()


def _protect(address: int, size: int, access: int) -> None:
    if _LIBC.mprotect(address, size, access):
        raise OSError(ctypes.get_errno(), "mprotect")
