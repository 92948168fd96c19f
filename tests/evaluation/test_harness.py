"""Tasks put to models: what rows say, that no question is put twice, that one failure costs one task."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gptrilogy.errors import DataError, RunError
from gptrilogy.evaluation import harness
from gptrilogy.evaluation.harness import Examination, Protocol, describe, evaluate, weights_hash
from gptrilogy.evaluation.items import Choice, Item, Option
from gptrilogy.evaluation.journal import Journal
from gptrilogy.evaluation.rules import RULE_NAMES
from gptrilogy.evaluation.task import Record, Task
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.generation.prefixes import PrefixScorer
from gptrilogy.models import GPT
from toy_tasks import CHOICE, CLOZE, FREE, PAIRS, PASSAGE, TASKS, records, sure, unsure

CONTRACT = {"task", "shots", "draw", "rule", "metric", "value", "stderr", "n"}


@pytest.fixture
def n_scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs each call to the scorer held."""
    calls: list[int] = []
    score = PrefixScorer.score

    def counted(self: PrefixScorer, pairs: list[tuple[list[int], list[int]]], **how: int) -> object:
        calls.append(len(pairs))
        return score(self, pairs, **how)  # pyright: ignore[reportArgumentType] - passed on as they came

    monkeypatch.setattr(PrefixScorer, "score", counted)
    return calls


def values(found: Examination) -> dict[tuple[str, int, int, str, str], float]:
    return {(r["task"], r["shots"], r["draw"], r["rule"], r["metric"]): r["value"] for r in found.rows}


# What rows say.


def test_a_model_that_always_says_yes_is_right_half_the_time() -> None:
    found = evaluate("m", sure(), [CHOICE, PAIRS, CLOZE, FREE], Protocol(shots=(0, 1)))
    for task, rule, metric, value in [
        ("toy-choice", "token", "acc", 0.5),
        ("toy-pairs", "token", "acc", 0.25),  # two items a record: (1 + 0) / 2 and (0 + 0) / 2
        ("toy-cloze", "likelihood", "acc", 0.5),
        ("toy-free", "beam-4", "em", 0.5),
    ]:
        for shots in (0, 1):
            assert values(found)[task, shots, 0, rule, metric] == value
    assert found.failures == []


def test_a_row_says_everything_once() -> None:
    model = sure()
    [row] = evaluate("sure-one", model, [PAIRS], Protocol(shots=(2,))).rows
    assert row.keys() >= CONTRACT
    assert row == {
        "model": "sure-one",
        "parameters": sum(p.numel() for p in model.model.h.parameters()) + 2 * 257,
        "precision": "fp32",
        "task": "toy-pairs",
        "shots": 2,
        "draw": 0,
        "rule": "token",
        "metric": "acc",
        "value": 0.25,
        "stderr": pytest.approx(math.sqrt(6 * 0.25**2 / 5) / math.sqrt(6)),
        "n": 6,
        "demonstrations": 2.0,
    }


def test_each_record_has_a_row_under_each_measure() -> None:
    found = evaluate("m", sure(), [PAIRS], Protocol(shots=(0,)))
    assert [row["value"] for row in found.record_rows] == [0.5, 0, 0.5, 0, 0.5, 0]
    assert [row["record"] for row in found.record_rows] == list(range(6))
    assert {row["model"] for row in found.record_rows} == {"m"}
    assert len(evaluate("m", sure(), [CLOZE], Protocol(shots=(0, 1), draws=2)).record_rows) == 6 * 2 * (1 + 2)


def test_the_papers_number_of_shots_is_the_default() -> None:
    rows = evaluate("m", unsure(), [replace(CHOICE, shots=3), CHOICE], Protocol()).rows
    assert [(row["shots"], row["demonstrations"]) for row in rows] == [(3, 3.0), (0, 0.0)]


def test_draws_are_different_prompts_and_none_where_there_are_no_demonstrations() -> None:
    rows = evaluate("m", unsure(), [replace(CLOZE, measures=CLOZE.measures[1:])], Protocol(shots=(0, 2), draws=3)).rows
    assert [(row["shots"], row["draw"]) for row in rows] == [(0, 0), (2, 0), (2, 1), (2, 2)]
    assert len({row["value"] for row in rows}) == 4


