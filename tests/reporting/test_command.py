import pytest

from ptofa_gpu.cli import main

from .notebooks import write


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["report", *map(str, arguments)])
    return stop.value.code, capsys.readouterr()


def test_a_failing_notebook_sets_the_exit_status_and_names_the_partial_one(tmp_path, capsys):
    bad = write(tmp_path, "bad", "1 / 0")
    code, said = run(capsys, "--only", bad, "-o", tmp_path / "out")
    assert code == 1
    assert str(tmp_path / "out.failed" / "bad.ipynb") in said.err
    assert said.out == ""
    assert not (tmp_path / "out").exists()


def test_success_prints_the_path_last(tmp_path, capsys):
    good = write(tmp_path, "good", "# Part\n", "assert n == 5 and word == 'b'")
    code, said = run(capsys, "--only", good, "-p", "n=5", "-p", "word=b", "-o", tmp_path / "out")
    assert code in (0, None)
    assert said.out == f"{tmp_path / 'out' / 'index.html'}\n"
    assert "good  [" in said.err


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
