"""The figure and the page of a table of models."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ptofa_gpu.errors import InputError
from ptofa_gpu.reporting.figures.models import model_chart
from ptofa_gpu.reporting.html import remote_references
from ptofa_gpu.reporting.model_page import write_model_page
from tests.evaluation.runs import table

VALUES = {
    "pays $5 or $6 <b>": {"auc": [0.7, 0.71], "mse": [3.0, 3.1], "total_ratio": [0.9, 1.2]},
    "ziln": {"auc": [0.6, 0.75], "mse": [2.0, 2.1], "total_ratio": [1.0, 1.01]},
    "dnn_r": {"auc": [math.nan, math.nan], "mse": [4.0, 4.1], "total_ratio": [1.3, 1.4]},
}


def test_the_figure_says_who_is_best_and_who_is_tied() -> None:
    chart = model_chart(table(VALUES))
    assert "AUC: pays $5 or $6 <b> 0.7050 ± 0.0071 is best, 1 tied with it" in chart.alt
    assert "sum E / sum R: ziln" in chart.alt
    assert len(chart.figure.axes) == 2
    assert chart.render("png") == model_chart(table(VALUES)).render("png")


def test_metrics_can_be_chosen() -> None:
    assert len(model_chart(table(VALUES), ["mse"]).figure.axes) == 1
    for wrong, message in ((["gini"], "there is no gini"), ([], "1 to 4"), (["mse"] * 5, "1 to 4")):
        with pytest.raises(InputError, match=message):
            model_chart(table(VALUES), wrong)


def test_the_page_needs_no_network_and_escapes(tmp_path: Path) -> None:
    page = write_model_page({"lct-a": table(VALUES), "cdnow": table(VALUES)}, tmp_path / "p.html").read_text()
    assert remote_references(page) == []
    assert '<b>"' not in page
    assert "$6 <b>" not in page
    assert page.count("Against the paper") == 1  # only worlds in the shape of its data
    assert page.count("<img") == 2
