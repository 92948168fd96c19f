"""A task's records are found where they may lie, and an error says which record of which file caused it."""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from gptrilogy.errors import DataError, MissingExtraError
from gptrilogy.evaluation.data import HUB, Split, demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Free
from gptrilogy.evaluation.measures import ACCURACY
from gptrilogy.evaluation.reading import json_lines
from gptrilogy.evaluation.task import Hub, Layout, Record, Task


def riddles(record: Record, shots: int, /) -> Sequence[Free]:
    if record["q"] == "bad":
        raise DataError("the question is bad; mend it")
    return [Free(f"{shots}: {record['q']}", (record["a"].strip(),))]


TASK = Task(
    name="riddles",
    title="Riddles",
    source="none",
    items=riddles,
    measures=(ACCURACY,),
    folder="riddle",
    test=(Layout(("one.jsonl", "two.jsonl"), json_lines), Layout(("all.jsonl",), json_lines)),
    train=(Layout(("train.jsonl",), json_lines),),
)


def write(path: Path, *questions: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"q": q, "a": " yes"}) + "\n" for q in questions), encoding="utf-8")
    return path


def questions(split: Split) -> list[str]:
    return [record["q"] for record in split.records]


@pytest.mark.parametrize("place", [".", "riddle", "eval/riddle"])
def test_files_are_found_in_the_folder_below_it_and_a_folder_down(tmp_path: Path, place: str):
    path = write(tmp_path / place / "train.jsonl", "a", "b")
    split = read_split(TASK, "train", tmp_path)
    assert questions(split) == ["a", "b"]
    assert split.origin == str(path)
    assert split.files == {"train.jsonl": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_the_tasks_own_folder_comes_first(tmp_path: Path):
    write(tmp_path / "train.jsonl", "outer")
    write(tmp_path / "riddle" / "train.jsonl", "own")
    assert questions(read_split(TASK, "train", tmp_path)) == ["own"]


def test_the_first_layout_that_is_found_is_read_one_file_after_the_other(tmp_path: Path):
    write(tmp_path / "all.jsonl", "c")
    assert questions(read_split(TASK, "test", tmp_path)) == ["c"]
    write(tmp_path / "one.jsonl", "a")
    write(tmp_path / "two.jsonl", "b")
    split = read_split(TASK, "test", tmp_path)
    assert questions(split) == ["a", "b"]
    assert list(split.files) == ["one.jsonl", "two.jsonl"]


def test_no_more_than_the_limit_is_read(tmp_path: Path):
    write(tmp_path / "one.jsonl", "a", "b")
    (tmp_path / "two.jsonl").write_text("not JSON", encoding="utf-8")
    assert questions(read_split(TASK, "test", tmp_path, limit=2)) == ["a", "b"]


def test_half_of_a_layout_is_refused(tmp_path: Path):
    write(tmp_path / "one.jsonl", "a")
    with pytest.raises(DataError, match=r"riddles is published in 2 files, two.jsonl missing in "):
        read_split(TASK, "test", tmp_path)


@pytest.mark.parametrize(
    ("name", "wanted"), [("test", "one.jsonl and two.jsonl or all.jsonl$"), ("train", "train.jsonl$")]
)
def test_missing_files_are_named(tmp_path: Path, name: str, wanted: str):
    with pytest.raises(DataError, match=f"lacks the {name} file of riddles; put it there, {wanted}"):
        read_split(TASK, name, tmp_path)
    with pytest.raises(DataError, match=f"riddles needs its published files: .* --data DIR, {wanted}"):
        read_split(TASK, name, None)


def test_a_file_without_a_record_is_refused(tmp_path: Path):
    write(tmp_path / "train.jsonl")
    with pytest.raises(DataError, match=r"train.jsonl holds no record; get the file again"):
        read_split(TASK, "train", tmp_path)


def test_a_task_that_makes_its_records_needs_no_file():
    def generate(split: str) -> Iterator[Record]:
        number = 0
        while True:
            yield {"q": f"{split} {number}", "a": "yes"}
            number += 1

    split = read_split(replace(TASK, generate=generate), "train", None, limit=2)
    assert questions(split) == ["train 0", "train 1"]
    assert (split.origin, split.files) == ("riddles as generated", {})


def loud(record: Record) -> str:
    return record["q"].upper()


def test_items_and_demonstrations_know_the_number_of_shots():
    split = Split([{"q": "a", "a": " yes "}], "file")
    assert items_of(TASK, split, 0, 3) == [Free("3: a", ("yes",))]
    assert demonstration_of(TASK, split, 0, 3) == "3: a yes"
    told = replace(TASK, demonstration=loud)
    assert demonstration_of(told, split, 0, 3) == "A"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"q": "a", "answer": "b"}, "record 2 of file has no field a; it has q, answer$"),
        ({"q": "bad", "a": "b"}, "record 2 of file: the question is bad; mend it$"),
        ({"q": "a", "a": 5}, "record 2 of file is not as published: AttributeError: "),
        ({"q": "a", "a": None}, "record 2 of file is not as published: AttributeError: "),
    ],
)
def test_what_is_wrong_with_a_record_is_said_in_one_line(record: Record, said: str):
    split = Split([{"q": "a", "a": "b"}, record], "file")
    for of in (items_of, demonstration_of):
        with pytest.raises(DataError, match=said) as caught:
            of(TASK, split, 1, 0)
        assert "\n" not in str(caught.value)


