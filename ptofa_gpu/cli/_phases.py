"""How long the parts of a command took, for whoever wonders where the time went."""

from __future__ import annotations

import time


class Phases:
    """Seconds of each phase of a command; each begins where the one before it ended, so they add up to the total.

    Examples
    --------
    >>> phases = Phases()
    >>> phases.done("read")
    >>> list(phases.seconds()), phases.seconds()["read"] == phases.seconds()["total"]
    (['read', 'total'], True)
    """

    def __init__(self) -> None:
        self._marks: list[tuple[str, float]] = [("", time.perf_counter())]

    def done(self, name: str) -> None:
        """Say that the phase `name` is done; what comes now belongs to the next."""
        self._marks.append((name, time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Seconds by phase, and of all of them (``total``), to a tenth of a millisecond."""
        spans = {name: end - start for (_, start), (name, end) in zip(self._marks, self._marks[1:])}
        return {name: round(s, 4) for name, s in {**spans, "total": sum(spans.values())}.items()}

    def __str__(self) -> str:
        parts = self.seconds()
        total = parts.pop("total")
        return ", ".join(f"{name} {s:.2f} s" for name, s in parts.items()) + f"; {total:.2f} s in all"
