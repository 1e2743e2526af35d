"""The calls of `ptofa_gpu.reporting`."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from tests.fuzz.kinds import Arguments, Call, Text, Tree
from tests.fuzz.world import World


def reports(w: World) -> Iterator[Call]:
    import pandas as pd

    from ptofa_gpu import reporting as r
    from ptofa_gpu.reporting import story
    from ptofa_gpu.reporting.example import example_files
    from ptofa_gpu.reporting.explore import WhatIf
    from ptofa_gpu.reporting.model_page import write_model_page

    area = "reporting"
    yield Call(
        "run_report",
        area,
        _some(r.run_report),
        lambda: {
            "notebooks": [w.path("book.ipynb")],
            "profile": "quick",
            "parameters": Tree(customers=20, world="A"),
            "output": w.report,
            "progress": None,
        },
    )
    yield Call("run_report(run.json)", area, _reported(w), lambda: {"run": w.report / "run.json"})
    yield Call("run_report(run.json, 2)", area, _reported(w), lambda: {"run": w.report / "run.json"})
    yield Call("run_report(notebook)", area, _read(w), lambda: {"book": w.path("book.ipynb")})
    out = r.Outputs(w.folder / "kept")
    yield Call("Outputs.table", area, out.table, lambda: {"frame": w.funds, "name": "funds"})
    yield Call("Outputs.plan", area, out.plan, lambda: {"plan": w.plan, "name": "plan"})
    yield Call(
        "Outputs",
        area,
        lambda folder: r.Outputs(folder).summary(r.Summary("a", "b")),
        lambda: {"folder": w.folder / "kept"},
    )
    yield Call(
        "Summary",
        area,
        lambda **given: out.summary(r.Summary(**given)),
        lambda: {
            "title": "a",
            "decision": "b",
            "figures": [r.Figure("a", 1.0)],
            "checks": [r.Check("c", "good")],
            "caveats": ["d"],
            "chart": "methods",
            "lead": True,
        },
    )
    yield Call(
        "Summary.from_json",
        area,
        r.Summary.from_json,
        lambda: {"text": Text(json.dumps(SUMMARY))},
    )
    yield Call(
        "Table",
        area,
        lambda **given: r.Table(**given)._repr_html_(),
        lambda: {"frame": pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), "caption": "words"},
    )
    yield Call(
        "TrainingTable", area, lambda training: r.TrainingTable(training)._repr_html_(), lambda: {"training": w.fitted}
    )
    yield from _charts(w)
    yield Call("WhatIf", area, lambda plan: WhatIf(plan).to_html(), lambda: {"plan": w.plan})
    yield Call("WhatIf.solve", area, WhatIf(w.plan).solve, lambda: {"quota": w.problem.quota, "k": 1})
    yield Call("price_words", area, story.price_words, lambda: {"plan": w.plan, "currency": "EUR", "most": 2})
    yield Call("priority_by_rate", area, story.priority_by_rate, lambda: {"data": w.data})
    yield Call(
        "allocation_summary",
        area,
        story.allocation_summary,
        lambda: {
            "data": w.data,
            "comparison": w.comparison,
            "method": "optimal",
            "calibration": None,
            "campaign": None,
            "synthetic": True,
            "calibrated": True,
            "lead": True,
        },
    )
    yield Call(
        "write_model_page",
        area,
        write_model_page,
        lambda: {"tables": Tree({"lct-a": w.table}), "path": w.folder / "models.html"},
    )
    yield Call(
        "example_files",
        area,
        example_files,
        lambda: {"folder": w.folder / "example", "given": ["", "", ""], "customers": 50, "seed": 0},
    )


def _charts(w: World) -> Iterator[Call]:
    from ptofa_gpu.evaluation import calibrate
    from ptofa_gpu.evaluation.ab_test import Arm, ab_test
    from ptofa_gpu.evaluation.exposure import customer_amounts
    from ptofa_gpu.evaluation.lift import lift_curve
    from ptofa_gpu.evaluation.losses import quota_losses
    from ptofa_gpu.evaluation.offpolicy import value_policies
    from ptofa_gpu.evaluation.scaling import scale_table
    from ptofa_gpu.reporting import figures as f
    from ptofa_gpu.reporting import findings

    a, names = w.data.arrays, list("abcd")
    rows = w.revenue[a.customer, a.fund], a.amount
    policies = value_policies({"mine": a.fund, "one": a.fund * 0}, a.fund, 0.25, a.amount, baseline="one", draws=20)
    right, lift = calibrate(*rows, draws=20), lift_curve(*rows, draws=20)
    scale, losses = scale_table(w.problem, [50, 100], ["topk", "optimal"], device="cpu"), quota_losses(w.plan)
    test = ab_test(w.problem, w.data.truth, {"a": Arm(w.revenue), "b": Arm(w.revenue, "manual")}, draws=20)
    curve = Tree({"loss": ([1.0, 2.0], [0.5, 0.4])})
    amounts = customer_amounts(w.data, 2)
    of: dict[Callable[..., Any], Arguments] = {
        f.method_chart: {"comparison": w.comparison, "currency": "EUR"},
        f.exposure_chart: {
            "names": names,
            "exposures": w.plan.exposures,
            "quota": w.problem.quota,
            "method": "optimal",
        },
        f.price_chart: {"names": names, "price": w.plan.price, "full": True, "currency": "EUR"},
        f.amount_chart: {"amount": w.log["amount"].to_numpy(), "currency": "EUR"},
        f.exposure_bias_chart: {"data": w.data},
        f.concentration_chart: {"data": w.data},
        f.customer_amount_chart: {"customers": amounts, "currency": "EUR"},
        f.model_chart: {"table": w.table, "metrics": ["auc"]},
        f.policy_chart: {"table": policies, "currency": "EUR"},
        f.estimator_chart: {"tables": Tree(snips=policies), "currency": "EUR"},
        f.training_chart: {"curves": curve, "metric": curve, "kept": 1.0},
        f.calibration_chart: {"calibration": right, "currency": "EUR", "what": "revenue"},
        f.lift_chart: {"curves": Tree(mine=lift), "what": "revenue"},
        f.loss_chart: {"losses": losses, "currency": "EUR"},
        f.scale_objective_chart: {"table": scale, "currency": "EUR"},
        f.scale_time_chart: {"table": scale},
        f.ab_chart: {"tests": [test]},
        f.benchmark_chart: {"rows": [Tree(ROW)]},
    }
    for chart, given in of.items():
        yield Call(chart.__name__, "reporting", chart, lambda given=given: {**given, "name": "chart"})
    yield Call("Chart.render", "reporting", f.exposure_bias_chart(w.data).render, lambda: {"kind": "png"})
    sums: dict[Callable[..., Any], Arguments] = {
        findings.data_summary: {"data": w.data},
        findings.scale_summary: {"table": scale, "losses": losses, "currency": "EUR"},
        findings.ab_summary: {"tests": [test]},
        findings.policy_summary: {"values": Tree(), "name": "mine", "currency": "EUR"},
        findings.prediction_summary: {"table": w.table, "calibration": right, "lift": lift},
    }
    for summary, given in sums.items():
        yield Call(summary.__name__, "reporting", summary, lambda given=given: given)


#: A summary, as a notebook leaves it.
SUMMARY = {
    "title": "a",
    "decision": "b",
    "figures": [{"label": "a", "value": 1.0, "note": ""}],
    "checks": [{"text": "a", "state": "good"}],
    "caveats": ["a"],
    "chart": "",
    "lead": False,
}
#: A row of a benchmark, as its CSV holds it.
ROW = {
    "customers": 1000,
    "funds": 8,
    "k": 1,
    "ties": "none",
    "method": "optimal",
    "status": "optimal",
    "seconds": 0.1,
    "share": 1.0,
    "device": "cpu",
    "cores": 2,
    "read_seconds": 0.01,
    "over_quota": 0,
    "unfilled": 0,
    "peak_MiB": 3,
    "seed": 0,
    "under_quota": 0,
    "reads_of_E": 3,
    "seconds_min": 0.1,
    "repeats": 3,
    "time_limit": 60,
    "threads": 2,
    "note": "",
    "date": "2024-01-01",
}


def _reported(w: World) -> Callable[..., Any]:
    """An earlier report with another run.json: it is taken over, made again or refused."""

    def run(run: Any) -> Any:
        if not isinstance(run, type(w.folder)) or not run.is_file() or not run.is_relative_to(w.folder):
            return None
        copied = w.folder / "damaged-report"
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(w.report, copied)
        shutil.copy(run, copied / "run.json")
        return w.ptofa.reporting.run_report([w.path("book.ipynb")], output=copied)

    return run


def _some(run: Callable[..., Any]) -> Callable[..., Any]:
    """No notebook in particular means all of the package's, which would take hours."""

    def some(notebooks: Any, **given: Any) -> Any:
        return None if hasattr(notebooks, "__len__") and not len(notebooks) else run(notebooks, **given)

    return some


def _read(w: World) -> Callable[..., Any]:
    """A notebook is read, and then refused for want of a profile: no kernel needs to start."""
    from ptofa_gpu.errors import InputError

    def run(book: Any) -> None:
        with contextlib.suppress(InputError):
            w.ptofa.reporting.run_report([book], output=w.folder / "other", profile="none")

    return run
