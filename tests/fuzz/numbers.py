"""The calls of `ptofa_gpu.evaluation`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.fuzz.kinds import Call, Tree
from tests.fuzz.world import World


def numbers(w: World) -> Iterator[Call]:
    from ptofa_gpu import evaluation as e
    from ptofa_gpu.evaluation.ab_test import Arm, ab_test
    from ptofa_gpu.evaluation.campaign import find_hillstrom, value_campaign
    from ptofa_gpu.evaluation.debias import compare_debias
    from ptofa_gpu.evaluation.exposure import customer_amounts, lorenz
    from ptofa_gpu.evaluation.lift import lift_curve
    from ptofa_gpu.evaluation.losses import quota_losses
    from ptofa_gpu.evaluation.paper_order import against_paper
    from ptofa_gpu.evaluation.scaling import decades, scale_table
    from ptofa_gpu.evaluation.table1 import model_table, parse_method
    from ptofa_gpu.evaluation.table2 import model_campaigns

    area, a, truth = "evaluation", w.data.arrays, w.data.truth
    rows = {"predicted": w.revenue[a.customer, a.fund].astype(float), "actual": a.amount.astype(float)}
    drawn = {"draws": 20, "level": 0.9, "seed": 0}
    chance = a.propensity if a.propensity is not None else 0.5 + 0.0 * a.amount
    logged = {"action": a.fund, "propensity": chance, "reward": a.amount}
    yield Call("calibrate", area, e.calibrate, lambda: {**rows, "bins": 5, **drawn})
    yield Call("lift_curve", area, lift_curve, lambda: {**rows, "steps": 5, **drawn})
    yield Call(
        "compare",
        area,
        e.compare,
        lambda: {
            "problem": w.problem,
            "methods": ["optimal", "random"],
            "options": Tree({"optimal": Tree(time_limit=9.0)}),
            "truth": w.revenue,
            "device": "cpu",
            "seed": 0,
        },
    )
    yield Call("comparison.lift", area, w.comparison.lift, lambda: {"method": "optimal", "against": "random"})
    yield Call("held_out", area, e.held_out, lambda: {"data": w.data})
    held = e.held_out(w.data)
    yield Call("HeldOut.predicted", area, held.predicted, lambda: {"revenue": w.revenue})
    yield Call("HeldOut.calibrate", area, held.calibrate, lambda: {"revenue": w.revenue, **drawn})
    yield Call("random_plan", area, e.random_plan, lambda: {"problem": w.problem, "seed": 0})
    more = {"estimator": "dr", "predicted": w.revenue[a.customer], **drawn}
    yield Call(
        "value_policies",
        area,
        e.value_policies,
        lambda: {
            "policies": Tree(mine=a.fund, other=w.revenue[a.customer] * 0 + 0.25),
            **logged,
            **more,
            "baseline": "other",
        },
    )
    yield Call("value_policy", area, e.value_policy, lambda: {"policy": a.fund, **logged, **more})
    yield Call("lorenz", area, lorenz, lambda: {"values": w.revenue.sum(axis=0)})
    yield Call("customer_amounts", area, customer_amounts, lambda: {"data": w.data, "most": 3})
    yield Call("quota_losses", area, quota_losses, lambda: {"plan": w.plan})
    yield Call(
        "ab_test",
        area,
        ab_test,
        lambda: {
            "problem": w.problem,
            "truth": truth,
            "arms": Tree(a=Arm(w.revenue, "manual"), b=Arm(w.revenue, "heuristic", {"repair": True})),
            "name": "test",
            "baseline": "a",
            **drawn,
            "device": "cpu",
        },
    )
    yield Call(
        "ab_test(arm)",
        area,
        lambda problem, truth, **arm: ab_test(problem, truth, {"a": Arm(**arm), "b": Arm(w.revenue)}, draws=9),
        lambda: {
            "problem": w.problem,
            "truth": truth,
            "revenue": w.revenue,
            "method": "manual",
            "options": Tree(priority=[0, 1, 2, 3]),
        },
    )
    yield Call(
        "model_campaigns",
        area,
        model_campaigns,
        lambda: {
            "problem": w.problem,
            "truth": truth,
            "esmm": w.revenue,
            "ptofa": w.revenue,
            "priority": [0, 1, 2, 3],
            "draws": 9,
            "device": "cpu",
            "seed": 0,
        },
    )
    yield Call(
        "scale_table",
        area,
        scale_table,
        lambda: {
            "problem": w.problem,
            "sizes": [50, 100],
            "methods": ["topk", "optimal"],
            "options": Tree({"optimal": Tree(time_limit=9.0)}),
            "largest": Tree({"topk": 60}),
            "time_limit": 9.0,
            "device": "cpu",
            "progress": None,
        },
    )
    yield Call("decades", area, decades, lambda: {"customers": 5000, "smallest": 500})
    yield Call("find_hillstrom", area, find_hillstrom, lambda: {"mode": "no", "seed": 0})
    campaign = w.ptofa.datasets.hillstrom(w.path("hillstrom.csv"), verify=False)
    worth = 1.0 + w.revenue[[i % 240 for i in range(90)], :3]
    yield Call(
        "value_campaign",
        area,
        value_campaign,
        lambda: {"data": campaign, "revenue": worth, "method": "heuristic", "estimator": "snips", **drawn},
    )
    cell = {"method": "esmm", "metric": "auc"}
    yield Call("table.cell", area, w.table.cell, lambda: cell)
    yield Call("table.text", area, w.table.text, lambda: cell)
    yield Call("table.compare", area, w.table.compare, lambda: {"first": "esmm", "second": "ziln", "metric": "auc"})
    yield Call("table.final", area, w.table.final, lambda: {"method": "esmm"})
    yield Call("table.words", area, w.table.words, lambda: {"metric": "auc"})
    yield Call("LiftCurve.at", area, lift_curve(**rows, steps=5, draws=9).at, lambda: {"share": 0.1})
    yield Call("against_paper", area, against_paper, lambda: {"table": w.table, "kind": "A"})
    yield Call("parse_method", area, parse_method, lambda: {"label": "ptofa(debias=none)"})
    from ptofa_gpu.evaluation.model_runs import Training

    quick = {"max_epochs": 1, "patience": 1, "batch_size": 512, "device": "cpu"}
    yield Call(
        "model_table",
        area,
        model_table,
        lambda: {
            "data": w.data,
            "methods": Tree(c=Tree(method="dnn_c", hidden=[4], embedding=2)),
            "seeds": 1,
            "grid": Tree(lr=[0.01]),
            "trials": None,
            "profile": "quick",
            "training": Training(**quick),
            "directory": w.folder / "state",
            "progress": False,
        },
    )
    yield Call(
        "Training",
        area,
        lambda **given: model_table(
            w.data,
            {"c": {"method": "dnn_c", "hidden": [4]}},
            1,
            grid={"lr": [0.01]},
            training=Training(**given),
            progress=False,
        ),
        lambda: quick,
    )
    yield Call(
        "compare_debias",
        area,
        compare_debias,
        lambda: {
            "worlds": lambda seed: w.data,
            "seeds": [0],
            "variants": [None],
            "max_epochs": 1,
            "patience": 1,
            "progress": None,
            "method": "ziln",
            "hidden": [4],
            "embedding": 2,
        },
    )
