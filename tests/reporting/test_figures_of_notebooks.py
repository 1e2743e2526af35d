"""The figures that single notebooks draw: what they say on small data, and on odd ones."""

import math

import numpy as np
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.datasets import ExposureData
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation import value_policies
from ptofa_gpu.evaluation.ab_test import ABTest, Lift
from ptofa_gpu.evaluation.exposure import CustomerAmounts
from ptofa_gpu.evaluation.lift import lift_curve
from ptofa_gpu.evaluation.losses import QuotaLosses, quota_losses
from ptofa_gpu.evaluation.offpolicy import PolicyTable
from ptofa_gpu.evaluation.scaling import ScaleRow, ScaleTable
from ptofa_gpu.reporting import figures
from ptofa_gpu.reporting.figures._canvas import _between
from ptofa_gpu.reporting.figures._ends import name_points
from ptofa_gpu.reporting.style import BLUE, GREEN, GREY, VERMILLION, labels
from tests.reporting.test_figures import logged

LONG = "a fund with a very long name indeed, number "


def texts(axes):
    return [t.get_text() for t in axes.texts]


def lines(axes, colour=None, marked=False):
    """Lines of data, not those that only stand in a legend."""
    found = [line for line in axes.lines if len(line.get_xdata()) and colour in (None, line.get_color())]
    return [line for line in found if not marked or line.get_marker() not in ("None", None, "")]


def ticks(axis):
    """The words at an axis's ticks as they are drawn."""
    axis.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    every = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [t.label1.get_text() for t in every if t.label1.get_text() and low <= t.get_loc() <= high]


# -- A/B tests ------------------------------------------------------------------------------------------------------
def campaign(name, arm, cpme, rpme):
    """Lift, its interval, detectable, true of both metrics."""
    return ABTest(name, (), "base", tuple(Lift(arm, m, *x) for m, x in (("cpme", cpme), ("rpme", rpme))), 0.9, {})


def test_ab_chart_shows_lift_interval_truth_and_what_cannot_be_seen():
    up, down, none = (0.3, 0.1, 0.5, 0.25, 0.4), (-0.3, -0.5, -0.1, 0.2, -0.2), (0.02, -0.1, 0.1, 0.3, 0.0)
    chart = figures.ab_chart([campaign("P1", "new", up, none), campaign("P2", "other", down, up)])
    left, right = chart.figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("lift in CPME (%)", "lift in RPME (%)")
    assert [t.get_text() for t in left.get_yticklabels()] == ["P1: new\nagainst base", "P2: other\nagainst base"]
    for panel, rows in ((left, (up, down)), (right, (none, up))):
        bars = [p for p in panel.patches if p.get_width()]
        assert [(b.get_x(), b.get_width()) for b in bars] == [pytest.approx((-100 * r[3], 200 * r[3])) for r in rows]
        assert [x.get_xdata()[0] for x in lines(panel, GREEN)] == pytest.approx([100 * r[4] for r in rows])
        intervals = [list(x.get_xdata()) for x in lines(panel) if len(x.get_xdata()) == 2 and x.get_linewidth() > 2]
        assert intervals == [pytest.approx([100 * r[1], 100 * r[2]]) for r in rows]
        dots = [x for x in lines(panel, marked=True) if x.get_marker() == "o"]
        assert [x.get_xdata()[0] for x in dots] == pytest.approx([100 * r[0] for r in rows])
    assert [x.get_color() for x in lines(left, marked=True) if x.get_marker() == "o"] == [BLUE, VERMILLION]
    assert [x.get_color() for x in lines(right, marked=True) if x.get_marker() == "o"] == [GREY, BLUE]
    assert texts(left) == ["+30.0 %", "-30.0 %"]
    assert "P1 new CPME +30.0 % (+10.0 % to +50.0 %)" in chart.alt
    assert "P2 other RPME +30.0 %" in chart.alt
    assert "90 % interval" in chart.figure.legends[0].get_texts()[0].get_text()


