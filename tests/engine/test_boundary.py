"""What may pass between Python and the engine, and what comes back: errors, and the same bits in any mode."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import weakref
from importlib import import_module

import numpy as np
import pytest

import ptofa_gpu.allocation
import ptofa_gpu.ops
from ptofa_gpu import AllocationProblem
from ptofa_gpu.errors import EngineError, OutOfMemoryError
from ptofa_gpu.ops import _entry, choices, largest, price
from ptofa_gpu.ops._entry import Entry
from ptofa_gpu.ops._library import library
from tests.engine import passes

FIELDS = largest._LARGEST._fields


def entries() -> dict[str, Entry]:
    """All entries that the package declares, by module and name."""
    places = (ptofa_gpu.ops, ptofa_gpu.allocation)
    modules = [import_module(f"{at.__name__}.{m.name}") for at in places for m in pkgutil.iter_modules(at.__path__)]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Entry)
    }


def declared(fields) -> str:
    return "".join(f"{kind} {name};" for kind, name in fields)


def arguments(rows: int = 3, funds: int = 2) -> dict:
    """Of the entry `largest`."""
    return {
        "revenue": np.ones((rows, funds), np.float32).view(np.int32), "tolerance": np.ones(rows, np.int8),
        "risk": np.ones(funds, np.int8), "mask": None, "words": 0, "slots": None, "wanted": np.ones(funds, np.uint8),
        "rows": rows, "funds": funds, "threads": 1, "top": np.zeros(2, np.int32),
    }  # fmt: skip


# -- fields ------------------------------------------------------------------------------------------------------------


def test_every_entry_is_in_the_library_with_the_same_fields():
    assert {"price_pass", "choices", "take", "largest"} <= {entry.name for entry in entries().values()}
    for where, entry in entries().items():
        assert library().text(f"ptofa_{entry.name}_fields") == declared(entry._fields), where


def test_the_library_has_no_entry_that_nobody_declares():
    from tests.engine.native import tool

    listed = subprocess.run([tool("nm"), "-D", "--defined-only", library().path], capture_output=True, text=True).stdout
    there = {line.split()[-1] for line in listed.splitlines()} - {"ptofa_abi", "ptofa_message", "ptofa_sources"}
    names = {f"ptofa_{entry.name}" for entry in entries().values()}
    assert there == names | {f"{name}_fields" for name in names}, "and nothing else is exported"


@pytest.mark.parametrize("kind", ["order", "type", "missing", "more"])
def test_other_fields_than_the_librarys_are_refused_before_the_first_call(kind):
    fields = list(FIELDS)
    if kind == "order":
        fields[1:3] = fields[2], fields[1]
    elif kind == "type":
        fields[0] = ("in_f32", "revenue")
    elif kind == "missing":
        del fields[3]
    else:
        fields.append(("i64", "more"))
    wrong = Entry("largest", declared(fields))
    values = {name: value for name, value in {**arguments(), "more": 1}.items() if name in dict(map(reversed, fields))}
    if kind == "type":
        values["revenue"] = values["revenue"].view(np.float32)
    with pytest.raises(EngineError, match="make setup"):
        wrong(**values)


def test_an_entry_that_the_library_lacks_is_refused():
    with pytest.raises(EngineError, match=r"has no no_such_entry.*make setup"):
        Entry("no_such_entry", "i64 n")(n=1)


@pytest.mark.parametrize("change", [{"more": 1}, {"rows": None}])
def test_unknown_and_missing_names_are_refused_before_the_call(change):
    values = {**arguments(), **change}
    values = {name: value for name, value in values.items() if name != "rows" or value is not None}
    with pytest.raises(TypeError, match=next(iter(change))):
        largest._LARGEST(**values)
    assert (values["top"] == 0).all()


# -- arrays ------------------------------------------------------------------------------------------------------------


def misaligned(array: np.ndarray) -> np.ndarray:
    out = np.ndarray(array.shape, array.dtype, bytearray(array.nbytes + 1), 1)
    out[...] = array
    return out


WRONG = {
    "another type": {"revenue": np.ones((3, 2), np.int64)},
    "another sign": {"wanted": np.ones(2, np.int8)},
    "the other byte order": {"revenue": np.ones((3, 2), ">i4")},
    "by columns": {"revenue": np.ones((3, 2), np.int32, "F")},
    "with gaps": {"tolerance": np.ones(6, np.int8)[::2]},
    "backwards": {"tolerance": np.ones(3, np.int8)[::-1]},
    "misaligned": {"revenue": misaligned(np.ones((3, 2), np.int32))},
    "no array": {"risk": [1, 1]},
    "a number for an array": {"risk": 140_000_000_000},
}


@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_the_engine_would_misread_are_refused(case):
    (name,) = WRONG[case]
    with pytest.raises(TypeError, match=f"largest: {name}"):
        largest._LARGEST(**{**arguments(), **WRONG[case]})


def test_what_is_written_to_must_be_writeable_and_what_is_read_need_not():
    values = arguments()
    for array in values.values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    with pytest.raises(TypeError, match="top is read-only"):
        largest._LARGEST(**values)
    values["top"] = np.zeros(2, np.int32)
    largest._LARGEST(**values)
    assert values["top"].view(np.float32).tolist() == [1.0, 1.0]


def test_arrays_live_until_the_call_is_over(monkeypatch):
    """Those that only the call itself holds too: a struct of addresses keeps nothing."""
    gone, seen = [], []
    values = arguments()
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            values[name] = value.copy()
            weakref.finalize(values[name], gone.append, name)
    entry = Entry("largest", declared(FIELDS))
    monkeypatch.setitem(vars(entry), "_function", lambda packed: seen.append(list(gone)) or 0)
    del value
    held, values = values, None

    def call(**kwargs):  # as a caller that hands temporaries over
        return entry(**{name: kwargs.pop(name) for name in list(kwargs)})

    call(**{name: held.pop(name) for name in list(held)})
    assert seen == [[]]
    assert set(gone) == {"revenue", "tolerance", "risk", "wanted", "top"}


def test_a_misaligned_matrix_of_the_user_is_copied():
    E = np.random.default_rng(0).lognormal(size=(50, 3)).astype(np.float32)
    given = misaligned(E)
    assert not given.flags.aligned
    problem = AllocationProblem(revenue=given, quota=[20, 20, 10], tolerance=np.ones(50, int), risk=[1, 1, 1])
    for lo, hi, block in problem.host_blocks():
        assert block.flags.aligned
        np.testing.assert_array_equal(block, E[lo:hi])


# -- errors ------------------------------------------------------------------------------------------------------------


NO_MEMORY = """
import resource, sys
import numpy as np
import passes
from ptofa_gpu.errors import OutOfMemoryError
from ptofa_gpu.ops import price
data = passes.customers(100, 2)
values = price.Customers(*data, np.zeros(2), 1.0, 1).part(0, 100)
out = {"counts": np.zeros(3, np.int64), "swaps": np.zeros((3, 3), np.int64), "value": np.zeros(2, np.int64)}
price._PRICE_PASS(**values, delta=np.zeros((3, 3)), **out)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)
before = {name: array.copy() for name, array in out.items()}
for threads in (10_000_000, 2**31 - 1):  # which have counts of their own
    try:
        price._PRICE_PASS(**{**values, "threads": threads}, delta=np.zeros((3, 3)), **out)
    except OutOfMemoryError as e:
        print(e)
