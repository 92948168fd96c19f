"""From text, or from shards that exist, to a run folder with a tokenizer and shards of its own."""

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gptrilogy.config import Tree, merge, parse
from gptrilogy.corpus import sources
from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.readers import plain
from gptrilogy.data.shards import PackedData, open_shards
from gptrilogy.errors import ConfigError, DataError, TokenizerError
from gptrilogy.files import read_json
from gptrilogy.runs import Run
from gptrilogy.tokenizers import BytesTokenizer, Tokenizer, bpe_training, load_tokenizer, save_tokenizer, train_byte_bpe
from gptrilogy.training.config import RunConfig
from gptrilogy.training.preparation import packed_source, prepare, readable, survey, take_in

TEXTS = [f"Chapter {number}. It is a truth, universally acknowledged, the {number}th time.\n" for number in range(40)]
Ready = Callable[..., tuple[Tokenizer, PackedData]]


class Interrupted(Exception):
    """Stands for whatever may stop a preparation from outside."""


@pytest.fixture
def novels(tmp_path: Path) -> Path:
    folder = tmp_path / "novels"
    folder.mkdir()
    for number, text in enumerate(TEXTS):
        (folder / f"{number:02d}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def ready(tmp_path: Path, notes: list[str]) -> Ready:
    """Prepare the run folder of a name from sources, with some fields of the config changed."""

    def ready(
        name: str, *sources: Path, progress: Callable[[str], None] | None = None, **changes: object
    ) -> tuple[Tokenizer, PackedData]:
        fields: Tree = {"data": {"sources": [str(source) for source in sources]}, "tokenizer": "bytes"}
        config = parse(RunConfig, merge(fields, changes))
        split = survey(config.data, config.seed, notes.append)
        return prepare(config, split, Run(tmp_path / name), notes.append, progress or notes.append)

    return ready


def test_text_becomes_shards_and_a_saved_tokenizer(ready: Ready, novels: Path, tmp_path: Path) -> None:
    tokenizer, data = ready("run", novels)
    assert isinstance(tokenizer, BytesTokenizer)
    assert load_tokenizer(tmp_path / "run" / "tokenizer").fingerprint == tokenizer.fingerprint
    assert data.train.documents + data.valid.documents == 40
    assert data.valid.documents == 2
    assert data.train.text_bytes + data.valid.text_bytes == sum(map(len, TEXTS))
    assert len(data.train) == data.train.text_bytes + data.train.documents


def test_a_tokenizer_is_trained_on_the_training_text_alone_and_capped_by_it(
    ready: Ready, novels: Path, notes: list[str]
) -> None:
    tokenizer, data = ready("run", novels, tokenizer="byte_bpe", model={"n_vocab": 50_000})
    assert 257 < tokenizer.n_vocab < 500
    assert data.index.tokenizer.n_vocab == tokenizer.n_vocab
    assert f"the text has no more than {tokenizer.n_vocab} tokens to learn: the vocabulary is capped there" in notes
    split = data.index.split
    kept = [path.read_text("utf-8") for path in sorted(novels.iterdir())]
    train = [text for text in kept if split.divide(document(text))[0]]
    assert len(train) == 38
    assert train_byte_bpe(train, 50_000).fingerprint == tokenizer.fingerprint
    smaller, _ = ready("smaller", novels, tokenizer="byte_bpe", model={"n_vocab": 300})
    assert smaller.n_vocab == 300


def test_a_text_too_long_to_be_held_gives_the_same_tokenizer_and_the_same_shards(
    ready: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    novel = tmp_path / "novel.txt"
    novel.write_text("\n\n".join(TEXTS), encoding="utf-8")
    wanted = {"tokenizer": "byte_bpe", "model": {"n_vocab": 300}}
    expected, whole = ready("whole", novel, **wanted)
    monkeypatch.setattr(sources, "LONG_CHARS", 50)
    monkeypatch.setattr(plain, "PART_BYTES", 7)
    tokenizer, data = ready("long", novel, **wanted)
    assert len(data.index.split.long_cuts) == 1
    assert tokenizer.fingerprint == expected.fingerprint
    assert data.valid.text_bytes > 0
    assert data.index.shards == whole.index.shards  # with their hashes
    assert data.index.split.replace(long_cuts=()) == whole.index.split


def test_learning_a_vocabulary_tells_how_far_it_is(
    ready: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bpe_training, "SMALL_CHARS", 0)
    novel = tmp_path / "novel.txt"
    novel.write_text("".join(TEXTS), encoding="utf-8")
    told: list[str] = []
    ready("run", novel, tokenizer="byte_bpe", model={"n_vocab": 270}, progress=told.append)
    assert any(line.startswith("counted 0 MB: ") for line in told)
    assert "learned 13 of 13 merges" in told


def test_a_named_tokenizer_is_taken_and_kept_with_the_run(ready: Ready, novels: Path, tmp_path: Path) -> None:
    save_tokenizer(train_byte_bpe(TEXTS, 280), tmp_path / "mine")
    tokenizer, _ = ready("run", novels, tokenizer=str(tmp_path / "mine"))
    assert tokenizer.n_vocab == 280
    assert (tmp_path / "run/tokenizer/tokenizer.json").read_bytes() == (tmp_path / "mine/tokenizer.json").read_bytes()


def test_text_set_apart_by_the_user_is_all_the_validation_text(ready: Ready, novels: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart.txt"
    apart.write_text("Something else entirely.", encoding="utf-8")
    tokenizer, data = ready("run", novels, data={"valid": [str(apart)]})
    assert data.train.documents == 40
    assert tokenizer.decode(data.valid.window(0, len(data.valid) - 1).tolist()) == "Something else entirely."


def test_packed_shards_are_linked_with_their_tokenizer_and_outlive_their_source(
    ready: Ready, novels: Path, tmp_path: Path
) -> None:
    tokenizer, data = ready("first", novels, tokenizer="byte_bpe", model={"n_vocab": 300})
    again, linked = ready("second", tmp_path / "first" / "data", tokenizer="byte_bpe")
    assert again.fingerprint == tokenizer.fingerprint
    assert linked.index == data.index
    shard = data.index.train.shards[0].file
    assert (tmp_path / "first/data" / shard).samefile(tmp_path / "second/data" / shard)
    shutil.rmtree(tmp_path / "first")
    assert open_shards(tmp_path / "second/data", fingerprint=tokenizer.fingerprint).index == data.index
    assert load_tokenizer(tmp_path / "second/tokenizer").fingerprint == tokenizer.fingerprint


def test_shards_of_another_tokenizer_are_refused(ready: Ready, novels: Path, tmp_path: Path) -> None:
    ready("run", novels, tokenizer="byte_bpe", model={"n_vocab": 300})
    save_tokenizer(train_byte_bpe(TEXTS, 280), tmp_path / "mine")
    for other in ("bytes", str(tmp_path / "mine")):
        with pytest.raises(DataError, match="was packed with the tokenizer byte_bpe-300"):
            ready("other", tmp_path / "run" / "data", tokenizer=other)
    assert not (tmp_path / "other").exists()


def test_shards_without_their_tokenizer_beside_them_need_it_named(ready: Ready, novels: Path, tmp_path: Path) -> None:
    ready("run", novels)
    shutil.copytree(tmp_path / "run/data", tmp_path / "elsewhere/data")
    with pytest.raises(TokenizerError, match="no tokenizer at"):
        ready("other", tmp_path / "elsewhere/data", tokenizer="byte_bpe")
    tokenizer, _ = ready("other", tmp_path / "elsewhere/data", tokenizer="bytes")
    assert tokenizer.name == "bytes"


def test_shards_are_the_only_source_or_none(ready: Ready, novels: Path, tmp_path: Path) -> None:
    ready("run", novels)
    packed = tmp_path / "run" / "data"
    config = parse(RunConfig, {"data": {"sources": (str(packed),)}}).data
    assert packed_source(config) == packed
    for change in ({"sources": (str(packed), str(novels))}, {"valid": (str(novels),)}):
        with pytest.raises(ConfigError, match="which must be the only source, without --valid"):
            packed_source(config.replace(**change))


def test_a_source_without_text_is_refused_and_what_was_skipped_is_said(
    ready: Ready, tmp_path: Path, notes: list[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "blank.txt").write_text(" \n", encoding="utf-8")
    (empty / "photo.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(DataError, match=r"there is no text in .*empty; give files with some"):
        ready("run", empty)
    assert len(notes) == 2
    assert all(note.startswith(f"skipped {empty}/") for note in notes)


def test_an_interrupted_preparation_goes_on_to_the_same_bytes(
    ready: Ready, novels: Path, tmp_path: Path, notes: list[str]
) -> None:
    def interrupt(_: str) -> None:
        raise Interrupted

    fields: Tree = {"tokenizer": "byte_bpe", "model": {"n_vocab": 300}}
    with pytest.raises(Interrupted):
        ready("run", novels, progress=interrupt, **fields)
    notes.clear()
    ready("run", novels, **fields)
    assert not [note for note in notes if note.startswith("training a tokenizer")]
    ready("whole", novels, **fields)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    notes.clear()
    ready("run", novels, **fields)
    assert notes == []


def test_standard_input_is_read_into_the_run_and_packed_from_there(
    tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("".join(TEXTS).encode())))
    run = Run.create(tmp_path / "run", {}, {})
    config = parse(RunConfig, {"data": {"sources": ["-"]}, "tokenizer": "bytes"})
    take_in(config.data, run, notes.append, notes.append)
    assert notes == ["read 0.0 MB", "read 0.0 MB from standard input: text, one document"]
    split = survey(readable(config.data, run), config.seed, notes.append)
    _, data = prepare(config, split, run, notes.append, notes.append)
    assert data.train.text_bytes + data.valid.text_bytes == sum(map(len, TEXTS))
    assert read_json(run.data_folder / "sources.json")["files"] == {}  # there is nothing to look at again


def test_where_standard_input_breaks_off_no_run_is_left(
    tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    run = Run.create(tmp_path / "run", {}, {})
    config = parse(RunConfig, {"data": {"sources": ["-"]}})
    with pytest.raises(DataError, match="standard input gave nothing"):
        take_in(config.data, run, notes.append, notes.append)
    assert not run.holds_a_run()
    with pytest.raises(DataError, match="standard input was not read to its end"):
        readable(config.data, run)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def document(text: str) -> Document:
    return Document(text, id="", source="")