def test_ab_chart_says_where_there_is_no_lift():
    chart = figures.ab_chart([campaign("P1", "new", (math.nan,) * 5, (0.1, -0.1, 0.2, 0.3, 0.0))])
    assert texts(chart.figure.axes[0]) == ["no lift: nobody converted"]
    assert "P1 new CPME none" in chart.alt
    assert "nan" not in chart.alt
    assert chart.render("png")[:4] == b"\x89PNG"


# -- the log --------------------------------------------------------------------------------------------------------
def test_exposure_bias_chart_is_of_the_log():
    chart = figures.exposure_bias_chart(logged(["a", "b", "c"], [10, 60, 30], [1, 6, 0]))
    left, right = chart.figure.axes
    assert [b.get_width() for b in left.patches] == pytest.approx([60, 30, 10])
    assert [t.get_text() for t in left.get_yticklabels()] == ["b", "c", "a"]
    assert left.get_xlabel() == "share of logged exposures (%)"
    assert right.get_xlabel() == "conversions per 100 exposures (95 % interval)"
    assert next(x for x in lines(right, marked=True)).get_xdata() == pytest.approx([10, 0, 10])
    assert "from 60 % (b) to 10 % (a)" in chart.alt
    many = figures.exposure_bias_chart(logged([f"{LONG}{i}" for i in range(200)], np.arange(200) + 1, [1] * 200))
    left = many.figure.axes[0]
    assert len(left.patches) == 24
    assert left.get_title(loc="left") == "Who was shown: 24 of 200 funds"
    assert left.patches[0].get_width() == pytest.approx(100 * 200 / 20_100), "of all exposures, drawn or not"
    assert len({t.get_text() for t in left.get_yticklabels()}) == 24, "names that differ at their end still differ"


def test_concentration_chart_tells_both_ginis_and_names_the_funds():
    chart = figures.concentration_chart(logged(["a", "b", "c $5"], [10, 60, 30], [2, 6, 2]))
    left, right = chart.figure.axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("funds, least first (%)", "held by them (%)")
    assert right.get_xlabel() == "share of exposures (%, log scale)"
    assert right.get_ylabel() == "share of conversions (%, log scale)"
    assert lines(left, BLUE)[0].get_ydata() == pytest.approx([0, 10, 40, 100])
    assert right.collections[0].get_offsets().tolist() == [[60, 60], [30, 20], [10, 20]]
    assert set(texts(right)) == {"a", "b", r"c \$5"}
    assert "Gini of exposures 0.33; Gini of conversions 0.27; b has 60 % of exposures and 60 % of conv" in chart.alt


@pytest.mark.parametrize(
    ("names", "exposures", "conversions", "named"),
    [
        (["only"], [9], [3], 1),
        (["a", "b", "c", "d"], [10] * 4, [2] * 4, 4),
        ([f"{LONG}{i}" for i in range(40)], [400, *range(1, 40)], [99] + [1] * 39, 1),
    ],
    ids=["one fund", "all alike", "many with long names"],
)
def test_concentration_chart_of_odd_logs(names, exposures, conversions, named):
    chart = figures.concentration_chart(logged(names, exposures, conversions))
    right = chart.figure.axes[1]
    chart.figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in right.texts]
    assert len(boxes) >= named
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]), "no name on another"
    frame = right.get_window_extent()
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)
    assert len(ticks(right.xaxis)) >= 1
    assert "nan" not in chart.alt


def test_an_empty_log_is_an_error():
    class Nothing(ExposureData):
        def __init__(self):
            """Without a log: one of no rows is refused."""

        def fund_table(self):
            return [{"name": "a", "exposures": 0, "conversions": 0}]

    for draw in (figures.exposure_bias_chart, figures.concentration_chart):
        with pytest.raises(InputError, match="shows none of the 1 funds"):
            draw(Nothing())


