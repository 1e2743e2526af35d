import json

import pytest

from ptofa_gpu.cli import main

from .notebooks import write


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["report", *map(str, arguments)])
    return stop.value.code, capsys.readouterr()


def test_a_failing_notebook_sets_the_exit_status_and_the_others_go_on(tmp_path, capsys):
    bad = write(tmp_path, "bad", "raise ValueError('first line\\nsecond line')")
    good = write(tmp_path, "good", "n + 1")
    code, said = run(capsys, "--only", bad, "--only", good, "-o", tmp_path / "out")
    assert code == 1
    assert "1 of 2 notebooks failed" in said.err
    assert "ValueError: first line\nsecond line" in said.err
    assert str(tmp_path / "out" / "bad.ipynb") in said.err
    assert said.out == f"{tmp_path / 'out' / 'index.html'}\n"
    assert (tmp_path / "out" / "good.html").is_file()


def test_success_prints_the_path_last(tmp_path, capsys):
    good = write(tmp_path, "good", "# Part\n", "assert n == 5 and word == 'b'")
    code, said = run(capsys, "--only", good, "-p", "n=5", "-p", "word=b", "-o", tmp_path / "out")
    assert code in (0, None)
    assert said.out == f"{tmp_path / 'out' / 'index.html'}\n"
    assert "1/1  good  [4/4]  Part" in said.err


def test_a_config_file_and_json(tmp_path, capsys):
    good = write(tmp_path, "good", "assert n == 5 and word == 'b' and not loud")
    config = tmp_path / "report.yaml"
    config.write_text(f"only: {good}\nparameter: {{n: 4, word: b}}\noutput: {tmp_path / 'elsewhere'}\n")
    # what is typed comes before what the file says
    code, said = run(capsys, "--config", config, "-p", "n=5", "-p", "word=b", "-o", tmp_path / "out", "--json")
    assert code in (0, None)
    run_facts = json.loads(said.out)
    assert run_facts["index"] == str(tmp_path / "out" / "index.html")
    assert run_facts["notebooks"][0]["parameters"] == {"n": 5, "ratio": 0.5, "word": "b", "loud": False}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("outptu: here", "did you mean 'output'?"),
        ("- a list", "found a list"),
        ("profile: [a, b]", "profile is one value, found a list"),
        ("profile: {a: b}", "profile is one value, found a mapping"),
        ("a: b: c", "cannot be read as YAML"),
    ],
)
def test_a_bad_config_file_is_exit_status_2(tmp_path, capsys, text, words):
    config = tmp_path / "report.yaml"
    config.write_text(text)
    code, said = run(capsys, "--config", config)
    assert code == 2
    assert words in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "n"], "name=value"),
        (["-p", "customer=5"], "did you mean 'customers'"),
        (["-p", "customers=lots"], "must be a whole number"),
        (["--only", "nothing"], "no notebook 'nothing'"),
        (["--profile", "huge"], "no profile 'huge'"),
    ],
)
def test_bad_usage_is_exit_status_2(tmp_path, capsys, arguments, words):
    code, said = run(capsys, *arguments, "-o", tmp_path / "out")
    assert code == 2
    assert words in said.err
    assert list(tmp_path.iterdir()) == []