def test_a_passage_is_read_without_demonstrations_and_never_twice() -> None:
    [row] = evaluate("m", unsure(), [PASSAGE], Protocol(shots=(0, 1, 8), draws=4)).rows
    assert (row["shots"], row["draw"], row["rule"]) == (0, 0, "likelihood")


def test_bf16_is_said() -> None:
    model = unsure()
    model.model.to(torch.bfloat16)
    [row] = evaluate("m", model, [CHOICE], Protocol()).rows
    assert row["precision"] == "bf16"
    assert describe(model.model.half())["precision"] == "torch.float16"


@pytest.mark.parametrize("all_rules", [False, True])
def test_every_rule_costs_one_pass(all_rules: bool, n_scored: list[int]) -> None:
    rows = evaluate("m", unsure(), [CHOICE], Protocol(shots=(1,), all_rules=all_rules)).rows
    assert [row["rule"] for row in rows] == list(RULE_NAMES if all_rules else ["token"])
    assert n_scored == [6 * 3 * (1 + all_rules)]  # three options, and each after "Answer:"


def test_each_rule_has_the_value_it_has_alone() -> None:
    together = {row["rule"]: row for row in evaluate("m", unsure(), [CHOICE], Protocol(all_rules=True)).rows}
    for rule in RULE_NAMES:
        [alone] = evaluate("m", unsure(), [replace(CHOICE, rule=rule)], Protocol()).rows
        assert alone == together[rule]
    assert len({row["value"] for row in together.values()}) > 1


def test_company_order_and_passes_change_no_outcome() -> None:
    protocol = Protocol(shots=(0, 2), draws=2)
    whole = evaluate("m", unsure(), TASKS, protocol)
    others = [
        evaluate("m", unsure(), TASKS[::-1], replace(protocol, pass_tokens=7)),
        evaluate("m", unsure(), TASKS, replace(protocol, shots=(2, 0), pass_tokens=100)),
    ]
    apart = Examination()
    for task in TASKS:
        apart.add(evaluate("m", unsure(), [task], protocol))
    for found in (*others, apart):
        assert values(found) == {key: pytest.approx(value, rel=1e-4) for key, value in values(whole).items()}


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch, n_scored: list[int]) -> None:
    protocol = Protocol(shots=(0, 2))
    whole = values(evaluate("m", unsure(), [CHOICE, FREE], protocol))
    assert len(n_scored) == 2  # a call a task
    monkeypatch.setattr(harness, "SLICE_CHARS", 1)
    assert values(evaluate("m", unsure(), [CHOICE, FREE], protocol)) == whole
    assert n_scored[2:] == [2 * 3] * 6 + [0] * 6


def test_a_limit_is_on_questions_and_not_on_what_demonstrates() -> None:
    own = replace(CHOICE, generate=None, test=CHOICE.test)
    rows = evaluate("m", unsure(), [CHOICE], Protocol(shots=(5,), limit=2)).rows
    assert [(row["n"], row["demonstrations"]) for row in rows] == [(2, 5.0)]
    rows = evaluate("m", unsure(), [CHOICE], Protocol(shots=(5,), limit=2, demonstrations="test")).rows
    assert [(row["n"], row["demonstrations"]) for row in rows] == [(2, 5.0)]
    assert [row["task"] for row in evaluate("m", unsure(), [own], Protocol(limit=2)).failures] == ["toy-choice"]


def test_demonstrations_of_the_test_set_are_never_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    encode = type(unsure().tokenizer).encode

    def watched(self: object, text: str, **how: object) -> list[int]:
        seen.append(text)
        return encode(self, text)  # pyright: ignore[reportArgumentType] - a method taken off its class

    monkeypatch.setattr("gptrilogy.tokenizers.BytesTokenizer.encode", watched)
    evaluate("m", unsure(n_ctx=200), [CLOZE], Protocol(shots=(5,), demonstrations="test"))
    questions = [text for text in seen if text.count("?") == 6]
    assert questions
    assert all(text.count(f"test {number}?") == 1 for text in questions for number in range(6))


