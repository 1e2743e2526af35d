"""Which rows predictions are judged on: never those that trained the model."""

import numpy as np
import pandas as pd
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation import calibrate, held_out


def logged(splits, n=120):
    """A log of `n` rows whose splits follow each other, and predictions that name their pair."""
    rng = np.random.default_rng(0)
    log = pd.DataFrame({"customer": np.arange(n) % 40, "fund": np.arange(n) % 3, "converted": rng.random(n) < 0.5})
    log.loc[0, "converted"] = True
    log["amount"] = np.where(log["converted"], 5.0, 0.0)
    if splits:
        log["split"] = [splits[i % len(splits)] for i in range(n)]
    customers = pd.DataFrame({"customer": np.arange(40), "tolerance": 1})
    funds = pd.DataFrame({"fund": range(3), "risk": 1, "quota": 10})
    return ptofa.ExposureData.from_frames(log, customers, funds), np.arange(120.0).reshape(40, 3)


@pytest.mark.parametrize(
    ("splits", "found", "words"),
    [
        (("train", "validation", "test"), "test", "40 test rows, which training has not seen"),
        (("train", "test"), "test", "60 test rows"),
        (("train", "validation"), "validation", "has no test rows. These are its 60 validation rows"),
        (None, "test", "test rows"),
    ],
)
def test_they_are_test_rows_or_else_validation_rows(splits, found, words):
    data, revenue = logged(splits)
    held = held_out(data)
    assert held.split == found
    assert words in held.note
    number = {"validation": 1, "test": 2}[found]
    assert held.rows.tolist() == np.flatnonzero(data.arrays.split == number).tolist()
    assert len(held) == held.rows.size > 0
    assert held.predicted(revenue).tolist() == (data.arrays.customer * 3 + data.arrays.fund)[held.rows].tolist()
    expected = calibrate(held.predicted(revenue), data.arrays.amount[held.rows], draws=50, seed=2)
    assert held.calibrate(revenue, draws=50, seed=2).to_frame().equals(expected.to_frame())


def test_training_rows_are_never_called_anything_else():
    data, revenue = logged(("train",))
    held = held_out(data)
    assert not held
    assert held.split == ""
    assert held.predicted(revenue).size == 0
    assert "All rows of the log are training rows" in held.note
    with pytest.raises(InputError, match="write 'test' into the log's column split"):
        held.calibrate(revenue)


def test_few_rows_have_fewer_parts():
    data, revenue = logged(("train",) * 39 + ("test",))
    assert held_out(data).calibrate(revenue, draws=20).count.tolist() == [1, 1, 1]


def test_revenue_of_other_customers_is_refused():
    data, revenue = logged(("train", "test"))
    held = held_out(data)
    for wrong in (revenue[:5], revenue[:, :2], revenue.ravel()):
        with pytest.raises(InputError, match="revenue has shape"):
            held.predicted(wrong)
