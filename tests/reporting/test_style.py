import matplotlib as mpl

from ptofa_gpu.reporting import figures
from ptofa_gpu.reporting.style import label, style

# what a user's matplotlibrc might say; the package's own style sets none of it
THEIRS = {
    "axes.facecolor": "#ff0000", "lines.linestyle": "--", "xtick.direction": "in", "savefig.transparent": True,
    "hatch.linewidth": 9.0, "font.style": "italic", "axes.formatter.limits": [-1, 1], "legend.loc": "lower left",
}  # fmt: skip


def test_a_figure_is_the_same_whatever_the_user_has_set():
    def draw() -> tuple[bytes, bytes]:
        chart = figures.exposure_chart(["a", "b"], [50_000, 3], [50_000, 4])
        return chart.render("svg"), chart.render("png")

    plain = draw()
    with mpl.rc_context(THEIRS):
        assert draw() == plain


def test_the_users_settings_are_as_before_afterwards():
    with mpl.rc_context(THEIRS):
        before, backend = dict(mpl.rcParams), mpl.get_backend()
        with style():
            assert mpl.rcParams["axes.facecolor"] == "white"
            assert mpl.get_backend() == backend
        assert dict(mpl.rcParams) == before


def test_a_name_turns_no_label_around():
    assert label("a\u202eb\u2066") == r"a\u202eb\u2066"
