"""What this account wrote into a folder, so that it can prove it later: a list of files with their hashes, sealed.

The folder of a report may lie where others write too. So nothing there is believed by its name: a file is this
program's if the folder's manifest has its hash, and the manifest is this account's if its seal fits the account's key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ptofa_gpu._files import atomic_path

#: in every folder of a report; hidden, as it is of use to this program only
MANIFEST = ".ptofa.json"
_KEY_BYTES = 32
_BLOCK = 1 << 22
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    files: dict[str, str]
    seal: str


def seal(*facts: Any) -> str:
    """Return what only this account can make of `facts` (JSON-like)."""
    return hmac.new(_key(_state()), json.dumps(facts, sort_keys=True, default=str).encode(), "sha256").hexdigest()


def sealed(given: str, *facts: Any) -> bool:
    """Whether `given` is this account's seal of `facts`."""
    return hmac.compare_digest(given.encode(), seal(*facts).encode())


def _state() -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir("ptofa_gpu", appauthor=False))


@cache
def _key(folder: Path) -> bytes:
    """The account's key, made on first use; where none can be kept, one of this process, which proves nothing later."""
    path = folder / "report.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.path.lexists(path):
            fd, name = tempfile.mkstemp(prefix=".report.key.", dir=folder)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(secrets.token_bytes(_KEY_BYTES))
                os.link(name, path)  # whole or not there, and the first of two processes wins
            except FileExistsError:
                pass
            finally:
                os.unlink(name)
        with open_plain(path) as file:
            facts, key = os.fstat(file.fileno()), file.read()
        if len(key) == _KEY_BYTES and ours(facts) and not facts.st_mode & 0o077:
            return key
    except OSError:
        pass
    return secrets.token_bytes(_KEY_BYTES)


def ours(facts: os.stat_result) -> bool:
    """Whether a file or folder belongs to this account."""
    return not hasattr(os, "geteuid") or facts.st_uid == os.geteuid()


def open_plain(path: Path) -> Any:
    """Open a file to read its bytes; OSError where it is a link or anything else than a plain file."""
    fd = os.open(path, os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is no plain file")
    return os.fdopen(fd, "rb")


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a plain file; OSError where it is none."""
    digest = hashlib.sha256()
    with open_plain(path) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def plain_files(folder: Path) -> list[str]:
    """Return the plain files below `folder`, relative to it; links are not followed and not listed."""
    found = []
    for place, _, names in os.walk(folder):
        found += [Path(place, n) for n in names if stat.S_ISREG(os.lstat(os.path.join(place, n)).st_mode)]
    return sorted(p.relative_to(folder).as_posix() for p in found)


def write_manifest(folder: Path, *, but: tuple[str, ...] = ()) -> None:
    """Write down all files of `folder` with their hashes; all of them must be this program's.

    Parameters
    ----------
    folder : Path
    but : tuple of str
        Files that are not listed.
    """
    files = {name: file_hash(folder / name) for name in plain_files(folder) if name not in (MANIFEST, *but)}
    with atomic_path(folder / MANIFEST) as partial:
        partial.write_text(json.dumps({"files": files, "seal": seal(files)}, indent=1), encoding="utf-8")


def listed_files(folder: Path, *, by_this_account: bool = False) -> dict[str, str] | None:
    """Return the files of the manifest in `folder` with their hashes; None where there is none that can be read.

    Parameters
    ----------
    folder : Path
    by_this_account : bool
        Believe only a manifest that this account has sealed.
    """
    try:
        with open_plain(folder / MANIFEST) as file:
            found = _Manifest.model_validate_json(file.read())
    except (OSError, ValidationError):
        return None
    return None if by_this_account and not sealed(found.seal, found.files) else found.files


def unchanged(folder: Path, name: str, digest: str) -> bool:
    """Whether the file `name` below `folder` is plain and has this hash."""
    try:
        return file_hash(folder / name) == digest
    except OSError:
        return False
