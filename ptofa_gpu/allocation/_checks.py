"""The checks an allocation problem goes through on the way in, one a function; each error names the place."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ptofa_gpu.allocation.blocks import RevenueBlocks, are_blocks, read_blocks
from ptofa_gpu.allocation.memory import require_memory
from ptofa_gpu.device import to_device
from ptofa_gpu.errors import InputError

MAX_FUNDS = 1 << 14  # fund indices are kept as int16


def check_revenue(revenue: Any) -> tuple[RevenueBlocks, float]:
    """E by blocks, float32 on its own device or in its file, and max |E|."""
    _refuse_copies(revenue)
    blocks = read_blocks(revenue)
    n_funds = blocks.shape[1]
    if n_funds > MAX_FUNDS:
        raise InputError(f"revenue has {n_funds:,} funds (columns); at most {MAX_FUNDS:,} are supported.")
    from ptofa_gpu.ops.sums import abs_max

    largest = 0.0
    for _, _, block in blocks.iterate():
        # NaN and inf survive a maximum
        top = abs_max(block) if isinstance(block, np.ndarray) else float(abs(block).max())
        if not np.isfinite(top):
            _raise_not_finite(blocks)
        largest = max(largest, top)
    return blocks, largest


def _refuse_copies(revenue: Any) -> None:
    """An error where making E contiguous float32 takes more memory than there is; what lies in files stays there."""
    wanted = 0
    for x in revenue if are_blocks(revenue) else [revenue]:
        plain = getattr(x, "dtype", None) == np.float32 and getattr(getattr(x, "flags", None), "c_contiguous", True)
        if isinstance(x, np.ndarray) and not isinstance(x, np.memmap) and not plain:
            wanted += 4 * x.size
    if wanted:
        advice = "Give it as contiguous float32, as a list of row blocks, or as the path of a .npy file."
        require_memory(wanted, "a float32 copy of revenue", advice)


def _raise_not_finite(blocks: RevenueBlocks) -> None:
    """The error that says how many values are wrong, in how many rows, and where the first one is."""
    values = rows = 0
    first: tuple[int, int] | None = None
    for lo, _, block in blocks.on("cpu").iterate(blocks.default_rows):
        bad = ~np.isfinite(block)
        values += int(bad.sum())
        rows += int(bad.any(1).sum())
        if first is None and values:
            u, f = np.argwhere(bad)[0]
            first = lo + int(u), int(f)
    if first is not None:
        raise InputError(
            f"revenue holds {values:,} value(s) that are NaN, infinite or beyond float32, in {rows:,} row(s); the "
            f"first is at customer row {first[0]}, fund column {first[1]}. Give every pair a finite number; exclude "
            "pairs with `eligible`."
        )


def check_quota(quota: Any, n_funds: int, names: Sequence[str] | None) -> np.ndarray:
    """Quotas as int64."""
    raw = to_device(quota, "cpu")
    if raw.ndim != 1 or raw.shape[0] != n_funds:
        raise InputError(f"quota has shape {raw.shape}; one number for each of the {n_funds} funds needs ({n_funds},).")
    if raw.dtype.kind not in "iuf":
        raise InputError(f"quota has dtype {raw.dtype}; it needs whole numbers of exposures.")

    def name(f: Any) -> str:
        return repr(str(names[f])) if names is not None and f < len(names) else f"{f}"

    if raw.dtype.kind == "f":
        for f in np.flatnonzero(~np.isfinite(raw) | (raw != np.floor(raw))):
            raise InputError(f"quota of fund {name(f)} is {raw[f]}; exposures are whole numbers. Round it first.")
    for f in np.flatnonzero(raw < 0):
        raise InputError(f"quota of fund {name(f)} is {raw[f]}; a quota cannot be negative.")
    if sum(int(d) for d in raw) >= 1 << 62:
        raise InputError(f"the quotas sum to {sum(int(d) for d in raw):,}, more than any number of customers can be.")
    return raw.astype(np.int64)


def check_k(k: Any, n_funds: int) -> int:
    """K as an int within 1..F."""
    try:
        value = operator.index(k)
    except TypeError:
        raise InputError(f"k is {k!r}; it needs one whole number of slots per customer.") from None
    if not 1 <= value <= n_funds:
        raise InputError(f"k is {value}; with {n_funds} fund(s) it must lie between 1 and {n_funds}.")
    return value


def check_names(names: Sequence[str] | None, n_funds: int) -> list[str]:
    """F names; made up when none are given."""
    if names is None:
        return [f"fund {f}" for f in range(n_funds)]
    out = [str(n) for n in names]
    if len(out) != n_funds:
        raise InputError(f"names has {len(out)} entries; the revenue has {n_funds} funds.")
    return out


def check_levels(tolerance: Any, risk: Any, n_customers: int, n_funds: int) -> tuple[np.ndarray, np.ndarray]:
    """Tolerance (U,) and risk (F,) as int8; zeros when there are no risk limits."""
    if (tolerance is None) != (risk is None):
        there, absent = ("risk", "tolerance") if tolerance is None else ("tolerance", "risk")
        raise InputError(f"{there} was given without {absent}: risk limits need both (or neither).")
    if tolerance is None:
        return np.zeros(n_customers, np.int8), np.zeros(n_funds, np.int8)
    return (
        _level(tolerance, n_customers, "tolerance", "customers"),
        _level(risk, n_funds, "risk", "funds"),
    )


def _level(values: Any, n: int, what: str, of: str) -> np.ndarray:
    raw = to_device(values, "cpu")
    if raw.shape != (n,):
        raise InputError(f"{what} has shape {raw.shape}; one level for each of the {n:,} {of} needs ({n},).")
    if raw.dtype.kind not in "iuf":
        raise InputError(f"{what} has dtype {raw.dtype}; it needs whole numbers.")
    if raw.dtype == np.int8:
        return np.ascontiguousarray(raw)
    bad = np.flatnonzero(~((raw >= -128) & (raw <= 127) & (raw == np.floor(raw))))
    if bad.size:
        raise InputError(
            f"{what} of {bad.size:,} {of} is not a whole number in -128..127; the first is {raw[bad[0]]} at {bad[0]}."
        )
    return raw.astype(np.int8)


def pack_eligible(eligible: Any, n_customers: int, n_funds: int) -> np.ndarray | None:
    """Eligibility as (U, ceil(F / 64)) uint64 words; None when nothing is excluded."""
    if eligible is None:
        return None
    raw = to_device(eligible, "cpu")
    words = (n_funds + 63) // 64
    if raw.dtype == np.uint64 and raw.shape == (n_customers,) and n_funds <= 64:
        return np.ascontiguousarray(raw[:, None])
    if raw.shape != (n_customers, n_funds):
        raise InputError(
            f"eligible has shape {raw.shape} and dtype {raw.dtype}; it needs ({n_customers}, {n_funds}) bool, or "
            f"({n_customers},) uint64 bit masks where there are at most 64 funds."
        )
    if raw.dtype != np.bool_ and not (raw.dtype.kind in "iu" and raw.size and raw.min() >= 0 and raw.max() <= 1):
        raise InputError(f"eligible has dtype {raw.dtype}; it needs bool (True where the fund may be shown).")
    packed = np.zeros((n_customers, words * 8), np.uint8)
    block = 1 << 18
    for lo in range(0, n_customers, block):
        bits = np.packbits(raw[lo : lo + block].astype(bool, copy=False), axis=1, bitorder="little")
        packed[lo : lo + block, : bits.shape[1]] = bits
    return packed.view("<u8").astype(np.uint64, copy=False)
