import gzip
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gptrilogy.errors import ConfigError, DataError, MissingExtraError
from gptrilogy.finetuning.published import find_published, find_split, read_hub, read_published
from gptrilogy.finetuning.published_layouts import PUBLISHED
from gptrilogy.finetuning.published_questions import Split
from gptrilogy.finetuning.tasks import KINDS, Example
from published_files import MRPC_HEADER, folder, jsonl, only, read, refusal, tsv

SharedData = Callable[[str], Path]


def test_every_data_set_says_what_its_kind_needs() -> None:
    for name, data in PUBLISHED.items():
        kind = KINDS[data.kind]
        for layout in data.layouts:
            assert any(set(way) == set(layout.columns) - {"label"} for way in kind.fields), name
        assert data.hub is None or set(data.hub.columns) == set(data.columns), name
        assert data.metrics, name


def test_every_data_set_of_gpt1s_tables_is_there_with_its_metric() -> None:
    first = {name: data.metrics[0] for name, data in PUBLISHED.items()}
    assert (
        first.items()
        >= {
            "cola": "matthews",
            "sst2": "accuracy",
            "mrpc": "f1",
            "stsb": "pearson",
            "qqp": "f1",
            "mnli": "accuracy",
            "qnli": "accuracy",
            "rte": "accuracy",
            "snli": "accuracy",
            "scitail": "accuracy",
            "race": "accuracy",
            "storycloze": "accuracy",
        }.items()
    )


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="known as 'sst-2': did you mean sst2"):
        find_published("sst-2")
    with pytest.raises(ConfigError, match="did you mean cola"):
        read_published("colla", Path(), "train")


def test_cola_as_released_has_two_files_for_validation(shared_data: SharedData) -> None:
    path = shared_data("finetune/cola")
    train, notes = read("cola", path, "train")
    assert (len(train), notes) == (PUBLISHED["cola"].n_train, [])
    valid, notes = read("cola", path, "valid")
    assert (len(valid), notes) == (527 + 516, [])
    assert find_split(find_published("cola"), path, "valid") == [
        path / "in_domain_dev.tsv",
        path / "out_of_domain_dev.tsv",
    ]


def test_sts_b_in_its_headerless_form(shared_data: SharedData) -> None:
    sizes: dict[Split, int] = {"train": 5749, "valid": 1500, "test": 1379}
    for split, n in sizes.items():
        found, notes = read("stsb", shared_data("finetune/sts-b"), split)
        assert (len(found), notes) == (n, [])
        assert all(isinstance(example.label, float) and 0 <= example.label <= 5 for example in found)


def test_snli_with_numbers_for_labels_gets_their_names(shared_data: SharedData) -> None:
    found, notes = read("snli", shared_data("finetune/snli"), "valid")
    assert (len(found), notes) == (9842, [])
    assert Counter(example.label for example in found) == {"entailment": 3329, "contradiction": 3278, "neutral": 3235}
    assert len(read("snli", shared_data("finetune/snli"), "test")[0]) == 9824


def test_a_split_that_is_not_there_names_the_files_looked_for(shared_data: SharedData) -> None:
    path = shared_data("finetune/snli")
    assert refusal("snli", path, "train") == (
        f"{path} holds no train split, looked for snli_1.0_train.jsonl; or snli_1.0_train.txt; or train.tsv; "
        "or train-*.parquet: give the folder of these"
    )
    assert "in_domain_dev.tsv and out_of_domain_dev.tsv; or dev.tsv" in refusal("cola", path, "valid")


PARSES = ["sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse"]
SENTENCES = ["sentence1", "sentence2"]
STSB_HEADER = ["index", "genre", "filename", "year", "old_index", "source1", "source2", *SENTENCES, "score"]
MNLI_HEADER = ["index", "promptID", "pairID", "genre", *PARSES, *SENTENCES, "label1", "gold_label"]
SNLI_HEADER = ["gold_label", *PARSES, *SENTENCES, "captionID", "pairID", *(f"label{number}" for number in range(1, 6))]
QQP_HEADER = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]

