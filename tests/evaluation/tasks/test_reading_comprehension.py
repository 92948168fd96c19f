"""Passages with their questions, read from files in the published nesting and asked as printed."""

import json
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import Split, demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Free, Outcome
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.reading_comprehension import TASKS

COQA, COQA_GPT2, QUAC, SQUADV2, DROP = TASKS
STORY = "Ann had a dog. It was old."
NONE = "CANNOTANSWER"


def turn(text: str) -> dict[str, Any]:
    return {"input_text": text, "turn_id": 1}


def number(value: str) -> dict[str, Any]:
    return {"number": value, "date": {"day": "", "month": "", "year": ""}, "spans": []}


def spans(*values: str) -> dict[str, Any]:
    return {"number": "", "date": {"day": "", "month": "", "year": ""}, "spans": list(values)}


COQA_FILE: dict[str, Any] = {
    "version": "1.0",
    "data": [
        {
            "id": "s1",
            "story": STORY,
            "questions": [turn("What did Ann have?"), turn("Was it young?")],
            "answers": [turn("a dog"), turn("no")],
            "additional_answers": {
                "0": [turn("a dog"), turn("No, old")],
                "1": [turn("an old dog"), turn("no")],
            },
        }
    ],
}
QUAC_FILE: dict[str, Any] = {
    "data": [
        {
            "title": "Ann Lee",
            "section_title": "Early life",
            "background": "A painter.",
            "paragraphs": [
                {
                    "id": "C_1",
                    "context": f"Ann was born in York. {NONE}",
                    "qas": [
                        {
                            "id": "C_1_q#0",
                            "question": "Where was she born?",
                            "answers": [{"text": "York"}, {"text": "in York"}, {"text": NONE}],
                            "orig_answer": {"text": "in York"},
                        },
                        {
                            "id": "C_1_q#1",
                            "question": "When?",
                            "answers": [{"text": NONE}],
                            "orig_answer": {"text": NONE},
                        },
                    ],
                }
            ],
        }
    ]
}
SQUAD_FILE: dict[str, Any] = {
    "version": "v2.0",
    "data": [
        {
            "title": "The_Fens",
            "paragraphs": [
                {
                    "context": "The Fens were drained in 1650.",
                    "qas": [
                        {
                            "id": "1",
                            "question": "When were they drained?",
                            "is_impossible": False,
                            "answers": [{"text": "in 1650", "answer_start": 22}, {"text": "1650", "answer_start": 25}],
                        },
                        {"id": "2", "question": "Who drained them?", "is_impossible": True, "answers": []},
                    ],
                }
            ],
        }
    ],
}
DROP_FILE: dict[str, Any] = {
    "nfl_1": {
        "passage": "Brady and Moss scored 3 times on 5 May 2007.",
        "qa_pairs": [
            {"question": "Who scored?", "answer": spans("Brady", "Moss"), "query_id": "a"},
            {
                "question": "How often?",
                "answer": number("3"),
                "query_id": "b",
                "validated_answers": [spans("3 times"), number("")],
            },
            {
                "question": "When?",
                "answer": {"number": "", "date": {"day": "5", "month": "May", "year": "2007"}, "spans": []},
                "query_id": "c",
            },
        ],
    }
}
FILES = {
    COQA.name: ("coqa/coqa-dev-v1.0.json", COQA_FILE),
    COQA_GPT2.name: ("coqa/coqa-dev-v1.0.json", COQA_FILE),
    QUAC.name: ("quac/val_v0.2.json", QUAC_FILE),
    SQUADV2.name: ("squad/dev-v2.0.json", SQUAD_FILE),
    DROP.name: ("drop_dataset_dev.json", DROP_FILE),
}


def split_of(task: Task, folder: Path, document: Any = None) -> Split:
    name, published = FILES[task.name]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(published if document is None else document))
    return read_split(task, "test", folder)


def asked(task: Task, split: Split, record: int = 0) -> list[Free]:
    items = items_of(task, split, record, task.shots)
    return [item for item in items if isinstance(item, Free)]


def scores(task: Task, item: Free, text: str) -> list[float]:
    return [measure([Outcome(item, record=0, text=text)]).value for measure in task.measures]