def test_names_that_would_cover_each_other_are_left_out():
    chart = figures.concentration_chart(logged(["a"], [9], [3]))
    axes = chart.figure.axes[1]
    axes.texts[0].remove()
    centre = np.full((30, 2), 100.0)
    placed = name_points(chart.figure, axes, centre, [f"name {i}" for i in range(30)])
    assert 0 < len(placed) <= 8
    assert placed[0] == "name 0", "the most important first"


# -- single customers -----------------------------------------------------------------------------------------------
def test_customer_amount_chart_has_a_panel_a_customer():
    rng = np.random.default_rng(0)
    customers = [CustomerAmounts(f"c{i}", np.exp(rng.normal(5 + i, 0.5, 30 + i))) for i in range(4)]
    chart = figures.customer_amount_chart(customers, currency="US$")
    panels = [a for a in chart.figure.axes if a.get_visible()]
    assert [a.get_title(loc="left") for a in panels] == [f"customer c{i}" for i in range(4)]
    for panel, c in zip(panels, customers):
        assert texts(panel) == [f"n = {c.amount.size}\nμ = {c.mu:.2f}\nσ = {c.sigma:.2f}"]
        counts, edges, _ = panel.patches[0].get_data()
        assert counts.sum() == c.amount.size
        curve = lines(panel)[0]
        assert curve.get_xdata()[np.argmax(curve.get_ydata())] == pytest.approx(np.exp(c.mu), rel=0.1)
        step = np.log(edges[1] / edges[0])
        area = np.sum(curve.get_ydata()) * np.diff(np.log(curve.get_xdata()))[0]
        assert area == pytest.approx(c.amount.size * step, rel=0.05), "the curve is of as many as the bars"
    assert chart.figure._supxlabel.get_text() == r"amount of a conversion (US\$, log scale)"
    assert f"c3 (n 33, mu {customers[3].mu:.2f}, sigma {customers[3].sigma:.2f})" in chart.alt


def test_customer_amount_chart_of_amounts_all_alike():
    customers = [CustomerAmounts("same", np.full(5, 65.0)), CustomerAmounts("one", np.array([65.0]))]
    chart = figures.customer_amount_chart(customers)
    same, one = chart.figure.axes
    assert lines(same) == lines(one) == [], "there is no curve to fit"
    assert texts(one) == ["n = 1\nμ = 4.17\nσ = —"]
    assert "nan" not in chart.alt
    assert 2 <= len(ticks(same.xaxis)) <= 10
    for wrong in ([], [CustomerAmounts("a", np.zeros(0))], [CustomerAmounts("a", np.array([0.0, 1.0]))]):
        with pytest.raises(InputError):
            figures.customer_amount_chart(wrong)


def test_amount_chart_of_amounts_all_alike():
    chart = figures.amount_chart([65.0] * 20)
    axes = chart.figure.axes[0]
    assert axes.get_title(loc="left") == "Amounts, all alike"
    assert axes.patches[0].get_data().values.max() == 20
    shown = ticks(axes.xaxis)
    assert len(shown) == len(set(shown)) > 1
    assert "all alike; median 65, mean 65" in chart.alt


# -- estimators and policies ----------------------------------------------------------------------------------------
def valued(estimator="ips"):
    rng = np.random.default_rng(1)
    return value_policies(
        {"plan": rng.integers(0, 3, 300), "everyone": np.zeros(300, int)},
        rng.integers(0, 3, 300),
        1 / 3,
        rng.random(300),
        estimator=estimator,
        predicted=np.full((300, 3), 0.5) if estimator == "dr" else None,
        baseline="everyone",
        draws=50,
    )


