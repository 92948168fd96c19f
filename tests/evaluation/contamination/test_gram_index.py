from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.ngrams import gram_hashes, normalise, words_of, words_reference
from gptrilogy.evaluation.contamination.gram_index import GramIndex, build_index

TEXTS = st.lists(st.sampled_from("abcd")).map(" ".join)


def grams_found(index: GramIndex, text: str) -> set[tuple[int, int, int]]:
    """Word, n and example of all that the index says of a text."""
    found = set[tuple[int, int, int]]()
    for table, places, grams in index.lookup(words_of(normalise(text)).hashes):
        rows, owner = table.rows(grams)
        found |= {
            (int(place), table.n, int(example))
            for place, example in zip(places[owner], table.examples[rows], strict=True)
        }
    return found


def grams_in_words(texts: list[str], lengths: list[int], text: str) -> set[tuple[int, int, int]]:
    words = words_reference(text)
    found = set[tuple[int, int, int]]()
    for number, (example, n) in enumerate(zip(texts, lengths, strict=True)):
        has = words_reference(example)
        grams = [has[start : start + n] for start in range(len(has) - n + 1)]
        found |= {(at, n, number) for at in range(len(words) - n + 1) if words[at : at + n] in grams}
    return found


@given(data=st.data())
def test_lookups_find_exactly_the_grams_of_the_examples(data: st.DataObject) -> None:
    texts = data.draw(st.lists(TEXTS, min_size=1, max_size=5))
    lengths = data.draw(st.lists(st.sampled_from([2, 3, 8, 9, 10]), min_size=len(texts), max_size=len(texts)))
    text = data.draw(TEXTS)
    assert grams_found(build_index(texts, lengths), text) == grams_in_words(texts, lengths, text)


def test_rows_lead_back_to_the_words_of_the_examples() -> None:
    index = build_index(["One — two, three", "zwei", "two three four"], [2, 2, 2])
    (table,) = index.tables
    rows, owner = table.rows(np.arange(len(table.hashes)))
    said = {(b" ".join(index.words_at(table, int(row))), int(table.examples[row])) for row in rows}
    assert said == {(b"one two", 0), (b"two three", 0), (b"two three", 2), (b"three four", 2)}
    assert np.bincount(owner).tolist() == np.diff(table.firsts).tolist()


def test_an_index_read_from_files_is_the_one_written(tmp_path: Path) -> None:
    texts, lengths = ["a b c d e f g h i j k", "b c", "alone"], [9, 2, 3]
    made = build_index(texts, lengths)
    made.save(tmp_path)
    read = GramIndex.load(tmp_path)
    assert [table.n for table in read.tables] == [2, 3, 9]
    assert grams_found(read, " ".join(texts)) == grams_found(made, " ".join(texts)) != set()
    assert read.n_examples == 3
    assert read.longest == 9


def test_the_filter_lets_few_strangers_through() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    index = build_index([" ".join(a + b for a in letters for b in letters)], [8])
    strangers = gram_hashes(words_of(" ".join(str(number) for number in range(100_000)).encode()).hashes, 8)
    passed = len(index.filters[8].passing(strangers)) / len(strangers)
    assert 0 < passed < 1 / 16
