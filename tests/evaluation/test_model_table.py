"""Tables of models: means and spreads, what is a tie and what is not, and faces that are safe to show."""

from __future__ import annotations

import math
import statistics

import pytest

from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation.model_runs import ModelRun
from ptofa_gpu.evaluation.model_table import ModelTable
from ptofa_gpu.evaluation.paper_order import PAPER_TABLE, against_paper
from tests.evaluation.runs import run, table


def test_mean_spread_best_and_tied() -> None:
    # b is best; c differs from it by less than that difference varies; a is worse with every seed
    found = table({"a": {"auc": [0.60, 0.70]}, "b": {"auc": [0.65, 0.76]}, "c": {"auc": [0.67, 0.73]}})
    a, b, c = (found.cell(m, "auc") for m in "abc")
    assert b.mean == pytest.approx(0.705)
    assert b.spread == pytest.approx(statistics.stdev([0.65, 0.76]))
    assert (a.best, a.tied, b.best, b.tied, c.best, c.tied) == (False, False, True, False, False, True)
    assert [found.compare(x, y, "auc") for x, y in ("ab", "ba", "bc")] == ["worse", "better", "tie"]


def test_ties_are_of_paired_differences() -> None:
    """Seeds that are hard for all do not make a tie: b is better by 0.01 with each of them."""
    found = table({"a": {"auc": [0.5, 0.7, 0.9]}, "b": {"auc": [0.51, 0.711, 0.91]}})
    assert found.cell("a", "auc").spread > 10 * 0.01
    assert found.compare("a", "b", "auc") == "worse"
    assert not found.cell("a", "auc").tied


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        ("auc", "high"),
        ("mse", "low"),
        ("total_ratio", "near"),
        ("pairs_ratio", "near"),
        ("ratio_all_pairs", "near"),
        ("decision_value", "high"),
    ],
)
def test_which_values_are_good_depends_on_the_metric(metric: str, best: str) -> None:
    values = {"low": [0.5, 0.51], "near": [0.95, 0.96], "high": [1.2, 1.21]}
    found = table({m: {metric: v} for m, v in values.items()})
    assert [m for m in values if found.cell(m, metric).best] == [best]


def test_one_seed_names_no_winner() -> None:
    found = table({"a": {"auc": [0.6]}, "b": {"auc": [0.9]}})
    assert not any(found.cell(m, "auc").best or found.cell(m, "auc").tied for m in "ab")
    assert found.compare("a", "b", "auc") == ""
    assert "nothing is called best" in found.caption()


def test_a_method_that_fails_with_one_seed_is_not_best() -> None:
    found = table({"a": {"auc": [0.6, 0.61]}, "b": {"auc": [0.9, math.nan]}, "c": {"auc": [0.5, 0.5]}})
    assert found.cell("a", "auc").best
    assert math.isnan(found.cell("b", "auc").mean)
    assert found.text("b", "auc") == "—"


def test_only_runs_of_the_chosen_setting_count() -> None:
    tried = [run("a", 0, {"lr": 0.01}, auc=0.1), run("a", 0, auc=0.8), run("a", 1, auc=0.9), run("b", 0, auc=0.7)]
    found = ModelTable(tried, {"a": {"lr": 0.002}, "b": {"lr": 0.002}}, "d", "CNY")
    assert found.cell("a", "auc").mean == pytest.approx(0.85)
    assert found.seeds == [0, 1]
    assert found.seconds_per_epoch("a") == 1.0


def test_the_frame_holds_it_all() -> None:
    found = table({"a": {"auc": [0.6, 0.7], "mse": [3.0, 4.0]}, "b": {"auc": [0.5, 0.4], "mse": [math.nan] * 2}})
    frame = found.to_frame()
    assert list(frame.columns) == [
        *("data", "method", "metric", "mean", "spread", "seeds", "best", "tied", "seconds_per_epoch", "lr")
    ]
    assert len(frame) == 4
    first = frame[(frame.method == "a") & (frame.metric == "auc")].iloc[0]
    assert (first["mean"], first["seeds"], first["best"], first["lr"]) == (pytest.approx(0.65), 2, True, 0.002)


def test_html_escapes_and_marks() -> None:
    bad = "<script>x</script>"
    found = table({bad: {"auc": [0.8, 0.81]}, "b": {"auc": [0.79, 0.83]}, "c": {"auc": [0.1, 0.2]}})
    found.runs[0].notes.append("<i>odd</i>")
    page = found._repr_html_()
    assert "<script>" not in page
    assert "<i>odd" not in page
    assert page.count("<b>") == 1
    assert page.count("≈") == 2  # the mark, and what it means
    assert "0.8050 ± 0.0071" in page
    assert "2 seeds tell little" in page
    assert "lr 0.002" in page


