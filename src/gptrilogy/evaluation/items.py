"""What a model is asked: texts and what is to be found of them. Needs no torch.

Completions stand as they follow their context, with the white space between the two at their beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Option(NamedTuple):
    """One way a text may go on."""

    context: str
    completion: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Options of which a scoring rule prefers one.

    Their contexts are alike, save in partial evaluation, where the candidate stands in the context and all complete
    alike. `gold`: the right ones, most often one. `answer_context`: what P(completion) is taken after when it is taken
    by itself, "Answer:" where nobody says otherwise.

    Source: GPT3 §2.4; partial evaluation: GPT2 §3.4.

    >>> Choice((Option("Ice is", " cold"), Option("Ice is", " hot")), gold=(0,)).demonstration
    'Ice is cold'
    """

    options: tuple[Option, ...]
    gold: tuple[int, ...]
    answer_context: str = "Answer:"

    @property
    def demonstration(self) -> str:
        return "".join(self.options[self.gold[0]])

    @property
    def text(self) -> str:
        """The question with all its options."""
        contexts = dict.fromkeys(option.context for option in self.options)
        return " ".join([*contexts, *dict.fromkeys(option.completion for option in self.options)])


@dataclass(frozen=True, slots=True)
class Cloze:
    """One completion, of which it is asked how likely it is and whether the model would have written it.

    `last_token`: only the text's last token is asked for. `banned`: words that a prediction of the first word passes
    over, GPT-2's stop-word filter.

    Source: GPT2 §3.3, GPT3 §3.1.2 (LAMBADA).
    """

    context: str
    completion: str
    last_token: bool = False
    banned: frozenset[str] = frozenset()

    @property
    def demonstration(self) -> str:
        return self.context + self.completion

    @property
    def text(self) -> str:
        return self.demonstration


@dataclass(frozen=True, slots=True)
class Free:
    """A question the model answers in its own words.

    `answers`: those that count as right, of which a demonstration shows the first. `separator`: the white space between
    context and answer in a demonstration; the model writes its own.
    """

    context: str
    answers: tuple[str, ...]
    separator: str = " "

    @property
    def demonstration(self) -> str:
        return self.context + self.separator + self.answers[0]

    @property
    def text(self) -> str:
        return self.demonstration


@dataclass(frozen=True, slots=True)
class Passage:
    """A text whose likelihood is asked for, and how many units (words, bytes, characters) its original had.

    Source: GPT2 §3.1.
    """

    text: str
    n_units: int

    @property
    def demonstration(self) -> str:
        return self.text


Item: TypeAlias = Choice | Cloze | Free | Passage


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model made of an item.

    `record`: the number of the record it came from, from 0; items of one record are scored together where a metric says
    so. `chosen`: of a Choice, by a rule. `right`: of a Cloze, whether the model would have written it. `nats`: the
    log-probability of a Cloze's completion or of a Passage. `text`: what was written for a Free.
    """

    item: Item
    record: int
    chosen: int | None = None
    right: bool = False
    nats: float = 0.0
    text: str = ""


Outcomes: TypeAlias = Sequence[Outcome]
