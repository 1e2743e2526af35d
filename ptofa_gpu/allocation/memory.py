"""How much memory an allocation needs and may have; what does not fit is refused before anything is allocated."""

from __future__ import annotations

import operator
import os
import re
from pathlib import Path
from typing import Any

from ptofa_gpu.allocation.blocks import ROUND_ROWS, ArrayRows, RevenueBlocks
from ptofa_gpu.device import DeviceName, free_memory
from ptofa_gpu.errors import InputError, OutOfMemoryError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12} | {
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([kmgt]?i?)b?\s*", re.IGNORECASE)


#: Bytes that `optimal` takes for each pair of funds, and for each pair of a fund and a customer who takes part in the
#: first exchange, as measured; and bytes that an allocation may take in any case, which are not counted.
FUND_PAIR, PAIR, UNCOUNTED = 60, 30, 4 << 20
#: Customers in the first working set of an exchange: at least so many, and so many a fund.
FIRST_CUSTOMERS, EACH_FUND = 8192, 16
#: Bytes that a later working set may take, unless one of that size gets nowhere; and what it takes for each slot of a
#: customer beside their revenue. They are not counted.
WORKING_SET, SLOT = 192 << 20, 48


def customer_bytes(k: int) -> int:
    """Bytes a customer that any allocator needs beyond E: keys, picks, the plan, and what is looked at on the way."""
    return 40 + 8 * k


def working_set_rows(n_funds: int, k: int) -> int:
    """Customers that the working set of an exchange may hold, unless one of that size gets nowhere."""
    return WORKING_SET // (4 * n_funds + SLOT * k)


def exchange_bytes(n_customers: int, n_funds: int) -> int:
    """Bytes that an exact exchange takes for pairs of funds and for its customers, beyond what is not counted."""
    rows = min(n_customers, max(FIRST_CUSTOMERS, EACH_FUND * n_funds))
    return max(0, PAIR * rows * n_funds + FUND_PAIR * (n_funds + 1) ** 2 - UNCOUNTED)


def parse_bytes(size: Any) -> int:
    """Bytes from a number, or from text such as "2 GiB", "500 MB" or "1e9"."""
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if found and found[2].lower() in _UNITS:
        value = int(float(found[1]) * _UNITS[found[2].lower()])
    else:
        try:
            value = -1 if isinstance(size, bool) else operator.index(size)
        except TypeError:
            raise InputError(
                f"max_memory is {size!r}; it needs a whole number of bytes, or text such as '2 GiB'."
            ) from None
    if value <= 0:
        raise InputError(f"max_memory is {size!r}; it needs more than 0 bytes.")
    return value


def check_rows(block_rows: Any) -> int | None:
    """`block_rows` as an int of at least 1."""
    if block_rows is None:
        return None
    try:
        value = operator.index(block_rows)
    except TypeError:
        value = 0
    if value < 1 or isinstance(block_rows, bool):
        raise InputError(f"block_rows is {block_rows!r}; it needs a whole number of customers, at least 1.")
    return value


def in_words(size: float) -> str:
    """1,234,567 bytes (1.2 MiB)."""
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{int(size):,} bytes" + ("" if unit == "bytes" else f" ({value:.1f} {unit})")


# -- what there is ---------------------------------------------------------------------------------------------------
def available_memory(device: DeviceName = "cpu") -> int:
    """Bytes that this process can still have: of the machine, its control group and its own limits; or of the GPU."""
    if device == "cuda":
        return free_memory()
    found = [_machine(), _control_groups(), _own_limit()]
    return min((n for n in found if n is not None), default=1 << 62)


def _machine() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:  # no Linux
        return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES"))
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _control_groups() -> int | None:
    """What the tightest of the groups that this process is in leaves; cached file pages count as free."""
    least: int | None = None
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, kinds, inside = line.split(":", 2)
        if kinds not in ("", "memory"):
            continue
        top = root / kinds
        limit, usage = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
        group = top / inside.lstrip("/")
        for folder in [group, *group.parents]:
            try:
                left = int((folder / limit).read_text()) - int((folder / usage).read_text())
                cached = re.findall(r"^(?:in)?active_file (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
            except (OSError, ValueError):  # not there, or "max": no limit
                pass
            else:
                left = max(0, left + sum(map(int, cached)))
                least = left if least is None else min(least, left)
            if folder == top:
                break
    return least


def _own_limit() -> int | None:
    """What `ulimit -v` leaves."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return None
    return None if limit == resource.RLIM_INFINITY else max(0, limit - used)


# -- what is needed --------------------------------------------------------------------------------------------------
def require_memory(needed: int, what: str, advice: str, max_memory: Any = None) -> None:
    """`OutOfMemoryError` when `needed` bytes for `what` cannot be had on the host, or are not allowed."""
    there, source = _limit("cpu", max_memory)
    if needed > there:
        raise OutOfMemoryError(f"{what} needs {in_words(needed)}; {in_words(there)} {source}. {advice}")


def _limit(device: DeviceName, max_memory: Any) -> tuple[int, str]:
    """Bytes that may be taken, and what says so."""
    there = available_memory(device)
    if max_memory is not None and (allowed := parse_bytes(max_memory)) <= there:
        return allowed, "are allowed by max_memory"
    return there, "of GPU memory are free" if device == "cuda" else "of memory can be had"


def fit_blocks(
    revenue: RevenueBlocks,
    k: int,
    device: DeviceName,
    block_rows: Any = None,
    max_memory: Any = None,
    *,
    words: int = 0,
    on_host: int = 0,
) -> RevenueBlocks:
    """E on `device`, in blocks so small that an allocator keeps within `max_memory` and what there is.

    Where E lies on the device already its blocks are views of it. From the other device it is copied there once if it
    fits and no `block_rows` are asked for; else, and from files, block by block in each pass.

    Parameters
    ----------
    revenue : RevenueBlocks
    k : int
    device : {"cpu", "cuda"}
    block_rows : int, optional
        Rows in a block; by default as the memory allows.
    max_memory : int or str, optional
        Bytes that the allocation may take beyond the problem's own data: 48 a customer (for k = 1) and one block.
    words : int
        64-bit words of exclusions a customer, which move with E.
    on_host : int
        Bytes that the allocator takes in host memory beside these, such as `exchange_bytes`; on a GPU they are none of
        the device's.

    Raises
    ------
    OutOfMemoryError
        With the bytes needed, those there are, and the `block_rows` that would fit. Nothing has been allocated.
    """
    rows = check_rows(block_rows)
    there, source = _limit(device, max_memory)
    n_customers, n_funds = revenue.shape
    moved = device != revenue.source
    each = customer_bytes(k) + (8 * words + 1 if moved else 0)
    on_host = on_host if device == "cpu" else 0
    fixed = each * n_customers + on_host
    if moved and rows is None and fixed + revenue.nbytes + 4 * n_funds * revenue.default_rows <= there:
        return RevenueBlocks([ArrayRows(revenue.on(device).assemble())])
    out = revenue.on(device, rows)
    a_row = 0 if out.resident and (rows is None or out.whole is not None) else 4 * n_funds
    block = min(n_customers, rows or (out.default_rows if a_row else n_customers))
    most = max(0, there - fixed) // a_row if a_row else n_customers
    if there >= fixed and block <= most:
        return out
    if rows is None and there >= fixed and most >= 1:
        return revenue.on(device, most // ROUND_ROWS * ROUND_ROWS or most)
    needed = fixed + a_row * (block if rows is not None else 1)
    if there >= fixed and most >= 1:
        advice = f"Pass block_rows={most} or fewer."
    else:
        advice = (
            f"No block_rows would fit: the customers alone need {each} bytes each. Allow more, or split the customers."
        )
    exchange = f"{on_host:,} for an exchange, " if on_host else ""
    raise OutOfMemoryError(
        f"an allocation of {n_customers:,} customers x {n_funds} funds needs {in_words(needed)}: {exchange}"
        f"{each * n_customers:,} for the customers and {needed - fixed:,} for a block of E; {in_words(there)} "
        f"{source}. {advice}"
    )
