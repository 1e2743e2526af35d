"""Running one cell in a process of its own, with an eye on its time and its memory."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

#: Seconds for what is not timed: start, imports, reading the instance; checking the plan.
SETUP_LIMIT = 900.0
_GLANCE = 0.1  # seconds between two looks at the memory

Ending = Literal["done", "killed", "memory", "failed"]


@dataclass
class Observed:
    """What a cell's process said, and how it ended.

    Attributes
    ----------
    ending : str
        ``done``; ``killed`` at the time limit; ``memory``: killed for passing its memory limit; ``failed``.
    note : str
        Why, where it is not ``done``.
    ready, worth : dict
        The events of these names; empty if the process did not come that far.
    runs : list of dict
        The event of each timed solve.
    waited : float
        Seconds that the solve had taken when the process was killed.
    """

    ending: Ending = "failed"
    note: str = ""
    ready: dict[str, Any] = field(default_factory=dict)
    worth: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    waited: float = 0.0

    def stop(self, ending: Ending, note: str, waited: float) -> None:
        """The process is to be killed; what an earlier repeat found stands."""
        if self.worth:
            self.note = f"{len(self.runs)} repeats; another was {note}"
        else:
            self.ending, self.note, self.waited = ending, note, waited


def observe(
    spec: Mapping[str, Any], *, patience: float, max_memory: int, environment: Mapping[str, str], grace: float = 0.0
) -> Observed:
    """Run the worker on `spec` until it ends, a solve takes longer than `patience`, or it needs too much memory.

    Parameters
    ----------
    spec : mapping
        What the worker is to do, without ``events``.
    patience : float
        Seconds a solve may take before the process is killed.
    max_memory : int
        Bytes the process may hold.
    environment : mapping
        Its environment variables.
    grace : float
        Seconds on top of `patience` for a method that keeps the limit itself and has a plan to hand over.
    """
    seen = Observed()
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as words, os.fdopen(reading, "rb", buffering=0) as events:
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", "ptofa_gpu.bench.worker", json.dumps({**spec, "events": writing})],
                stdin=subprocess.DEVNULL, stdout=words, stderr=words, pass_fds=[writing], env=dict(environment),
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(writing)
        try:
            _listen(child, events, seen, patience=patience, max_memory=max_memory, grace=grace)
        finally:
            _end(child)
        if seen.ending == "failed" and not seen.note:
            words.seek(0)
            last = [line for line in words.read().decode(errors="replace").splitlines() if line.strip()]
            seen.note = _why(child.returncode, last[-1].strip() if last else "")
    return seen


def _listen(
    child: subprocess.Popen[bytes], events: Any, seen: Observed, *, patience: float, max_memory: int, grace: float
) -> None:
    buffer, since, solving = b"", time.monotonic(), False
    with selectors.DefaultSelector() as waiting:
        waiting.register(events, selectors.EVENT_READ)
        while True:
            if waiting.select(_GLANCE):
                read = os.read(events.fileno(), 1 << 16)
                if not read:
                    return  # the worker is gone: it has said what it had to say
                *lines, buffer = (buffer + read).split(b"\n")
                for line in lines:
                    solving = _take(json.loads(line), seen)
                    since = time.monotonic()
            elapsed = time.monotonic() - since
            if _resident(child.pid) > max_memory:
                seen.stop("memory", f"passed the {max_memory / 2**30:.1f} GiB of memory it may hold", elapsed * solving)
                return
            if solving and elapsed > patience + grace:
                seen.stop("killed", f"killed after {elapsed:.0f} s", elapsed)
                return
            if not solving and elapsed > SETUP_LIMIT:
                seen.stop("failed", f"said nothing for {elapsed:.0f} s outside the solve", 0.0)
                return


def _take(event: dict[str, Any], seen: Observed) -> bool:
    """Note an event; whether a solve is now under way."""
    kind = event.pop("event")
    if kind == "ready":
        seen.ready = event
    elif kind == "run":
        seen.runs.append(event)
    elif kind == "worth":
        seen.ending, seen.worth = "done", event
    elif kind == "failed":
        seen.note = event["note"]
    return bool(kind == "start")


def _resident(pid: int) -> int:
    """Bytes of memory a process holds now; 0 when it is gone."""
    try:
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def _end(child: subprocess.Popen[bytes]) -> None:
    """See the process and whatever it started off."""
    if child.poll() is None:
        try:
            child.wait(timeout=0.5)  # its last word is said: let it leave by itself
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _why(code: int | None, last: str) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        reason = f"its process was ended by {name}" + (": the machine ran out of memory?" if name == "SIGKILL" else "")
    else:
        reason = f"its process ended with code {code}"
    return f"{reason}; its last words: {last}" if last else reason
