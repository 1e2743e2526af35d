"""Ctrl-C, SIGTERM and SIGHUP: each ends a command in order, by an exception that passes every `finally`."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

#: What a terminal, a scheduler and a closed session send to end a program.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds between two looks at whether the command is ending.
GLANCE = 0.1
#: Seconds for which a further signal does not disturb the clearing up that the first one began.
GRACE = 1.0


class Signals:
    """While entered, a signal raises `KeyboardInterrupt` in the command.

    Not every caller of Python code lets an exception pass: a finalizer or a callback of the import system prints and
    drops it, compiled code may turn it into another one. So from the first signal on it is looked at whether the
    exception is being handled, and where it is not, it is raised again.

    Parameters
    ----------
    last
        Whether the process ends with the command: its last steps are then ended by a signal without a word.

    Attributes
    ----------
    number
        The signal that came first, or None.
    """

    def __init__(self, *, last: bool) -> None:
        self.number: int | None = None
        self._last, self._since, self._asked = last, 0.0, False
        self._before: dict[int, Any] = {}
        self._over = threading.Event()
        self._asking = threading.Thread(target=self._ask, name="ptofa-signals", daemon=True)

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._unraisable, sys.unraisablehook = sys.unraisablehook, self._dropped
            for number in ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._asking.is_alive():
            self._asking.join()
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if self._last else before)
        if self._before:
            sys.unraisablehook = self._unraisable
        if self.number is not None:
            # Python notes that an interrupt passed an exec of text, as imports do; the process would end by SIGINT
            # whatever exit code it is given. The next exec of text takes the note back.
            exec("")

    def _heard(self, number: int, frame: FrameType | None) -> None:
        asked, self._asked = self._asked, False
        if self._over.is_set():
            return
        if self.number is None:
            self.number, self._since = number, time.monotonic()
            self._asking.start()
            raise KeyboardInterrupt
        if not _handled() if asked else time.monotonic() > self._since + GRACE:
            raise KeyboardInterrupt

    def _ask(self) -> None:
        """Send the signal to the command again and again, for `_heard` to see whether the first one is minded."""
        assert self.number is not None
        while not self._over.wait(GLANCE):
            self._asked = True
            signal.pthread_kill(threading.main_thread().ident or 0, self.number)

    def _dropped(self, what: Any) -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):
            self._unraisable(what)


def _handled() -> bool:
    """Whether an interrupt is being handled where the program is now."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
