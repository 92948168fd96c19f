import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import ConfigError, DataError
from gptrilogy.finetuning.reading import check_labels, class_labels, examples, read_examples
from gptrilogy.finetuning.tables import Format, TableRow, read_lines
from gptrilogy.finetuning.tasks import Example, KindName

SharedData = Callable[[str], Path]


def read(
    kind: KindName, *records: Mapping[str, Any], columns: dict[str, str] | None = None, labelled: bool = True
) -> list[Example]:
    rows = [TableRow(record, f"a.jsonl:{number}") for number, record in enumerate(records, start=1)]
    return list(examples(rows, kind, columns or {}, labelled=labelled, source="a.jsonl"))


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(DataError) as raised:
        action()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def labels_of(*labels: str) -> list[Example]:
    return [Example(("a",), label=label, where=f"train.tsv:{number}") for number, label in enumerate(labels, start=1)]


@pytest.mark.parametrize(
    ("name", "n", "positive"),
    [("in_domain_train.tsv", 8551, 6023), ("in_domain_dev.tsv", 527, 365), ("out_of_domain_dev.tsv", 516, 354)],
)
def test_cola_is_read_by_the_numbers_of_its_columns(shared_data: SharedData, name: str, n: int, positive: int) -> None:
    path = shared_data(f"finetune/cola/{name}")
    found = list(read_examples(path, "classification", {"label": "1", "text": "3"}))
    assert len(found) == n
    assert Counter(example.label for example in found) == {"1": positive, "0": n - positive}
    assert [example.where for example in found] == [f"{path}:{line}" for line in range(1, n + 1)]
    assert class_labels(found, str(path)) == ("0", "1")


def test_snli_is_read_by_the_names_of_its_columns(shared_data: SharedData) -> None:
    for name, n in [("validation.tsv", 9842), ("test.tsv", 9824)]:
        found = list(read_examples(shared_data(f"finetune/snli/{name}"), "entailment", {}))
        assert len(found) == n
        assert class_labels(found, name) == ("0", "1", "2")


def test_sts_b_is_read_as_scores_and_refused_as_classes(shared_data: SharedData) -> None:
    path = shared_data("finetune/sts-b/stsb-en-train.csv")
    columns = {"first": "0", "second": "1", "label": "2"}
    found = list(read_examples(path, "regression", columns))
    assert len(found) == 5749
    assert {example.label for example in found} >= {0.0, 4.75, 5.0}
    message = refusal(lambda: class_labels(list(read_examples(path, "similarity", columns)), "stsb-en-train.csv"))
    assert message == (
        "stsb-en-train.csv: 140 different labels look like scores (5.0, 3.8, ...): give --task regression"
    )


def test_texts_stand_in_the_order_of_the_kind_whatever_that_of_the_columns() -> None:
    (example,) = read("entailment", {"label": "neutral", "hypothesis": "b", "premise": "a"})
    assert example == Example(("a", "b"), label="neutral", where="a.jsonl:1")


def test_a_choice_always_has_context_and_question_of_which_one_may_be_empty() -> None:
    answers = {"answers": ["yes", "no"], "label": 1}
    assert read("choice", {"question": "q", **answers})[0].texts == ("", "q")
    assert read("choice", {"context": "c", **answers})[0].texts == ("c", "")
    assert read("choice", {"context": "c", "question": "q", **answers})[0] == Example(
        ("c", "q"), ("yes", "no"), 1, "a.jsonl:1"
    )


def test_space_around_a_text_goes_and_space_inside_stays() -> None:
    (example,) = read("classification", {"text": "\t One  two\r\nthree \n", "label": " spam "})
    assert (example.texts, example.label) == (("One  two\nthree",), "spam")


def test_joined_texts_have_a_space_between() -> None:
    record = {"title": "Emma ", "body": "", "end": "A novel.", "label": "x"}
    assert read("classification", record, columns={"text": "title+body+end"})[0].texts == ("Emma A novel.",)