def test_short_contexts_are_said_and_counted() -> None:
    heard: list[str] = []
    n_ctx = len("train 0?: yes\n") * 2 + len("test 0?: perhaps")
    [row] = evaluate("m", unsure(n_ctx=n_ctx), [CHOICE], Protocol(shots=(4,)), say=heard.append).rows
    assert row["demonstrations"] == 2
    assert heard == [
        "toy-choice: 6 of 6 prompts hold fewer than 4 demonstrations, 2.0 on average, for want of room in the context"
    ]


def test_a_few_shot_result_without_any_shot_is_refused_and_the_others_stand() -> None:
    heard: list[str] = []
    found = evaluate("m", unsure(n_ctx=20), [CHOICE], Protocol(shots=(0, 3, 4)), passing=heard.append)
    assert [row["shots"] for row in found.rows] == [0]
    assert [line.partition(" questions")[0] for line in heard] == ["toy-choice: 6/6"], "the others were asked"
    [failure] = found.failures
    assert (failure["model"], failure["task"]) == ("m", "toy-choice")
    assert failure["reason"].startswith("with 3, 4 shots no demonstration fits beside a question into the model's")


# Failures.


def failing(record: Record, _shots: int, /) -> list[Item]:
    raise DataError("no such thing; mend it")


def misspelt(record: Record, _shots: int, /) -> list[Item]:
    return record["anser"]


def long_answers(record: Record, _shots: int, /) -> list[Item]:
    return [Choice((Option("Is it?:", " yes"), Option("Is it?:", " n" + "o" * 200)), (0,))]


def five_alike(_split: str, /) -> list[Record]:
    return [{"question": "Is it?", "answer": "yes"}] * 5


def empty(_split: str, /) -> Iterator[Record]:
    return records("none", 0)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (replace(CHOICE, name="bad", items=failing), "record 1 of bad as generated: no such thing; mend it"),
        (replace(CHOICE, name="bad", items=misspelt), "has no field anser; it has question, answer"),
        (
            replace(CHOICE, name="bad", generate=None),
            "bad needs its published files: give their folder with --data DIR",
        ),
        (replace(CHOICE, name="bad", generate=empty), "record 1 of bad as generated"),
        (replace(CHOICE, name="bad", shots=7), "7 demonstrations were asked for, but bad as generated has 6 records"),
    ],
    ids=["a record", "a field", "no files", "no records", "too many shots"],
)
def test_a_task_that_fails_costs_no_other(bad: Task, words: str) -> None:
    heard: list[str] = []
    found = evaluate("m", sure(), [CHOICE, bad, CLOZE], Protocol(), say=heard.append)
    assert {row["task"] for row in found.rows} == {"toy-choice", "toy-cloze"}
    [failure] = found.failures
    assert words in failure["reason"]
    assert "\n" not in failure["reason"]
    assert heard == [f"bad: {failure['reason']}"]
    assert found.files.keys() == {"toy-choice", "toy-cloze"}


def test_an_answer_longer_than_the_context_costs_its_task() -> None:
    with pytest.warns(UserWarning, match="lose their beginning"):
        found = evaluate("m", unsure(), [replace(CHOICE, name="long", items=long_answers), CHOICE], Protocol())
    assert "an answer has 202 tokens, the model can score 96" in found.failures[0]["reason"]
    assert [row["task"] for row in found.rows] == ["toy-choice"]


def test_damaged_weights_are_a_failure_of_every_task() -> None:
    model = unsure()
    torch.nn.init.constant_(model.model.wpe.weight, math.nan)
    found = evaluate("m", model, [CHOICE, CLOZE], Protocol())
    assert found.rows == []
    assert ["take an earlier checkpoint" in row["reason"] for row in found.failures] == [True, True]


