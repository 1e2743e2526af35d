"""Where the order of methods in the paper's Table 1 holds on other data, and where it does not."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ptofa_gpu._arguments import instance, one_of
from ptofa_gpu.evaluation.model_table import ModelTable

#: Tang et al. (2025), arXiv 2503.03165, Table 1: LCT-A and LCT-B, (AUC, MSE, MAE); None where the paper has none.
#: The data are private and the unit of MSE and MAE is not stated: only orders can be compared.
PAPER_TABLE: dict[str, dict[str, tuple[float | None, float | None, float | None]]] = {
    "A": {
        "esmm": (0.8303, None, None),
        "dnn_c": (0.8237, None, None),
        "dnn_r": (None, 0.0386, 0.0413),
        "shared_bottom": (0.8120, 0.0367, 0.0323),
        "mmoe": (0.8205, 0.0381, 0.0392),
        "ziln": (0.8287, 0.0386, 0.0426),
        "mtl_mse": (0.8276, 0.0382, 0.0353),
        "ptofa(debias=none)": (0.8327, 0.0362, 0.0227),
    },
    "B": {
        "esmm": (0.9270, None, None),
        "dnn_c": (0.9040, None, None),
        "dnn_r": (None, 0.4248, 0.1369),
        "shared_bottom": (0.9208, 0.4265, 0.1404),
        "mmoe": (0.9192, 0.4236, 0.1436),
        "ziln": (0.9228, 1.7885, 0.5909),
        "mtl_mse": (0.9213, 0.4262, 0.1446),
        "ptofa(debias=none)": (0.9313, 0.4203, 0.1326),
    },
}
_PAPER_METRICS = ("auc", "mse", "mae")


@dataclass(frozen=True)
class Order:
    """One pair of methods under one metric: the paper puts `better` before `worse`; what was found here."""

    metric: str
    better: str
    worse: str
    found: Literal["holds", "tie", "reversed"]


@dataclass(frozen=True)
class PaperOrder:
    """All pairs that both tables have.

    Attributes
    ----------
    pairs : tuple of Order
    table : ModelTable
    """

    pairs: tuple[Order, ...]
    table: ModelTable

    def count(self, found: str, metric: str | None = None) -> int:
        """Pairs of which `found` ("holds", "tie", "reversed") is true, of one metric or of all."""
        return sum(p.found == found and metric in (None, p.metric) for p in self.pairs)

    def sentences(self) -> list[str]:
        """What holds, what does not, and what is known of why."""
        if not self.pairs:
            return ["None of the paper's pairs of methods can be compared: at least two seeds are needed of each."]
        out = []
        for metric in dict.fromkeys(p.metric for p in self.pairs):
            n = sum(p.metric == metric for p in self.pairs)
            holds, tie, back = (self.count(f, metric) for f in ("holds", "tie", "reversed"))
            text = f"{self.table.words(metric)}: the paper has {n} orders; here {holds} hold, ties are {tie}, "
            text += f"the other way round {back}"
            names = [f"{p.worse} before {p.better}" for p in self.pairs if p.metric == metric and p.found == "reversed"]
            out.append(text + (f" ({'; '.join(names)})." if names else "."))
        return out + self.reasons()

    def reasons(self) -> list[str]:
        """Why orders differ, as far as this table shows it."""
        table, out = self.table, []
        found = {(p.metric, p.better, p.worse): p.found for p in self.pairs}
        ours = "ptofa(debias=none)"
        if any(f != "holds" and {a, b} == {ours, "ziln"} for (_, a, b), f in found.items()):
            one, other = (table.cell(m, "auc").values for m in (ours, "ziln"))
            apart = max((abs(one[s] - other[s]) for s in set(one) & set(other)), default=float("nan"))
            out.append(
                f"PTOFA against ZILN: with any seed their AUC differ by at most {apart:.2g}. Kept within the bounds "
                "that training needs, the paper's counterfactual term P LN(eps; mu, sigma) is below 1e-20 of P "
                "wherever sigma is below 1, so both learn nearly the same. Unbounded it is a density that depends on "
                "the currency's unit, and the model learns that everybody converts."
            )
        if any(f != "holds" and "shared_bottom" in (a, b) for (_, a, b), f in found.items()):
            text = (
                "Shared-Bottom: labels here are divided by their median, which the regression on raw amounts of the "
                "literature lacks."
            )
            log = "shared_bottom(label=log1p)"
            if log in table.methods and (verdict := table.compare(log, "shared_bottom", "auc")):
                text += f" With a log1p label its AUC is {table.text(log, 'auc')} ({verdict})."
            out.append(text)
        if any(m == "mae" and f != "holds" for (m, _, _), f in found.items()):
            zeros = [r.metrics["mae_zero"] for m in table.methods for r in table.final(m) if "mae_zero" in r.metrics]
            if zeros:
                zero = statistics.fmean(zeros)
                worse = [m for m in table.methods if table.cell(m, "mae").mean > zero]
                out.append(
                    f"MAE: predicting 0 for everybody has {zero:,.4g} {table.currency}, less than {len(worse)} of the "
                    "methods; a low MAE shows that a method predicts little, not that it predicts well."
                )
        rates = {m: s["lr"] for m, s in table.chosen.items() if "lr" in s}
        if rates and min(rates.values()) < 0.01:
            low = [m for m, lr in rates.items() if lr < 0.01]
            out.append(
                f"Learning rates: {len(low)} of {len(rates)} did best on validation rows below 0.01, "
                "where the paper's grid starts; within that grid methods also differ by how well they stand a rate "
                "that is too high."
            )
        ties = self.count("tie")
        if ties:
            out.append(
                f"Ties: {ties} of {len(self.pairs)} orders lie within the spread over {len(table.seeds)} seeds; the "
                "paper gives no spread, so it cannot be said which of its own differences are larger than that."
            )
        data = table.final(table.methods[0])[0].data
        out.append(f"The data are other data ({data}): the paper's are private, and the unit of its errors is unknown.")
        return out


def against_paper(table: ModelTable, kind: Literal["A", "B"] = "A") -> PaperOrder:
    """Compare a table's order of methods with that of the paper's Table 1.

    Parameters
    ----------
    table : ModelTable
        PTOFA of the paper is ``"ptofa(debias=none)"``: it knows no debiasing.
    kind : {"A", "B"}
        With which of the paper's data sets.
    """
    one_of("kind", kind, tuple(PAPER_TABLE))
    instance("table", table, ModelTable, "from model_table")
    paper = {m: values for m, values in PAPER_TABLE[kind].items() if m in table.methods}
    return PaperOrder(tuple(_pairs(table, paper)), table)


def _pairs(table: ModelTable, paper: dict[str, tuple[float | None, float | None, float | None]]) -> Iterable[Order]:
    for i, metric in enumerate(_PAPER_METRICS):
        sign = -1 if metric == "auc" else 1
        for one, other in itertools.combinations(paper, 2):
            a, b = paper[one][i], paper[other][i]
            if a is None or b is None or a == b:
                continue
            better, worse = (one, other) if sign * a < sign * b else (other, one)
            found = table.compare(better, worse, metric)
            if found:
                words: dict[str, Literal["holds", "tie", "reversed"]]
                words = {"better": "holds", "tie": "tie", "worse": "reversed"}
                yield Order(metric, better, worse, words[found])
