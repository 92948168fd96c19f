"""All that tests say, as text to be kept out of a training corpus. Needs no torch.

Source: GPT3 Appendix C, which looks for any part of a test or development set and does not say what of an example
counts. Ours is what a model is shown without demonstrations, with each choice and each right answer in its place; a
dialogue grows by a turn with each question. Of a task's published files the ones it is scored on are read.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from gptrilogy.evaluation.catalogue import find_tasks
from gptrilogy.evaluation.data import items_of, read_split
from gptrilogy.evaluation.items import Choice, Free, Item
from gptrilogy.evaluation.task import Task


def task_texts(names: Sequence[str], folder: Path | None) -> Iterator[tuple[str, str]]:
    """Task names with texts of every example, for tasks of these names or patterns; read when it is their turn.

    Raises: ConfigError, at once for a task there is not; DataError, as `read_split` and `items_of`.
    """
    return chain.from_iterable(_texts_of(task, folder) for task in find_tasks(names))


def _texts_of(task: Task, folder: Path | None) -> Iterator[tuple[str, str]]:
    split = read_split(task, "test", folder)
    for number in range(len(split.records)):
        items = items_of(task, split, number, 0)
        for text in dict.fromkeys(chain.from_iterable(map(_spelled_out, items))):
            yield task.name, text


def _spelled_out(item: Item) -> list[str]:
    """An item with each of its answers.

    >>> _spelled_out(Free("Q: Who wrote Emma?\\n\\nA:", ("Austen", "Jane Austen")))
    ['Q: Who wrote Emma?\\n\\nA: Austen', 'Q: Who wrote Emma?\\n\\nA: Jane Austen']
    """
    match item:
        case Choice():
            return [option.context + option.completion for option in item.options]
        case Free():
            return [item.context + item.separator + answer for answer in item.answers]
        case _:
            return [item.demonstration]
