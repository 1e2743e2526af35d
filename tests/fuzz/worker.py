"""A process that makes wrong calls: ``worker FOLDER SEED PACKAGE ONLY``, the calls' numbers as JSON on stdin.

Before each call a line in ``log.jsonl`` says which; after one that ended wrongly another says where.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ROOM = 4 << 30  # bytes that a wrong call may take
_SECONDS = 20.0


class Slow(BaseException):
    """A wrong call that does not come back."""


def main() -> None:
    """Make the calls."""
    folder, seed, package, only = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    indices = json.load(sys.stdin)
    sys.path[:0] = [package, str(Path(__file__).resolve().parents[2])]
    os.chdir(folder)  # wrong paths name files here
    from tests.fuzz.calls import calls
    from tests.fuzz.commands import commands, write_more
    from tests.fuzz.world import World

    warnings.simplefilter("ignore")
    made = folder / "world"
    made.mkdir(exist_ok=True)
    world = World(made)
    write_more(world)
    known = [c for c in (*calls(world), *commands(world)) if only in c.name or only in c.area]
    places = [(c, name) for c in known for name in c.arguments()]
    random.Random(seed).shuffle(places)
    log = (folder / "log.jsonl").open("a", buffering=1)
    if indices and indices[0] < 2:  # one worker sees to it that there is something to damage
        for call in known:
            make(call, call.arguments(), {"index": -1, "damage": "nothing"}, log, valid=True)
    _limit_memory()
    for index in indices:
        call, name = places[index % len(places)]
        rng = random.Random(f"{seed}:{index}")
        given = dict(call.arguments())
        what, given[name] = damaged(given[name], rng, folder)
        fact = {"index": index, "damage": f"{name}: {what}"}
        make(call, given, fact, log, valid=False)


def damaged(value: Any, rng: random.Random, folder: Path) -> tuple[str, Any]:
    """A wrong value in the place of a valid one, by what the valid one is."""
    import numpy as np
    import pandas as pd

    from tests.fuzz import damage, files
    from tests.fuzz.kinds import Text, Tree

    if isinstance(value, Text):
        what, wrong = damage.tree(json.loads(value), rng)
        return what, json.dumps(wrong, default=str) if rng.random() < 0.9 else value[: rng.randrange(len(value))]
    if isinstance(value, Tree | list) and value and rng.random() < 0.7:
        keys = list(value) if isinstance(value, Tree) else range(len(value))
        key = rng.choice(list(keys))
        what, wrong = damaged(value[key], rng, folder)
        whole = type(value)(value)
        whole[key] = wrong
        return f"{key!r}: {what}", whole
    if isinstance(value, Tree) and rng.random() < 0.5:
        return "with a name more", Tree(value, no_such=1)
    if isinstance(value, pd.DataFrame):
        return damage.frame(value, rng)
    if isinstance(value, np.ndarray):
        return damage.array(value, rng)
    if isinstance(value, Path) and value.is_file():
        return files.file(value, rng, folder)
    if isinstance(value, str):
        return damage.word(value, rng)
    return damage.anything(value, rng)


def make(call: Any, given: dict[str, Any], fact: dict[str, Any], log: Any, *, valid: bool) -> None:
    """Make one call, and say in `log` which it is and, where it ended wrongly, where."""
    from ptofa_gpu.errors import PtofaError

    fact = {**fact, "call": call.name, "area": call.area}
    log.write(json.dumps(fact) + "\n")
    try:
        with _deadline():
            call.function(**given)
    except PtofaError as e:
        if valid:
            _tell(fact, e, log)
    except (Exception, Slow) as e:
        _tell(fact, e, log)


def _tell(fact: dict[str, Any], error: BaseException, log: Any) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/ptofa_gpu/" in f.filename]
    where = (
        f"{ours[-1].filename.rpartition('/ptofa_gpu/')[2]}:{ours[-1].lineno}" if ours else f"the call of {fact['call']}"
    )
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    message = str(error).encode("utf-8", "backslashreplace").decode()
    log.write(json.dumps({**fact, "place": f"{where} {name}", "message": message[:600]}) + "\n")


@contextmanager
def _deadline() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise Slow(f"more than {_SECONDS:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _limit_memory() -> None:
    """From here on 4 GiB more than is mapped: what asks for more is refused by the system."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _ROOM, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
