"""The study of GPT-1's Table 5 on a page of examples, and what it says of numbers whose answer is known."""

from typing import Any

import pytest

from gptrilogy.evaluation.metrics import Estimate
from gptrilogy.finetuning.config import MetricName
from gptrilogy.finetuning.tasks import Example, KindName
from gptrilogy.metrics import Row
from gptrilogy.studies import table5
from gptrilogy.studies.catalogue import find_study
from gptrilogy.studies.study import Options, run_study
from gptrilogy.studies.table5 import AVERAGE, CONDITIONS, by_task, gains, guessed, table, verdict
from gptrilogy.studies.tuning import DataSet, Scale
from gptrilogy.tokenizers import BytesTokenizer
from study_data import write_data
from tiny_run import write_run

STUDY = find_study("gpt1-table5")


@pytest.fixture(scope="module", autouse=True)
def small() -> Any:
    """Runs of a single step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table5, "QUICK", Scale(("CoLA",), max_seeds=2, max_steps=1))
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    folder = tmp_path_factory.mktemp("study")
    write_run(folder / "base", BytesTokenizer(), n_ctx=64)
    return Options(folder / "out", model=folder / "base", data=write_data(folder / "data"), quick=True)


@pytest.fixture(scope="module")
def results(options: Options) -> dict[str, Any]:
    return run_study(STUDY, options, lambda _: None)


def test_there_is_a_row_for_each_seed_and_condition(results: dict[str, Any]) -> None:
    measured = [(row["seed"], row["condition"], row["task"]) for row in results["rows"]]
    assert measured == [(seed, condition, "CoLA") for seed in (0, 1) for condition in CONDITIONS]
    assert len({row["recipe"] for row in results["rows"]}) == len(CONDITIONS)


def test_the_table_has_the_conditions_what_they_show_and_the_paper_beside_them(results: dict[str, Any]) -> None:
    assert [line[0] for line in results["table"]] == [
        "",
        "full",
        "no pretraining",
        "no auxiliary LM",
        "LSTM",
        "by guessing",
        "brought by pretraining",
        "brought by the auxiliary LM",
        "paper: full",
        "paper: no pretraining",
        "paper: no auxiliary LM",
        "paper: LSTM",
    ]
    assert {len(line) for line in results["table"]} == {2}
    assert results["verdict"].startswith("A test of the path, whose numbers mean nothing. With 2 seeds of one base, ")


def test_there_is_a_picture(results: dict[str, Any], options: Options) -> None:
    assert (options.out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_study_gives_the_same_again(results: dict[str, Any], options: Options) -> None:
    said: list[str] = []
    assert run_study(STUDY, options, said.append) == results
    assert not any(line.startswith("precision") for line in said)  # as any run would begin


def rows_of(numbers: dict[str, dict[str, list[float]]]) -> list[Row]:
    return [
        {"task": task, "condition": condition, "seed": seed, "score": score / 100}
        for task, of in numbers.items()
        for condition, values in of.items()
        for seed, score in enumerate(values)
    ]


ROWS = rows_of(
    {
        "CoLA": {"full": [20.0, 22.0], "no pretraining": [2.0, 4.0], "no auxiliary LM": [25.0, 27.0]},
        "SNLI": {"full": [60.0, 64.0], "no pretraining": [50.0, 54.0], "no auxiliary LM": [60.0, 63.0]},
    }
)


def test_differences_are_paired_by_seed_and_the_average_is_of_each_seed() -> None:
    found = by_task(ROWS)
    assert found[AVERAGE] == {
        "full": pytest.approx([40, 43]),
        "no pretraining": pytest.approx([26, 29]),
        "no auxiliary LM": pytest.approx([42.5, 45]),
    }
    brought = gains(found, "no pretraining")
    assert brought["SNLI"] == pytest.approx(Estimate(10, 10, 10))  # though seeds differ by 4
    assert brought[AVERAGE].value == pytest.approx(14)
    assert AVERAGE not in by_task([row for row in ROWS if row["task"] == "CoLA"])


def test_the_verdict_says_what_the_numbers_say() -> None:
    assert verdict(ROWS, by_task(ROWS), quick=False) == (
        "With 2 seeds of one base, in points out of 100 with 95% intervals, "
        "pretraining helps CoLA (+18.0 ± 0.0), SNLI (+10.0 ± 0.0), "
        "average (+14.0 ± 0.0); the auxiliary LM hurts CoLA (-5.0 ± 0.0), has no settled effect on "
        "SNLI (+0.5 ± 6.4), average (-2.2 ± 3.2)."
    )


def test_the_table_has_means_with_intervals_and_the_average_of_guesses() -> None:
    lines = {line[0]: line[1:] for line in table(by_task(ROWS), {"CoLA": "CoLA Matthews"}, {"CoLA": 0, "SNLI": 34})}
    assert lines[""] == ("CoLA Matthews", "SNLI", "average")
    assert lines["full"] == ("21.0 ± 12.7", "62.0 ± 25.4", "41.5 ± 19.1")
    assert lines["by guessing"] == ("0.0", "34.0", "17.0")
    assert lines["brought by pretraining"] == ("+18.0 ± 0.0", "+10.0 ± 0.0", "+14.0 ± 0.0")
    assert lines["LSTM"] == ("not run",) * 3
    assert lines["paper: no pretraining"] == ("18.9", "MNLI 75.7", "8 tasks 59.9")


@pytest.mark.parametrize(
    ("kind", "metric", "examples", "score"),
    [
        ("classification", "matthews", [Example(("a",), label="0")], 0),
        ("entailment", "accuracy", [Example(("a", "b"), label=label) for label in "xxyz"], 50),
        ("choice", "accuracy", [Example(("", "a"), answers, 0) for answers in (("x", "y"), tuple("wxyz"))], 37.5),
    ],
)
def test_guessing_scores_what_it_must(
    kind: KindName, metric: MetricName, examples: list[Example], score: float
) -> None:
    assert guessed(DataSet("x", "x", kind, metric, [], examples)) == score
