"""Copies of the package that a test may spoil, and processes that work with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


class Tree:
    """The package, its kernels and scripts in a folder of their own.

    Parameters
    ----------
    root : Path
        The folder, which is made.
    engine : bool
        With the compiled libraries.
    """

    def __init__(self, root: Path, engine: bool = True):
        self.root = root
        skipped = shutil.ignore_patterns("__pycache__", *([] if engine else ["_engine"]))
        for part in ("ptofa_gpu", "kernels", "scripts"):
            shutil.copytree(ROOT / part, root / part, ignore=skipped)

    @property
    def engine(self) -> Path:
        """The folder of the libraries."""
        return self.root / "ptofa_gpu" / "_engine"

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command that imports this copy."""
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, cwd=self.root, env=self.environment(**variables),
            timeout=300, check=False,
        )  # fmt: skip

    def python(self, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run code; `passes` can be imported."""
        return self.run(sys.executable, "-c", code, **variables)

    def digest(self, **variables: str) -> str:
        """`passes.digest()`, from a process with this copy."""
        done = self.python("import passes; print(passes.digest())", **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def environment(self, **variables: str) -> dict[str, str]:
        """Of such a process."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PTOFA_")}
        return {**kept, "PYTHONPATH": f"{self.root}{os.pathsep}{HERE}", "PYTHONDONTWRITEBYTECODE": "1", **variables}
