"""Problems in the wording of the paper and of OpenAI's files, drawn as the paper says, with the right answers."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scipy import stats as scipy_stats

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import Split, demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Free, Outcome
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.arithmetic import EXACT_ANSWER, KINDS, TASKS

stats: Any = scipy_stats
BY_NAME = {task.name: task for task in TASKS}
MADE = [task for task in TASKS if task.generate is not None]
KIND_NAMES = [kind.name for kind in KINDS]
MIN_P = 1e-3  # the seed is fixed, so what passes once passes always


def asked(task: Task, split: Split) -> list[Free]:
    items = [items_of(task, split, number, 0)[0] for number in range(len(split.records))]
    assert all(isinstance(item, Free) for item in items)
    return [item for item in items if isinstance(item, Free)]


@cache
def made(name: str, split: str = "test") -> list[Free]:
    return asked(BY_NAME[name], read_split(BY_NAME[name], split, None))


def numbers(item: Free) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", item.context)]


def operators(item: Free) -> list[str]:
    return re.findall(r" ([-+*]) ", item.context)


def p_uniform(values: Sequence[Any], n_values: int) -> float:
    counts = Counter(values)
    observed = [*counts.values(), *[0] * (n_values - len(counts))]
    return float(stats.chisquare(observed).pvalue)


def test_ten_kinds_in_three_forms() -> None:
    kinds = ["2da", "3da", "4da", "5da", "2ds", "3ds", "4ds", "5ds", "2dm", "1dc"]
    assert [task.name for task in TASKS] == [
        f"arithmetic-{kind}{form}" for kind in kinds for form in ("", "-released", "-openai")
    ]
    assert {task.published for task in TASKS} == {f"gpt3-{name}" for name in KIND_NAMES}
    assert {task.shots for task in TASKS} == {50}


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("2da", r"Q: What is \d{1,2} plus \d{1,2}\?\nA:"),
        ("3da", r"Q: What is \d{1,3} plus \d{1,3}\?\nA:"),
        ("4da", r"Q: What is \d{1,4} plus \d{1,4}\?\nA:"),
        ("5da", r"Q: What is \d{1,5} plus \d{1,5}\?\nA:"),
        ("2ds", r"Q: What is \d{1,2} minus \d{1,2}\?\nA:"),
        ("3ds", r"Q: What is \d{1,3} minus \d{1,3}\?\nA:"),
        ("4ds", r"Q: What is \d{1,4} minus \d{1,4}\?\nA:"),
        ("5ds", r"Q: What is \d{1,5} minus \d{1,5}\?\nA:"),
        ("2dm", r"Q: What is \d{1,2} times \d{1,2}\?\nA:"),
        ("1dc", r"Q: What is \d [-+*] \(\d [-+*] \d\)\?\nA:"),
        ("2da-released", r"\n\nQ: What is \d{1,2} plus \d{1,2}\?\n\nA:"),
        ("5ds-released", r"\n\nQ: What is \d{1,5} minus \d{1,5}\?\n\nA:"),
        ("2dm-released", r"\n\nQ: What is \d{1,2} times \d{1,2}\?\n\nA:"),
        ("1dc-released", r"\n\nQ: What is \([1-9] [-+*] [1-9]\) [-+*] [1-9]\?\n\nA:"),
    ],
)
def test_the_wording_of_every_problem(name: str, context: str) -> None:
    items = made(f"arithmetic-{name}")
    assert [item.context for item in items if not re.fullmatch(context, item.context)] == []
    assert [item for item in items if not re.fullmatch(r"0|-?[1-9]\d*", item.answers[0])] == []


@pytest.mark.parametrize("task", MADE, ids=lambda task: task.name)
def test_every_answer_is_right(task: Task) -> None:
    """Python's own reading of the question is the judge."""
    words = {"plus": "+", "minus": "-", "times": "*", "Q: What is": "", "?": "", "A:": "", "\n": ""}
    for item in made(task.name):
        sum_ = item.context
        for word, symbol in words.items():
            sum_ = sum_.replace(word, symbol)
        assert item.answers == (str(eval(sum_)),)


def test_what_is_asked_and_shown() -> None:
    paper = BY_NAME["arithmetic-2ds"]
    split = Split([{"context": "Q: What is 7 minus 66?\nA:", "completion": " -59"}], "here")
    assert items_of(paper, split, 0, 50) == [Free("Q: What is 7 minus 66?\nA:", ("-59",))]
    assert demonstration_of(paper, split, 0, 50) + paper.separator == "Q: What is 7 minus 66?\nA: -59\n\n"


@pytest.mark.parametrize("task", MADE, ids=lambda task: task.name)
def test_problems_are_2000_different_ones_and_demonstrations_are_others(task: Task) -> None:
    test = {item.context for item in made(task.name)}
    train = {item.context for item in made(task.name, "train")}
    assert len(test) == len(train) == 2000
    assert not test & train


