"""`ModelTable`: methods side by side, each metric as mean and spread over seeds, differences within it called ties."""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ptofa_gpu._arguments import one_of
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation.model_runs import ModelRun


@dataclass(frozen=True)
class MetricInfo:
    """What a metric is called, and which values are good: larger (+1), smaller (-1), or near to 1 (0)."""

    words: str
    good: int

    def loss(self, value: float) -> float:
        """Smaller is better."""
        return abs(value - 1.0) if self.good == 0 else -self.good * value


#: In the order in which a table shows them; "{}" is the currency.
METRICS = {
    "auc": MetricInfo("AUC", 1),
    "auc_within": MetricInfo("AUC within funds", 1),
    "log_loss": MetricInfo("log loss", -1),
    "ece_deciles": MetricInfo("calibration error of P", -1),
    "mse": MetricInfo("MSE ({}²)", -1),
    "mae": MetricInfo("MAE ({})", -1),
    "gini": MetricInfo("normalised Gini", 1),
    "spearman": MetricInfo("rank correlation", 1),
    "lift": MetricInfo("lift of the top tenth", 1),
    "calibration": MetricInfo("calibration error of E", -1),
    "total_ratio": MetricInfo("sum E / sum R", 0),
    "auc_all_pairs": MetricInfo("AUC, all pairs", 1),
    "ratio_all_pairs": MetricInfo("sum E / sum E*, all pairs", 0),
    "auc_pairs": MetricInfo("AUC, pairs that may be shown", 1),
    "pairs_ratio": MetricInfo("sum E / sum E*, pairs that may be shown", 0),
    "decision_value": MetricInfo("decision value", 1),
    "policy_value": MetricInfo("policy value ({})", 1),
    "effective_share": MetricInfo("effective sample", 1),
}
#: How a page is cut into tables; the last one is about training.
_PARTS: dict[str, tuple[str, ...]] = {
    "Who converts": ("auc", "auc_within", "log_loss", "ece_deciles"),
    "How much, as the paper measures it": ("mse", "mae", "calibration", "total_ratio"),
    "Order of expected revenue": ("gini", "spearman", "lift"),
    "All pairs, logged or not": ("auc_all_pairs", "ratio_all_pairs", "effective_share"),
    "What a plan is made from: pairs that may be shown": ("auc_pairs", "pairs_ratio", "decision_value", "policy_value"),
    "Training": (),
}
#: Facts about a run rather than marks for it: never best, never tied.
_UNRANKED = {"effective_share"}
_FEW_SEEDS = 5


@dataclass(frozen=True)
class Cell:
    """One method under one metric.

    Attributes
    ----------
    mean, spread : over seeds; the spread is the standard deviation, nan for a single seed
    values : by seed
    best : has the best mean; never with a single seed, which knows no spread
    tied : not best, but its mean difference to the best over common seeds lies within that difference's spread
    """

    mean: float
    spread: float
    values: dict[int, float]
    best: bool = False
    tied: bool = False


