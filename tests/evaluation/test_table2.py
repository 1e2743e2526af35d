"""The paper's three campaigns: who is compared with whom, by which predictions and which allocator."""

import numpy as np
import pytest

from ptofa_gpu.datasets import lct
from ptofa_gpu.evaluation.ab_test import Arm, ab_test
from ptofa_gpu.evaluation.table2 import model_campaigns


@pytest.fixture(scope="module")
def world():
    data = lct("A", customers=900, seed=1)
    good = data.truth.revenue
    bad = np.random.default_rng(0).permutation(good.ravel()).reshape(good.shape)
    return data, bad, good


def test_who_is_compared_with_whom(world):
    data, bad, good = world
    problem = data.problem(good)
    found = model_campaigns(problem, data.truth, bad, good, priority=range(8), draws=20, device="cpu", seed=4)
    assert [(t.name, [a.name for a in t.arms]) for t in found.tests] == [
        ("P1", ["ESMM + manual", "ESMM + heuristic"]),
        ("P2", ["ESMM + heuristic", "PTOFA + heuristic"]),
        ("P3", ["ESMM + manual", "PTOFA + heuristic", "PTOFA + optimal"]),
    ]
    assert [t.baseline for t in found.tests] == ["ESMM + manual", "ESMM + heuristic", "ESMM + manual"]
    second = ab_test(
        problem,
        data.truth,
        {"ESMM + heuristic": Arm(bad, "heuristic"), "PTOFA + heuristic": Arm(good, "heuristic")},
        name="P2",
        draws=20,
        device="cpu",
        seed=6,
    )
    assert found.tests[1].arms == second.arms
    assert found.tests[1].lifts == second.lifts
    plans = found.tests[2].plans
    assert [p.method for p in plans.values()] == ["manual", "heuristic", "optimal"]
    # the arm that knows the truth earns more by it than the one that guesses
    assert found.tests[1]["PTOFA + heuristic"].true_rpme > 1.2 * found.tests[1]["ESMM + heuristic"].true_rpme
    assert len(found.to_frame()) == 7
    assert len(found.words()) == 8
    assert found._repr_html_().count("<table") == 3


def test_the_order_of_manual_work_is_the_callers(world):
    data, bad, good = world
    runs = [
        model_campaigns(data.problem(good), data.truth, bad, good, priority=order, draws=5, device="cpu").tests[0]
        for order in (range(8), range(7, -1, -1))
    ]
    assert runs[0]["ESMM + manual"].true_rpme != runs[1]["ESMM + manual"].true_rpme
    assert runs[0]["ESMM + heuristic"].true_rpme == runs[1]["ESMM + heuristic"].true_rpme
