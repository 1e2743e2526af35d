import math

import numpy as np
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation import compare


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    n = 300
    return ptofa.AllocationProblem(
        revenue=rng.lognormal(0, 1, (n, 4)) * [3, 1, 1, 0.5],
        quota=[75] * 4,
        tolerance=rng.integers(1, 4, n),
        risk=[1, 1, 2, 3],
        names=["<b>bold</b>", "b", "c", "d"],
    )


def test_table_is_what_the_plans_say(problem):
    truth = np.asarray(problem.revenue) * 2
    c = compare(problem, ("reference", "heuristic", "manual", "topk", "random"), truth=truth)
    ref = c["reference"]
    assert c.bound == pytest.approx(ref.objective, rel=1e-6)
    assert ref.share == pytest.approx(1.0, abs=1e-6)
    assert c["random"].objective < c["heuristic"].objective <= ref.objective * (1 + 1e-9)
    # a plan that does not deliver everything is outside what the bound speaks of
    assert c["manual"].under_quota == c["manual"].unfilled > 0
    assert not c["manual"].meets_quotas
    assert c["heuristic"].meets_quotas
    assert c["topk"].over_quota > 0
    assert not c["topk"].keeps_quotas
    assert c["topk"].share > 1
    for name in ("reference", "heuristic", "manual", "random"):
        assert c[name].keeps_quotas
        assert c[name].true_revenue == pytest.approx(2 * c[name].objective, rel=1e-5)
    assert c.lift("reference", "manual") == pytest.approx(ref.objective / c["manual"].objective - 1)
    assert list(c.to_frame()["method"]) == ["reference", "heuristic", "manual", "topk", "random"]
    assert "true revenue" in c._repr_html_()
    # what breaks quotas has no share of the optimum in the table; the file keeps the figure
    assert '<td style="text-align:right">— (breaks quotas)</td>' in c._repr_html_()
    assert c.to_frame().set_index("method").loc["topk", "share"] == c["topk"].share


def test_a_truth_of_any_kind_is_taken(problem):
    import pandas as pd

    truth = np.asarray(problem.revenue) * 2
    frame = compare(problem, ("random",), truth=pd.DataFrame(truth))
    assert frame["random"].true_revenue == compare(problem, ("random",), truth=truth)["random"].true_revenue


def test_without_a_certificate_there_is_no_share(problem):
    c = compare(problem, ("random",))
    assert math.isnan(c["random"].share)
    assert "—" in c._repr_html_()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"methods": ()}, "at least one"),
        ({"methods": ("topk", "topk")}, "once"),
        ({"methods": ("topk",), "options": {"manual": {}}}, "not among the methods"),
        ({"methods": ("topk",), "truth": np.ones((2, 2))}, "truth is an array of float64 of shape"),
    ],
)
def test_bad_input(problem, args, words):
    with pytest.raises(InputError, match=words):
        compare(problem, **args)