def test_a_mistake_of_ours_is_not_blamed_on_the_record():
    def wrong(_record: Record, _shots: int, /) -> Sequence[Free]:
        raise AssertionError("ours")

    with pytest.raises(AssertionError, match="ours"):
        items_of(replace(TASK, items=wrong), Split([{"q": "a"}], "file"), 0, 0)


def hub_of(monkeypatch: pytest.MonkeyPatch, rows: Sequence[Record] | Exception) -> list[tuple[object, ...]]:
    """A stand-in for `datasets` that notes what it is asked for."""
    asked: list[tuple[object, ...]] = []

    def load_dataset(name: str, config: str | None, *, split: str) -> Sequence[Record]:
        asked.append((name, config, split))
        if isinstance(rows, Exception):
            raise rows
        return rows

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # pyright: ignore[reportAttributeAccessIssue] - a module made here
    monkeypatch.setitem(sys.modules, "datasets", module)
    return asked


ON_HUB = replace(TASK, hub=Hub("us/riddles", "en", "validation", None, lambda row: {"q": row["text"], "a": "b"}))


def test_rows_of_the_hub_become_records_as_published(monkeypatch: pytest.MonkeyPatch):
    asked = hub_of(monkeypatch, [{"text": "a"}, {"text": "b"}])
    split = read_split(ON_HUB, "test", Path(HUB), limit=1)
    assert split == Split([{"q": "a", "a": "b"}], "hub:us/riddles")
    assert asked == [("us/riddles", "en", "validation")]


@pytest.mark.parametrize("error", [OSError("no network"), ValueError("no such split")])
def test_a_hub_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception):
    hub_of(monkeypatch, error)
    with pytest.raises(DataError, match=f"us/riddles cannot be read from the hub: {error}; give its files with --data"):
        read_split(ON_HUB, "test", Path(HUB))


def test_what_is_not_on_the_hub_is_said(monkeypatch: pytest.MonkeyPatch):
    asked = hub_of(monkeypatch, [])
    with pytest.raises(DataError, match="us/riddles on the hub has no split for demonstrations"):
        read_split(ON_HUB, "train", Path(HUB))
    with pytest.raises(DataError, match="riddles is not read from the hub; give the folder"):
        read_split(TASK, "test", Path(HUB))
    assert not asked


def test_without_the_extra_the_hub_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="datasets"):
        read_split(ON_HUB, "test", Path(HUB))
