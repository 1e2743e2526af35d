import asyncio
import html
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from ptofa_gpu.bench.machine import device_name
from ptofa_gpu.errors import InputError, ReportError
from ptofa_gpu.ops._library import library
from ptofa_gpu.reporting import Outputs, Summary, run_report
from ptofa_gpu.reporting.folder import whole_folder
from ptofa_gpu.reporting.html import remote_references
from ptofa_gpu.reporting.index import section
from ptofa_gpu.reporting.resume import Done, files_read_by, fingerprint
from ptofa_gpu.reporting.runner import find_notebooks

from .notebooks import PARAMETERS, write

SUMMARY = """
from ptofa_gpu.reporting import Check, Figure, Outputs, Summary
out = Outputs(output_dir)
name = "<script>alert(1)</script>"
out.summary(Summary(f"Plan {name}", f"Decided {name}", [Figure(name, name)], [Check(name, "bad")], [name]))
print(name, n * ratio)
"""


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    notebook = write(
        folder,
        "small",
        "# A small *one* with $x^2$",
        SUMMARY,
        "import sys, os; (sys.executable, os.getcwd(), os.environ['OMP_WAIT_POLICY'])",
    )
    told = []
    index = run_report([notebook], parameters={"n": "8"}, output=folder / "out", progress=told.append)
    return folder, index, told


def test_a_report_is_whole(made):
    folder, index, told = made
    assert index == folder / "out" / "index.html"
    assert names(index.parent) == {"index.html", "run.json", ".ptofa.json", "small.html", "small.ipynb", "small"}
    assert names(folder) == {"small.ipynb", "out"}, "nothing is left beside the report"
    run = json.loads((index.parent / "run.json").read_text())
    assert run["notebooks"][0]["parameters"] == {"n": 8, "ratio": 0.5, "word": "a", "loud": False}
    assert run["packages"]["numpy"]
    assert run["engine"]["level"] == library().level
    assert run["engine"]["library"] == library().path.name
    assert run["device"]["cores"] >= 1
    assert run["device"]["processor"] == device_name("cpu")
    assert "GPU" not in run["device"]["processor"]
    if run["device"]["gpu"] is None:
        assert html.escape(device_name("cpu")) in index.read_text()
    assert {(t.notebook, t.number, t.notebooks, t.cells) for t in told} == {("small", 1, 1, 5)}
    assert [t.cell for t in told] == [0, 1, 3, 4]
    assert told[-1].heading == "A small *one* with $x^2$"


def test_the_kernel_is_this_environment_and_the_folder_is_not_named(made):
    executed = nbformat.read(made[1].parent / "small.ipynb", as_version=4)
    text = executed.cells[-1].outputs[0].data["text/plain"]
    assert sys.executable in text
    assert str(made[0]) not in (made[1].parent / "small.ipynb").read_text()
    assert os.environ.get("OMP_WAIT_POLICY", "passive") in text, "threads that wait leave the cores to others"
    assert "4.0" in executed.cells[3].outputs[0].text


def test_untrusted_names_are_text(made):
    for page in ("index.html", "small.html"):
        text = (made[1].parent / page).read_text()
        assert "<script" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_markdown_and_formulas(made):
    text = (made[1].parent / "small.html").read_text()
    assert "<em>one</em>" in text
    assert "<msup>" in text


def counting(tmp_path: Path, name: str, *more: str, **options) -> Path:
    """A notebook that adds a line to a file beside it, so that its runs can be counted."""
    return write(tmp_path, name, f"with open({str(tmp_path / name)!r}, 'a') as f: f.write('x')", *more, **options)


def runs(tmp_path: Path, name: str) -> int:
    return len((tmp_path / name).read_text()) if (tmp_path / name).is_file() else 0


def test_a_notebook_is_run_again_only_if_what_it_is_made_from_changed(tmp_path, monkeypatch):
    parameters = PARAMETERS + 'table = ""  # path: what is read\n'
    (tmp_path / "table.csv").write_text("1")
    book = counting(tmp_path, "nb", SUMMARY, "open(table).read()", parameters=parameters)
    monkeypatch.chdir(tmp_path)

    def again(**options):
        return run_report([book], **{"output": "out", "parameters": {"table": "table.csv"}, **options})

    assert "taken over" not in again().read_text()
    assert "taken over from an earlier run" in again().read_text()
    assert runs(tmp_path, "nb") == 1
    assert json.loads((tmp_path / "out" / "run.json").read_text())["notebooks"][0]["kept"] is True
    assert names(tmp_path / "out") == {"index.html", "run.json", ".ptofa.json", "nb.html", "nb.ipynb", "nb"}
    again(fresh=True)
    assert runs(tmp_path, "nb") == 2
    again(parameters={"table": "table.csv", "n": 4})
    assert runs(tmp_path, "nb") == 3
    (tmp_path / "table.csv").write_text("2")
    again(parameters={"table": "table.csv", "n": 4})
    assert runs(tmp_path, "nb") == 4
    monkeypatch.setattr("ptofa_gpu.__version__", "9.9")
    again(parameters={"table": "table.csv", "n": 4})
    assert runs(tmp_path, "nb") == 5
    again(parameters={"table": "table.csv", "n": 4})
    assert runs(tmp_path, "nb") == 5
    counting(tmp_path, "nb", "'another text'", parameters=parameters)
    again(parameters={"table": "table.csv", "n": 4})
    assert runs(tmp_path, "nb") == 6
    with pytest.raises(InputError, match="parameter table of nb: there is no file missing"):
        again(parameters={"table": "missing.csv"})


