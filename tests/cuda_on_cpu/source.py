"""From a kernel's CUDA C++ text to C++20 text with a table of its entry points."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DYNAMIC_SHARED = re.compile(
    r"extern\s+__shared__\s+(?:__align__\s*\([^)]*\)\s*|alignas\s*\([^)]*\)\s*)?([\w:]+(?:\s+[\w:]+)*)\s+(\w+)\s*\[\s*\]\s*;"
)
_TEMPLATE_BEFORE = re.compile(r"template\s*<[^;{}]*>\s*(?:static\s+|inline\s+)*$")
_EXTERN_C_BEFORE = re.compile(r'extern\s+"C"\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?$')


@dataclass(frozen=True)
class EntryPoint:
    """A kernel that can be asked for by its plain name, because its linkage is ``extern "C"``."""

    name: str
    qualified: str  # with the namespaces it lies in
    max_threads: str  # the first expression of __launch_bounds__, "0" without one


def rewrite(text: str) -> str:
    """Turn each ``extern __shared__ T name[];`` into a pointer to the launch's dynamic shared memory.

    Everything else of the language is a matter of macros and functions; line numbers stay as they are.
    """

    def pointer(match: re.Match[str]) -> str:
        kind, name = match.groups()
        lines = "\n" * match.group(0).count("\n")
        return f"{kind}* const {name} = static_cast<{kind}*>(cuda_on_cpu::dynamic_shared());{lines}"

    return _DYNAMIC_SHARED.sub(pointer, text)


def entry_points(preprocessed: str) -> list[EntryPoint]:
    """The ``extern "C"`` kernels of a text whose macros are expanded and whose comments are gone."""
    text = "\n".join("" if line.startswith("#") else line for line in preprocessed.splitlines())
    found = []
    for match in re.finditer(r"\b__global__\b", text):
        before = text[: match.start()]
        name, bounds = _declarator(text, match.end())
        if name is None or _TEMPLATE_BEFORE.search(before):
            continue
        scopes = _enclosing(before)
        if not _EXTERN_C_BEFORE.search(before) and 'extern "C"' not in scopes:
            continue
        spaces = [s.split()[1] for s in scopes if s.startswith("namespace ")]
        found.append(EntryPoint(name, "::".join(["", *spaces, name]), bounds))
    return list(dict.fromkeys(found))  # a declaration and its definition are one kernel


def _declarator(text: str, at: int) -> tuple[str | None, str]:
    """The name that follows ``__global__``, and the first argument of a __launch_bounds__ on the way."""
    bounds = "0"
    word = re.compile(r"\s*(\w+)\s*")
    while match := word.match(text, at):
        at = match.end()
        if not text.startswith("(", at):
            continue
        if match.group(1) not in ("__launch_bounds__", "__attribute__", "__cluster_dims__"):
            return match.group(1), bounds
        arguments, at = _parenthesised(text, at)
        if match.group(1) == "__launch_bounds__":
            bounds = arguments.split(",")[0].strip()
    return None, bounds


def _parenthesised(text: str, at: int) -> tuple[str, int]:
    depth = 0
    for end in range(at, len(text)):
        depth += (text[end] == "(") - (text[end] == ")")
        if depth == 0:
            return text[at + 1 : end], end + 1
    raise ValueError("unbalanced parentheses")


def _enclosing(before: str) -> list[str]:
    """What opened each brace that is still open: ``extern "C"``, ``namespace x`` or anything else."""
    stack: list[str] = []
    for match in re.finditer(r'(extern\s+"C"|namespace\s+\w+)?\s*([{}])', before):
        if match.group(2) == "}":
            if stack:
                stack.pop()
        else:
            stack.append(re.sub(r"\s+", " ", match.group(1) or ""))
    return stack


def translation_unit(text: str, name: str, entries: list[EntryPoint], expressions: tuple[str, ...]) -> str:
    """The text to compile: the prelude, the kernel's own text, and the table the Python side looks kernels up in."""
    table = [(e.name, e.qualified, e.max_threads) for e in entries] + [(x, x, "0") for x in expressions]
    rows = "".join(f'  cuda_on_cpu::entry("{n}", {function}, unsigned({bounds})),\n' for n, function, bounds in table)
    return (
        f'#include "cuda_on_cpu.hpp"\n#line 1 "{name}"\n{rewrite(text)}\n#line 1 "kernel table"\n'
        f"static const cuda_on_cpu::Kernel cuda_on_cpu_kernels[] = {{\n{rows}  {{}}}};\n"
        'extern "C" CUDA_ON_CPU_API const cuda_on_cpu::Kernel* cuda_on_cpu_table() { return cuda_on_cpu_kernels; }\n'
    )
