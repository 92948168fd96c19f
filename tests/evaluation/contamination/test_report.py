import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.corpus.documents import Document
from gptrilogy.errors import DataError
from gptrilogy.evaluation.catalogue import TASKS
from gptrilogy.evaluation.contamination.report import (
    Examples,
    Scores,
    Setting,
    check_evaluated,
    divide_scores,
    find_overlaps,
    gram_length,
    is_synthetic,
    log_difference,
    read_examples,
    read_scores,
    scores_of,
    symmetric_difference,
)
from gptrilogy.evaluation.items import Cloze
from gptrilogy.evaluation.task import Record, Task
from gptrilogy.files import write_json

ROW = {"model": "m", "task": "t", "shots": 0, "draw": 0, "rule": "token", "metric": "acc", "record": 1, "value": 1.0}


def cloze(record: Record, _shots: int, /) -> Sequence[Cloze]:
    return [Cloze(record["context"], completion) for completion in record["completions"]]


def task(*records: Record, source: str = "GPT3 §3.1") -> Task:
    def generate(_split: str) -> Iterator[Record]:
        yield from records

    return Task(name="t", title="A test", source=source, items=cloze, measures=(), generate=generate)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_example_is_what_a_demonstration_shows_of_each_question() -> None:
    records = (
        {"context": "The sky is", "completions": [" blue", " blue", " grey"]},
        {"context": "a", "completions": [""]},
    )
    assert read_examples(task(*records), None).texts == ("The sky is blue\nThe sky is grey", "a")


@pytest.mark.parametrize(
    ("name", "folder", "total", "n"),
    [
        ("hellaswag", "hellaswag", 10_042, 13),
        ("winograd", "wsc273", 273, 9),
        ("winogrande", "winogrande", 1267, 13),
        ("lambada", "lambada", 5153, 13),
        ("nq", "nq-open", 3610, 11),
        ("webquestions", "webquestions", 2032, 8),
    ],
)
def test_published_files_have_the_n_and_the_totals_of_table_c1(
    name: str, folder: str, total: int, n: int, shared_data: Callable[[str], Path]
) -> None:
    examples = read_examples(TASKS[name], shared_data(f"eval/{folder}").parent)
    assert (len(examples.texts), examples.n) == (total, n)


@pytest.mark.parametrize(("name", "n"), [("random-insertion-released", 7), ("anagrams2-released", 2)])
def test_tasks_on_letters_have_the_n_of_table_c1(name: str, n: int) -> None:
    """On words of our own list, as long as the published ones."""
    assert read_examples(TASKS[name], None).n == n


def test_n_is_the_fifth_percentile_within_bounds() -> None:
    lengths = [9] * 6 + [30] * 94
    assert gram_length(lengths, synthetic=False) == 9
    assert gram_length(lengths[2:], synthetic=False) == 13
    assert gram_length([3] * 9, synthetic=False) == 8
    assert gram_length([1] * 9, synthetic=True) == 2


def test_only_made_up_tasks_may_have_fewer_words() -> None:
    assert not is_synthetic(task(source="GPT3 §3.9.3, Figure G.12"))
    assert is_synthetic(task(source="GPT3 §3.9.2, Figure G.23"))
    short = {"context": "tcejbo =", "completions": [" object"]}
    assert read_examples(task(short, source="GPT3 §3.9.2"), None).n == 2
    assert read_examples(task(short), None).n == 8


def test_dirty_examples_go_to_their_tasks() -> None:
    one, other = task(), replace(task(), name="other")
    examples = [Examples(one, ("a b c", "d e f"), 3), Examples(other, ("a b", "x", "e f"), 2)]
    overlaps, searched = find_overlaps(examples, [Document("d e f a b", "doc", "source")])
    assert [list(overlap.dirty) for overlap in overlaps] == [[1], [0, 2]]
    assert [(overlap.total, overlap.n_clean, overlap.clean_share) for overlap in overlaps] == [
        (2, 1, 0.5),
        (3, 1, 1 / 3),
    ]
    assert overlaps[0].dirty[1].passage == "d e f"
    assert (searched.documents, searched.chars) == (1, 9)


def test_scores_are_divided_into_dirty_and_clean() -> None:
    values = [(0, 1.0), (1, 0.0), (0, 0.5), (1, 0.0)]  # two draws
    assert divide_scores(values, {0}) == Scores(all=0.375, dirty=0.75, clean=0.0)
    assert divide_scores(values, {}) == Scores(0.375, None, 0.375)
    assert divide_scores(values, {0, 1}) == Scores(0.375, 0.375, None)


