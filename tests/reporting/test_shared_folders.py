"""A report's folder may lie where others write: nothing planted is believed, followed or published, nothing is lost."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from ptofa_gpu.cli import main
from ptofa_gpu.errors import InputError
from ptofa_gpu.reporting import run_report
from ptofa_gpu.reporting.folder import whole_folder
from ptofa_gpu.reporting.seal import MANIFEST, listed_files

from .notebooks import write
from .test_runner import counting, names, runs


def report(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["report", *map(str, arguments)])
    return stop.value.code


@pytest.fixture
def theirs(tmp_path) -> Path:
    """A folder of somebody's work outside the place of reports."""
    folder = tmp_path / "theirs"
    (folder / "deep").mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    (folder / "deep" / "data.csv").write_text("1")
    return folder


def tree(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", [".out.part", ".out.abcd1234.part", ".out.abcd1234.old"])
def test_a_link_that_waits_for_a_report_is_not_followed(tmp_path, theirs, name):
    before = tree(theirs)
    place = tmp_path / "shared"
    place.mkdir()
    (place / name).symlink_to(theirs)
    book = write(tmp_path, "nb", "1")
    for _ in range(2):
        assert report("--only", book, "-o", place / "out") in (0, None)
    assert tree(theirs) == before
    assert names(place) == {name, "out"}
    assert not (place / "out").is_symlink()


def test_a_link_in_place_of_the_report_is_refused(tmp_path, theirs):
    (tmp_path / "out").symlink_to(theirs)
    book = counting(tmp_path, "nb")
    assert report("--only", book, "-o", tmp_path / "out") == 2
    assert runs(tmp_path, "nb") == 0
    assert len(tree(theirs)) == 2


def test_a_link_that_comes_while_notebooks_run_is_not_followed(tmp_path, theirs):
    book = write(tmp_path, "nb", f"import os; os.symlink({str(theirs)!r}, {str(tmp_path / 'out')!r})")
    with pytest.raises(InputError, match="is not a folder"):
        run_report([book], output=tmp_path / "out")
    assert len(tree(theirs)) == 2
    # what was done is kept for a place where it may lie
    (tmp_path / "out").unlink()
    assert "taken over" in run_report([book], output=tmp_path / "out").read_text()


def test_links_in_a_report_are_not_followed_and_not_passed_on(tmp_path, theirs):
    code = f"import os; os.makedirs(output_dir); os.symlink({str(theirs)!r}, output_dir + '/all')\n"
    code += f"os.symlink({str(theirs / 'thesis.txt')!r}, 'words.txt')"
    book = write(tmp_path, "nb", code)
    for _ in range(2):
        run_report([book], output=tmp_path / "out", fresh=True)
        assert not [p for p in (tmp_path / "out").rglob("*") if p.is_symlink()]
        assert len(tree(theirs)) == 2


def planted(tmp_path, book, text) -> dict:
    """What a report of `book` holds, with another result in it."""
    run_report([book], output=tmp_path / "real")
    for path in (tmp_path / "real" / "nb.ipynb", tmp_path / "real" / "nb" / "result.txt"):
        path.write_text(path.read_text().replace("true result", text))
    return json.loads((tmp_path / "real" / "run.json").read_text())["notebooks"][0]


RESULT = "import os; os.makedirs(output_dir); open(output_dir + '/result.txt', 'w').write('true result')\n'true result'"


@pytest.mark.parametrize("name", [".out.part", ".out.aaaaaaaa.part"])
@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_planted_results_of_an_unfinished_run_are_not_published(tmp_path, name, mode):
    book = counting(tmp_path, "nb", RESULT)
    entry = planted(tmp_path, book, "false result")
    folder = tmp_path / name
    shutil.copytree(tmp_path / "real", folder)
    (folder / "nb.done.json").write_text(json.dumps(entry))
    (folder / ".lock").touch()
    folder.chmod(mode)
    run_report([book], output=tmp_path / "out")
    assert runs(tmp_path, "nb") == 2
    assert (tmp_path / "out" / "nb" / "result.txt").read_text() == "true result"
    assert "false result" not in (tmp_path / "out" / "nb.html").read_text()
    assert folder.is_dir(), "it is not this program's to take away"


def test_a_copy_of_a_real_unfinished_run_is_not_believed_either(tmp_path):
    """Its lock is this account's seal, of another folder."""
    book = counting(tmp_path, "nb", RESULT)

    def stop(step):
        if step.notebook == "late":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_report([book, write(tmp_path, "late", "1")], output=tmp_path / "out", progress=stop)
    (real,) = tmp_path.glob(".out.*.part")
    shutil.copytree(real, tmp_path / ".out.copy.part")
    shutil.rmtree(real)
    run_report([book], output=tmp_path / "out")
    assert runs(tmp_path, "nb") == 2
    assert (tmp_path / ".out.copy.part").is_dir()


@pytest.mark.parametrize("sealed", [False, True])
def test_planted_results_in_a_report_are_not_taken_over(tmp_path, sealed, monkeypatch):
    """Neither changed files, nor a manifest that lists the changed ones without the account's key."""
    book = counting(tmp_path, "nb", RESULT)
    planted(tmp_path, book, "false result")
    if sealed:
        from ptofa_gpu.reporting.seal import write_manifest

        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
        write_manifest(tmp_path / "real")
        monkeypatch.undo()
    index = run_report([book], output=tmp_path / "real")
    assert runs(tmp_path, "nb") == 2
    assert "taken over" not in index.read_text()
    assert (tmp_path / "real" / "nb" / "result.txt").read_text() == "true result"


def test_an_untouched_report_is_taken_over_and_one_of_another_account_is_run_again(tmp_path, monkeypatch):
    book = counting(tmp_path, "nb", RESULT)
    run_report([book], output=tmp_path / "out")
    assert "taken over" in run_report([book], output=tmp_path / "out").read_text()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert "taken over" not in run_report([book], output=tmp_path / "out").read_text()
    assert runs(tmp_path, "nb") == 2
    assert names(tmp_path / "other" / "ptofa_gpu") == {"report.key"}
    key = tmp_path / "other" / "ptofa_gpu" / "report.key"
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)


