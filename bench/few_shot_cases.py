"""The questions that few-shot scoring is timed on, and who is timed. Needs no torch."""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import TypeAdapter

from gptrilogy.config import Config
from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import items_of, read_split
from gptrilogy.evaluation.items import Choice
from gptrilogy.evaluation.tasks import endings
from gptrilogy.tokenizers import load_tokenizer

Precision: TypeAlias = Literal["fp32", "bf16"]
FRESH, FIXED = "fresh", "fixed"  # demonstrations drawn for each question, or once for all
SHOTS = 32
DEMONSTRATION_TOKENS = range(24, 28)  # 32 of them come to about 830
QUESTION_TOKENS, ANSWER_TOKENS = range(22, 29), range(3, 10)
CHARACTERS = range(60, 180)  # of a question that may have so many tokens; counting them takes longer
ENOUGH = 3  # times the demonstrations of a prompt
QUESTIONS, MODEL = "questions.json", "model"  # of a contender's folder


class Contender(Config):
    """Who scores: we, or the `hf` model of lm-evaluation-harness at a batch size."""

    who: Literal["ours", "lm-eval"]
    precision: Precision
    batch_size: int = 1

    @property
    def name(self) -> str:
        return f"{self.who} {self.precision}" + (f", batch {self.batch_size}" if self.who == "lm-eval" else "")


def contenders(precision: Precision, batch_sizes: Sequence[int] = (1, 4)) -> tuple[Contender, ...]:
    """Ours, then theirs: usually at its default batch size and at that of a question's answers."""
    theirs = (Contender(who="lm-eval", precision=precision, batch_size=size) for size in batch_sizes)
    return (Contender(who="ours", precision=precision), *theirs)


class Question(Config):
    """Demonstrations, a question, and the answers one of which follows; and how many tokens each is."""

    shots: int
    prefix: str
    context: str
    answers: tuple[str, ...]
    prefix_tokens: int
    context_tokens: int
    answer_tokens: tuple[int, ...]


Asked: TypeAlias = Mapping[str, tuple[Question, ...]]  # by draw
ASKED: TypeAdapter[Asked] = TypeAdapter(Asked)


def questions(data: Path, counts: Mapping[str, int], *, shots: int = SHOTS) -> Asked:
    """The first questions of HellaSwag that are about as long as each other, so many of each draw.

    Raises: DataError where the folder lacks HellaSwag or too few of its questions have the length; TokenizerError.
    """
    tokenizer = load_tokenizer(data / "vocab" / "gpt2")

    def count(text: str) -> int:
        return len(tokenizer.encode(text))

    asked: list[Choice] = []
    demonstrations: list[str] = []
    most, many = max(counts.values()), ENOUGH * shots
    for choice in _choices(data):
        context = choice.options[0].context
        if len(asked) >= most and len(demonstrations) >= many:
            break
        if len(context) not in CHARACTERS:
            continue
        lengths = {count(option.completion) for option in choice.options}
        if count(context) in QUESTION_TOKENS and lengths <= set(ANSWER_TOKENS):
            asked.append(choice)
        elif count(text := f"{choice.demonstration}\n\n") in DEMONSTRATION_TOKENS:
            demonstrations.append(text)
    if len(asked) < most or len(demonstrations) < shots:
        raise DataError(
            f"{data} has {len(asked)} questions and {len(demonstrations)} demonstrations of the lengths looked for, "
            f"wanted {most} and {shots}; ask fewer"
        )

    def put(number: int, seed: int) -> Question:
        options = asked[number].options
        prefix, context = "".join(random.Random(seed).sample(demonstrations, shots)), options[0].context
        answers = tuple(option.completion for option in options)
        tokens = tuple(map(count, answers))
        return Question(
            shots=shots,
            prefix=prefix,
            context=context,
            answers=answers,
            prefix_tokens=count(prefix),
            context_tokens=count(context),
            answer_tokens=tokens,
        )

    return {
        draw: tuple(put(number, 1 + number if draw == FRESH else 0) for number in range(n))
        for draw, n in counts.items()
    }


def write_questions(folder: Path, asked: Asked) -> None:
    (folder / QUESTIONS).write_bytes(ASKED.dump_json(asked))


def read_questions(folder: Path) -> Asked:
    return ASKED.validate_json((folder / QUESTIONS).read_bytes())


def _choices(data: Path) -> Iterator[Choice]:
    task = endings.TASKS[0]
    split = read_split(task, "test", data)
    for number in range(len(split.records)):
        for item in items_of(task, split, number, 0):
            assert isinstance(item, Choice), "HellaSwag has choices"
            yield item
