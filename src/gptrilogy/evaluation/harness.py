"""Tasks put to models: every question with every number of demonstrations and every draw, as resumable work.

task -> records -> prompts -> answers (journal) -> outcomes under a rule -> values with their standard errors
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch

from gptrilogy.errors import DataError, GPTrilogyError, RunError
from gptrilogy.evaluation.asking import Answer, Asker, outcome
from gptrilogy.evaluation.clock import Clock
from gptrilogy.evaluation.data import items_of, read_split
from gptrilogy.evaluation.items import Choice, Free, Item, Outcome, Passage
from gptrilogy.evaluation.journal import Journal, key_of
from gptrilogy.evaluation.measures import Measure, by_record
from gptrilogy.evaluation.prompts import Prompt, Prompter
from gptrilogy.evaluation.rules import RULE_NAMES, RuleName
from gptrilogy.evaluation.task import Task
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.models.gpt import GPT

Row: TypeAlias = dict[str, Any]
Say: TypeAlias = Callable[[str], None]

SLICE_CHARS = 1 << 16  # of prompts put to a model together, and lost if it is killed


@dataclass(frozen=True, slots=True)
class Protocol:
    """How tasks are put to a model.

    `shots` None: each task's own number, the paper's. `draws`: how often demonstrations are drawn anew. `limit`:
    records of each test set at most. `demonstrations`: the split they come from. `stride`: of the windows over long
    texts, n_ctx where it is None. `pass_tokens`: computed at once, which bounds memory.
    """

    shots: tuple[int, ...] | None = None
    draws: int = 1
    seed: int = 0
    limit: int | None = None
    demonstrations: str = "train"
    all_rules: bool = False
    stride: int | None = None
    pass_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Examination:
    """What came out: a row for each measure, one for each record under it, and for what could not be done, and why."""

    rows: list[Row] = field(default_factory=list[Row])
    record_rows: list[Row] = field(default_factory=list[Row])
    files: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    failures: list[Row] = field(default_factory=list[Row])

    def add(self, other: "Examination") -> None:
        """Take in what another model made of the tasks."""
        self.rows.extend(other.rows)
        self.record_rows.extend(other.record_rows)
        self.files.update(other.files)
        self.failures.extend(other.failures)


def evaluate(
    name: str,
    language_model: LanguageModel,
    tasks: Sequence[Task],
    protocol: Protocol,
    *,
    data: Path | None = None,
    journal: Journal | None = None,
    say: Say = lambda _: None,
    passing: Say = lambda _: None,
) -> Examination:
    """Put tasks to a model. A task that cannot be put is a failure in one line, and the others go on.

    `name`: what the rows call the model. `say` hears notes, `passing` how far it is.

    Raises: RunError where answers cannot be kept.
    """
    found = Examination()
    facts: Row = {"model": name, **describe(language_model.model)}
    asker = Asker(language_model, pass_tokens=protocol.pass_tokens, stride=protocol.stride, seed=protocol.seed)
    journal = Journal() if journal is None else journal
    fingerprint = weights_hash(language_model.model)
    for task in tasks:
        try:
            sitting = _Sitting(task, asker, protocol, data, journal, fingerprint)
            sitting.sit(passing)
            sitting.tell_of_room(say)
            for row, record_rows in sitting.results():
                found.rows.append({**facts, **row})
                found.record_rows.extend({"model": name, **record_row} for record_row in record_rows)
            if sitting.settings:
                found.files[task.name] = sitting.files
            reasons = sitting.failures
        except RunError:
            raise
        except GPTrilogyError as error:
            reasons = [str(error)]
        for reason in reasons:
            found.failures.append({"model": name, "task": task.name, "reason": reason})
            say(f"{task.name}: {reason}")
    return found


def describe(model: GPT) -> Row:
    """What a row says of a model: its size without embeddings, and the precision its numbers have."""
    embeddings = model.wte.weight.numel() + model.wpe.weight.numel()
    precision = {"torch.float32": "fp32", "torch.bfloat16": "bf16"}
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()) - embeddings,
        "precision": precision.get(str(model.wte.weight.dtype), str(model.wte.weight.dtype)),
    }


def weights_hash(model: GPT) -> str:
    """A hash of a model's config and every bit of its weights."""
    digest = hashlib.sha256(model.config.model_dump_json().encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


class _Setting(NamedTuple):
    """How many demonstrations there are, and which draw of them."""

    shots: int
    draw: int


class _Asked(NamedTuple):
    """What was asked of a record, after how many demonstrations, and what the model made of it."""

    items: Sequence[Item]
    demonstrations: int
    answers: list[Answer]


class _Sitting:
    """One task put to one model."""

    def __init__(
        self, task: Task, asker: Asker, protocol: Protocol, data: Path | None, journal: Journal, fingerprint: str
    ) -> None:
        """Raises: DataError where the task's files cannot be read."""
        self.task = task
        self.asker = asker
        self.protocol = protocol
        self.journal = journal
        self.fingerprint = fingerprint
        shots = (task.shots,) if protocol.shots is None else protocol.shots
        from_train = protocol.demonstrations == "train" and (bool(task.train) or task.generate is not None)
        whole_test = any(shots) and not from_train  # a limit is on the questions, not on what demonstrates
        self.test = read_split(task, "test", data, limit=None if whole_test else protocol.limit)
        self.n_records = min(len(self.test.records), protocol.limit or len(self.test.records))
        self.settings = self._settings(shots)
        drawn = any(setting.shots for setting in self.settings)
        self.train = read_split(task, "train", data) if drawn and from_train else None
        self.prompter = Prompter(task, self.test, self.train, seed=protocol.seed)
        self.failures: list[str] = []
        self._refuse_too_many()
        self._refuse_without_room()
        self.found: dict[_Setting, list[_Asked]] = {setting: [] for setting in self.settings}

    @property
    def files(self) -> dict[str, str]:
        return {**self.test.files, **(self.train.files if self.train else {})}

    def _settings(self, asked: Sequence[int]) -> list[_Setting]:
        """Every number of shots with every draw; without demonstrations all draws are alike."""
        if any(isinstance(item, Passage) for item in items_of(self.task, self.test, 0, 0)):
            asked = (0,)  # a text is read by itself
        return [_Setting(shots, draw) for shots in asked for draw in range(self.protocol.draws if shots else 1)]

    def _refuse_too_many(self) -> None:
        """Numbers of shots that there are not so many demonstrations for are failures; the others stand."""
        for shots in dict.fromkeys(setting.shots for setting in self.settings):
            try:
                self.prompter.picks(0, shots, 0)
            except DataError as error:
                self.failures.append(str(error))
                self.settings = [setting for setting in self.settings if setting.shots != shots]

    def _refuse_without_room(self) -> None:
        """Numbers of shots of which no question has room for a single one are failures before anything is asked."""
        asked = dict.fromkeys(setting.shots for setting in self.settings)
        if empty := [shots for shots in asked if shots and not self._is_ever_shown(shots)]:
            self.failures.append(
                f"with {', '.join(map(str, empty))} shots no demonstration fits beside a question into the model's "
                f"context of {self.asker.n_ctx} tokens; take a model with a longer one"
            )
            self.settings = [setting for setting in self.settings if setting.shots not in empty]

    def _is_ever_shown(self, shots: int) -> bool:
        """Whether any draw has a demonstration that fits beside its question; the first prompt mostly tells."""
        draws = [setting for setting in self.settings if setting.shots == shots]
        prompts = (self._prompt(record, setting) for setting, record in product(draws, range(self.n_records)))
        return any(prompt.demonstrations for prompt in prompts)

    def sit(self, passing: Say) -> None:
        """Ask everything that the journal has no answer to, some records at a time."""
        clock = Clock(self.task.name, self.n_records * len(self.settings), passing)
        waiting: list[tuple[_Setting, Prompt]] = []
        size = 0
        for record, setting in product(range(self.n_records), self.settings):
            if setting == self.settings[0] and size > SLICE_CHARS:
                clock.count(len(waiting), fresh=self._ask(waiting))
                waiting, size = [], 0
            prompt = self._prompt(record, setting)
            waiting.append((setting, prompt))
            size += len(prompt.prefix) + sum(len(item.text) for item in prompt.items)
        if waiting:
            clock.count(len(waiting), fresh=self._ask(waiting))

    def tell_of_room(self, say: Say) -> None:
        """Say where demonstrations were dropped."""
        counts: dict[int, list[int]] = {}
        for setting, asked in self.found.items():
            counts.setdefault(setting.shots, []).extend(each.demonstrations for each in asked)
        for shots, shown in counts.items():
            if short := sum(number < shots for number in shown):
                say(
                    f"{self.task.name}: {short:,} of {len(shown):,} prompts hold fewer than {shots} demonstrations, "
                    f"{sum(shown) / len(shown):.1f} on average, for want of room in the context"
                )

    def _prompt(self, record: int, setting: _Setting) -> Prompt:
        return self.prompter.prompt(
            record,
            setting.shots,
            setting.draw,
            room=lambda prompt: self.asker.room(prompt, self.task.answering),
            count=self.asker.count,
        )

    def _ask(self, waiting: Sequence[tuple[_Setting, Prompt]]) -> int:
        """Enter the answers to some prompts; -> how many of them the model was asked."""
        alone = self.protocol.all_rules or self.task.rule == "unconditional"
        how = {"alone": alone, "stride": self.protocol.stride, "precision": describe(self.asker.language_model.model)}
        tokenizer = self.asker.language_model.tokenizer.fingerprint
        seed = self.protocol.seed if self.task.answering and self.task.answering.sampling else 0
        settings = {**how, "tokenizer": tokenizer, "seed": seed}
        keys = [key_of(self.fingerprint, prompt, self.task.answering, settings) for _, prompt in waiting]
        missing = {key: prompt for key, (_, prompt) in zip(keys, waiting, strict=True) if self.journal.get(key) is None}
        answers = self.asker.ask(list(missing.values()), self.task.answering, alone=alone) if missing else []
        self.journal.add(list(zip(missing, answers, strict=True)))
        for key, (setting, prompt) in zip(keys, waiting, strict=True):
            found = self.journal.get(key)
            assert found is not None, "an answer was entered a moment ago"
            self.found[setting].append(_Asked(prompt.items, prompt.demonstrations, found))
        return len(missing)

    def results(self) -> Iterator[tuple[Row, list[Row]]]:
        """A row for each setting, rule and measure, with one for each record."""
        for setting, asked in self.found.items():
            demonstrations = sum(each.demonstrations for each in asked) / len(asked)
            for rule, label in self._rules(asked):
                outcomes = [
                    outcome(item, record, answer, rule)
                    for record, (items, _, answers) in enumerate(asked)
                    for item, answer in zip(items, answers, strict=True)
                ]
                for measure in self.task.measures:
                    about: Row = {"task": self.task.name, **setting._asdict(), "rule": label, "metric": measure.name}
                    value = measure(outcomes)
                    row = {**about, "value": value.value, "stderr": value.stderr, "n": value.n}
                    yield {**row, "demonstrations": demonstrations}, [*_record_rows(about, measure, outcomes)]

    def _rules(self, asked: Sequence[_Asked]) -> list[tuple[RuleName, str]]:
        """The rules to apply, each with what a row calls it."""
        items = [item for each in asked for item in each.items]
        if any(isinstance(item, Choice) for item in items):
            rules = RULE_NAMES if self.protocol.all_rules else (self.task.rule,)
            return [(rule, rule) for rule in rules]
        if any(isinstance(item, Free) for item in items):
            return [("sum", self.task.answering.name if self.task.answering else "")]
        return [("sum", "likelihood")]


def _record_rows(about: Row, measure: Measure, outcomes: Sequence[Outcome]) -> Iterator[Row]:
    for record in by_record(outcomes):
        yield {**about, "record": record[0].record, "value": measure.of(record)}