def test_coqa_asks_each_question_after_the_earlier_ones_with_their_answers(tmp_path: Path) -> None:
    split = split_of(COQA, tmp_path)
    first, second = asked(COQA, split)
    assert first.context == f"{STORY}\n\nQ: What did Ann have?\n\nA:"
    assert second.context == f"{first.context} a dog\n\nQ: Was it young?\n\nA:"
    assert first.answers == ("a dog", "a dog", "an old dog")
    assert second.answers == ("no", "No, old", "no")
    assert demonstration_of(COQA, split, 0, 5) == f"{second.context} no"
    assert scores(COQA, first, " the dog") == [pytest.approx((1 + 1 + 1) / 3)]
    assert scores(COQA, first, " old dog") == [pytest.approx((1 + 1 + 2 / 3) / 3)]


def test_gpt2_meets_coqa_a_line_a_turn(tmp_path: Path) -> None:
    _, second = asked(COQA_GPT2, split_of(COQA_GPT2, tmp_path))
    assert second.context == f"{STORY}\nQ: What did Ann have?\nA: a dog\nQ: Was it young?\nA:"
    assert COQA_GPT2.answering is not None
    assert COQA_GPT2.answering.sampling is not None
    assert COQA_GPT2.answering.sampling.temperature == COQA_GPT2.shots == 0


def test_a_training_story_has_one_answer_a_question(tmp_path: Path) -> None:
    story = {key: value for key, value in COQA_FILE["data"][0].items() if key != "additional_answers"}
    (tmp_path / "coqa-train-v1.0.json").write_text(json.dumps({"data": [story]}))
    split = read_split(COQA, "train", tmp_path)
    assert [item.answers for item in asked(COQA, split)] == [("a dog",), ("no",)]


def test_quac_shows_the_section_and_the_answer_the_dialogue_went_on_from(tmp_path: Path) -> None:
    split = split_of(QUAC, tmp_path)
    first, second = asked(QUAC, split)
    opening = f"TITLE: Ann Lee - Early life\nPARAGRAPH: Ann was born in York. {NONE}"
    assert first.context == f"{opening}\n\nQ: Where was she born?\n\nA:"
    assert first.answers == ("in York", "York", NONE)
    assert second.context == f"{first.context} in York\n\nQ: When?\n\nA:"
    assert demonstration_of(QUAC, split, 0, 5) == f"{second.context} {NONE}"
    assert scores(QUAC, first, " York") == [pytest.approx((1 + 2 / 3) / 2)] * 2
    assert scores(QUAC, second, f" {NONE}") == [1.0, 1.0]


def test_squad_shows_the_paragraphs_earlier_questions_and_words_for_no_answer(tmp_path: Path) -> None:
    split = split_of(SQUADV2, tmp_path)
    first, second = asked(SQUADV2, split)
    opening = "Title: The_Fens\n\nBackground: The Fens were drained in 1650."
    assert first.context == f"{opening}\n\nQ: When were they drained?\n\nA:"
    assert first.answers == ("in 1650", "1650")
    assert second.context == f"{first.context} in 1650\n\nQ: Who drained them?\n\nA:"
    assert demonstration_of(SQUADV2, split, 0, 16) == f"{second.context} unanswerable"
    assert scores(SQUADV2, first, " 1650.") == [1.0, 1.0]
    assert scores(SQUADV2, first, " since 1650") == [0.0, pytest.approx(2 / 3)]
    assert scores(SQUADV2, second, "") == [1.0, 1.0]


def test_drop_asks_one_question_and_knows_numbers_dates_and_spans(tmp_path: Path) -> None:
    split = split_of(DROP, tmp_path)
    who, often, when = (asked(DROP, split, record)[0] for record in range(3))
    passage = "Passage: Brady and Moss scored 3 times on 5 May 2007."
    assert who.context == f"{passage}\nQuestion: Who scored?\nAnswer:"
    assert demonstration_of(DROP, split, 0, 20) == f"{who.context} Brady, Moss"
    assert demonstration_of(DROP, split, 2, 20) == f"{when.context} 5 May 2007"
    assert often.answers == ("3", "3 times")  # the third annotator gave none
    assert scores(DROP, who, " Moss") == [0.5, 0.0]
    assert scores(DROP, often, " 3 times") == [1.0, 1.0]
    assert scores(DROP, when, " May 2007") == [0.8, 0.0]


