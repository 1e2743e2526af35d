"""`lct_stream`: a synthetic campaign block by block, for more customers than fit in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptofa_gpu._arguments import flag, function, path_of, whole
from ptofa_gpu._files import atomic_path
from ptofa_gpu.datasets._world import BLOCK, World
from ptofa_gpu.datasets.lct import (
    FIRST_CUSTOMER,
    Columns,
    customers_table,
    exposures_of,
    funds_table,
    infer_schema,
    log_table,
    make_world,
    people_of,
    stack,
)
from ptofa_gpu.datasets.truth import Truth, TruthRows
from ptofa_gpu.prediction.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa

#: Customers whose features decide how numbers are standardised; a schema from them is the same at any size above.
SCHEMA_CUSTOMERS = 4 * BLOCK
Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class WorldBlock:
    """A range of customers of a synthetic campaign.

    Attributes
    ----------
    first
        Number of the first customer of the block, from 0.
    customers, log
        Tables as ``lct`` has them; the log has the exposures of these customers, each customer's together.
    truth
        P, mu, sigma and exposure of all their pairs, (rows, F) each.
    bought
        Exposures of each fund that these customers add to the quotas, (F,) int64.
    """

    first: int
    customers: pa.Table
    log: pa.Table
    truth: TruthRows
    bought: np.ndarray


class WorldStream:
    """A synthetic campaign that is made while it is read; see :func:`lct_stream`.

    Attributes
    ----------
    n_customers, n_funds : int
    schema : Schema
        From the first 65,536 customers: up to that size exactly the one of ``lct``.
    truth : Truth
        Of all pairs, computed in ranges when asked for.
    """

    def __init__(self, kind: str, n: int, exposures: int, world: World):
        self.kind, self.n_customers, self.n_funds = kind, n, len(world.risk)
        self._world, self._exposures = world, exposures
        self.truth = Truth(n, self.n_funds, world.truth)

    @cached_property
    def schema(self) -> Schema:
        """Which columns are features, and how they are encoded."""
        n = min(self.n_customers, SCHEMA_CUSTOMERS)
        parts = [people_of(self._world.block(index), min(n - index * BLOCK, BLOCK)) for index in range(-(-n // BLOCK))]
        nothing = np.zeros(self.n_funds, np.int64)
        return infer_schema(self.kind, customers_table(stack(parts)), funds_table(self.kind, self._world, nothing))

    @cached_property
    def quota(self) -> np.ndarray:
        """(F,) int64, summing to the number of customers; one pass over them, unless a whole pass went before."""
        quota = np.zeros(self.n_funds, np.int64)
        for index in range(-(-self.n_customers // BLOCK)):
            keep = min(self.n_customers - index * BLOCK, BLOCK)
            quota += self._bought(self._world.bought(self._world.block(index), index)[:keep])
        return quota

    @property
    def funds(self) -> pa.Table:
        """The funds with their quotas, as ``lct`` has them."""
        return funds_table(self.kind, self._world, self.quota)

    def _bought(self, fund: np.ndarray) -> np.ndarray:
        return np.bincount(fund, minlength=self.n_funds)

    def blocks(self, block_customers: int = 1 << 16) -> Iterator[WorldBlock]:
        """The campaign in order, `block_customers` at a time; what is in it does not depend on that number.

        Memory is that of one block and of 16,384 customers.
        """
        size = whole("block_customers", block_customers, 1)
        quota = np.zeros(self.n_funds, np.int64)
        waiting: list[_Piece] = []
        held = 0
        for piece in self._pieces(size):
            waiting.append(piece)
            held += len(piece.fund)
            if held == size or piece.first + len(piece.fund) == self.n_customers:
                block = self._block(waiting)
                quota += block.bought
                yield block
                waiting, held = [], 0
        self.__dict__["quota"] = quota  # a whole pass has counted them

    def _pieces(self, size: int) -> Iterator[_Piece]:
        """Customers in order, cut where a block of the random numbers or of the caller ends."""
        for index in range(-(-self.n_customers // BLOCK)):
            start = index * BLOCK
            keep = min(self.n_customers - start, BLOCK)
            c = self._world.block(index)
            people, truth = people_of(c, keep), self._world.truth_of(c)
            later, *first = exposures_of(self._world, c, index, keep, self._exposures)
            log = stack([*first, later])
            order = np.argsort(log["customer"], kind="stable")
            log = {k: v[order] for k, v in log.items()}
            fund = self._world.bought(c, index)[:keep]
            edges = np.arange(start - start % size, start + keep + size, size)
            edges = np.unique(np.clip(edges, start, start + keep))
            for lo, hi in zip(edges[:-1] - start, edges[1:] - start):
                a, b = np.searchsorted(log["customer"], (start + lo, start + hi))
                yield _Piece(
                    int(start + lo),
                    {k: v[lo:hi] for k, v in people.items()},
                    {k: v[a:b] for k, v in log.items()},
                    truth.cut(lo, hi),
                    fund[lo:hi],
                )

    def _block(self, pieces: list[_Piece]) -> WorldBlock:
        return WorldBlock(
            first=pieces[0].first,
            customers=customers_table(stack([p.people for p in pieces]), pieces[0].first),
            log=log_table(self.kind, stack([p.log for p in pieces]), self.n_funds),
            truth=TruthRows.join([p.truth for p in pieces]),
            bought=self._bought(np.concatenate([p.fund for p in pieces])),
        )

    def write_parquet(
        self,
        folder: str | os.PathLike[str],
        *,
        truth: bool = False,
        block_customers: int = 1 << 16,
        progress: Progress = None,
    ) -> Path:
        """Write ``customers.parquet``, ``log.parquet``, ``funds.parquet`` and ``schema.json``, a row group a block.

        Parameters
        ----------
        folder
            Where; files there are replaced once all are whole.
        truth
            Also ``truth.parquet``: customer, fund, conversion, mu, sigma, exposure and revenue of every pair.
        block_customers
            Customers in memory at a time, and in a row group.
        progress
            Called with (customers done, customers).
        """
        from pyarrow import parquet

        out, truth, tell = path_of("folder", folder), flag("truth", truth), function("progress", progress)
        with ExitStack() as stack_:

            def partial(name: str) -> Path:
                return stack_.enter_context(atomic_path(out / name))

            paths = {n: partial(f"{n}.parquet") for n in ("customers", "log", *(("truth",) if truth else ()))}
            funds, schema = partial("funds.parquet"), partial("schema.json")
            with ExitStack() as open_files:
                writers: dict[str, Any] = {}
                for block in self.blocks(block_customers):
                    tables = {"customers": block.customers, "log": block.log}
                    if truth:
                        tables["truth"] = self._truth_table(block)
                    for name, table in tables.items():
                        if name not in writers:
                            writers[name] = open_files.enter_context(parquet.ParquetWriter(paths[name], table.schema))
                        writers[name].write_table(table, row_group_size=max(1, len(table)))
                    if tell is not None:
                        tell(block.first + len(block.customers), self.n_customers)
            parquet.write_table(self.funds, funds)
            schema.write_text(self.schema.to_json(), encoding="utf-8")
        return out

    def _truth_table(self, block: WorldBlock) -> pa.Table:
        import pyarrow as pa

        n = len(block.customers)
        fund = pa.DictionaryArray.from_arrays(
            pa.array(np.tile(np.arange(self.n_funds, dtype=np.int8), n)),
            funds_table(self.kind, self._world, np.zeros(self.n_funds, np.int64))["fund"].combine_chunks(),
        )
        t = block.truth
        names = ("conversion", "mu", "sigma", "exposure", "revenue")
        customer = np.repeat(FIRST_CUSTOMER + block.first + np.arange(n), self.n_funds)
        return pa.table({"customer": customer, "fund": fund, **{k: getattr(t, k).ravel() for k in names}})

    def __repr__(self) -> str:
        return f"WorldStream('lct-{self.kind.lower()}': {self.n_customers:,} customers x {self.n_funds} funds)"


@dataclass(frozen=True)
class _Piece:
    first: int
    people: Columns
    log: Columns
    truth: TruthRows
    fund: np.ndarray


def lct_stream(
    kind: Literal["A", "B"] = "A",
    customers: int = 4_750_000,
    seed: int = 0,
    *,
    exposures: int = 1,
    positive_rate: float = 0.01,
    exposure_bias: float = 1.0,
    overlap: float = 0.1,
    drift: float = 0.1,
    returning: float = 0.7,
) -> WorldStream:
    """The world of :func:`lct` with the same settings, made in blocks of bounded memory.

    Customer i, their exposures and their truth are those of ``lct``, whatever the size of a block; only the log's order
    is another: a customer's rows lie together here, a week's rows there.

    Parameters
    ----------
    kind, customers, seed, exposures, positive_rate, exposure_bias, overlap, drift, returning
        As for :func:`lct`; ``lct_stream(kind, **PAPER_SCALE[kind])`` has the size of the paper's data.

    Raises
    ------
    InputError
        For an unknown kind or a setting out of range.
    """
    world = make_world(kind, seed, positive_rate, exposure_bias, overlap, drift, returning)
    return WorldStream(kind, whole("customers", customers, 1), whole("exposures", exposures, 1), world)
