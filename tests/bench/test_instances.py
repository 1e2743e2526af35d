"""Instances: the same numbers from the same seed, a plan that meets the quotas, ties of the kind that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptofa_gpu.bench import instances
from ptofa_gpu.bench.instances import TIES, Instance, generate, load, parse_size, store
from ptofa_gpu.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"),
    [("20000x8", (20_000, 8)), ("200kx64", (200_000, 64)), ("10Mx8", (10_000_000, 8)), ("1_000,000X3", (1_000_000, 3))],
)
def test_sizes_are_read(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "20000", "x8", "20000x", "2.5kx8", "0x8", "8x0", "-5x8", "20000 x 8", "5Gx8"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="size"):
        parse_size(text)


@pytest.mark.parametrize("wrong", [{"k": 9}, {"customers": 0}, {"ties": "some"}, {"seed": -1}])
def test_instances_without_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError):
        Instance(**{"customers": 10, "funds": 8, **wrong})


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(("funds", "k"), [(1, 1), (8, 1), (8, 3), (20, 20)])
def test_every_instance_has_a_plan_that_fills_all_slots(ties: str, funds: int, k: int) -> None:
    made = generate(Instance(300, funds, k, ties))
    problem = made.problem()
    assert problem.case == "exact"
    assert problem.feasibility().ok
    assert made.revenue.dtype == np.float32
    assert np.isfinite(made.revenue).all()


def test_the_kinds_of_ties_are_what_they_are_called() -> None:
    plain = generate(Instance(2_000, 8)).revenue
    tied = {t: generate(Instance(2_000, 8, ties=t)).revenue for t in TIES}
    assert (tied["none"] == plain).all()
    assert len(np.unique(plain)) > 15_000
    for ties, digits in (("1digit", 1), ("2digit", 2)):
        exponent = np.floor(np.log10(tied[ties].astype(np.float64)) + 1e-6)
        lead = tied[ties] / 10.0 ** (exponent - digits + 1)
        np.testing.assert_allclose(lead, np.rint(lead), rtol=1e-5)
        assert np.abs(tied[ties] / plain - 1).max() <= 0.5 / 10 ** (digits - 1) + 1e-6
    assert len(np.unique(tied["rows100"], axis=0)) == 100
    assert (tied["constant"] == 1).all()
    assert (tied["zero"] == 0).all()
    # the quotas are the same: what differs in time is due to the ties
    assert (generate(Instance(2_000, 8, ties="zero")).quota == generate(Instance(2_000, 8)).quota).all()


def test_same_seed_same_numbers_in_memory_and_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "_CELLS", 1_000)  # several blocks
    instance = Instance(1_001, 8, 2, "rows100", seed=3)
    first = generate(instance)
    store(instance, tmp_path)
    second = load(tmp_path)
    for name in ("revenue", "quota", "tolerance", "risk", "k"):
        assert (getattr(first, name) == getattr(second, name)).all() if name != "k" else first.k == second.k
    assert (generate(Instance(1_001, 8, 2, "rows100", seed=4)).revenue != first.revenue).any()
    # blocks have seeds of their own: no two hold the same customers
    assert len(np.unique(generate(Instance(1_001, 8)).revenue[:, 0])) == 1_001
