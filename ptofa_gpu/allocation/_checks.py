"""The checks an allocation problem goes through on the way in, one a function; each error names the place."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu._arguments import is_masked
from ptofa_gpu._id_arrays import as_ids, check_ids
from ptofa_gpu.allocation.blocks import RevenueBlocks, are_blocks, as_given, read_given
from ptofa_gpu.allocation.memory import require_memory
from ptofa_gpu.device import to_device
from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem

MAX_FUNDS = 1 << 14  # fund indices are kept as int16


def check_revenue(revenue: Any) -> tuple[list[Any], RevenueBlocks]:
    """The arrays E is made of as they were given, and E by blocks, float32 on its own device or in its file."""
    if isinstance(revenue, RevenueBlocks):
        given: list[Any] = []
        blocks = revenue
    else:
        _refuse_copies(revenue)
        given, blocks = read_given(revenue)
    n_funds = blocks.shape[1]
    if n_funds > MAX_FUNDS:
        raise InputError(f"revenue has {n_funds:,} funds (columns); at most {MAX_FUNDS:,} are supported.")
    return given, blocks


def without_mask(revenue: Any) -> tuple[Any, np.ndarray | None]:
    """E without the mask of a masked array, and (U, F) bool, where it masks; None where nothing is masked."""
    parts = revenue if are_blocks(revenue) else [revenue]
    if not any(is_masked(x) for x in parts):
        return revenue, None
    plain, masks = [], []
    for i, x in enumerate(parts):
        masked = is_masked(x)
        plain.append(np.ma.getdata(x) if masked else as_given(x, f"revenue[{i}]"))
        masks.append(np.ma.getmaskarray(x) if masked else np.zeros(plain[-1].shape, bool))
    if any(m.ndim != 2 for m in masks) or len({m.shape[-1] for m in masks}) > 1:
        return plain if are_blocks(revenue) else plain[0], None  # refused for its shape
    return (plain if are_blocks(revenue) else plain[0]), np.concatenate(masks)


def _refuse_copies(revenue: Any) -> None:
    """An error where making E contiguous float32 takes more memory than there is; what lies in files stays there."""
    wanted = 0
    for x in revenue if are_blocks(revenue) else [revenue]:
        if not isinstance(x, np.ndarray) or isinstance(x, np.memmap):
            continue
        if x.dtype != np.float32 or not x.flags.c_contiguous or not x.flags.aligned:
            wanted += 4 * x.size
    if wanted:
        advice = "Give it as contiguous float32, as a list of row blocks, or as the path of a .npy file."
        require_memory(wanted, "a float32 copy of revenue", advice)


def raise_not_finite(problem: AllocationProblem) -> None:
    """The error that says how many values are wrong, in how many rows, and where the first one is."""
    values = rows = 0
    first: tuple[int, int] | None = None
    for lo, hi, block in problem.host_blocks():
        bad = ~np.isfinite(block) & problem.eligible_rows(lo, hi)
        values += int(bad.sum())
        rows += int(bad.any(1).sum())
        if first is None and values:
            u, f = np.argwhere(bad)[0]
            first = lo + int(u), int(f)
    where = "" if first is None else f"; the first is at customer row {first[0]}, fund column {first[1]}"
    raise InputError(
        f"revenue holds {_of(values, 'value')} that {'is' if values == 1 else 'are'} NaN, infinite or beyond "
        f"float32, in {_of(rows, 'row')}{where}. Give every pair that may be shown a finite number; exclude the others "
        "with `eligible` or `excluded`."
    )


def check_quota(
    quota: Any, n_funds: int, names: Sequence[str], audience: Callable[[], np.ndarray]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Quotas as int64, and the low ends where ranges were given; an open high end is the fund's `audience`."""
    raw = numbers(quota, "quota")
    if raw.shape not in ((n_funds,), (n_funds, 2)):
        raise InputError(
            f"quota has shape {raw.shape}; one number for each of the {n_funds} funds needs ({n_funds},), ranges [low, "
            f"high] need ({n_funds}, 2)."
        )
    ranges = raw.ndim == 2

    def name(f: Any) -> str:
        return str(f) if names[f] == f"fund {f}" else repr(names[f])

    if raw.dtype == object:
        raw = _whole_objects(raw, ranges)
    if raw.dtype.kind not in "iuf":
        raise InputError(f"quota has dtype {raw.dtype}; it needs whole numbers of exposures.")
    is_open = np.zeros(n_funds, bool)
    if ranges and raw.dtype.kind == "f":
        is_open = np.isnan(raw[:, 1]) | (raw[:, 1] == np.inf)
        raw = np.column_stack([np.where(np.isnan(raw[:, 0]), 0, raw[:, 0]), np.where(is_open, 0, raw[:, 1])])
    if raw.dtype.kind == "f":
        for f, *at in np.argwhere(~np.isfinite(raw) | (raw != np.floor(raw))):
            raise InputError(f"quota of fund {name(f)} is {raw[f, *at]}; exposures are whole numbers. Round it first.")
    for f, *at in np.argwhere(raw < 0):
        raise InputError(f"quota of fund {name(f)} is {raw[f, *at]}; a quota cannot be negative.")
    high = raw[:, 1].copy() if ranges else raw
    if is_open.any():
        high[is_open] = np.maximum(audience()[is_open], raw[is_open, 0])
    if sum(int(d) for d in high) >= 1 << 62:
        raise InputError(f"the quotas sum to {sum(int(d) for d in high):,}, more than any number of customers can be.")
    if not ranges:
        return raw.astype(np.int64), None
    for f in np.flatnonzero(raw[:, 0] > high):
        raise InputError(
            f"quota of fund {name(f)} ranges from {int(raw[f, 0]):,} to {int(high[f]):,}; its low end cannot be "
            "above its high end."
        )
    return high.astype(np.int64), raw[:, 0].astype(np.int64)


