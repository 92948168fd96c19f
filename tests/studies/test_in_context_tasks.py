"""Documents state their rule by example alone; what tests ask for is in none of them; prompts read as documents do."""

from itertools import islice
from random import Random

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import Split, demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Choice
from gptrilogy.evaluation.task import Task
from gptrilogy.studies.in_context_tasks import (
    DOCUMENT_TOKENS,
    HALVES,
    NEW_KEYS,
    NEW_NAMES,
    documents,
    line,
    naming,
    new_tasks,
    picking,
    placing,
    repeating,
    with_random_answers,
)
from gptrilogy.studies.in_context_words import KINDS, NAMES, THINGS

KIND_OF = {word: kind for kind, words in KINDS.items() for word in words}
TASKS = {task.name.removeprefix("in-context-"): task for task in new_tasks(0)}


def choice_of(task: Task, number: int) -> Choice:
    (item,) = items_of(task, read_split(task, "test", None), number, 4)
    assert isinstance(item, Choice)
    return item


def test_each_word_is_one_thing_or_one_name() -> None:
    assert len({*THINGS, *NAMES}) == len(THINGS) + len(NAMES)
    assert {len(words) for words in KINDS.values()} == {10}


def test_each_rule_gives_the_answer_it_says() -> None:
    random = Random(1)
    colours = naming([["red", "blue"], ["dog"]], ["one", "two"])
    for record in (colours(random) for _ in range(20)):
        assert record["answer"] == ("two" if record["words"] == "dog" else "one")
    first = naming([["red"]], ["one"], beside=["hat"])(random)
    assert (first["words"], first["answer"]) == ("red hat", "one")
    for record in (picking("tools", ["music", "body"], 3)(random) for _ in range(20)):
        words = record["words"].split()
        assert [word for word in words if KIND_OF[word] == "tools"] == [record["answer"]]
        assert record["answers"] == words
        assert len(set(words)) == 3
    for record in (placing(4, 2)(random) for _ in range(5)):
        assert record["words"].split()[2] == record["answer"]
    again = repeating(3)(random)
    assert again["words"] == again["answer"]


def test_documents_are_the_same_for_a_seed_and_others_for_another() -> None:
    assert list(documents(5, seed=0)) == list(documents(5, seed=0))
    assert list(documents(3, seed=0)) == list(islice(documents(5, seed=0), 3))
    assert not {*documents(5, seed=0)} & {*documents(5, seed=1)}


def test_documents_have_several_lines_and_a_bounded_length() -> None:
    for text in documents(300, seed=0):
        lines = text.splitlines()
        assert len(lines) >= 6
        assert len({len(words.split()) for words in lines}) == 1
        assert sum(len(words.split()) + 1 for words in lines) <= DOCUMENT_TOKENS


def test_no_document_has_what_the_tests_ask_for() -> None:
    n_named = 0
    for text in documents(2000, seed=0):
        lines = [words.split() for words in text.splitlines()]
        answers = {words[-1] for words in lines}
        if len(lines[0]) == 2:  # a word and its name
            n_named += 1
            assert not answers & {*NEW_NAMES}
            asked = {words[0] for words in lines}
            halves = {KIND_OF[word] in HALVES[0] for word in asked}
            assert len(halves) == 1 or not asked & {*NEW_KEYS}
            assert not asked & answers
        assert len(lines[0]) != 5 or any(words[2] != words[4] for words in lines)
    assert n_named > 500


def test_a_question_reads_as_a_line_of_a_document() -> None:
    record = {"words": "dog red", "answers": ["one", "two"], "answer": "two", "random_answer": "one"}
    split = Split([record], "here")
    task = TASKS["first"]
    (item,) = items_of(task, split, 0, 1)
    assert isinstance(item, Choice)
    assert item.options == ((" dog red", " one"), (" dog red", " two"))
    assert item.gold == (1,)
    assert demonstration_of(task, split, 0, 1) == line(record) == " dog red two"
    assert demonstration_of(with_random_answers(task), split, 0, 1) == " dog red one"
    assert task.separator == "\n"


def test_a_record_without_a_field_or_with_another_answer_is_refused() -> None:
    with pytest.raises(DataError, match="record 1 of here has no field answers"):
        items_of(TASKS["keys"], Split([{"words": "dog"}], "here"), 0, 0)
    with pytest.raises(DataError, match="'three' is not among the choices one, two"):
        items_of(TASKS["keys"], Split([{"words": "dog", "answers": ["one", "two"], "answer": "three"}], "here"), 0, 0)


def test_words_asked_about_by_kind_are_in_no_demonstration() -> None:
    for name in ("kinds", "first"):
        shown, asked = (
            {record["words"].split()[0] for record in read_split(TASKS[name], split, None).records}
            for split in ("train", "test")
        )
        assert not shown & asked
        assert {KIND_OF[word] for word in shown} == {KIND_OF[word] for word in asked}
        assert {KIND_OF[word] in HALVES[0] for word in shown} == {True, False}


def test_names_of_the_tests_are_new_and_so_are_keys() -> None:
    for name, n_options in (("kinds", 4), ("first", 4), ("keys", 8)):
        names = [option.completion.strip() for option in choice_of(TASKS[name], 0).options]
        assert len(set(names)) == n_options
        assert {*names} <= {*NEW_NAMES}
    assert {record["words"] for record in read_split(TASKS["keys"], "test", None).records} <= {*NEW_KEYS}


def test_the_word_to_pick_is_of_the_other_half_than_its_company() -> None:
    for record in read_split(TASKS["pick"], "test", None, limit=20).records:
        halves = {word: KIND_OF[word] in HALVES[0] for word in record["answers"]}
        assert [word for word in halves if list(halves.values()).count(halves[word]) == 1] == [record["answer"]]


def test_another_draw_has_other_rules() -> None:
    for one, other in zip(new_tasks(0), new_tasks(1), strict=True):
        assert one.name == other.name
        assert read_split(one, "train", None).records != read_split(other, "train", None).records
