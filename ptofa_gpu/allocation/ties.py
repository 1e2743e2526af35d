"""Ties in bulk: customers who are indifferent between the same funds are one group, and a flow decides for all of them.

At the right prices many customers of a model with few distinct outputs have several choices that are equally good.
Those who have the same ones, and as many of them to make, are alike: the groups and the funds are a small flow problem,
and inside a group any numbers of customers a fund can be dealt out in turn, nobody getting a fund twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptofa_gpu.ops._customers import FIELDS, Customers
from ptofa_gpu.ops._entry import Entry, pieces
from ptofa_gpu.ops.max_flow import CAPACITY, NO_ARC, UNLIMITED, max_flow

#: More kinds of customers than this are not worth a flow: the exchange takes them one by one.
MOST_GROUPS = 1 << 15

_KINDS = Entry(
    "tied_kinds",
    FIELDS + "in_i16 chosen; i64 width; i64 most; i64 size; out_i64 table; out_u64 seen; out_i64 known; out_i32 kinds",
)
_DEAL = Entry(
    "deal",
    "in_i32 kinds; in_i64 share; in_u8 has; in_i64 customers; i64 rows; i64 funds; i64 k; out_i64 at; out_i16 held",
)


class Groups:
    """Tied customers by kind, over blocks that come one after the other.

    Parameters
    ----------
    funds : int
    """

    def __init__(self, funds: int):
        self.funds = funds
        self._seen = np.zeros((MOST_GROUPS, (funds >> 6) + 2), np.uint64)
        self._table = np.full(4 * MOST_GROUPS, -1, np.int64)
        self._known = np.zeros(1, np.int64)
        self.rows: list[np.ndarray] = []
        self.kinds: list[np.ndarray] = []

    def add(
        self,
        rows: np.ndarray,
        revenue: Any,
        tolerance: Any,
        risk: Any,
        mask: Any,
        offset: np.ndarray,
        scale: float,
        chosen: np.ndarray,
    ) -> bool:
        """Take in customers (numbers `rows`, the other arrays are theirs); False when there are too many kinds."""
        kinds, k = np.empty(rows.size, np.int32), chosen.shape[1]
        customers = Customers(revenue, tolerance, risk, mask, offset, scale, k)
        memory = {
            "width": self._seen.shape[1] - 1, "most": MOST_GROUPS, "size": self._table.size, "table": self._table,
            "seen": self._seen, "known": self._known,
        }  # fmt: skip
        for lo, hi in pieces(rows.size, self.funds + 16, k + 4):  # looking a kind up takes as long as some funds
            _KINDS(**customers.part(lo, hi), chosen=chosen[lo:hi], kinds=kinds[lo:hi], **memory)
            if self.known < 0:
                return False
        self.rows.append(rows)
        self.kinds.append(kinds)
        return True

    @property
    def known(self) -> int:
        """How many kinds there are."""
        return int(self._known[0])

    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(G, F + 1) bool which choices a kind has, (G,) how many of them a customer holds, (G,) customers."""
        words = self._seen[: self.known, :-1]
        node = np.arange(self.funds + 1)
        bits = (words[:, node >> 6] >> (node & 63).astype(np.uint64)) & np.uint64(1)
        customers = np.bincount(np.concatenate(self.kinds), minlength=self.known)
        return bits.astype(bool, order="C"), self._seen[: self.known, -1].astype(np.int64), customers


def share_out(
    has: np.ndarray, picks: np.ndarray, customers: np.ndarray, must: np.ndarray, may: np.ndarray
) -> np.ndarray:
    """How often each kind of customer takes each of its choices: (G, F + 1) int64 with rows of sum picks x customers.

    Parameters
    ----------
    has : (G, F + 1) bool
    picks, customers : (G,) int64
    must : (F + 1,) int64
        Exposures to be filled first; a choice can be taken once a customer, the empty slot any number of times.
    may : (F + 1,) int64
        Room beyond that. What then still has no place goes anywhere, to be put right by the exchange.
    """
    supply = picks * customers
    arcs = np.where(has, CAPACITY, NO_ARC)
    arcs[has[:, -1], -1] = UNLIMITED
    out = np.zeros(has.shape, np.int64)
    wanted = np.maximum(must, 0)
    for demand in (wanted, wanted + np.maximum(may, 0)):
        max_flow(arcs, customers, supply, demand, out)
    most = np.where(has, customers[:, None], 0)
    most[:, -1] = np.where(has[:, -1], supply, 0)
    left = supply - out.sum(1)
    for g in np.flatnonzero(left):  # over some quota whatever is done: by the lower fund
        for f in np.flatnonzero(most[g] > out[g]):
            more = min(int(left[g]), int(most[g, f] - out[g, f]))
            out[g, f] += more
            left[g] -= more
    return out


def deal(groups: Groups, share: np.ndarray, rows: np.ndarray, kinds: np.ndarray, held: np.ndarray) -> None:
    """Give the customers in `groups` the choices of `share`: `held` (n, K) int16 is updated, in order of the rows."""
    has, _, customers = groups.table()
    at, k = np.zeros(groups.known, np.int64), held.shape[1]
    for lo, hi in pieces(rows.size, groups.funds, k + 8):
        _DEAL(
            kinds=kinds[lo:hi], share=share, has=has.view(np.uint8), customers=customers, rows=hi - lo,
            funds=groups.funds, k=k, at=at, held=held[lo:hi],
        )  # fmt: skip