class ModelTable:
    """What `model_table` found.

    Parameters
    ----------
    runs : sequence of ModelRun
        All of them; `chosen` says which setting of each method counts.
    chosen : mapping of method to setting
    name, currency : of the data
    profile : what was run, in a word

    Attributes
    ----------
    methods : list of str
        In the order in which they were run.
    """

    def __init__(
        self, runs: Sequence[ModelRun], chosen: dict[str, dict[str, float]], name: str, currency: str, profile: str = ""
    ):
        if not runs:
            raise InputError("A table needs at least one run.")
        self.runs, self.chosen, self.name, self.currency, self.profile = list(runs), chosen, name, currency, profile
        self.methods = list(chosen)
        self._cells = {metric: self._column(metric) for metric in METRICS}

    # -- numbers -------------------------------------------------------------------------------------------------
    def final(self, method: str) -> list[ModelRun]:
        """The runs of a method with its chosen setting, by seed."""
        one_of("method", method, self.methods)
        mine = (r for r in self.runs if r.method == method and r.setting == self.chosen[method])
        return sorted(mine, key=lambda r: r.seed)

    @property
    def seeds(self) -> list[int]:
        """The seeds there are runs of."""
        return sorted({r.seed for m in self.methods for r in self.final(m)})

    @property
    def metrics(self) -> list[str]:
        """Metrics that at least one method has."""
        return [m for m, cells in self._cells.items() if any(math.isfinite(c.mean) for c in cells.values())]

    def cell(self, method: str, metric: str) -> Cell:
        """One method under one metric."""
        one_of("metric", metric, tuple(METRICS)), one_of("method", method, self.methods)
        return self._cells[metric][method]

    def _column(self, metric: str) -> dict[str, Cell]:
        cells = {}
        for method in self.methods:
            values = {r.seed: r.metrics.get(metric, math.nan) for r in self.final(method)}
            # a method that fails with one seed has no mean to be proud of
            whole = bool(values) and all(math.isfinite(v) for v in values.values())
            mean = statistics.fmean(values.values()) if whole else math.nan
            spread = statistics.stdev(values.values()) if whole and len(values) > 1 else math.nan
            cells[method] = Cell(mean, spread, values)
        info = METRICS[metric]
        losses = {
            m: statistics.fmean(info.loss(v) for v in c.values.values())
            for m, c in cells.items()
            if math.isfinite(c.spread)
        }
        if len(losses) < 2 or metric in _UNRANKED:
            return cells
        best = min(losses, key=lambda m: losses[m])
        for method in losses:
            c = cells[method]
            tied = method != best and self._within(cells[best].values, c.values, info)
            cells[method] = Cell(c.mean, c.spread, c.values, method == best, tied)
        return cells

    @staticmethod
    def _within(one: dict[int, float], other: dict[int, float], info: MetricInfo) -> bool:
        """Whether the paired difference lies within its spread over seeds."""
        common = sorted(set(one) & set(other))
        if len(common) < 2:
            return False
        differences = [info.loss(one[s]) - info.loss(other[s]) for s in common]
        return abs(statistics.fmean(differences)) <= statistics.stdev(differences)

    def compare(self, first: str, second: str, metric: str) -> str:
        """How `first` stands against `second`: "better", "worse", "tie", or "" where either has no value or spread."""
        a, b = self.cell(first, metric), self.cell(second, metric)
        if not (math.isfinite(a.spread) and math.isfinite(b.spread)):
            return ""
        info = METRICS[metric]
        if self._within(a.values, b.values, info):
            return "tie"
        means = [statistics.fmean(map(info.loss, c.values.values())) for c in (a, b)]
        return "better" if means[0] < means[1] else "worse"

    def seconds_per_epoch(self, method: str) -> float:
        """Median over the method's final runs."""
        times = [r.seconds_per_epoch for r in self.final(method) if math.isfinite(r.seconds_per_epoch)]
        return statistics.median(times) if times else math.nan

    @property
    def notes(self) -> list[str]:
        """What final runs warned of, with whom it concerns."""
        said: dict[str, list[str]] = {}
        for method in self.methods:
            for run in self.final(method):
                for note in run.notes:
                    said.setdefault(note, [])
                    if method not in said[note]:
                        said[note].append(method)
        return [f"{', '.join(who)}: {note}" for note, who in said.items()]

    # -- frames and faces ----------------------------------------------------------------------------------------
    def words(self, metric: str) -> str:
        """What a metric is called, with its unit."""
        return METRICS[one_of("metric", metric, tuple(METRICS))].words.format(self.currency or "currency")

    def to_frame(self) -> Any:
        """One row a method and metric, as a pandas data frame.

        Columns: data, method, metric, mean, spread, seeds, best, tied, seconds_per_epoch, and the chosen setting's.
        """
        import pandas as pd

        rows = []
        for method in self.methods:
            for metric in self.metrics:
                c = self.cell(method, metric)
                rows.append(
                    {
                        "data": self.name,
                        "method": method,
                        "metric": metric,
                        "mean": c.mean,
                        "spread": c.spread,
                        "seeds": len(c.values),
                        "best": c.best,
                        "tied": c.tied,
                        "seconds_per_epoch": self.seconds_per_epoch(method),
                        **self.chosen[method],
                    }
                )
        return pd.DataFrame(rows)

    def text(self, method: str, metric: str) -> str:
        """``mean ± spread`` with as many digits as the spread warrants; "—" where there is nothing."""
        c = self.cell(method, metric)
        if not math.isfinite(c.mean):
            return "—"
        if not math.isfinite(c.spread):
            return f"{c.mean:,.4g}"
        digits = _digits(c.mean, c.spread)
        return f"{c.mean:,.{digits}f} ± {c.spread:,.{digits}f}"

    def _repr_html_(self) -> str:
        tables = "".join(self._part(title, names) for title, names in _PARTS.items())
        notes = "".join(f"<li>{html.escape(n)}</li>" for n in self.notes)
        return f'<p class="note">{html.escape(self.caption())}</p>{tables}' + (
            f"<details><summary>What the runs warned of</summary><ul>{notes}</ul></details>" if notes else ""
        )

    def _part(self, title: str, names: Sequence[str]) -> str:
        """A table of some metrics: as many as a page is wide."""
        columns = {
            html.escape(self.words(m)): [self._marked(x, m) for x in self.methods] for m in names if m in self.metrics
        }
        if not names:
            columns = {
                "setting": [html.escape(self._setting(m)) for m in self.methods],
                "seconds an epoch": self._times(),
            }
        if not columns:
            return ""
        head = "".join(f'<th scope="col">{words}</th>' for words in ("method", *columns))
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{html.escape(method)}</th>'
            + "".join(f'<td style="white-space:nowrap">{cells[i]}</td>' for cells in columns.values())
            + "</tr>"
            for i, method in enumerate(self.methods)
        )
        return (
            f'<div class="table-wrap"><table class="ptofa"><caption>{html.escape(title)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def _marked(self, method: str, metric: str) -> str:
        c, text = self.cell(method, metric), html.escape(self.text(method, metric))
        if c.best:
            return f"<b>{text}</b>"
        return f"{text} <span title='tied with the best'>≈</span>" if c.tied else text

    def caption(self) -> str:
        """What the table shows and how to read it, in a few sentences."""
        n = len(self.seeds)
        if n > 1:
            read = (
                f"Mean ± standard deviation over {n} seeds; bold is best, ≈ is tied with it: the paired difference "
                "lies within its own spread."
            )
            if n < _FEW_SEEDS:
                read += f" {n} seeds tell little: a difference that is no tie may still be luck."
        else:
            read = "One seed: no spread is known, so nothing is called best."
        zero = [r.metrics["mae_zero"] for m in self.methods for r in self.final(m) if "mae_zero" in r.metrics]
        mae = (
            f" MAE rewards predicting nothing: 0 for everybody has {statistics.fmean(zero):,.4g} {self.currency}."
            if zero
            else ""
        )
        where = (
            "Test rows, after calibration on validation rows, or the adjustment to all pairs (debias=adjust) on "
            "training and validation rows; ratios are judged by their mean distance from 1."
        )
        return f"{self.name}. {read} {where}{mae}"

    def _setting(self, method: str) -> str:
        return ", ".join(f"{k} {v:.3g}" for k, v in self.chosen[method].items()) or "default"

    def _times(self) -> list[str]:
        return ["—" if math.isnan(t) else f"{t:.2g}" for t in map(self.seconds_per_epoch, self.methods)]


def _digits(mean: float, spread: float) -> int:
    """Decimals at which the spread has two figures, within what a reader can use."""
    if spread <= 0:
        return 4 if abs(mean) < 10 else 1
    return int(min(5, max(0, 1 - math.floor(math.log10(spread)))))
