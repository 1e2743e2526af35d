"""Logs that are odd but happen: each has an outcome that says what it is, from the frames to a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ptofa_gpu.datasets import ExposureData, lct
from ptofa_gpu.errors import DegenerateModelError, PtofaWarning
from ptofa_gpu.evaluation.model_runs import Judge, ModelRun, Training, train


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    made = lct("B", 900, seed=0, exposures=2, positive_rate=0.3)
    return {"log": made.log, "customers": made.customers, "funds": made.funds}


def build(frames: dict[str, pd.DataFrame], **changed: pd.DataFrame) -> ExposureData:
    return ExposureData.from_frames(**{**frames, **changed}, currency="CNY")


def trained(data: ExposureData, method: str = "ptofa") -> ModelRun:
    """By default the package's own model, debiased as it is by default."""
    options: dict[str, Any] = {"method": method, "hidden": (8,), "embedding": 2}
    run = train(data, Judge(data), method, options, {"lr": 0.01}, 0, Training(2, 1, 256, "cpu"))
    assert run.status == "ok"
    assert all(np.isfinite(v) for v in run.metrics.values()), run.metrics
    return run


def test_a_log_without_conversions(frames: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(DegenerateModelError, match=r"none of the [\d,]+ exposures converted"):
        build(frames, log=frames["log"].assign(converted=False, amount=0.0))


def test_one_fund_only(frames: dict[str, pd.DataFrame]) -> None:
    log, funds = frames["log"], frames["funds"].head(1)
    data = build(frames, log=log[log["fund"] == funds["fund"][0]], funds=funds)
    assert (data.n_funds, data.summary()["never_shown"]) == (1, [])
    run = trained(data)
    assert run.metrics["auc"] > 0.5


def test_a_fund_never_shown_is_named(frames: dict[str, pd.DataFrame]) -> None:
    log = frames["log"]
    data = build(frames, log=log[log["fund"] != "B02"])
    assert data.summary()["never_shown"] == ["Bond"]
    assert "never shown: Bond" in repr(data)
    assert "funds never shown" in data._repr_html_()
    run = trained(data)
    assert any("'B02' (never shown)" in note and "extrapolation" in note for note in run.notes)
    assert any("Never shown" in note and "B02" in note for note in trained(data, "ziln").notes)


def test_constant_features_are_named_and_do_no_harm(frames: dict[str, pd.DataFrame]) -> None:
    data = build(frames, customers=frames["customers"].assign(country="CN", version=3.0))
    assert data.summary()["constant"] == ["country", "version"]
    assert "features without differences" in data._repr_html_()
    assert build(frames).summary()["constant"] == []
    trained(data)


def test_missing_features_are_counted_and_trained_around(frames: dict[str, pd.DataFrame]) -> None:
    people = frames["customers"].copy()
    people.loc[:49, "balance"] = np.nan
    people.loc[:9, "region"] = None
    data = build(frames, customers=people)
    assert data.summary()["without_value"] == {"customers.balance": 50, "customers.region": 10}
    assert np.isfinite(data.encoded_customers.numeric).all()
    trained(data)


def test_conversions_without_an_amount_are_counted(frames: dict[str, pd.DataFrame]) -> None:
    log = frames["log"].copy()
    first = np.flatnonzero(log["converted"])[:20]
    log.loc[log.index[first], "amount"] = 0.0
    data = build(frames, log=log)
    assert data.summary()["conversions_without_amount"] == 20
    assert "20 conversions without an amount" in repr(data)
    trained(data)


def test_customers_of_unknown_categories_are_counted_at_prediction(
    frames: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.revenue import expected_revenue
    from ptofa_gpu.prediction.training import fit

    data = build(frames)
    model = RevenueModel(data.schema, hidden=(8,), embedding=2, lr=0.02)
    fit(model, data.module(device="cpu"), max_epochs=2, logger=None, progress=None, directory=tmp_path)
    strangers = frames["customers"].head(30).assign(region="Atlantis")
    assert data.schema.encode_customers(strangers).unseen == {"region": 30}
    with pytest.warns(PtofaWarning, match="30 of 30 customers have no known 'region'"):
        revenue = expected_revenue(model, strangers, frames["funds"], device="cpu")
    assert revenue.shape == (30, 4)
    assert np.isfinite(revenue).all()
    assert (revenue >= 0).all()


def test_conversions_that_all_lack_an_amount(frames: dict[str, pd.DataFrame]) -> None:
    """Conversion could be learned, but not what it is worth: a run of a table says so, and a fit refuses."""
    data = build(frames, log=frames["log"].assign(amount=0.0))
    n = data.summary()["conversions_without_amount"]
    assert n == int(frames["log"]["converted"].sum())
    options: dict[str, Any] = {"method": "ptofa", "hidden": (8,), "embedding": 2}
    run = train(data, Judge(data), "p", options, {"lr": 0.01}, 0, Training(2, 1, 256, "cpu"))
    assert (run.status, run.metrics) == ("degenerate", {})
    assert "have the amount 0, so there is no amount to learn from. Check the column `amount`" in run.notes[0]
