"""Maximum flows from groups to funds (kernels/cpu/max_flow.cpp)."""

from __future__ import annotations

import numpy as np

from ptofa_gpu.ops._entry import Entry

#: Kinds of arcs: none, one whose capacity is the group's, one without a capacity.
NO_ARC, CAPACITY, UNLIMITED = (np.uint8(i) for i in range(3))
#: Looks at arcs and nodes in one call: less than 0.1 s.
BUDGET = 1 << 23
_FINISHED = 4

_MAX_FLOW = Entry(
    "max_flow",
    "in_u8 arcs; in_i64 most; i64 groups; i64 funds; i64 group_words; i64 fund_words; i64 budget; out_i64 supply; "
    "out_i64 room; out_i64 sent; out_u64 open; out_u64 back; out_u64 unseen; out_i32 layer; out_i64 at; out_i64 queue; "
    "out_i64 path; out_i64 state",
)


def max_flow(
    arcs: np.ndarray,
    most: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    sent: np.ndarray,
    budget: int = BUDGET,
) -> tuple[np.ndarray, np.ndarray]:
    """Send as much as can be from groups to funds; the same flow every time.

    Parameters
    ----------
    arcs : (G, F) uint8
        `NO_ARC`, `CAPACITY` or `UNLIMITED`.
    most : (G,) int64
        The capacity of each of a group's arcs.
    supply, demand : (G,) and (F,) int64
        What a group sends and a fund takes in all.
    sent : (G, F) int64, written
        A flow within these limits to begin with. It may be led elsewhere, but no group sends less in the end and no
        fund gets less.
    budget : int
        After about so many looks at arcs the engine is left for a moment.

    Returns
    -------
    groups, funds : (G,) and (F,) bool
        The source's side of the minimum cut: groups with supply left, and all that they reach. (The least one there is,
        the same for every maximum flow.)
    """
    groups, funds = sent.shape
    group_words, fund_words = (groups + 63) // 64, (funds + 63) // 64
    layer, state = np.zeros(groups + funds, np.int32), np.zeros(6, np.int64)
    data = {
        "arcs": np.ascontiguousarray(arcs), "most": most, "groups": groups, "funds": funds, "group_words": group_words,
        "fund_words": fund_words, "budget": budget, "supply": supply - sent.sum(1), "room": demand - sent.sum(0),
        "sent": sent, "layer": layer, "state": state,
        "open": np.zeros(groups * fund_words, np.uint64), "back": np.zeros(funds * group_words, np.uint64),
        "unseen": np.zeros(group_words + fund_words, np.uint64), "at": np.zeros(groups + funds, np.int64),
        "queue": np.zeros(groups + funds, np.int64), "path": np.zeros(2 * funds + 1, np.int64),
    }  # fmt: skip
    while state[0] != _FINISHED:
        _MAX_FLOW(**data)
    return layer[:groups] >= 0, layer[groups:] >= 0
