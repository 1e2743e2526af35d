"""Hypothesis strategies for nasty allocation instances.

Revenues are dyadic (small whole numbers times one power of two), so that every sum is exact in float64 and the tests
can ask for equality. Sizes and shapes are drawn by hypothesis, and shrink; the numbers come from a drawn seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

REVENUES = ("spread", "few", "constant", "zero", "signed", "negative", "alike", "dominant", "rare")
LIMITS = ("none", "risk", "mask", "bits", "both", "single")
CASES = ("under", "exact", "over")


@st.composite
def instances(
    draw: st.DrawFn,
    max_customers: int = 60,
    max_funds: int = 12,
    max_k: int = 4,
    feasible: bool | None = None,
    revenues: tuple[str, ...] = REVENUES,
    cases: tuple[str, ...] = CASES,
) -> dict[str, Any]:
    """Arguments of an `AllocationProblem`.

    `feasible`: True, some plan meets every constraint; False, none does; None, whatever comes. With None the quotas
    may be anything (zeros, more than there are customers), and customers may see fewer than k funds, or none.
    """
    n_customers = draw(st.integers(1, max_customers), label="customers")
    n_funds = draw(st.integers(1, max_funds), label="funds")
    k = draw(st.integers(1, min(max_k, n_funds)), label="k")
    rng = np.random.default_rng(draw(st.integers(0, 2**20), label="seed"))
    revenue = _revenue(rng, draw(st.sampled_from(revenues), label="revenue"), n_customers, n_funds)
    revenue = np.ldexp(revenue, draw(st.sampled_from([0, 0, -7, 30, -40]), label="exponent"))
    limits = draw(st.sampled_from(LIMITS), label="limits")
    out: dict[str, Any] = {"revenue": revenue.astype(np.float32), "k": k}
    _limit(out, rng, limits, n_customers, n_funds, k, whole=feasible is True)
    allowed = eligible_of(out)
    case = draw(st.sampled_from(cases), label="case")
    wild = feasible is None and draw(st.booleans(), label="wild quotas")
    quota = _wild_quota(rng, case, n_customers, n_funds, k) if wild else _planned_quota(rng, case, allowed, k)
    if feasible is False:
        # the first customer may see nothing, yet every slot is sold
        out["eligible"] = allowed & (np.arange(n_customers) > 0)[:, None]
        out.pop("tolerance", None), out.pop("risk", None)
        quota[int(rng.integers(n_funds))] += max(0, k * n_customers - int(quota.sum()))
    out["quota"] = quota
    return out


@st.composite
def general_instances(
    draw: st.DrawFn, max_customers: int = 60, max_funds: int = 12, max_k: int = 4, ranges: bool = True, **more: Any
) -> dict[str, Any]:
    """`instances` with slots of each customer's own, excluded pairs and, unless refused, quota ranges."""
    out = draw(instances(max_customers, max_funds, max_k, **{**more, "feasible": None}))
    feasible = more.get("feasible")
    n_customers, n_funds = out["revenue"].shape
    rng = np.random.default_rng(draw(st.integers(0, 2**20), label="seed of the rules"))
    if draw(st.booleans(), label="excluded"):
        count = int(rng.integers(0, 1 + n_customers * n_funds // 3))
        pairs = np.stack([rng.integers(0, n_customers, count), rng.integers(0, n_funds, count)], axis=1)
        out["excluded"] = pairs if draw(st.booleans(), label="as array") else [tuple(p) for p in pairs.tolist()]
    allowed = eligible_of(out)
    slots = np.full(n_customers, out["k"])
    if draw(st.booleans(), label="own slots"):
        slots = rng.integers(0, out["k"] + 1, n_customers)
    if feasible:
        slots = np.minimum(slots, allowed.sum(1))
    if not slots.any():
        allowed[0, 0], slots[0] = True, 1
        out["eligible"] = allowed
        for name in ("tolerance", "risk", "excluded"):
            out.pop(name, None)
    if (slots != out["k"]).any():
        out["k"] = slots
    case = draw(st.sampled_from(CASES), label="case of the rules")
    if feasible is not None or draw(st.booleans(), label="planned"):
        quota = _planned_quota(rng, case, allowed, slots)
    else:
        quota = _wild_quota(rng, case, n_customers, n_funds, 1)
    if feasible is False:
        quota = np.full(n_funds, n_customers + 1)
        out["quota"] = np.stack([quota, quota], axis=1)  # low ends above what there is
        return out
    out["quota"] = quota
    if ranges and draw(st.booleans(), label="ranges"):
        room = int(rng.choice([0, 1, 5, n_customers]))
        high = quota + (rng.integers(0, room + 1, n_funds) if case != "under" else 0)
        # of a plan that fills the slots, ranges around its exposures are met
        low = quota if case == "exact" else np.zeros_like(quota)
        if not feasible and draw(st.booleans(), label="tight"):
            low = quota
        out["quota"] = np.stack([np.maximum(low - rng.integers(0, room + 1, n_funds), 0), high], axis=1)
    return out


def eligible_of(arguments: dict[str, Any]) -> np.ndarray:
    """(U, F) bool from an instance's arguments, in plain NumPy."""
    n_customers, n_funds = arguments["revenue"].shape
    allowed = np.ones((n_customers, n_funds), bool)
    if arguments.get("tolerance") is not None:
        allowed &= np.asarray(arguments["tolerance"])[:, None] >= np.asarray(arguments["risk"])[None, :]
    mask = arguments.get("eligible")
    if mask is not None and mask.dtype == np.uint64:
        mask = (mask[:, None] >> np.arange(n_funds, dtype=np.uint64)) & np.uint64(1) == 1
    if mask is not None:
        allowed &= mask
    for u, f in arguments.get("excluded", ()):
        allowed[u, f] = False
    return allowed


def _revenue(rng: np.random.Generator, kind: str, n_customers: int, n_funds: int) -> np.ndarray:
    shape = (n_customers, n_funds)
    if kind == "spread":
        return rng.integers(0, 4096, shape).astype(float)
    if kind == "few":  # a model with bucketed outputs: ties everywhere
        return rng.integers(0, 3, shape).astype(float)
    if kind == "constant":
        return np.full(shape, 5.0)
    if kind == "zero":
        return np.zeros(shape)
    if kind == "signed":
        return rng.integers(-64, 65, shape).astype(float)
    if kind == "negative":
        return -rng.integers(1, 9, shape).astype(float)
    if kind == "alike":  # many identical rows
        return rng.integers(0, 100, (3, n_funds)).astype(float)[rng.integers(0, 3, n_customers)]
    if kind == "dominant":  # one customer outweighs all others together
        out = rng.integers(0, 16, shape).astype(float)
        out[rng.integers(n_customers)] *= 65536
        return out
    return np.where(rng.random(shape) < 0.1, rng.integers(1, 256, shape), 0).astype(float)  # rare


def _limit(
    out: dict[str, Any], rng: np.random.Generator, limits: str, n_customers: int, n_funds: int, k: int, whole: bool
) -> None:
    """Add tolerance, risk and mask; with `whole` every customer may see at least k funds."""
    if limits in ("risk", "both"):
        out["tolerance"] = rng.integers(1, 6, n_customers).astype(np.int8)
        out["risk"] = rng.integers(1, 6, n_funds).astype(np.int8)
        if whole:
            out["risk"][rng.permutation(n_funds)[:k]] = 1
    if limits in ("mask", "bits", "both", "single"):
        # "single": hardly anyone may see more than k funds
        mask = rng.random((n_customers, n_funds)) < (0.05 if limits == "single" else 0.6)
        if whole:
            for u in range(n_customers):
                safe = np.flatnonzero(out["risk"] == 1) if "risk" in out else np.arange(n_funds)
                mask[u, rng.permutation(safe)[:k]] = True
        if limits == "bits":
            out["eligible"] = (mask.astype(np.uint64) << np.arange(n_funds, dtype=np.uint64)).sum(1, dtype=np.uint64)
        else:
            out["eligible"] = mask


def _planned_quota(rng: np.random.Generator, case: str, allowed: np.ndarray, k: int | np.ndarray) -> np.ndarray:
    """Quotas that some plan delivers: those of a random plan (where every customer may see k funds)."""
    n_customers, n_funds = allowed.shape
    taste = rng.random(n_funds) ** 3  # a few funds get most, some none
    noise = np.where(allowed, rng.random((n_customers, n_funds)) * taste, -1)
    rank = np.argsort(np.argsort(-noise, axis=1), axis=1)
    plan = allowed & (rank < np.reshape(k, (-1, 1)))
    if case == "under":
        plan &= rng.random(plan.shape) < rng.choice([0.0, 0.3, 0.9])
    quota = plan.sum(0).astype(np.int64)
    if case == "over":
        quota += rng.integers(0, max(2, n_customers // 2), n_funds)
        quota[rng.integers(n_funds)] += 1
    return quota


def _wild_quota(rng: np.random.Generator, case: str, n_customers: int, n_funds: int, k: int) -> np.ndarray:
    share = rng.random(n_funds) ** 2 * (rng.random(n_funds) < 0.7)
    share = share / max(share.sum(), 1e-9)
    scale = {"under": rng.random(), "exact": 1.0, "over": 1 + 2 * rng.random()}[case]
    quota = np.floor(share * scale * k * n_customers).astype(np.int64)
    if case != "under":
        quota[rng.integers(n_funds)] += max(0, k * n_customers - int(quota.sum()))
    return quota
