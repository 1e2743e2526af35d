"""Wrong calls by the thousand: ``python -m tests.fuzz --calls 5000 --seed 1 [--package OTHER_CHECKOUT]``.

Every wrong call must return, or raise a `PtofaError` (a command: end with 0 to 3 and a message). What else happens is
counted by *place*: the innermost line of the package, and the exception. Each worker is a process of its own with 4 GiB
to spare; one that dies is a place too, and another goes on after it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run(calls: int, seed: int = 0, workers: int = 2, package: Path = ROOT, only: str = "") -> list[dict[str, Any]]:
    """What went wrong in `calls` wrong calls: place, call, what was damaged, message; and what is said of the valid."""
    share = [list(range(k, calls, workers)) for k in range(workers)]
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="ptofa-fuzz-") as folder:
        jobs = [_Job(Path(folder, str(k)), indices, seed, package, only) for k, indices in enumerate(share)]
        for job in jobs:
            found += job.finish()
    return found


class _Job:
    """One worker's share of the calls, with a new process after each that dies."""

    def __init__(self, folder: Path, indices: list[int], seed: int, package: Path, only: str):
        folder.mkdir()
        self.folder, self.indices, self.options = folder, indices, [str(seed), str(package), only]
        self.start()

    def start(self) -> None:
        self.log = self.folder / "log.jsonl"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PTOFA_NUM_THREADS": "1", "PTOFA_OFFLINE": "1"}
        words = [sys.executable, "-m", "tests.fuzz.worker", str(self.folder), *self.options]
        with (self.folder / "errors.txt").open("a") as errors:
            self.process = subprocess.Popen(
                words,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                text=True,
            )
        assert self.process.stdin is not None
        json.dump(self.indices, self.process.stdin)
        self.process.stdin.close()

    def finish(self) -> list[dict[str, Any]]:
        """Wait until all are done; a process that died at a call is started again after it."""
        while code := self.process.wait():
            lines = self._lines()
            if code > 0 or not lines:  # not killed: a fault of the fuzz itself
                raise RuntimeError(f"a worker ends with {code}: {(self.folder / 'errors.txt').read_text()[-3000:]}")
            last = lines[-1]
            dead = {**last, "place": f"the process died ({code}) in {last['call']}", "message": ""}
            with self.log.open("a") as f:
                f.write(json.dumps(dead) + "\n")
            self.indices = self.indices[self.indices.index(last["index"]) + 1 :]
            self.start()
        return [line for line in self._lines() if "place" in line]

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


def main() -> int:
    """Run from the command line; exit code 1 where there is a place."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Wrong calls, and what they end in.")
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--package", type=Path, default=ROOT, help="the checkout whose ptofa_gpu is called")
    parser.add_argument("--only", default="", help="calls whose name or area holds this")
    given = parser.parse_args()
    found = run(given.calls, given.seed, given.workers, given.package.resolve(), given.only)
    for place, n in Counter(f["place"] for f in found).most_common():
        first = next(f for f in found if f["place"] == place)
        print(f"{n:4d}  {place}\n      {first['area']}: {first['call']}({first['damage']}): {first['message'][:200]}")  # noqa: T201
    print(f"{given.calls} wrong calls, {len(found)} end wrongly, at {len({f['place'] for f in found})} places")  # noqa: T201
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
