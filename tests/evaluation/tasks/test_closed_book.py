"""Closed-book questions read from their published files, real ones where there are such, and asked as printed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import Split, demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Free, Outcome
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.closed_book import TASKS

NQ, NQ_GPT2, WEBQUESTIONS, TRIVIAQA, TRIVIAQA_UNFILTERED = TASKS
Shared = Callable[[str], Path]
TRIVIA: dict[str, Any] = {
    "Question": "Which river runs through Vienna?",
    "QuestionId": "tc_1",
    "EntityPages": [],
    "Answer": {
        "Value": "Danube",
        "Aliases": ["The Danube", "Donau", "Danube-River"],
        "NormalizedAliases": ["danube", "donau", "danube river"],
    },
}


def asked(task: Task, split: Split, number: int = 0) -> Free:
    (item,) = items_of(task, split, number, task.shots)
    assert isinstance(item, Free)
    return item


def written(folder: Path, name: str, content: Any) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def right(task: Task, item: Free, text: str) -> float:
    return task.measures[0]([Outcome(item, record=0, text=text)]).value


@pytest.mark.parametrize("task", [NQ, NQ_GPT2], ids=lambda task: task.name)
def test_natural_questions_are_asked_as_they_stand(task: Task, shared_data: Shared) -> None:
    split = read_split(task, "test", shared_data("eval"))
    assert len(split.records) == 3610
    item = asked(task, split)
    assert item.context == "Q: when was the last time anyone was on the moon\n\nA:"
    assert item.answers == ("14 December 1972 UTC", "December 1972")
    assert demonstration_of(task, split, 0, 1) == f"{item.context} 14 December 1972 UTC"
    assert right(task, item, " december 1972.") == 1.0
    assert right(task, item, " 1972") == 0.0


def test_every_natural_question_is_right_when_answered_with_any_of_its_answers(shared_data: Shared) -> None:
    split = read_split(NQ, "test", shared_data("eval"))
    items = [asked(NQ, split, number) for number in range(len(split.records))]
    assert NQ.measures[0]([Outcome(item, n, text=item.answers[-1]) for n, item in enumerate(items)]).value == 1.0


def test_demonstrations_of_natural_questions_come_from_the_training_file(tmp_path: Path) -> None:
    written(tmp_path, "NQ-open.train.jsonl", '{"question": "who wrote emma", "answer": ["Jane Austen"]}\n')
    split = read_split(NQ, "train", tmp_path)
    assert demonstration_of(NQ, split, 0, 64) == "Q: who wrote emma\n\nA: Jane Austen"


def test_webquestions_are_read_from_all_its_files(shared_data: Shared) -> None:
    test, train = (read_split(WEBQUESTIONS, name, shared_data("eval")) for name in ("test", "train"))
    assert (len(test.records), len(train.records)) == (2032, 3778)
    assert list(train.files) == ["trainmodel.json", "val.json", "devtest.json"]
    item = asked(WEBQUESTIONS, test)
    assert item.context == "Q: what does jamaican people speak?\n\nA:"
    assert item.answers == ("Jamaican Creole English Language", "Jamaican English")
    assert demonstration_of(WEBQUESTIONS, test, 0, 1) == f"{item.context} Jamaican Creole English Language"
    assert [right(WEBQUESTIONS, item, text) for text in (" Jamaican English", " English")] == [1.0, 0.0]


def test_webquestions_are_read_as_first_published_too(tmp_path: Path) -> None:
    target = r'(list (description "Jane \"J.\" Austen (writer)") (description Emma) (description St. Ives))'
    example = {"url": "http://x", "targetValue": target, "utterance": "who was it?"}
    folder = written(tmp_path, "webquestions/webquestions.examples.test.json", [example])
    item = asked(WEBQUESTIONS, read_split(WEBQUESTIONS, "test", folder))
    assert item == Free("Q: who was it?\n\nA:", ('Jane "J." Austen (writer)', "Emma", "St. Ives"))


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (TRIVIAQA, "triviaqa/wikipedia-dev.json"),
        (TRIVIAQA, "triviaqa/qa/wikipedia-dev.json"),
        (TRIVIAQA_UNFILTERED, "unfiltered-web-dev.json"),
        (TRIVIAQA_UNFILTERED, "triviaqa-unfiltered/unfiltered-web-dev.json"),
    ],
)
def test_triviaqa_is_asked_with_all_aliases_counting(tmp_path: Path, task: Task, name: str) -> None:
    folder = written(tmp_path, name, {"Data": [TRIVIA], "Domain": "Wikipedia"})
    split = read_split(task, "test", folder)
    item = asked(task, split)
    assert item.context == "Q: Which river runs through Vienna?\n\nA:"
    assert demonstration_of(task, split, 0, 64) == f"{item.context} Danube"
    assert [right(task, item, text) for text in (" donau", " the danube river", " Rhine")] == [1.0, 1.0, 0.0]


def test_answers_that_people_gave_count_in_triviaqa(tmp_path: Path) -> None:
    answer = {**TRIVIA["Answer"], "HumanAnswers": ["Blue Danube"]}
    folder = written(tmp_path, "wikipedia-dev.json", {"Data": [{**TRIVIA, "Answer": answer}]})
    assert right(TRIVIAQA, asked(TRIVIAQA, read_split(TRIVIAQA, "test", folder)), "blue danube") == 1.0


def test_rows_of_the_hub_become_published_records() -> None:
    hubs = WEBQUESTIONS.hub, TRIVIAQA.hub
    rows: list[dict[str, Any]] = [
        {"url": "", "question": "who?", "answers": ["Ann", "Bob"]},
        {"question": "who?", "answer": {"value": "Ann", "aliases": ["Bob"], "normalized_aliases": ["bob"]}},
    ]
    for task, hub, row in zip((WEBQUESTIONS, TRIVIAQA), hubs, rows, strict=True):
        assert hub is not None
        assert task.items(hub.record(row), 0) == [Free("Q: who?\n\nA:", ("Ann", "Bob"))]


@pytest.mark.parametrize(
    ("task", "name", "content", "message"),
    [
        (NQ, "NQ-open.dev.jsonl", '{"question": "who"}\n', "record 1 of .* has no field answer; it has question"),
        (NQ, "NQ-open.dev.jsonl", '{"question": "who", "answer": "Ann"}\n', "list of one text or more, got 'Ann'"),
        (WEBQUESTIONS, "test.json", [{"qText": "who", "answers": []}], r"list of one text or more, got \[\]"),
        (WEBQUESTIONS, "test.json", [{"answers": ["Ann"]}], "has no field qText"),
        (WEBQUESTIONS, "webquestions.examples.test.json", [{"utterance": "who"}], "has no field 'targetValue'"),
        (TRIVIAQA, "wikipedia-dev.json", {"data": []}, "has no field 'Data'"),
        (TRIVIAQA, "wikipedia-dev.json", {"Data": [{"Question": "who", "Answer": {"Value": "x"}}]}, "field Aliases"),
        (TRIVIAQA, "wikipedia-dev.json", {"Data": [{"Question": "who"}]}, "has no field 'Answer'"),  # no test answers
    ],
)
def test_what_is_not_as_published_is_said_in_one_line(
    tmp_path: Path, task: Task, name: str, content: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        asked(task, read_split(task, "test", written(tmp_path, name, content)))
    assert "\n" not in str(caught.value)


def test_gpt3_searches_with_four_beams_and_gpt2_is_greedy() -> None:
    for task in TASKS:
        assert task.answering is not None
        greedy = task.answering.sampling is not None and task.answering.sampling.temperature == 0
        assert (greedy, task.shots, task.fixed_draw) == ((True, 5, True) if task is NQ_GPT2 else (False, 64, False))
        assert (task.answering.beams, task.answering.length_penalty) == (1 if greedy else 4, 0.6)