def test_estimator_chart_has_an_interval_for_each_policy_and_estimator():
    tables = {kind: valued(kind) for kind in ("ips", "snips", "dr")}
    chart = figures.estimator_chart(tables, currency="USD")
    axes = chart.figure.axes[0]
    assert axes.get_xlabel() == "value per customer (USD), 95 % bootstrap intervals"
    assert axes.get_title(loc="left") == "Off-policy value, three ways"
    assert [t.get_text() for t in axes.get_yticklabels()] == ["plan", "everyone"]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [
        "inverse propensity", "self-normalised", "doubly robust",
    ]  # fmt: skip
    drawn = [tuple(x.get_xdata()) for x in lines(axes) if x.get_marker() == "None"]
    assert drawn == [(p.low, p.high) for t in tables.values() for p in t.policies]
    dots = [list(x.get_xdata()) for x in lines(axes, marked=True)]
    assert dots == [[p.value for p in t.policies] for t in tables.values()]
    assert f"doubly robust: plan {tables['dr']['plan'].value:.3g}" in chart.alt
    one = figures.estimator_chart({"ips": tables["ips"]})
    assert one.figure.axes[0].get_title(loc="left") == "Off-policy value"
    assert "currency units" in one.figure.axes[0].get_xlabel()


def test_policies_are_valued_per_customer():
    left, right = figures.policy_chart(valued(), currency="USD").figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("value per customer (USD)", "difference per customer (USD)")


@pytest.mark.parametrize("tables", [{}, {"ips": PolicyTable((), None)}, {str(i): valued() for i in range(4)}])
def test_estimators_that_cannot_be_drawn(tables):
    with pytest.raises(InputError):
        figures.estimator_chart(tables)
    with pytest.raises(InputError):
        figures.policy_chart(PolicyTable((), None))


def test_tables_of_other_policies_are_not_compared():
    other = PolicyTable(valued().policies[:1], None)
    with pytest.raises(InputError, match="the same policies"):
        figures.estimator_chart({"ips": valued(), "dr": other})


# -- lift -----------------------------------------------------------------------------------------------------------
def test_lift_chart_says_what_the_highest_tenth_catches():
    y = np.r_[np.ones(50), np.zeros(950)]
    good, bad = lift_curve(np.linspace(1, 0, 1000), y, draws=20), lift_curve(np.linspace(0, 1, 1000), y, draws=20)
    chart = figures.lift_chart({"PTOFA": good})
    axes = chart.figure.axes[0]
    assert axes.get_xlabel() == "exposures, highest predictions first (%)"
    assert axes.get_ylabel() == "share of revenue caught (%)"
    assert lines(axes, BLUE)[0].get_ydata() == pytest.approx(good.caught * 100)
    assert len(axes.collections) == 1, "the band of a single curve"
    assert axes.get_title(loc="left") == "Lift: where the money is found (95 % band)"
    words = [t.get_text() for t in axes.get_legend().get_texts()]
    assert words == ["perfect ranking", "PTOFA: 100 % in the top tenth", "chance"]
    assert chart.alt == "Cumulative gains: PTOFA catches 100 % of revenue in its highest tenth."
    two = figures.lift_chart({"good": good, "bad": bad}, what="conversions")
    assert "good catches 100 % of conversions in its highest tenth; bad catches 0 % of conversions" in two.alt
    assert not two.figure.axes[0].collections
    alike = figures.lift_chart({"one": lift_curve(np.ones(100), np.ones(100), draws=20)})
    assert "catches 10 % of revenue" in alike.alt
    for wrong in ({}, {str(i): good for i in range(6)}):
        with pytest.raises(InputError, match="between one and five"):
            figures.lift_chart(wrong)


# -- what quotas cost -----------------------------------------------------------------------------------------------
def losses(names, e, quota):
    problem = ptofa.AllocationProblem(np.asarray(e, float), quota=quota, names=names)
    return quota_losses(ptofa.allocate(problem, method="optimal", device="cpu"))