AS_IN_GLUE: list[tuple[str, dict[str, str], tuple[str, ...], str | float]] = [
    ("cola", {"train.tsv": tsv(["gj04", "1", "", 'He said "hm.'])}, ('He said "hm.',), "1"),
    ("sst2", {"train.tsv": tsv(["sentence", "label"], ["hide new secretions ", "0"])}, ("hide new secretions",), "0"),
    (
        "mrpc",
        {"train.tsv": "\ufeff" + tsv(MRPC_HEADER, ["1", "70", "71", '"One', "Uno"])},
        ('"One', "Uno"),
        "1",
    ),
    (
        "stsb",
        {"train.tsv": tsv(STSB_HEADER, ["0", "main", "MSRvid", "2012", "1", "none", "none", "A.", "B.", "3.800"])},
        ("A.", "B."),
        3.8,
    ),
    ("qqp", {"train.tsv": tsv(QQP_HEADER, ["1", "2", "3", "How?", "Why?", "0"])}, ("How?", "Why?"), "0"),
    (
        "mnli",
        {"train.tsv": tsv(MNLI_HEADER, [*"0123", "( a )", "( b )", "(A)", "(B)", "A.", "B.", "neutral", "neutral"])},
        ("A.", "B."),
        "neutral",
    ),
    (
        "qnli",
        {"train.tsv": tsv(["index", "question", "sentence", "label"], ["0", "When?", "Then.", "not_entailment"])},
        ("When?", "Then."),
        "not_entailment",
    ),
    (
        "rte",
        {"train.tsv": tsv(["index", "sentence1", "sentence2", "label"], ["0", "A.", "B.", "entailment"])},
        ("A.", "B."),
        "entailment",
    ),
]


@pytest.mark.parametrize(("name", "files", "texts", "label"), AS_IN_GLUE)
def test_glue_is_read_as_published(
    tmp_path: Path, name: str, files: Mapping[str, str], texts: tuple[str, ...], label: str | float
) -> None:
    example = only(name, folder(tmp_path, files), "train")
    assert (example.texts, example.answers, example.label) == (texts, (), label)


def test_glues_test_sets_have_no_labels(tmp_path: Path) -> None:
    folder(tmp_path, {"test.tsv": tsv(["index", "sentence"], ["0", "Bill whistled past the house."])})
    for name in ("cola", "sst2"):
        assert only(name, tmp_path, "test", labelled=False).texts == ("Bill whistled past the house.",)
        assert only(name, tmp_path, "test", labelled=False).label is None
        assert "no column 'label' for label, only index, sentence" in refusal(name, tmp_path, "test")


def test_mnli_validates_on_the_matched_set_and_on_the_other_if_asked(tmp_path: Path) -> None:
    header = [*MNLI_HEADER[:-1], "label2", "label3", "label4", "label5", "gold_label"]
    for which in ("matched", "mismatched"):
        row = [*"0123", "", "", "", "", which, "B.", *["entailment"] * 6]
        folder(tmp_path, {f"dev_{which}.tsv": tsv(header, row)})
    assert only("mnli", tmp_path, "valid").texts == ("matched", "B.")
    assert only("mnli", tmp_path / "dev_mismatched.tsv", "valid").texts == ("mismatched", "B.")


def test_rows_broken_as_published_are_left_out_and_said(tmp_path: Path) -> None:
    good = [[str(n), "1", "2", "How?", "Why?", "0"] for n in range(1998)]
    broken = [['"', "Was he?", "0"], ["1999", "1", "2", "", "Why?", "1"]]
    folder(tmp_path, {"train.tsv": tsv(QQP_HEADER, *good, *broken)})
    found, notes = read("qqp", tmp_path, "train")
    assert len(found) == 1998
    first = f"{tmp_path}/train.tsv:2000: a row of 3 cells, where the header has 6: correct it or remove it"
    assert notes == [f"{tmp_path}: 2 of 2000 rows left out, broken as published; the first: {first}"]


def test_a_file_with_more_broken_rows_than_any_published_is_refused(tmp_path: Path) -> None:
    good = [[str(n), "1", "2", "How?", "Why?", "0"] for n in range(998)]
    folder(tmp_path, {"train.tsv": tsv(QQP_HEADER, *good, ["broken"])})
    assert refusal("qqp", tmp_path, "train").startswith(
        f"{tmp_path}: 1 of 999 rows cannot be used, where published files"
    )


