"""A model in words: settings, size, what it was trained on, how it did."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptofa_gpu.prediction.model import RevenueModel


def describe(model: RevenueModel) -> dict[str, str]:
    """What the model is, in words: settings, size, what it was trained on, how it did."""
    statistics, method = model.statistics, model.method
    for option in ("counterfactual", "label"):
        if hasattr(model.net, option):
            method += f", {option} {getattr(model.net, option)}"
    of_customers, of_funds = model.schema.customer_features, model.schema.fund_features
    names = ", ".join(f.name for f in (*of_customers, *of_funds))
    about = {
        "method": method,
        "features": f"{len(of_customers)} of customers, {len(of_funds)} of funds: {names}",
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
    }
    if statistics is None:
        return {**about, "trained": "not yet"}
    about["trained"] = f"on {statistics.rows:,} exposures, {statistics.positives:,} conversions"
    about["label scale"] = f"{statistics.scale:,.4g} {model.schema.currency} (median amount)"
    c = model.calibration
    about["calibration"] = (
        f"logit x {float(c.slope):.3f} {float(c.intercept):+.3f}, revenue x {float(c.revenue_ratio):.3f}"
        if bool(c.fitted)
        else "none"
    )
    about["debiasing"] = "none" if model.exposure is None else f"{model.debias}: {model.exposure['text']}"
    if model.adjustment is not None and bool(model.adjustment.fitted):
        about["adjustment"] = model.adjustment.explain()
    if model.last_metrics:
        shown = ("auc", "log_loss", "conversion_ratio", "total_ratio")
        about["last validation"] = ", ".join(f"{k} {model.last_metrics[k]:.4g}" for k in shown)
    return about


def as_html(model: RevenueModel) -> str:
    """The description as a table; names of features are text, whatever they contain."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(k)}</th><td style='text-align:left'>{escape(v)}</td></tr>"
        for k, v in describe(model).items()
    )
    return f"<table><caption style='text-align:left'><b>RevenueModel</b></caption>{rows}</table>"
