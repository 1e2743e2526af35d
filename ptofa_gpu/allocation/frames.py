"""Data frames of any library narwhals knows become a problem, or one error listing everything that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ptofa_gpu._arguments import one_of
from ptofa_gpu._columns import eager
from ptofa_gpu._frames import Customers, Funds, check_limits, lacking, positions, read_customers, read_funds
from ptofa_gpu.allocation._revenue_frames import Visible, read_revenue
from ptofa_gpu.allocation.blocks import are_blocks, is_file, read_blocks
from ptofa_gpu.device import as_array
from ptofa_gpu.errors import InputError, OutOfMemoryError, SchemaError

MISSING = ("error", "exclude")

Problem = TypeVar("Problem")


def from_frames(
    make: Callable[..., Problem],
    revenue: Any,
    customers: Any,
    funds: Any,
    *,
    k: Any,
    eligible: Any,
    excluded: Any,
    missing: str,
) -> tuple[Problem, str]:
    """What `make` (:class:`AllocationProblem`) makes of the frames, and the data-frame library of `customers`.

    Raises
    ------
    SchemaError
        One error that lists everything wrong with frames and arguments.
    """
    problems: list[str] = []
    try:
        exclude = one_of("missing", missing, MISSING) == "exclude"
    except InputError as e:
        exclude = False
        problems.append(str(e).removesuffix("."))
    people, products = (_frame(x, what, problems) for x, what in ((customers, "customers"), (funds, "funds")))
    buyers, bought = Customers(None, None, None), Funds(None, None, None, None)
    if people is not None:
        buyers = read_customers(people, 127 if products is None else len(products), problems)
    if products is not None:
        bought = read_funds(products, problems)
        if not {"quota", "quota_low", "quota_high"} & set(products.columns):
            problems.append(f"{lacking(products, 'quota', 'funds')} (a range is quota_low and quota_high)")
    shape = None
    if people is not None and products is not None:
        check_limits(people, products, problems)
        shape = len(people), len(products)
        if "k" in people.columns and k is not None:
            problems.append(f"customers.k is there and k={k!r} was given too: give the slots in one place")
    pairs = _pairs(excluded, buyers, bought, problems)
    visible = Visible(shape, buyers.tolerance, bought.risk, eligible, pairs)
    E, held = _revenue(revenue, buyers, bought, shape, exclude, visible, problems)
    arguments = {
        "revenue": E,
        "quota": bought.quota,
        "k": buyers.k if buyers.k is not None else 1 if k is None else k,
        "excluded": pairs,
        "tolerance": buyers.tolerance,
        "risk": bought.risk,
        "eligible": visible.also(held),
        "names": bought.names,
        "customer_ids": buyers.ids,
        "fund_ids": bought.ids,
    }
    error = None
    if not problems:
        assert people is not None
        try:
            return make(**arguments), people.implementation.value
        except InputError as e:  # an argument is wrong; others may be too
            error = e
    if shape is not None and all(shape):
        found = [p for p in _one_by_one(make, arguments, shape) if p not in problems]
        problems += found
        if error is not None and not found:
            raise error
    raise SchemaError("The frames do not describe an allocation problem:", problems) from error


def _one_by_one(make: Callable[..., Any], arguments: dict[str, Any], shape: tuple[int, int]) -> list[str]:
    """What is wrong with each argument that came as an array, when all else is right."""
    problems: list[str] = []
    named = {"names": arguments["names"], "customer_ids": arguments["customer_ids"], "fund_ids": arguments["fund_ids"]}
    blank = {"revenue": np.zeros(shape, np.float32), "quota": np.zeros(shape[1], np.int64)}
    right: dict[str, Any] = {}

    def attempt(**some: Any) -> bool:
        for labels in (named, {}):  # ids that are wrong themselves are no reason not to look at the rest
            try:
                make(**{**blank, **some, **labels})
                return True
            except OutOfMemoryError:
                return True
            except InputError as e:
                wrong = str(e).removesuffix(".")
        problems.append(wrong)
        return False

    for name in ("k", "eligible", "excluded"):
        value = arguments[name]
        if value is not None and attempt(**{name: value}):
            right[name] = value
    if arguments["revenue"] is not None:
        limits = {n: arguments[n] for n in ("tolerance", "risk")}
        if any(x is None for x in limits.values()):
            limits = {}
        attempt(revenue=arguments["revenue"], **limits, **right)
    return problems


def _frame(native: Any, what: str, problems: list[str]) -> Any:
    """An eager frame, or None with the reason in `problems`."""
    try:
        return eager(native, what)
    except SchemaError as e:
        problems += e.problems
    except InputError as e:
        problems.append(str(e))
    return None


def _frame_or_array(native: Any, what: str, problems: list[str]) -> tuple[Any, bool]:
    """An eager frame or None, and whether it is one (though perhaps one that cannot be read)."""
    try:
        return eager(native, what), True
    except SchemaError as e:
        problems += e.problems
        return None, True
    except InputError:  # an array of some library
        return None, False


def _pairs(excluded: Any, customers: Customers, funds: Funds, problems: list[str]) -> Any:
    """Positions (n, 2) of excluded pairs; what is no frame is taken for positions already."""
    if excluded is None:
        return None
    frame, is_frame = _frame_or_array(excluded, "excluded", problems)
    if frame is None:
        return None if is_frame else excluded
    row = positions(frame, "customer", "excluded", customers.ids, "customers", problems)
    column = positions(frame, "fund", "excluded", funds.ids, "funds", problems)
    if row is None or column is None or not len(frame):
        return None
    known = (row >= 0) & (column >= 0)
    return np.stack([row[known], column[known]], axis=1)


def _revenue(
    revenue: Any,
    customers: Customers,
    funds: Funds,
    shape: tuple[int, int] | None,
    exclude: bool,
    visible: Visible,
    problems: list[str],
) -> tuple[Any, np.ndarray | None]:
    """E as it was given or in the order of the ids, and the pairs a long frame holds, if not all."""
    by_blocks = is_file(revenue) or are_blocks(revenue)
    frame, is_frame = (None, False) if by_blocks else _frame_or_array(revenue, "revenue", problems)
    if frame is not None:
        return read_revenue(frame, customers.ids, funds.ids, exclude, visible, problems)
    if is_frame:
        return None, None
    try:
        found = read_blocks(revenue).shape if by_blocks else as_array(revenue).shape
    except InputError as e:
        problems.append(str(e))
        return None, None
    if shape is not None and found != shape:
        problems.append(f"revenue has shape {found}; customers has {shape[0]:,} rows and funds {shape[1]:,}")
        return None, None
    return revenue, None
