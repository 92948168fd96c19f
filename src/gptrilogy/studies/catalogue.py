"""The studies there are. Needs no torch: each is imported when it runs."""

from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError
from gptrilogy.studies.study import Options, Result, Say, Study


def _zero_shot(options: Options, say: Say) -> Result:
    from gptrilogy.studies.zero_shot import run

    return run(options, say)


def _table5(options: Options, say: Say) -> Result:
    from gptrilogy.studies.table5 import run

    return run(options, say)


def _layers(options: Options, say: Say) -> Result:
    from gptrilogy.studies.layers import run

    return run(options, say)


def _auxiliary(options: Options, say: Say) -> Result:
    from gptrilogy.studies.auxiliary import run

    return run(options, say)


def _in_context(options: Options, say: Say) -> Result:
    from gptrilogy.studies.in_context import run

    return run(options, say)


STUDIES = (
    Study(
        name="gpt1-figure2-zero-shot",
        claim="What a language model knows of tasks nobody trained it on grows steadily over its pretraining.",
        source="GPT1 §5, Figure 2 (right)",
        minutes=19,
        run=_zero_shot,
    ),
    Study(
        name="gpt1-table5",
        claim="Pretraining helps every task; an auxiliary language-modelling loss helps large data sets, not small.",
        source="GPT1 §5, Table 5",
        minutes=42,
        run=_table5,
    ),
    Study(
        name="gpt1-figure2-layers",
        claim="Every further pretrained layer that fine-tuning takes over improves the score.",
        source="GPT1 §5, Figure 2 (left)",
        minutes=27,
        run=_layers,
    ),
    Study(
        name="gpt1-auxiliary-by-size",
        claim="Larger data sets benefit from the auxiliary language-modelling loss, smaller ones do not.",
        source="GPT1 §5, Table 5",
        minutes=15,
        run=_auxiliary,
    ),
    Study(
        name="gpt3-figure1.2-in-context",
        claim="The more demonstrations of a task the context holds, the better a model does it, its weights unchanged.",
        source="GPT3 §1, Figure 1.2",
        minutes=28,
        run=_in_context,
    ),
)


def find_study(name: str) -> Study:
    """The study of that name.

    Raises: ConfigError with the nearest name where there is none.

    >>> find_study("gpt1-figure2-zero").name
    Traceback (most recent call last):
    ...
    gptrilogy.errors.ConfigError: there is no study gpt1-figure2-zero; did you mean gpt1-figure2-zero-shot?
    """
    found = next((study for study in STUDIES if study.name == name), None)
    if found is None:
        raise ConfigError(f"there is no study {name}; {suggest(name, (study.name for study in STUDIES))}")
    return found
