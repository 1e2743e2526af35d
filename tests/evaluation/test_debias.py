"""Ways of debiasing side by side on small worlds: every number is the truth's, and worlds without truth are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ptofa_gpu.datasets import ExposureData, lct
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation.debias import DebiasRow, compare_debias, medians

SMALL: dict[str, Any] = {"hidden": (8,), "embedding": 2, "lr": 0.01, "max_epochs": 2, "patience": 1}


def world(seed: int) -> ExposureData:
    return lct("A", 2_500, seed=seed, exposures=2, positive_rate=0.1, exposure_bias=2.0)


@pytest.fixture(scope="module")
def rows() -> list[DebiasRow]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seen: list[DebiasRow] = []
    found = compare_debias(world, [0, 1], [None, "adjust"], progress=seen.append, **SMALL)
    torch.set_num_threads(threads)
    assert seen == found
    return found


def test_every_world_is_judged_with_every_way(rows: list[DebiasRow]) -> None:
    assert [(r.seed, r.debias) for r in rows] == [(0, None), (0, "adjust"), (1, None), (1, "adjust")]
    for row in rows:
        assert 0 < row.ratio < 10
        assert 0 < row.ratio_eligible < 10
        assert row.ratio != row.ratio_eligible
        assert 0.5 < row.auc < 1
        assert 0.5 < row.auc_eligible < 1
        assert -0.5 < row.decision_value < 1
        assert 1 <= row.epochs <= 2
        assert row.seconds > 0
        assert math.isnan(row.effective_share) if row.debias is None else 0 < row.effective_share < 1
        assert row.clip >= 1


def test_what_debiasing_is_for_is_seen(rows: list[DebiasRow]) -> None:
    """A log of likely buyers makes all pairs out too dear, and orders funds by who saw them: better in every world."""
    for plain, adjusted in ((rows[0], rows[1]), (rows[2], rows[3])):
        assert adjusted.ratio < plain.ratio
        assert adjusted.auc > plain.auc
        assert adjusted.decision_value > plain.decision_value


def test_medians_are_over_seeds(rows: list[DebiasRow]) -> None:
    found = medians(rows)
    assert list(found) == [None, "adjust"]
    assert found["adjust"]["ratio"] == pytest.approx(np.median([rows[1].ratio, rows[3].ratio]))
    assert "seed" not in found[None]


def test_the_truth_itself_is_marked_right() -> None:
    """The judge against a model that knows the truth, and one that has it upside down."""
    from ptofa_gpu.evaluation.model_judge import Judge

    data = world(0)
    assert data.truth is not None
    judge, true = Judge(data), data.truth.revenue
    random, oracle = judge.worth
    assert judge.decision_value(true) == 1.0
    assert judge.decision_value(-true) < 0 < random < oracle
    assert judge.decision_value(3 * true) == 1.0
    share = float(judge.eligible.mean())
    assert 0.3 < share < 0.9
    tolerance = data.customers["tolerance"].to_numpy()[:, None]
    assert (judge.eligible == (tolerance >= data.funds["risk"].to_numpy())).all()


def test_a_world_without_truth_is_refused() -> None:
    def blind(seed: int) -> ExposureData:
        made = world(seed)
        return ExposureData.from_frames(made.log, made.customers, made.funds)

    with pytest.raises(InputError, match="whose truth this data set does not know; use lct"):
        compare_debias(blind, [0], [None], **SMALL)
