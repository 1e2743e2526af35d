"""The checks of single arguments: what passes, what does not, and that each message names argument and value."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ptofa_gpu import _arguments as check
from ptofa_gpu._text import shown
from ptofa_gpu.errors import InputError

NO_NUMBERS: list[Any] = [None, "1", b"1", True, np.True_, np.nan, np.inf, 1j, [1], np.array([1, 2]), pd.NA, pd.NaT, int]


@pytest.mark.parametrize("value", [3, 3.0, np.int8(3), np.float32(3)])
def test_whole_numbers_pass(value: Any) -> None:
    found = check.whole("n", value, 1)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, -1, 1.5, 10**30, np.array(3), Decimal(3)])
def test_what_is_no_whole_number_is_named(value: Any) -> None:
    with pytest.raises(InputError, match=r"^n is .*; it must be a whole number of at least 1\."):
        check.whole("n", value, 1)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5)])
def test_numbers_pass(value: Any) -> None:
    assert check.share("level", value) == 0.5


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, 1, -0.5, 10**400, Decimal("0.5")])
def test_what_is_no_share_is_named(value: Any) -> None:
    with pytest.raises(InputError, match=r"^level is "):
        check.share("level", value)


def test_a_word_that_is_nearly_right_is_guessed_at() -> None:
    assert check.one_of("device", "cpu", ("cpu", "cuda")) == "cpu"
    assert check.one_of("device", None, ("cpu", None)) is None
    with pytest.raises(InputError, match=r"device is 'CPUs'; choose 'cpu' or 'cuda'; did you mean 'cpu'\?"):
        check.one_of("device", "CPUs", ("cpu", "cuda"))
    for value in (None, 3, np.array(["cpu"]), pd.Series(["cpu"]), b"cpu", pd.NA):
        with pytest.raises(InputError, match=r"^device is "):
            check.one_of("device", value, ("cpu", "cuda"))


def test_paths_that_no_file_can_have() -> None:
    assert check.path_of("path", "a/b") == Path("a/b")
    for value in ("", "a\0b", "\ud800", b"a", 3, None):
        with pytest.raises(InputError, match=r"^path is "):
            check.path_of("path", value)


def test_lists() -> None:
    assert check.listed("n", (i for i in (1, 2)), "numbers") == [1, 2]
    assert check.listed("n", np.array([1, 2]), "numbers") == [1, 2]
    for value in ("ab", b"ab", {1: 2}, {1, 2}, 3, None, np.array(1)):
        with pytest.raises(InputError, match="must be a list of numbers"):
            check.listed("n", value, "numbers")


def test_arrays_of_any_library() -> None:
    for value in ([[1, 2]], np.array([[1, 2]]), torch.tensor([[1, 2]]), pd.DataFrame([[1, 2]])):
        assert check.real_array("E", value, (None, 2)).tolist() == [[1, 2]]
    wrong = [[[1], [1, 2]], [["a", "b"]], [[1j, 2]], np.zeros((1, 2), "M8[s]"), torch.zeros(1, 2, device="meta"), None]
    for value in [*wrong, np.zeros(2), np.zeros((1, 3))]:
        with pytest.raises(InputError, match=r"^E"):
            check.real_array("E", value, (None, 2))


def test_a_value_is_shown_in_one_short_line() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown("a\nb") == r"'a\nb'"
    assert shown(None) == "None"
    assert shown(Odd()) == "something (of type Odd)"
    for value in (pd.DataFrame({"a": range(100)}), "x" * 5000, 10**5000):
        assert len(shown(value)) < 100
        assert "\n" not in shown(value)
