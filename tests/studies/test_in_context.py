"""The study of GPT-3's Figure 1.2 on a page of text: measured once, gone on with, told without exaggeration."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.data import read_split
from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.generation.prefixes import PrefixScore, PrefixScorer
from gptrilogy.generation.scoring import Ids
from gptrilogy.runs import Run
from gptrilogy.studies import in_context, in_context_training, pretraining
from gptrilogy.studies.catalogue import find_study
from gptrilogy.studies.in_context import FULL, Scale, accuracy, prefixes
from gptrilogy.studies.in_context_tasks import new_tasks, with_random_answers
from gptrilogy.studies.in_context_training import Size
from gptrilogy.studies.study import Options, run_study
from gptrilogy.tokenizers import BytesTokenizer
from tiny_run import write_run

STUDY = find_study("gpt3-figure1.2-in-context")
SMALL = Scale((Size(1, 16, 2, 1e-2), Size(1, 32, 2, 1e-2)), 120, 3, 2, (0, 2), n_questions=4, max_draws=2)
TITLES = [task.title for task in new_tasks(0)]


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Some pages of text instead of 249 messages, and three updates."""
    speeches = tmp_path_factory.mktemp("speeches")
    for number in range(20):
        text = f"Message {number}: the people elect the Senate, and the Senate thanks the people. "
        (speeches / f"{number:02}.txt").write_text(text * 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_context_training, "find_speeches", lambda: speeches)
        patch.setattr(in_context, "QUICK", SMALL)
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return Options(tmp_path_factory.mktemp("study") / "out", quick=True)


@pytest.fixture(scope="module")
def results(options: Options) -> dict[str, Any]:
    return run_study(STUDY, options, lambda _: None)


def test_there_is_a_row_for_each_model_draw_and_task(results: dict[str, Any]) -> None:
    conditions = [(row["model"], row["seed"], row["task"]) for row in results["rows"]]
    assert conditions == [(size.name, seed, title) for size in SMALL.sizes for seed in (0, 1) for title in TITLES]
    for row in results["rows"]:
        assert row["shots"] == [0, 2]
        assert row["tokens"] == 3 * 2 * in_context_training.N_CTX
        assert row["text_bits_per_byte"] > 0
        assert row["chance"] == (1 / 8 if "recall" in row["task"] else 1 / 4)
        assert len(row["scores"]) == len(row["random_scores"]) == 2
        assert row["scores"][0] == row["random_scores"][0]  # without demonstrations there is nothing to make random


def test_the_table_has_every_number_of_demonstrations_and_what_they_are_worth(results: dict[str, Any]) -> None:
    header, *body = results["table"]
    assert header == ("model", "task", "0", "2", "2, random answers", "gain", "right over random")
    assert [row[:2] for row in body] == [
        (size.name, task) for size in SMALL.sizes for task in (*TITLES, "mean of the tasks")
    ]
    assert results["verdict"].startswith("A test of the path, whose numbers mean nothing. With 2 draws of rules")


def test_there_is_a_picture(results: dict[str, Any], options: Options) -> None:
    assert (options.out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_validation_text_is_messages_and_training_text_both(results: dict[str, Any], options: Options) -> None:
    run = Run(options.out / "pretrained" / "text")
    data = run.config()["data"]
    assert [Path(path).name for path in data["valid"]] == ["10.txt"]
    assert [Path(path).name for path in data["sources"]][:2] == ["tasks.jsonl", "00.txt"]
    assert len(data["sources"]) == 20


def test_a_finished_study_trains_nothing_again(
    results: dict[str, Any], options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "pretrain", None)
    assert run_study(STUDY, options, lambda _: None) == results


def test_what_is_missing_is_measured_to_the_same_numbers(results: dict[str, Any], options: Options) -> None:
    path = options.out / "rows.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{text}\n" for text in lines[:3]))
    assert run_study(STUDY, options, lambda _: None)["rows"] == results["rows"]
    assert sorted(path.read_text().splitlines()) == sorted(lines)
    assert all(json.loads(text)["quick"] for text in lines)


def test_it_takes_no_model_of_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        run_study(STUDY, Options(tmp_path, model=tmp_path), print)


def test_the_demonstrations_of_a_question_begin_with_fewer_of_them_and_differ_from_others() -> None:
    task = new_tasks(0)[0]
    shown = read_split(task, "train", None)
    questions = [Choice((Option(" x", " y"),), (0,))] * 3
    few, more, random = (
        prefixes(which, shown, questions, shots, seed=0)
        for which, shots in ((task, 2), (task, 5), (with_random_answers(task), 5))
    )
    assert all(longer.startswith(shorter) for longer, shorter in zip(more, few, strict=True))
    assert len(set(more)) == 3
    assert [text.count("\n") for text in more] == [5, 5, 5]
    for right, wrong in zip(more, random, strict=True):
        assert [text.split()[0] for text in right.splitlines()] == [text.split()[0] for text in wrong.splitlines()]
    assert more != random
    assert prefixes(task, shown, questions, 0, seed=0) == ["", "", ""]
    assert prefixes(task, shown, questions, 5, seed=1) != more


def test_the_largest_prompts_of_the_study_fit_its_context() -> None:
    words = max(len(item["words"].split()) for task in new_tasks(0) for item in read_split(task, "train", None).records)
    assert (words + 2) * FULL.shots[-1] + words + 1 <= in_context_training.N_CTX


def test_accuracy_is_the_share_of_likeliest_options_that_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = BytesTokenizer()
    model = LanguageModel(write_run(tmp_path, tokenizer), tokenizer)

    def longer_is_likelier(_: PrefixScorer, pairs: Sequence[tuple[Ids, Ids]], **_how: object) -> list[PrefixScore]:
        assert all(bytes(context).startswith(b" before\n") for context, _ in pairs)
        return [PrefixScore(float(len(completion)), (False,) * len(completion)) for _, completion in pairs]

    monkeypatch.setattr(PrefixScorer, "score", longer_is_likelier)
    options = (Option(" x", " one"), Option(" x", " three"))
    questions = [Choice(options, (1,)), Choice(options, (0,)), Choice(options, (1,)), Choice(options, (1,))]
    assert accuracy(model, questions, [" before\n"] * 4) == 0.75