def _whole_objects(raw: np.ndarray, ranges: bool) -> np.ndarray:
    """Python numbers, and None for the open end of a range, as float64 or int64."""
    if ranges and any(x is None for x in raw.flat):
        raw = np.array([[np.nan if x is None else x for x in row] for row in raw], object)
    real = all(isinstance(x, (int, float, np.integer, np.floating)) and not isinstance(x, bool) for x in raw.flat)
    if not real:
        return raw
    try:
        return raw.astype(np.int64 if all(isinstance(x, (int, np.integer)) for x in raw.flat) else np.float64)
    except OverflowError as e:
        raise InputError(f"quota holds a number beyond 64 bits: {e}.") from e


def numbers(values: Any, what: str) -> np.ndarray:
    try:
        raw = np.asarray(to_device(values, "cpu"))
    except (TypeError, ValueError, OverflowError) as e:
        raise InputError(f"{what} cannot be read as an array of numbers: {e}") from e
    if is_masked(values) and np.ma.getmaskarray(values).any():
        raise InputError(f"{what} is a masked array with masked entries; give every entry a value.")
    return raw


def check_k(k: Any, n_customers: int, n_funds: int) -> tuple[int, np.ndarray | None]:
    """K as an int within 1..F, the largest of all customers, and (U,) int8 where they differ."""
    try:
        value = operator.index(k)
        if isinstance(k, (bool, np.bool_)):
            raise InputError(f"k is {k!r}; it needs one whole number of slots, or one for each customer.")
    except TypeError:
        return _check_each_k(k, n_customers, n_funds)
    if not 1 <= value <= n_funds:
        raise InputError(f"k is {value}; with {_of(n_funds, 'fund')} it must lie between 1 and {n_funds}.")
    return value, None


def _check_each_k(k: Any, n_customers: int, n_funds: int) -> tuple[int, np.ndarray | None]:
    raw = numbers(k, "k")
    if raw.ndim == 0 or raw.dtype.kind not in "iuf":
        shown = repr(k) if raw.ndim == 0 else f"an array of dtype {raw.dtype}"
        raise InputError(f"k is {shown}; it needs one whole number of slots, or one for each customer.")
    if raw.shape != (n_customers,):
        raise InputError(f"k has shape {raw.shape}; one number of slots for each customer needs ({n_customers},).")
    most = min(n_funds, 127)  # kept as int8
    bad = np.flatnonzero(~((raw >= 0) & (raw <= most) & (raw == np.floor(raw))))
    if bad.size:
        raise InputError(
            f"k of {_of(bad.size, 'customer')} is not a whole number in 0..{most}; the first is {raw[bad[0]]} of "
            f"customer row {bad[0]}."
        )
    largest = int(raw.max())
    if largest == 0:
        raise InputError("k is 0 for every customer: there is no slot to fill.")
    return largest, None if int(raw.min()) == largest else raw.astype(np.int8)


