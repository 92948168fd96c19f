import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gptrilogy.corpus import gram_search
from gptrilogy.corpus.bare_words import bare
from gptrilogy.corpus.decontamination import (
    Cleaned,
    DecontaminationConfig,
    found,
    found_in_each,
    split,
    split_each,
    split_reference,
)
from gptrilogy.corpus.documents import Reason
from gptrilogy.corpus.gram_set import GramSet

WORDS = st.sampled_from(["a", "B", "a,", "--", "«é»", "e\u0301", "\u00a0", "\n", "\x00", "c" * 9])
TEXTS = st.one_of(st.text(alphabet="ab -'\u00a0é"), st.lists(WORDS, max_size=40).map(" ".join))
PLANT = "Zounds quoth the walrus to nine purple carpenters while seven silver kettles sang opera backwards"  # 15 words
GRAMS = GramSet.build([("walrus", PLANT)], 13)
SHORT = DecontaminationConfig(n=2, window_chars=3, min_chars=5, max_pieces=3)


def none_ignored(grams: GramSet) -> NDArray[np.bool_]:
    return np.zeros(len(grams), np.bool_)


def kept(text: str, tests: str, config: DecontaminationConfig = SHORT) -> list[str] | str:
    """What `split` leaves of a text, or the name of its reason."""
    grams = GramSet.build([("t", tests)], config.n)
    result = split(text, grams, none_ignored(grams), config)
    return result.name if isinstance(result, Reason) else [text[start:end] for start, end in result.pieces]


@given(
    text=TEXTS,
    tests=st.lists(TEXTS, max_size=3),
    n=st.integers(1, 3),
    window_chars=st.integers(0, 8),
    min_chars=st.integers(0, 8),
    max_pieces=st.integers(1, 4),
)
def test_what_is_kept_is_what_the_readable_twin_keeps(
    text: str, tests: list[str], n: int, window_chars: int, min_chars: int, max_pieces: int
) -> None:
    config = DecontaminationConfig(n=n, window_chars=window_chars, min_chars=min_chars, max_pieces=max_pieces)
    grams = GramSet.build([("t", test) for test in tests], n)
    result = split(text, grams, none_ignored(grams), config)
    if isinstance(result, Reason):
        assert split_reference(text, tests, config) is None
    else:
        pieces = [text[start:end] for start, end in result.pieces]
        assert pieces == split_reference(text, tests, config)
        assert result.removed_chars == len(text) - sum(map(len, pieces))
        assert result.grams == tuple(found(text, grams).tolist())
        assert bool(result.grams) == (pieces != [text])


@given(texts=st.lists(TEXTS, max_size=6), tests=st.lists(TEXTS, max_size=2))
def test_many_texts_at_once_fare_as_each_alone(texts: list[str], tests: list[str]) -> None:
    grams = GramSet.build([("t", test) for test in tests], SHORT.n)
    ignored = none_ignored(grams)
    assert list(split_each(texts, grams, ignored, SHORT)) == [split(text, grams, ignored, SHORT) for text in texts]
    assert [one.tolist() for one in found_in_each(texts, grams)] == [found(text, grams).tolist() for text in texts]


def test_the_paper_s_numbers() -> None:
    assert DecontaminationConfig().model_dump() == {
        "n": 13,
        "window_chars": 200,
        "min_chars": 200,
        "max_pieces": 10,
        "max_documents": 10,
    }


@pytest.mark.parametrize("near", ["", "x" * 199, "x" * 200])
def test_the_window_begins_at_the_gram_s_first_letter_and_its_last(near: str) -> None:
    before, after = "b" * 500 + " ", " " + "a" * 500
    text = f"{before}{near} “{PLANT}”{after}"
    at = text.index("Zounds")
    cleaned = split(text, GRAMS, none_ignored(GRAMS), DecontaminationConfig())
    assert isinstance(cleaned, Cleaned)
    assert cleaned.pieces == ((0, at - 200), (at + len(PLANT) + 200, len(text)))


def test_windows_that_overlap_or_touch_make_one_cut() -> None:
    assert kept("before xx cut it 234 cut it xx after", "cut it") == ["before ", " after"]
    assert kept("before xx cut it 2345 cut it xx after", "cut it") == ["before ", " after"]
    assert kept("before xx cut it xx12345xx cut it xx after", "cut it") == ["before ", "12345", " after"]


def test_a_cut_at_an_end_leaves_no_piece_there() -> None:
    once = SHORT.replace(max_pieces=1)
    assert kept("cut it xxgo on", "cut it", once) == ["go on"]
    assert kept("go onxx cut it", "cut it", once) == ["go on"]
    assert kept("xx cut it xxgo on", "cut it", once) == ["go on"]


def test_a_piece_of_exactly_the_least_length_is_kept() -> None:
    assert kept("12345xx cut it xx12345", "cut it") == ["12345", "12345"]
    assert kept("1234xx cut it xx12345", "cut it") == ["12345"]
    assert kept("1234xx cut it xx1234", "cut it") == "no piece long enough"


def test_what_nothing_is_cut_from_stays_however_short() -> None:
    assert kept("cut", "cut it") == ["cut"]
    assert kept("", "cut it") == [""]


