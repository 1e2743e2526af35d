import math

import pytest

from ptofa_gpu.prediction.degeneracy import degeneracy

FINE = {"conversion_ratio": 1.0, "logit_range": 5.0, "auc": 0.7, "total_ratio": 1.1}


@pytest.mark.parametrize(
    ("change", "conversions", "words"),
    [
        ({}, 500, None),
        ({"conversion_ratio": 84.0}, 500, "sum P / sum C"),
        ({"conversion_ratio": 4.0}, 2, None),
        ({"logit_range": 1e-4}, 500, "same conversion probability"),
        ({"logit_range": math.nan}, 500, "diverged"),
        ({"auc": 0.501}, 500, "no better than chance"),  # logits differ, and say nothing
        ({"auc": 0.501}, 20, None),  # too few conversions to tell
        ({"auc": 0.55}, 500, None),
        ({"auc": 0.2}, 500, None),  # the wrong way round, but not collapsed
        ({"auc": math.nan, "conversion_ratio": math.nan}, 0, None),
        ({"total_ratio": 900.0}, 500, "sum E / sum R"),
        ({"total_ratio": 0.001}, 500, "sum E / sum R"),
        ({"total_ratio": math.inf}, 500, "not finite"),
        ({"total_ratio": 900.0}, 5, None),
    ],
)
def test_what_is_wrong_is_said(change, conversions, words):
    said = degeneracy(FINE | change, conversions)
    assert said is None if words is None else words in said


@pytest.mark.parametrize(
    "change", [{"conversion_ratio": 84.0}, {"logit_range": 1e-4}, {"auc": 0.5}, {"total_ratio": 99.0}]
)
def test_the_words_name_the_rows(change):
    assert "validation rows" in degeneracy(FINE | change, 500)
    assert "training rows" in degeneracy(FINE | change, 500, rows="training")


def test_a_method_without_conversions_is_judged_by_its_revenue_alone():
    metrics = dict.fromkeys(FINE, math.nan) | {"total_ratio": 1.0}
    assert degeneracy(metrics, 500, converts=False) is None
    assert "sum E / sum R" in degeneracy(metrics | {"total_ratio": 1e6}, 500, converts=False)
