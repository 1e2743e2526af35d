import re

import nbformat
import pytest

from ptofa_gpu.errors import InputError
from ptofa_gpu.reporting.parameters import Parameter, read_parameters, resolve

from .notebooks import write


def node(folder, **options):
    return nbformat.read(write(folder, "nb", **options), as_version=4)


def test_types_choices_and_help_come_from_the_cell(tmp_path):
    found = read_parameters(node(tmp_path), "nb")
    assert list(found) == ["n", "ratio", "word", "loud", "output_dir"]
    assert found["n"] == Parameter("n", 3, (), "how many")
    assert found["word"].choices == ("a", "b")
    assert found["ratio"].default == 0.5


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ({"n": "20_000"}, ("n", 20_000)),
        ({"n": 4}, ("n", 4)),
        ({"ratio": "1"}, ("ratio", 1.0)),
        ({"ratio": 2}, ("ratio", 2.0)),
        ({"word": "b"}, ("word", "b")),
        ({"loud": "yes"}, ("loud", True)),
        ({"loud": "False"}, ("loud", False)),
    ],
)
def test_values_become_the_parameters_type(tmp_path, given, want):
    values = resolve({"nb": node(tmp_path)}, given, "quick", reserved=("output_dir",))["nb"]
    assert values[want[0]] == want[1]
    assert type(values[want[0]]) is type(want[1])
    assert "output_dir" not in values


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"m": 1}, "no notebook of this report has a parameter 'm'. Parameters: "),
        ({"ratoi": 1}, "parameter 'ratoi'; did you mean 'ratio'? Parameters: "),
        ({"n": "many"}, "n of nb must be a whole number (default 3), got 'many'"),
        ({"n": "1.5"}, "n of nb must be a whole number"),
        ({"n": True}, "n of nb must be a whole number"),
        ({"loud": "maybe"}, "loud of nb must be true or false"),
        ({"ratio": "__import__('os')"}, "ratio of nb must be a number"),
        ({"word": "c"}, "must be one of 'a', 'b'"),
        ({"output_dir": "/"}, "set by the report itself"),
    ],
)
def test_bad_values_are_named(tmp_path, given, words):
    with pytest.raises(InputError, match=re.escape(words)):
        resolve({"nb": node(tmp_path)}, given, "quick", reserved=("output_dir",))


def test_a_value_goes_to_every_notebook_that_has_it(tmp_path):
    one = node(tmp_path)
    two = node(tmp_path, parameters="n = 5")
    values = resolve({"one": one, "two": two}, {"n": 7, "word": "b"}, "quick")
    assert (values["one"]["n"], values["two"]) == (7, {"n": 7})


def test_profiles_are_overridden_by_what_is_given(tmp_path):
    nb = node(tmp_path, ptofa={"profiles": {"paper": {"n": 1000, "ratio": 1}}})
    assert resolve({"nb": nb}, {}, "quick")["nb"]["n"] == 3
    paper = resolve({"nb": nb}, {"ratio": 2}, "paper")["nb"]
    assert (paper["n"], paper["ratio"]) == (1000, 2.0)
    with pytest.raises(InputError, match="no profile 'huge'; it has quick, paper"):
        resolve({"nb": nb}, {}, "huge")
    wrong = node(tmp_path, ptofa={"profiles": {"paper": {"nn": 1}}})
    with pytest.raises(InputError, match="'nn'"):
        resolve({"nb": wrong}, {}, "paper")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("n = = 3", "not Python"),
        ("import os", "assignments only, line 1"),
        ("n = f()", "literal"),
        ("a.b = 3", "plain name"),
    ],
)
def test_a_cell_that_is_no_list_of_literals(tmp_path, cell, words):
    with pytest.raises(InputError, match=words):
        read_parameters(node(tmp_path, parameters=cell), "nb")


def test_a_hash_in_a_string_is_no_comment(tmp_path):
    found = read_parameters(node(tmp_path, parameters='x = "a # b"  # "a # b" | "c": said'), "nb")
    assert found["x"].choices == ("a # b", "c")
