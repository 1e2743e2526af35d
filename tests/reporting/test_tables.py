import math
from pathlib import Path

import pandas as pd

from ptofa_gpu.prediction.training import FitResult
from ptofa_gpu.reporting import Table, TrainingTable


def table(**validation):
    rows = [{"epoch": float(i), "seconds": 1.0, "train_loss": 0.5 - i / 10} for i in range(3)]
    for name, values in validation.items():
        for row, value in zip(rows, values):
            row[name] = value
    return TrainingTable(FitResult(rows, 1, Path("best"), Path("last"), 3.0, "cpu"))


def test_epochs_count_from_one_everywhere():
    t = table(val_loss=[0.4, 0.3, 0.35], val_auc=[0.6, 0.7, 0.8])
    assert t.kept == 2
    assert t.curves("train_loss", "val_loss")["validation loss"] == ([1, 2, 3], [0.4, 0.3, 0.35])
    frame = t.to_frame()
    assert list(frame["epoch"]) == [1, 2, 3]
    assert list(frame["kept"]) == [False, True, False]
    rows = t._repr_html_().split("<tr>")[2:]
    assert [">" + str(i) + "<" in row for i, row in enumerate(rows, 1)] == [True] * 3
    assert ["✓" in row for row in rows] == [False, True, False]
    assert "lowest validation loss" in t._repr_html_()
    assert "val_" not in t._repr_html_()


def test_a_log_without_validation_rows_has_a_table_too():
    t = table()
    assert list(t.curves("train_loss", "val_loss")) == ["training loss"]
    assert t.curves("val_auc") == {}
    assert "lowest training loss" in t._repr_html_()


def test_a_small_frame_is_shown_without_row_numbers_and_as_text():
    frame = pd.DataFrame({"fund": ["<b>x", "y"], "quota": [12345, 1], "revenue": [1234567.8, math.nan]})
    shown = Table(frame, "What <they> earn.")
    page = shown._repr_html_()
    assert shown.to_frame() is frame
    assert "&lt;b&gt;x" in page
    assert "<b>" not in page
    assert "What &lt;they&gt; earn." in page
    for words in ("12,345", "1.23M", "—", '<th scope="row" style="text-align:left">y'):
        assert words in page
    assert page.count('<th scope="col"') == 3
    assert page.count('<th scope="row"') == 2
