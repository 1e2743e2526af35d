"""The optimum by prices against OR-Tools' min-cost flow and brute force, on instances as nasty as they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InfeasibleError, InputError
from tests.allocation.oracles import brute_force, check_limits, low_ends, min_cost_flow_value, plan_value
from tests.allocation.strategies import general_instances, instances

any_rules = st.one_of(instances(), general_instances())
quick = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def same_value(problem, plan, best):
    got = plan_value(problem.revenue, plan.funds, low_ends(problem))
    assert (got.exposures, got.towards_low) == (best.exposures, best.towards_low)
    assert float(got.revenue) == pytest.approx(float(best.revenue), rel=1e-9, abs=1e-9 * problem.max_revenue)


@settings(quick, max_examples=400)
@given(any_rules)
def test_equals_min_cost_flow(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax").verify()
    check_limits(problem, plan.funds)
    same_value(problem, plan, min_cost_flow_value(problem))
    assert plan.status == ("optimal" if problem.feasibility().ok else "infeasible")
    assert plan.bound >= plan.objective - 1e-12 * abs(plan.objective)
    assert abs(plan.bound - plan.objective) <= 1e-9 * max(abs(plan.objective), problem.max_revenue)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(instances(400, 40), general_instances(400, 40)))
def test_equals_min_cost_flow_on_larger_instances(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax").verify()
    same_value(problem, plan, min_cost_flow_value(problem))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(instances(60, 8, 4, cases=("under",), revenues=("few", "alike", "signed")))
def test_slots_that_stay_empty_are_filled_again_with_what_was_given_up(arguments):
    """Who gives a fund up for another while a slot stays empty could have the first one back besides."""
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax").verify()
    same_value(problem, plan, min_cost_flow_value(problem))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(any_rules)
def test_every_stage_is_exact(narrow, arguments):
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax").verify()
    same_value(problem, plan, min_cost_flow_value(problem))
    assert abs(plan.bound - plan.objective) <= 1e-9 * max(abs(plan.objective), problem.max_revenue)


# revenue that would lure a sample's search to a price of 2^53 units for the last fund, of which there is none to be had
LOSSES = (
    "457812782374373465117775734713148244825317134418681635836238453145473578416574314677"
    "257337556587125716777257324127677834538176364783426677888214387455814648874816326782"
    "773177422473166254516354513674165624873617338572781223318387267224144654254766533453"
    "211243236385288727676538863551145232853783877582184463677186628482175488167655532468"
    "821867737664346511245873568462484173484327252766438741244384723225246755372615333773"
    "518835571575518236455218726562668342114262653488382736674881116321851363736176561541"
)


def test_prices_do_not_run_away(narrow):
    revenue = -np.array(list(LOSSES), np.float32).reshape(42, 12)
    problem = ptofa.AllocationProblem(revenue, [0, 42, 2, 0, 0, 0, 4, 15, 19, 0, 9, 0])
    plan = ptofa.allocate(problem, "optimal", device="cpu").verify()
    same_value(problem, plan, min_cost_flow_value(problem))


@pytest.mark.parametrize("funds", [2046, 2047, 2048, 5000])
@pytest.mark.parametrize("bought", [30, 40, 55])
def test_thousands_of_funds(funds, bought):
    """A fund's number and a value share 64 bits; quotas of one, so that the plan is an assignment."""
    rng = np.random.default_rng(funds)
    revenue = rng.random((40, funds)).astype(np.float32)
    for_sale = rng.choice(funds, bought, replace=False)
    revenue[:, for_sale[:5]] += 1.0
    problem = ptofa.AllocationProblem(revenue, np.isin(np.arange(funds), for_sale).astype(np.int64))
    plan = ptofa.allocate(problem, "optimal", device="cpu").verify()
    best = revenue[:, for_sale].astype(np.float64)
    assert plan.status == "optimal"
    assert plan.objective == pytest.approx(best[linear_sum_assignment(best, maximize=True)].sum(), rel=1e-9)
    assert plan.bound == pytest.approx(plan.objective, rel=1e-9)
    if bought == 55:
        shown = plan.assign(revenue)[:, 0]
        assert (revenue - plan.price)[np.arange(40), shown] == pytest.approx((revenue - plan.price).max(1))


