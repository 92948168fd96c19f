"""A task as a frozen value: where its records lie, what a model is shown of each, how the answers are scored.

Needs no torch.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gptrilogy.evaluation.items import Item
from gptrilogy.evaluation.measures import Measure
from gptrilogy.evaluation.rules import RuleName
from gptrilogy.generation.config import Sampling

Record: TypeAlias = Mapping[str, Any]  # one record of a published file, under its published field names


@dataclass(frozen=True, slots=True)
class Layout:
    """Published files that together hold a split, and how they are read, one after the other.

    `names` are paths below the task's folder, or names that lie in the data folder itself. `beside`: files next to
    them that `read` opens too, such as answers published apart.
    """

    names: tuple[str, ...]
    read: Callable[[Path], Iterable[Record]]
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hub:
    """The same records on Hugging Face's hub: the name there, the configuration, its split for `test` and `train`.

    `record` turns one of its rows into one as published.
    """

    name: str
    config: str | None
    test: str
    train: str | None
    record: Callable[[Record], Record] = lambda row: row


@dataclass(frozen=True, slots=True)
class Answering:
    """How a free answer is written: beam search of a width, or sampling (temperature 0 is greedy).

    `max_tokens` is ours wherever no paper prints one. It ends before any of `stop`.
    Source: GPT3 §2.4: beam 4, length penalty 0.6; GPT2 §3.5-3.8: greedy, top-k 2 for summaries.
    """

    max_tokens: int
    stop: tuple[str, ...] = ("\n",)
    beams: int = 4
    length_penalty: float = 0.6
    sampling: Sampling | None = None

    @property
    def name(self) -> str:
        """What a result calls it: beam-4, greedy, top-2."""
        if self.sampling is None:
            return f"beam-{self.beams}"
        return "greedy" if self.sampling.temperature == 0 else f"top-{self.sampling.top_k}"


@dataclass(frozen=True, slots=True)
class Task:
    """What `gpt evaluate --tasks NAME` runs.

    `items(record, shots)`: what is asked of a record; a record of several questions gives several items, and the
    wording may differ between zero shots and more. `demonstration(record)`: its text with the answer, where that is not
    its first item's. `test`, `train`: layouts a split is published in, the first that is found is read;
    `generate(split)`: the records of a task that is made here instead. No `train`: demonstrations are the test's other
    records, as with Winograd. `fixed_draw`: one draw of demonstrations for all questions. `description` opens the
    prompt, `zero_shot_description` only where there are no demonstrations. `separator` stands between demonstrations.
    `shots`: the paper's K. `published`: the ledger's name for the paper's result, without its zeroshot, oneshot or
    fewshot ending. `notes`: what is ours or unpublished.
    """

    name: str
    title: str
    source: str
    items: Callable[[Record, int], Sequence[Item]]
    measures: tuple[Measure, ...]
    folder: str = ""
    test: tuple[Layout, ...] = ()
    train: tuple[Layout, ...] = ()
    generate: Callable[[str], Iterable[Record]] | None = None
    hub: Hub | None = None
    rule: RuleName = "token"
    answering: Answering | None = None
    demonstration: Callable[[Record], str] | None = None
    description: str = ""
    zero_shot_description: str = ""
    separator: str = "\n\n"
    fixed_draw: bool = False
    shots: int = 0
    published: str = ""
    notes: str = ""

    def demonstrate(self, record: Record, shots: int) -> str:
        """A record as a demonstration: question and answer."""
        return self.demonstration(record) if self.demonstration else self.items(record, shots)[0].demonstration