def test_loss_chart_says_where_exposures_go_and_what_that_costs():
    found = losses(["liked", "other"], [[5, 1], [5, 2], [5, 4]], [1, 2])
    assert found.total == pytest.approx(4)
    chart = figures.loss_chart(found, currency="CNY")
    left, right = chart.figure.axes
    assert left.get_xlabel() == "expected revenue lost (CNY)"
    assert (right.get_xlabel(), right.get_ylabel()) == ("risk tolerance", "lost per customer (CNY)")
    assert [b.get_width() for b in left.patches] == pytest.approx([4, 0])
    assert texts(left) == ["2 of 3, most to other", "all get it"]
    assert [b.get_height() for b in right.patches] == pytest.approx([4 / 3])
    assert texts(right) == ["1.33"]
    low, high = right.get_xlim()
    assert high - low > 1, "a single bar does not fill the panel"
    assert "What the quotas cost: 4 CNY in all. By fund wanted: liked 4 (2 exposures)" in chart.alt
    assert chart.figure._supxlabel.get_text().endswith("quotas ignored: 4 in all")


def test_loss_chart_of_odd_plans():
    free = figures.loss_chart(losses(["only"], [[1.0], [2.0]], [2]))
    assert texts(free.figure.axes[0]) == ["all get it"]
    assert "0 currency units in all. By fund wanted: nothing." in free.alt
    e = np.random.default_rng(0).lognormal(0, 1, (90, 30)) * np.linspace(0.3, 1.7, 30)
    many = figures.loss_chart(losses([f"{LONG}{i}" for i in range(30)], e, [3] * 30))
    left, right = many.figure.axes
    assert len(left.patches) == len({t.get_text() for t in left.get_yticklabels()}) == 20
    assert left.get_title(loc="left") == "By the fund they wanted, 20 of 30"
    many.figure.draw_without_rendering()
    edge = right.yaxis.label.get_window_extent().x0
    assert all(t.get_window_extent().x1 < edge for t in left.texts), "words of one panel stay out of the other"
    zero = np.zeros(0, dtype=np.int64)
    nothing = QuotaLosses((), np.zeros((0, 1), np.int64), np.zeros((0, 1)), zero, zero, zero, zero, np.zeros(0))
    with pytest.raises(InputError, match="nothing to draw"):
        figures.loss_chart(nothing)


# -- by scale -------------------------------------------------------------------------------------------------------
def scale(sizes, shares, seconds=1e-6):
    """Rows of methods with these shares; NaN breaks quotas."""
    rows = []
    for size in sizes:
        for method, share in shares.items():
            if method == "integer" and size > 1000:
                continue
            over = 5 if math.isnan(share) else 0
            worth = 100.0 * size * (1.3 if over else share)
            rows.append(ScaleRow(method, size, 8, 1, worth, share, seconds * size, 0, over, "optimal"))
    return ScaleTable(tuple(rows))


SHARES = {"manual": 0.7, "topk": math.nan, "heuristic": 0.9995, "optimal": 1.0, "integer": 1.0}


def test_scale_objective_chart_names_every_line_and_spreads_the_shares():
    chart = figures.scale_objective_chart(scale([500, 1000, 10_000], SHARES), currency="CNY")
    top, foot = chart.figure.axes
    assert top.get_ylabel() == "revenue (CNY, log scale)"
    assert foot.get_xlabel() == "customers (log scale)"
    assert foot.get_ylabel().startswith("% of the optimum")
    assert not chart.figure.legends, "lines are named where they end"
    assert len(lines(top)) == 5
    assert len(lines(foot)) == 4, "what breaks quotas has no share"
    assert {t.split("  ")[0] for t in texts(top)} == {
        "manual", "top-K (quotas ignored)", "heuristic (Alg. 1)", "optimum (by prices)", "integer programming",
    }  # fmt: skip
    assert "manual  70.00 %" in texts(foot)
    assert "heuristic (Alg. 1)  99.95 %" in texts(foot)
    assert ticks(foot.yaxis) == ["100", "99.99", "99.9", "99", "90", "80"]
    assert ticks(foot.xaxis) == ["500", "1,000", "10k"]
    places = sorted(foot.transData.transform([(500, x.get_ydata()[0]) for x in lines(foot)])[:, 1])
    gap = (places[-1] - places[1]) / (places[-1] - places[0])
    assert gap > 0.2, "a share of 99.95 % is told from one of 100 %"
    assert [x.get_linestyle() for x in lines(top)].count("--") == 1
    assert "manual 700k CNY at 10,000 customers, 70.00 % of the optimum" in chart.alt
    assert "top-K (quotas ignored) 1.3M CNY at 10,000 customers, breaking quotas" in chart.alt
    assert "integer programming 100k CNY at 1,000 customers, 100.00 %" in chart.alt


