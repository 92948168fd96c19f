from pathlib import Path
from typing import Any

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.nested import texts, unfolded


def pages(document: Any) -> Any:
    for book in document["books"]:
        for page in book["pages"]:
            yield {"title": book["title"], **page}


def test_nested_records_come_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "books.json"
    path.write_text(
        '{"books": [{"title": "Emma", "pages": [{"n": 1}, {"n": 2}]}, {"title": "Persuasion", "pages": []}]}'
    )
    assert list(unfolded(path, pages)) == [{"title": "Emma", "n": 1}, {"title": "Emma", "n": 2}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("{}", "has no field 'books'"),
        ('{"books": [{"pages": [{}]}]}', "has no field 'title'"),
        ("[1]", "is not nested as published"),
        ('{"books": 7}', "is not nested as published"),
        ('{"books": [{"title": "Emma", "pages": ["one"]}]}', "is not nested as published"),
    ],
)
def test_a_document_of_another_form_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "books.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        list(unfolded(path, pages))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [[], "Paris", None, ["Paris", 3], {"text": "Paris"}])
def test_answers_that_are_not_a_list_of_texts_are_refused(value: object) -> None:
    with pytest.raises(DataError, match="must be a list of one text or more"):
        texts(value)
