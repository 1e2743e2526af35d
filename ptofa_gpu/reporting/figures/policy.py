"""What plans would have earned on randomised data, with the intervals that decide whether they differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ptofa_gpu._arguments import instance, mapping
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._table import percent
from ptofa_gpu.evaluation.offpolicy import PolicyTable
from ptofa_gpu.reporting.chart import Chart
from ptofa_gpu.reporting.figures._canvas import bars_only, canvas, unit
from ptofa_gpu.reporting.style import BLUE, GREEN, GREY, ORANGE, label, short_number, styled


@styled
def policy_chart(table: PolicyTable, *, currency: str = "", name: str = "policy-values") -> Chart:
    """Draw each policy's value with its interval, and its paired difference from the baseline."""
    policies = instance("table", table, PolicyTable, "from value_policies").policies
    if not policies:
        raise InputError("there is nothing to draw: the table values no policy")
    two = table.baseline is not None and len(policies) > 1
    figure, axes = canvas(7.8 if two else 5.6, 1.1 + 0.42 * len(policies) + 0.5, columns=2 if two else 1, sharey=True)
    left = axes[0] if two else axes
    y = np.arange(len(policies))
    _intervals(left, y, [(p.value, p.low, p.high) for p in policies], [BLUE] * len(policies))
    left.set_yticks(y, [label(p.name) for p in policies])
    left.invert_yaxis()
    left.set_xlabel(f"value per customer ({unit(currency)})")
    left.set_title("Off-policy value")
    level = policies[0].level
    told = [f"{p.name} {short_number(p.value)} ({short_number(p.low)} to {short_number(p.high)})" for p in policies]
    if two:
        rest = [(i, p) for i, p in enumerate(policies) if p.name != table.baseline]
        colours = [GREY if p.lift_low <= 0 <= p.lift_high else BLUE for _, p in rest]
        places = np.array([i for i, _ in rest])
        _intervals(axes[1], places, [(p.lift, p.lift_low, p.lift_high) for _, p in rest], colours)
        axes[1].axvline(0, color=GREY, linewidth=1, linestyle="--")
        axes[1].set_xlabel(f"difference per customer ({unit(currency)})")
        axes[1].set_title(f"Against “{label(table.baseline)}”")
    words = f"bars: {percent(level)} bootstrap intervals" + ("; grey: cannot be told from 0" if two else "")
    figure.supxlabel(words, fontsize=8.5, color=GREY, x=0.99, ha="right")
    return Chart(figure, name, f"Off-policy values with {percent(level)} intervals: " + "; ".join(told) + ".")


def _intervals(axes, y, values, colours) -> None:  # type: ignore[no-untyped-def]
    for place, (value, low, high), colour in zip(y, values, colours):
        axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot([value], [place], "o", color=colour, markersize=6)
        axes.annotate(
            short_number(value), (value, place), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8.5
        )
    axes.margins(x=0.08, y=0.22)
    bars_only(axes)


#: what the estimators are called in figures
ESTIMATORS = {
    "ips": "inverse propensity",
    "snips": "self-normalised",
    "dr": "doubly robust",
}


@styled
def estimator_chart(tables: Mapping[str, PolicyTable], *, currency: str = "", name: str = "estimators") -> Chart:
    """Draw each policy's value by several estimators, with their intervals: estimates that agree support each other.

    Parameters
    ----------
    tables : mapping of str to PolicyTable
        Estimator to values of the same policies; at most three.

    Raises
    ------
    InputError
        No table, more than three, or tables of different policies or none.
    """
    tables = {k: instance(f"tables[{k!r}]", t, PolicyTable) for k, t in mapping("tables", tables).items()}
    if not 0 < len(tables) <= 3:
        raise InputError(f"between one and three estimators can be told apart, got {len(tables)}")
    first = next(iter(tables.values()))
    names = [p.name for p in first.policies]
    if not names:
        raise InputError("there is nothing to draw: the tables value no policy")
    if any([p.name for p in t.policies] != names for t in tables.values()):
        raise InputError("the tables must value the same policies, in the same order")
    figure, axes = canvas(7.4, 1.3 + 0.62 * len(names))
    colours, told = (BLUE, ORANGE, GREEN), []
    step = 0.22
    for j, (kind, table) in enumerate(tables.items()):
        y = np.arange(len(names)) + (j - (len(tables) - 1) / 2) * step
        for place, p in zip(y, table.policies):
            axes.plot([p.low, p.high], [place, place], color=colours[j % 3], linewidth=2, solid_capstyle="butt")
        axes.plot([p.value for p in table.policies], y, "o", color=colours[j % 3], markersize=5)
        axes.plot([], [], "o-", color=colours[j % 3], label=ESTIMATORS.get(kind, label(kind)))
        told.append(
            f"{ESTIMATORS.get(kind, kind)}: " + ", ".join(f"{p.name} {short_number(p.value)}" for p in table.policies)
        )
    axes.set_yticks(np.arange(len(names)), [label(n, 32) for n in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_xlabel(f"value per customer ({unit(currency)}), {percent(first.policies[0].level)} bootstrap intervals")
    axes.set_title("Off-policy value, three ways" if len(tables) == 3 else "Off-policy value")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5)
    bars_only(axes)
    return Chart(figure, name, "Off-policy values by estimator: " + "; ".join(told) + ".")
