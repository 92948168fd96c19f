"""Every task there is, by name. Needs no torch."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType

from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks import endings

FAMILIES = (endings,)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for family in FAMILIES for task in family.TASKS})


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
            raise ConfigError(f"there is no task {name}; {suggest(name, TASKS)}")
        found.update(matches)
    return list(found.values())
