import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus import gram_set as module
from gptrilogy.corpus.bare_words import bare, bare_words_reference
from gptrilogy.corpus.gram_set import Coverage, GramSet
from gptrilogy.corpus.ngrams import words_of
from gptrilogy.errors import DataError

TEXTS = st.lists(
    st.tuples(st.sampled_from(["lambada", "piqa", "boolq"]), st.lists(st.sampled_from("abc")).map(" ".join))
)


def grams_in_words(texts: Sequence[tuple[str, str]], n: int) -> dict[tuple[str, ...], set[str]]:
    tasks: dict[tuple[str, ...], set[str]] = {}
    for name, text in texts:
        words = [word for word, _, _ in bare_words_reference(text)]
        for first in range(len(words) - n + 1):
            tasks.setdefault(tuple(words[first : first + n]), set()).add(name)
    return tasks


def gram_of(grams: GramSet, words: str) -> int:
    _, numbers = grams.lookup(words_of(bare(words)).hashes)
    return int(numbers[0])


@given(texts=TEXTS, n=st.integers(1, 4), batch_bytes=st.sampled_from([1, 8, 1 << 20]))
def test_a_set_holds_each_gram_of_the_tests_once_with_its_tasks(
    texts: list[tuple[str, str]], n: int, batch_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BATCH_BYTES", batch_bytes)
        grams = GramSet.build(texts, n)
    wanted = grams_in_words(texts, n)
    assert len(grams) == len(wanted)
    for words, tasks in wanted.items():
        assert grams.by_task(np.array([gram_of(grams, " ".join(words))])) == dict.fromkeys(
            [name for name in grams.names if name in tasks], 1
        )
    assert grams.hashes.tolist() == sorted(set(grams.hashes.tolist()))


@given(texts=TEXTS, n=st.integers(1, 4))
def test_texts_without_a_gram_are_counted(texts: list[tuple[str, str]], n: int) -> None:
    coverage = GramSet.build(texts, n).coverage
    for name in {name for name, _ in texts}:
        own = [text.split() for task, text in texts if task == name]
        assert coverage[name] == Coverage(len(own), sum(len(words) < n for words in own))


def test_grams_of_the_same_words_are_one_whatever_their_marks() -> None:
    grams = GramSet.build([("a", "Don't stop, now"), ("b", "DONT -- STOP «now»")], 3)
    assert grams.by_task(np.arange(len(grams))) == {"a": 1, "b": 1}
    assert len(grams) == 1


def test_a_set_read_from_files_is_the_one_saved(tmp_path: Path) -> None:
    made = GramSet.build([("a", "one two three four"), ("b", "two three"), ("c", "no")], 2)
    made.save(tmp_path / "grams")
    read = GramSet.load(tmp_path / "grams")
    assert (read.n, read.names, read.coverage, read.combinations) == (
        2,
        ("a", "b", "c"),
        made.coverage,
        ((0,), (1,), (2,), (0, 1)),
    )
    assert read.hashes.tolist() == made.hashes.tolist()
    assert read.fingerprint == made.fingerprint
    everything = words_of(bare("one two three four")).hashes
    assert [found.tolist() for found in read.lookup(everything)] == [
        found.tolist() for found in made.lookup(everything)
    ]
    assert read.by_task(np.arange(3)) == {"a": 3, "b": 1}


def test_a_set_of_nothing_can_be_saved_and_finds_nothing(tmp_path: Path) -> None:
    GramSet.build([("a", "too short")], 13).save(tmp_path / "grams")
    read = GramSet.load(tmp_path / "grams")
    assert len(read) == 0
    assert read.coverage == {"a": Coverage(1, 1)}
    assert [found.tolist() for found in read.lookup(np.arange(100, dtype=np.uint64))] == [[], []]


def test_the_fingerprint_tells_sets_apart() -> None:
    texts = [("a", "one two three"), ("b", "two three")]
    sets = [
        GramSet.build(texts, 2),
        GramSet.build(texts, 1),
        GramSet.build(texts[:1], 2),
        GramSet.build([("c", "one two three"), ("b", "two three")], 2),
        GramSet.build([("a", "one two four"), ("b", "two three")], 2),
    ]
    assert len({grams.fingerprint for grams in sets}) == len(sets)
    assert GramSet.build(texts, 2).fingerprint == sets[0].fingerprint


def write_other_type(folder: Path) -> None:
    np.save(folder / "hashes.npy", np.zeros(3, np.float64))


def write_other_number(folder: Path) -> None:
    hashes = np.load(folder / "hashes.npy")
    hashes[0] += np.uint64(1)
    np.save(folder / "hashes.npy", hashes)


def write_object(folder: Path) -> None:
    np.save(folder / "owners.npy", np.array([{}, {}], object), allow_pickle=True)


def cut_short(folder: Path) -> None:
    (folder / "bits.npy").write_bytes((folder / "bits.npy").read_bytes()[:100])


def forget_field(folder: Path) -> None:
    header = json.loads((folder / "grams.json").read_text())
    (folder / "grams.json").write_text(json.dumps({name: header[name] for name in header if name != "names"}))


def write_list(folder: Path) -> None:
    (folder / "grams.json").write_text("[]")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (write_other_type, "hashes.npy is an array of float64"),
        (write_other_number, "other test grams than were saved there"),
        (write_object, "Python objects in dtype"),
        (cut_short, "holds no set of test grams"),
        (forget_field, "'names'"),
        (write_list, "holds no set of test grams"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    folder = tmp_path / "grams"
    GramSet.build([("a", "one two three four")], 2).save(folder)
    damage(folder)
    with pytest.raises(DataError, match=said) as caught:
        GramSet.load(folder)
    assert "build it again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere holds no set of test grams"):
        GramSet.load(tmp_path / "nowhere")
