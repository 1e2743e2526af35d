"""What C libraries print to stdout, sent elsewhere: HiGHS greets before it can be told to be quiet."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def c_stdout_to(descriptor: int | None) -> Iterator[None]:
    """Send what C code prints to file `descriptor` meanwhile (2 is stderr), or nowhere if None."""
    c = ctypes.CDLL(None)
    sys.stdout.flush()
    c.fflush(None)
    kept = os.dup(1)
    target = os.open(os.devnull, os.O_WRONLY) if descriptor is None else descriptor
    try:
        os.dup2(target, 1)
        try:
            yield
        finally:
            c.fflush(None)  # C holds text back for pipes and files; it would come out after stdout is back
            os.dup2(kept, 1)
    finally:
        os.close(kept)
        if descriptor is None:
            os.close(target)