def test_without_a_home_for_a_key_a_report_is_written_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    book = write(tmp_path, "nb", "1")
    assert run_report([book], output=tmp_path / "out").is_file()


@pytest.mark.parametrize("kind", ["readable", "link", "short"])
def test_a_key_that_others_know_is_none(tmp_path, monkeypatch, kind):
    """Nothing is proved by it: what lies there is run again."""
    from ptofa_gpu.reporting.seal import _key

    folder = tmp_path / "state" / "ptofa_gpu"
    folder.mkdir(parents=True)
    (folder / "known").write_bytes(b"k" * 32)
    (folder / "known").chmod(0o600)
    if kind == "link":
        (folder / "report.key").symlink_to(folder / "known")
    else:
        (folder / "report.key").write_bytes(b"k" * (32 if kind == "readable" else 3))
        (folder / "report.key").chmod(0o644 if kind == "readable" else 0o600)
    assert _key(folder) not in (b"k" * 32, b"k" * 3)


OWN = {
    "notes.txt": "mine", "nb/notes.md": "mine too", "nb/deep/a/b.csv": "1", "papers/x.txt": "x", "nb.html.bak": "",
}  # fmt: skip


def test_files_of_the_users_own_stay_in_a_report_folder(tmp_path):
    out, book = tmp_path / "out", counting(tmp_path, "nb", RESULT)
    run_report([book], output=out)
    for name, text in OWN.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    (out / "elsewhere").symlink_to(tmp_path)
    (out / "papers" / "up").symlink_to("..")
    first = {name: (out / name).stat().st_mtime_ns for name in OWN}
    for fresh in (False, True, True):
        run_report([book], output=out, fresh=fresh)
        assert {name: (out / name).read_text() for name in OWN} == OWN
        assert {name: (out / name).stat().st_mtime_ns for name in OWN} == first
        assert os.readlink(out / "elsewhere") == str(tmp_path)
        assert os.readlink(out / "papers" / "up") == ".."
        assert not set(OWN) & set(listed_files(out))
    assert not list(tmp_path.glob(".out*"))
    # a notebook that is not wanted any more goes with its files, and what is not its own stays
    run_report([write(tmp_path, "other", "1")], output=out)
    assert {name: (out / name).read_text() for name in OWN} == OWN
    assert not (out / "nb.ipynb").exists()
    assert not (out / "nb" / "result.txt").exists()