def test_a_share_that_is_known_of_smaller_sizes_only_is_told_as_that():
    rows = list(scale([500, 1000], {"heuristic": 0.9}).rows)
    rows[1] = ScaleRow("heuristic", 1000, 8, 1, 5.0, math.nan, 1.0, 0, 0, "unknown")
    assert "90.00 % of the optimum at 500" in figures.scale_objective_chart(ScaleTable(tuple(rows))).alt


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [([700], SHARES), ([500, 600], {"optimal": 1.0}), ([500], {"topk": math.nan}), ([500, 5000], {"manual": 0.2})],
    ids=["one size", "all optimal", "none with a share", "far from the optimum"],
)
def test_scale_charts_of_odd_tables(sizes, shares, recwarn):
    table = scale(sizes, shares)
    for chart in (figures.scale_objective_chart(table), figures.scale_time_chart(table)):
        for axes in chart.figure.axes:
            shown = ticks(axes.yaxis)
            assert len(shown) == len(set(shown)) >= 1
            assert not [t for t in shown if "mathdefault" in t]
        assert ticks(chart.figure.axes[-1].xaxis) == [f"{s:,}" for s in sizes]
        chart.figure.draw_without_rendering()
        width = chart.figure.bbox.x1
        assert all(t.get_window_extent().x1 < width for a in chart.figure.axes for t in a.texts)
    assert not list(recwarn)


def test_scale_time_chart():
    chart = figures.scale_time_chart(scale([500, 1000, 10_000], SHARES))
    axes = chart.figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("customers (log scale)", "seconds (log scale)")
    assert len(lines(axes)) == len(axes.texts) == 5
    assert "manual  0.01 s" in texts(axes)
    assert not chart.figure.legends
    assert "integer programming 0.001 s at 1,000 customers" in chart.alt
    assert len(ticks(figures.scale_time_chart(scale([10**i for i in range(1, 12)], SHARES)).figure.axes[0].xaxis)) < 12


def test_nothing_to_draw_by_scale_is_an_error():
    free = scale([500], {"manual": 0.0}, seconds=0.0)
    for table in (ScaleTable(()), free):
        with pytest.raises(InputError, match="objective above 0"):
            figures.scale_objective_chart(table)
        with pytest.raises(InputError, match="seconds above 0"):
            figures.scale_time_chart(table)


# -- words on axes --------------------------------------------------------------------------------------------------
def test_short_log_axes_have_words_between_powers_of_ten():
    assert [_between(v, 20, 60) for v in (20, 30, 45)] == ["20", "30", "45"]
    assert [v for v in range(2, 10) if _between(v, 1.5, 12)] == [2, 3, 5, 7]
    assert [v for v in range(2, 10) if _between(v, 1, 30)] == [2, 5]
    assert [v for v in range(2, 10) if _between(v, 1, 1000)] == []


def test_names_that_differ_at_their_end_still_differ():
    shown = labels([f"{LONG}{i}" for i in range(12)] + ["short", "pays $5"])
    assert len(set(shown)) == 14
    assert all(len(t) <= 26 for t in shown)
    assert shown[11].startswith("a fund with")
    assert shown[11].endswith("number 11")
    assert shown[12:] == ["short", r"pays \$5"]
