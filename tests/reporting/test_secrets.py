"""What is secret by its name reaches the notebook and no file of the report; a run that ended itself is no success."""

import json

import nbformat
import pytest

from ptofa_gpu.cli import main
from ptofa_gpu.errors import InputError, ReportError
from ptofa_gpu.reporting import run_report
from ptofa_gpu.reporting.masking import hider, is_secret, masked
from ptofa_gpu.reporting.parameters import Parameter

from .notebooks import PARAMETERS, write

PARAMETERS_WITH_SECRETS = (
    PARAMETERS
    + """
api_token = ""
DB_PassWord = "default-pw"  # of the data base
SecretKey: str = ""
signing_key = 12345678
pins_key = ["first-pin", "second-pin"]
short_token = "ab"
"""
)
GIVEN = {"api_token": "tok<en>-42 &\u00e9'\"", "DB_PassWord": "correct horse", "SecretKey": "ab\\cd\nef"}
WORDS = [*GIVEN.values(), "default-pw", "12345678", "first-pin", "second-pin"]
LEAK = """
import json, os, sys
from urllib.parse import quote
from IPython.display import HTML, Markdown
from ptofa_gpu.reporting import Check, Figure, Outputs, Summary
import html, pandas as pd
every = [api_token, DB_PassWord, SecretKey, "default-pw", signing_key, *pins_key]
for secret in every:
    print(secret, repr(secret), json.dumps(secret), quote(str(secret)), html.escape(str(secret)))
    print(secret, file=sys.stderr)
    display(HTML(f"<b title='{html.escape(str(secret))}'>{html.escape(str(secret))}</b>"))
    display(Markdown(f"**{secret}**"), secret)
out = Outputs(output_dir)
words = " ".join(map(str, every))
out.summary(Summary(words, words, [Figure(words, words, words)], [Check(words)], [words]))
out.table(pd.DataFrame({"secret": every}), "secrets")
open("log.txt", "w").write(words)
assert (api_token, DB_PassWord, SecretKey) == tuple(__import__("json").loads(os.environ["TEST_GIVEN"]))
"""


def forms(word):
    return {
        word,
        repr(word)[1:-1],
        ascii(word)[1:-1],
        json.dumps(word)[1:-1],
        word.replace("&", "&amp;").replace("<", "&lt;"),
    }


@pytest.mark.parametrize("ending", ["", "raise ValueError(words)"], ids=["done", "failed"])
def test_secrets_are_in_no_file_of_a_report(tmp_path, monkeypatch, capsys, ending):
    monkeypatch.setenv("TEST_GIVEN", json.dumps(list(GIVEN.values())))
    book = write(
        tmp_path, "nb", LEAK, ending or "1", parameters=PARAMETERS_WITH_SECRETS, ptofa={"profiles": {"other": GIVEN}}
    )
    options = [part for name, value in GIVEN.items() for part in ("-p", f"{name}={value}")]
    with pytest.raises(SystemExit) as stop:
        main(["report", "--only", str(book), *options, "-o", str(tmp_path / "out"), "--json"])
    assert stop.value.code in ((1,) if ending else (0, None))
    said = capsys.readouterr()
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert {p.name for p in files} >= {
        "index.html",
        "run.json",
        "nb.html",
        "nb.ipynb",
        "summary.json",
        "secrets.csv",
        "log.txt",
    }
    texts = {p.name: p.read_text() for p in files} | {"stdout": said.out, "stderr": said.err}
    for place, text in texts.items():
        found = {form for word in WORDS for form in forms(word) if form in text}
        assert not found, place
    for place in ("index.html", "run.json", "nb.html", "nb.ipynb", "summary.json", "secrets.csv", "stdout"):
        assert "***" in texts[place]
    assert '"ab"' not in texts["nb.ipynb"].replace(r"\"", '"'), "a short one is masked where it is assigned"
    run = json.loads(texts["run.json"])["notebooks"][0]
    assert run["parameters"]["api_token"] == run["parameters"]["short_token"] == "***"
    assert run["parameters"]["n"] == 3