SNLI_ROW = {"sentence1": "A man.", "sentence2": "A human.", "gold_label": "entailment", "annotator_labels": ["x"]}


@pytest.mark.parametrize("below", ["", "snli_1.0/", "original/"])
def test_snli_as_released_leaves_out_what_its_annotators_disagree_on(tmp_path: Path, below: str) -> None:
    undecided = {**SNLI_ROW, "gold_label": "-", "sentence2": "A poet."}
    folder(tmp_path, {f"{below}snli_1.0_train.jsonl": jsonl(SNLI_ROW, undecided, SNLI_ROW)})
    found, notes = read("snli", tmp_path, "train")
    assert [example.label for example in found] == ["entailment", "entailment"]
    assert notes == [f"{tmp_path}: 1 of 3 examples left out, whose annotators did not agree on a label"]
    found, notes = read("snli", tmp_path, "train", labelled=False)
    assert ([example.label for example in found], notes) == (["entailment", None, "entailment"], [])


def test_a_split_without_any_label_is_refused_for_training(tmp_path: Path) -> None:
    folder(tmp_path, {"snli_1.0_dev.jsonl": jsonl({**SNLI_ROW, "gold_label": "-"})})
    assert refusal("snli", tmp_path, "valid").endswith(
        "none of 1 examples has a label: take another split, or only predict"
    )


def test_snli_as_tables_of_text(tmp_path: Path) -> None:
    row = ["neutral", "( a )", "( b )", "(A)", "(B)", "A man.", "A poet.", "1.jpg#0", "1.jpg#0r1n", *["neutral"] * 5]
    folder(tmp_path, {"snli_1.0_test.txt": tsv(SNLI_HEADER, row)})
    assert only("snli", tmp_path, "test") == Example(
        ("A man.", "A poet."), label="neutral", where=f"{tmp_path}/snli_1.0_test.txt:2"
    )


def test_scitail_has_no_header_and_no_quoting(tmp_path: Path) -> None:
    rows = tsv(['"Based on mass, it sinks.', "It sinks.", "entails"], ["A.", 'B."', "neutral"])
    folder(tmp_path, {"tsv_format/scitail_1.0_train.tsv": rows})
    found, _ = read("scitail", tmp_path, "train")
    assert [(example.texts[0], example.label) for example in found] == [
        ('"Based on mass, it sinks.', "entails"),
        ("A.", "neutral"),
    ]


def test_openbookqa_and_arc_as_released(tmp_path: Path) -> None:
    def question(labels: str, key: str) -> dict[str, Any]:
        choices = [{"text": f"answer {label}", "label": label} for label in labels]
        return {"id": "7-980", "question": {"stem": "The sun is", "choices": choices}, "answerKey": key}

    folder(tmp_path, {"Data/Main/train.jsonl": jsonl(question("ABCD", "D"))})
    folder(tmp_path, {"ARC-Easy/ARC-Easy-Dev.jsonl": jsonl(question("1234", "1"), question("ABC", "B"))})
    folder(tmp_path, {"ARC-Challenge/ARC-Challenge-Dev.jsonl": jsonl(question("ABCDE", "E"))})
    assert only("openbookqa", tmp_path, "train") == Example(
        ("", "The sun is"),
        ("answer A", "answer B", "answer C", "answer D"),
        3,
        f"{tmp_path}/Data/Main/train.jsonl:1",
    )
    assert [example.label for example in read("arc_easy", tmp_path, "valid")[0]] == [0, 1]
    assert only("arc_challenge", tmp_path, "valid").label == 4


def test_one_file_is_read_by_its_name_or_else_by_its_suffix(tmp_path: Path) -> None:
    folder(tmp_path, {"mine.tsv": tsv(["x", "1", "", "Mine."]), "test.tsv": tsv(["index", "sentence"], ["0", "No."])})
    assert only("cola", tmp_path / "mine.tsv", "train").texts == ("Mine.",)
    assert only("cola", tmp_path / "test.tsv", "test", labelled=False).texts == ("No.",)
    (tmp_path / "dev.tsv.gz").write_bytes(gzip.compress(b"x\t0\t*\tDev the.\n"))
    assert only("cola", tmp_path / "dev.tsv.gz", "valid").texts == ("Dev the.",)


