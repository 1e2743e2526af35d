"""Compare the plans of this checkout with those of another revision, on random instances of every kind.

    python scripts/differential.py REVISION [--instances 2000] [--seed 0] [--python /other/venv/bin/python]

The other revision is checked out into a folder of its own and run by an interpreter that has what it needs. Status,
objective and bound must be equal; which of several best plans comes out, with what exposures where quotas leave a
choice, may differ and is only counted. The
exit code is 1 where anything else differs, and each such instance is printed with its number, which makes it again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: What tells plans of the same worth apart.
ALIKE = {"plan", "exposures"}
METHODS = ("optimal", "heuristic", "manual", "topk")


def instance(seed: int, number: int) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """The arguments of a problem, a method and its options: the same for the same two numbers."""
    import numpy as np

    rng = np.random.default_rng([seed, number])
    large = number % 50 == 49
    funds = int(rng.integers(1, 9)) if large else int(np.exp(rng.uniform(0, np.log(40 if number % 10 else 300))))
    customers = int(np.exp(rng.uniform(np.log(20_000), np.log(60_000)))) if large else int(np.exp(rng.uniform(0, 7)))
    k = int(rng.integers(1, min(funds, 5) + 1))
    shape = (customers, funds)
    kind = rng.choice(["lognormal", "digits", "few", "signed", "product", "wide", "constant", "centred", "tiny"])
    if kind in ("digits", "few"):
        revenue = rng.integers(0, 10 if kind == "digits" else 3, shape).astype(float)
    elif kind == "product":
        revenue = rng.lognormal(0, 1, (customers, 1)) * rng.lognormal(0, 0.5, (1, funds))
    elif kind == "constant":
        revenue = np.full(shape, rng.lognormal())
    else:
        revenue = rng.lognormal(0, 8 if kind == "wide" else 1, shape)
        if kind == "signed":
            revenue *= rng.choice([-1, 1], shape)
        if kind == "centred":
            revenue += rng.lognormal(8, 2, (customers, 1))
        if kind == "tiny":
            revenue *= 2.0**-100
    out: dict[str, Any] = {"revenue": revenue.astype(np.float32), "k": k}
    allowed = np.ones(shape, bool)
    if rng.random() < 0.6:
        out["tolerance"], out["risk"] = rng.integers(1, 6, customers), rng.integers(1, 6, funds)
        allowed &= out["tolerance"][:, None] >= out["risk"]
    if rng.random() < 0.3:
        out["eligible"] = rng.random(shape) < rng.uniform(0.3, 1)
        allowed &= out["eligible"]
    slots = np.full(customers, k)
    if rng.random() < 0.3:
        slots = rng.integers(0, k + 1, customers)
        slots[0] = k
        out["k"] = slots
    order = np.argsort(np.where(allowed, rng.random(shape), 2), axis=1)[:, :k]
    held = np.take_along_axis(allowed, order, 1) & (np.arange(k) < slots[:, None])
    quota = np.bincount(order[held], minlength=funds)
    case = rng.choice(["as it is", "under", "over", "wild"])
    if case == "under":
        quota = (quota * rng.uniform(0.2, 1, funds)).astype(int)
    elif case == "over":
        quota = quota + rng.integers(0, 1 + customers // 4, funds)
    elif case == "wild":
        quota = rng.integers(0, 1 + 2 * customers * k // funds, funds)
    if rng.random() < 0.25:
        quota = np.stack([(quota * rng.uniform(0, 1, funds)).astype(int), quota + rng.integers(0, 9, funds)], axis=1)
    out["quota"] = quota
    method = METHODS[0] if rng.random() < 0.8 else str(rng.choice(METHODS[1:]))
    return out, method, {"on_infeasible": "relax"} if method in METHODS[:2] else {}


def answers(seed: int, numbers: range) -> Iterator[dict[str, Any]]:
    """What this very package says to the instances."""
    import numpy as np

    import ptofa_gpu

    warnings.simplefilter("ignore")
    for number in numbers:
        arguments, method, options = instance(seed, number)
        said: dict[str, Any] = {"number": number, "method": method, "shape": arguments["revenue"].shape}
        try:
            plan = ptofa_gpu.allocate(ptofa_gpu.AllocationProblem(**arguments), method, device="cpu", **options)
            plan.verify()
            said.update(status=plan.status, objective=repr(plan.objective), bound=repr(float(plan.bound)))
            said["exposures"] = np.asarray(plan.exposures).tolist()
            said["plan"] = hashlib.sha256(np.ascontiguousarray(plan.funds, np.int64)).hexdigest()[:12]
        except Exception as e:  # an answer as well: the other one must give it, too
            said["error"] = type(e).__name__
        yield said


def run(checkout: Path, python: str, seed: int, count: int) -> list[dict[str, Any]]:
    """The answers of a checkout, by an interpreter."""
    command = [python, str(Path(__file__).resolve()), "--answer", str(count), "--seed", str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> int:
    """Print what differs; how many instances that is."""
    found: Counter[str] = Counter()
    for mine, other in zip(ours, theirs, strict=True):
        different = [key for key in mine.keys() | other.keys() if mine.get(key) != other.get(key)]
        found["same plan" if not different else "another plan as good" if set(different) <= ALIKE else "different"] += 1
        found[str(mine.get("status", mine.get("error")))] += 1
        if not set(different) <= ALIKE:
            print(json.dumps({"now": mine, "before": other, "differs": sorted(different)}))
    print(", ".join(f"{count:,} {word}" for word, count in sorted(found.items())))
    return found["different"]


def main() -> None:
    """The command line."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("revision", nargs="?", help="a commit, or the folder of a checkout")
    asked.add_argument("--instances", type=int, default=2000)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--python", default=sys.executable, help="the interpreter that runs the other revision")
    asked.add_argument("--answer", type=int, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.answer is not None:
        for said in answers(given.seed, range(given.answer)):
            print(json.dumps(said), flush=True)
        return
    if not given.revision:
        asked.error("which revision?")
    with tempfile.TemporaryDirectory() as place:
        other = Path(given.revision)
        if not other.is_dir():
            other = Path(place, "other")
            git = ["git", "-C", str(ROOT), "worktree"]
            subprocess.run([*git, "add", "--detach", str(other), given.revision], check=True, capture_output=True)
        try:
            if (other / "scripts" / "build_engine.py").exists():
                subprocess.run([given.python, "scripts/build_engine.py"], cwd=other, check=True)
            theirs = run(other, given.python, given.seed, given.instances)
            ours = run(ROOT, sys.executable, given.seed, given.instances)
        finally:
            if not Path(given.revision).is_dir():
                subprocess.run([*git, "remove", "--force", str(other)], check=False)
    sys.exit(1 if compare(ours, theirs) else 0)


if __name__ == "__main__":
    main()