ANSWER_SHAPES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"answers": ["salt", "ice"]}, {}),
    ({"endings": ["salt", "ice"]}, {}),
    ({"one": "salt", "two": "ice"}, {"answers": "one+two"}),
    ({"one": ["salt"], "two": ["ice"]}, {"answers": "one+two"}),
    ({"choices": [{"text": "salt", "label": "A"}, {"text": "ice", "label": "B"}]}, {}),
    ({"choices": [{"text": "salt"}, {"text": "ice"}]}, {"answers": "choices.text"}),
    ({"choices": {"text": ["salt", "ice"], "label": ["A", "B"]}}, {"answers": "choices.text"}),
    ({"choices": {"text": ["salt", "ice"]}}, {}),
    ({"set": {"of": [{"say": "salt"}, {"say": "ice"}]}}, {"answers": "set.of.say"}),
]


@pytest.mark.parametrize(("record", "columns"), ANSWER_SHAPES)
@pytest.mark.parametrize("label", [1, "1", 1.0, "B", "ice"])
def test_answers_come_in_many_shapes_and_the_right_one_by_number_letter_or_text(
    record: dict[str, Any], columns: dict[str, str], label: object
) -> None:
    (example,) = read("choice", {"question": "Which melts?", "label": label, **record}, columns=columns)
    assert (example.answers, example.label) == (("salt", "ice"), 1)


def test_the_number_of_answers_may_differ_from_row_to_row() -> None:
    found = read(
        "choice",
        {"question": "q", "answers": ["a", "b"], "answerKey": "b"},
        {"question": "q", "answers": ["a", "b", "c", "d", "e"], "answerKey": "E"},
    )
    assert [(len(example.answers), example.label) for example in found] == [(2, 1), (5, 4)]


def test_numbers_that_label_answers_go_before_numbers_counted_from_0() -> None:
    choices = {"text": ["w", "x", "y", "z"], "label": ["1", "2", "3", "4"]}
    record = {"question": "q", "choices": choices}
    assert read("choice", {**record, "answerKey": "1"})[0].label == 0
    assert read("choice", {**record, "answerKey": "4"})[0].label == 3
    assert "label '0' is none of 4 answers: give one of ['1', '2', '3', '4']" in refusal(
        lambda: read("choice", {**record, "label": "0"})
    )


def test_a_number_that_is_one_answer_and_counts_to_another_is_not_guessed() -> None:
    record = {"question": "3 - 1?", "answers": ["1", "2", "3"]}
    message = refusal(lambda: read("choice", {**record, "label": "2"}))
    assert message.startswith("a.jsonl:1: label '2' means answers 1 and 2 (from 0), by place or by text")
    assert read("choice", {**record, "label": "B"})[0].label == 1
    assert read("choice", {**record, "label": 1})[0].label == 1


@pytest.mark.parametrize("label", [2, -1, "2", "C", "c", "melon", 0.5, 10**30])
def test_a_right_answer_that_is_none_is_refused(label: object) -> None:
    message = refusal(lambda: read("choice", {"question": "q", "answers": ["a", "b"], "label": label}))
    assert message.startswith("a.jsonl:1: label ")
    assert message.endswith("none of 2 answers: give 0 to 1, a letter from A to B, or the answer's text")