def test_what_the_user_changed_in_a_report_is_kept_beside_the_new(tmp_path):
    out, book = tmp_path / "out", counting(tmp_path, "nb", RESULT)
    for number in ("", "2"):
        run_report([book], output=out, fresh=True)
        (out / "nb.html").write_text("my remarks" + number)
        (out / "nb" / "result.txt").write_text("my result" + number)
    shutil.rmtree(out / "nb")
    (out / "nb").write_text("a file where a folder comes")
    run_report([book], output=out, fresh=True)
    assert (out / "nb.earlier.html").read_text() == "my remarks"
    assert (out / "nb.earlier2.html").read_text() == "my remarks2"
    assert (out / "nb.earlier").read_text() == "a file where a folder comes"
    assert (out / "nb" / "result.txt").read_text() == "true result"


def test_a_folder_of_the_users_own_where_the_report_has_a_file(tmp_path):
    out, book = tmp_path / "out", write(tmp_path, "nb", "1")
    run_report([book], output=out)
    (out / "new.html").mkdir()
    (out / "new.html" / "a.txt").write_text("a")
    (out / "new.html" / "b.txt").write_text("b")
    run_report([write(tmp_path, "new", "1")], output=out)
    assert tree(out / "new.earlier.html") == {"a.txt": "a", "b.txt": "b"}


@pytest.mark.parametrize("away", ["/absolute", "../thesis.txt", "nb/../../thesis.txt", "link/thesis.txt"])
def test_a_manifest_that_lists_files_elsewhere_takes_none_away(tmp_path, theirs, away):
    out, book = theirs / "out", write(tmp_path, "nb", "1")
    run_report([book], output=out)
    (out / "link").symlink_to("..")
    listed = json.loads((out / MANIFEST).read_text())
    digest = listed_files(out)
    away = str(theirs / "thesis.txt") if away == "/absolute" else away
    listed["files"] = {**digest, away: hashlib.sha256(b"years of work").hexdigest()}
    (out / MANIFEST).write_text(json.dumps(listed))
    run_report([book], output=out)
    assert (theirs / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("lost", [MANIFEST, "run.json"])
def test_a_report_without_its_papers_is_not_replaced(tmp_path, lost):
    out, book = tmp_path / "out", write(tmp_path, "nb", "1")
    run_report([book], output=out)
    (out / lost).unlink()
    before = tree(out)
    assert report("--only", book, "-o", out) == 2
    assert tree(out) == before


def test_a_folder_of_another_account_is_refused(tmp_path, monkeypatch):
    book, out = write(tmp_path, "nb", "1"), tmp_path / "out"
    run_report([book], output=out)
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(out).st_uid + 1)
    with pytest.raises(InputError, match="belongs to another account"):
        run_report([book], output=out)


def test_a_run_that_is_alive_is_found_whatever_its_folder_is_called(tmp_path):
    with whole_folder(tmp_path / "out") as one, whole_folder(tmp_path / "outer") as two:
        assert one.name != two.name
        assert one.stat().st_mode & 0o777 == 0o700
        code = report("--only", write(tmp_path, "nb", "1"), "-o", tmp_path / "out")
    assert code == 1
    assert names(tmp_path) == {"nb.ipynb", "out", "outer"}


@pytest.mark.parametrize(
    "name",
    ["..", ".", "...", " ", ".hidden", "index", "Index", "a.html", "run.json", "x.ipynb", "a\x1b[2Jb", "a\nb", "a\\b"],
)
def test_a_notebook_that_would_write_elsewhere_is_refused(tmp_path, name, capsys):
    place = tmp_path / "place"
    place.mkdir()
    book = counting(tmp_path, "nb").rename(tmp_path / f"{name}.ipynb")
    assert report("--only", book, "-o", place / "deep" / "out") == 2
    said = capsys.readouterr().err
    assert "rename it" in said
    assert "\x1b" not in said
    assert runs(tmp_path, "nb") == 0
    assert names(place) == set()


def test_a_notebook_without_a_name_is_refused(tmp_path, capsys):
    book = write(tmp_path, "nb", "1").rename(tmp_path / ".ipynb")
    assert report("--only", book, "-o", tmp_path / "out") == 2
    assert "must not be empty" in capsys.readouterr().err


def test_a_report_is_as_readable_as_other_folders(tmp_path):
    before = os.umask(0o027)
    try:
        index = run_report([write(tmp_path, "nb", "1")], output=tmp_path / "out")
    finally:
        os.umask(before)
    assert index.parent.stat().st_mode & 0o777 == 0o750


def test_a_run_that_ends_early_leaves_nothing(tmp_path):
    with pytest.raises(IsADirectoryError), whole_folder(tmp_path / "out") as part:
        part.write_text("it is a folder")
    assert names(tmp_path) == set()
