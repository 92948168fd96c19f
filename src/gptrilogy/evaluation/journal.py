"""Answers kept as they are given, under what was asked: the same question is never put to the same model twice.

OUT/answers.jsonl: {"key", "answers"}, a line for each prompt. The key is a hash of the model, the prompt and the way to
answer, so that a line can neither be stale nor belong to something else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gptrilogy.errors import RunError
from gptrilogy.evaluation.asking import Answer
from gptrilogy.evaluation.items import Item
from gptrilogy.evaluation.prompts import Prompt
from gptrilogy.evaluation.task import Answering
from gptrilogy.files import sha256_json, write_atomic


class Journal:
    """The answers of a results folder, or of this process alone where `path` is None."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises: RunError where the file cannot be read."""
        self.path = path
        self._answers: dict[str, list[Answer]] = {}
        if path is not None and path.exists():
            self._read(path)

    def get(self, key: str) -> list[Answer] | None:
        return self._answers.get(key)

    def add(self, answers: Sequence[tuple[str, list[Answer]]]) -> None:
        """Raises: RunError where the disk is full or gone."""
        self._answers.update(answers)
        if self.path is None:
            return
        lines = (json.dumps({"key": key, "answers": [a.to_json() for a in found]}) + "\n" for key, found in answers)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(lines)
        except OSError as error:
            raise RunError(
                f"cannot write {self.path}: {error.strerror}; mend that, and the same command goes on from there"
            ) from None

    def _read(self, path: Path) -> None:
        """All whole lines; the file is freed of others, such as one that a killed process left half-written."""
        try:
            lines = path.read_bytes().splitlines(keepends=True)
        except OSError as error:
            raise RunError(f"cannot read {path}: {error.strerror}; choose another --out") from None
        whole: list[bytes] = []
        for line in lines:
            try:
                row = json.loads(line)
                key, answers = str(row["key"]), [Answer.from_json(answer) for answer in row["answers"]]
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
            if line.endswith(b"\n"):  # else the next line would be written on to it
                self._answers[key] = answers
                whole.append(line)
        if len(whole) < len(lines):
            write_atomic(path, b"".join(whole))


def key_of(model: str, prompt: Prompt, answering: Answering | None, settings: Mapping[str, object]) -> str:
    """What an answer depends on. `model`: a hash of its weights; `settings`: whatever else changes answers.

    Raises: TypeError for settings that JSON cannot hold.
    """
    how = answering and {**asdict(answering), "sampling": answering.sampling and answering.sampling.model_dump()}
    items = [[type(item).__name__, _fields(item)] for item in prompt.items]
    return sha256_json([model, prompt.prefix, items, how, dict(settings)])[:24]


def _fields(item: Item) -> dict[str, Any]:
    """Sets in order, which they have none of their own: each process iterates over them in another."""
    return {
        name: sorted(value) if isinstance(value, frozenset) else value  # pyright: ignore[reportUnknownArgumentType]
        for name, value in asdict(item).items()
    }
