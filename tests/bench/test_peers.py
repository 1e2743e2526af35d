"""Every exact peer finds the optimum on small instances, whatever the quotas, and a stopped one says so."""

from __future__ import annotations

import numpy as np
import pytest

from ptofa_gpu import AllocationProblem, allocate
from ptofa_gpu.bench import peers
from ptofa_gpu.bench.instances import Instance, generate
from ptofa_gpu.bench.peers import METHODS, check_methods, memory_needed, require_package
from ptofa_gpu.errors import InputError, MissingPackageError

EXACT = [name for name, method in METHODS.items() if method.exact]


def solved(name: str, problem: AllocationProblem):
    plan = METHODS[name].solve(problem, "cpu", None)
    plan.verify()
    return plan


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("ties", ["none", "1digit", "constant", "zero"])
def test_exact_methods_agree(name: str, k: int, ties: str) -> None:
    if METHODS[name].one_slot and k > 1:
        pytest.skip("one slot a customer only")
    made = generate(Instance(120, 6, k, ties, seed=5))
    best = allocate(made.problem(), device="cpu")
    assert best.status == "optimal"
    plan = solved(name, made.problem())
    assert plan.objective == pytest.approx(best.objective, rel=1e-9, abs=1e-9)
    assert plan.unfilled == 0
    assert (plan.exposures == made.quota).all()


@pytest.mark.parametrize("name", [n for n in EXACT if n != "optimal"])
@pytest.mark.parametrize("change", [-7, 9])
def test_exact_methods_agree_where_quotas_are_fewer_or_more_than_slots(name: str, change: int) -> None:
    made = generate(Instance(80, 5, 1, seed=2))
    quota = made.quota.copy()
    quota[0] = max(0, quota[0] + change)
    problem = AllocationProblem(made.revenue, quota, 1, made.tolerance, made.risk)
    assert problem.case == ("under" if change < 0 else "over")
    best = allocate(problem, device="cpu").objective
    assert solved(name, problem).objective == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("name", ["pot-emd", "scip", "cbc"])
def test_negative_revenue_is_revenue(name: str) -> None:
    rng = np.random.default_rng(0)
    problem = AllocationProblem(rng.normal(size=(40, 3)).astype(np.float32), [10, 12, 18])
    best = allocate(problem, device="cpu").objective
    assert solved(name, problem).objective == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("name", ["scip", "cbc", "highs-mip"])
def test_a_solver_that_stops_at_the_time_limit_says_so(name: str) -> None:
    plan = METHODS[name].solve(generate(Instance(1_500, 8)).problem(), "cpu", 0.02)
    assert plan.status == "time_limit"


def test_methods_by_name() -> None:
    assert check_methods(["scip", "optimal", "scip"]) == ["optimal", "scip"]
    with pytest.raises(InputError, match="did you mean 'heuristic'"):
        check_methods(["heuristik"])
    with pytest.raises(InputError, match="no method"):
        check_methods([])


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pot-emd needs the package pot.*ptofa-gpu\[bench\]"):
        require_package("pot-emd")
    require_package("optimal")  # it needs nothing more


def test_memory_grows_with_the_pairs() -> None:
    for name in METHODS:
        assert memory_needed(name, 1_000_000, 64) > memory_needed(name, 1_000_000, 8) > 4 * 8_000_000
