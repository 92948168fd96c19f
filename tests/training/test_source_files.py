"""Which files of a run's sources have changed since its text was packed."""

import os
from pathlib import Path

import pytest

from gptrilogy.errors import RunError
from gptrilogy.training import source_files
from gptrilogy.training.source_files import FACTS, changed_sources, note_sources


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two texts in it, noted under the name a user gave."""
    novels = tmp_path / "novels"
    novels.mkdir()
    for name in ("a.txt", "b.txt"):
        (novels / name).write_text(f"the text of {name}")
    monkeypatch.chdir(tmp_path)
    note_sources(Path("data"), ["novels", "novels/b.txt"])
    return tmp_path


def test_nothing_has_changed_at_first_wherever_one_looks_from(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed_sources(here / "data") == []
    monkeypatch.chdir("/")
    assert changed_sources(here / "data") == []


def test_each_change_is_told_by_the_name_the_user_gave(here: Path) -> None:
    (here / "novels" / "a.txt").write_text("another text")
    (here / "novels" / "b.txt").unlink()
    (here / "novels" / "c.txt").write_text("one more")
    assert changed_sources(here / "data") == [
        "novels/a.txt has changed",
        "novels/b.txt is gone",
        "novels/c.txt is new",
    ]


def test_a_file_that_has_grown_has_changed(here: Path) -> None:
    with (here / "novels" / "a.txt").open("a") as file:
        file.write(" and more")
    assert changed_sources(here / "data") == ["novels/a.txt has changed"]


@pytest.mark.parametrize(
    ("text", "found"), [("the text of a.txt", []), ("The text of a.txt", ["novels/a.txt has changed"])]
)
def test_of_one_size_and_another_time_the_content_decides(here: Path, text: str, found: list[str]) -> None:
    path = here / "novels" / "a.txt"
    path.write_text(text)
    os.utime(path, ns=(0, 0))
    assert changed_sources(here / "data") == found


def test_a_source_that_is_gone_as_a_whole_is_told_file_by_file(here: Path) -> None:
    (here / "novels").rename(here / "moved")
    assert changed_sources(here / "data") == ["novels/a.txt is gone", "novels/b.txt is gone"]


def test_files_outside_the_working_folder_are_told_by_their_whole_path(here: Path, tmp_path: Path) -> None:
    text = tmp_path.parent / f"{tmp_path.name}-outside.txt"
    text.write_text("one")
    note_sources(here / "data", [str(text)])
    text.write_text("three")
    assert changed_sources(here / "data") == [f"{text} has changed"]


def test_of_a_built_corpus_the_record_stands_for_all_files(here: Path) -> None:
    corpus = here / "corpus"
    corpus.mkdir()
    (corpus / "corpus.json").write_text("{}")
    (corpus / "part.parquet").write_bytes(b"1")
    note_sources(here / "data", ["corpus"])
    (corpus / "corpus.json").write_text("{ }")
    assert changed_sources(here / "data") == ["corpus/corpus.json has changed"]


def test_a_folder_that_cannot_be_made_is_named(here: Path) -> None:
    place = Path("novels", "a.txt", "data")
    with pytest.raises(RunError, match=f"cannot note the sources in {place}: Not a directory: {place}"):
        note_sources(place, ["novels"])


def test_shards_that_know_nothing_of_their_sources_have_nothing_to_say(here: Path) -> None:
    (here / "data" / FACTS).unlink()
    (here / "novels" / "a.txt").unlink()
    assert changed_sources(here / "data") == []


@pytest.fixture
def many(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, noted as if the files were too many to be named one by one."""
    monkeypatch.setattr(source_files, "MAX_FACTS_BYTES", 100)
    note_sources(Path("data"), ["novels"])
    assert b"a.txt" not in (here / "data" / FACTS).read_bytes()
    return here


def test_of_very_many_files_it_is_known_whether_one_has_changed(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert changed_sources(many / "data") == []
    path = many / "novels" / "a.txt"
    os.utime(path, ns=(0, 0))
    assert changed_sources(many / "data") == []  # its content decides
    path.write_text("The text of a.txt")
    what = f"a file or more of the 2 of {many / 'novels'} has changed, is gone or is new"
    assert changed_sources(many / "data") == [what]


@pytest.mark.parametrize("change", ["gone", "new", "all gone"])
def test_of_very_many_files_one_that_comes_or_goes_is_noticed(many: Path, change: str) -> None:
    if change == "new":
        (many / "novels" / "c.txt").write_text("one more")
    for name in {"gone": ["a.txt"], "all gone": ["a.txt", "b.txt"]}.get(change, []):
        (many / "novels" / name).unlink()
    [said] = changed_sources(many / "data")
    assert said.startswith("a file or more of the 2 of ")


@pytest.mark.parametrize("letters", [1, 200])
def test_notes_that_are_kept_file_by_file_do_not_double_on_the_disk(
    here: Path, monkeypatch: pytest.MonkeyPatch, letters: int
) -> None:
    limit = 20_000
    monkeypatch.setattr(source_files, "MAX_FACTS_BYTES", limit)  # half of what can be read again, as it stands
    for number in range(limit // (letters + 200)):
        (here / "novels" / f"{number:0{letters}d}.txt").touch()
    note_sources(Path("data"), ["novels"])
    content = (here / "data" / FACTS).read_bytes()
    assert b"together" not in content
    assert limit * 0.6 < len(content) < 2 * limit
