"""Progress and the time limit of one solve."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any


class Watch:
    """Progress and the time limit of one solve."""

    def __init__(self, total: int, progress: Any, time_limit: float | None):
        self.started = time.perf_counter()
        self.limit = math.inf if time_limit is None else float(time_limit)
        self.done, self.total, self.timed_out = 0, total, False
        self._tell: Callable[[int, int], Any] | None = progress if callable(progress) else None
        self._bar: Any = None
        if progress is True:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, unit=" customers", unit_scale=True, desc="allocate", leave=False)

    def advance(self, n: int) -> None:
        """`n` more customers are served."""
        self.done = min(self.total, self.done + n)
        if self._bar is not None:
            self._bar.update(n)
        if self._tell is not None:
            self._tell(self.done, self.total)

    def expired(self) -> bool:
        """Whether the time is up; remembered, so that the plan can say so."""
        self.timed_out = self.timed_out or self.seconds > self.limit
        return self.timed_out

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
