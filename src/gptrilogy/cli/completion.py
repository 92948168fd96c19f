"""Names that a shell completes besides verbs, options and files: presets, recipes, tasks, studies, tables."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter
from cyclopts.completion import CompletionContext

from gptrilogy.config import Config

Names: TypeAlias = Callable[[CompletionContext], Iterable[str]]


def offer(verb: Callable[..., Any], **names: Names) -> None:
    """Let the shell complete these parameters of a verb by these names."""
    for parameter, completer in names.items():
        verb.__annotations__[parameter] = Annotated[verb.__annotations__[parameter], Parameter(completer=completer)]


def offer_field(config: type[Config], field: str, names: Names) -> None:
    """The same for a field of a config, which is a flag of every verb that takes that config."""
    config.model_fields[field].metadata.append(Parameter(completer=names))


def files(context: CompletionContext) -> Iterable[str]:
    """For what may be a file, and is no `Path` because it may be something else too."""
    folder, slash, _ = context.incomplete.rpartition("/")
    beside = Path(folder + slash or ".")
    return sorted(f"{folder}{slash}{path.name}" for path in beside.iterdir()) if beside.is_dir() else []


def presets_and_files(context: CompletionContext) -> Iterable[str]:
    from gptrilogy.models.config import PRESETS

    return [*PRESETS, *files(context)]


def recipes(_context: CompletionContext) -> Iterable[str]:
    from gptrilogy.recipes.papers import RECIPES

    return ["auto", *RECIPES]


def corpus_recipes_and_files(context: CompletionContext) -> Iterable[str]:
    from gptrilogy.recipes.corpus import CORPUS_RECIPES

    return [*CORPUS_RECIPES, *files(context)]


def tasks(context: CompletionContext) -> Iterable[str]:
    """Names with commas between them: the last is completed."""
    from gptrilogy.evaluation.catalogue import TASKS

    before, comma, _ = context.incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in TASKS]


def studies(_context: CompletionContext) -> Iterable[str]:
    from gptrilogy.studies.catalogue import STUDIES

    return [study.name for study in STUDIES]


def tables(_context: CompletionContext) -> Iterable[str]:
    from gptrilogy.papers.tables import TABLES

    return TABLES