def _of(n: int, what: str) -> str:
    """'1 fund', '2 funds'."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def check_names(names: Any, n_funds: int) -> list[str]:
    """F names, no two alike; made up when none are given."""
    if names is None:
        return [f"fund {f}" for f in range(n_funds)]
    plain = isinstance(names, list) and all(type(n) is str for n in names)
    if plain and len(names) == len(set(names)) == n_funds:
        return list(names)  # without a column made of them, for which pandas would be imported
    given = as_ids(names, "names")
    if len(given) != n_funds:
        raise InputError(f"names has {len(given):,} entries; the revenue has {n_funds} funds.")
    return check_ids(given, n_funds, "names").texts()


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
    raw = numbers(values, what)
    if raw.shape != (n,):
        raise InputError(f"{what} has shape {raw.shape}; one level for each of the {n:,} {of} needs ({n},).")
    if raw.dtype.kind not in "iuf":
        raise InputError(f"{what} has dtype {raw.dtype}; it needs whole numbers.")
    if raw.dtype == np.int8:
        return raw.copy()
    if raw.dtype.kind in "iu" and raw.size and raw.min() >= -128 and raw.max() <= 127:
        return raw.astype(np.int8)
    bad = np.flatnonzero(~((raw >= -128) & (raw <= 127) & (raw == np.floor(raw))))
    if bad.size:
        raise InputError(
            f"{what} of {bad.size:,} {of} is not a whole number in -128..127; the first is {raw[bad[0]]} at {bad[0]}."
        )
    return raw.astype(np.int8)


def pack_eligible(eligible: Any, n_customers: int, n_funds: int) -> np.ndarray | None:
    """Eligibility as (U, ceil(F / 64)) uint64 words; None when nothing is excluded."""
    return None if eligible is None else pack(eligible, n_customers, n_funds)


def pack(eligible: Any, n_customers: int, n_funds: int) -> np.ndarray:
    """Eligibility, in any form a problem takes, as (U, ceil(F / 64)) uint64 words."""
    raw = numbers(eligible, "eligible")
    words = (n_funds + 63) // 64
    if raw.dtype == np.uint64 and raw.shape == (n_customers,) and n_funds <= 64:
        return raw[:, None].copy()
    if raw.dtype == np.uint64 and raw.shape == (n_customers, words) and n_funds > 1:
        return raw.copy()
    if raw.shape != (n_customers, n_funds):
        raise InputError(
            f"eligible has shape {raw.shape} and dtype {raw.dtype}; it needs ({n_customers}, {n_funds}) bool, or "
            f"uint64 bit masks of shape ({n_customers}, {words})" + (f" or ({n_customers},)." if words == 1 else ".")
        )
    if raw.dtype != np.bool_ and not (raw.dtype.kind in "iu" and raw.size and raw.min() >= 0 and raw.max() <= 1):
        raise InputError(f"eligible has dtype {raw.dtype}; it needs bool (True where the fund may be shown).")
    packed = np.zeros((n_customers, words * 8), np.uint8)
    block = 1 << 18
    for lo in range(0, n_customers, block):
        bits = np.packbits(raw[lo : lo + block].astype(bool, copy=False), axis=1, bitorder="little")
        packed[lo : lo + block, : bits.shape[1]] = bits
    return packed.view("<u8").astype(np.uint64, copy=False)


def exclude_pairs(mask: np.ndarray | None, excluded: Any, n_customers: int, n_funds: int) -> np.ndarray | None:
    """`mask` without the pairs `excluded`, (n, 2) integers: customer row and fund index."""
    if excluded is None:
        return mask
    raw = numbers(excluded, "excluded")
    if raw.size == 0 and raw.shape in ((0,), (0, 2)):
        return mask
    if raw.ndim != 2 or raw.shape[1] != 2:
        raise InputError(f"excluded has shape {raw.shape}; pairs (customer row, fund index) need (n, 2).")
    if raw.dtype.kind not in "iu":
        raise InputError(f"excluded has dtype {raw.dtype}; pairs (customer row, fund index) need whole numbers.")
    for column, what, n in ((0, "customer row", n_customers), (1, "fund index", n_funds)):
        bad = np.flatnonzero((raw[:, column] < 0) | (raw[:, column] >= n))
        if bad.size:
            raise InputError(
                f"excluded names a {what} outside 0..{n - 1} in {_of(bad.size, 'pair')}; the first is "
                f"{raw[bad[0], column]}, in pair {bad[0]}."
            )
    if mask is None:
        fund = np.arange(n_funds)
        whole = np.zeros((n_funds + 63) // 64, np.uint64)
        np.bitwise_or.at(whole, fund >> 6, np.uint64(1) << (fund & 63).astype(np.uint64))
        out = np.tile(whole, (n_customers, 1))
    else:
        out = mask
    row, fund = raw[:, 0].astype(np.int64), raw[:, 1].astype(np.int64)
    np.bitwise_and.at(out, (row, fund >> 6), ~(np.uint64(1) << (fund & 63).astype(np.uint64)))
    return out
