"""Words scrambled by the paper's rules, in its wording and in that of OpenAI's files."""

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scipy import stats as scipy_stats

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import Split, demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Free
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.unscrambling import KINDS, TASKS
from gptrilogy.evaluation.tasks.word_list import COMMON_WORDS

stats: Any = scipy_stats
BY_NAME = {task.name: task for task in TASKS}
MADE = [task.name for task in TASKS if task.generate is not None]
INSTRUCTION = "Please unscramble the letters into a word, and write that word:"
MIN_P = 1e-3  # the seed is fixed, so what passes once passes always


def asked(task: Task, split: Split) -> list[Free]:
    items = [items_of(task, split, number, 0)[0] for number in range(len(split.records))]
    assert all(isinstance(item, Free) for item in items)
    return [item for item in items if isinstance(item, Free)]


@cache
def pairs(name: str, split: str = "test", folder: Path | None = None) -> list[tuple[str, str]]:
    """Scrambled words and words; of a task that may be made here from its files, where a folder is given."""
    task = BY_NAME[name] if folder is None else replace(BY_NAME[name], generate=None)
    return [
        (item.context.removeprefix("\n").removesuffix(" ="), item.answers[0])
        for item in asked(task, read_split(task, split, folder))
    ]


def counted(folder: Path, words: Sequence[str]) -> Path:
    """A list of words, the first the most frequent, but not in that order."""
    lines = [f"{word}\t{10**6 - place}\n" for place, word in enumerate(words)]
    (folder / "count_1w.txt").write_text("".join(lines[1::2] + lines[::2]), encoding="utf-8")
    return folder


