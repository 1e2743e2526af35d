"""The words of a report, derived from results: what was decided, what was checked, what to beware of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu.reporting.outputs import Check, Figure, Summary
from ptofa_gpu.reporting.style import METHOD_LABELS, short_number

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.datasets.base import ExposureData
    from ptofa_gpu.evaluation.calibration import Calibration
    from ptofa_gpu.evaluation.campaign import CampaignValue
    from ptofa_gpu.evaluation.comparison import Comparison, ComparisonRow


def priority_by_rate(data: ExposureData) -> list[int]:
    """Return the funds in the order of their historical conversion rate, highest first: what manual allocation uses."""
    table = data.fund_table()
    rate = [-row["conversions"] / max(row["exposures"], 1) for row in table]
    return [int(f) for f in np.argsort(rate, kind="stable")]


def price_words(plan: AllocationPlan, currency: str = "", most: int = 3) -> list[str]:
    """Say what one more exposure of the funds at both ends is worth.

    A price is a change of the whole plan's revenue: the exposure's own revenue less what it takes from other funds.
    """
    if plan.price is None:
        return ["This method proves no shadow prices."]
    price = np.asarray(plan.price, dtype=np.float64)
    order = np.argsort(-price, kind="stable")
    ends = [int(f) for f in dict.fromkeys([*order[:most], *order[-most:]])]
    names, money = plan.problem.names, currency or "currency units"
    # where the quotas fill every slot, one exposure more of a fund means one fewer of another
    swap = plan.problem.case == "exact"
    cheapest = int(order[-1])
    out = []
    for f in ends:
        value = price[f] - price[cheapest] if swap else price[f]
        if swap and f == cheapest:
            continue
        what = f"One more exposure of {names[f]}" + (f" in place of one of {names[cheapest]}" if swap else "")
        if value >= 0:
            out.append(f"{what} is worth {short_number(float(value))} {money}.")
        else:
            out.append(f"{what} costs {short_number(float(-value))} {money}: its slots earn more elsewhere.")
    return out


def allocation_summary(
    data: ExposureData,
    comparison: Comparison,
    method: str,
    calibration: Calibration,
    *,
    campaign: CampaignValue | None = None,
    synthetic: bool = False,
) -> Summary:
    """Sum up one run for the front of the report.

    Parameters
    ----------
    data : ExposureData
    comparison : Comparison
        Holds `method`, ``manual`` and ``random``.
    method : str
        The plan that was decided on.
    calibration : Calibration
        Of expected revenue on test rows.
    campaign : CampaignValue, optional
        The off-policy valuation on randomised data.
    synthetic : bool
        The data were made by a program.
    """
    plan, row = comparison.plans[method], comparison[method]
    problem, money = plan.problem, data.currency or "currency units"
    exposures = int(np.asarray(plan.exposures).sum())
    feasibility, words = problem.feasibility(), METHOD_LABELS.get(method, method)
    each = f"{'up to ' if problem.case == 'under' else ''}{problem.k} a customer"
    decision = (
        f"{exposures:,} exposures of {problem.n_funds} funds are given to {problem.n_customers:,} customers "
        f"({each}), with an expected revenue of {short_number(row.objective)} {money}."
    )
    figures = [Figure("Expected revenue", f"{short_number(row.objective)} {money}", "predicted, whole plan")]
    for other, against in (("manual", "against manual"), ("random", "against random")):
        lift = comparison.lift(method, other)
        if not math.isnan(lift):
            figures.append(
                Figure(against.capitalize(), f"{lift:+.1%}", f"{short_number(comparison[other].objective)} {money}")
            )
    if not math.isnan(row.share):
        figures.append(Figure("Share of the optimum", _percent(row.share), "of a proved upper bound"))
    if not math.isnan(row.true_revenue) and comparison["manual"].true_revenue > 0:
        lift = row.true_revenue / comparison["manual"].true_revenue - 1
        figures.append(Figure("True lift against manual", f"{lift:+.1%}", "the synthetic world's truth"))

    met = row.over_quota == 0 and (row.under_quota == 0 or problem.case == "over")
    checks = [
        Check(feasibility.explain(), "good" if feasibility.ok else "bad"),
        Check(
            "Every quota is met exactly."
            if row.over_quota == row.under_quota == 0
            else f"Quotas: {row.over_quota:,} exposures over, {row.under_quota:,} under.",
            "good" if met else "bad",
        ),
        Check("The plan was checked again from its data alone: tolerances, quotas, slots, revenue.", "good"),
        _certificate(comparison, row, money, met=met),
        Check(
            f"On test rows, predicted revenue is {calibration.ratio:.2f} times what was earned "
            f"({calibration.level:.0%} interval {calibration.ratio_low:.2f} to {calibration.ratio_high:.2f}).",
            "good" if calibration.ratio_low <= 1 <= calibration.ratio_high else "warning",
        ),
    ]
    return Summary(
        title=f"{words[:1].upper()}{words[1:]} plan for {data.name or 'your data'}",
        decision=decision,
        figures=figures,
        checks=checks,
        caveats=_caveats(comparison, row, campaign, synthetic),
        chart="methods",
    )


def _certificate(comparison: Comparison, row: ComparisonRow, money: str, *, met: bool) -> Check:
    share = row.share
    if math.isnan(share):
        return Check("No upper bound was computed: how far the plan is from the optimum is not known.", "warning")
    bound = f"no plan that meets the quotas can earn more than {short_number(comparison.bound)} {money}"
    if not met:
        return Check(
            f"Certificate: {bound}; this one does not meet them, so the bound does not speak of it.", "warning"
        )
    gap = 1.0 - share
    return Check(
        f"Certificate: {bound}, and this one does."
        if gap < 1e-9
        else f"Certificate: {bound}; this one earns {_percent(share)} of that."
    )


def _percent(share: float) -> str:
    text = f"{share:.2%}"
    return "< 100 %" if text == "100.00%" and share < 1 - 1e-9 else text


def _caveats(comparison: Comparison, row: ComparisonRow, campaign: CampaignValue | None, synthetic: bool) -> list[str]:
    out = []
    if synthetic:
        out.append("The data are synthetic: the figures show that the method works, not what it earns for you.")
    out.append(
        "Revenue is predicted. Funds were shown to customers who were likely to buy them, so predictions for pairs "
        "that were never shown rest on little evidence."
    )
    kept = row.true_revenue / row.objective if row.objective > 0 else math.nan
    if kept < 1:  # False for NaN
        out.append(
            f"In the synthetic world's truth the plan earns {kept:.0%} of what is predicted: choosing the highest "
            "predictions chooses those that are too high. Expect less than predicted."
        )
    broken = [r.method for r in comparison.rows if not r.keeps_quotas]
    if broken:
        out.append(f"Revenue of {', '.join(broken)} cannot be had: it breaks quotas. It is shown as what quotas cost.")
    if campaign is None:
        out.append("No randomised data were at hand, so no plan was valued against what really happened.")
    else:
        table = campaign.table
        out.append(
            f"On the randomised Hillstrom campaign ({campaign.conversions:,} purchases among the test customers): "
            + table.verdict(campaign.planned)
            + " "
            + table.verdict(campaign.free)
        )
    out.append(
        "An A/B test with randomisation by customer is what decides; run one before the plan replaces manual work."
    )
    return out