BAD_ROWS: list[tuple[KindName, dict[str, Any], str]] = [
    ("classification", {"text": " \u00a0\n", "label": "x"}, "text is empty: fill it in or remove the row"),
    ("classification", {"text": None, "label": "x"}, "text is empty"),
    ("classification", {"text": 5, "label": "x"}, "text must be text, got int 5"),
    ("classification", {"text": ["a"], "label": "x"}, "text must be text, got list ['a']"),
    ("classification", {"text": "half a \ud83d", "label": "x"}, r"\ud83d is half a surrogate pair and no character"),
    ("classification", {"text": "a", "label": "\ud83d"}, r"\ud83d is half a surrogate pair"),
    ("classification", {"text": "a", "label": " "}, "the label is empty: fill it in or remove the row"),
    ("classification", {"text": "a", "label": None}, "the label is empty"),
    ("classification", {"text": "a", "label": float("nan")}, "the label is empty"),
    ("classification", {"text": "a", "label": ["x"]}, "the label must be a name or a number, got list ['x']"),
    ("entailment", {"premise": "a", "hypothesis": "", "label": "x"}, "hypothesis is empty"),
    ("regression", {"text": "a", "label": "neutral"}, "regression needs a finite number as label, got 'neutral'"),
    ("regression", {"text": "a", "label": "inf"}, "regression needs a finite number as label, got 'inf'"),
    ("regression", {"text": "a", "label": [1]}, "regression needs a finite number as label, got [1]"),
    ("regression", {"text": "a", "label": 10**400}, "regression needs a finite number as label, got 1000"),
    ("choice", {"question": "q", "answers": ["a"], "label": 0}, "answers to choose from must be at least 2, got 1"),
    ("choice", {"question": "q", "answers": [], "label": 0}, "answers to choose from must be at least 2, got 0"),
    ("choice", {"question": "q", "answers": ["a", " "], "label": 0}, "answer 1, counted from 0, is empty"),
    ("choice", {"question": "q", "answers": ["a", 3], "label": 0}, "an answer must be text, got int 3"),
    ("choice", {"question": "q", "answers": [{"label": "A"}], "label": 0}, "an answer without text, only ['label']"),
    (
        "choice",
        {"question": "q", "answers": [{"text": "a", "label": "A"}, {"text": "b"}], "label": 0},
        "2 answers labelled ['A']: label each by its own, or none",
    ),
    (
        "choice",
        {"question": "q", "answers": {"text": ["a", "b"], "label": ["A"]}, "label": 0},
        "2 answers with labels ['A']: give one label a text",
    ),
    (
        "choice",
        {"question": "q", "answers": {"text": ["a", "b"], "label": [["A"], ["B"]]}, "label": 0},
        "the label must be a name or a number, got list ['A']",
    ),
]


@pytest.mark.parametrize(("kind", "record", "message"), BAD_ROWS)
def test_a_row_that_cannot_be_used_is_refused_with_its_place(
    kind: KindName, record: dict[str, Any], message: str
) -> None:
    assert refusal(lambda: read(kind, record)).startswith(f"a.jsonl:1: {message}")


def test_bad_rows_can_be_left_out_and_each_is_told() -> None:
    rows = [TableRow({"text": text, "label": "x"}, f"a:{n}") for n, text in enumerate(["one", "", "three"])]
    bad: list[DataError] = []
    found = examples(rows, "classification", {}, on_bad=bad.append)
    assert [example.texts for example in found] == [("one",), ("three",)]
    assert [str(error) for error in bad] == ["a:1: text is empty: fill it in or remove the row"]


def test_a_column_no_row_has_is_an_error_even_where_bad_rows_are_left_out() -> None:
    rows = [TableRow({"body": "one", "label": "x"}, "a:1")]
    assert "no column 'text'" in refusal(lambda: list(examples(rows, "classification", {}, on_bad=lambda _: None)))


def test_a_column_that_only_a_later_row_lacks_is_named_with_that_row() -> None:
    message = refusal(lambda: read("classification", {"text": "a", "label": "x"}, {"tekst": "b", "label": "y"}))
    assert message.startswith(
        "a.jsonl:2: no column 'text' for text, only tekst, label: did you mean --columns text=tekst"
    )


def test_values_nested_to_the_limit_of_json_are_refused_in_one_line() -> None:
    for depth in (100, 480, 900):
        value = "[" * depth + "]" * depth
        fields: list[tuple[str, KindName]] = [("first", "similarity"), ("label", "similarity"), ("answers", "choice")]
        for field, kind in fields:
            record = {
                "first": '"a"',
                "second": '"b"',
                "question": '"q"',
                "answers": '["a", "b"]',
                "label": "0",
                field: value,
            }
            line = "{" + ", ".join(f'"{key}": {json_value}' for key, json_value in record.items()) + "}\n"
            stream = io.BytesIO(line.encode())
            refusal(lambda stream=stream, kind=kind: list(examples(read_lines(stream, "jsonl"), kind, {})))