def test_both_wordings_ask_the_same() -> None:
    paper, released = made("arithmetic-3ds"), made("arithmetic-3ds-released")
    assert [item.context.split() for item in paper] == [item.context.split() for item in released]


def test_kinds_ask_of_different_numbers() -> None:
    assert list(map(numbers, made("arithmetic-2da"))) != list(map(numbers, made("arithmetic-2ds")))


@pytest.mark.parametrize("name", [name for name in KIND_NAMES if name != "arithmetic-1dc"])
@pytest.mark.parametrize("place", [0, 1])
def test_operands_are_uniform_below_the_power_of_ten(name: str, place: int) -> None:
    below = 10 ** int(name.removeprefix("arithmetic-")[0])
    operands = [numbers(item)[place] for item in made(name)]
    assert max(operands) < below
    assert p_uniform([operand * 50 // below for operand in operands], 50) > MIN_P


@pytest.mark.parametrize("name", ["arithmetic-2ds", "arithmetic-3ds", "arithmetic-4ds", "arithmetic-5ds"])
def test_about_half_the_differences_are_negative(name: str) -> None:
    items = made(name)
    below = 10 ** int(name.removeprefix("arithmetic-")[0])
    negative = sum(item.answers[0].startswith("-") for item in items)
    assert stats.binomtest(negative, len(items), (1 - 1 / below) / 2).pvalue > MIN_P


@pytest.mark.parametrize(("name", "digits"), [("arithmetic-1dc", range(10)), ("arithmetic-1dc-released", range(1, 10))])
def test_digits_and_operators_of_three_are_uniform(name: str, digits: range) -> None:
    items = made(name)
    for place in range(3):
        drawn = [numbers(item)[place] for item in items]
        assert set(drawn) == set(digits)
        assert p_uniform(drawn, len(digits)) > MIN_P
    assert p_uniform([tuple(operators(item)) for item in items], 9) > MIN_P


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("below", ["", "data", "gpt-3/data"])
def test_openai_s_files_are_read_as_they_are(kind: Any, below: str, tmp_path: Path) -> None:
    """The file, its folder, or the folder that holds both may be given."""
    lines = [{"context": f"\n\nQ: What is {n} plus 45?\n\nA:", "completion": f" {n + 45}"} for n in (98, 7)]
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    (tmp_path / below / kind.file).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    task = BY_NAME[f"{kind.name}-openai"]
    split = read_split(task, "test", tmp_path)
    assert asked(task, split)[0] == Free("\n\nQ: What is 98 plus 45?\n\nA:", ("143",))
    shown = demonstration_of(task, split, 1, 50) + task.separator + asked(task, split)[0].context
    assert shown == "\n\nQ: What is 7 plus 45?\n\nA: 52\n\nQ: What is 98 plus 45?\n\nA:"
    assert (task.train, task.generate) == ((), None)


def test_openai_s_files_have_their_names() -> None:
    files = {name: layout.names for name, task in BY_NAME.items() for layout in task.test}
    assert files["arithmetic-2da-openai"] == ("two_digit_addition.jsonl",)
    assert files["arithmetic-5ds-openai"] == ("five_digit_subtraction.jsonl",)
    assert files["arithmetic-2dm-openai"] == ("two_digit_multiplication.jsonl",)
    assert files["arithmetic-1dc-openai"] == ("single_digit_three_ops.jsonl",)
    assert len(files) == 10


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"context": "Q: What is 1 plus 1?\nA:"}, "record 1 of here has no field completion; it has context"),
        ({"completion": " 2"}, "record 1 of here has no field context; it has completion"),
        ({"context": "Q:", "completion": " two"}, "record 1 of here is not as published: ValueError: .*' two'"),
        ({"context": "Q:", "completion": None}, "record 1 of here is not as published: TypeError"),
    ],
)
def test_records_that_are_not_as_published_are_refused(record: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        items_of(BY_NAME["arithmetic-2da-openai"], Split([record], "here"), 0, 0)


def test_a_missing_file_is_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks the test file of arithmetic-4da-openai.*four_digit_addition\.jsonl"):
        read_split(BY_NAME["arithmetic-4da-openai"], "test", tmp_path)


@pytest.mark.parametrize(
    ("text", "right"),
    [(" 52", 1.0), ("52 ", 1.0), (" 52.", 0.0), (" 5", 0.0), ("", 0.0), (" 52 53", 0.0), (" 052", 0.0)],
)
def test_only_the_answer_itself_is_right(text: str, right: float) -> None:
    assert EXACT_ANSWER([Outcome(Free("Q: What is 7 plus 45?\nA:", ("52",)), 0, text=text)]).value == right


def test_answers_have_room() -> None:
    """The longest, its sign and the line's end, where each character is a token."""
    for task in TASKS:
        assert task.answering is not None
        assert task.answering.max_tokens >= len(" -99999\n")
        assert (task.answering.beams, task.answering.stop) == (4, ("\n",))
