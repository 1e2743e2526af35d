"""A real JupyterLab in a real browser: open a notebook, run all, see the figures, move a slider."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from ..browser import browser, needs_chromium
from .notebooks import write

pytestmark = [needs_chromium, pytest.mark.slow]

CELLS = (
    """
import numpy as np
import ptofa_gpu as ptofa
from ptofa_gpu.reporting import figures
rng = np.random.default_rng(0)
names = ["<script>bad</script>", "bond", "stock"]
problem = ptofa.AllocationProblem(rng.lognormal(size=(600, 3)), quota=[200, 200, 200], names=names)
plan = ptofa.allocate(problem)
problem""",
    "plan",
    "figures.exposure_chart(problem.names, plan.exposures, problem.quota)",
    "what_if = plan.explore()\nwhat_if",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab of our own, with settings, kernels and files of nobody else."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "work").mkdir()
    write(folder / "work", "what_if", "# What if\n", *CELLS, parameters="")
    pytest.importorskip("jupyterlab")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
    env |= {f"JUPYTER_{k}_DIR": str(folder / k.lower()) for k in ("CONFIG", "DATA", "RUNTIME")}
    env |= {"IPYTHONDIR": str(folder / "ipython"), "HOME": str(folder)}
    root = Path(__file__).resolve().parents[2]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), env.get("PYTHONPATH")]))
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
        "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=secret",
        f"--ServerApp.root_dir={folder / 'work'}", "--LabApp.news_url=", "--LabApp.check_for_updates_class="
        "jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        try:
            deadline, told = time.monotonic() + 90, None
            while told is None:
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.3)
                for path in (folder / "runtime").glob("jpserver-*.json"):
                    told = json.loads(path.read_text() or "null")
            yield f"{told['url']}lab/tree/what_if.ipynb?token=secret"
        finally:
            # the server's own way out, which ends its kernels too
            with contextlib.suppress(OSError, TypeError):
                stop = urllib.request.Request(f"{told['url']}api/shutdown", method="POST")
                stop.add_header("Authorization", "token secret")
                urllib.request.urlopen(stop, timeout=10)
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


# a headless tab has no focus, so the notebook is made the current one
KERNEL_READY = """(() => {
  const book = [...window.jupyterapp.shell.widgets('main')].find(w => w.sessionContext);
  if (!book) return false;
  window.jupyterapp.shell.activateById(book.id);
  return book.sessionContext.isReady && book.sessionContext.session?.kernel?.status === 'idle';
})()"""
ANSWER = "[...document.querySelectorAll('.jupyter-widgets.widget-html')].map(e => e.innerText).join('\\n')"


def test_run_all_and_move_a_slider(lab: str) -> None:
    with browser(1400, 2400) as page:
        page.open(lab)
        ready = "!!window.jupyterapp && !!document.querySelector('.jp-Notebook .jp-CodeCell')"
        page.wait(ready, 120)
        page.wait(KERNEL_READY, 120)
        page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait("!!document.querySelector('.jupyter-widgets.widget-html')", 240)
        page.wait(f"({ANSWER}).includes('unfilled slots')", 60)

        # the reprs, with the hostile name as text, and the figure with its picture
        said = page.evaluate("document.querySelector('.jp-Notebook').innerText")
        for words in ("Allocation problem", "600 customers", "optimal plan for 600 customers", "<script>bad</script>"):
            assert words in said
        figure = "[...document.querySelectorAll('.jp-OutputArea-output img')].some(i => i.naturalWidth > 300)"
        page.wait(f"{figure} || !!document.querySelector('.jp-RenderedSVG svg')", 30)
        assert "bad</script>" in page.evaluate("document.querySelector('.widget-slider .widget-label').innerText")

        before = page.evaluate(ANSWER)
        assert "0 of 600" in before
        handle = "document.querySelectorAll('.widget-slider .noUi-handle')[1]"
        page.evaluate(f"{handle}.scrollIntoView(), {handle}.focus()")
        for _ in range(3):
            page.key("ArrowLeft", 37)
        page.wait(f"({ANSWER}) !== {json.dumps(before)}", 60)
        after = page.wait(f"(a => a.includes('(-') && a)({ANSWER})", 60)
        assert "unfilled slots 0 of 600" not in after, "a quota less leaves slots empty"
        assert "against the start −" in after
        assert "shadow price" in after
        errors = [e for e in page.errors if "favicon" not in e]
        assert errors == []