def numbered_words(n: int) -> list[str]:
    """Different words of six letters, as many as are wanted."""
    return ["".join(chr(97 + place // 26**digit % 26) for digit in range(4)) + "xy" for place in range(n)]


def test_five_kinds_in_three_forms() -> None:
    kinds = ["cycle-letters", "anagrams1", "anagrams2", "random-insertion", "reversed-words"]
    assert [task.name for task in TASKS] == [f"{kind}{form}" for kind in kinds for form in ("", "-released", "-openai")]
    assert {task.published for task in TASKS} == {f"gpt3-{kind}" for kind in kinds}
    assert {task.shots for task in TASKS} == {100}


def test_the_paper_s_prompt() -> None:
    task = BY_NAME["reversed-words"]
    split = Split([{"context": "stcejbo =", "completion": " objects"}], "here")
    assert items_of(task, split, 0, 100) == [Free("stcejbo =", ("objects",))]
    shown = task.description + demonstration_of(task, split, 0, 100) + task.separator + "nomlas ="
    assert shown == f"{INSTRUCTION}\nstcejbo = objects\nnomlas ="


def test_the_prompt_of_openai_s_words() -> None:
    """The same text, though the files have a line break first and no instruction."""
    task = BY_NAME["cycle-letters-openai"]
    split = Split([{"context": "\nasinoc =", "completion": " casino"}], "here")
    shown = task.description + demonstration_of(task, split, 0, 100) + task.separator + "\nrbanu ="
    assert shown == f"{INSTRUCTION}\nasinoc = casino\nrbanu ="


def test_the_released_form_has_no_instruction() -> None:
    task = BY_NAME["anagrams1-released"]
    assert (task.description, task.separator) == ("", "")
    split = read_split(task, "test", None, limit=1)
    [item] = asked(task, split)
    assert item.context.startswith("\n")
    assert item.context.endswith(" =")
    assert demonstration_of(task, split, 0, 100) == f"{item.context} {item.answers[0]}"


@pytest.mark.parametrize("name", MADE)
def test_words_are_different_and_demonstrations_are_others(name: str) -> None:
    test, train = ({word for _, word in pairs(name, split)} for split in ("test", "train"))
    assert not test & train
    assert len(test) + len(train) == len(pairs(name)) + len(pairs(name, "train"))
    assert len(test) >= 800
    assert len(train) > 100
    assert (test | train) <= set(COMMON_WORDS)


@pytest.mark.parametrize("name", MADE)
def test_words_have_the_published_lengths(name: str) -> None:
    lengths = {len(word) for split in ("test", "train") for _, word in pairs(name, split)}
    assert min(lengths) == (6 if name.endswith("-released") and not name.startswith("anagrams1") else 5)
    assert max(lengths) < 15


@pytest.mark.parametrize(("form", "fits"), [("", range(5, 15)), ("-released", range(6, 16))])
def test_longer_and_shorter_words_are_passed_over(form: str, fits: range, tmp_path: Path) -> None:
    alphabet = "abcdefghijklmnopqrst"
    folder = counted(tmp_path, [alphabet[:n] for n in range(1, 20)] + ["Capital", "don't", "naïvely", "x2y3z4"])
    words = [word for split in ("test", "train") for _, word in pairs(f"reversed-words{form}", split, folder)]
    assert words == [alphabet[:n] for n in fits]


@pytest.mark.parametrize("form", ["", "-released"])
def test_letters_are_cycled_and_never_all_the_way(form: str) -> None:
    shifts: list[float] = []
    for scrambled, word in pairs(f"cycle-letters{form}"):
        assert scrambled != word
        assert len(scrambled) == len(word)
        shifts += [(word + word).index(scrambled) / len(word)]
    assert all(0 < shift < 1 for shift in shifts)
    assert abs(sum(shifts) / len(shifts) - 0.5) < 0.03  # four standard errors of a mean of uniform numbers


@pytest.mark.parametrize(("kind", "kept"), [("anagrams1", 1), ("anagrams2", 2)])
@pytest.mark.parametrize("form", ["", "-released"])
def test_anagrams_keep_the_ends_and_change_the_rest(kind: str, kept: int, form: str) -> None:
    unchanged: list[str] = []
    for scrambled, word in pairs(kind + form):
        assert (scrambled[:kept], scrambled[-kept:]) == (word[:kept], word[-kept:])
        assert Counter(scrambled) == Counter(word)
        unchanged += [word] if scrambled == word else []
    assert all(len(set(word[kept:-kept])) == 1 for word in unchanged)
    assert bool(unchanged) == (kind == "anagrams2")


def test_anagrams_are_shuffled_evenly(tmp_path: Path) -> None:
    """Into the 23 other orders of four letters, in a thousand words that differ at their ends alone."""
    folder = counted(tmp_path, [f"{ends[:2]}abcd{ends[2:4]}" for ends in numbered_words(1200)])
    orders = Counter(scrambled[2:-2] for scrambled, _ in pairs("anagrams2", "test", folder))
    assert len(orders) == 23
    assert stats.chisquare(list(orders.values())).pvalue > MIN_P


def test_marks_stand_between_all_letters_uniformly() -> None:
    marks: Counter[str] = Counter()
    for scrambled, word in pairs("random-insertion"):
        assert scrambled[::2] == word
        marks.update(scrambled[1::2])
    assert set(marks) == set(" ./!")
    assert stats.chisquare(list(marks.values())).pvalue > MIN_P


def test_words_are_reversed() -> None:
    assert all(scrambled == word[::-1] for scrambled, word in pairs("reversed-words"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_how_a_word_is_scrambled_depends_on_the_word_alone(kind: Any, tmp_path: Path) -> None:
    scrambled = {word: text for text, word in pairs(kind.name)}
    some = sorted(scrambled)[:60]
    assert dict(pairs(kind.name, "test", counted(tmp_path, some))) == {scrambled[word]: word for word in some[:50]}


def test_the_most_frequent_10000_words_are_the_test(tmp_path: Path) -> None:
    words = numbered_words(12_500)
    folder = counted(tmp_path, words)
    assert [word for _, word in pairs("reversed-words", "test", folder)] == words[:10_000]
    assert [word for _, word in pairs("reversed-words", "train", folder)] == words[10_000:12_000]


def test_words_that_cannot_be_scrambled_are_passed_over(tmp_path: Path) -> None:
    """Nothing moves in a word of one letter, or between the ends of one."""
    folder = counted(tmp_path, ["aaaaaaa", "abbbbbc", "murmur", *COMMON_WORDS[:9]])
    assert {"aaaaaaa"}.isdisjoint(word for _, word in pairs("cycle-letters", "test", folder))
    assert {"aaaaaaa", "abbbbbc"}.isdisjoint(word for _, word in pairs("anagrams1", "test", folder))
    assert ("abbbbbc", "abbbbbc") in pairs("anagrams2", "test", folder)
    assert ("murmur", "murmur") not in pairs("cycle-letters", "test", folder)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("packed", [True, False])
def test_openai_s_files_are_read(kind: Any, packed: bool, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / (kind.file + (".jsonl.gz" if packed else ".jsonl"))
    with gzip.open(path, "wt") if packed else path.open("w") as file:
        file.write(json.dumps({"context": "\nc.i r!c/l.e =", "completion": " circle"}) + "\n")
    task = BY_NAME[f"{kind.name}-openai"]
    assert asked(task, read_split(task, "test", tmp_path)) == [Free("\nc.i r!c/l.e =", ("circle",))]
    assert (task.train, task.generate) == ((), None)


def test_openai_s_files_have_their_names() -> None:
    assert [layout.names for kind in KINDS for layout in BY_NAME[f"{kind.name}-openai"].test[:1]] == [
        ("cycle_letters_in_word.jsonl.gz",),
        ("mid_word_1_anagrams.jsonl.gz",),
        ("mid_word_2_anagrams.jsonl.gz",),
        ("random_insertion_in_word.jsonl.gz",),
        ("reversed_words.jsonl.gz",),
    ]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"context": "\nasinoc ="}, "record 1 of here has no field completion; it has context"),
        ({"completion": " casino"}, "record 1 of here has no field context; it has completion"),
        ({"context": "\nasinoc =", "completion": " "}, "record 1 of here: the completion is empty"),
        ({"context": "\nasinoc =", "completion": 5}, "record 1 of here is not as published: AttributeError"),
    ],
)
def test_records_that_are_not_as_published_are_refused(record: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        items_of(BY_NAME["cycle-letters-openai"], Split([record], "here"), 0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the\t12\nwords many\n", r"count_1w\.txt row 2 has 1 fields, its header 2"),
        ("the\t12\nwords\tmany\n", r"count_1w\.txt line 2 must be a word and its count, got 'many'; mend the line"),
        ("the\t12\n", r"count_1w\.txt holds no record"),
    ],
)
def test_a_damaged_list_of_words_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "count_1w.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        pairs("anagrams1", "test", tmp_path)


def test_our_own_words() -> None:
    assert len(set(COMMON_WORDS)) == len(COMMON_WORDS)
    assert list(COMMON_WORDS) == sorted(COMMON_WORDS)
    assert all(word.isascii() and word.isalpha() and word.islower() for word in COMMON_WORDS)


def test_answers_have_room() -> None:
    """The longest and the line's end, where each character is a token."""
    for task in TASKS:
        assert task.answering is not None
        assert task.answering.max_tokens >= len(" ") + 15 + len("\n")
        assert (task.answering.beams, task.answering.stop) == (4, ("\n",))
