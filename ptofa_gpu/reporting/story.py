"""The words of a report, derived from results: what was decided, what was checked, what to beware of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu._arguments import flag, instance, one_of, text_of, whole
from ptofa_gpu.evaluation._kinds import allocation_plan, exposure_data
from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.evaluation.holdout import HeldOut, held_out
from ptofa_gpu.reporting.outputs import Check, Figure, Summary
from ptofa_gpu.reporting.style import DATA_LABELS, METHOD_LABELS, short_number

if TYPE_CHECKING:
    from ptofa_gpu.allocation.plan import AllocationPlan
    from ptofa_gpu.datasets.base import ExposureData
    from ptofa_gpu.evaluation.calibration import Calibration
    from ptofa_gpu.evaluation.campaign import CampaignValue
    from ptofa_gpu.evaluation.comparison import Comparison, ComparisonRow


def priority_by_rate(data: ExposureData) -> list[int]:
    """Return the funds in the order of their historical conversion rate, highest first: what manual allocation uses."""
    table = exposure_data(data).fund_table()
    rate = [-row["conversions"] / max(row["exposures"], 1) for row in table]
    return [int(f) for f in np.argsort(rate, kind="stable")]


def price_words(plan: AllocationPlan, currency: str = "", most: int = 3) -> list[str]:
    """Say what one more exposure of the funds at both ends is worth.

    A price is a change of the whole plan's revenue: the exposure's own revenue less what it takes from other funds.
    """
    currency, most = text_of("currency", currency), whole("most", most, 0)
    if allocation_plan(plan).price is None:
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
    rest = price.size - len(ends)
    if rest:
        others = "other fund lies" if rest == 1 else f"other {rest} funds lie"
        out.append(f"The {others} between these; the table lists all {price.size}.")
    if not swap and (price < 0).any():
        out.append("A negative price marks a fund that is shown only because it paid for it.")
    return out


def allocation_summary(
    data: ExposureData,
    comparison: Comparison,
    method: str,
    calibration: Calibration | None,
    *,
    campaign: CampaignValue | None = None,
    synthetic: bool = False,
    calibrated: bool = True,
    lead: bool = True,
) -> Summary:
    """Sum up one run for the front of the report.

    Parameters
    ----------
    data : ExposureData
    comparison : Comparison
        Holds `method`, ``manual`` and ``random``.
    method : str
        The plan that was decided on.
    calibration : Calibration, optional
        Of expected revenue on the rows that `held_out` finds in `data`; None where there are none.
    campaign : CampaignValue, optional
        The off-policy valuation on randomised data.
    synthetic : bool
        The data were made by a program.
    calibrated : bool
        The model's predictions were calibrated on validation rows.
    lead : bool
        It is the decision that the report is about, and stands before the others.
    """
    _check_parts(data, comparison, calibration, campaign)
    synthetic, calibrated, lead = flag("synthetic", synthetic), flag("calibrated", calibrated), flag("lead", lead)
    for needed in ("manual", "random"):
        one_of("the comparison's methods", needed, tuple(comparison.plans))
    plan, row = comparison.plans[one_of("method", method, tuple(comparison.plans))], comparison[method]
    problem, money = plan.problem, data.currency or "currency units"
    exposures = int(np.asarray(plan.exposures).sum())
    feasibility, words = problem.feasibility(), METHOD_LABELS.get(method, method)
    each = f"{'at most ' if plan.unfilled else ''}{problem.k} a customer"
    decision = (
        f"{exposures:,} exposures of {problem.n_funds} funds are given to {problem.n_customers:,} customers "
        f"({each}), with an expected revenue of {short_number(row.objective)} {money}. Method: {words}."
    )
    figures = [Figure("Expected revenue", f"{short_number(row.objective)} {money}", "predicted, whole plan")]
    for other in ("manual", "random"):
        lift = comparison.lift(method, other)
        if other != method and not math.isnan(lift):
            earned = f"{short_number(comparison[other].objective)} {money}"
            figures.append(Figure(f"Against {other}", percent(lift, 1, sign=True), f"{other} earns {earned}"))
    if not math.isnan(row.share) and row.keeps_quotas and row.share <= 1 + 1e-9:
        figures.append(Figure("Share of optimum", percent(row.share, 2), "of a proved upper bound"))
    if not math.isnan(row.true_revenue) and comparison["manual"].true_revenue > 0:
        lift = row.true_revenue / comparison["manual"].true_revenue - 1
        figures.append(Figure("In truth", percent(lift, 1, sign=True), "true revenue against manual"))

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
        _calibration(calibration, held_out(data)),
    ]
    if not calibrated:
        text = (
            "The model was not calibrated, because the validation rows hold too few conversions or none: revenue may "
            "be too high or too low as a whole."
        )
        checks.append(Check(text, "warning"))
    return Summary(
        title=f"Plan for {DATA_LABELS.get(data.name, data.name) or 'your data'}",
        decision=decision,
        figures=figures,
        checks=checks,
        caveats=[*_losses(comparison, row, money), *_caveats(data, comparison, row, campaign, synthetic)],
        chart="methods",
        lead=lead,
    )


def _check_parts(data: object, comparison: object, calibration: object, campaign: object) -> None:
    from ptofa_gpu.evaluation.calibration import Calibration
    from ptofa_gpu.evaluation.campaign import CampaignValue
    from ptofa_gpu.evaluation.comparison import Comparison

    exposure_data(data)
    instance("comparison", comparison, Comparison, "from compare")
    if calibration is not None:
        instance("calibration", calibration, Calibration, "from calibrate")
    if campaign is not None:
        instance("campaign", campaign, CampaignValue, "from value_campaign")


def _calibration(c: Calibration | None, held: HeldOut) -> Check:
    if c is None or not held:
        return Check(f"Predictions were not checked. {held.note}", "warning")
    if math.isnan(c.ratio):
        return Check(
            f"Nothing was earned on the {held.split} rows, so the predictions could not be checked.", "warning"
        )
    parts = "tenths" if c.count.size == 10 else "parts"
    text = (
        f"On {held.split} rows, predicted revenue is {c.ratio:.2f} times what was earned ({percent(c.level)} interval "
        f"{c.ratio_low:.2f} to {c.ratio_high:.2f}). {c.covered} of {c.count.size} {parts} are right"
        + (f"; {c.misses}." if c.misses else ".")
    )
    if not c.is_tight:
        text += " The interval is wide: there are too few conversions to tell whether the total is right."
    if held.split == "validation":
        return Check(f"{text} {held.note}", "warning")
    return Check(text, c.state)


#: Plans whose revenues differ by less than this share earn the same as far as a reader is concerned.
TIE = 0.0005


def _losses(comparison: Comparison, row: ComparisonRow, money: str) -> list[str]:
    """Warn of plans in the table that earn more than the one decided on and that could be had."""
    out = []
    for kind, mine in (("predicted", row.objective), ("true", row.true_revenue)):
        for other in comparison.rows:
            value = other.objective if kind == "predicted" else other.true_revenue
            # False for NaN; what would be printed as +0.0 % is a tie
            if other.method == row.method or not other.keeps_quotas or not value > mine * (1 + TIE):
                continue
            name, delivered = METHOD_LABELS.get(other.method, other.method), ""
            if other.under_quota > row.under_quota:
                delivered = f", though it leaves {other.under_quota:,} exposures undelivered"
            where = "" if kind == "predicted" else "In the synthetic world's truth, "
            amounts = f"{short_number(value)} against {short_number(mine)} {money}"
            more = f" ({percent(value / mine - 1, 1, sign=True)})" if mine > 0 else ""
            what = f"{where}{name} earns more than this plan: {amounts}{more}{delivered}."
            out.append(what[:1].upper() + what[1:])
    return out


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
        else f"Certificate: {bound}; this one earns {percent(share, 2)} of that."
    )


def _weak_manual(comparison: Comparison, money: str) -> list[str]:
    """Warn where chance earns more than manual work: then a lift over manual work says little."""
    by_name = {r.method: r for r in comparison.rows}
    if not {"manual", "random"} <= by_name.keys():
        return []
    manual, chance = by_name["manual"], by_name["random"]
    for kind, mine, other in (
        ("", manual.objective, chance.objective),
        (" in the synthetic world's truth", manual.true_revenue, chance.true_revenue),
    ):
        if other > mine:  # False for NaN
            return [
                f"Manual earns less than exposure at random{kind}: {short_number(mine)} against {short_number(other)} "
                f"{money}. A lift over manual says little here; look at the lift over random."
            ]
    return []


def _evidence(data: ExposureData) -> str:
    """Say how much of what is predicted was ever seen."""
    log, table = data.arrays, data.fund_table()
    pairs = np.unique(log.customer.astype(np.int64) * data.n_funds + log.fund).size
    seen = percent(pairs / (data.n_customers * data.n_funds), 1)
    text = f"Revenue is predicted. The log shows {seen} of all pairs of customer and fund; the others are inferred."
    order = sorted(table, key=lambda fund: fund["exposures"])
    most, least, rows = order[-1], order[0], max(len(log), 1)
    if most["exposures"] > 2 * least["exposures"]:
        text += (
            f" {most['name']} had {percent(most['exposures'] / rows, 1)} of the exposures, {least['name']} "
            f"{percent(least['exposures'] / rows, 1)}: what is said of funds seldom shown rests on little evidence."
        )
    if log.propensity is None:
        text += (
            " The log does not say by what chance a fund was shown: if funds went to customers who were likely to buy "
            "them, predictions for other customers are less certain."
        )
    return text


def _caveats(
    data: ExposureData, comparison: Comparison, row: ComparisonRow, campaign: CampaignValue | None, synthetic: bool
) -> list[str]:
    out = []
    if synthetic:
        out.append("The data are synthetic: the figures show that the method works, not what it earns for you.")
    out.append(_evidence(data))
    kept = row.true_revenue / row.objective if row.objective > 0 else math.nan
    if kept < 1:  # False for NaN
        out.append(
            f"In the synthetic world's truth the plan earns {percent(kept)} of what is predicted: choosing the highest "
            "predictions chooses those that are too high. Expect less than predicted."
        )
    out.append(
        "Manual is what an operations team does by hand: funds in order of their past conversion rate, each taking its "
        "best customers that are left."
    )
    out += _weak_manual(comparison, data.currency or "currency units")
    broken = [METHOD_LABELS.get(r.method, r.method) for r in comparison.rows if not r.keeps_quotas]
    if broken:
        out.append(
            f"The revenue of {'; '.join(broken)} cannot be had: it breaks quotas. It shows what the quotas cost."
        )
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
