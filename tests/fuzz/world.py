"""What the calls work on: a tiny campaign, a model trained on it, a plan, and all of them as files."""

from __future__ import annotations

import json
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Nothing"},
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "b",
            "metadata": {"tags": ["parameters"]},
            "outputs": [],
            "source": 'customers = 20  # how many\nworld = "A"  # "A" | "B": which\nlog_file = ""  # path: a file',
        },
    ],
    "metadata": {"ptofa": {"profiles": {"paper": {"customers": 200}}}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


class World:
    """Made once a process, in `folder`; calls must not change what it holds."""

    def __init__(self, folder: Path):
        import ptofa_gpu as ptofa

        self.folder, self.ptofa = folder, ptofa
        self.data = ptofa.datasets.lct("B", 240, seed=1, exposures=2, positive_rate=0.3)
        self.log, self.customers, self.funds = self.data.log.head(400), self.data.customers, self.data.funds
        for name in ("split", "fund"):
            self.log[name] = self.log[name].astype(str)
        self.revenue = np.ascontiguousarray(self.data.truth.revenue)
        for name in ("log", "customers", "funds"):
            getattr(self, name).to_parquet(folder / f"{name}.parquet")
            getattr(self, name).to_csv(folder / f"{name}.csv", index=False)
        np.save(folder / "revenue.npy", self.revenue)
        (folder / "schema.json").write_text(self.data.schema.to_json())
        (folder / "book.ipynb").write_text(json.dumps(NOTEBOOK))
        (folder / "hillstrom.csv").write_text(_hillstrom())
        (folder / "cdnow_master.txt").write_text(_cdnow())

    def path(self, name: str) -> Path:
        """A file of this world."""
        if name in ("model.ckpt", "last.ckpt"):
            self.trained  # noqa: B018
        return self.folder / name

    @cached_property
    def trained(self) -> Any:
        """A model of two epochs; its file and the run's checkpoints lie in the folder."""
        model = self.ptofa.RevenueModel(self.data.schema, hidden=(8,), embedding=2, lr=0.01)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.fitted = self.ptofa.fit(
                model, self.data.module(device="cpu"), max_epochs=2, directory=self.folder, logger=None, progress=False
            )
        model.save(self.folder / "model.ckpt")
        return model

    def untrained(self) -> Any:
        """A model of its own for a call that trains it."""
        return self.ptofa.RevenueModel(self.data.schema, method="ziln", hidden=(4,), embedding=2)

    @cached_property
    def problem(self) -> Any:
        """The allocation problem of the truth."""
        return self.data.problem(self.revenue)

    @cached_property
    def plan(self) -> Any:
        """Its optimal plan."""
        return self.ptofa.allocate(self.problem, device="cpu")

    @cached_property
    def report(self) -> Path:
        """A report of one notebook without code."""
        index = self.ptofa.reporting.run_report([self.path("book.ipynb")], output=self.folder / "report")
        return index.parent

    @cached_property
    def comparison(self) -> Any:
        """Allocators side by side."""
        return self.ptofa.evaluation.compare(self.problem, ("optimal", "manual", "random"), truth=self.revenue)

    @cached_property
    def table(self) -> Any:
        """A table of models from numbers that nobody measured."""
        from ptofa_gpu.evaluation.model_runs import ModelRun
        from ptofa_gpu.evaluation.model_table import ModelTable

        runs = [
            ModelRun(
                "lct-a",
                m,
                {"method": m},
                {"lr": 0.01},
                s,
                "ok",
                1.0,
                {"auc": 0.6 + s / 9, "mse": 2.0},
                2,
                0.1,
                1,
                "cpu",
            )
            for m in ("esmm", "ziln")
            for s in (0, 1)
        ]
        return ModelTable(runs, {"esmm": {"lr": 0.01}, "ziln": {"lr": 0.01}}, "lct-a", "CNY", "quick")


def _hillstrom() -> str:
    arms = ("Mens E-Mail", "Womens E-Mail", "No E-Mail")
    head = "recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend"
    rows = [
        f"{1 + i % 12},1) $0 - $100,{29.99 + i},1,0,Rural,{i % 2},Web,{arms[i % 3]},1,{int(i % 7 == 0)},"
        f"{(5.5 + i) if i % 7 == 0 else 0}"
        for i in range(90)
    ]
    return "\n".join([head, *rows])


def _cdnow() -> str:
    rows = [f" {i:05d} 1997{1 + i % 3:02d}{1 + i % 28:02d} 1 {5 + i:7.2f}" for i in range(1, 90)]
    rows += [f" {i:05d} 1997{8 + i % 4:02d}{1 + i % 28:02d} 1 {7 + i:7.2f}" for i in range(1, 90, 3)]
    rows += [f" {i:05d} 1998{1 + i % 6:02d}{1 + i % 28:02d} 2 {9 + i:7.2f}" for i in range(1, 90, 2)]
    return "\n".join([" customer_id date number_of_cds dollar_value", *rows])
