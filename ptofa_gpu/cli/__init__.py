"""The `ptofa` command, one file a subcommand. Each imports what it needs when it runs: `--help` answers at once.

Exit codes: 0 done, 1 something failed (a missing package, a device, a notebook, a full disk), 2 bad input or usage,
3 no plan can meet the constraints, 130 interrupted (143 after SIGTERM, 129 after SIGHUP).
"""

from __future__ import annotations

from typing import Any

from ptofa_gpu.cli._main import main

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    """`app` is made when it is asked for: `main` listens for signals before it imports anything that takes long."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ptofa_gpu.cli._app import app

    return app