def test_a_path_that_is_nothing_of_the_data_set_is_refused(tmp_path: Path) -> None:
    assert refusal("cola", tmp_path / "absent", "train").startswith(f"there is no {tmp_path}/absent: give the folder")
    folder(tmp_path, {"notes.md": "x"})
    assert refusal("sst2", tmp_path / "notes.md", "train") == (
        f"{tmp_path}/notes.md is no file of this data set, which come as .tsv, .parquet: "
        "give its folder, or name a kind"
    )


def test_a_copy_of_the_hubs_files_is_read_offline(tmp_path: Path) -> None:
    (tmp_path / "rte").mkdir()
    table = pa.table({"sentence1": ["A."], "sentence2": ["B."], "label": [1], "idx": [0]})
    pq.write_table(table, tmp_path / "rte" / "validation-00000-of-00001.parquet")
    example = only("rte", tmp_path, "valid")
    assert (example.texts, example.label) == (("A.", "B."), "not_entailment")


HUB_ROWS: list[tuple[str, dict[str, Any], Example]] = [
    ("cola", {"sentence": "So.", "label": 1, "idx": 0}, Example(("So.",), label="1")),
    ("mrpc", {"sentence1": "A", "sentence2": "B", "label": 0, "idx": 0}, Example(("A", "B"), label="0")),
    ("stsb", {"sentence1": "A", "sentence2": "B", "label": 3.8, "idx": 0}, Example(("A", "B"), label=3.8)),
    ("qqp", {"question1": "A", "question2": "B", "label": 1, "idx": 0}, Example(("A", "B"), label="1")),
    ("mnli", {"premise": "A", "hypothesis": "B", "label": 2}, Example(("A", "B"), label="contradiction")),
    ("qnli", {"question": "A", "sentence": "B", "label": 0}, Example(("A", "B"), label="entailment")),
    ("snli", {"premise": "A", "hypothesis": "B", "label": 1}, Example(("A", "B"), label="neutral")),
    ("scitail", {"sentence1": "A", "sentence2": "B", "gold_label": "entailment"}, Example(("A", "B"), label="entails")),
    (
        "race",
        {"article": "C", "question": "Q", "options": ["a", "b", "c", "d"], "answer": "C"},
        Example(("C", "Q"), ("a", "b", "c", "d"), 2),
    ),
    (
        "openbookqa",
        {"question_stem": "Q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"},
        Example(("", "Q"), ("a", "b"), 1),
    ),
    (
        "arc_easy",
        {"question": "Q", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"},
        Example(("", "Q"), ("a", "b"), 1),
    ),
]


@pytest.mark.parametrize(("name", "record", "expected"), HUB_ROWS)
def test_the_hubs_rows_give_the_same_examples(
    monkeypatch: pytest.MonkeyPatch, name: str, record: dict[str, Any], expected: Example
) -> None:
    asked: list[tuple[str, str | None, str]] = []

    def load_dataset(dataset: str, config: str | None, split: str) -> datasets.Dataset:
        asked.append((dataset, config, split))
        return datasets.Dataset.from_list([record])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    (example,) = read_hub(name, "valid")
    assert (example.texts, example.answers, example.label) == (expected.texts, expected.answers, expected.label)
    hub = PUBLISHED[name].hub
    assert hub is not None
    assert asked == [(hub.dataset, hub.config, "validation_matched" if name == "mnli" else "validation")]


def test_what_the_hub_cannot_give_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: object, **__: object) -> object:
        raise ConnectionError("Couldn't reach\n'nyu-mll/glue' on the Hub")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(
        DataError, match=r"cannot get nyu-mll/glue from the .* hub: Couldn't reach 'nyu-mll/glue' on the"
    ):
        list(read_hub("cola", "train"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"reading cola .* pip install 'gptrilogy\[datasets\]'"):
        list(read_hub("cola", "train"))
    with pytest.raises(ConfigError, match="storycloze is given out by its authors only"):
        list(read_hub("storycloze", "train"))
