"""No wrong call ends in an exception of somebody else's; `python -m tests.fuzz --calls 5000` looks for longer."""

from __future__ import annotations

import io
import json
import os

import pytest

from ptofa_gpu.errors import InputError
from tests.fuzz.__main__ import run
from tests.fuzz.kinds import Call
from tests.fuzz.worker import Slow, make

CALLS = int(os.environ.get("PTOFA_FUZZ_CALLS", "500"))


@pytest.mark.slow
def test_wrong_calls_end_in_errors_of_ours() -> None:
    faults = run(CALLS)
    assert not faults, "\n".join(f"{f['place']}: {f['call']}({f['damage']}): {f['message']}" for f in faults)


@pytest.mark.parametrize(
    ("raised", "place"),
    [
        (InputError("wrong"), None),
        (KeyError("a"), "the call of it KeyError"),
        (MemoryError(), "the call of it MemoryError"),
        (Slow("20 s"), "the call of it tests.Slow"),
    ],
)
def test_what_counts_as_a_fault(raised: BaseException, place: str | None) -> None:
    def wrong() -> None:
        raise raised

    log = io.StringIO()
    make(Call("it", "here", wrong, dict), {}, {"index": 0}, log, valid=False)
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [f["place"] for f in told if "place" in f] == ([] if place is None else [place])


def test_a_valid_call_may_not_be_refused() -> None:
    def refuses() -> None:
        raise InputError("wrong")

    log = io.StringIO()
    make(Call("it", "here", refuses, dict), {}, {"index": -1}, log, valid=True)
    assert "ptofa_gpu.InputError" in log.getvalue()