price._PRICE_PASS(**values, delta=np.zeros((3, 3)), **out)
assert all((out[name] == 2 * before[name]).all() for name in out)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no RLIMIT_AS")
def test_memory_that_cannot_be_had_is_an_error_and_the_next_call_works(shared_tree):
    done = shared_tree.python(NO_MEMORY)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["price_pass", "price_pass"]


@pytest.mark.parametrize(("status", "error"), [(1, OutOfMemoryError), (2, EngineError), (7, EngineError)])
def test_a_status_is_an_error(monkeypatch, status, error):
    entry = Entry("largest", declared(FIELDS))
    monkeypatch.setitem(vars(entry), "_function", lambda packed: status)
    with pytest.raises(error, match="largest: "):
        entry(**arguments())


# -- the caller's floating-point mode ----------------------------------------------------------------------------------


def subnormal_pass():
    """Values that are subnormal as float32: with FTZ and DAZ all are zero."""
    rows = 60_000
    revenue = (np.arange(rows * 8, dtype=np.int32) % 1000).reshape(rows, 8).view(np.float32)
    level, risk = np.zeros(rows, np.int8), np.zeros(8, np.int8)
    offset, delta = np.full(8, -500.0), np.full((9, 9), 100.0)
    found = price.price_pass(revenue, level, risk, None, offset, 2.0**149, delta, 2)
    return [*found, *choices.choices(revenue, level, risk, None, offset, 2.0**149, 2)]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_callers_floating_point_mode_neither_matters_nor_changes(float_mode, monkeypatch, threads):
    monkeypatch.setenv("PTOFA_NUM_THREADS", threads)
    plain, before = subnormal_pass(), float_mode.get()
    assert plain[0][:-1].any()
    strange = float_mode.strange()
    float_mode.set(strange)
    try:
        other, after = subnormal_pass(), float_mode.get()
    finally:
        float_mode.set(before)
    assert after == strange
    for a, b in zip(plain, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_torch_flushing_subnormal_numbers_does_not_matter():
    torch = pytest.importorskip("torch")
    plain = subnormal_pass()
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush")
    try:
        other = subnormal_pass()
        assert torch.tensor([1e-320], dtype=torch.float64).mul(1.0).item() == 0.0, "still on"
    finally:
        torch.set_flush_denormal(False)
    for a, b in zip(plain, other, strict=True):
        np.testing.assert_array_equal(a, b)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5", " 2", "9" * 400])
def test_a_wrong_number_of_threads_is_refused(monkeypatch, threads):
    monkeypatch.setenv("PTOFA_NUM_THREADS", threads)
    with pytest.raises(ValueError, match="PTOFA_NUM_THREADS"):
        passes.digest(rows=100_000)


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("PTOFA_NUM_THREADS", "")
    assert _entry.most_threads() >= 1
