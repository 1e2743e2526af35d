"""When a trained model means nothing, said in words from its metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping

# Beyond this many standard deviations a difference is not chance.
_SURPRISE = 5.0
# Fewer conversions than this cannot tell a useless order from a useful one.
_MIN_CONVERSIONS = 50


def degeneracy(
    metrics: Mapping[str, float], conversions: float, converts: bool = True, rows: str = "validation"
) -> str | None:
    """Say in words what is wrong with a model that these metrics show to be degenerate; None if nothing is.

    Parameters
    ----------
    metrics
        What `RevenueMetrics.compute` gave; ``auc`` and ``total_ratio`` are judged where they are there.
    conversions
        Number of conversions among the rows; a number is only called wrong beyond what chance explains.
    converts
        Whether the method predicts conversion; without it only totals of revenue are judged.
    rows
        Which rows the metrics are of, for the words.
    """
    if converts:
        found = _conversion(metrics, conversions, rows)
        if found:
            return found
    total = metrics.get("total_ratio", 1.0)
    if conversions and not math.isfinite(total):
        return "The model's expected revenue is not finite: training diverged. Lower the learning rate."
    if conversions >= _MIN_CONVERSIONS and not 0.02 <= total <= 50.0:
        return (
            f"The model predicts {total:.3g} times the revenue that was earned on {rows} rows (sum E / sum R), so "
            "its expected revenues mean nothing. Lower the learning rate, or check the column `amount`."
        )
    return None


def _conversion(metrics: Mapping[str, float], conversions: float, rows: str) -> str | None:
    ratio, logits, auc = metrics["conversion_ratio"], metrics["logit_range"], metrics.get("auc", math.nan)
    if math.isnan(logits):
        return "The model predicts nan: training diverged. Lower the learning rate."
    surprise = abs(ratio - 1.0) * conversions**0.5  # standard deviations, were the model right
    if surprise > _SURPRISE and not 1 / 3 <= ratio <= 3.0:
        return (
            f"The model predicts {ratio:.3g} times the conversions that happened on {rows} rows (sum P / sum C), "
            "so its expected revenues mean nothing, however good its AUC looks. Lower the learning rate; if "
            "counterfactual='density' is used, try 'censored' or method='ziln'."
        )
    if logits < 1e-3:
        return (
            f"The model predicts the same conversion probability for all {rows} rows: it has collapsed. Lower the "
            "learning rate, or check that the features vary."
        )
    # the AUC of a useless order has standard deviation 1 / sqrt(12 conversions) where conversions are rare
    if conversions >= _MIN_CONVERSIONS and abs(auc - 0.5) * (12.0 * conversions) ** 0.5 < 2.0:
        return (
            f"The model's conversion probabilities order {rows} rows no better than chance (AUC {auc:.3f} on "
            f"{conversions:,.0f} conversions), though they differ: it has collapsed, or the features say nothing about "
            "conversion. Lower the learning rate, or check the features."
        )
    return None
