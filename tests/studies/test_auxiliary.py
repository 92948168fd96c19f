"""The study of the auxiliary loss by the number of examples, on a few, and what it says of known numbers."""

from typing import Any

import pytest

from gptrilogy.finetuning.tasks import Example
from gptrilogy.metrics import Row
from gptrilogy.studies import auxiliary
from gptrilogy.studies.auxiliary import by_size, parts, table, verdict
from gptrilogy.studies.catalogue import find_study
from gptrilogy.studies.study import Options, run_study
from gptrilogy.studies.tuning import DataSet, Scale
from gptrilogy.tokenizers import BytesTokenizer
from tiny_run import write_run


@pytest.fixture(scope="module", autouse=True)
def small() -> Any:
    """Runs of a single step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auxiliary, "QUICK", Scale(("SNLI",), max_seeds=2, max_steps=1))
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    folder = tmp_path_factory.mktemp("study")
    write_run(folder / "base", BytesTokenizer(), n_ctx=64)
    snli = folder / "data" / "finetune" / "snli"
    snli.mkdir(parents=True)
    for part in ("validation", "test"):
        rows = "".join(f"man {number}\ta man\t{number % 3}\n" for number in range(40))
        (snli / f"{part}.tsv").write_text(f"premise\thypothesis\tlabel\n{rows}")
    return Options(folder / "out", model=folder / "base", data=folder / "data", quick=True)


@pytest.fixture(scope="module")
def results(options: Options) -> dict[str, Any]:
    return run_study(find_study("gpt1-auxiliary-by-size"), options, lambda _: None)


def test_both_weights_are_measured_at_every_size_for_each_seed(results: dict[str, Any]) -> None:
    measured = [(row["seed"], row["train_examples"], row["condition"]) for row in results["rows"]]
    names = ("lambda 0.5", "lambda 0")
    assert measured == [(seed, size, name) for seed in (0, 1) for size in (32, 40) for name in names]
    assert [line[:2] for line in results["table"]] == [("task", "examples"), ("SNLI", "32"), ("SNLI", "40")]


def test_there_is_a_picture(results: dict[str, Any], options: Options) -> None:
    assert (options.out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_sizes_end_with_all_examples_there_are() -> None:
    data = DataSet("SNLI", "snli", "entailment", "accuracy", [Example(("a", "b"))] * 9, [])
    assert [len(part.train) for part in parts(data, (3, 5, 9, 20))] == [3, 5, 9]


SCORES = {100: ([40.0, 43.0], [45.0, 48.0]), 9842: ([60.0, 61.0], [58.0, 58.4])}
ROWS: list[Row] = [
    {"task": "SNLI", "condition": condition, "seed": seed, "train_examples": size, "score": score / 100}
    for size, pair in SCORES.items()
    for condition, values in zip(("lambda 0.5", "lambda 0"), pair, strict=True)
    for seed, score in enumerate(values)
]


def test_differences_are_paired_by_seed() -> None:
    assert table(by_size(ROWS)) == [
        ("task", "examples", "lambda 0.5", "lambda 0", "brought"),
        ("SNLI", "100", "41.5 ± 19.1", "46.5 ± 19.1", "-5.0 ± 0.0"),
        ("SNLI", "9,842", "60.5 ± 6.4", "58.2 ± 2.5", "+2.3 ± 3.8"),
    ]


def test_the_verdict_says_where_it_helps_and_whether_that_grows() -> None:
    assert verdict(ROWS, by_size(ROWS), quick=False) == (
        "With 2 seeds of one base, in points out of 100 with 95% intervals, "
        "the auxiliary LM hurts SNLI with 100 examples (-5.0 ± 0.0), "
        "has no settled effect on SNLI with 9,842 examples (+2.3 ± 3.8); from the fewest examples to all, what it "
        "brings grows on SNLI (+7.3 ± 3.8)."
    )