def test_pieces_are_counted_before_short_ones_are_discarded() -> None:
    passages = ["before xx cut it xx", "1", "xx cut it xx", "2", "xx cut it xx after"]
    assert kept("".join(passages[:1] + passages[3:]), "cut it") == ["before ", " after"]
    assert kept("".join(passages), "cut it") == "split into too many pieces"


@pytest.mark.parametrize(("passages", "pieces"), [(9, 10), (10, None)])
def test_ten_pieces_are_kept_and_eleven_are_too_many(passages: int, pieces: int | None) -> None:
    text = "word " * 200 + f"{PLANT}. {'word ' * 200}" * passages
    result = split(text, GRAMS, none_ignored(GRAMS), DecontaminationConfig())
    if pieces is None:
        assert result == Reason("split into too many pieces", "11 pieces, at most 10; shared with walrus (3 grams)")
    else:
        assert isinstance(result, Cleaned)
        assert len(result.pieces) == pieces
        assert result.grams == (0, 1, 2)


def test_a_reason_says_how_long_the_longest_piece_was() -> None:
    text = "word " * 60 + PLANT + " word" * 70
    result = split(text, GRAMS, none_ignored(GRAMS), DecontaminationConfig())
    assert result == Reason(
        "no piece long enough", "150 characters in a row, at least 200; shared with walrus (3 grams)"
    )
    nothing = split(PLANT, GRAMS, none_ignored(GRAMS), DecontaminationConfig())
    assert nothing == Reason(
        "no piece long enough", "0 characters in a row, at least 200; shared with walrus (3 grams)"
    )


@pytest.mark.parametrize(("documents", "is_cut"), [(10, True), (11, False)])
def test_a_gram_that_more_than_ten_documents_have_is_ignored(documents: int, is_cut: bool) -> None:
    config = DecontaminationConfig()
    texts = [f"{'word ' * number} {PLANT} {PLANT} {'word ' * 200}" for number in range(100, 100 + documents)]
    counts = np.zeros(len(GRAMS), np.int64)
    for grams in found_in_each(texts, GRAMS):
        counts[grams] += 1
    assert counts.tolist() == [documents] * 3
    results = list(split_each(texts, GRAMS, counts > config.max_documents, config))
    assert [isinstance(result, Cleaned) and bool(result.grams) for result in results] == [is_cut] * documents
    if not is_cut:
        assert results == [Cleaned(((0, len(text)),), 0, ()) for text in texts]


def test_an_ignored_gram_leaves_its_neighbours_to_be_cut() -> None:
    ignored = none_ignored(GRAMS)
    words = PLANT.split()
    (middle,) = found(" ".join(words[1:14]), GRAMS)
    ignored[middle] = True
    text = "word " * 100 + PLANT + " word" * 100
    cleaned = split(text, GRAMS, ignored, DecontaminationConfig())
    assert isinstance(cleaned, Cleaned)
    assert cleaned.grams == tuple(number for number in range(3) if number != middle)


@pytest.fixture(scope="module")
def book(shared_data: Callable[[str], Path]) -> str:
    """Six novels and all of Shakespeare's that is at hand, 5.1 MB, as one text."""
    novels = sorted(shared_data("text/austen").glob("*.txt"))
    paths = [*novels, *sorted(shared_data("text/tinyshakespeare").glob("*.txt"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_a_book_is_cut_at_its_beginning_its_middle_and_its_end(book: str) -> None:
    middle = len(book) // 2
    text = f" {PLANT} ".join([book[:50], book[50:middle], book[middle:-150], book[-150:]])
    cuts = [(max(0, start - 200), min(len(text), start + len(PLANT) + 200)) for start in places_of(PLANT, text)]
    assert len(text) > 5_000_000
    assert len(cuts) == 3
    cleaned = split(text, GRAMS, none_ignored(GRAMS), DecontaminationConfig())
    assert isinstance(cleaned, Cleaned)
    assert cleaned.pieces == tuple((end, start) for (_, end), (start, _) in pairwise(cuts))
    assert cleaned.removed_chars == sum(end - start for start, end in cuts)


@pytest.mark.parametrize("over", [0, 1, len(PLANT) // 2, len(PLANT) - 1, len(PLANT) + 2])
def test_what_lies_over_the_seam_of_two_blocks_is_cut(over: int) -> None:
    start = gram_search.BLOCK_CHARS - over
    text = ("word " * (start // 5 + 1))[-start:] + PLANT + " word" * 1_000
    cleaned = split(text, GRAMS, none_ignored(GRAMS), DecontaminationConfig())
    assert isinstance(cleaned, Cleaned)
    assert cleaned.pieces == ((0, start - 200), (start + len(PLANT) + 200, len(text)))
    assert cleaned.grams == (0, 1, 2)


def places_of(wanted: str, text: str) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(wanted), text)]


def test_each_character_of_a_book_is_read_about_once(book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read_chars: list[int] = []

    def counted(text: str) -> bytes:
        read_chars.append(len(text))
        return bare(text)

    monkeypatch.setattr(gram_search, "bare", counted)
    for text in (book[: len(book) // 4], book):
        read_chars.clear()
        found(text, GRAMS)
        assert len(text) <= sum(read_chars) < 1.05 * len(text)
        assert max(read_chars) < gram_search.BLOCK_CHARS + 100
