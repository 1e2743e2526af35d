"""Running one notebook with Papermill in a clean kernel of this very environment."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptofa_gpu._files import atomic_path, scratch_folder
from ptofa_gpu._lazy import require
from ptofa_gpu.datasets._fetch import DATA_VARIABLE
from ptofa_gpu.errors import ReportError
from ptofa_gpu.reporting.masking import hide_in_notebook

#: told of (cells done, cells in all, heading of the section that runs)
CellProgress = Callable[[int, int, str], None]
_ENGINE = "ptofa-report"
_BACKEND = "module://matplotlib_inline.backend_inline"
#: Papermill's tag of the cells that it puts around one that failed
_MARK = "papermill-error-cell-tag"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# an error's message may hold a data frame: so much of it and of its traceback is kept
_LONGEST, _LINES, _WIDEST = 4000, 12, 200
# a report is read elsewhere: warnings say what is the matter, not where on this machine the code lies
_WARNINGS = (
    "import warnings\nwarnings.formatwarning = lambda message, category, *where, **more: f'Note: {message}\\n'\n"
)
# as ipykernel_launcher, but without the start-up files and settings of the machine's and the environment's IPython
_LAUNCH = """
import sys
if sys.path[:1] == [""]: del sys.path[0]
from IPython.core import application, shellapp
for module in (application, shellapp): module.SYSTEM_CONFIG_DIRS, module.ENV_CONFIG_DIRS = [], []
from ipykernel import kernelapp
kernelapp.launch_new_instance()
"""


def run_notebook(
    source: Path,
    target: Path,
    parameters: Mapping[str, Any],
    *,
    cwd: Path,
    on_cell: CellProgress | None = None,
    hide: Callable[[str], str] = str,
) -> Any:
    """Execute `source` with `parameters`, write the executed notebook to `target` (also when it fails), return it.

    The kernel is started from ``sys.executable``, whatever kernels are installed for the user, and with an empty
    IPython profile and matplotlib's own settings: no start-up file or setting of the user's changes a report.
    Parameters that are secret by their names are masked in what is written, and `hide` masks their values in text.

    Raises
    ------
    ReportError
        A cell raised or ended the run, or the kernel died; `target` holds the notebook as far as it came.
    """
    papermill = require("papermill", "ptofa report")
    # parameters were checked by our own reader; papermill's, which goes by lines, takes good ones for unknown
    for name in ("papermill", "papermill.translators"):
        logging.getLogger(name).addFilter(_not_about_parameters)
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    papermill.engines.papermill_engines.register(_ENGINE, _engine())
    begun: list[Any] = []
    with scratch_folder() as clean:
        startup = clean / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "00-warnings.py").write_text(_WARNINGS, encoding="utf-8")
        plain = clean / "matplotlibrc"
        plain.touch()
        own = {"IPYTHONDIR": str(clean), "MATPLOTLIBRC": str(plain), "MPLBACKEND": _BACKEND, "PYTHONSTARTUP": ""}
        manager = _kernel_manager({**own, **_environment()}, clean / "kernel.json")
        try:
            papermill.execute_notebook(
                str(source),
                None,  # Papermill would write it as it is, with what is secret
                parameters=dict(parameters),
                engine_name=_ENGINE,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                cwd=str(cwd),
                kernel_manager_class=manager,
                on_cell_execute=lambda **_: setattr(manager, "busy", True),
                on_cell_executed=lambda **_: setattr(manager, "busy", False),
                on_cell=on_cell,
                on_begin=begun.append,
            )
        except papermill.exceptions.PapermillExecutionError as e:
            words = f"{e.ename}: {e.evalue}".strip()
            trace = e.traceback
            if not e.traceback and not e.evalue:  # a magic says what is wrong on stderr, and nowhere else
                trace = _said_on_stderr(begun[-1].cells, e.cell_index, e.exec_count).splitlines()
                words = "\n".join(trace).strip() or "it failed and said nothing"
            failed = ReportError(
                f"{source.name} failed in cell {e.cell_index + 1}: {hide(words)[:_LONGEST]}", str(target)
            )
            failed.traceback = _last_lines(trace, cwd, hide)
            raise failed from e
        except DeadKernelError as e:
            raise ReportError(
                f"{source.name}: the kernel was killed or crashed while a cell ran; where memory is short, give it "
                "fewer customers (-p customers=...)",
                str(target),
            ) from e
        except (CellTimeoutError, RuntimeError) as e:
            raise ReportError(f"{source.name}: the kernel could not run it: {e}", str(target)) from e
        finally:
            if begun:
                node = _finish(begun[-1], source, target, cwd, hide)
    for number, cell in enumerate(node.cells, 1):
        # Papermill takes it for a good end, whatever was still to come
        if any(o.output_type == "error" for o in cell.get("outputs", [])):
            raise ReportError(
                f"{source.name} ended itself in cell {number} by sys.exit(), and what follows did not run. "
                "Leave that call out, or raise an error where the notebook cannot go on",
                str(target),
            )
    return node


def _said_on_stderr(cells: Sequence[Any], index: int, count: int | None) -> str:
    """What the cell that failed wrote to stderr; Papermill's marks may have moved it behind `index`."""
    cell = next((c for c in cells[index:] if c.cell_type == "code" and c.execution_count == count), None)
    found = [o.text for o in (cell or {}).get("outputs", []) if o.output_type == "stream" and o.name == "stderr"]
    return "".join(found)


