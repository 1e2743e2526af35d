"""What all tests share: few threads, and tests that need a GPU skipped by name where there is none."""

from __future__ import annotations

import gc
import os

# before NumPy or torch start their pools: the tests run side by side on small machines
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "2")
# a second thread of each would wait for a core more than it works; tests that are about threads ask for them
os.environ.setdefault("PTOFA_NUM_THREADS", "1")

import pytest  # noqa: E402


def pytest_sessionfinish() -> None:
    """Let go of what tests left, before plugins import more for the summary.

    A finalizer that runs while Python 3.11 parses a module can upset its parser ("AST constructor recursion depth
    mismatch"), and a run that passed then ends in an error.
    """
    gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu`, with the reason, unless a GPU answered."""
    wanting = [item for item in items if item.get_closest_marker("gpu")]
    if not wanting:
        return
    from ptofa_gpu.device import probe_gpu

    gpu = probe_gpu()
    if not gpu.usable:
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason=f"needs a usable NVIDIA GPU: {gpu.reason}"))
