"""Finding a public data file on this machine, or downloading it once; either way its checksum is verified."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptofa_gpu._arguments import flag, path_of
from ptofa_gpu._files import atomic_path
from ptofa_gpu.errors import DataNotFoundError, InputError

#: Folder to look in first.
DATA_VARIABLE = "PTOFA_DATA"
#: Set to anything to forbid downloads.
OFFLINE_VARIABLE = "PTOFA_OFFLINE"
_LIMIT = 64 << 20  # bytes; the public files are a few megabytes
_TIMEOUT = 20.0  # seconds without an answer
_DEADLINE = 60.0  # seconds for a whole file, however slowly it trickles


@dataclass(frozen=True)
class PublicFile:
    """A public text file: where it is published and how to know it.

    Parameters
    ----------
    name : str
        File name; ``name + ".gz"`` is looked for too.
    sha256 : tuple of str
        Of the uncompressed bytes; one for each spelling of the same table that is in circulation.
    urls : tuple of str
        Where to download it, best first.
    """

    name: str
    sha256: tuple[str, ...]
    urls: tuple[str, ...]


def read_public(file: PublicFile, path: str | os.PathLike[str] | None = None, *, verify: bool = True) -> bytes:
    """The uncompressed bytes of `file`.

    Looks at `path` if given, and nowhere else; otherwise in the folder of the environment variable ``PTOFA_DATA`` and
    in the user's cache; then downloads.

    Raises
    ------
    DataNotFoundError
        Neither here nor reachable; lists where was looked and what to do.
    InputError
        A file was found and is not the one that was published.
    """
    verify = flag("verify", verify)
    if path is not None:
        given = path_of("path", path)
        if os.path.isdir(given):
            given = next((c for c in _spellings(given, file.name) if c.is_file()), given / file.name)
        if not os.path.isfile(given):
            raise DataNotFoundError(f"{given} does not exist. Give the path of {file.name} or {file.name}.gz.")
        return _read(given, file, verify)
    looked = _named(file)
    for candidate in looked:
        if candidate.is_file():
            return _read(candidate, file, verify)
    cached = cache_dir() / file.name
    if cached.is_file() and _matches(cached.read_bytes(), file.sha256):
        return cached.read_bytes()
    return _download(file, cached, [str(p) for p in (*looked, cached)])


def local_copy(file: PublicFile) -> Path | None:
    """The copy of `file` on this machine that `read_public` would take, or None where it would download."""
    return next((p for p in (*_named(file), cache_dir() / file.name) if p.is_file()), None)


def cache_dir() -> Path:
    """Where downloads are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("ptofa_gpu", appauthor=False))


def _named(file: PublicFile) -> tuple[Path, ...]:
    folder = os.environ.get(DATA_VARIABLE)
    return _spellings(Path(folder), file.name) if folder else ()


def _spellings(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.gz", folder / name


def _read(path: Path, file: PublicFile, verify: bool) -> bytes:
    try:
        data = _unpacked(path.read_bytes())
    except (OSError, EOFError, zlib.error) as e:
        raise InputError(f"{path} cannot be read ({e}). Replace it by a fresh copy of {file.name}.") from e
    if verify and not _matches(data, file.sha256):
        raise InputError(
            f"{path} is not the published {file.name}: its sha256 (uncompressed) is {_digest(data)}, expected "
            f"{' or '.join(file.sha256)}. Replace the file, or pass verify=False if you changed it on purpose."
        )
    return data


def _unpacked(data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as f:
        out = f.read(_LIMIT + 1)
    if len(out) > _LIMIT:
        raise EOFError(f"it unpacks to more than {_LIMIT >> 20} MiB")
    return out


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _matches(data: bytes, sha256: Sequence[str]) -> bool:
    return _digest(data) in sha256


def _download(file: PublicFile, cached: Path, looked: list[str]) -> bytes:
    tried = []
    if os.environ.get(OFFLINE_VARIABLE):
        tried.append(f"nothing downloaded: the environment variable {OFFLINE_VARIABLE} is set")
    else:
        for url in file.urls:
            try:
                data = _unpacked(_get(url))
            except (OSError, EOFError, zlib.error, ValueError) as e:  # URLError and timeouts are OSErrors
                tried.append(f"{url}: {getattr(e, 'reason', None) or e or type(e).__name__}")
                continue
            if not _matches(data, file.sha256):
                tried.append(f"{url}: sha256 {_digest(data)} is not the published file's")
                continue
            _keep(data, cached)
            return data
    lines = "".join(f"\n  - {p}" for p in [*looked, *tried])
    raise DataNotFoundError(
        f"{file.name} is not on this machine and could not be downloaded. Looked at and tried:{lines}\n"
        f"On a machine with a network, fetch {file.urls[0]}, unpack it if it ends in .gz, put it in a folder here as "
        f"{file.name} and set {DATA_VARIABLE} to that folder (or pass path=)."
    )


def _keep(data: bytes, cached: Path) -> None:
    try:
        with atomic_path(cached) as partial:
            partial.write_bytes(data)
    except (OSError, InputError):
        pass  # a read-only home or full disk costs another download next time, not the data


def _get(url: str) -> bytes:
    deadline = time.monotonic() + _DEADLINE
    request = urllib.request.Request(url, headers={"User-Agent": "ptofa_gpu"})
    chunks: list[bytes] = []
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        while chunk := answer.read(1 << 16):
            chunks.append(chunk)
            if sum(map(len, chunks)) > _LIMIT:
                raise EOFError(f"the answer is larger than {_LIMIT >> 20} MiB")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not complete after {_DEADLINE:.0f} s")
    return b"".join(chunks)