def test_rows_of_the_hub_become_published_records() -> None:
    coqa = {
        "story": STORY,
        "questions": {"input_text": ["What did Ann have?", "Was it young?"], "turn_id": [1, 2]},
        "answers": {"input_text": ["a dog", "no"]},
        "additional_answers": {"0": {"input_text": ["a dog", "No, old"]}, "1": {"input_text": ["an old dog", "no"]}},
    }
    quac = {
        "wikipedia_page_title": "Ann Lee",
        "section_title": "Early life",
        "context": f"Ann was born in York. {NONE}",
        "questions": ["Where was she born?", "When?"],
        "answers": {"texts": [["York", "in York", NONE], [NONE]]},
        "orig_answers": {"texts": ["in York", NONE]},
    }
    drop = {
        "passage": DROP_FILE["nfl_1"]["passage"],
        "question": "How often?",
        "answer": number("3"),
        "validated_answers": {
            "number": ["", ""],
            "date": [number("")["date"]] * 2,
            "spans": [["3 times"], []],
        },
    }
    (section,) = QUAC_FILE["data"]
    published = (
        COQA_FILE["data"][0],
        {"title": section["title"], "section_title": section["section_title"], **section["paragraphs"][0]},
        {"passage": drop["passage"], **DROP_FILE["nfl_1"]["qa_pairs"][1]},
    )
    for task, row, record in zip((COQA, QUAC, DROP), (coqa, quac, drop), published, strict=True):
        assert task.hub is not None
        assert task.items(task.hub.record(row), 1) == task.items(record, 1)


@pytest.mark.parametrize(("answers", "shown"), [(["in 1650"], "in 1650"), ([], "unanswerable")])
def test_a_row_of_squad_on_the_hub_is_a_question_by_itself(answers: list[str], shown: str) -> None:
    assert SQUADV2.hub is not None
    row = {"title": "The_Fens", "context": "Drained.", "question": "When?", "answers": {"text": answers}}
    (item,) = SQUADV2.items(SQUADV2.hub.record(row), 16)
    assert item.demonstration == f"Title: The_Fens\n\nBackground: Drained.\n\nQ: When?\n\nA: {shown}"


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


STORY_RECORD = COQA_FILE["data"][0]
QUESTION = SQUAD_FILE["data"][0]["paragraphs"][0]["qas"][0]


def squad_of(question: Any) -> dict[str, Any]:
    return {"data": [{"title": "T", "paragraphs": [{"context": "C", "qas": [question]}]}]}


@pytest.mark.parametrize(
    ("task", "document", "message"),
    [
        (COQA, {"data": [without(STORY_RECORD, "story")]}, "record 1 of .* has no field story"),
        (COQA, {"data": [{**STORY_RECORD, "questions": []}]}, "is not as published: ValueError"),
        (COQA, {"data": [{"story": "S", "questions": [], "answers": []}]}, "it asks nothing; leave out the record"),
        (COQA, {"stories": []}, "has no field 'data'"),
        (COQA_GPT2, {"data": ["a story"]}, "is not nested as published"),
        (QUAC, {"data": [without(QUAC_FILE["data"][0], "section_title")]}, "has no field 'section_title'"),
        (QUAC, {"data": [{**QUAC_FILE["data"][0], "paragraphs": [{"context": "C"}]}]}, "has no field qas"),
        (SQUADV2, squad_of(without(QUESTION, "is_impossible")), "has no field is_impossible"),  # SQuAD v1
        (SQUADV2, squad_of({**QUESTION, "answers": []}), "list of one text or more"),
        (SQUADV2, squad_of({**QUESTION, "answers": [{"text": 3}]}), "list of one text or more"),
        (DROP, {"p": {"passage": "P", "qa_pairs": [{"question": "Q"}]}}, "has no field answer"),
        (DROP, {"p": {"passage": "P", "qa_pairs": [{"question": "Q", "answer": number("")}]}}, "one text or more"),
        (DROP, [], "is not nested as published"),
        (DROP, {}, "holds no record"),
    ],
)
def test_what_is_not_as_published_is_said_in_one_line(tmp_path: Path, task: Task, document: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        asked(task, split_of(task, tmp_path, document))
    assert "\n" not in str(caught.value)


def test_the_papers_number_of_demonstrations() -> None:
    assert [(task.name, task.shots) for task in TASKS] == [
        ("coqa", 5),
        ("coqa-gpt2", 0),
        ("quac", 5),
        ("squadv2", 16),
        ("drop", 20),
    ]
