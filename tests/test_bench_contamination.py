"""The bench of contamination plants what it must find."""

import json
from pathlib import Path

import pytest
from bench import contamination as module
from bench.contamination import PASSAGE_WORDS, app, make_passages, measure, write_corpus
from bench.record import Log

from gptrilogy.errors import RunError
from gptrilogy.evaluation.contamination.gram_index import build_index

SENTENCES = [f"Sentence {number} speaks of {number * 7} things and of nothing else at all." for number in range(300)]


def test_every_planted_passage_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 20_000)
    planted = make_passages(SENTENCES, 5)
    files = write_corpus(tmp_path, 100_000, SENTENCES, planted)
    lines = [line for path in sorted(tmp_path.iterdir()) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [json.loads(line)["text"] for line in lines]
    assert files == len(list(tmp_path.iterdir())) > 4
    assert [sum(passage in text for text in texts) for passage in planted] == [1] * 5
    assert 100_000 <= sum(path.stat().st_size for path in tmp_path.iterdir()) < 110_000
    assert len(planted[0].split()) == PASSAGE_WORDS


def test_what_was_planted_must_be_found(tmp_path: Path) -> None:
    passages = make_passages(SENTENCES, 6)
    write_corpus(tmp_path, 50_000, SENTENCES, passages[:2])
    index = build_index(passages, [13] * 6)
    result = measure(index, tmp_path, 1, 2, {0, 1}, Log())
    assert len(result.seconds) == 2
    assert result.line()[2] == f"{result.size_bytes / 1e6 / max(min(result.seconds), 0.01):.1f}"
    assert 10**7 < result.peak_bytes < 10**11
    assert result.n_found == 2
    with pytest.raises(RuntimeError, match=r"1 passages are in the corpus and were not found: \[5\]"):
        measure(index, tmp_path, 1, 1, {0, 5}, Log())


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the corpus takes 1e\\+09 GB"):
        write_corpus(tmp_path, 10**18, SENTENCES, [])
    assert list(tmp_path.iterdir()) == []


def test_a_record_says_how_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_sentences", lambda: SENTENCES)
    words = ["--size-mb", "1", "--passages", "200", "--record", str(tmp_path / "record")]
    app(words, result_action="return_value")
    said = json.loads((tmp_path / "record/results.json").read_text())
    assert said["command"].startswith("python -m bench.contamination --size-mb 1 --passages 200")
    assert next(result["processes"] for result in said["results"]) == 1
    assert "2 of them are planted" in (tmp_path / "record/README.md").read_text()
