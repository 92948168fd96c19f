"""The study of GPT-1's Figure 2 (left) on a page of examples, and what it says of numbers whose answer is known."""

from typing import Any

import pytest

from gptrilogy.metrics import Row
from gptrilogy.studies import layers
from gptrilogy.studies.catalogue import find_study
from gptrilogy.studies.layers import table, verdict
from gptrilogy.studies.study import Options, run_study
from gptrilogy.studies.tuning import Scale
from gptrilogy.tokenizers import BytesTokenizer
from study_data import write_data
from tiny_run import write_run


@pytest.fixture(scope="module", autouse=True)
def small() -> Any:
    """Runs of a single step, of one seed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "QUICK", Scale(("CoLA",), max_seeds=1, max_steps=1))
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    folder = tmp_path_factory.mktemp("study")
    write_run(folder / "base", BytesTokenizer(), n_ctx=64)
    return Options(folder / "out", model=folder / "base", data=write_data(folder / "data"), quick=True)


@pytest.fixture(scope="module")
def results(options: Options) -> dict[str, Any]:
    return run_study(find_study("gpt1-figure2-layers"), options, lambda _: None)


def test_there_is_a_row_for_nothing_the_embeddings_and_numbers_of_layers_up_to_all(
    results: dict[str, Any],
) -> None:
    measured = [(row["seed"], row["condition"]) for row in results["rows"]]
    names = ["nothing", "embeddings", "2 layers"]
    assert measured == [(0, name) for name in names]
    assert [line[0] for line in results["table"]] == ["transferred", *names]
    assert len({row["recipe"] for row in results["rows"]}) == len(names)


def test_there_is_a_picture(results: dict[str, Any], options: Options) -> None:
    assert (options.out / "figure.png").read_bytes().startswith(b"\x89PNG")


FOUND = {
    "CoLA Matthews": {-1: [1.0, 3.0], 0: [2.0, 4.0], 1: [7.0, 8.0], 6: [20.0, 22.0]},
    "SNLI accuracy": {-1: [50.0, 54.0], 0: [50.0, 56.0], 1: [48.0, 53.0], 6: [52.0, 55.0]},
}


def test_each_step_is_told_apart_from_the_one_before_by_pairs_of_a_seed() -> None:
    lines = table(FOUND)
    assert lines[0] == ("transferred", "CoLA Matthews", "more than above", "SNLI accuracy", "more than above")
    assert lines[1] == ("nothing", "2.0 ± 12.7", "", "52.0 ± 25.4", "")
    assert lines[2] == ("embeddings", "3.0 ± 12.7", "+1.0 ± 0.0", "53.0 ± 38.1", "+1.0 ± 12.7")
    assert lines[4][0::2] == ("6 layers", "+13.5 ± 6.4", "+3.0 ± 12.7")


def test_the_verdict_says_whether_every_step_brought_something() -> None:
    rows: list[Row] = [{"seed": 0}, {"seed": 1}]
    assert verdict(rows, FOUND, quick=False) == (
        "With 2 seeds of one base, in points out of 100 with 95% intervals, "
        "transferring all layers rather than nothing helps CoLA "
        "Matthews (+19.0 ± 0.0), has no settled effect on SNLI accuracy (+1.5 ± 6.4); transferring all layers rather "
        "than the embeddings alone helps CoLA Matthews (+18.0 ± 0.0), has no settled effect on SNLI accuracy "
        "(+0.5 ± 19.1); the mean of CoLA Matthews rises at every step (2.0, 3.0, 7.5, 21.0); the mean of SNLI accuracy "
        "rises at 2 of 3 steps (52.0, 53.0, 50.5, 53.5)."
    )