CLEAN = """
import os
import matplotlib as mpl
from IPython.core import application, shellapp
from ptofa_gpu.datasets.hillstrom import FILE
from ptofa_gpu.datasets._fetch import local_copy
assert not {"from_python", "from_ipython"} & set(globals())
assert mpl.rcParams["axes.facecolor"] == "white"
assert "inline" in mpl.get_backend()
for module in (application, shellapp):
    assert module.ENV_CONFIG_DIRS == module.SYSTEM_CONFIG_DIRS == []
local_copy(FILE).name
"""


def test_a_kernel_knows_nothing_of_the_user_and_what_the_package_reads_counts(tmp_path, monkeypatch):
    """No start-up file runs and no setting holds; a data set that changes makes its notebook run again."""
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("from_ipython = 1")
    (tmp_path / "startup.py").write_text("from_python = 1")
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "startup.py"))
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / "matplotlibrc"))
    monkeypatch.setenv("MPLBACKEND", "svg")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hillstrom.csv").write_text("one")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PTOFA_DATA", "data")  # from where the command runs, not from where the kernel works
    book = counting(tmp_path, "nb", CLEAN)
    for text, expected in (("one", 1), ("one", 1), ("two", 2)):
        (tmp_path / "data" / "hillstrom.csv").write_text(text)
        index = run_report([book], output=tmp_path / "out")
        assert runs(tmp_path, "nb") == expected
    assert (
        "hillstrom.csv"
        in nbformat.read(index.parent / "nb.ipynb", as_version=4).cells[-1].outputs[0].data["text/plain"]
    )