def _not_about_parameters(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(("Unable to parse line", "Passed unknown parameter"))


def _last_lines(traceback: list[str], cwd: Path, hide: Callable[[str], str]) -> list[str]:
    """Return the end of a traceback as IPython makes it, without its colours, secrets and this machine's folders."""
    text = hide(_COLOUR.sub("", "\n".join(traceback))).replace(f"{cwd}/", "")
    return [line.rstrip()[:_WIDEST] for line in text.splitlines() if line.strip()][-_LINES:]


def _finish(node: Any, source: Path, target: Path, cwd: Path, hide: Callable[[str], str]) -> Any:
    """Write an executed notebook fit to be passed on.

    Without Papermill's marks, which are HTML in markdown, without what is secret, and without the folders of this
    machine: the report gets another name.
    """
    import nbformat

    node.cells = [c for c in node.cells if _MARK not in c.metadata.get("tags", [])]
    node.metadata.papermill.update(input_path=source.name, output_path=target.name)
    hide_in_notebook(node, hide)
    text = nbformat.writes(node)
    for place in {str(cwd), str(cwd.resolve())}:
        text = text.replace(f"{place}/", "").replace(place, ".")
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8")
    return nbformat.reads(text, as_version=4)


def _environment() -> dict[str, str]:
    env = {"PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0")}
    # OpenMP threads that spin while they wait for one whose core is taken by another program make small solves take a
    # hundred times longer; those that sleep do not
    env["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")
    # the kernel works in the report's folder, so a folder named from the working directory is named from the root to it
    if data := os.environ.get(DATA_VARIABLE):
        env[DATA_VARIABLE] = str(Path(data).resolve())
    return env


def _fits_socket(connection: Path) -> bool:
    """Whether a socket beside this file has a path that systems allow: 104 bytes at least, with its end."""
    return len(os.fsencode(connection.with_name("kernel-ipc-5"))) < 104


def _kernel_manager(environment: dict[str, str], connection: Path) -> type:
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import CaselessStrEnum, Unicode

    spec = KernelSpec(
        argv=[sys.executable, "-c", _LAUNCH, "-f", "{connection_file}"],
        display_name="Python 3",
        language="python",
        env=environment,
    )

    class CleanKernelManager(AsyncKernelManager):
        #: a cell is running
        busy = False
        # sockets and key in a folder of the user's own: nobody else on the machine can read what the notebook says
        transport = CaselessStrEnum(["tcp", "ipc"], default_value="ipc" if _fits_socket(connection) else "tcp")
        connection_file = Unicode(str(connection))

        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

        async def _async_interrupt_kernel(self) -> None:
            # A kernel that is shut down is interrupted first, in case a cell still runs. Where none does, the signal
            # could only hit the kernel between two messages, and make it report an error that is none.
            if self.busy or not self.shutting_down:
                await super()._async_interrupt_kernel()

        interrupt_kernel = _async_interrupt_kernel

    return CleanKernelManager


def _engine() -> type:
    from papermill.engines import NBClientEngine, NotebookExecutionManager

    class Manager(NotebookExecutionManager):
        """Papermill's manager that also tells how far it is."""

        def __init__(self, *args: Any, on_cell: CellProgress | None, **kwargs: Any):
            super().__init__(*args, **kwargs)
            self._on_cell, self._heading = on_cell, ""

        def cell_start(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
            super().cell_start(cell, cell_index, **kwargs)
            if cell.cell_type == "markdown":
                first = cell.source.strip().splitlines()[:1]
                if first and first[0].startswith("#"):
                    self._heading = first[0].lstrip("# ").strip()
            elif self._on_cell is not None:
                self._on_cell(cell_index or 0, len(self.nb.cells), self._heading)

    class Engine(NBClientEngine):
        @classmethod
        def execute_notebook(cls, nb: Any, kernel_name: str, output_path: Any = None, **kwargs: Any) -> Any:
            on_cell = kwargs.pop("on_cell", None)
            kwargs.pop("on_begin")(nb)
            kwargs.pop("progress_bar", None)
            log_output = kwargs.pop("log_output", False)
            manager = Manager(nb, output_path=output_path, log_output=log_output, progress_bar=False, on_cell=on_cell)
            manager.notebook_start()
            try:
                cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **kwargs)
            finally:
                manager.notebook_complete()
            return manager.nb

    return Engine
