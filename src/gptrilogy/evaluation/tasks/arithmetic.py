"""Arithmetic in words: problems made here as GPT-3's paper and as OpenAI's files word them, and those files.

Each kind gives three tasks: `arithmetic-2da` is worded as in the paper, `arithmetic-2da-released` as in the files, and
`arithmetic-2da-openai` reads the file. Only the last needs data.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import add, mul, sub
from typing import NamedTuple
from zlib import crc32

import numpy as np

from gptrilogy.data.permutation import draw, permute
from gptrilogy.evaluation.items import Free, Outcomes
from gptrilogy.evaluation.measures import mean_of
from gptrilogy.evaluation.reading import json_lines
from gptrilogy.evaluation.task import Answering, Layout, Record, Task

SEED = 0
N_TEST = 2000
N_TRAIN = 2000
PAPER, RELEASED = "Q: What is {}?\nA:", "\n\nQ: What is {}?\n\nA:"
OPERATORS: Mapping[str, Callable[[int, int], int]] = {"+": add, "-": sub, "*": mul}
WORDS = {"+": "plus", "-": "minus", "*": "times"}


class Problem(NamedTuple):
    question: str
    answer: int


class Problems(NamedTuple):
    """All problems of a kind, numbered from 0 to `n` - 1."""

    n: int
    problem: Callable[[int], Problem]


class Kind(NamedTuple):
    """A kind of problem as the paper has it and as the file has it that OpenAI published 2,000 in."""

    name: str
    title: str
    paper: Problems
    released: Problems
    file: str
    note: str = ""


def two_numbers(digits: int, operator: str, number: int) -> Problem:
    """An operation on two numbers below 10 ** `digits`; a difference may be negative.

    Source: GPT3 §3.9.1.

    >>> two_numbers(2, "-", 205)
    Problem(question='2 minus 5', answer=-3)
    """
    a, b = divmod(number, 10**digits)
    return Problem(f"{a} {WORDS[operator]} {b}", OPERATORS[operator](a, b))


def three_digits(number: int) -> Problem:
    """Three digits from 0 to 9 and two operators, brackets round the last two digits.

    Source: GPT3 §3.9.1; the spaces are those of Figure G.42.

    >>> three_digits(6489)
    Problem(question='9 * (8 + 4)', answer=108)
    """
    (a, b, c), (first, second) = _digits_and_operators(number, 10)
    return Problem(f"{a} {first} ({b} {second} {c})", OPERATORS[first](a, OPERATORS[second](b, c)))


def released_three_digits(number: int) -> Problem:
    """Three digits from 1 to 9 and two operators, brackets round the first two digits.

    Source: OpenAI's single_digit_three_ops.jsonl, and GPT3 Figure G.42, which agrees with it and not with §3.9.1.

    >>> released_three_digits(0)
    Problem(question='(1 + 1) + 1', answer=3)
    """
    digits, (first, second) = _digits_and_operators(number, 9)
    a, b, c = (digit + 1 for digit in digits)
    return Problem(f"({a} {first} {b}) {second} {c}", OPERATORS[second](OPERATORS[first](a, b), c))


def _digits_and_operators(number: int, base: int) -> tuple[list[int], list[str]]:
    digits: list[int] = []
    for _ in range(3):
        number, digit = divmod(number, base)
        digits.append(digit)
    return digits, [list(OPERATORS)[place] for place in divmod(number, len(OPERATORS))]


def _two_number_kind(name: str, digits: int, operator: str, noun: str) -> Kind:
    problems = Problems(10 ** (2 * digits), partial(two_numbers, digits, operator))
    numeral = {2: "two", 3: "three", 4: "four", 5: "five"}[digits]
    return Kind(f"arithmetic-{name}", f"{digits}-digit {noun}", problems, problems, f"{numeral}_digit_{noun}.jsonl")


KINDS = (
    *(_two_number_kind(f"{digits}da", digits, "+", "addition") for digits in (2, 3, 4, 5)),
    *(_two_number_kind(f"{digits}ds", digits, "-", "subtraction") for digits in (2, 3, 4, 5)),
    _two_number_kind("2dm", 2, "*", "multiplication"),
    Kind(
        "arithmetic-1dc",
        "three 1-digit numbers",
        Problems(10**3 * 3**2, three_digits),
        Problems(9**3 * 3**2, released_three_digits),
        "single_digit_three_ops.jsonl",
        " Brackets and digits are those of §3.9.1; Figure G.42 and OpenAI's file, which was evaluated, have brackets "
        "round the first two numbers and no 0.",
    ),
)


def generate(name: str, problems: Problems, wording: str, split: str) -> Iterator[Record]:
    """Different problems of a kind in the fields of OpenAI's files; those of `train` are none of `test`."""
    first, last = (0, N_TEST) if split == "test" else (N_TEST, N_TEST + N_TRAIN)
    order = np.arange(first, last, dtype=np.uint64)
    key = draw(SEED, crc32(name.encode()), np.zeros_like(order))
    for number in permute(order, problems.n, key).tolist():
        question, answer = problems.problem(number)
        yield {"context": wording.format(question), "completion": f" {answer}"}


def arithmetic_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """A question, and the number that is to be written.

    Source: GPT3 Figures G.42-51.
    """
    return [Free(record["context"], (str(int(record["completion"])),))]


def _exact(outcomes: Outcomes) -> float:
    return float(np.mean([isinstance(o.item, Free) and o.text.strip() in o.item.answers for o in outcomes]))


EXACT_ANSWER = mean_of("acc", _exact)  # the answer was written, and nothing else
NOTES = f"{N_TEST} different problems drawn from all there are, and others for demonstrations: ours, not OpenAI's."


def _tasks(kind: Kind) -> Iterator[Task]:
    made = Task(
        name=kind.name,
        title=f"Arithmetic: {kind.title}",
        source="GPT3 §3.9.1, Figures G.42-51",
        items=arithmetic_items,
        measures=(EXACT_ANSWER,),
        generate=partial(generate, kind.name, kind.paper, PAPER),
        answering=Answering(max_tokens=10),  # 199998 and the line's end, a token a character, and some to spare
        shots=50,
        published=f"gpt3-{kind.name}",
        notes=f"{NOTES} So is the blank line between them.{kind.note}",
    )
    yield made
    yield replace(
        made,
        name=f"{kind.name}-released",
        generate=partial(generate, kind.name, kind.released, RELEASED),
        separator="",  # the contexts begin with the blank line
        notes=NOTES,
    )
    yield replace(
        made,
        name=f"{kind.name}-openai",
        folder="data",
        test=(Layout((kind.file,), json_lines),),
        generate=None,
        separator="",
        notes="From the data folder of github.com/openai/gpt-3; the blank line before an answer is not in the paper's "
        "figures. Demonstrations are the other problems, since the paper does not say which.",
    )


TASKS = tuple(task for kind in KINDS for task in _tasks(kind))