def test_names_say_which_pairs_are_meant() -> None:
    found = table({"a": {"auc_pairs": [0.7], "auc_all_pairs": [0.6], "pairs_ratio": [1.0], "ratio_all_pairs": [1.4]}})
    for metric in ("auc_pairs", "pairs_ratio"):
        assert found.words(metric).endswith("pairs that may be shown")
    for metric in ("auc_all_pairs", "ratio_all_pairs"):
        assert found.words(metric).endswith("all pairs")
    page = found._repr_html_()
    assert page.index("All pairs, logged or not") < page.index("0.6") < page.index("pairs that may be shown")


def test_the_caption_says_on_which_rows_models_were_fitted_afterwards() -> None:
    """The adjustment to all pairs is made on training rows, too: not every model is calibrated on validation rows."""
    caption = table({"a": {"auc": [0.6]}}).caption()
    assert "calibration on validation rows" in caption
    assert "debias=adjust) on training and validation rows" in caption


def test_runs_survive_json() -> None:
    import json

    one = run("a", 3, auc=0.5, mse=math.nan)
    again = ModelRun.from_json(json.loads(json.dumps(one.to_json())))
    assert math.isnan(again.metrics.pop("mse"))
    one.metrics.pop("mse")
    assert again == one


def test_a_table_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least one run"):
        ModelTable([], {}, "d", "")


# -- against the paper ---------------------------------------------------------------------------------------------
def test_the_papers_table_is_copied_right() -> None:
    """PTOFA is best under every metric of both of its data sets, as the paper says."""
    for rows in PAPER_TABLE.values():
        best = rows["ptofa(debias=none)"]
        for i, sign in enumerate((-1, 1, 1)):
            others = [sign * v[i] for m, v in rows.items() if m != "ptofa(debias=none)" and v[i] is not None]  # type: ignore[operator]
            assert all(sign * best[i] < x for x in others)  # type: ignore[operator]


def test_orders_that_hold_tie_and_are_reversed() -> None:
    found = table(
        {
            "dnn_c": {"auc": [0.70, 0.70], "mae": [9.0, 9.0], "mae_zero": [5.0, 5.0]},
            "esmm": {"auc": [0.68, 0.69], "mae": [9.0, 9.0], "mae_zero": [5.0, 5.0]},  # paper: above dnn_c
            "ziln": {"auc": [0.75, 0.77], "mae": [4.0, 4.1], "mae_zero": [5.0, 5.0]},  # paper: above dnn_c
            "ptofa(debias=none)": {"auc": [0.76, 0.761], "mae": [6.0, 6.1], "mae_zero": [5.0, 5.0]},
        }
    )
    order = against_paper(found, "A")
    seen = {(p.metric, p.better, p.worse): p.found for p in order.pairs}
    ours = "ptofa(debias=none)"
    assert seen[("auc", "esmm", "dnn_c")] == "reversed"
    assert seen[("auc", "ziln", "dnn_c")] == "holds"
    assert seen[("auc", ours, "ziln")] == "tie"
    assert seen[("mae", ours, "ziln")] == "reversed"
    assert len([k for k in seen if k[0] == "auc"]) == 6
    assert (order.count("reversed", "auc"), order.count("reversed")) == (2, 3)
    text = "\n".join(order.sentences())
    assert "AUC: the paper has 6 orders; here 3 hold, ties are 1, the other way round 2" in text
    assert "dnn_c before esmm" in text
    assert "predicting 0 for everybody has 5 CNY, less than 3 of the methods" in text
    assert "counterfactual term" in text
    assert "with any seed their AUC differ by at most 0.01" in text
    assert "orders lie within the spread over 2 seeds" in text
    assert "4 of 4 did best on validation rows below 0.01" in text


def test_without_spread_nothing_is_compared() -> None:
    order = against_paper(table({"dnn_c": {"auc": [0.7]}, "esmm": {"auc": [0.6]}}), "B")
    assert order.pairs == ()
    assert "at least two seeds" in order.sentences()[0]
    with pytest.raises(InputError, match="kind is 'C'"):
        against_paper(table({"a": {"auc": [0.7]}}), "C")  # type: ignore[arg-type]
