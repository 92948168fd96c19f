"""GPT-1's Table 5, small: fine-tuning in full, without pretraining, and without the auxiliary language modelling.

Its LSTM is not run: that row would need a second architecture and a pretraining of it. SNLI, of which there is no
training set here, stands for the natural language inference that the paper has MNLI and others for.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from gptrilogy.evaluation.metrics import Estimate, over_seeds, paired_difference
from gptrilogy.metrics import Row
from gptrilogy.studies.study import Options, Result, Say
from gptrilogy.studies.telling import cell, draw, judged, opening, scores
from gptrilogy.studies.tuning import DataSet, Scale, Trial, find_base, measured, quick_scale, read_data_sets

FULL = Scale(("CoLA", "STS-B", "SNLI", "OpenBookQA"))
QUICK = quick_scale("CoLA")

WHOLE = "full"
CONDITIONS: dict[str, Row] = {
    WHOLE: {},
    "no pretraining": {"transfer_layers": -1},
    "no auxiliary LM": {"lm_weight": 0.0},
}
BROUGHT = {"pretraining": "no pretraining", "the auxiliary LM": "no auxiliary LM"}  # what each lack shows
AVERAGE = "average"
PAPER: dict[str, dict[str, str]] = {
    WHOLE: {"CoLA": "45.4", "STS-B": "82.0", "SNLI": "MNLI 81.8", AVERAGE: "8 tasks 74.7"},
    "no pretraining": {"CoLA": "18.9", "STS-B": "30.9", "SNLI": "MNLI 75.7", AVERAGE: "8 tasks 59.9"},
    "no auxiliary LM": {"CoLA": "47.9", "STS-B": "83.2", "SNLI": "MNLI 81.1", AVERAGE: "8 tasks 75.0"},
    "LSTM": {"CoLA": "30.3", "STS-B": "71.8", "SNLI": "MNLI 73.7", AVERAGE: "8 tasks 69.1"},
}

Scores = dict[str, dict[str, list[float]]]  # of a task, or of the average, in a condition: one a seed


def run(options: Options, say: Say) -> Result:
    """Fine-tune under every condition on every task, for each seed.

    Raises: ConfigError and DataError where the data cannot be used; what pretraining and fine-tuning raise.
    """
    scale = QUICK if options.quick else FULL
    data_sets = read_data_sets(options, scale, say)
    base = find_base(options, scale, say)
    trials = [
        Trial(data, condition, seed, {**scale.length, **changes})
        for seed in scale.seeds(options)
        for data in data_sets
        for condition, changes in CONDITIONS.items()
    ]
    rows = list(measured(options, base, trials, say))
    found = by_task(rows)
    _draw(found, options)
    titles = {data.name: data.title for data in data_sets}
    guesses = {data.name: guessed(data) for data in data_sets}
    return Result(rows, table(found, titles, guesses), verdict(rows, found, quick=options.quick))


def by_task(rows: Sequence[Row]) -> Scores:
    """Scores by task and condition, and with several tasks for each seed their mean."""
    tasks = dict.fromkeys(row["task"] for row in rows)
    found = {task: {name: scores(rows, task=task, condition=name) for name in CONDITIONS} for task in tasks}
    if len(found) > 1:
        found[AVERAGE] = {
            name: [fmean(of_seed) for of_seed in zip(*(of[name] for of in found.values()), strict=True)]
            for name in CONDITIONS
        }
    return found


def gains(found: Scores, condition: str) -> dict[str, Estimate]:
    """How much more the full method scores than one that lacks a part, seed by seed."""
    return {task: paired_difference(of[WHOLE], of[condition]) for task, of in found.items()}


def guessed(data: DataSet) -> float:
    """The score, times 100, of the most frequent class, or of answers at random; a correlation with either is 0."""
    if data.metric != "accuracy":
        return 0.0
    if data.kind == "choice":
        return 100 * fmean(1 / len(example.answers) for example in data.valid)
    return 100 * max(Counter(example.label for example in data.valid).values()) / len(data.valid)


def table(found: Scores, titles: dict[str, str], guesses: dict[str, float]) -> list[tuple[str, ...]]:
    """Mean and half the 95% interval over seeds, what each part brings, and the paper's own numbers."""
    average = fmean(guesses.values())
    return [
        ("", *(titles.get(task, task) for task in found)),
        *((name, *(cell(over_seeds(of[name])) for of in found.values())) for name in CONDITIONS),
        ("LSTM", *("not run" for _ in found)),
        ("by guessing", *(f"{guesses.get(task, average):.1f}" for task in found)),
        *(
            (f"brought by {what}", *(cell(gain, signed=True) for gain in gains(found, lack).values()))
            for what, lack in BROUGHT.items()
        ),
        *((f"paper: {name}", *(numbers.get(task, "") for task in found)) for name, numbers in PAPER.items()),
    ]


def verdict(rows: Sequence[Row], found: Scores, *, quick: bool) -> str:
    """What the intervals say of both parts."""
    parts = [judged(what, gains(found, lack)) for what, lack in BROUGHT.items()]
    return f"{opening(rows, quick=quick)}{'; '.join(parts)}."


def _draw(found: Scores, options: Options) -> None:
    step = 0.15  # between the conditions of one task
    lines = {
        name: [(place + step * (number - 1), over_seeds(of[name])) for place, of in enumerate(found.values())]
        for number, name in enumerate(CONDITIONS)
    }
    draw(
        lines,
        dict(enumerate(found)),
        options.out / "figure.png",
        title="fine-tuned in full, and without a part: mean over seeds and its 95% interval",
        labels=("task", "score times 100"),
    )