def test_what_the_package_reads_for_a_notebook_is_part_of_its_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setenv("PTOFA_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("ptofa_gpu._files.asset_dir", lambda kind: tmp_path / kind)
    monkeypatch.setattr("ptofa_gpu.reporting.resume._package", lambda: "")
    (tmp_path / "nb.ipynb").touch()
    results = tmp_path / "results"
    results.mkdir()
    (results / "a.csv").write_text("1")

    def found(code: str) -> str:
        return fingerprint(tmp_path / "nb.ipynb", {}, files_read_by(code), {})

    both = "data = find_hillstrom(); kept_results()"
    seen = [(found("x = 1"), found("cdnow()"), found("kept_results()"), found(both))]

    def change(path: Path, text: str) -> list[bool]:
        path.write_text(text)
        seen.append((found("x = 1"), found("cdnow()"), found("kept_results()"), found(both)))
        return [a != b for a, b in zip(seen[-2], seen[-1], strict=True)]

    assert change(tmp_path / "hillstrom.csv", "a") == [False, False, False, True]
    assert change(tmp_path / "hillstrom.csv", "bc") == [False, False, False, True]
    assert change(tmp_path / "cdnow_master.txt", "a") == [False, True, False, False]
    assert change(results / "a.csv", "12") == [False, False, True, True]
    assert change(results / "b.csv", "1") == [False, False, True, True]


def test_a_failing_notebook_is_marked_and_the_rest_goes_on(tmp_path):
    fine, late = counting(tmp_path, "fine"), counting(tmp_path, "late")
    bad = write(tmp_path, "bad", "# Bad\n", "kept = 41 + 1\nprint(kept)", "raise ValueError('no <such> fund\\nask')")
    with pytest.raises(ReportError, match=r"bad\.ipynb failed in cell .*ValueError: no <such> fund\nask") as caught:
        run_report([fine, bad, late], output=tmp_path / "out")
    out = tmp_path / "out"
    assert Path(caught.value.path) == out / "bad.ipynb"
    assert Path(caught.value.index) == out / "index.html"
    assert "42" in (out / "bad.ipynb").read_text()
    for page in ("index.html", "bad.html"):
        text = (out / page).read_text()
        assert "no &lt;such&gt; fund" in text
        assert "Traceback" in text or "ValueError" in text
        assert 'href="bad.ipynb"' in text
    assert "1 of 3 notebooks failed" in (out / "index.html").read_text()
    assert (out / "late.html").is_file()
    states = {n["name"]: n["status"] for n in json.loads((out / "run.json").read_text())["notebooks"]}
    assert states == {"fine": "ok", "bad": "failed", "late": "ok"}
    # mended, only the one that failed runs
    bad = write(tmp_path, "bad", "42")
    index = run_report([fine, bad, late], output=out)
    assert "notebooks failed" not in index.read_text()
    assert runs(tmp_path, "fine") == runs(tmp_path, "late") == 1


NOT_FINITE = """
from ptofa_gpu.reporting import Figure, Outputs, Summary
Outputs(output_dir).summary(Summary("t", "d", [Figure("gap", float("nan"))]))
"""
BY_HAND = """
import json, os
os.makedirs(output_dir)
facts = {"title": "t", "decision": "d", "figures": [{"label": "gap", "value": None}]}
with open(f"{output_dir}/summary.json", "w") as file: json.dump(facts, file)
"""
# what a notebook does, and what the report says of it
SPOILT = {
    "null": (BY_HAND, "figure 'gap'"),
    "output": (
        "from IPython.display import publish_display_data as p; p({'image/svg+xml': 5})",
        "NotebookValidationError",
    ),
    "cell": ("# ![a picture](attachment:missing.png)", "cannot be shown (InvalidNotebook"),
}


def test_what_cannot_be_read_fails_its_notebook_and_no_other(tmp_path):
    """Of a notebook whose outputs are no good the report says so; the rest of it is there."""
    books = [write(tmp_path, name, code) for name, (code, _) in SPOILT.items()]
    books.append(counting(tmp_path, "dash", NOT_FINITE))
    with pytest.raises(ReportError, match="3 of 4 notebooks failed") as caught:
        run_report(books, output=tmp_path / "out")
    index = Path(caught.value.index).read_text()
    assert "3 of 4 notebooks failed" in index
    assert "<dd>—</dd>" in index
    states = {n["name"]: n["status"] for n in json.loads((tmp_path / "out" / "run.json").read_text())["notebooks"]}
    assert states == {name: "failed" for name, (_, words) in SPOILT.items()} | {"dash": "ok"}
    for name, (_, words) in SPOILT.items():
        assert words in index
        assert "This notebook failed" in (tmp_path / "out" / f"{name}.html").read_text()
    # a damaged report is no reason to give up either: what it holds is made again
    (tmp_path / "out" / "dash" / "summary.json").write_text("{")
    good = tmp_path / "dash.ipynb"
    assert "<dd>—</dd>" in run_report([good], output=tmp_path / "out").read_text()
    assert runs(tmp_path, "dash") == 2


def test_a_chart_that_cannot_be_read_is_an_error_of_its_notebook(tmp_path):
    Outputs(tmp_path / "nb").summary(Summary("t", "d", chart="c"))
    (tmp_path / "nb.ipynb").touch()
    (tmp_path / "nb" / "c.svg").write_bytes(b"\xff")
    with pytest.raises(InputError, match="chart 'c' in nb cannot be read"):
        section(tmp_path, Done("nb", "t", {}, 0.0, "", ""))


def test_an_interrupted_run_leaves_no_report_and_is_gone_on_with(tmp_path):
    fine = counting(tmp_path, "fine")
    slow = write(tmp_path, "slow", "raise KeyboardInterrupt")

    def stop(step):
        if step.notebook == "slow":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_report([fine, slow], output=tmp_path / "out", progress=stop)
    assert not (tmp_path / "out").exists()
    (part,) = tmp_path.glob(".out.*.part")
    assert names(tmp_path) == {"fine.ipynb", "slow.ipynb", "fine", part.name}
    assert part.stat().st_mode & 0o077 == 0, "nobody else looks into it"
    write(tmp_path, "slow", "1")
    run_report([fine, slow], output=tmp_path / "out")
    assert runs(tmp_path, "fine") == 1
    assert names(tmp_path) == {"fine.ipynb", "slow.ipynb", "fine", "out"}
    assert names(tmp_path / "out") == {
        "index.html", "run.json", ".ptofa.json", "fine.ipynb", "fine.html", "slow.ipynb", "slow.html",
    }  # fmt: skip


def test_two_runs_do_not_write_one_report(tmp_path):
    book = write(tmp_path, "nb", "1")
    with whole_folder(tmp_path / "out"), pytest.raises(ReportError, match="another run is writing"):
        run_report([book], output=tmp_path / "out")


def test_a_report_is_locked_without_fcntl_too(tmp_path, monkeypatch):
    """Windows has no fcntl: its own call is used, and the module can be imported."""
    held = []

    def locking(file: int, mode: int, count: int) -> None:
        if held:
            raise OSError("another process has it")
        held.append((mode, count))

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    spec = importlib.util.find_spec("ptofa_gpu.reporting.folder")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.whole_folder(tmp_path / "out"):
        assert held == [(2, 1)]
        with pytest.raises(ReportError, match="another run is writing"), module.whole_folder(tmp_path / "out"):
            pass
    assert names(tmp_path) == {"out"}


def test_only_a_kernel_at_work_is_interrupted_on_shutdown(monkeypatch):
    """An idle kernel would print an error about the interrupt, which is nobody's error."""
    from jupyter_client.manager import KernelManager

    from ptofa_gpu.reporting.kernel import _kernel_manager

    sent = []

    async def signal_kernel(self, number):
        sent.append(number)

    kind = _kernel_manager({}, Path("kernel.json"))
    monkeypatch.setattr(KernelManager, "has_kernel", True)
    monkeypatch.setattr(kind, "_async_signal_kernel", signal_kernel)
    manager = kind()
    for shutting_down, busy in ((True, False), (True, True), (False, False)):
        manager.shutting_down, kind.busy = shutting_down, busy
        asyncio.run(manager.interrupt_kernel())
        assert len(sent) == (not shutting_down or busy)
        sent.clear()


def test_a_temporary_folder_with_a_long_name(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert run_report([write(tmp_path, "nb", "1")], output=tmp_path / "out").is_file()
    assert names(deep) == set()


def test_a_killed_kernel_is_an_error(tmp_path):
    notebook = write(tmp_path, "dies", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ReportError, match="killed or crashed") as caught:
        run_report([notebook], output=tmp_path / "out")
    assert Path(caught.value.path).is_file()
    assert "killed or crashed" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_report_and_the_next_one_tidies_up(tmp_path, monkeypatch, how):
    scratch = Path(tempfile.mkdtemp())  # short enough for the kernel's sockets
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    slow = write(tmp_path, "slow", "open('started', 'w').close()\nimport time; time.sleep(60 if n == 3 else 0)")
    command = [sys.executable, "-m", "ptofa_gpu.cli", "report", "--only", str(slow), "-o", str(tmp_path / "out")]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.*.part/started")):
        assert time.monotonic() < deadline
        assert job.poll() is None, job.communicate()
        time.sleep(0.1)
    os.kill(job.pid, how)
    said, _ = job.communicate(timeout=30)
    assert said == ""
    assert job.returncode != 0
    assert not (tmp_path / "out").exists()
    if how == signal.SIGTERM:
        assert names(tmp_path) == {"slow.ipynb"}
        assert names(scratch) == set()
    run_report([slow], parameters={"n": 0}, output=tmp_path / "out")
    assert names(tmp_path) == {"slow.ipynb", "out"}
    assert names(scratch) == set()
    scratch.rmdir()


def test_bad_requests_are_refused_before_anything_runs(tmp_path):
    notebook = write(tmp_path, "nb", "open('ran', 'w')")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    for error, args in (
        ("did you mean 'ratio'", {"parameters": {"ratoi": 1}}),
        ("no profile", {"profile": "huge"}),
        ("holds files that are no report", {"output": mine}),
        ("is not a folder", {"output": notebook}),
    ):
        with pytest.raises(InputError, match=error):
            run_report([notebook], **{"output": tmp_path / "out", **args})
    assert names(tmp_path) == {"nb.ipynb", "mine"}
    assert names(mine) == {"thesis.txt"}


def test_unknown_notebooks(tmp_path):
    with pytest.raises(InputError, match="did you mean 'quickstart'"):
        find_notebooks(["quickstrat"])
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{}")
    with pytest.raises(InputError, match="not a notebook"):
        run_report([broken], output=tmp_path / "out")
    index = write(tmp_path, "index", "1")
    with pytest.raises(InputError, match="rename it"):
        find_notebooks([index])
    with pytest.raises(InputError, match="named twice"):
        find_notebooks(["quickstart", "quickstart"])


def test_outputs_from_a_network_are_refused(tmp_path):
    notebook = write(tmp_path, "nb", "from IPython.display import HTML\nHTML('<img src=https://example.org/x.png>')")
    with pytest.raises(ReportError, match=r"load https://example\.org/x\.png from a network"):
        run_report([notebook], output=tmp_path / "out")
    for page in ("index.html", "nb.html"):
        assert remote_references((tmp_path / "out" / page).read_text()) == []
