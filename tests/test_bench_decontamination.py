"""The bench of decontamination plants what it must cut."""

import json
from pathlib import Path

import numpy as np
import pytest
from bench import decontamination as module
from bench.contamination import make_passages, write_corpus
from bench.decontamination import (
    BOOK_PASSAGES,
    app,
    check_counts,
    check_cuts,
    count,
    cut,
    make_book,
    make_set,
    texts_of,
)

from gptrilogy.corpus.decontamination import Cleaned

SENTENCES = [f"Sentence {number} speaks of {number * 7} things and of nothing else at all." for number in range(300)]


def test_what_was_planted_must_be_found_and_cut(tmp_path: Path) -> None:
    passages = make_passages(SENTENCES, 6)
    _, _, grams = make_set(passages, tmp_path / "grams")
    (tmp_path / "corpus").mkdir()
    write_corpus(tmp_path / "corpus", 50_000, SENTENCES, passages[:2])
    counts = count(grams, tmp_path / "corpus")
    check_counts(grams, passages[:2], counts)
    with pytest.raises(RuntimeError, match="1 of 2 passages are in the corpus and were not found"):
        check_counts(grams, [passages[0], passages[5]], counts)
    cuts = cut(grams, lambda: texts_of(tmp_path / "corpus"))
    check_cuts(grams, 2, cuts)
    with pytest.raises(RuntimeError, match="2 texts were cut, of 3 that hold a passage"):
        check_cuts(grams, 3, cuts)
    with pytest.raises(RuntimeError, match="1 pieces still share a gram"):
        check_cuts(grams, 2, [*cuts, (passages[3], Cleaned(((0, len(passages[3])),), 0, (7,)))])


def test_the_book_is_cut_at_both_ends_and_between(tmp_path: Path) -> None:
    passages = make_passages(SENTENCES, BOOK_PASSAGES)
    _, _, grams = make_set(passages, tmp_path / "grams")
    book = make_book(SENTENCES, 100_000, passages)
    assert 100_000 < len(book) < 110_000
    assert [book.find(passage) for passage in passages] == sorted(book.find(passage) for passage in passages)
    ((text, cleaned),) = cut(grams, lambda: [book])
    assert text == book
    assert isinstance(cleaned, Cleaned)
    assert len(cleaned.pieces) == BOOK_PASSAGES - 1


def test_a_record_says_how_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_sentences", lambda: SENTENCES)
    sizes = ["--size-mb", "1", "--book-mb", "1", "--passages", "300"]
    app([*sizes, "--record", str(tmp_path / "record")], result_action="return_value")
    said = json.loads((tmp_path / "record/results.json").read_text())
    assert said["command"].startswith("python -m bench.decontamination --size-mb 1 --book-mb 1 --passages 300")
    assert [result["what"] for result in said["results"]] == [
        "reading alone", "counting in the corpus", "cutting the corpus", "cutting the book", "the twin",
    ]  # fmt: skip
    assert all(np.array(result["seconds"]) > 0 for result in said["results"])
    page = (tmp_path / "record/README.md").read_text()
    assert "3 passages are planted in the" in page
