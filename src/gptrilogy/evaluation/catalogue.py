"""Every task there is, by name. Needs no torch."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType

from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks import (
    arithmetic,
    closed_book,
    cloze,
    endings,
    inference,
    language_modelling,
    pronouns,
    questions,
    reading_comprehension,
    summaries,
    superglue,
    superglue_passages,
    translation,
    unscrambling,
)

FAMILIES = (
    language_modelling,
    cloze,
    endings,
    pronouns,
    questions,
    superglue,
    superglue_passages,
    inference,
    closed_book,
    reading_comprehension,
    translation,
    summaries,
    arithmetic,
    unscrambling,
)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for family in FAMILIES for task in family.TASKS})


def describe() -> list[tuple[str, str, str]]:
    """Each task, how it is scored, and the files it reads."""
    return [
        ("name", "the paper's K", "files"),
        *((task.name, str(task.shots), _files(task)) for task in TASKS.values()),
    ]


def _files(task: Task) -> str:
    return " or ".join(" and ".join(layout.names) for layout in task.test) or "generated"


def find_tasks(names: Sequence[str]) -> list[Task]:
    """The tasks of these names or patterns (`arithmetic-*`), each once.

    Raises: ConfigError naming the nearest task to one there is not.

    >>> [task.name for task in find_tasks(["hellaswag"])]
    ['hellaswag']
    """
    found: dict[str, Task] = {}
    for name in names:
        matches = {known: task for known, task in TASKS.items() if fnmatchcase(known, name)}
        if not matches:
            raise ConfigError(f"there is no task {name}; {suggest(name, TASKS)} (`gpt evaluate --list` shows all)")
        found.update(matches)
    return list(found.values())
