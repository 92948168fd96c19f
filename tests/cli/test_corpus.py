"""`gpt corpus`: a corpus from a recipe file, what is said of it and by which stream, its card, and a model of it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from corpus_builds import LEAKED
from gpt_command import TINY, Gpt, Said
from gptrilogy.cli.corpus import requested_corpus
from web_archive import Crawl, passages

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "corpus.md"
N_PAGES, N_BOOKS = 30, 12
OUT = Path("corpora", "mixed")
BUILD = ["corpus", "build", "books=books", "--recipe", "mixed.toml", "--out", str(OUT)]
RECIPE = """
recipe = "mixed"
against = ["quotes.txt"]

[sets.web]
paths = ["crawl"]
weight = 0.7
rules = true
without = ["books"]

[sets.books]
weight = 0.3
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a crawl, books, a text to keep out, and a recipe over them."""
    folder = tmp_path_factory.mktemp("home")
    texts = passages(N_PAGES + N_BOOKS, seed=3)
    crawl = Crawl()
    for number, text in enumerate(texts[:N_PAGES]):
        crawl.add(f"https://site{number}.example/", text)
    crawl.add("https://short.example/", "Too short to be of use.")
    crawl.add("https://book.example/", texts[N_PAGES])
    crawl.write(folder / "crawl", 2)
    (folder / "books").mkdir()
    for number, text in enumerate(texts[N_PAGES:]):
        (folder / "books" / f"{number}.txt").write_text(text, encoding="utf-8")
    (folder / "quotes.txt").write_text(LEAKED)
    (folder / "mixed.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def first(home: Path) -> Said:
    """What the build said; its workers are processes, so that it has one of its own."""
    command = [sys.executable, "-m", "gptrilogy", *BUILD, "--workers", "1"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


@pytest.fixture
def corpus(first: Said) -> Path:
    assert first.code == 0, first.err
    return OUT


def test_a_build_ends_with_tables_of_what_was_kept_and_dropped(first: Said) -> None:
    assert first.code == 0, first.err
    assert first.err.startswith("reading: 0 of 2 parts\n")
    assert "parts" not in first.out
    lines = [" ".join(line.split()) for line in first.out.splitlines()]
    assert "web rules 32 31 1 few characters" in lines
    assert "web exact 31 30 1 in books" in lines
    assert "books decontaminate 12 12" in lines
    assert [line.split()[:2] for line in lines if line.endswith("%")] == [["web", "30"], ["books", "12"]]
    assert first.out.endswith(f"Look at it: gpt corpus card {OUT}\nTrain on it: gpt pretrain {OUT} --out RUN\n")


def test_help_says_what_each_verb_is_for(gpt: Gpt) -> None:
    said = " ".join(gpt("corpus", "--help").out.split())
    for verb in ("build Clean training text", "card A page about a corpus"):
        assert verb in said


def test_the_same_command_finds_it_finished(gpt: Gpt, first: Said, corpus: Path) -> None:
    said = gpt(*BUILD)
    assert (said.code, said.out) == (0, first.out)
    assert said.err == f"{corpus} is finished: every file is as it was written\n"


def test_what_was_built_is_one_json_document(gpt: Gpt, corpus: Path) -> None:
    found = gpt(*BUILD, "--json").json()
    assert set(found) == {"version", "recipe", "plan", "config", "sets", "ledger"}
    assert found["ledger"] == json.loads((corpus / "ledger.json").read_text())
    assert set(found["ledger"][0]) == {"set", "step", "in", "kept", "dropped"}
    web, books = found["sets"]
    assert (web["name"], web["documents"], web["weight"]) == ("web", N_PAGES, 0.7)
    assert (books["name"], books["documents"], books["weight"]) == ("books", N_BOOKS, 0.3)
    assert set(web["files"][0]) == {"file", "documents", "bytes", "sha256"}


@pytest.mark.usefixtures("corpus")
def test_other_settings_do_not_go_into_a_finished_corpus(gpt: Gpt) -> None:
    said = gpt(*BUILD, "--rules.min-words", 1)
    assert said.code == 1
    assert said.err == (
        f"gpt: {OUT} holds a corpus of another recipe or other sources: choose another --out, or remove it first\n"
    )


def test_a_card_names_the_files_it_writes(gpt: Gpt, corpus: Path) -> None:
    said = gpt("corpus", "card", corpus)
    assert said.code == 0, said.err
    page, text, *pictures = map(Path, said.out.splitlines())
    assert (page, text) == (corpus / "card.html", corpus / "card.md")
    assert pictures
    assert {picture.suffix for picture in pictures} == {".png"}
    assert all(picture.is_file() for picture in pictures)
    assert "<html" in page.read_text()
    assert "in = kept + dropped holds at all" in text.read_text()


@pytest.mark.slow
def test_a_model_is_trained_on_it_by_the_sets_weights(gpt: Gpt, corpus: Path, tmp_path: Path) -> None:
    said = gpt("pretrain", corpus, "--out", tmp_path / "run", "--max-steps", 3, *TINY)
    assert said.code == 0, said.err
    table = said.err.partition("mixture: windows of 2 sets by weights\n")[2].splitlines()
    assert table[0].split() == ["tokens", "weight", "of", "training", "times", "the", "set"]
    assert [(line.split()[0], line.split()[2]) for line in table[1:3]] == [("web", "0.7"), ("books", "0.3")]
    assert "nats a token: web " in said.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["crawl", "--recipe", "gpt3"], 2, "--out is missing: name the folder to make"),
        (["crawl", "--out", "x"], 2, "--recipe is missing: webtext, gpt3, or a TOML file of your own"),
        (["crawl", "--recipe", "gpt33", "--out", "x"], 2, "unknown corpus recipe gpt33: did you mean gpt3?"),
        (["wbe=crawl", "--recipe", "mixed.toml", "--out", "x"], 2, "the recipe has no set wbe: did you mean web?"),
        (["crawl", "--recipe", "webtext", "--out", "x"], 2, "give --links FILE"),
        (["crawl", "--recipe", "gpt3", "--out", "x"], 2, "give sources to webtext2, books1, wikipedia"),
        (["books=books", "--recipe", "mixed.toml", "--out", "x", "--workers", "0"], 2, "--workers must be at least 1"),
        (["books=boks", "--recipe", "mixed.toml", "--out", "x"], 1, "boks' does not exist: did you mean "),
        (["books=books", "--recipe", "miksed.toml", "--out", "x"], 2, "cannot read the config file miksed.toml"),
    ],
)
def test_what_cannot_be_built_gets_one_line(gpt: Gpt, words: list[str], code: int, says: str) -> None:
    said = gpt("corpus", "build", *words)
    last = said.err.splitlines()[-1]
    assert (said.code, says in last, said.out) == (code, True, ""), said.err
    assert last.startswith("gpt: ")
    assert not Path("x", "corpus.json").exists()


def test_a_corpus_is_not_put_into_a_run(gpt: Gpt, trained: Path) -> None:
    before = sorted(trained.rglob("*"))
    said = gpt("corpus", "build", "books=books", "--recipe", "mixed.toml", "--out", trained, "--workers", 1)
    assert (said.code, said.err.splitlines()[-1]) == (1, f"gpt: {trained} holds a run: choose another --out")
    assert sorted(trained.rglob("*")) == before


def test_a_card_of_no_corpus_says_what_to_do(gpt: Gpt, tmp_path: Path) -> None:
    said = gpt("corpus", "card", tmp_path)
    assert said.code == 1
    assert len(said.err.splitlines()) == 1
    assert "(No such file or directory): give a folder that `gpt corpus build` has made" in said.err


def test_the_recipe_in_the_documentation_is_one(tmp_path: Path) -> None:
    found = re.search(r"^```toml\n(.*?)^```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    path = tmp_path / "letters.toml"
    path.write_text(found[1])
    config = requested_corpus(["books=more/"], str(path), None, None, {})
    assert (config.recipe, config.against, config.language.keep) == ("letters", ("winograd", "exam.txt"), ("en", "de"))
    assert {name: (settings.paths, settings.weight) for name, settings in config.used.items()} == {
        "web": (("crawl/",), 0.7),
        "books": (("novels/", "more/"), 0.3),
    }
