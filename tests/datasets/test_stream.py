"""Worlds in blocks: the data of `lct` at any block size, in bounded memory, whole files or none."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from ptofa_gpu.datasets import PAPER_SCALE, ExposureData, lct, lct_stream
from ptofa_gpu.datasets._world import BLOCK
from ptofa_gpu.datasets.stream import WorldBlock
from ptofa_gpu.errors import InputError
from ptofa_gpu.prediction.schema import Schema

N = BLOCK + 900


def joined(blocks: list[WorldBlock]) -> tuple[pa.Table, pa.Table, np.ndarray]:
    tables = [
        pa.concat_tables([getattr(b, name) for b in blocks]).unify_dictionaries() for name in ("customers", "log")
    ]
    return tables[0], tables[1], np.concatenate([b.truth.revenue for b in blocks])


@pytest.mark.parametrize("size", [701, BLOCK, BLOCK + 333, 10**6])
def test_any_block_size_gives_the_same_world(size: int) -> None:
    stream = lct_stream("B", N, seed=3, exposures=2)
    blocks = list(stream.blocks(size))
    assert [len(b.customers) for b in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert [b.first for b in blocks] == list(range(0, N, size))
    customers, log, revenue = joined(blocks)
    whole = lct("B", N, seed=3, exposures=2, backend="pyarrow")
    assert customers.equals(whole.customers)
    assert whole.truth is not None
    np.testing.assert_array_equal(revenue, whole.truth.revenue)
    np.testing.assert_array_equal(stream.truth.rows(5, 50).revenue, revenue[5:50])
    # the log holds the same rows: in order of customers here, of weeks there
    order = np.argsort(whole.log["customer"].to_numpy(), kind="stable")
    assert log.to_pylist() == whole.log.take(order).to_pylist()
    assert stream.funds.equals(whole.funds)
    assert stream.quota.sum() == N
    assert stream.schema == whole.schema


def test_the_quota_needs_no_pass_before() -> None:
    one, two = lct_stream("A", 3_000, seed=1), lct_stream("A", 3_000, seed=1)
    assert sum(1 for _ in one.blocks(1_000)) == 3
    np.testing.assert_array_equal(one.quota, two.quota)


def test_the_schema_does_not_depend_on_the_size_of_large_worlds() -> None:
    assert lct_stream("A", 70_000, seed=2).schema == lct_stream("A", 4_750_000, seed=2).schema


def test_memory_is_that_of_a_block() -> None:
    def peak(customers: int) -> int:
        stream = lct_stream("A", customers, seed=0)
        tracemalloc.start()
        for block in stream.blocks(4_096):
            assert len(block.log)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(100)  # imports
    assert peak(6 * BLOCK) < 1.15 * peak(2 * BLOCK)


def test_parquet_can_be_trained_on(tmp_path: Path) -> None:
    stream = lct_stream("A", 5_000, seed=4, positive_rate=0.05)
    calls: list[tuple[int, int]] = []
    folder = stream.write_parquet(
        tmp_path / "world", truth=True, block_customers=2_000, progress=lambda *c: calls.append(c)
    )
    assert calls == [(2_000, 5_000), (4_000, 5_000), (5_000, 5_000)]
    assert parquet.ParquetFile(folder / "customers.parquet").metadata.num_row_groups == 3
    schema = Schema.from_json((folder / "schema.json").read_text())
    frames = [pl.read_parquet(folder / f"{name}.parquet") for name in ("log", "customers", "funds")]
    data = ExposureData.from_frames(*frames, schema=schema)
    whole = lct("A", 5_000, seed=4, positive_rate=0.05)
    np.testing.assert_array_equal(data.encoded_customers.numeric, whole.encoded_customers.numeric)
    assert data.arrays.amount.sum() == pytest.approx(whole.arrays.amount.sum())
    truth = pl.read_parquet(folder / "truth.parquet")
    assert whole.truth is not None
    np.testing.assert_array_equal(truth["revenue"].to_numpy().reshape(5_000, 8), whole.truth.revenue)
    assert truth["fund"][:8].to_list() == whole.funds["fund"].tolist()


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lct_stream("A", 500).write_parquet(tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "first", "later"), [("A", 4_750_000, 3_450_000), ("B", 4_300_000, 690_000)])
def test_the_papers_scale(kind: str, first: int, later: int) -> None:
    settings = PAPER_SCALE[kind]
    assert settings["customers"] == first
    assert settings["customers"] * settings["returning"] == pytest.approx(later, rel=0.001)
    stream = lct_stream(kind, **settings)  # type: ignore[arg-type]
    block = next(stream.blocks(2 * BLOCK))
    came = (block.log["split"].to_numpy() == "test").mean() * len(block.log) / len(block.customers)
    assert came == pytest.approx(settings["returning"], abs=0.02)


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(InputError, match="returning is 0"):
        lct_stream("A", 10, returning=0)
    with pytest.raises(InputError, match="block_customers is 0"):
        next(lct_stream("A", 10).blocks(0))
    with pytest.raises(InputError, match="kind is 'C'"):
        lct_stream("C")  # type: ignore[arg-type]


def test_bias_and_overlap_can_be_set() -> None:
    """What is shown converts better than a random eligible pair, the more so the stronger the bias."""

    def gap(bias: float, overlap: float) -> float:
        t = lct("A", 8_000, seed=3, exposure_bias=bias, overlap=overlap).truth
        assert t is not None
        eligible = t.exposure > 0
        least = overlap / eligible.sum(1, keepdims=True)
        assert (np.where(eligible, t.exposure, 1.0) >= 0.999 * least).all()
        return float((t.conversion * t.exposure).sum() / len(t.exposure) / t.conversion[eligible].mean())

    assert gap(0.0, 0.1) + 0.1 < gap(1.0, 0.1) < gap(2.0, 0.1) - 0.1
    assert gap(2.0, 0.1) > gap(2.0, 0.5) + 0.1 > gap(2.0, 0.9) + 0.2


def test_drift_moves_the_week_after() -> None:
    still, moved = (lct("A", 8_000, seed=3, drift=d).truth for d in (0.0, 0.5))
    assert still is not None
    assert moved is not None
    shift = np.log(moved.conversion / (1 - moved.conversion)) - np.log(still.conversion / (1 - still.conversion))
    np.testing.assert_allclose(shift.std(0), 0.0, atol=1e-4)  # one number a fund
    assert 0.2 < shift.mean(0).std() < 1.0
    assert np.ptp((moved.mu - still.mu).mean(0)) > 0.1