@settings(max_examples=60, deadline=None)
@given(st.one_of(instances(6, 3, 3), general_instances(6, 3, 3)))
def test_is_the_best_of_all_plans(arguments):
    problem = ptofa.AllocationProblem(**arguments)
    plan = ptofa.allocate(problem, "optimal", device="cpu", on_infeasible="relax")
    same_value(problem, plan, brute_force(problem))


def campaign(customers, funds=8, k=1, seed=0, round_to=None):
    """Long-tailed revenue, risk limits, and quotas that a random plan delivers."""
    rng = np.random.default_rng(seed)
    E = rng.lognormal(rng.normal(0, 1, (customers, 1)), 1.2, (customers, funds)).astype(np.float32)
    if round_to:
        magnitude = 10.0 ** (round_to - 1 - np.floor(np.log10(E)))
        E = (np.round(E * magnitude) / magnitude).astype(np.float32)
    tolerance = rng.choice(np.arange(1, 6), customers, p=[0.1, 0.2, 0.35, 0.25, 0.1])
    risk = np.sort(rng.integers(1, 6, funds))
    risk[: max(k, 2)] = 1
    noise = np.where(tolerance[:, None] >= risk, rng.gumbel(size=E.shape) + rng.normal(0, 0.7, funds), -np.inf)
    quota = np.bincount(np.argpartition(-noise, k - 1, axis=1)[:, :k].ravel(), minlength=funds)
    return ptofa.AllocationProblem(E, quota, k, tolerance, risk)


@pytest.mark.parametrize(
    ("customers", "funds", "k", "round_to"),
    [
        (30_000, 8, 1, None),
        (30_000, 8, 3, None),
        (10_000, 64, 1, None),
        (3_000, 200, 16, None),
        (30_000, 8, 1, 1),
        (30_000, 8, 1, 2),
        (10_000, 8, 2, 1),
    ],
)
def test_equals_the_reference_beyond_one_sample(customers, funds, k, round_to):
    problem = campaign(customers, funds, k, round_to=round_to)
    plan = ptofa.allocate(problem, "optimal", device="cpu").verify()
    best = ptofa.allocate(problem, "reference")
    assert plan.objective == pytest.approx(best.objective, rel=1e-9)
    assert plan.status == "optimal"
    assert 0 <= plan.gap <= 1e-9


@pytest.mark.parametrize("k", [1, 3])
def test_ranges_own_slots_and_excluded_pairs_beyond_one_sample(k):
    whole = campaign(20_000, 12, k)
    rng = np.random.default_rng(1)
    slots = rng.integers(0, k + 1, whole.n_customers) if k > 1 else (rng.random(whole.n_customers) < 0.9).astype(int)
    share = int(slots.sum()) / int(whole.quota.sum())
    quota = np.stack([(whole.quota * (share * 0.7)).astype(int), (whole.quota * (share * 1.4)).astype(int)], axis=1)
    quota[3] = quota[3, 0]
    excluded = np.stack([rng.integers(0, whole.n_customers, 3_000), rng.integers(k + 1, 12, 3_000)], axis=1)
    problem = ptofa.AllocationProblem(whole.revenue, quota, slots, whole.tolerance, whole.risk, excluded=excluded)
    plan = ptofa.allocate(problem, "optimal", device="cpu").verify()
    best = ptofa.allocate(problem, "reference")
    assert (plan.status, plan.gap) == ("optimal", pytest.approx(0, abs=1e-9))
    assert plan.objective == pytest.approx(best.objective, rel=1e-9)
    assert (plan.exposures == quota[:, 0]).any()  # some low end holds
    assert (plan.exposures == quota[:, 1]).any()


@pytest.mark.parametrize("kind", ["constant", "zero", "100 rows", "one dominates"])
def test_ties_in_bulk(kind):
    problem = campaign(30_000)
    E = problem.revenue.copy()
    if kind == "constant":
        E[:] = 3.0
    elif kind == "zero":
        E[:] = 0.0
    elif kind == "100 rows":
        E = E[np.random.default_rng(0).integers(0, 100, len(E))]
    else:
        E[17] *= 1e9
    problem = ptofa.AllocationProblem(E, problem.quota, 1, problem.tolerance, problem.risk)
    plan = ptofa.allocate(problem, "optimal", device="cpu").verify()
    best = ptofa.allocate(problem, "reference")
    assert plan.objective == pytest.approx(best.objective, rel=1e-9, abs=0)
    assert plan.status == "optimal"


