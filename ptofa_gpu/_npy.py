"""Matrices in .npy files, which stay there."""

from __future__ import annotations

import tokenize
from pathlib import Path

import numpy as np

from ptofa_gpu.errors import InputError


def open_npy(path: Path) -> np.ndarray:
    """A .npy file as a read-only memory map.

    Raises
    ------
    InputError
        Where there is no such file, or none that NumPy can map: pickled objects, archives, damaged headers.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as e:
        raise InputError(f"{path}: there is no such file.") from e
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError, TypeError, tokenize.TokenError) as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0][:200]
        raise InputError(f"{path} cannot be read as .npy: {reason}.") from e
    return array
