import numpy as np
import pandas as pd
import pytest

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation import calibrate, value_policies
from ptofa_gpu.evaluation.comparison import Comparison, ComparisonRow
from ptofa_gpu.reporting import Chart, figures
from ptofa_gpu.reporting.style import (
    BLUE,
    DARK,
    GREEN,
    GREY,
    GRID,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WHITE,
    YELLOW,
    label,
    short_number,
)  # fmt: skip

NAMES = ["<script>alert(1)</script>", "pays $5 or $6", "a very long name " * 6, "صندوق", "rocket 🚀"]


def logged(names, exposures, conversions, amount=5.0):
    """A log of funds shown and bought so many times."""
    fund = np.repeat(np.arange(len(names)), exposures)
    first = np.cumsum(exposures) - exposures
    converted = np.arange(fund.size) - first[fund] < np.asarray(conversions)[fund]
    log = {"customer": np.arange(fund.size), "fund": fund, "converted": converted, "split": "train"}
    log["amount"] = np.where(converted, amount, 0.0)
    customers = {"customer": np.arange(fund.size), "tolerance": 1}
    funds = {"fund": np.arange(len(names)), "risk": 1, "quota": 1, "name": names}
    return ptofa.ExposureData.from_frames(*(pd.DataFrame(frame) for frame in (log, customers, funds)))


def comparison():
    rows = [
        ComparisonRow("reference", 100.0, 1.0, np.nan, 0, 0, 0, 0.1, "optimal"),
        ComparisonRow("topk", 130.0, 1.3, np.nan, 0, 7, 7, 0.1, "infeasible"),
        ComparisonRow("random", 40.0, 0.4, np.nan, 3, 0, 3, 0.1, "infeasible"),
    ]
    return Comparison(tuple(rows), {}, 100.0)


def charts():
    rng = np.random.default_rng(0)
    e = rng.lognormal(0, 1, 400)
    y = np.where(np.arange(400) % 3 == 0, e, 0.0)
    y[np.argsort(e)[:40]] = 0
    action = rng.integers(0, 3, 300)
    table = value_policies(
        {NAMES[0]: rng.integers(0, 3, 300), "base $1": np.zeros(300, int)},
        action,
        1 / 3,
        rng.random(300),
        baseline="base $1",
        draws=20,
    )
    return [
        figures.amount_chart(e, currency="US$"),
        figures.exposure_bias_chart(logged(NAMES, [50, 20, 0, 9, 5], [3, 0, 0, 1, 5])),
        figures.training_chart({"training": ([1, 2], [0.3, np.nan])}, metric={"AUC": ([1, 2], [0.5, 0.6])}),
        figures.training_chart({"training": ([1, 2], [0.3, 0.2])}, metric={"AUC": ([1, 2], [0.6, 0.5])}, kept=2),
        figures.calibration_chart(calibrate(e, y, draws=20), currency="US$"),
        figures.method_chart(comparison()),
        figures.exposure_chart(NAMES, [1, 2, 3, 4, 0], [1, 2, 5, 4, 0], method="topk"),
        figures.exposure_chart([f"f{i}" for i in range(200)], np.arange(200), np.arange(200)),
        figures.price_chart(NAMES, [1.0, -2.0, 0.0, 1e6, 0.1]),
        figures.price_chart([f"f{i}" for i in range(200)], np.linspace(-1, 1, 200)),
        figures.policy_chart(table, currency="US$"),
    ]


def test_every_figure_renders_whatever_the_names_and_the_same_each_time(recwarn):
    for first, second in zip(charts(), charts()):
        png, svg = first.render("png"), first.render("svg")
        assert png[:4] == b"\x89PNG"
        assert svg == second.render("svg"), first.name
        assert png == second.render("png")
        assert b"<script" not in svg
        assert len(first.alt) > 30
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_the_alternative_text_tells_what_matters():
    c = figures.method_chart(comparison())
    assert "not a valid plan: 7 exposures over quota" in c.alt
    assert "100.00 % of optimum" in c.alt
    e = figures.exposure_chart(["a", "b"], [1, 2], [1, 5])
    assert "1 meet it exactly; differing: b -3" in e.alt
    kept = figures.training_chart({"training": ([1, 2], [0.3, 0.2])}, metric={"AUC": ([1, 2], [0.6, 0.5])}, kept=2)
    assert "epoch 2 is kept; AUC 0.500 at epoch 2" in kept.alt
    words = figures.training_chart({"training loss": ([1, 2], [0.3, 0.2])}, metric={}).alt
    assert words == "Training curves: training loss from 0.3 to 0.2."
    # with full slots one exposure more is one fewer of another fund
    prices = figures.price_chart(["a", "b"], [1.0, 3.0], full=True)
    assert "in place of one of a in currency units, highest first: b 2, a 0" in prices.alt
    assert "in place of one of a" in prices.figure.axes[0].get_xlabel()
    assert "in place of" not in figures.price_chart(["a", "b"], [1.0, 3.0]).figure.axes[0].get_xlabel()


def test_jupyter_gets_picture_and_description():
    data, metadata = charts()[0]._repr_mimebundle_()
    assert set(data) == {"image/png", "image/svg+xml", "text/plain"}
    assert metadata["image/png"]["alt"] == metadata["image/svg+xml"]["alt"] == data["text/plain"]


def test_an_svg_is_dark_on_a_dark_screen_only():
    svg = charts()[0].render("svg").decode()
    sheet = svg[svg.index("<style>") : svg.index("</style>")]
    assert sheet.startswith("<style>@media screen and (prefers-color-scheme: dark)")
    # every ink and ground of the figure has a rule, written as matplotlib writes colours
    for colour in (INK, GRID, WHITE):
        assert f'[style*="fill: {colour.lower()}"]' in sheet
        assert f": {colour.lower()}" in svg[svg.index("</style>") :]


def test_colours_are_readable_on_a_dark_page():
    ground = DARK[WHITE]
    for colour in (INK, GREY):
        assert contrast(DARK[colour], ground) >= 4.5
    for colour in (BLUE, GREEN, VERMILLION, ORANGE, PURPLE, SKY, YELLOW):
        assert contrast(DARK.get(colour, colour), ground) >= 3
    assert contrast(INK, WHITE) >= 4.5
    assert contrast(GREY, WHITE) >= 4.5


def contrast(a: str, b: str) -> float:
    """WCAG 2's contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_callers_style_is_left_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    charts()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.amount_chart([0.0, 5.0]),
        lambda: figures.training_chart({}),
        lambda: figures.training_chart({"a": ([1], [np.nan])}),
        lambda: figures.exposure_chart([], [], []),
        lambda: figures.price_chart(["a"], [np.nan]),
        lambda: Chart(None, "a b", "words"),
        lambda: Chart(None, "a", " "),
    ],
)
def test_what_cannot_be_drawn_is_an_error(draw):
    with pytest.raises(InputError):
        draw()


def test_labels_and_numbers():
    assert label("a\nb  $c") == r"a b \$c"
    assert len(label("x" * 99)) == 26
    shown = {12_345_678: "12.3M", 999: "999", 0.01234: "0.0123", 20_000: "20k", 0: "0", -5e9: "-5bn", 1234.5: "1,234"}
    assert {v: short_number(v) for v in shown} == shown
