"""A corpus is charged to the units of its original, in passages that together are its test part."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import Split, items_of, read_split
from gptrilogy.evaluation.items import Passage
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks import language_modelling as module
from gptrilogy.evaluation.tasks.language_modelling import TASKS

BY_NAME = {task.name: task for task in TASKS}
PAGES = " \n = Ice = \n \n It 's cold ( 0 @.@ 5 m ) . \n \n = = Uses = = \n \n Drinks . \n \n = Tea = \n \n Hot . \n"


def passages(task: Task, folder: Path) -> Sequence[Passage]:
    split = read_split(task, "test", folder)
    items = [item for number in range(len(split.records)) for item in items_of(task, split, number, 0)]
    return [item for item in items if isinstance(item, Passage)]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["wikitext-2", "wikitext-103"])
@pytest.mark.parametrize("file", ["{}-raw/wiki.test.raw", "{}/wiki.test.tokens", "wiki.test.raw", "{}/test.txt"])
def test_wikitext_is_read_by_the_page(tmp_path: Path, name: str, file: str):
    write(tmp_path / file.format(name), PAGES)
    ice = "= Ice =\n\nIt's cold (0.5 m).\n\n== Uses ==\n\nDrinks.\n"
    assert passages(BY_NAME[name], tmp_path) == [
        Passage(ice, 3 + 10 + 5 + 2 + 2),
        Passage("= Tea =\n\nHot.\n", 3 + 2 + 2),
    ]


def test_the_harnesss_wikitext_is_scored_as_it_has_it(tmp_path: Path):
    write(tmp_path / "wikitext-2-raw" / "wiki.test.raw", PAGES)
    first, second = passages(BY_NAME["wikitext-2-harness"], tmp_path)
    assert first == Passage(" = Ice =\n\nIt's cold (0.5 m).\n\n== Uses ==\n\nDrinks.\n", 22)
    assert second == Passage(" = Tea =\n\nHot.\n", 7)


@pytest.mark.parametrize("folder", ["lm/wikitext-2", "lm/wikitext-2-raw"])
def test_wikitexts_test_set_has_62_pages_and_its_words(shared_data: Callable[[str], Path], tmp_path: Path, folder: str):
    source = shared_data(folder)
    (tmp_path / source.name).symlink_to(source)
    found = passages(BY_NAME["wikitext-2-harness"], tmp_path)
    assert len(found) == 62
    assert sum(passage.n_units for passage in found) == 241_211 + 2 * 62
    of_ours = [
        module.wikitext_items(record, 0)[0] for record in read_split(TASKS[0], "test", tmp_path, limit=3).records
    ]
    assert [passage.n_units for passage in of_ours] == [passage.n_units for passage in found[:3]]
    assert all(passage.text.startswith("= ") and "@-@" not in passage.text for passage in of_ours)


def test_the_penn_treebank_is_read_with_its_line_ends(tmp_path: Path):
    write(tmp_path / "ptb" / "ptb.test.txt", " it did n't pay $ N \n the <unk> 's N\\/N stake \n\n")
    assert passages(BY_NAME["ptb"], tmp_path) == [Passage("it didn't pay $N\nthe <unk>'s N/N stake\n", 6 + 1 + 5 + 1)]


def test_the_billion_words_are_read_by_the_sentence(tmp_path: Path):
    write(tmp_path / "news.en.heldout-00000-of-00050", 'It \'s " new " .\nOld ?\n')
    assert passages(BY_NAME["lm1b"], tmp_path) == [Passage('It\'s "new".\n', 7), Passage("Old?\n", 3)]


@pytest.mark.parametrize(("name", "n_units"), [("enwik8", 10), ("text8", 8)])
@pytest.mark.parametrize("file", ["{}.test", "{}/test.txt.raw"])
def test_bytes_and_characters_are_the_units(tmp_path: Path, name: str, n_units: int, file: str):
    write(tmp_path / file.format(name), "né wé <a")
    assert passages(BY_NAME[name], tmp_path) == [Passage("né wé <a", n_units)]


@pytest.mark.parametrize("name", ["enwik8", "text8"])
def test_of_a_whole_corpus_the_last_part_is_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(module, "WHOLE_BYTES", 100)
    monkeypatch.setattr(module, "TEST_BYTES", 9)
    monkeypatch.setattr(module, "PASSAGE_BYTES", 4)
    write(tmp_path / name / name, b"x" * 90 + "é a bc €".encode()[:-1])
    found = passages(BY_NAME[name], tmp_path)
    assert "".join(passage.text for passage in found) == " a bc "  # without the two characters that are cut


def test_a_whole_corpus_of_another_size_is_refused(tmp_path: Path):
    write(tmp_path / "enwik8", "short")
    with pytest.raises(DataError, match="enwik8 must hold 100000000 bytes, it has 5; get the file again"):
        read_split(BY_NAME["enwik8"], "test", tmp_path)


@given(text=st.text(st.sampled_from("ab é€\n"), max_size=60), size=st.integers(1, 9))
def test_passages_are_the_file_whatever_their_size(tmp_path_factory: pytest.TempPathFactory, text: str, size: int):
    path = write(tmp_path_factory.mktemp("text8") / "text8.test", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PASSAGE_BYTES", size)
        texts = [record["text"] for record in module.byte_passages(path)]
    assert "".join(texts) == text
    assert all(texts)


def test_passages_end_with_a_line_and_stay_small(tmp_path: Path):
    path = write(tmp_path / "enwik8.test", "one line of text\n" * 20_000)
    texts = [record["text"] for record in module.byte_passages(path)]
    assert len(texts) == 6
    assert all(text.endswith("\n") and len(text) <= 2 * module.PASSAGE_BYTES for text in texts)


def test_sentences_are_grouped_until_a_passage_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PASSAGE_BYTES", 8)
    path = write(tmp_path / "ptb.test.txt", "one two\nthree\nfour\nfive six seven\n")
    groups = [record["sentences"] for record in module.sentence_groups(path)]
    assert groups == [["one two", "three"], ["four", "five six seven"]]


@pytest.mark.parametrize("name", ["enwik8", "text8"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, name: str):
    write(tmp_path / f"{name}.test", b"good\nb\xffd\n")
    with pytest.raises(DataError, match=rf"{name}.test cannot be read as text .*; get the file again"):
        read_split(BY_NAME[name], "test", tmp_path)


@pytest.mark.parametrize("name", ["ptb", "lm1b", "wikitext-2"])
def test_an_empty_corpus_is_refused(tmp_path: Path, name: str):
    task = BY_NAME[name]
    write(tmp_path / task.test[-1].names[0], " \n\n")
    with pytest.raises(DataError, match="holds no record"):
        read_split(task, "test", tmp_path)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_record_without_its_text_is_refused(task: Task):
    split = Split([{"wrong": ""}], "corpus")
    with pytest.raises(DataError, match=r"has no field (page|text|sentences); it has wrong"):
        items_of(task, split, 0, 0)