@pytest.mark.parametrize("share", [0.6, 1.3])
def test_fewer_and_more_exposures_than_slots(share):
    problem = campaign(20_000)
    quota = np.round(problem.quota * share).astype(int)
    problem = ptofa.AllocationProblem(problem.revenue, quota, 1, problem.tolerance, problem.risk)
    plan = ptofa.allocate(problem, "optimal", device="cpu").verify()
    assert plan.objective == pytest.approx(ptofa.allocate(problem, "reference").objective, rel=1e-9)
    assert plan.status == "optimal"


def test_a_fund_that_no_one_wants_has_a_negative_price():
    E = np.array([[2.0, -1.0], [2.0, -3.0], [2.0, -2.0]], np.float32)
    plan = ptofa.allocate(ptofa.AllocationProblem(E, quota=[1, 1]), "optimal").verify()
    assert plan.objective == 1.0
    assert plan.funds[0, 0] == 1
    assert plan.price[1] < 0


def test_same_plan_for_any_number_of_threads(monkeypatch):
    problem = campaign(120_000, round_to=2)
    plans = []
    for n in (1, 2, 5):
        monkeypatch.setenv("PTOFA_NUM_THREADS", str(n))
        plans.append(ptofa.allocate(problem, "optimal", device="cpu"))
    np.testing.assert_array_equal(plans[0].funds, plans[1].funds)
    np.testing.assert_array_equal(plans[0].price, plans[1].price)
    assert plans[0].bound == plans[1].bound


def test_warm_start_gives_the_same_optimum():
    problem = campaign(60_000)
    cold = ptofa.allocate(problem, "optimal", device="cpu")
    warm = ptofa.allocate(problem, "optimal", device="cpu", warm_start=cold.price).verify()
    assert warm.objective == cold.objective
    far = ptofa.allocate(problem, "optimal", device="cpu", warm_start=np.arange(8) * 100.0).verify()
    assert far.objective == pytest.approx(cold.objective, rel=1e-12)


@pytest.mark.parametrize("price", [1e300, -1e300, 1e25])
def test_a_warm_start_beyond_reason_gives_the_same_optimum(price):
    problem = campaign(30_000, seed=2)
    cold = ptofa.allocate(problem, "optimal", device="cpu")
    far = np.where(np.arange(8) % 3 == 0, price, 1.0)
    warm = ptofa.allocate(problem, "optimal", device="cpu", warm_start=far).verify()
    assert warm.objective == cold.objective


@pytest.mark.parametrize("price", [np.zeros(3), np.full(8, np.nan)])
def test_bad_warm_start(price):
    with pytest.raises(InputError, match="one finite price for each of the 8 funds"):
        ptofa.allocate(campaign(100), "optimal", warm_start=price)


def test_time_limit_still_gives_a_feasible_plan():
    problem = campaign(30_000, k=2)
    plan = ptofa.allocate(problem, "optimal", device="cpu", time_limit=0.0).verify()
    assert plan.status == "time_limit"
    assert plan.unfilled == 0
    assert plan.bound >= plan.objective
    best = ptofa.allocate(problem, "optimal", device="cpu")
    assert plan.bound >= best.objective >= plan.objective


def test_infeasible_is_refused():
    eligible = np.ones((4, 2), bool)
    eligible[0] = False
    problem = ptofa.AllocationProblem(np.ones((4, 2)), [2, 2], eligible=eligible)
    with pytest.raises(InfeasibleError, match="1 may see none"):
        ptofa.allocate(problem)


def test_samples_are_every_nth_row():
    from ptofa_gpu.ops._rows import every

    whole = np.arange(20, dtype=np.int8)
    some, nothing = every(0, 3, whole, None)
    assert nothing is None
    np.testing.assert_array_equal(some, [0, 3, 6, 9, 12, 15, 18])
    assert some.flags.c_contiguous
    assert every(0, 1, whole)[0] is whole
