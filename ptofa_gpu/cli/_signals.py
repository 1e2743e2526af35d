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
        self._since, self._last = 0.0, last
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._unraisable, sys.unraisablehook = sys.unraisablehook, self._dropped
            for number in ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        if self.number is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            # Python notes that an interrupt passed an exec of text, as imports do; the process would end by SIGINT
            # whatever exit code it is given. The next exec of text takes the note back.
            exec("")
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if self._last else before)
        if self._before:
            sys.unraisablehook = self._unraisable

    def _heard(self, number: int, frame: FrameType | None) -> None:
        first = self.number is None
        if first:
            self.number, self._since = number, time.monotonic()
            signal.signal(signal.SIGALRM, self._look)
            signal.setitimer(signal.ITIMER_REAL, GLANCE, GLANCE)
        if first or time.monotonic() > self._since + GRACE:
            raise KeyboardInterrupt

    def _look(self, number: int, frame: FrameType | None) -> None:
        handled = sys.exc_info()[1]
        while handled is not None:
            if isinstance(handled, KeyboardInterrupt):
                return
            handled = handled.__context__
        raise KeyboardInterrupt

    def _dropped(self, what: Any) -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):
            self._unraisable(what)
