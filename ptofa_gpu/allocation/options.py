"""What each allocator may be told: one frozen class a method, checked where it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from ptofa_gpu._arguments import flag, number, one_of, text_of
from ptofa_gpu._text import nearest
from ptofa_gpu.allocation.memory import check_rows, parse_bytes
from ptofa_gpu.errors import InputError
from ptofa_gpu.ops.score import TAILS


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every method.

    Parameters
    ----------
    block_rows : int, optional
        Customers looked at together; by default as many as the memory allows. The plan is the same.
    max_memory : int or str, optional
        Bytes (or "2 GiB") that the call may take beyond the problem's data.
    """

    block_rows: int | None = None
    max_memory: int | str | None = None

    def __post_init__(self) -> None:
        check_rows(self.block_rows)
        if self.max_memory is not None:
            parse_bytes(self.max_memory)


@dataclass(frozen=True, kw_only=True)
class Limited(Options):
    """Options of methods that take time and keep the constraints.

    Parameters
    ----------
    time_limit : float, optional
        Seconds, not negative.
    on_infeasible : {"raise", "relax"}
        What to do when no plan meets every constraint: an error, or as many exposures as possible.
    """

    time_limit: float | None = None
    on_infeasible: Literal["raise", "relax"] = "raise"

    def __post_init__(self) -> None:
        super().__post_init__()
        endless = isinstance(self.time_limit, float) and self.time_limit == math.inf
        if self.time_limit is not None and not endless:
            number("time_limit", self.time_limit, "seconds, not negative", least=0.0)
        one_of("on_infeasible", self.on_infeasible, ("raise", "relax"))


@dataclass(frozen=True, kw_only=True)
class OptimalOptions(Limited):
    """Options of ``optimal``.

    Parameters
    ----------
    warm_start : array (F,), or labelled by fund, optional
        Prices of an earlier plan to start from, in currency.
    """

    warm_start: Any = None


@dataclass(frozen=True, kw_only=True)
class HeuristicOptions(Limited):
    """Options of ``heuristic``.

    Parameters
    ----------
    tail : {"zero", "drop", "inf"}
        See `ptofa_gpu.ops.score.score_and_pick`.
    repair : bool
        Complete the plan wherever the instance is feasible; False keeps the paper's own result.
    """

    tail: Literal["zero", "drop", "inf"] = "zero"
    repair: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("tail", self.tail, tuple(TAILS))
        flag("repair", self.repair)


@dataclass(frozen=True, kw_only=True)
class ManualOptions(Options):
    """Options of ``manual``.

    Parameters
    ----------
    priority : sequence of F funds, or each fund's place by label, optional
        Who chooses first: fund indices or names in order; or a dict, Series or frame from each fund to its place, 1
        first.
    """

    priority: Any = None


@dataclass(frozen=True, kw_only=True)
class ReferenceOptions(Limited):
    """Options of ``reference``.

    Parameters
    ----------
    solver : str, optional
        "ortools" (min-cost flow), or any installed cvxpy solver by name.
    integer : bool
        The mixed-integer form.
    """

    solver: str | None = None
    integer: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver is not None:
            text_of("solver", self.solver)
        flag("integer", self.integer)


OPTIONS: dict[str, type[Options]] = {
    "optimal": OptimalOptions,
    "heuristic": HeuristicOptions,
    "manual": ManualOptions,
    "topk": Options,
    "reference": ReferenceOptions,
}
METHODS = tuple(OPTIONS)


def read_options(method: str, given: Mapping[str, Any]) -> Options:
    """The options of a method from keywords.

    Raises
    ------
    InputError
        For a method or option that is not known, and values that it cannot have.
    """
    one_of("method", method, METHODS)
    known = [f.name for f in fields(OPTIONS[method])]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(
            f"method={method!r} has no option {', '.join(unknown)}{nearest(unknown[0], known)} Its options: "
            f"{', '.join(sorted(known))}."
        )
    return OPTIONS[method](**given)
