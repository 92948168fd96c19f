"""`gpt papers list` and `gpt papers explain`: the ledger on the screen."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from gpt_command import Gpt
from gptrilogy.cli import ledger
from gptrilogy.cli.papers import explain_result
from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.items import Choice, Cloze, Free, Item, Option, Passage
from gptrilogy.evaluation.measures import ACCURACY
from gptrilogy.evaluation.reading import json_lines
from gptrilogy.evaluation.task import Layout, Record, Task
from gptrilogy.papers.misprints import MISPRINTS
from gptrilogy.papers.tables import TABLES
from gptrilogy.studies.catalogue import STUDIES

ENDINGS = (
    {"activity_label": "Cooking", "ctx": "A cook takes an egg. He", "label": 1, "endings": ["flies.", "boils it."]},
    {"activity_label": "Rowing", "ctx": "Two row a boat. They", "label": 0, "endings": ["reach a shore.", "are eggs."]},
)


@pytest.fixture
def explained(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What is printed about a result, where no folder of data is named by the environment."""
    monkeypatch.delenv("GPTRILOGY_DATA", raising=False)

    def explain(name: str, data: Path | None = None, *, json: bool = False) -> str:
        explain_result(name, data=data, json=json)
        return capsys.readouterr().out

    return explain


@pytest.fixture
def endings(tmp_path: Path) -> Path:
    folder = tmp_path / "hellaswag"
    folder.mkdir()
    for split in ("val", "train"):
        lines = [json.dumps(record) + "\n" for record in ENDINGS]
        (folder / f"hellaswag_{split}.jsonl").write_text("".join(lines))
    return tmp_path


def example_lines(said: str) -> list[str]:
    return said[said.index("\nexample ") :].strip().splitlines()


def test_the_list_has_every_table_under_its_paper(gpt: Gpt) -> None:
    said = gpt("papers", "list")
    assert said.code == 0
    for table in TABLES.values():
        assert f"  {table.name} " in said.out
        assert f"{table.title}  ({table.source})" in said.out
    assert said.out.index("GPT-1\n") < said.out.index("GPT-2\n") < said.out.index("GPT-3\n")
    assert f"{len(MISPRINTS)} places where the papers say what does not hold" in said.out


def test_the_list_as_a_document_has_tables_and_studies(gpt: Gpt) -> None:
    listed = gpt("papers", "list", "--json").json()
    assert [table["name"] for table in listed["tables"]] == list(TABLES)
    assert [study["name"] for study in listed["studies"]] == [study.name for study in STUDIES]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_shown(name: str, gpt: Gpt) -> None:
    table = TABLES[name]
    said = gpt("papers", "list", name)
    assert (said.code, said.err) == (0, "")
    title, _header, *rows = said.out.split("\n\n")[0].splitlines()
    assert title == f"{table.title} ({table.source})"
    assert len(rows) == len(table.rows)
    assert gpt("papers", "list", name, "--json").json()["rows"] == [dict(row) for row in table.rows]


def test_a_table_comes_with_its_misprints(gpt: Gpt) -> None:
    said = gpt("papers", "list", "gpt3-2.2")
    assert "  WebText2                         19          22             2.9\n" in said.out
    assert "misprint     GPT3 Table 2.2 says 2.9 epochs of WebText2; rather 3.47: 22% of 300B" in said.out
    assert [misprint["follows"] for misprint in gpt("papers", "list", "gpt3-2.2", "--json").json()["misprints"]][
        1:3
    ] == [
        "3.47",
        "3.0",
    ]


def test_all_misprints_can_be_shown(gpt: Gpt) -> None:
    said = gpt("papers", "list", "misprints")
    assert all(f"\n{name} " in f"\n{said.out}" for name in MISPRINTS)
    assert "Rather: 3.9. Table 4 has 72.8 against 68.9.\n" in said.out
    assert [row["name"] for row in gpt("papers", "list", "misprints", "--json").json()["rows"]] == list(MISPRINTS)


