import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gptrilogy.corpus.bare_words import bare_words_reference
from gptrilogy.corpus.decontamination import Cleaned, DecontaminationConfig, found_in_each, split_each
from gptrilogy.corpus.gram_set import Coverage, GramSet
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.corpus.sources import read_documents
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.evaluation.contamination.task_texts import task_texts

CONFIG = DecontaminationConfig()


def write(path: Path, record: dict[str, object]) -> None:
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")


def test_every_choice_is_spelled_out(tmp_path: Path) -> None:
    write(
        tmp_path / "val.jsonl",
        {"premise": "It rained.", "choice1": "A wet.", "choice2": "B dry.", "question": "effect", "label": 0},
    )
    assert list(task_texts(["copa"], tmp_path)) == [
        ("copa", "It rained so a wet."),
        ("copa", "It rained so b dry."),
    ]


def test_every_right_answer_is_spelled_out(tmp_path: Path) -> None:
    write(tmp_path / "NQ-open.dev.jsonl", {"question": "who wrote emma", "answer": ["Austen", "Jane Austen"]})
    texts = [text for _, text in task_texts(["nq"], tmp_path)]
    assert len(texts) == 2
    assert [text.rpartition("A: ")[2] for text in texts] == ["Austen", "Jane Austen"]
    assert all("who wrote emma" in text for text in texts)


def test_a_wrong_name_is_told_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match="did you mean hellaswag"):
        task_texts(["helaswag"], None)


def test_missing_files_are_told_when_it_is_their_turn(tmp_path: Path) -> None:
    texts = task_texts(["lambada"], tmp_path)
    with pytest.raises(DataError, match=r"lambada_test\.jsonl"):
        next(texts)


@pytest.fixture(scope="module")
def tests(shared_data: Callable[[str], Path]) -> list[tuple[str, str]]:
    return list(task_texts(["lambada-plain", "hellaswag"], shared_data("eval")))


@pytest.fixture(scope="module")
def grams(tests: list[tuple[str, str]]) -> GramSet:
    return GramSet.build(tests, 13)


def test_all_of_lambada_and_all_of_hellaswag_are_given(grams: GramSet) -> None:
    assert grams.coverage == {"lambada-plain": Coverage(5_153, 0), "hellaswag": Coverage(4 * 10_042, 0)}


def test_planted_examples_are_cut_out_of_a_book_and_nothing_else_is(
    tests: list[tuple[str, str]], grams: GramSet, shared_data: Callable[[str], Path]
) -> None:
    book = shared_data("text/austen/emma.txt").read_text(encoding="utf-8")
    chapters = [book[start : start + 20_000] for start in range(0, 800_000, 20_000)]
    planted = [text for _, text in tests[:: len(tests) // len(chapters)]][: len(chapters)]
    texts = [f"{one[:9_000]}\n{text}\n{one[9_000:]}" for one, text in zip(chapters, planted, strict=True)]
    ignored = np.zeros(len(grams), np.bool_)
    for chapter, unplanted in zip(chapters, split_each(chapters, grams, ignored, CONFIG), strict=True):
        assert unplanted == Cleaned(((0, len(chapter)),), 0, ())
    for text, plant, cleaned in zip(texts, planted, split_each(texts, grams, ignored, CONFIG), strict=True):
        assert isinstance(cleaned, Cleaned)
        words = bare_words_reference(plant)
        first, last = 9_001 + words[0][1], 9_001 + words[-1][2]
        assert cleaned.pieces == ((0, first - 200), (last + 200, len(text)))


def test_novels_hold_two_passages_of_lambada_and_speeches_none_of_any(
    grams: GramSet, shared_data: Callable[[str], Path]
) -> None:
    novels = list(read_documents([shared_data("text/austen")]))
    results = dict(
        zip(
            [novel.id for novel in novels],
            split_each([novel.text for novel in novels], grams, np.zeros(len(grams), np.bool_), CONFIG),
            strict=True,
        )
    )
    cut = {name: result for name, result in results.items() if not (isinstance(result, Cleaned) and not result.grams)}
    assert list(cut) == ["austen/mansfieldpark.txt"]
    cleaned = cut["austen/mansfieldpark.txt"]
    assert isinstance(cleaned, Cleaned)
    assert len(cleaned.pieces) == 3
    assert grams.by_task(np.array(cleaned.grams)) == {"lambada-plain": 58}
    speeches = (speech.text for speech in read_documents([find_speeches()]))
    assert sum(map(len, found_in_each(speeches, grams))) == 0
