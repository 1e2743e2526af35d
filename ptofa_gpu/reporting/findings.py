"""What single notebooks found, in words for the report's front; `story` writes the decision itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu._arguments import instance, listed, mapping, text_of
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import exposure_data
from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.evaluation.ab_test import ABTest
from ptofa_gpu.evaluation.calibration import Calibration
from ptofa_gpu.evaluation.campaign import CampaignValue
from ptofa_gpu.evaluation.exposure import lorenz
from ptofa_gpu.evaluation.lift import LiftCurve
from ptofa_gpu.evaluation.losses import QuotaLosses
from ptofa_gpu.evaluation.model_table import ModelTable
from ptofa_gpu.evaluation.scaling import ScaleTable
from ptofa_gpu.reporting.outputs import Check, Figure, Summary
from ptofa_gpu.reporting.speed import SpeedTable
from ptofa_gpu.reporting.style import DATA_LABELS, METHOD_LABELS, short_number

if TYPE_CHECKING:
    from ptofa_gpu.datasets.base import ExposureData


def data_summary(data: ExposureData) -> Summary:
    """Sum up an exposure log: how rare conversions are, how long the tail of amounts is, how unequal exposure is."""
    table = exposure_data(data).fund_table()
    amount = data.arrays.amount[data.arrays.amount > 0]
    gini = lorenz([f["exposures"] for f in table]).gini
    most = max(table, key=lambda f: f["exposures"])
    rows, converted = len(data.arrays), data.arrays.positives
    top = np.sort(amount.astype(np.float64))[::-1][: max(1, amount.size // 100)]
    tail = float(top.sum() / amount.sum(dtype=np.float64)) if amount.size else math.nan
    return Summary(
        title=f"The data: {DATA_LABELS.get(data.name, data.name) or 'your log'}",
        decision=f"{rows:,} exposures of {data.n_funds} funds to {data.n_customers:,} customers; "
        f"{converted:,} converted. "
        "Conversions are rare, their amounts have a long tail, and some funds are shown far more than others.",
        figures=[
            Figure("Converted", percent(converted / max(rows, 1), 2), "of exposures"),
            Figure("Largest 1 %", percent(tail), "of conversions hold so much of the money"),
            Figure("Gini of exposures", f"{gini:.2f}", "0: every fund is shown alike"),
        ],
        caveats=[
            f"{most['name']} had {percent(most['exposures'] / max(rows, 1))} of the exposures: what the log says of "
            "funds seldom shown rests on little."
        ],
        chart="matthew-effect",
    )


def scale_summary(table: ScaleTable, losses: QuotaLosses, currency: str = "") -> Summary:
    """Sum up objective and time by scale, and what the quotas cost."""
    instance("table", table, ScaleTable, "from scale_table")
    instance("losses", losses, QuotaLosses, "from quota_losses")
    money = text_of("currency", currency) or "currency units"
    last = {m: table.of(m)[-1] for m in table.methods}
    figures, words = [], []
    for method in ("optimal", "heuristic", "manual"):
        row = last.get(method)
        if row is not None and not math.isnan(row.share):
            figures.append(Figure(f"{method.capitalize()}", percent(row.share, 2), "of the proved optimum"))
            words.append(f"{METHOD_LABELS[method]} {short_number(row.seconds)} s")
    integer, optimal = last.get("integer"), last.get("optimal")
    checks = []
    if integer is not None and optimal is not None:
        same = next((r for r in table.of("optimal") if r.customers == integer.customers), None)
        if same is not None and integer.status == "optimal":
            equal = abs(same.objective - integer.objective) <= 1e-6 * abs(integer.objective)
            checks.append(
                Check(
                    f"Integer programming gives the {'same' if equal else 'NOT the same'} revenue as the optimum by "
                    f"prices at {integer.customers:,} customers, in {short_number(integer.seconds)} s against "
                    f"{short_number(same.seconds)} s.",
                    "good" if equal else "bad",
                )
            )
    size = max(r.customers for r in table.rows)
    return Summary(
        title="Allocation by scale, and what the quotas cost",
        decision=f"At {size:,} customers: {', '.join(words)}. The quotas cost {short_number(losses.total)} {money} of "
        "expected revenue against showing everyone their best fund.",
        figures=figures,
        checks=checks,
        chart="time-by-scale",
    )


def ab_summary(tests: Sequence[ABTest]) -> Summary:
    """Sum up simulated campaigns: what was seen, and what a test of this size can see."""
    tests = [instance("tests", t, ABTest, "from ab_test") for t in listed("tests", tests, "finished campaigns")]
    if not tests:
        raise InputError("tests is empty: give at least one finished campaign")
    figures = []
    for test in tests:
        for x in test.lifts:
            if x.metric == "rpme":
                interval = f"{percent(x.low, 0, sign=True)} to {percent(x.high, 0, sign=True)}"
                figures.append(
                    Figure(
                        f"{test.name}: {x.arm}",
                        percent(x.lift, 1, sign=True),
                        f"RPME against {test.baseline}, {interval}",
                    )
                )
    found = sum(x.verdict != "open" for t in tests for x in t.lifts)
    lifts = sum(len(t.lifts) for t in tests)
    told = [w for t in tests for x, w in zip(t.lifts, t.words(), strict=True) if x.verdict == "open"]
    return Summary(
        title="Simulated A/B tests",
        decision=f"{found} of {lifts} lifts can be told from 0, in campaigns of up to "
        f"{max(a.customers for t in tests for a in t.arms):,} customers an arm.",
        figures=figures,
        caveats=[
            "Simulated in a synthetic world: customers are given to arms by lot, and do what the known truth says.",
            *told[:3],
            *([f"{len(told) - 3} more lifts cannot be told from 0; the notebook has them all."] if told[3:] else []),
        ],
        chart="ab-lifts",
    )


def policy_summary(values: Mapping[str, CampaignValue], name: str = "the campaign", currency: str = "") -> Summary:
    """Sum up off-policy values by several estimators, and say where they disagree about what is better.

    Without values, which is where the data were not at hand, that is what it says.
    """
    values = {k: instance(f"values[{k!r}]", v, CampaignValue) for k, v in mapping("values", values).items()}
    name, currency = text_of("name", name), text_of("currency", currency)
    if not values:
        return Summary(f"On real, randomised data: {name}", "Left out: there was no copy of the data on this machine.")
    first = next(iter(values.values()))
    verdicts = {kind: v.table.verdict(v.planned) for kind, v in values.items()}
    signs = {(v.table[v.planned].lift_low > 0) - (v.table[v.planned].lift_high < 0) for v in values.values()}
    figures = [
        Figure(
            kind.upper(), f"{v.table[v.planned].value:.3g} {currency}".strip(), "a customer, the plan with equal quotas"
        )
        for kind, v in values.items()
    ]
    return Summary(
        title=f"On real, randomised data: {name}",
        decision=verdicts.get("dr", next(iter(verdicts.values()))),
        figures=figures,
        checks=[
            Check(
                "The estimators agree on whether the plan is better."
                if len(signs) == 1
                else "The estimators do not agree on whether the plan is better: the data do not decide it.",
                "good" if len(signs) == 1 else "warning",
            )
        ],
        caveats=[
            f"{first.conversions:,} purchases among the test customers: intervals are wide, and where they hold zero, "
            "plans cannot be told apart."
        ],
        chart="estimators",
    )


def prediction_summary(table: ModelTable, calibration: Calibration, lift: LiftCurve) -> Summary:
    """Sum up a table of models, and how right and how sharp one model's predictions are."""
    instance("table", table, ModelTable, "from model_table")
    instance("calibration", calibration, Calibration, "from calibrate")
    instance("lift", lift, LiftCurve, "from lift_curve")
    metric = next((m for m in ("decision_value", "gini", "auc", "mse") if m in table.metrics), table.metrics[0])
    best = [m for m in table.methods if table.cell(m, metric).best]
    tied = [m for m in table.methods if table.cell(m, metric).tied]
    if best:
        decision = f"Best by {table.words(metric)}: {best[0]}"
        decision += f"; {', '.join(tied)} cannot be told from it." if tied else "."
    else:
        decision = f"No method can be told from the others by {table.words(metric)} with {len(table.seeds)} seeds."
    return Summary(
        title="Prediction: the models side by side",
        decision=decision,
        figures=[
            Figure("Methods", str(len(table.methods)), f"{len(table.seeds)} seeds each"),
            Figure("Top tenth", percent(lift.at(0.1) * 0.1), "of the money on test rows, by PTOFA's predictions"),
            Figure("Predicted / earned", f"{calibration.ratio:.2f}", "in total on test rows; 1 is right"),
        ],
        caveats=[
            f"The data are {DATA_LABELS.get(table.name, table.name)}: compare the order of methods, not the figures."
        ],
        chart="models",
    )


def speed_summary(table: SpeedTable) -> Summary:
    """Sum up a run of the benchmark."""
    rows = [r for r in instance("table", table, SpeedTable).largest if r["seconds"] not in (None, "")]
    if not rows:
        return Summary("Speed: this machine", "No method was measured.")
    size = int(rows[0]["customers"])
    told = [
        Figure(
            METHOD_LABELS.get(str(r["method"]), str(r["method"])),
            f"{short_number(float(r['seconds']))} s",
            f"{short_number(reads)} reads of E" if (reads := table.reads(r)) is not None else "",
        )
        for r in rows
    ]
    return Summary(
        title="Speed: this machine",
        decision=f"{size:,} customers x {rows[0]['funds']} funds on {rows[0]['device']}, {rows[0]['cores']} cores.",
        figures=told,
        caveats=["Times are medians of a few solves while the machine may have done other things too."],
        chart="benchmark",
    )