def test_an_unknown_table_is_a_wrong_command(gpt: Gpt) -> None:
    said = gpt("papers", "list", "gpt2-33")
    assert (said.code, said.out) == (2, "")
    assert said.err == "gpt: there is no table gpt2-33; did you mean gpt2-3?\n"


def test_a_result_is_explained_with_its_protocol_and_its_numbers(explained: Callable[..., str]) -> None:
    said = explained("gpt3-arc-easy-fewshot")
    assert said.splitlines()[:4] == [
        "gpt3-arc-easy-fewshot: ARC-Easy (GPT3 App. H, Table H.1)",
        "",
        "shown        Question: {question}\\nAnswer: | {choice} (GPT3 §2.4, Figure G.11)",
        "judged       The completion with the highest P(completion | context) / P(completion | answer",
    ]
    assert "unpublished  whether one or two newlines stand between demonstrations of this task\n" in said
    assert "  fewshot     acc     50   42.7    51.0   58.1  59.1  62.1  65.8  69.1  70.1              92.0\n" in said


def test_a_result_without_a_setting_has_a_row_for_each(explained: Callable[..., str]) -> None:
    numbers = json.loads(explained("gpt3-lambada", json=True))["results"]
    assert [(row["name"], row["shots"], row["values"]["gpt3-175b"]) for row in numbers] == [
        ("gpt3-lambada-zeroshot", 0, 76.2),
        ("gpt3-lambada-oneshot", 1, 72.5),
        ("gpt3-lambada-fewshot", 15, 86.4),
        ("gpt3-lambada-zeroshot-ppl", 0, 3.0),
        ("gpt3-lambada-oneshot-ppl", 1, 3.35),
        ("gpt3-lambada-fewshot-ppl", 15, 1.92),
    ]


def test_demonstrations_are_explained_where_there_are_some(explained: Callable[..., str]) -> None:
    assert "drawn at random from the training set" in explained("gpt3-boolq-oneshot")
    assert "drawn at random" not in explained("gpt3-boolq-zeroshot")
    assert "drawn at random" not in explained("gpt2-cbt-cn")


def test_misprints_of_a_result_are_said(explained: Callable[..., str]) -> None:
    assert "misprint     GPT3 Table 3.6 says 80.5 zero-shot; state of the art 79.4; rather 81.0" in explained(
        "gpt3-piqa"
    )


def test_a_misspelt_result_is_refused_with_the_nearest(explained: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match=r"no result gpt3-lambda-fewshot; did you mean gpt3-lambada-fewshot\?$"):
        explained("gpt3-lambda-fewshot")


def test_an_example_is_rendered_with_two_demonstrations(explained: Callable[..., str], endings: Path) -> None:
    assert example_lines(explained("gpt3-hellaswag-fewshot", endings))[-7:] == [
        "  | Rowing: Two row a boat. They reach a shore.",
        "  | ",
        "  | Cooking: A cook takes an egg. He boils it.",
        "  | ",
        "  | Cooking: A cook takes an egg. He",
        " -> | flies.",
        " => | boils it.",
    ]


def test_a_question_without_shots_stands_alone(explained: Callable[..., str], endings: Path) -> None:
    example = json.loads(explained("gpt3-hellaswag-zeroshot", endings, json=True))["example"]
    assert (example["prompt"], example["shots"], example["right"]) == ("Cooking: A cook takes an egg. He", 0, [1])
    assert example["completions"] == [
        {"context": "", "completion": " flies."},
        {"context": "", "completion": " boils it."},
    ]


