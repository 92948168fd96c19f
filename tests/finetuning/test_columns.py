from typing import Any

import pytest

from gptrilogy.errors import ConfigError, DataError
from gptrilogy.finetuning.columns import Cells, Columns, check_columns
from gptrilogy.finetuning.tables import TableRow
from gptrilogy.finetuning.tasks import KindName


def cells(values: dict[str, Any], **columns: str) -> Cells:
    return Cells(TableRow(values, "a.tsv:2"), columns)


def refusal(given: Cells, field: str) -> str:
    with pytest.raises(DataError) as raised:
        given.get(field)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_column_said_goes_before_the_fields_own_name_and_that_before_an_alias() -> None:
    values = {"text": "own", "sentence": "alias", "body": "said"}
    assert cells(values, text="body").get("text") == ["said"]
    assert cells(values).get("text") == ["own"]
    assert cells({"sentence": "alias"}).get("text") == ["alias"]


def test_a_column_may_have_any_name_even_one_that_looks_joined_or_like_a_path() -> None:
    values = {"a+b": "joined", "c.d": "path", "c": {"d": "inside"}}
    assert cells(values, text="a+b").get("text") == ["joined"]
    assert cells(values, text="c.d").get("text") == ["path"]
    assert cells({"a+": "0", "C++": 1}, label="C++").get("label") == [1]


def test_several_columns_come_in_the_order_they_are_joined_in() -> None:
    values = {"one": "1", "two": "2", "more": {"three": "3"}}
    assert cells(values, answers="two+one+more.three").get("answers") == ["2", "1", "3"]


def test_a_path_goes_through_objects_and_into_each_element_of_a_list() -> None:
    values = {"question": {"stem": "Why?", "options": [{"body": "a"}, {"body": "b"}]}}
    assert cells(values, question="question.stem").get("question") == ["Why?"]
    assert cells(values, answers="question.options.body").get("answers") == [["a", "b"]]


def test_the_path_to_the_texts_of_answers_leads_to_their_labels_too() -> None:
    choices = {"text": ["a", "b"], "label": ["1", "2"]}
    assert cells({"choices": choices}, answers="choices.text").get("answers") == [choices]
    assert cells({"choices.text": "plain"}, answers="choices.text").get("answers") == ["plain"]


def test_a_missing_column_is_named_with_what_there_is_and_the_nearest() -> None:
    assert refusal(cells({"sentense": "x", "label": "1"}, text="sentence"), "text") == (
        "a.tsv:2: no column 'sentence' for text, only sentense, label: did you mean --columns text=sentense?"
    )
    assert refusal(cells({"sentense": "x", "label": "1"}), "text").endswith("did you mean --columns text=sentense?")
    assert refusal(cells({"x": "a", "y": "b"}), "premise") == (
        "a.tsv:2: no column 'premise' for premise, only x, y: name one with --columns premise=COLUMN"
    )


def test_a_missing_key_on_a_path_is_named_with_the_keys_there_are() -> None:
    message = refusal(cells({"question": {"stem": "Why?"}}, question="question.stam"), "question")
    assert message.startswith("a.tsv:2: no column 'stam' for question, only stem: did you mean")
    assert "no column 'deeper' for question, only none" in refusal(cells({"a": "x"}, question="a.deeper"), "question")


def test_a_number_where_columns_have_names_says_how_numbers_work() -> None:
    message = refusal(cells({"text": "x", "label": "1"}, text="text", label="1"), "label")
    assert message.endswith("number all columns, from 0, where there is no header, and name them where there is one")


def test_a_table_of_hundreds_of_columns_names_the_first() -> None:
    message = refusal(cells({f"c{number}": "" for number in range(500)}), "hypothesis")
    assert "c19, ...: name one" in message


def test_columns_with_odd_names_are_still_one_short_line() -> None:
    message = refusal(cells({"te\nxt": "a", "y" * 1000: "b"}), "text")
    assert message == (
        "a.tsv:2: no column 'text' for text, only 'te\\nxt', 'yyyyyyyyyyyy...yyyyyyyyyyyyy': "
        "did you mean --columns text='te\\nxt'?"
    )


def test_the_way_is_the_first_that_is_complete() -> None:
    assert cells({"context": "c", "question": "q", "answers": []}).way("choice") == ("context", "question", "answers")
    assert cells({"context": "c", "answers": []}).way("choice") == ("context", "answers")
    assert cells({"sentence1": "a", "sentence2": "b"}).way("regression") == ("first", "second")
    assert cells({"sentence": "a"}).way("regression") == ("text",)


def test_the_way_uses_every_field_that_was_given_a_column() -> None:
    values = {"sentence1": "a", "sentence2": "b", "title": "c"}
    assert cells(values, text="title").way("regression") == ("text",)


def test_the_way_that_comes_closest_says_what_is_missing() -> None:
    with pytest.raises(DataError, match="no column 'second' for second, only first"):
        cells({"first": "a"}, first="first").way("regression")
    with pytest.raises(DataError, match="no column 'answers' for answers, only question"):
        cells({"question": "a"}).way("choice")


@pytest.mark.parametrize(
    ("kind", "columns", "message"),
    [
        (
            "entailment",
            {"premis": "a"},
            "entailment has no field 'premis' to take from a column: did you mean premise?",
        ),
        ("classification", {"first": "a"}, "known: text, label"),
        (
            "regression",
            {"text": "a", "first": "b"},
            "regression takes first[+]second or text, but columns are given for",
        ),
        ("classification", {"text": ""}, "text must be the name or number of a column"),
    ],
)
def test_columns_that_no_table_could_satisfy_are_refused(kind: KindName, columns: Columns, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_columns(kind, columns)
