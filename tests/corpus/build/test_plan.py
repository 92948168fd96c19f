"""What a build will read is written down once: each file once, under a name of its own, wherever the files lie."""

import json
import os
from pathlib import Path

import pytest

from corpus_builds import contents
from gptrilogy.corpus.build.build import build_corpus
from gptrilogy.corpus.build.config import CorpusConfig
from gptrilogy.corpus.build.plan import Plan, make_plan, read_plan, write_plan
from gptrilogy.errors import DataError


def config(**sets: list[str]) -> CorpusConfig:
    return CorpusConfig.model_validate(
        {"sets": {name: {"paths": paths} for name, paths in sets.items()}, "near_copies": False}
    )


def names(plan: Plan) -> list[tuple[str, str]]:
    return [(part.set, file.name) for part in plan.parts for file in part.files]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Files of the same names in two folders."""
    for folder in ("one/pages", "two/pages"):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("a.txt", "b.txt"):
            (tmp_path / folder / name).write_text(f"{folder} has this text called {name}\n", encoding="utf-8")
    return tmp_path


def test_no_two_files_have_one_name(folders: Path) -> None:
    one, two = str(folders / "one" / "pages"), str(folders / "two" / "pages")
    plan = make_plan(config(x=[one, two], y=[f"{two}/a.txt", f"{one}/a.txt", one]))
    assert names(plan) == [
        ("x", "pages/a.txt"),
        ("x", "pages/b.txt"),
        ("x", "2/pages/a.txt"),
        ("x", "2/pages/b.txt"),
        ("y", "a.txt"),
        ("y", "2/a.txt"),
        ("y", "3/pages/b.txt"),
    ]


def test_a_file_given_to_a_set_twice_is_read_once_and_said(folders: Path) -> None:
    said = list[tuple[str, str]]()
    one = str(folders / "one" / "pages")
    plan = make_plan(config(x=[one, f"{one}/b.txt"]), on_skip=lambda path, reason: said.append((path, reason)))
    assert names(plan) == [("x", "pages/a.txt"), ("x", "pages/b.txt")]
    assert said == [(f"{one}/b.txt", "given to the set x twice")]


def test_a_path_means_the_same_in_another_working_folder(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders)
    plan = make_plan(config(x=["one/pages"]))
    monkeypatch.chdir(folders / "two")
    assert make_plan(config(x=["../one/pages"])) == plan


def test_sources_that_lie_elsewhere_give_the_same_corpus(folders: Path) -> None:
    for folder in ("here", "there"):
        (folders / folder).mkdir()
        (folders / "one" / "pages").rename(folders / folder / "pages")
        build_corpus(config(x=[str(folders / folder / "pages")]), folders / f"out-{folder}", engine=None)
        (folders / folder / "pages").rename(folders / "one" / "pages")
    here, there = (contents(folders / f"out-{folder}") for folder in ("here", "there"))
    assert {name for name in here if here[name] != there[name]} == {"corpus.json"}
    assert json.loads(here["corpus.json"])["plan"] == json.loads(there["corpus.json"])["plan"]


def test_a_build_does_not_read_what_it_writes(folders: Path) -> None:
    with pytest.raises(DataError, match=r"web lies in the source .* and would become part of it: choose another --out"):
        build_corpus(config(x=[str(folders)]), folders / "one" / "web", engine=None)
    assert not (folders / "one" / "web").exists()


def test_a_files_name_may_be_any_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    for name in (b"caf\xe8.txt", b"caf\xe9.txt", b"x=1 and more.txt"):
        (folder / os.fsdecode(name)).write_text("a text of some words\n", encoding="utf-8")
    plan = make_plan(config(x=[str(folder)]))
    assert [name for _, name in names(plan)] == [
        "sources/caf?.txt",
        "2/sources/caf?.txt",
        "sources/x=1 and more.txt",
    ]
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan


def test_a_recipe_without_a_set_says_so() -> None:
    with pytest.raises(DataError, match="give a source, and name its set in the recipe"):
        make_plan(CorpusConfig())
