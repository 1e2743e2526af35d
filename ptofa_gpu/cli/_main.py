"""How the command line begins and ends: errors become one message on stderr and an exit code."""

from __future__ import annotations

import ast
import atexit
import gc
import re
import shlex
import sys
import warnings
from signal import Signals as Name
from typing import Any

from ptofa_gpu._text import visible
from ptofa_gpu.cli._signals import Signals
from ptofa_gpu.errors import InfeasibleError, InputError, PtofaError, PtofaWarning

#: Objects after which to look for garbage; Python's own 700 is for programs that make many cycles.
GARBAGE = 50_000


def show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Our own warnings as one line; others as Python shows them."""
    if issubclass(category, PtofaWarning):
        _say(f"note: {message}")
    else:
        _python_shows(message, category, *where, **more)


_python_shows = warnings.showwarning


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; every error of ours is one message on stderr."""
    signals, code = Signals(last=arguments is None), 0
    try:
        with signals:
            code = _run(arguments)
    except BaseException:
        if signals.number is None:
            raise
    if signals.number is not None:
        code = 128 + signals.number
        _say(f"ended by {Name(signals.number).name}")
    raise SystemExit(code)


def _run(arguments: list[str] | None) -> Any:
    """The exit code of a command."""
    warnings.showwarning = show_warning
    # A command makes many objects that live as long as it does, most of them by importing: looking through them for
    # garbage, while it runs and once more at its end, takes a third of a second and finds none.
    gc.set_threshold(GARBAGE)
    atexit.register(gc.freeze)
    try:
        from ptofa_gpu.cli._app import app

        app(args=arguments, obj=sys.argv[1:] if arguments is None else arguments)
    except InfeasibleError as e:
        return _failed(e, 3)
    except InputError as e:
        return _failed(e, 2)
    except (PtofaError, OSError) as e:
        return _failed(e, 1)
    except SystemExit as e:
        return e.code
    return 0


def _failed(error: Exception, code: int) -> int:
    _say(_as_options(str(error)))
    return code


def _say(text: str) -> None:
    sys.stderr.write(visible(f"ptofa: {text}") + "\n")
    sys.stderr.flush()


def _as_options(text: str) -> str:
    """A message's advice for Python, as options of the command line."""
    text = re.sub(r"call allocate\(\.\.\., ([^)]*)\)", r"pass \1", text)
    text = re.sub(r"\bblock_rows=(\d+)", r"--block-rows \1", text)
    word = r"(?:'[^']*'|\"[^\"]*\")"
    lists = rf"\b(exclude|categorical|customer_features|fund_features)=(\[{word}(?:, {word})*\])"
    text = re.sub(lists, lambda m: f"{_option(m[1])} {shlex.quote(','.join(ast.literal_eval(m[2])))}", text)
    text = re.sub(r"\b(decimal|separator)='([^']*)'", lambda m: f"--{m[1]} {shlex.quote(m[2])}", text)
    text = re.sub(r"\bseparator=", "--separator", text)
    named = r"\b(device|method|missing|on_infeasible|solver|tail|id_type|split)='([\w-]+)'"
    text = re.sub(named, lambda m: f"{_option(m[1])} {m[2]}", text)
    alone = r"(?<!-)\b(block_rows|max_memory|id_type|customer_features|fund_features)\b"
    return re.sub(alone, lambda m: _option(m[1]), text)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
