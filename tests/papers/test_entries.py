"""Published scores in one shape."""

from collections import Counter

import pytest

from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.catalogue import TASKS
from gptrilogy.models.config import PRESETS
from gptrilogy.papers.entries import PARTS, all_entries, find_entries, is_size, table_entries
from gptrilogy.papers.misprints import MISPRINTS
from gptrilogy.papers.protocols import PROTOCOLS
from gptrilogy.papers.tables import TABLES


def test_no_two_entries_have_one_name() -> None:
    names = Counter(entry.name for entry in all_entries())
    assert [name for name, times in names.items() if times > 1] == []


def test_every_entry_has_the_score_of_a_preset() -> None:
    for entry in all_entries():
        assert entry.values, entry.name
        assert set(entry.values) <= set(PRESETS)
        assert entry.setting in {"zeroshot", "oneshot", "fewshot", "finetuned"}


def test_a_column_is_a_size_or_another_system() -> None:
    assert [is_size(name) for name in ("gpt1", "gpt3-175b", "GPT-2 no hint", "state of the art")] == [
        True,
        True,
        False,
        False,
    ]


def test_an_entry_reads_as_its_table() -> None:
    accuracy, perplexity = find_entries("gpt3-lambada-fewshot")
    assert (accuracy.title, accuracy.metric, accuracy.shots, accuracy.split) == ("LAMBADA", "acc", 15, "test")
    assert (accuracy.values["gpt3-small"], accuracy.values["gpt3-175b"]) == (22.0, 86.4)
    assert accuracy.others == {"state of the art": 68.0}
    assert (perplexity.name, perplexity.values["gpt3-175b"]) == ("gpt3-lambada-fewshot-ppl", 1.92)


def test_the_test_server_counts_as_another_system() -> None:
    (entry,) = find_entries("gpt3-piqa-fewshot")
    assert entry.others["175b on the test server"] == 82.8


def test_a_result_is_found_in_all_its_settings_in_one_or_in_one_metric() -> None:
    names = [entry.name for entry in find_entries("gpt3-boolq")]
    assert names == ["gpt3-boolq-zeroshot", "gpt3-boolq-oneshot", "gpt3-boolq-fewshot"]
    assert [entry.name for entry in find_entries("gpt3-cb-oneshot-f1")] == ["gpt3-cb-oneshot-f1"]


def test_what_the_paper_leaves_out_is_none() -> None:
    (entry,) = find_entries("gpt2-nq")
    assert (entry.shots, entry.split) == (None, "")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gpt3-lambda-fewshot", "did you mean gpt3-lambada-fewshot?"),
        ("hellaswag", "did you mean gpt3-hellaswag?"),
        ("x", "`gpt papers list gpt3-h.1` has most"),
    ],
)
def test_an_unknown_result_is_refused_with_the_nearest_name(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        find_entries(name)
    assert str(refused.value) == f"the ledger has no result {name}; {hint}"


def test_a_table_without_results_says_which_have_some() -> None:
    with pytest.raises(ConfigError, match=r"^gpt3-d\.1 holds no results of tasks; those that do are gpt1-2, gpt1-3"):
        table_entries("gpt3-d.1")


def test_tables_that_repeat_the_complete_one_agree_with_it() -> None:
    complete = {(entry.name, "gpt3-175b"): entry.values["gpt3-175b"] for entry in table_entries("gpt3-h.1")}
    on_server = {entry.name: entry.others.get("175b on the test server") for entry in table_entries("gpt3-h.1")}
    for table in PARTS:
        for entry in table_entries(table):
            served = table == "gpt3-3.8"
            expected = on_server[entry.name] if served else complete[entry.name, "gpt3-175b"]
            assert entry.values["gpt3-175b"] == expected, f"{table} {entry.name}"


def test_every_result_has_a_protocol_and_every_protocol_a_result() -> None:
    assert {entry.result for entry in all_entries()} == set(PROTOCOLS)


def test_every_task_that_names_a_published_result_names_one_of_the_ledger() -> None:
    results = {entry.result for entry in all_entries()}
    assert {task.published for task in TASKS.values() if task.published} - results == set()


def test_misprints_concern_tables_and_results_that_there_are() -> None:
    known = {*TABLES, *(entry.result for entry in all_entries())}
    assert [name for misprint in MISPRINTS.values() for name in misprint.concerns if name not in known] == []
