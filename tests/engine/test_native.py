"""The engine's C++ on its own: its pool under sanitizers, and the same bits from other compilers and processors."""

from __future__ import annotations

import os
import platform
import subprocess

import pytest

from tests.engine.native import CPU, HERE, compile_cpp, tool

ENGINE = [CPU / "pool.cpp", CPU / "engine.cpp"]


def output(*command, **variables) -> str:
    """What a program prints; a test that it does not fail."""
    words, env = list(map(str, command)), {**os.environ, **variables}
    done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    return done.stdout.strip()


def compile_sanitized(out, names):
    gcc = tool("g++")
    try:
        return compile_cpp(out, [HERE / "pool_tsan.cpp", *ENGINE], "-O1", "-g", f"-fsanitize={names}", compiler=gcc)
    except AssertionError as e:
        if "cannot find" in str(e):
            pytest.skip(f"this g++ has no -fsanitize={names}")
        raise


def test_the_pool(tmp_path):
    program = compile_cpp(tmp_path / "pool", [HERE / "pool_tsan.cpp", *ENGINE], "-O2")
    for _ in range(5):
        assert output(program) == "done"


def test_the_pool_has_no_data_race(tmp_path):
    program = compile_sanitized(tmp_path / "pool", "thread")
    # without randomised addresses where that may be asked for: some kernels scatter them more than it can bear
    fixed = [tool("setarch"), "-R"]
    if subprocess.run([*fixed, "true"], capture_output=True, check=False).returncode:
        fixed = []
    try:
        assert output(*fixed, program, "no-forks", TSAN_OPTIONS="halt_on_error=1") == "done"
    except AssertionError as e:
        if "unexpected memory mapping" in str(e):
            pytest.skip("ThreadSanitizer does not work on this kernel")
        raise


def test_the_pool_keeps_to_its_memory(tmp_path):
    program = compile_sanitized(tmp_path / "pool", "address,undefined")
    assert output(program, ASAN_OPTIONS="detect_leaks=0") == "done"  # the pool of a forked process is left behind


# -- the same bits -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bits(tmp_path_factory) -> str:
    """What the passes of same_bits.cpp find here."""
    program = compile_cpp(tmp_path_factory.mktemp("bits") / "bits", [HERE / "same_bits.cpp", *ENGINE], "-O2")
    return output(program)


def compile_bits(out, *flags, compiler=None):
    return compile_cpp(out, [HERE / "same_bits.cpp", *ENGINE], *flags, compiler=compiler)


def test_without_optimisation(tmp_path, bits):
    assert output(compile_bits(tmp_path / "bits", "-O0")) == bits


@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86-64")
def test_from_clang(tmp_path, bits):
    clang = tool("clang++")
    assert output(compile_bits(tmp_path / "bits", "-O2", "-march=x86-64-v2", compiler=clang)) == bits


def test_on_aarch64(tmp_path, bits):
    cross, machine = tool("aarch64-linux-gnu-g++"), tool("qemu-aarch64", "qemu-aarch64-static")
    assert output(machine, compile_bits(tmp_path / "bits", "-O2", "-static", compiler=cross)) == bits
    pool = compile_cpp(tmp_path / "pool", [HERE / "pool_tsan.cpp", *ENGINE], "-O2", "-static", compiler=cross)
    assert output(machine, pool, "no-forks") == "done"