def test_the_environment_may_name_the_data(
    explained: Callable[..., str], endings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPTRILOGY_DATA", str(endings))
    assert " => | boils it." in explained("gpt3-hellaswag")


def test_without_data_it_says_which_file_would_show_an_example(explained: Callable[..., str]) -> None:
    example = json.loads(explained("gpt3-hellaswag", json=True))["example"]
    assert example["missing"].startswith("hellaswag needs its published files: give their folder with --data DIR")
    assert "hellaswag_val.jsonl" in example["missing"]
    assert "\nexample      hellaswag needs its published files" in explained("gpt3-hellaswag")


def test_without_training_data_the_question_is_shown_and_the_reason(
    explained: Callable[..., str], endings: Path
) -> None:
    (endings / "hellaswag" / "hellaswag_train.jsonl").unlink()
    example = json.loads(explained("gpt3-hellaswag", endings, json=True))["example"]
    assert (example["prompt"], example["shots"], example["published_shots"]) == (
        "Cooking: A cook takes an egg. He",
        0,
        20,
    )
    assert "lacks the train file of hellaswag" in example["without_demonstrations"]


def test_real_endings_are_shown(capsys: pytest.CaptureFixture[str], shared_data: Callable[[str], Path]) -> None:
    explain_result("gpt3-hellaswag-zeroshot", data=shared_data("eval"))
    assert example_lines(capsys.readouterr().out)[-4:] == [
        " -> | is using wrap to wrap a pair of skis.",
        " -> | is ripping level tiles off.",
        " -> | is holding a rubik's cube.",
        " => | starts pulling up roofing on a roof.",
    ]


def test_a_result_that_no_task_measures_says_so(explained: Callable[..., str]) -> None:
    assert explained("gpt3-news-200").splitlines()[-1] == "example      no task here measures it"


def numbered(_split: str) -> Iterator[Record]:
    return ({"number": number} for number in range(5))


@pytest.mark.parametrize(
    ("item", "lines"),
    [
        (
            Choice((Option("The cat", " sleeps."), Option("The dog", " sleeps.")), gold=(0,)),
            ["  | The ", " => cat| sleeps.", " -> dog| sleeps."],
        ),
        (Cloze("It is a", " cat"), ["  | It is a", " => | cat"]),
        (Free("Q: What?\n\nA:", ("cat", "a cat")), ["  | Q: What?", "  | ", "  | A:", " => | cat", " => | a cat"]),
        (Passage("A cat.\nA dog.", 4), [" => |A cat.", "  | A dog."]),
        (Cloze("It\x1b[2J is\ta", " cat"), ["  | It\\x1b[2J is\\ta", " => | cat"]),
    ],
    ids=["partial", "cloze", "free", "passage", "control characters"],
)
def test_every_kind_of_item_can_be_shown(
    item: Item, lines: list[str], explained: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(
        "cats", "Cats", "", lambda _record, _shots: [item], (ACCURACY,), generate=numbered, published="gpt3-piqa"
    )
    monkeypatch.setattr(ledger, "TASKS", MappingProxyType({"cats": task}))
    assert example_lines(explained("gpt3-piqa-zeroshot")) == [
        "example      of cats, from cats as generated, no shots",
        *lines,
    ]


def test_a_long_text_is_shown_from_both_ends(explained: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    item = Passage("a" * 1000 + "b" * 1000, 1)
    task = Task(
        "cats", "Cats", "", lambda _record, _shots: [item], (ACCURACY,), generate=numbered, published="gpt3-ptb"
    )
    monkeypatch.setattr(ledger, "TASKS", MappingProxyType({"cats": task}))
    first, middle, last = example_lines(explained("gpt3-ptb"))[-3:]
    assert first.startswith(" => |aaa")
    assert middle == "  | [... 501 characters ...]"
    assert last == "  | " + "b" * 750


def test_a_set_without_training_data_is_demonstrated_by_its_other_records(
    explained: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cats.jsonl").write_text("".join(f'{{"number": {number}}}\n' for number in range(3)))

    def items(record: Record, _shots: int, /) -> list[Item]:
        return [Cloze(f"cat {record['number']}", " purrs")]

    layout = Layout(("cats.jsonl",), json_lines)
    task = Task("cats", "Cats", "", items, (ACCURACY,), test=(layout,), separator="\n", published="gpt3-winograd")
    monkeypatch.setattr(ledger, "TASKS", MappingProxyType({"cats": task}))
    example = json.loads(explained("gpt3-winograd", tmp_path, json=True))["example"]
    *demonstrations, question = example["prompt"].split("\n")
    assert (sorted(demonstrations), question) == (["cat 1 purrs", "cat 2 purrs"], "cat 0")