def test_without_labels_texts_are_read_and_labels_that_are_there_are_kept() -> None:
    found = read("classification", {"text": "a"}, {"text": "b", "label": 1}, {"text": "c", "label": ""}, labelled=False)
    assert [example.label for example in found] == [None, "1", None]
    columns = {"label": "1", "text": "0"}
    assert read("classification", {"0": "a"}, columns=columns, labelled=False)[0].label is None


def test_with_labels_a_table_that_has_none_is_refused() -> None:
    message = refusal(lambda: read("classification", {"text": "a", "lable": 1}))
    assert message == "a.jsonl:1: no column 'label' for label, only text, lable: did you mean --columns label=lable?"


def test_impossible_columns_are_refused_before_a_file_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean text"):
        read_examples(tmp_path / "absent.tsv", "classification", {"txt": "0"})


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tlabel\n")
    message = refusal(lambda: list(read_examples(tmp_path / "a.tsv", "classification", {})))
    assert message == f"{tmp_path / 'a.tsv'} holds no rows: give a table with one example a row"


def test_classes_are_ordered_by_value_if_whole_numbers_and_else_by_name() -> None:
    assert class_labels(labels_of("10", "9", "-1", "9"), "") == ("-1", "9", "10")
    assert class_labels(labels_of("10", "9", "x"), "") == ("10", "9", "x")
    assert class_labels(labels_of("0.5", "1.5", "0.5"), "") == ("0.5", "1.5")


def test_one_class_is_refused() -> None:
    assert refusal(lambda: class_labels(labels_of("spam", "spam"), "train.tsv")) == (
        "train.tsv: a classifier needs at least 2 classes, but the labels of its 2 examples are all 'spam': "
        "check --columns label=COLUMN"
    )


def test_scores_are_many_different_fractions() -> None:
    scores = [f"{number / 8}" for number in range(40)]
    assert len(class_labels(labels_of(*scores[:16]), "a")) == 16
    assert "look like scores (0.0, 0.125, 0.25, ...)" in refusal(lambda: class_labels(labels_of(*scores), "a"))
    versions = [f"{number / 8} beta" for number in range(40)]
    assert len(class_labels(labels_of(*versions), "a")) == 40
    assert len(class_labels(labels_of(*scores, "none"), "a")) == 41


def test_a_label_unseen_in_training_is_named_with_its_row_and_the_nearest() -> None:
    check_labels([*labels_of("ham", "spam"), Example(("a",))], ("ham", "spam"))
    assert refusal(lambda: check_labels(labels_of("ham", "spam", "spams"), ("ham", "spam"))) == (
        "train.tsv:3: label 'spams' did not occur in training: did you mean spam?"
    )
    assert refusal(lambda: check_labels(labels_of("2"), ("0", "1"))).endswith("known: 0, 1")


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(str.strip)
RECORDS = st.lists(st.fixed_dictionaries({"text": CELL, "label": CELL}), min_size=1, max_size=5)


@given(RECORDS)
def test_examples_are_the_same_from_each_form_of_table(records: list[dict[str, str]]) -> None:
    written = io.StringIO()
    writer = csv.DictWriter(written, ["text", "label"])
    writer.writeheader()
    writer.writerows(records)
    tsv = "\n".join(["label\ttext", *(f"{record['label']}\t{record['text']}" for record in records)])
    jsonl = "".join(json.dumps(record) + "\n" for record in records)
    contents: dict[Format, str] = {"csv": written.getvalue(), "tsv": tsv, "jsonl": jsonl}
    for form, content in contents.items():
        rows = read_lines(io.BytesIO(content.encode()), form)
        found = [(example.texts, example.label) for example in examples(rows, "classification", {})]
        assert found == [((record["text"].strip(),), record["label"].strip()) for record in records]
