"""E by blocks: the same rows from an array, a list of arrays, a memory map of any layout, or the path of a file."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptofa_gpu as ptofa
from ptofa_gpu.allocation import _file_rows
from ptofa_gpu.allocation._file_rows import FileRows
from ptofa_gpu.allocation.blocks import ArrayRows, RevenueBlocks, read_blocks
from ptofa_gpu.errors import InputError

E = np.random.default_rng(1).lognormal(3, 2, (1013, 7)).astype(np.float32)


def stored(folder: Path, array: np.ndarray, name: str = "E.npy") -> Path:
    np.save(folder / name, array)
    return folder / name


def check_same(blocks: RevenueBlocks, wanted: np.ndarray, step: int | None) -> None:
    """All three ways through the rows give `wanted`, bit for bit."""
    at = 0
    for lo, hi, block in blocks.iterate(step):
        assert lo == at
        assert block.flags.c_contiguous
        assert block.dtype == np.float32
        assert step is None or hi - lo == min(step, len(wanted) - lo)
        np.testing.assert_array_equal(block, wanted[lo:hi])
        at = hi
    assert at == len(blocks) == len(wanted)
    assert blocks.shape == wanted.shape
    for stride in (1, 3, len(wanted)):
        np.testing.assert_array_equal(blocks.every(stride), wanted[::stride])
    ids = np.unique(np.random.default_rng(at).integers(0, at, 30))
    np.testing.assert_array_equal(blocks.rows(ids), wanted[ids])
    np.testing.assert_array_equal(blocks.rows(ids[:0]), wanted[:0])
    np.testing.assert_array_equal(blocks.assemble(), wanted)
    np.testing.assert_array_equal(np.asarray(blocks), wanted)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 1013), max_size=6), st.none() | st.integers(1, 1100))
def test_a_list_of_arrays_is_the_array(cuts, step):
    edges = sorted([0, *cuts, 1013])
    check_same(read_blocks([E[a:b] for a, b in itertools.pairwise(edges)]), E, step)


LAYOUTS = {
    "as it is": lambda m: m,
    "rows from the middle": lambda m: m[100:900],
    "every third row": lambda m: m[1::3],
    "some columns": lambda m: m[:, 2:5],
    "every other column": lambda m: m[:, ::2],
    "upside down": lambda m: m[::-1],
    "right to left": lambda m: m[:, ::-1],
    "one row": lambda m: m[5:6],
    "one column": lambda m: m[:, 4:5],
}
TYPES = [np.float32, np.float64, np.float16, np.int16, np.bool_, ">f4", ">f8"]


@pytest.mark.parametrize("cut", LAYOUTS)
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_a_memory_map_is_the_array(tmp_path, monkeypatch, dtype, order, cut):
    monkeypatch.setattr(_file_rows, "SCRATCH", 1000)  # several reads a block
    monkeypatch.setattr(_file_rows, "_NEAR", 100)
    array = np.asarray(np.minimum(E, 30000).astype(dtype), order=order)
    mapped = LAYOUTS[cut](np.load(stored(tmp_path, array), mmap_mode="r"))
    blocks = read_blocks(mapped)
    assert isinstance(blocks.parts[0], FileRows)
    assert not blocks.resident
    for step in (None, 1, 64, 5000):
        check_same(blocks, np.asarray(mapped).astype(np.float32), step)


def test_paths_maps_and_arrays_mix(tmp_path):
    first, second = stored(tmp_path, E[:10], "a.npy"), stored(tmp_path, E[10:500], "b.npy")
    for step in (None, 7, 600):
        check_same(read_blocks([str(first), np.load(second, mmap_mode="r"), E[500:]]), E, step)
        check_same(read_blocks(stored(tmp_path, E)), E, step)


def test_arrays_are_met_as_views():
    blocks = read_blocks([E[:600], E[600:]])
    assert all(np.shares_memory(block, E) for _, _, block in blocks.iterate())
    assert np.shares_memory(read_blocks(E).every(1), E)
    assert read_blocks(E).whole is E
    np.testing.assert_array_equal(read_blocks(E).every(2), E[::2])
    np.testing.assert_array_equal(read_blocks(E).rows([1, 5]), E[[1, 5]])


def test_a_file_is_read_into_one_buffer(tmp_path):
    blocks = read_blocks(stored(tmp_path, E))
    places = {block.ctypes.data for _ in range(2) for _, _, block in blocks.iterate(100)}
    assert len(places) == 1
    for (_, _, outer), (_, _, inner) in zip(blocks.iterate(100), blocks.iterate(100), strict=True):
        assert outer.ctypes.data != inner.ctypes.data  # a walk inside a walk has its own


def test_many_small_arrays_are_met_together():
    blocks = read_blocks([E[i : i + 1] for i in range(len(E))])
    assert len(list(blocks.iterate())) == 1


def test_a_changed_copy_of_a_file_is_not_read_from_the_file(tmp_path):
    private = np.load(stored(tmp_path, E), mmap_mode="c")
    private[3, 3] = 7.0
    assert isinstance(read_blocks(private).parts[0], ArrayRows)
    np.testing.assert_array_equal(read_blocks(private).assemble(), private)


def test_a_map_whose_file_is_gone_or_replaced_still_serves(tmp_path):
    mapped = np.load(path := stored(tmp_path, E), mmap_mode="r")
    path.unlink()
    np.testing.assert_array_equal(read_blocks(mapped).assemble(), E)
    stored(tmp_path, E + 1)
    np.testing.assert_array_equal(read_blocks(mapped).assemble(), E)


def test_a_file_that_changes_under_a_problem_is_an_error(tmp_path):
    path = stored(tmp_path, E)
    problem = ptofa.AllocationProblem(path, [10] * 7)
    np.save(path, E[:50])
    with pytest.raises(InputError, match="was changed since"):
        ptofa.allocate(problem, "topk", device="cpu")
    path.unlink()
    with pytest.raises(InputError, match="can no longer be read"):
        ptofa.allocate(problem, "topk", device="cpu")


@pytest.mark.parametrize(
    ("revenue", "message"),
    [
        ([], "empty list"),
        ([E[:5], E[5:, :3]], r"revenue\[1\] has 3 columns and revenue\[0\] has 7"),
        ([E[:5], E[5]], r"revenue\[1\] has shape \(7,\)"),
        ([E[:0], E[5:5]], "without a row"),
        ([E[:5], E[:5].astype(complex)], r"revenue\[1\] has dtype complex"),
        ("nowhere.npy", "there is no such file"),
        ([E[:5], Path("nowhere.npy")], r"revenue\[1\]: nowhere.npy: there is no such file"),
        ("revenue.parquet", "ends in .npy"),
        ([E[:5], np.where(E > 50, np.nan, E)[5:]], r"the first is at customer row 5, fund column"),
    ],
)
def test_bad_blocks_are_named(revenue, message):
    with pytest.raises(InputError, match=message):
        ptofa.AllocationProblem(revenue, [1] * 7)


def test_files_that_hold_no_matrix_are_named(tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    stored(tmp_path, np.array([{}], object), "objects.npy")
    for name in ("text.npy", "objects.npy"):
        with pytest.raises(InputError, match=f"{name} cannot be read as .npy"):
            read_blocks(tmp_path / name)
    with pytest.raises(InputError, match="two dimensions"):
        read_blocks(stored(tmp_path, np.zeros((2, 2, 2))))


def test_blocks_on_two_devices_are_refused():
    class OnGpu(np.ndarray):
        __cuda_array_interface__ = None

    with pytest.raises(InputError, match=r"revenue\[1\] is on a GPU and revenue\[0\] in host memory"):
        read_blocks([E[:5], E[5:].view(OnGpu)])


def test_torch_blocks():
    torch = pytest.importorskip("torch")
    check_same(read_blocks([torch.from_numpy(E[:100].copy()), torch.from_numpy(E[100:].astype(float))]), E, 33)


@pytest.mark.parametrize("step", [1, 10, 511, 1012, 1200])
def test_a_problem_from_a_file_knows_as_much_as_one_from_the_array(tmp_path, step):
    one = ptofa.AllocationProblem(E, [100] * 7)
    other = ptofa.AllocationProblem(stored(tmp_path, E.astype(np.float64)), [100] * 7)
    assert one.max_revenue == other.max_revenue
    assert one.fixed_point_shift == other.fixed_point_shift
    assert (other.n_customers, other.n_funds, other.device) == (1013, 7, "cpu")
    check_same(other.revenue_blocks(step), E, None)
    np.testing.assert_array_equal(other.host_revenue(), E)
    for (a, b), (lo, hi, block) in zip(other.blocks(), other.host_blocks(), strict=True):
        assert (a, b) == (lo, hi)
        assert np.array_equal(block, E[lo:hi])


def test_blocks_cross_to_a_gpu_and_back_one_at_a_time(tmp_path, monkeypatch):
    """CuPy played by NumPy: what moves, and that a copy of everything is made only where it fits."""
    import sys
    from types import SimpleNamespace

    from ptofa_gpu.allocation import blocks as module
    from ptofa_gpu.allocation import memory

    class OnGpu(np.ndarray):
        __cuda_array_interface__ = None

        def set(self, host):
            assert type(host) is np.ndarray
            self[...] = host.view(OnGpu)

        def get(self, out=None):
            if out is None:
                return np.array(self)
            out[...] = np.asarray(self)
            return out

    def empty(shape, dtype):
        made.append(shape)
        return np.empty(shape, dtype).view(OnGpu)

    made: list[tuple[int, int]] = []
    cupy = SimpleNamespace(empty=empty, float32=np.float32, asarray=lambda x: np.asarray(x).view(OnGpu))
    cupy.ascontiguousarray = lambda x, dtype=None: np.ascontiguousarray(x, dtype).view(OnGpu)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(module, "require_gpu", lambda what: None)
    monkeypatch.setattr("ptofa_gpu.device.require_gpu", lambda *what: None)
    for source in (E, [E[:300], E[300:]], stored(tmp_path, E)):
        monkeypatch.setattr(memory, "available_memory", lambda device: 1 << 40)
        problem = ptofa.AllocationProblem(source, [1] * 7)
        made.clear()
        for lo, hi, block in problem.revenue_blocks(400, device="cuda").iterate():
            assert isinstance(block, OnGpu)
            np.testing.assert_array_equal(np.asarray(block), E[lo:hi])
        assert made == [(400, 7)]
        needed = 49 * 1013 + 28 * 1013 + 28 * problem.revenue_blocks().default_rows
        monkeypatch.setattr(memory, "available_memory", lambda device, size=needed: size)
        assert isinstance(problem.revenue_blocks(device="cuda").whole, OnGpu)
        monkeypatch.setattr(memory, "available_memory", lambda device: 49 * 1013 + 28 * 100)
        assert [hi - lo for lo, hi, _ in problem.revenue_blocks(device="cuda").iterate()][:2] == [100, 100]
    there = read_blocks([E[:300].view(OnGpu), E[300:].view(OnGpu)])
    assert there.device == "cuda"
    for lo, hi, block in there.on("cpu").iterate(200):
        assert type(block) is np.ndarray
        np.testing.assert_array_equal(block, E[lo:hi])