def test_perplexities_have_the_mean_that_an_evaluation_has() -> None:
    values = [(0, 2.0), (1, 8.0), (2, 4.0)]
    scores = divide_scores(values, {0}, geometric=True)
    assert [round(score or 0, 12) for score in scores] == [4.0, 2.0, round(math.sqrt(32), 12)]
    assert divide_scores([], {0}, geometric=True) == Scores(None, None, None)
    with pytest.raises(DataError, match="a perplexity of 0 or less cannot be"):
        divide_scores([(0, 0.0)], {0}, geometric=True)
    overlaps, _ = find_overlaps([Examples(task(), ("a b", "c d"), 2)], [Document("a b", "doc", "source")])
    [(_, scores)] = scores_of(overlaps[0], {Setting("m", "t", 0, "likelihood", "ppl"): [(0, 2.0), (1, 8.0)]})
    assert scores.all == pytest.approx(4)


def test_scores_of_other_files_are_refused(tmp_path: Path) -> None:
    examples = [Examples(task(), ("a b",), 2, {"test.jsonl": "one"})]
    check_evaluated(tmp_path, examples)  # records alone say nothing of files
    for files in ({"t": {"test.jsonl": "one"}}, {"t": {"train.jsonl": "two"}}, {}):
        write_json(tmp_path / "results.json", {"files": files})
        check_evaluated(tmp_path / "records.jsonl", examples)
    write_json(tmp_path / "results.json", {"files": {"t": {"test.jsonl": "two"}}})
    with pytest.raises(DataError, match=r"has scores of another test\.jsonl of t: give --data the folder that "):
        check_evaluated(tmp_path, examples)
    for wrong in ([], {}, {"files": {"t": 5}}):
        write_json(tmp_path / "results.json", wrong)
        with pytest.raises(DataError, match=r"results\.json is not what `gpt evaluate --out` wrote"):
            check_evaluated(tmp_path, examples)


def test_both_differences_give_the_papers_figures_and_the_plain_one_does_not() -> None:
    """QuAC and DROP of Table C.1."""
    for all_score, clean_score, printed in ((44.3, 54.1, 20), (36.5, 29.5, -21)):
        for difference in (log_difference, symmetric_difference):
            assert round(100 * (difference(all_score, clean_score) or 0)) == printed
        assert round(100 * (clean_score - all_score) / all_score) != printed


def test_scores_of_nothing_have_no_difference() -> None:
    assert log_difference(0.0, 0.5) is None
    assert symmetric_difference(0.0, 0.0) is None
    assert symmetric_difference(0.0, 0.5) == 2
    assert Scores(0.5, 0.5, None).log_difference is None
    assert Scores(0.5, 0.5, None).symmetric_difference is None
    assert Scores(0.5, None, 0.5).log_difference == Scores(0.5, None, 0.5).symmetric_difference == 0
    assert math.isclose(Scores(1.0, None, math.e).log_difference or 0, 1)


def test_scores_are_read_by_setting(tmp_path: Path) -> None:
    write(tmp_path / "records.jsonl", ROW, ROW | {"draw": 1, "value": 0}, ROW | {"shots": 32}, ROW | {"metric": "f1"})
    read = read_scores(tmp_path)
    assert read == read_scores(tmp_path / "records.jsonl")
    assert read[Setting("m", "t", 0, "token", "acc")] == [(1, 1.0), (1, 0.0)]
    assert list(read) == [
        Setting("m", "t", 0, "token", "acc"),
        Setting("m", "t", 32, "token", "acc"),
        Setting("m", "t", 0, "token", "f1"),
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({key: value for key, value in ROW.items() if key != "value"}, "row 2 has no field value"),
        (ROW | {"record": "1"}, "row 2: record must be a number, got '1'"),
        (ROW | {"record": True}, "row 2: record must be a number, got True"),
        (ROW | {"rule": None}, "row 2: rule must be text, got None"),
        (ROW | {"record": -1}, "row 2: record -1 with the value 1.0 cannot be"),
        (ROW | {"value": math.nan}, "row 2: record 1 with the value nan cannot be"),
    ],
)
def test_rows_that_are_no_scores_are_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=re.escape(said)):
        read_scores(write(tmp_path / "records.jsonl", ROW, row))


def test_scores_that_are_missing_or_of_other_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no records.jsonl: name the folder that `gpt evaluate --out` wrote"):
        read_scores(tmp_path)
    overlaps, _ = find_overlaps([Examples(task(), ("a b", "c d"), 2)], [Document("a b", "doc", "source")])
    scores = {
        Setting("m", "t", 0, "token", "acc"): [(0, 1.0), (1, 0.0)],
        Setting("m", "u", 0, "token", "acc"): [(9, 1.0)],
    }
    assert scores_of(overlaps[0], scores) == [(Setting("m", "t", 0, "token", "acc"), Scores(0.5, 1.0, 0.0))]
    with pytest.raises(DataError, match="the scores of t speak of record 3, its test file has 2"):
        scores_of(overlaps[0], {Setting("m", "t", 0, "token", "acc"): [(2, 1.0)]})
