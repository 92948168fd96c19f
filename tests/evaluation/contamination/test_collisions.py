import signal
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.ngrams import U64, Places, words_of
from gptrilogy.errors import RunError
from gptrilogy.evaluation.contamination import collisions as module
from gptrilogy.evaluation.contamination import gram_index
from gptrilogy.evaluation.contamination.collisions import Overlap, Scanner, search, search_reference
from gptrilogy.evaluation.contamination.gram_index import GramIndex, build_index
from gptrilogy.evaluation.contamination.text_pieces import Piece

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "é", "—"]), max_size=20).map(" ".join)
RHYME = "A stitch in time saves nine"


def documents(*texts: str) -> list[Document]:
    return [Document(text, f"{number}.txt", "source") for number, text in enumerate(texts)]


@given(data=st.data())
def test_the_examples_found_are_those_of_the_twin(data: st.DataObject) -> None:
    texts = data.draw(st.lists(TEXTS, min_size=1, max_size=4))
    lengths = data.draw(st.lists(st.sampled_from([2, 3, 8, 9]), min_size=len(texts), max_size=len(texts)))
    corpus = documents(*data.draw(st.lists(TEXTS, max_size=4)))
    assert set(search(build_index(texts, lengths), corpus).found) == search_reference(texts, lengths, corpus)


def test_an_overlap_is_shown_as_it_stands_in_its_document() -> None:
    corpus = documents("Nothing here.", "They say: “a STITCH in — time — saves 9.” A stitch in time, saves nine!")
    found = search(build_index([RHYME, "no such words"], [4, 2]), corpus).found
    assert found == {0: Overlap(1, 11, "1.txt", "a STITCH in — time")}


def test_words_of_two_documents_do_not_count_together() -> None:
    index = build_index([RHYME], [4])
    assert search(index, documents("a stitch in", "time saves nine")).found == {}
    assert search(index, documents("a stitch", "in", "time saves nine a stitch in time")).found[0].number == 2


def test_the_first_place_is_reported_wherever_it_is_in_a_long_document() -> None:
    text = "so " * 400_000 + RHYME + " so" * 400_000 + " " + RHYME
    found = search(build_index([RHYME], [6]), documents("so", text))
    assert found.found == {0: Overlap(1, 1_200_000, "1.txt", RHYME)}
    assert (found.documents, found.chars >= len(text)) == (2, True)


def test_equal_numbers_of_other_words_flag_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all grams on one number, only the comparison of words tells them apart."""

    def alike(words: U64, *_: object) -> U64:
        return words[: max(0, len(words) - 2)] * words.dtype.type(0)

    def alike_at(words: U64, places: Places, n: int) -> U64:
        return words[places] * words.dtype.type(0)

    monkeypatch.setattr(gram_index, "gram_hashes", alike)
    monkeypatch.setattr(gram_index, "gram_hashes_at", alike_at)
    scanner = Scanner(build_index(["a b c", "d e f"], [3, 3]))
    assert scanner.scan([Piece(0, "0.txt", 0, "x y z")]) == {}
    assert set(scanner.scan([Piece(1, "1.txt", 0, "d e f")])) == {1}
    assert set(scanner.scan([Piece(2, "2.txt", 0, "a b c")])) == {0}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes for a corpus of more than two million characters."""
    monkeypatch.setattr(module, "_ALONE_BATCHES", 4)


def corpus_of(n: int) -> Iterator[Document]:
    """Half a million characters a document, three examples in some."""
    filler = " ".join(f"word{number}" for number in range(60_000))
    for number in range(n):
        planted = {3: "one two three", 9: "uno due tre é", 11: "ONE TWO THREE", n - 1: RHYME}.get(number, "")
        yield Document(f"{filler}. {planted} {filler[:1000]}", f"{number}.txt", "source")


@pytest.mark.usefixtures("soon")
def test_more_processes_find_the_same_first_places() -> None:
    index = build_index(["one two three", "uno due tre é", RHYME, "not there"], [3, 4, 5, 2])
    seen: list[tuple[int, int]] = []
    alone = search(index, corpus_of(15))
    assert {example: overlap.number for example, overlap in alone.found.items()} == {0: 3, 1: 9, 2: 14}
    assert (
        search(index, corpus_of(15), processes=2, on_progress=lambda documents, chars: seen.append((documents, chars)))
        == alone
    )
    assert seen == sorted(seen)
    assert seen[-1] == (15, alone.chars)


@pytest.mark.usefixtures("soon")
def test_a_killed_process_is_told_and_what_the_corpus_raises_passes() -> None:
    index = build_index([RHYME], [5])

    def killing() -> Iterator[Document]:
        import multiprocessing
        import os

        for number, document in enumerate(corpus_of(60)):
            if number == 10:
                os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
            yield document

    with pytest.raises(RunError, match="was killed, perhaps for want of memory; try fewer with --processes"):
        search(index, killing(), processes=2)

    def failing() -> Iterator[Document]:
        yield from corpus_of(12)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        search(index, failing(), processes=2)


def test_a_group_of_batches_sees_what_each_of_them_finds() -> None:
    index = build_index(["a b", "c d"], [2, 2])
    group = [[Piece(0, "0", 0, "a b")], [Piece(1, "1", 0, "c d a b")]]
    scan = module._scan_group  # pyright: ignore[reportPrivateUsage] - what a process does
    assert {example: overlap.number for example, overlap in scan(Scanner(index), group).items()} == {0: 0, 1: 1}


def test_an_index_without_a_gram_finds_nothing() -> None:
    index: GramIndex = build_index(["", "one"], [8, 13])
    assert search(index, documents(RHYME)).found == {}
    assert len(words_of(b"")[0]) == 0
