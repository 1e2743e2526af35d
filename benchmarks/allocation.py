"""Allocators side by side on the same instances: `ptofa bench allocation`, for a checkout that is not installed.

    python benchmarks/allocation.py --sizes 20000x8 200000x8 --methods optimal heuristic ortools-flow

results/allocation.csv holds what an earlier form of this benchmark measured; newer results are in files beside it, one
a machine.
"""

from __future__ import annotations

import sys

from ptofa_gpu.cli import main

if __name__ == "__main__":
    main(["bench", "allocation", *sys.argv[1:]])