def test_an_unfinished_folder_holds_no_secret_either(tmp_path):
    book = write(tmp_path, "one", "print(api_token)", parameters='api_token = ""')

    def stop(step):
        if step.notebook == "two":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_report(
            [book, write(tmp_path, "two", "1")],
            parameters={"api_token": "hush-hush"},
            output=tmp_path / "out",
            progress=stop,
        )
    (part,) = tmp_path.glob(".out.*.part")
    assert (part / "one.ipynb").is_file()
    assert all(b"hush-hush" not in p.read_bytes() for p in part.rglob("*") if p.is_file())


def test_a_wrong_secret_is_not_repeated():
    for parameter in (Parameter("key_size", 5), Parameter("api_key", "one", ("one", "two"))):
        with pytest.raises(InputError) as caught:
            parameter.convert("hush-hush", "nb")
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("TOKEN", True),
        ("my_Password_2", True),
        ("apikey", True),
        ("client_SECRET", True),
        ("customers", False),
        ("k", False),
    ],
)
def test_names_of_secrets(name, secret):
    assert is_secret(name) == secret
    assert (masked({name: "x"})[name] == "***") == secret
    assert masked({name: ""}) == {name: ""}


def test_the_longest_secret_is_masked_first():
    hide = hider(["pass", "password", 123, "abc"])
    assert hide("password pass 123 abc") == "*** *** 123 abc"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%nosuchmagic x", r"`%nosuchmagic` not found"),
        ("%%nosuchcellmagic\nx", r"`%%nosuchcellmagic` not found"),
        ("%load_ext", "UsageError: Missing module name"),
        ("import sys\nprint('noise', file=sys.stderr)\n%nosuchmagic", "not found"),
        ("%%bash\nexit 3", "returned non-zero exit status 3"),
    ],
)
def test_a_failing_magic_says_why(tmp_path, code, words):
    with pytest.raises(ReportError) as caught:
        run_report([write(tmp_path, "nb", "# Part\n", code, "print('after')")], output=tmp_path / "out")
    assert words in str(caught.value)
    assert "failed in cell 4" in str(caught.value)
    assert "CellExecutionError" not in str(caught.value)
    assert words in (tmp_path / "out" / "nb.html").read_text()
    entry = json.loads((tmp_path / "out" / "run.json").read_text())["notebooks"][0]
    assert any(words.split()[-1] in line for line in entry["traceback"])


@pytest.mark.parametrize(
    "code", ["import sys; sys.exit(0)", "raise SystemExit", "import sys; sys.exit()", "import sys; sys.exit(1)"]
)
@pytest.mark.parametrize("last", [False, True])
def test_a_notebook_that_ends_itself_is_no_success(tmp_path, code, last):
    book = write(tmp_path, "nb", code, *([] if last else ["print('the decision')"]))
    with pytest.raises(ReportError, match=r"ended itself in cell 3 by sys\.exit|SystemExit: 1"):
        run_report([book], output=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["notebooks"][0]["status"] == "failed"
    assert "This notebook failed" in (tmp_path / "out" / "nb.html").read_text()


@pytest.mark.parametrize("code", ["1 / 0", "%nosuchmagic"])
def test_no_marks_of_the_machinery_are_shown(tmp_path, code):
    with pytest.raises(ReportError):
        run_report([write(tmp_path, "nb", "# Part\n", code)], output=tmp_path / "out")
    for name in ("nb.html", "nb.ipynb", "index.html"):
        text = (tmp_path / "out" / name).read_text()
        assert "papermill-error-cell" not in text
        assert "An Exception was encountered" not in text
        assert "Helvetica Neue" not in text.partition("<body>")[2]
    kinds = [c.cell_type for c in nbformat.read(tmp_path / "out" / "nb.ipynb", as_version=4).cells]
    assert kinds == ["code", "code", "markdown", "code"]
