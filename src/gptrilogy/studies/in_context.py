"""GPT-3's Figure 1.2, small: the more demonstrations of a task the context holds, the better a model does it.

The paper's models learned to use their context from text of the web alone, for which ours are too small. They read
presidential messages together with documents of tasks, each of a rule of its own, and are tested on rules that no such
document follows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from gptrilogy.data.permutation import draw, permute
from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.asking import Asker, outcome
from gptrilogy.evaluation.data import Split, demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Choice
from gptrilogy.evaluation.prompts import Prompt
from gptrilogy.evaluation.task import Task
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.metrics import Row, read_metrics
from gptrilogy.studies.in_context_picture import draw_panels
from gptrilogy.studies.in_context_tasks import new_tasks, with_random_answers
from gptrilogy.studies.in_context_telling import panels, read_lines, table, verdict
from gptrilogy.studies.in_context_training import Size, new_pupil, pack_mixture
from gptrilogy.studies.pretraining import Pupil
from gptrilogy.studies.study import Journal, Options, Result, Say


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the study is. `sizes` begin with the smallest, `shots` (numbers of demonstrations) with the fewest."""

    sizes: tuple[Size, ...]
    n_documents: int
    max_steps: int
    batch_size: int
    shots: tuple[int, ...]
    n_questions: int
    max_draws: int | None = None


FULL = Scale(
    sizes=(Size(2, 64, 4, 4e-3), Size(2, 128, 4, 4e-3)),
    n_documents=40_000,
    max_steps=5000,
    batch_size=16,
    shots=(0, 1, 2, 4, 8, 16),
    n_questions=100,
)
QUICK = Scale((Size(1, 32, 2, 1e-2), Size(1, 64, 2, 1e-2)), 200, 20, 4, (0, 2, 8), n_questions=10, max_draws=2)


def run(options: Options, say: Say) -> Result:
    """Pretrain a model of each size, and test it on tasks that training never showed, with ever more demonstrations.

    A seed draws the rules of the tasks, the questions and the demonstrations; there is one model of each size.

    Raises: ConfigError where a model is given, or the messages are not installed; what pretraining raises.
    """
    if options.model is not None:
        raise ConfigError(
            f"this study tests models that have read its own documents, so it trains them: got --model "
            f"{options.model}, leave it out"
        )
    scale = QUICK if options.quick else FULL
    n_draws = min(options.seeds, scale.max_draws or options.seeds)
    rows = list(_measured(options, scale, n_draws, say))
    lines = read_lines(rows)
    draw_panels(
        panels(lines, {row["task"]: row["chance"] for row in rows}),
        options.out / "figure.png",
        title=f"tasks that training never showed: mean of {n_draws} draws of rules and examples, 95% interval",
    )
    return Result(rows, table(lines), verdict(rows, lines, quick=options.quick))


def _measured(options: Options, scale: Scale, n_draws: int, say: Say) -> Iterator[Row]:
    """A row for each size, draw and task, measured now unless it was before."""
    folder = options.out / "pretrained"
    packed = pack_mixture(folder, scale.n_documents, say)
    journal = Journal(options.out / "rows.jsonl")
    for size in scale.sizes:
        pupil = new_pupil(folder, size, packed, max_steps=scale.max_steps, batch_size=scale.batch_size, say=say)
        for seed in range(n_draws):
            place: Row = {"quick": options.quick, "config": pupil.recipe_hash, "model": size.name, "seed": seed}
            yield from _of_draw(pupil, place, scale, journal, say)


def _of_draw(pupil: Pupil, place: Row, scale: Scale, journal: Journal, say: Say) -> list[Row]:
    """The rows of all tasks of one draw; the model is trained only if one is missing."""
    asked = {"questions": scale.n_questions, "shots": list(scale.shots)}
    conditions = [({**place, "task": task.title, **asked}, task) for task in new_tasks(place["seed"])]
    missing = [(condition, task) for condition, task in conditions if not journal.find(condition)]
    if missing:
        model = pupil.after(scale.max_steps, say)
        end = next(row for row in reversed(read_metrics(pupil.run.metrics_path)) if row["event"] == "end")
        training = {"tokens": end["tokens"], "text_bits_per_byte": end["bits_per_byte"]}
        for condition, task in missing:
            journal.add({**condition, **training, **measure(model, task, scale, place["seed"])})
    rows = [row for condition, _ in conditions if (row := journal.find(condition))]
    means = zip(scale.shots, map(fmean, zip(*(row["scores"] for row in rows), strict=True)), strict=True)
    found = ", ".join(f"{mean:.3f} at {shots}" for shots, mean in means)
    say(f"{place['model']}, draw {place['seed']}, share of right answers by demonstrations: {found}")
    return rows


def measure(model: LanguageModel, task: Task, scale: Scale, seed: int) -> Row:
    """Chance, and the share of right answers after each number of demonstrations: right ones, and random ones."""
    asked = read_split(task, "test", None, limit=scale.n_questions)
    questions = [item for i in range(len(asked.records)) for item in items_of(task, asked, i, 0)]
    choices = [question for question in questions if isinstance(question, Choice)]
    shown = read_split(task, "train", None)
    control = with_random_answers(task)
    return {
        "chance": fmean(1 / len(choice.options) for choice in choices),
        "scores": [accuracy(model, choices, prefixes(task, shown, choices, n, seed)) for n in scale.shots],
        "random_scores": [accuracy(model, choices, prefixes(control, shown, choices, n, seed)) for n in scale.shots],
    }


def prefixes(task: Task, shown: Split, questions: Sequence[Choice], shots: int, seed: int) -> list[str]:
    """What stands before each question: demonstrations drawn for it, of which fewer are the first of more."""
    n = len(shown.records)
    texts = [demonstration_of(task, shown, i, shots) + task.separator for i in range(n)]
    order = np.arange(shots, dtype=np.uint64)
    keys = [draw(seed, number, np.zeros(shots, dtype=np.uint64)) for number in range(len(questions))]
    picks: list[list[int]] = [permute(order, n, key).tolist() for key in keys]
    return ["".join(texts[i] for i in picked) for picked in picks]


def accuracy(model: LanguageModel, questions: Sequence[Choice], before: Sequence[str]) -> float:
    """The share of questions, each after its prefix, whose likeliest option is a right one."""
    prompts = [Prompt(prefix, [question], 0) for question, prefix in zip(questions, before, strict=True)]
    answers = Asker(model).ask(prompts, None, alone=False)
    chosen = [
        outcome(question, 0, answer, "sum").chosen for question, (answer,) in zip(questions, answers, strict=True)
    ]
    return fmean(choice in question.gold for choice, question in zip(chosen, questions, strict=True))
