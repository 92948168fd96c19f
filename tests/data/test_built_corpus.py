"""A built corpus read back: every document in order, nothing that its record does not vouch for."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from gptrilogy.data.built_corpus import built_documents, is_built_corpus, read_corpus, read_texts
from gptrilogy.errors import DataError
from gptrilogy.files import sha256_file
from written_corpus import write_corpus

WEB = [f"Page {number} of the web, naïve — 東京.\n" for number in range(23)]
BOOKS = ["Call me Ishmael.", "It was the best of times."]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus", {"web": WEB, "books": BOOKS, "news": []}, {"web": 0.6, "books": 0.4})


def read_all(folder: Path) -> dict[str, list[str]]:
    record = read_corpus(folder)
    return {one.name: [document.text for document in built_documents(folder, one)] for one in record.sets}


def rewrite(folder: Path, place: str, value: object) -> None:
    """Change the field of `corpus.json` that lies at a place such as `sets.0.name`."""
    record = json.loads((folder / "corpus.json").read_text())
    within: Any = record
    *way, last = (int(key) if key.isdigit() else key for key in place.split("."))
    for key in way:
        within = within[key]
    within[last] = value
    (folder / "corpus.json").write_text(json.dumps(record))


def test_the_documents_of_each_set_come_back_in_order(corpus: Path) -> None:
    assert is_built_corpus(corpus)
    assert read_all(corpus) == {"web": WEB, "books": BOOKS, "news": []}
    web = read_corpus(corpus).sets[0]
    assert [(document.id, document.source) for document in built_documents(corpus, web)][8] == ("web:8", "web")
    assert [one.weight for one in read_corpus(corpus).sets] == [0.6, 0.4, None]


def test_a_file_is_opened_when_its_turn_comes(corpus: Path) -> None:
    documents = built_documents(corpus, read_corpus(corpus).sets[0])
    for path in sorted((corpus / "documents/web").iterdir())[1:]:
        path.unlink()
    assert [next(documents).text for _ in range(7)] == WEB[:7]
    with pytest.raises(DataError, match=r"part-00001\.parquet: No such file or directory; `gpt corpus build` makes it"):
        next(documents)


def test_a_changed_file_is_not_read(corpus: Path) -> None:
    path = corpus / "documents/books/part-00000.parquet"
    path.write_bytes(path.read_bytes().replace(b"Ishmael", b"Israels"))
    with pytest.raises(DataError, match=r"books/part-00000\.parquet is damaged: its SHA-256 is .* makes it again"):
        read_all(corpus)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all"])
def test_a_file_that_is_vouched_for_and_no_parquet_gets_one_line(corpus: Path, content: bytes) -> None:
    path = corpus / "documents/books/part-00000.parquet"
    path.write_bytes(content)
    rewrite(corpus, "sets.1.files.0.sha256", sha256_file(path))
    with pytest.raises(DataError, match=r"books/part-00000\.parquet is damaged \(.*\): `gpt corpus build`"):
        read_all(corpus)


def test_a_count_that_does_not_hold_is_noticed(corpus: Path) -> None:
    rewrite(corpus, "sets.1.files.0.documents", 3)
    with pytest.raises(DataError, match=r"it has 2 documents, and corpus\.json says 3"):
        read_all(corpus)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("version", 2, "version"),
        ("sets", None, "sets"),
        ("sets.0.weight", -1, "weight"),
        ("sets.0.name", "../web", "name"),
        ("sets.0.name", "books", "two sets have one name: books, books, news"),
        ("sets.0.files.0.file", "../secret.parquet", "leads out of the corpus"),
        ("sets.0.files.0.file", "/etc/passwd", "leads out of the corpus"),
    ],
)
def test_a_damaged_record_gets_one_line(corpus: Path, place: str, value: object, says: str) -> None:
    rewrite(corpus, place, value)
    with pytest.raises(DataError, match=rf"corpus\.json is damaged \(.*{says}.*\): `gpt corpus build` makes it again"):
        read_corpus(corpus)


def test_a_record_that_is_no_json_gets_one_line(corpus: Path) -> None:
    for content in ("", "[]", "{", "3"):
        (corpus / "corpus.json").write_text(content)
        with pytest.raises(DataError, match=r"corpus\.json is damaged"):
            read_corpus(corpus)


def test_columns_of_another_kind_are_refused(tmp_path: Path) -> None:
    for text in ([1], [None]):
        corpus = write_corpus(tmp_path / "corpus", {"web": ["text"]}, {})
        path = corpus / "documents/web/part-00000.parquet"
        parquet.write_table(pa.table({"id": ["1"], "text": text}), path)
        rewrite(corpus, "sets.0.files.0.sha256", sha256_file(path))
        with pytest.raises(DataError, match="where there should be text"):
            read_all(corpus)


def test_plain_sources_and_corpora_are_read_one_after_the_other(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("And more.", encoding="utf-8")
    texts = [document.text for document in read_texts([tmp_path / "more.txt", corpus])]
    assert texts == ["And more.", *WEB, *BOOKS]
