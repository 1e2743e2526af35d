"""What the compiler made of the engine: no fused multiply-add anywhere, and nothing that the level does not have."""

from __future__ import annotations

import re
import subprocess

import pytest

from ptofa_gpu.ops import _library
from tests.engine import native
from tests.engine.tree import ROOT

FUSED = re.compile(r"^(vf(n?m(add|sub)|madd|msub)|fn?m(add|sub)$|fml[as]$)")
WIDE = {"x86-64-v2": "%ymm|%zmm", "x86-64-v3": "%zmm"}


def machine_code(path) -> list[tuple[str, str]]:
    """Each instruction's name and operands."""
    listed = subprocess.run(
        [native.tool("objdump"), "-d", "--no-show-raw-insn", "-w", path], capture_output=True, text=True, check=True
    ).stdout
    found = [line.split("\t")[1].split(None, 1) for line in listed.splitlines() if line.count("\t") >= 1]
    return [(words[0], words[1] if len(words) > 1 else "") for words in found if words]


@pytest.mark.parametrize("level", _library.levels(_library.platform.machine()))
def test_one_rounding_an_operation(level):
    path = ROOT / "ptofa_gpu" / "_engine" / _library.file_name(level)
    code = machine_code(path)
    assert len(code) > 10_000
    assert not [words for words in code if FUSED.match(words[0])]
    if level in WIDE:
        assert not [words for words in code if re.search(WIDE[level], words[1])], f"{level} has no such registers"


def test_a_fused_multiply_add_would_be_seen(tmp_path):
    (tmp_path / "fused.cpp").write_text("double f(double a, double b, double c) { return a * b + c; }\n")
    flags = ["-shared", "-fPIC", "-O2", "-ffp-contract=fast", *_library.flags(_library.supported()[-1])]
    flags = [flag for flag in flags if flag not in ("-ffp-contract=off", "-fvisibility=hidden")]
    path = native.compile_cpp(tmp_path / "fused.so", [tmp_path / "fused.cpp"], *flags)
    if _library.supported()[-1] == "x86-64-v2":
        pytest.skip("this level has none")
    assert [words for words in machine_code(path) if FUSED.match(words[0])]
