"""What GPT-1's auxiliary language modelling brings to fine-tuning, by the number of examples.

Every run passes three times over its examples, so that steps grow with them: few examples also mean few steps.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from gptrilogy.evaluation.metrics import Estimate, over_seeds, paired_difference
from gptrilogy.metrics import Row
from gptrilogy.studies.study import Options, Result, Say
from gptrilogy.studies.telling import cell, draw, judged, opening, scores
from gptrilogy.studies.tuning import DataSet, Scale, Trial, find_base, measured, quick_scale, read_data_sets

FULL = Scale(("SNLI",), max_train=1000)
QUICK = quick_scale("SNLI")
SIZES: Mapping[str, tuple[int, ...]] = {"SNLI": (100, 300)}  # and all that are taken
QUICK_SIZES: Mapping[str, tuple[int, ...]] = {"SNLI": (32,)}
WEIGHTS = {"lambda 0.5": 0.5, "lambda 0": 0.0}
CHANGES = "grows on", "shrinks on", "does not change for certain on"

Scores = dict[str, dict[int, tuple[list[float], list[float]]]]  # of a task and size: with and without, one a seed


def run(options: Options, say: Say) -> Result:
    """Fine-tune with and without auxiliary language modelling on every number of examples, for each seed.

    Raises: ConfigError and DataError where the data cannot be used; what pretraining and fine-tuning raise.
    """
    scale, sizes = (QUICK, QUICK_SIZES) if options.quick else (FULL, SIZES)
    data_sets = read_data_sets(options, scale, say, whole=True)
    base = find_base(options, scale, say)
    trials = [
        Trial(part, condition, seed, {**scale.length, "lm_weight": weight})
        for data in data_sets
        for seed in scale.seeds(options)
        for part in parts(data, sizes[data.name])
        for condition, weight in WEIGHTS.items()
    ]
    rows = list(measured(options, base, trials, say))
    found = by_size(rows)
    _draw(found, options)
    return Result(rows, table(found), verdict(rows, found, quick=options.quick))


def parts(data: DataSet, sizes: Sequence[int]) -> list[DataSet]:
    """The first examples of a data set, so many each time, and all that are taken."""
    return [*(data.first(size) for size in sizes if size < len(data.train)), data]


def by_size(rows: Sequence[Row]) -> Scores:
    found: Scores = {}
    for row in rows:
        task, size = row["task"], row["train_examples"]
        of = found.setdefault(task, {})
        if size not in of:
            one, other = (scores(rows, task=task, train_examples=size, condition=name) for name in WEIGHTS)
            of[size] = (one, other)
    return found


def table(found: Scores) -> list[tuple[str, ...]]:
    """Mean and half the 95% interval over seeds, and what the auxiliary language modelling brings, seed by seed."""
    lines = [
        (task, f"{size:,}", *(cell(over_seeds(values)) for values in pair), cell(gain(pair), signed=True))
        for task, of in found.items()
        for size, pair in of.items()
    ]
    return [("task", "examples", *WEIGHTS, "brought"), *lines]


def gain(pair: tuple[Sequence[float], Sequence[float]]) -> Estimate:
    """How much more is scored with the auxiliary language modelling than without."""
    return paired_difference(*pair)


def verdict(rows: Sequence[Row], found: Scores, *, quick: bool) -> str:
    """What the intervals say at each size, and of the gain itself from the smallest to the largest."""
    gains = {f"{task} with {size:,} examples": gain(pair) for task, of in found.items() for size, pair in of.items()}
    growth = {task: _growth(of) for task, of in found.items()}
    return (
        f"{opening(rows, quick=quick)}{judged('the auxiliary LM', gains)}; "
        f"{judged('from the fewest examples to all, what it brings', growth, CHANGES)}."
    )


def _growth(of: Mapping[int, tuple[Sequence[float], Sequence[float]]]) -> Estimate:
    """How much more it brings to the most examples than to the fewest."""
    most, fewest = ([one - other for one, other in zip(*of[size], strict=True)] for size in (max(of), min(of)))
    return paired_difference(most, fewest)


def _draw(found: Scores, options: Options) -> None:
    sizes = sorted({size for of in found.values() for size in of})
    close = {size for less, size in pairwise(sizes) if size < 1.3 * less}  # labels that would overlap
    draw(
        {task: [(size, gain(pair)) for size, pair in of.items()] for task, of in found.items()},
        {size: ("\n" if size in close else "") + f"{size:,}" for size in sizes},
        options.out / "figure.png",
        title="what auxiliary language modelling brings: mean over paired seeds and its 95% interval",
        labels=("training examples", "difference of the score times 100"),
        log=True,
    )
