"""`gpt contamination`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App, Parameter

from gptrilogy.cli.contamination import contamination
from gptrilogy.errors import ConfigError, DataError

SENTENCES = [
    "the baker put nine loaves of rye bread into the hot oven before dawn",
    "a sailor tied the small boat to the wooden pier with a long rope",
    "two children built a castle of sand and watched the waves take it",
]
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The verb's output, or the error it ends with."""
    app = App(default_parameter=Parameter(negative_iterable=()))
    app.default(contamination)

    def run(*words: object) -> str:
        app([str(word) for word in words], result_action="return_value", exit_on_error=False)
        return capsys.readouterr().out

    return run


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """HellaSwag as it is published, with three questions."""
    folder = tmp_path / "tests"
    folder.mkdir()
    halves = [(sentence.split()[:6], sentence.split()[6:]) for sentence in SENTENCES]
    rows = [
        {"activity_label": "Work", "ctx": " ".join(begun), "endings": [" ".join(ended), "no"], "label": 0}
        for begun, ended in halves
    ]
    (folder / "hellaswag_val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "clean.txt").write_text("Nothing of interest happens in this file.")
    (folder / "dirty.txt").write_text(f"They say that {SENTENCES[1].upper()}!\n\x1b[2J")
    return folder


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    row = {"model": "m", "task": "hellaswag", "shots": 0, "draw": 0, "rule": "token", "metric": "acc"}
    rows = [row | {"record": record, "value": value} for record, value in enumerate((0.5, 1.0, 0.25))]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def columns(line: str) -> list[str]:
    return line.split()


def test_a_table_says_how_many_are_dirty_and_shows_where(run: Run, corpus: Path, tests: Path) -> None:
    lines = run(corpus, "--tasks", "hellaswag", "--data", tests).splitlines()
    assert columns(lines[2]) == ["N", "total", "dirty", "clean", "clean", "%"]
    assert columns(lines[3]) == ["HellaSwag", "13", "3", "1", "2", "67%"]
    assert lines[5] == "hellaswag, record 2, in corpus/dirty.txt, character 14"
    assert lines[6] == "  A SAILOR TIED THE SMALL BOAT TO THE WOODEN PIER WITH A LONG"
    assert len(lines) == 7


def test_fewer_passages_may_be_shown_and_long_ones_are_cut(run: Run, corpus: Path, tests: Path) -> None:
    assert "character 14" not in run(corpus, "--tasks", "hellaswag", "--data", tests, "--show", 0)
    (corpus / "dirty.txt").write_text(SENTENCES[1].replace(" the ", " \x1b" + "-" * 300 + " the "))
    shown = run(corpus, "--tasks", "hellaswag", "--data", tests).splitlines()[-1]
    assert shown.startswith("  a sailor tied \\x1b---")
    assert shown.endswith("-...")
    assert len(shown) < 180


def test_scores_stand_beside_what_they_are_without_the_dirty(run: Run, corpus: Path, tests: Path, scores: Path) -> None:
    out = run(corpus, "--tasks", "hellaswag", "--data", tests, "--scores", scores)
    row = next(line for line in out.splitlines() if "0 shots" in line)
    assert columns(row) == ["m,", "hellaswag,", "0", "shots,", "token", "acc", "0.5833", "1", "0.375", "-44%", "-43%"]


def test_json_has_every_number_and_every_dirty_example(run: Run, corpus: Path, tests: Path, scores: Path) -> None:
    said = json.loads(run(corpus, "--tasks", "hell*", "--data", tests, "--scores", scores, "--json"))
    assert (said["documents"], said["chars"]) == (2, 125)
    (task,) = said["tasks"]
    (score,), (example,) = task.pop("scores"), task.pop("examples")
    assert task == {"task": "hellaswag", "n": 13, "total": 3, "dirty": 1, "clean": 2, "clean_share": 2 / 3}
    assert example["record"] == 1
    assert (example["document"], example["start"]) == ("corpus/dirty.txt", 14)
    assert (score["shots"], score["rule"], score["metric"], score["clean"]) == (0, "token", "acc", 0.375)
    assert score["symmetric_difference"] == pytest.approx(-0.4348, abs=1e-4)


def test_the_share_of_a_texts_8_grams(run: Run, corpus: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("A sailor tied the small boat to the jetty, with a long rope.")
    lines = run(corpus, "--overlap", text).splitlines()
    assert columns(lines[-1]) == [str(text), "6", "1", "16.67%"]
    said: dict[str, Any] = json.loads(run(corpus, "--overlap", text, "--overlap", corpus, "--json"))
    assert [(row["grams"], row["found"], row["share"]) for row in said["texts"]] == [(6, 1, 1 / 6), (11, 11, 1.0)]
    assert (said["n"], said["corpus_grams"], said["random_strings"], said["random_found"]) == (8, 11, 1_000_000, 0)


def test_what_cannot_be_asked_is_told_in_one_line(run: Run, corpus: Path, tests: Path, tmp_path: Path) -> None:
    for words in ([], [corpus], ["--tasks", "hellaswag"], [corpus, "--tasks", "hellaswag", "--overlap", corpus]):
        with pytest.raises(ConfigError, match="name a corpus and what to look for, --tasks or --overlap"):
            run(*words)
    for flag, value in (("--show", -1), ("--processes", 0), ("--max-bytes", 0)):
        with pytest.raises(ConfigError, match=f"{flag} must be at least {value + 1}, got {value}"):
            run(corpus, "--tasks", "hellaswag", flag, value)
    with pytest.raises(ConfigError, match="there is no task hellaswig"):
        run(corpus, "--tasks", "hellaswig")
    with pytest.raises(DataError, match="'nowhere' does not exist"):
        run("nowhere", "--tasks", "hellaswag", "--data", tests)
    with pytest.raises(DataError, match="lacks the test file of hellaswag"):
        run(corpus, "--tasks", "hellaswag", "--data", tmp_path / "corpus")
    with pytest.raises(ConfigError, match="raise the limit with --max-bytes"):
        run(corpus, "--overlap", corpus, "--max-bytes", 1)