def test_answers_that_cannot_be_kept_stop_everything(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        evaluate("m", sure(), [CHOICE], Protocol(), journal=Journal(tmp_path / "gone" / "answers.jsonl"))


# The journal.


def test_nothing_is_asked_twice(tmp_path: Path, n_scored: list[int]) -> None:
    path = tmp_path / "answers.jsonl"
    protocol = Protocol(shots=(0, 2), draws=2)
    first = evaluate("m", unsure(), TASKS, protocol, journal=Journal(path))
    asked, lines = sum(n_scored), path.read_text().splitlines()
    assert asked
    again = evaluate("m", unsure(), TASKS, protocol, journal=Journal(path))
    assert sum(n_scored) == asked
    assert (again.rows, again.record_rows) == (first.rows, first.record_rows)
    assert path.read_text().splitlines() == lines


def test_only_what_is_missing_is_asked_and_the_result_is_the_same(tmp_path: Path, n_scored: list[int]) -> None:
    path = tmp_path / "answers.jsonl"
    protocol = Protocol(shots=(0, 2))
    whole = evaluate("m", unsure(), TASKS, protocol, journal=Journal(path))
    lines = path.read_bytes().splitlines(keepends=True)
    for seed in range(3):
        kept = random.Random(seed).sample(lines, len(lines) // 2)
        path.write_bytes(b"".join(kept) + lines[0][:20])
        again = evaluate("m", unsure(), TASKS, protocol, journal=Journal(path))
        assert values(again) == {key: pytest.approx(value, rel=1e-4) for key, value in values(whole).items()}
        assert len(path.read_bytes().splitlines()) == len(lines)


def test_more_shots_later_ask_for_those_alone(n_scored: list[int]) -> None:
    journal = Journal()
    evaluate("m", unsure(), [CHOICE], Protocol(shots=(0, 1)), journal=journal)
    del n_scored[:]
    evaluate("m", unsure(), [CHOICE], Protocol(shots=(0, 1, 2)), journal=journal)
    assert n_scored == [6 * 3]


def test_equal_questions_are_put_once(n_scored: list[int]) -> None:
    same = replace(CHOICE, generate=five_alike)
    [row] = evaluate("m", sure(), [same], Protocol()).rows
    assert (row["n"], row["value"]) == (5, 1.0)
    assert n_scored == [3]


def test_other_weights_are_another_model() -> None:
    one, other = unsure().model, unsure().model
    assert weights_hash(one) == weights_hash(other)
    with torch.no_grad():
        other.get_parameter("h.1.mlp.c_proj.bias")[3] += 1e-7
    assert weights_hash(one) != weights_hash(other)
    assert weights_hash(one) != weights_hash(GPT(one.config.replace(n_layer=1)))
    assert weights_hash(one) != weights_hash(unsure().model.bfloat16())


def test_other_models_and_seeds_do_not_share_answers(n_scored: list[int]) -> None:
    journal = Journal()
    for model in (unsure(), sure(), LanguageModel(unsure().model.bfloat16(), unsure().tokenizer)):
        evaluate("m", model, [CHOICE], Protocol(), journal=journal)
    evaluate(
        "m", unsure(), [CHOICE], Protocol(seed=1), journal=journal
    )  # without demonstrations a seed changes nothing
    assert n_scored == [18, 18, 18]
    evaluate("m", unsure(), [CHOICE], Protocol(seed=1, shots=(4,)), journal=journal)
    evaluate("m", unsure(), [CHOICE], Protocol(seed=2, shots=(4,)), journal=journal)
    assert n_scored == [18, 18, 18, 18, 18]


def test_other_windows_over_a_passage_do_not_share_answers() -> None:
    journal, model = Journal(), unsure()
    rows = [evaluate("m", model, [PASSAGE], Protocol(stride=s), journal=journal).rows[0] for s in (None, 10, None)]
    assert rows[0] == rows[2]
    assert rows[0]["value"] != pytest.approx(rows[1]["value"], rel=1e-4)


def test_progress_is_heard_in_questions() -> None:
    heard: list[str] = []
    evaluate("m", sure(), [CHOICE], Protocol(shots=(0, 1)), passing=heard.append)
    assert [line.split(" questions")[0] for line in heard] == ["toy-choice: 12/12"]


def test_more_shots_than_there_are_records_cost_no_other_number() -> None:
    found = evaluate("m", unsure(), [CHOICE], Protocol(shots=(0, 2, 7)))
    assert [row["shots"] for row in found.rows] == [0, 2]
    assert ["7 demonstrations were asked for" in row["reason"] for row in found.failures] == [True]
